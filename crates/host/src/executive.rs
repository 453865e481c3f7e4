//! What a host needs of the kernel it runs, so that another can stand in for it.

use event::{DriverId, Event, Time};
use kernel::{Config, LowPool, PowerState, PowerTarget, Progress, Unload};
use nt_abi::NTSTATUS;

use crate::child::Recorder;
use crate::protocol::{Caller, Io, Value};

/// Something did not work, with the status that a driver's loader would see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The status.
    pub(crate) status: NTSTATUS,
    /// Why, and what to do.
    pub(crate) message: String,
}

/// The kernel as its host sees it. Called on the threads of lanes, several at once.
pub(crate) trait Executive: Sync {
    /// Makes the calling thread, a lane's, one that may run drivers.
    fn attach(&self, lane: usize);
    /// Writes a value under a service's `Parameters` key.
    fn set_value(&self, service: &str, name: &str, value: Value<'_>) -> Result<(), Failure>;
    /// Maps and binds an image and runs its DriverEntry.
    fn load(&self, name: &str, path: &str, image: &[u8]) -> Result<DriverId, Failure>;
    /// Unloads a driver, or has it unloaded when nobody uses its devices any more.
    fn unload(&self, driver: DriverId) -> Result<Unload, Failure>;
    /// Tells every routine; answers the status of a refused process creation and who wrote it.
    fn deliver(&self, event: &Event<'_>) -> Option<(NTSTATUS, Option<DriverId>)>;
    /// The full NT paths of a driver's devices.
    fn devices(&self, driver: DriverId) -> Vec<String>;
    /// Opens a path as a program; answers the handle.
    fn open(&self, caller: Caller, path: &str, access: u32, overlapped: bool) -> Result<u64, Failure>;
    /// Asks something of an open file and waits for its end; the second buffer is filled.
    fn io(&self, caller: Caller, file: u64, what: Io, input: &[u8], output: &mut [u8]) -> Progress;
    /// Asks something of an open file; answers the number of the request.
    fn begin(&self, caller: Caller, file: u64, what: Io, input: &[u8], output: &[u8])
    -> Result<u64, Failure>;
    /// Asks for the end of a request that was begun, and waits for it for a while; the second buffer is filled.
    fn result(&self, request: u64, wait: bool, output: &mut [u8]) -> Result<Progress, Failure>;
    /// Cancels a request that was begun.
    fn cancel(&self, caller: Caller, request: u64) -> Result<(), Failure>;
    /// Sends a power request to stacks of devices; answers how it ended.
    fn power(
        &self,
        time: Time,
        target: PowerTarget<'_>,
        query: bool,
        state: PowerState,
    ) -> Result<NTSTATUS, Failure>;
    /// Moves a virtual clock; answers what the clock says.
    fn advance(&self, time: Time) -> Time;
    /// Makes pool low from now on, or plentiful again.
    fn set_low_pool(&self, low: LowPool);
    /// Ends the programs, unloads every driver, looks for leaks and sums up.
    fn finish(&self);
}

/// Which executive a host runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Which {
    /// The kernel.
    #[default]
    Kernel,
    /// The stand-in of this crate's tests.
    #[cfg(any(test, feature = "trial"))]
    Trial,
}

/// Starts an executive. The calling thread is lane 0's.
pub(crate) fn boot(
    which: Which,
    config: Config,
    recorder: &'static Recorder,
) -> Result<&'static dyn Executive, Failure> {
    match which {
        Which::Kernel => crate::kernel_executive::boot(config, recorder),
        #[cfg(any(test, feature = "trial"))]
        Which::Trial => Ok(crate::trial::boot(config, recorder)),
    }
}
