//! Power: the states that the system and devices are told to change to.

use event::DriverId;
use host::{PowerState, PowerTarget};
use nt_abi::NTSTATUS;

use crate::device::nt_path;
use crate::{Bench, Driver, Error};

/// Who is told of a change of power: the devices of a driver, in the order in which it made them, or one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Powered {
    /// A driver's devices.
    Driver(DriverId),
    /// A device, as programs write its path, or as a full NT path.
    Device(String),
}

impl From<Driver> for Powered {
    fn from(driver: Driver) -> Self {
        Self::Driver(driver.id)
    }
}

impl From<&Driver> for Powered {
    fn from(driver: &Driver) -> Self {
        Self::Driver(driver.id)
    }
}

impl From<&str> for Powered {
    fn from(path: &str) -> Self {
        Self::Device(path.to_owned())
    }
}

impl Bench {
    /// Sends IRP_MJ_POWER with IRP_MN_SET_POWER to the top of a device's stack, as the power manager does for a state of the
    /// system and a power policy owner for one of the device, and waits for its end. `SystemContext` and `ShutdownType`
    /// are as Windows has them for the transition from the state that the stack was told of last.
    ///
    /// On Windows such requests reach devices of Plug and Play drivers, those that an `AddDevice` routine attached; a device
    /// that a driver makes for programs to talk to hears of no state of the system. That is the test's to know.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const POWER: &[u8] = include_bytes!("../../../drivers/bin/power.sys");
    /// # const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
    /// use bench::{Bench, PowerState, Profile, STATUS_SUCCESS};
    ///
    /// let mut bench = Bench::new(Profile::Win11_24H2)?;
    /// let driver = bench.load_bytes("power", POWER)?;
    /// assert_eq!(bench.query_power(driver, PowerState::S3)?, STATUS_SUCCESS);
    /// assert_eq!(bench.set_power(driver, PowerState::S3)?, STATUS_SUCCESS);
    /// assert_eq!(bench.set_power(r"\Device\CallboardPower", PowerState::S0)?, STATUS_SUCCESS);
    ///
    /// // A driver without a dispatch routine for it: STATUS_INVALID_DEVICE_REQUEST.
    /// let other = bench.load_bytes("device", DEVICE)?;
    /// assert_eq!(bench.set_power(other, PowerState::S3)?.as_u32(), 0xC000_0010);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The status that drivers end the request with is the answer and no error; of several stacks the first failure.
    /// [`Error::Host`] where there is no such device, [`Error::Stopped`]: a driver that keeps the request for ten minutes
    /// stops the machine with 0x9F.
    pub fn set_power(&mut self, target: impl Into<Powered>, state: PowerState) -> Result<NTSTATUS, Error> {
        self.power(&target.into(), false, state)
    }

    /// Sends IRP_MJ_POWER with IRP_MN_QUERY_POWER, which asks whether a state can be changed to: as
    /// [`set_power`](Self::set_power).
    ///
    /// # Errors
    /// As [`set_power`](Self::set_power).
    pub fn query_power(&mut self, target: impl Into<Powered>, state: PowerState) -> Result<NTSTATUS, Error> {
        self.power(&target.into(), true, state)
    }

    fn power(&mut self, target: &Powered, query: bool, state: PowerState) -> Result<NTSTATUS, Error> {
        let path = match target {
            Powered::Device(path) => nt_path(path),
            Powered::Driver(_) => String::new(),
        };
        let target = match target {
            Powered::Device(_) => PowerTarget::Device(&path),
            Powered::Driver(id) => PowerTarget::Driver(*id),
        };
        let time = self.next_moment();
        let result = self.host.power(time, target, query, state);
        self.answer(result)
    }
}
