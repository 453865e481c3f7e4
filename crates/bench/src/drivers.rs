//! Loading and unloading drivers.

use std::path::Path;

use event::DriverId;
use host::{LowPool, Value};

use crate::{Bench, Driver, Error, Unload};

impl Bench {
    /// Writes a value under the `Parameters` key of a service, before or after its driver is loaded.
    ///
    /// # Errors
    /// [`Error::Host`] when it is too long, [`Error::Stopped`].
    pub fn set_value(&mut self, service: &str, name: &str, value: Value<'_>) -> Result<(), Error> {
        let result = self.host.set_value(service, name, value);
        self.answer(result)
    }

    /// Loads a driver from a file, as the service `service`, and runs its DriverEntry.
    ///
    /// # Errors
    /// [`Error::Host`] when the file cannot be read, the image is bad or DriverEntry fails: [`Error::status`] is then
    /// what `NtLoadDriver` returns. [`Error::Stopped`] when the machine stopped of it.
    pub fn load(&mut self, service: &str, path: impl AsRef<Path>) -> Result<Driver, Error> {
        let result = self.host.load_file(service, path.as_ref());
        self.loaded(service, result)
    }

    /// Loads a driver from its bytes, as the service `service`, and runs its DriverEntry.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_bytes(&mut self, service: &str, image: &[u8]) -> Result<Driver, Error> {
        let result = self.host.load(service, &format!("{service}.sys"), image);
        self.loaded(service, result)
    }

    /// Makes pool low for what drivers allocate from now on, or plentiful again ([`LowPool::PLENTY`]). What they register
    /// needs pool as well (S-IMGEX-6); what the system needs for itself is always there.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const DRIVER: &[u8] = include_bytes!("../../../drivers/bin/veto-chain.sys");
    /// use bench::{Bench, LowPool, NTSTATUS, Profile};
    ///
    /// let mut bench = Bench::new(Profile::Win11_24H2)?;
    /// // The driver registers two routines. Whichever of them gets no pool, its DriverEntry fails and leaves nothing behind.
    /// for after in 0..2 {
    ///     bench.set_low_pool(LowPool { after, ..LowPool::NEXT })?;
    ///     let error = bench.load_bytes("veto-chain", DRIVER).unwrap_err();
    ///     assert_eq!(error.status(), Some(NTSTATUS::from_u32(0xC000_009A)));
    /// }
    /// assert!(bench.leaks().is_empty() && bench.findings().is_empty());
    /// bench.load_bytes("veto-chain", DRIVER)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn set_low_pool(&mut self, low: LowPool) -> Result<(), Error> {
        let result = self.host.set_low_pool(low);
        self.answer(result)
    }

    fn loaded(&mut self, service: &str, result: Result<DriverId, host::BenchError>) -> Result<Driver, Error> {
        let id = self.answer(result)?;
        self.services.insert(id, service.to_owned());
        Ok(Driver { id })
    }

    /// Unloads a driver. As on NT, the DriverUnload of one whose devices are in use (a file is open, and so is that of a
    /// request that is pending) runs when they are not any more: the call succeeds, and says [`Unload::Pending`].
    /// Meanwhile its devices cannot be opened.
    ///
    /// ```
    /// # fn main() -> Result<(), bench::Error> {
    /// # const DEVICE: &[u8] = include_bytes!("../../../drivers/bin/device.sys");
    /// use bench::{Bench, Profile, Unload};
    ///
    /// let mut bench = Bench::new(Profile::Win11_24H2)?;
    /// let driver = bench.load_bytes("device", DEVICE)?;
    /// let file = bench.open(r"\\.\CallboardDevice")?;
    /// assert_eq!(bench.unload(driver)?, Unload::Pending);
    /// bench.close(file)?;
    /// assert!(bench.open(r"\\.\CallboardDevice").is_err(), "DriverUnload has run");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Host`] with STATUS_INVALID_DEVICE_REQUEST when it has no DriverUnload, [`Error::Stopped`].
    pub fn unload(&mut self, driver: Driver) -> Result<Unload, Error> {
        let result = self.host.unload(driver.id);
        self.answer(result)
    }

    /// Ends what programs do with devices (their requests are cancelled, their files closed), unloads every driver, last
    /// loaded first, and looks for what they leave behind. Nothing can be asked of the machine afterwards; what happened can.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the machine stops of it, or has stopped.
    pub fn finish(&mut self) -> Result<(), Error> {
        let result = self.host.finish();
        self.collect();
        // Nothing can be told any more, and so nobody exits.
        self.terminated.clear();
        self.answer(result)
    }

    /// [`finish`](Self::finish), and nothing must have gone wrong: no rule was broken since the bench was started, a warning
    /// being one too, and nothing was left behind. What a test ends with.
    ///
    /// ```
    /// # const SENSOR: &[u8] = include_bytes!("../../../drivers/bin/sensor.sys");
    /// # const LEAVES: &[u8] = include_bytes!("../../../drivers/bin/leaves-routine.sys");
    /// use bench::{Bench, Profile, Value};
    ///
    /// # fn main() -> Result<(), bench::Error> {
    /// let mut bench = Bench::new(Profile::Win11_24H2)?;
    /// bench.load_bytes("sensor", SENSOR)?;
    /// bench.process(r"C:\a.exe").create()?;
    /// bench.finish_clean()?;
    ///
    /// let mut bench = Bench::new(Profile::Win11_24H2)?;
    /// bench.set_value("leaves-routine", "Mode", Value::String("process".into()))?;
    /// bench.load_bytes("leaves-routine", LEAVES)?;
    /// let error = bench.finish_clean().unwrap_err();
    /// assert!(error.to_string().contains("L-18 by leaves-routine: "), "{error}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unclean`], [`Error::Stopped`].
    pub fn finish_clean(&mut self) -> Result<(), Error> {
        self.finish()?;
        let who = |driver: Option<DriverId>| {
            let service = driver.and_then(|driver| self.services.get(&driver));
            service.map_or("a driver", String::as_str)
        };
        let findings = self.findings();
        let findings = findings.iter().map(|it| format!("{} by {}: {}", it.rule, who(it.driver), it.message));
        let leaks = self.leaks();
        let leaks = leaks.iter().map(|it| format!("left behind by {}: {}", who(Some(it.driver)), it.what));
        let wrong: Vec<_> = findings.chain(leaks).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::Unclean(wrong)) }
    }
}
