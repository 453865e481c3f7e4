//! What a step asks of a device, and of requests that are under way.

use bench::{Completed, Error, File, Powered};

use crate::act::{Answer, Machine, answer, failed};
use crate::file::{Begin, Power, Step};
use crate::run::Acted;

/// How many bytes may come back when nobody says.
fn room(size: Option<u32>) -> usize {
    usize::try_from(size.unwrap_or(4096)).unwrap_or(usize::MAX)
}

impl Machine<'_> {
    /// A request to a device, which is opened when it is not open; or what its timers wait for.
    pub(crate) fn ask_device(&mut self, step: &Step) -> Acted {
        if let Some(device) = &step.open {
            if self.files.contains_key(device.as_str()) {
                return Err(format!("`{}` is open already; close it before", device.as_str()));
            }
            return Ok(self.open(device).map_or_else(|answer| answer, |_| Answer::success()));
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
                self.bench.ioctl(&file, control.code, &control.input.0, room(control.output_size))
            }
            Step { read: Some(read), .. } => self.bench.read(&file, 0, room(read.size)),
            Step { write: Some(write), .. } => self.bench.write(&file, 0, &write.input.0),
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
            self.bench.begin_read(&file, 0, room(Some(**size)))
        } else if let Some(input) = &begin.write {
            self.bench.begin_write(&file, 0, &input.0)
        } else {
            let code = begin.code.as_deref().copied().unwrap_or_default();
            self.bench.begin_ioctl(&file, code, &begin.input.0, room(begin.output_size))
        };
        match begun {
            Ok(request) => {
                self.requests.insert(begin.name.to_string(), request);
                Answer::success()
            }
            Err(error) => failed(&error),
        }
    }

    /// The file of a device, opened when it is not open: for overlapped requests, where a step begins one.
    ///
    /// # Errors
    /// What opening it came to.
    fn open(&mut self, device: &str) -> Result<File, Answer> {
        if let Some(file) = self.files.get(device) {
            return Ok(*file);
        }
        let begins = |step: &Step| step.begin.as_ref().is_some_and(|begin| begin.device.as_str() == device);
        let overlapped = self.scenario.file.step.iter().any(|step| begins(step));
        let builder = self.bench.file(device);
        let builder = if overlapped { builder.overlapped() } else { builder };
        let file = builder.open().map_err(|error| failed(&error))?;
        self.files.insert(device.to_owned(), file);
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
