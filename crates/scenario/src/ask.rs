//! What a step asks of a device, and of requests that are under way.

use bench::{Completed, Error, File, Powered, Process};
use nt_abi::{GENERIC_READ, GENERIC_WRITE};

use crate::act::{Answer, Machine, answer, failed};
use crate::file::{Access, Begin, Bytes, LowPool, Open, Power, Step};
use crate::run::Acted;

/// How many bytes may come back when nobody says.
fn room(size: Option<u32>) -> usize {
    usize::try_from(size.unwrap_or(4096)).unwrap_or(usize::MAX)
}

/// The second buffer of a control code.
fn second(holds: Option<&Bytes>, size: Option<u32>) -> Vec<u8> {
    match holds {
        Some(bytes) => bytes.0.clone(),
        None => vec![0; room(size)],
    }
}

impl Machine<'_> {
    /// A request to a device, which is opened when it is not open; or what its timers wait for.
    pub(crate) fn ask_device(&mut self, step: &Step) -> Acted {
        if let Some(open) = &step.open {
            return self.open_as_said(open);
        }
        if let Some(device) = &step.close {
            let Some(file) = self.files.remove(device.as_str()) else {
                return Err(format!("`{}` is not open", device.as_str()));
            };
            return Ok(answer(self.bench.close(file)));
        }
        if let Some(length) = &step.advance {
            return Ok(answer(self.bench.advance(length.0)));
        }
        if let Some(low) = &step.low_pool {
            return Ok(answer(self.bench.set_low_pool(match **low {
                LowPool::Next => bench::LowPool::NEXT,
                LowPool::All => bench::LowPool::ALL,
                LowPool::Off => bench::LowPool::PLENTY,
            })));
        }
        if let Some(power) = &step.power {
            return self.power(power);
        }
        if let Some(begin) = &step.begin {
            return Ok(self.begin(begin));
        }
        if let Some(name) = step.wait.as_ref().or(step.cancel.as_ref()) {
            let Some(request) = self.requests.get(name.as_str()).copied() else {
                return Err(format!("the request `{}` was not begun: its step failed", name.as_str()));
            };
            if step.cancel.is_some() {
                return Ok(answer(self.bench.cancel(&request)));
            }
            return Ok(ended(self.bench.wait(&request)));
        }
        let device = match step {
            Step { ioctl: Some(control), .. } => &control.device,
            Step { read: Some(read), .. } => &read.device,
            Step { write: Some(write), .. } => &write.device,
            _ => return Ok(Answer::success()),
        };
        let file = match self.open(device) {
            Ok(file) => file,
            Err(answer) => return Ok(answer),
        };
        let done = match step {
            Step { ioctl: Some(control), .. } => {
                let output = second(control.output_buffer.as_ref(), control.output_size);
                self.bench.ioctl_with(&file, control.code, &control.input.0, &output)
            }
            Step { read: Some(read), .. } => self.bench.read(&file, read.offset, room(read.size)),
            Step { write: Some(write), .. } => self.bench.write(&file, write.offset, &write.input.0),
            _ => return Ok(Answer::success()),
        };
        Ok(ended(done))
    }

    /// Sends a power request.
    fn power(&mut self, power: &Power) -> Acted {
        let target = match (&power.device, &power.driver) {
            (Some(device), _) => Powered::from(device.as_str()),
            (None, Some(name)) => match self.drivers.get(name.as_str()) {
                Some(driver) => Powered::from(driver),
                None => return Err(format!("the driver `{}` is not loaded", name.as_str())),
            },
            // What is wrong with such a file was said when it was read.
            (None, None) => return Ok(Answer::success()),
        };
        let done = match (&power.set, &power.query) {
            (Some(state), _) => self.bench.set_power(target, state.0),
            (None, Some(state)) => self.bench.query_power(target, state.0),
            (None, None) => return Ok(Answer::success()),
        };
        Ok(match done {
            Ok(status) => Answer { status: Some(status), ..Answer::default() },
            Err(error) => failed(&error),
        })
    }

    /// Begins a request.
    fn begin(&mut self, begin: &Begin) -> Answer {
        let file = match self.open(&begin.device) {
            Ok(file) => file,
            Err(answer) => return answer,
        };
        let begun = if let Some(size) = &begin.read {
            self.bench.begin_read(&file, begin.offset, room(Some(**size)))
        } else if let Some(input) = &begin.write {
            self.bench.begin_write(&file, begin.offset, &input.0)
        } else {
            let code = begin.code.as_deref().copied().unwrap_or_default();
            let output = second(begin.output_buffer.as_ref(), begin.output_size);
            self.bench.begin_ioctl_with(&file, code, &begin.input.0, &output)
        };
        match begun {
            Ok(request) => {
                self.requests.insert(begin.name.to_string(), request);
                Answer::success()
            }
            Err(error) => failed(&error),
        }
    }

    /// The open file of that name; a device that is not open is opened.
    ///
    /// # Errors
    /// What opening it came to.
    fn open(&mut self, device: &str) -> Result<File, Answer> {
        match self.files.get(device) {
            Some(file) => Ok(*file),
            None => self.open_file(device, device, None, Access::default()),
        }
    }

    /// Opens a device as a step says.
    fn open_as_said(&mut self, open: &Open) -> Acted {
        let name = open.name();
        if self.files.contains_key(name) {
            return Err(format!("`{name}` is open already; close it before"));
        }
        let (by, access) = match open {
            Open::Table(table) => (self.maybe(table.by.as_ref())?, table.access),
            Open::Path(_) => (None, Access::default()),
        };
        let opened = self.open_file(open.device(), name, by, access);
        Ok(opened.map_or_else(|answer| answer, |_| Answer::success()))
    }

    /// Opens a device, for overlapped requests where a step begins one.
    fn open_file(
        &mut self,
        device: &str,
        name: &str,
        by: Option<Process>,
        access: Access,
    ) -> Result<File, Answer> {
        let begins = |step: &Step| step.begin.as_ref().is_some_and(|begin| begin.device.as_str() == name);
        let overlapped = self.scenario.file.step.iter().any(|step| begins(step));
        let mut builder = self.bench.file(device).access(match access {
            Access::ReadWrite => GENERIC_READ | GENERIC_WRITE,
            Access::Read => GENERIC_READ,
            Access::Write => GENERIC_WRITE,
            Access::Any => 0,
        });
        if overlapped {
            builder = builder.overlapped();
        }
        if let Some(by) = by {
            builder = builder.by(by);
        }
        let file = builder.open().map_err(|error| failed(&error))?;
        self.files.insert(name.to_owned(), file);
        Ok(file)
    }

    /// Looks which requests are pending, for a step that expects something of it.
    pub(crate) fn look_what_is_pending(&mut self) {
        self.pending.clear();
        for (name, request) in &self.requests {
            // A machine that has stopped keeps nothing pending.
            if matches!(self.bench.try_complete(request), Ok(None)) {
                self.pending.push(name.clone());
            }
        }
    }
}

/// How a request ended.
fn ended(result: Result<Completed, Error>) -> Answer {
    match result {
        Ok(done) => Answer {
            status: Some(done.status),
            information: done.information,
            output: done.output,
            ..Answer::default()
        },
        Err(error) => failed(&error),
    }
}
