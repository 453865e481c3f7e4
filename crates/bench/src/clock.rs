//! The clock of the machine.

use std::time::Duration;

use event::Time;
use host::Clock;

use crate::{Bench, Error};

impl Bench {
    /// What the machine's clock says. A virtual one moves by a microsecond with each event and request, by what drivers wait
    /// for inside of them, and by [`advance`](Self::advance).
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn now(&mut self) -> Result<Time, Error> {
        self.clock_to(Time::default())
    }

    /// Lets time pass. On a virtual clock every timer that is due until then expires and every wait ends, in the order of
    /// their times, and what drivers do then is done before the next is due. A real clock is waited for.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
    /// use std::time::Duration;
    ///
    /// let mut bench = bench::Bench::new(bench::Profile::Win11_24H2)?;
    /// let driver = bench.load_bytes("device", DEVICE)?;
    /// let file = bench.open(r"\\.\CallboardDevice")?;
    /// // This driver starts a timer that ticks each second.
    /// bench.ioctl(&file, 0x22_2020, &1000u32.to_le_bytes(), 0)?;
    /// bench.advance(Duration::from_secs(60 * 60))?;
    /// let ticks = bench.debug_lines(driver).iter().filter(|line| line.contains("tick")).count();
    /// assert_eq!(ticks, 3600);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Stopped`] when the machine stops of what happens meanwhile.
    pub fn advance(&mut self, by: Duration) -> Result<Time, Error> {
        match self.config.clock {
            Clock::Virtual { .. } => {
                let units = i64::try_from(by.as_nanos() / 100).unwrap_or(i64::MAX);
                let now = self.now()?;
                self.clock_to(Time(now.0.saturating_add(units)))
            }
            Clock::Real => {
                std::thread::sleep(by);
                self.now()
            }
        }
    }

    fn clock_to(&mut self, time: Time) -> Result<Time, Error> {
        let result = self.host.advance(time);
        let now = self.answer(result)?;
        self.now = self.now.max(now);
        Ok(now)
    }
}
