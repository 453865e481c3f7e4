//! How a process that a driver has terminated is ended: SIGKILL, at once.
//!
//! Its threads and then it are told to exit with the status that the driver gave, as if NT had ended it. Who waits for it
//! on Linux learns that it was killed: there is room for no NT status in a wait status.

use super::{
    sys::{self, Pid},
    tracer::Tracer,
};
use crate::Termination;

impl Tracer<'_> {
    /// Ends what drivers have terminated since this was last done.
    pub(super) fn obey(&mut self) {
        if self.gone {
            return;
        }
        for Termination { process, status } in self.recipient.terminated() {
            let pid = process.to_linux().and_then(|pid| Pid::try_from(pid).ok());
            match pid.and_then(|pid| Some((pid, self.tree.processes.get_mut(&pid)?))) {
                Some((pid, process)) => {
                    process.terminated.get_or_insert(status);
                    sys::kill(pid, libc::SIGKILL);
                }
                None => self.note_warning(&format!(
                    "process {process} was terminated by a driver, and is none of those that are watched: it is left alone"
                )),
            }
        }
    }
}
