//! The kernel as an [`Executive`](crate::executive::Executive).

use event::{ClientId, DriverId, Event, Family, ProcessId, Record, Time};
use kernel::{
    Completed, Config, Kernel, LowPool, Operation, PowerState, PowerTarget, Progress, Running, Unload,
};
use machine::Processor;
use nt_abi::{NTSTATUS, STATUS_UNSUCCESSFUL};

use crate::channel::InFlight;
use crate::child::Recorder;
use crate::executive::{Executive, Failure};
use crate::protocol::{Caller, Io, Value};

/// Boots the kernel. The calling thread becomes a processor.
pub(crate) fn boot(config: Config, recorder: &'static Recorder) -> Result<&'static dyn Executive, Failure> {
    attach_processor()?;
    let kernel = kernel::boot(config, Box::leak(Box::new(IntoRings(recorder))));
    kernel.adopt_this_thread();
    Ok(Box::leak(Box::new(KernelExecutive(kernel))))
}

/// Makes the calling thread a processor for as long as it lives.
fn attach_processor() -> Result<(), Failure> {
    let processor = Processor::attach()
        .map_err(|error| Failure { status: STATUS_UNSUCCESSFUL, message: error.to_string() })?;
    // The threads of a host end with it.
    std::mem::forget(processor);
    Ok(())
}

struct KernelExecutive(&'static Kernel);

impl Executive for KernelExecutive {
    fn attach(&self, lane: usize) {
        // Lane 0's thread has booted the kernel, and is a processor since.
        if lane == 0 || machine::is_attached() {
            return;
        }
        match attach_processor() {
            Ok(()) => self.0.adopt_lane(u32::try_from(lane).unwrap_or_default()),
            // 16 lanes against 64 processors: only a driver with dozens of threads comes here. The panic hook tells
            // the bench.
            Err(failure) => panic!("{}", failure.message),
        }
    }

    fn set_value(&self, service: &str, name: &str, value: Value<'_>) -> Result<(), Failure> {
        self.0.set_service_value(service, name, registry(value));
        Ok(())
    }

    fn load(&self, name: &str, path: &str, image: &[u8]) -> Result<DriverId, Failure> {
        let _request = self.0.request(None);
        self.0
            .load_driver(name, path, image)
            .map_err(|error| Failure { status: error.status(), message: error.to_string() })
    }

    fn unload(&self, driver: DriverId) -> Result<Unload, Failure> {
        let _request = self.0.request(None);
        self.0
            .unload_driver(driver)
            .map_err(|error| Failure { status: error.status(), message: error.to_string() })
    }

    fn deliver(&self, event: &Event<'_>) -> Option<(NTSTATUS, Option<DriverId>)> {
        let _request = self.0.request(Some(event.time));
        self.0.deliver_event(event).map(|refused| (refused.status, refused.driver))
    }

    fn devices(&self, driver: DriverId) -> Vec<String> {
        self.0.devices_of(driver)
    }

    fn open(&self, caller: Caller, path: &str, access: u32, overlapped: bool) -> Result<u64, Failure> {
        let _request = self.0.request(Some(caller.time));
        let opened = self.0.user_open(caller.context, path, access, overlapped);
        opened.map_err(|status| Failure { status, message: format!("{path} cannot be opened: {status}") })
    }

    fn io(&self, caller: Caller, file: u64, what: Io, input: &[u8], output: &mut [u8]) -> Progress {
        let _request = self.0.request(Some(caller.time));
        match operation(what) {
            Some(operation) => self.0.user_request(caller.context, file, operation, input, output),
            None => {
                let status = self.0.user_close(caller.context, file);
                Progress::Ended(Completed { status, information: 0 })
            }
        }
    }

    fn begin(
        &self,
        caller: Caller,
        file: u64,
        what: Io,
        input: &[u8],
        output: &[u8],
    ) -> Result<u64, Failure> {
        let _request = self.0.request(Some(caller.time));
        let begun = match operation(what) {
            Some(operation) => self.0.user_begin(caller.context, file, operation, input, output),
            // Closing is nothing that could be pending.
            None => Err(nt_abi::STATUS_INVALID_PARAMETER),
        };
        begun.map_err(|status| Failure { status, message: format!("the request was not sent: {status}") })
    }

    fn result(&self, request: u64, wait: bool, output: &mut [u8]) -> Result<Progress, Failure> {
        let _request = self.0.request(None);
        let progress = self.0.user_result(request, wait, output);
        progress.map_err(|status| Failure { status, message: "there is no such request".into() })
    }

    fn cancel(&self, caller: Caller, request: u64) -> Result<(), Failure> {
        let _request = self.0.request(Some(caller.time));
        let cancelled = self.0.user_cancel(caller.context, request);
        cancelled.map_err(|status| Failure { status, message: "the request has ended".into() })
    }

    fn power(
        &self,
        time: Time,
        target: PowerTarget<'_>,
        query: bool,
        state: PowerState,
    ) -> Result<NTSTATUS, Failure> {
        let _request = self.0.request(Some(time));
        let sent = self.0.send_power(target, query, state);
        sent.map_err(|status| Failure { status, message: "there is no such device".into() })
    }

    fn advance(&self, time: Time) -> Time {
        self.0.advance_clock(time)
    }

    fn set_low_pool(&self, low: LowPool) {
        self.0.set_low_pool(low);
    }

    fn finish(&self) {
        let _request = self.0.request(None);
        self.0.end_programs();
        self.0.unload_all();
    }
}

/// What is asked of a driver; `None` for what only the object manager does.
fn operation(what: Io) -> Option<Operation> {
    match what {
        Io::Control(code) => Some(Operation::Control(code)),
        Io::Read(offset) => Some(Operation::Read(offset)),
        Io::Write(offset) => Some(Operation::Write(offset)),
        Io::Close => None,
    }
}

fn registry(value: Value<'_>) -> kernel::RegistryValue {
    use kernel::RegistryValue;
    match value {
        Value::Dword(number) => RegistryValue::Dword(number),
        Value::Qword(number) => RegistryValue::Qword(number),
        Value::String(text) => RegistryValue::Sz(text.into_owned()),
        Value::ExpandString(text) => RegistryValue::ExpandSz(text.into_owned()),
        Value::MultiString(items) => RegistryValue::MultiSz(items.into_iter().map(Into::into).collect()),
        Value::Binary(bytes) => RegistryValue::Binary(bytes.into_owned()),
    }
}

/// A family as the channel writes it.
fn number(family: Family) -> u32 {
    match family {
        Family::Process => 0,
        Family::Thread => 1,
        Family::Image => 2,
    }
}

fn family(number: u32) -> Option<Family> {
    [Family::Process, Family::Thread, Family::Image]
        .into_iter()
        .find(|&family| self::number(family) == number)
}

/// The kernel's records, into the rings.
struct IntoRings(&'static Recorder);

impl kernel::Recorder for IntoRings {
    fn record(&self, record: &Record<'_>) {
        self.0.record(record);
    }

    fn event(&self, time: Time, context: ClientId, event: &Event<'_>) {
        self.0.event(time, context, event);
    }

    fn running(&self, now: Option<Running>) -> Option<Running> {
        let before = self.0.enter(now.map(|running| InFlight {
            driver: running.driver.0,
            family: running.family.map(number),
            routine: running.routine,
        }))?;
        Some(Running {
            driver: DriverId(before.driver),
            routine: before.routine,
            family: before.family.and_then(family),
        })
    }

    fn user_page(&self, process: ProcessId, address: u64, page: &mut [u8; 4096]) -> bool {
        self.0.user_page(process.0, address, page)
    }

    fn halt(&self) -> ! {
        crate::child::exit(crate::child::EXIT_STOPPED)
    }
}
