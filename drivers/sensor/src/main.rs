//! The built-in driver: one line per notice, and a list of images that may not run.
//!
//! ```text
//! create pid=20088 ppid=20072 image=\??\C:\usr\bin\uname cmd="uname -a"
//! refuse pid=20088 image=\??\C:\usr\bin\uname rule=*/uname status=0xC0000022
//! exit pid=20088 status=0xC0000022
//! ```
//!
//! Values under the service's `Parameters` key:
//!
//! | name | type | meaning |
//! |---|---|---|
//! | `Deny` | `REG_MULTI_SZ`, or `REG_SZ` with `;` between | patterns (`*`, `?`) of image names to refuse |
//! | `Quiet` | `REG_DWORD` | not 0: print no notices (a refusal is printed all the same) |
#![cfg_attr(windows, no_std)]
#![cfg_attr(not(test), no_main)]

extern crate alloc;

mod rules;
mod watch;

use alloc::sync::Arc;

use driver_kit::{
    Driver, Entry, ImageNotify, NtStatus, Parameters, ProcessNotify, ThreadNotify, dbg_error, driver_entry,
};

use crate::rules::Rules;
use crate::watch::Watch;

/// The guards, in the order of their removal: what can refuse goes first.
struct Sensor {
    _processes: ProcessNotify<Arc<Watch>>,
    _threads: ThreadNotify<Arc<Watch>>,
    _images: ImageNotify<Arc<Watch>>,
}

impl Driver for Sensor {
    fn start(entry: &Entry<'_>) -> Result<Self, NtStatus> {
        let watch = Arc::new(configured(entry)?);
        let images = ImageNotify::register(watch.clone()).inspect_err(|why| complain("image", *why))?;
        let threads = ThreadNotify::register(watch.clone()).inspect_err(|why| complain("thread", *why))?;
        let processes = ProcessNotify::register(watch).inspect_err(|why| complain("process", *why))?;
        Ok(Self { _processes: processes, _threads: threads, _images: images })
    }
}

fn complain(family: &str, why: NtStatus) {
    dbg_error!("sensor: cannot register for {family} notices: {why}");
}

/// A list that cannot be read is an error: a sensor that lets everything pass would look the same as
/// one that was told to.
fn configured(entry: &Entry<'_>) -> Result<Watch, NtStatus> {
    let Some(parameters) = Parameters::open(entry.registry_path())? else {
        return Ok(Watch { rules: Rules::default(), quiet: false });
    };
    let deny = parameters.strings("Deny").inspect_err(|why| dbg_error!("sensor: cannot read Deny: {why}"))?;
    let quiet =
        parameters.dword("Quiet").inspect_err(|why| dbg_error!("sensor: cannot read Quiet: {why}"))?;
    Ok(Watch { rules: Rules::new(deny), quiet: quiet.is_some_and(|value| value != 0) })
}

driver_entry!(Sensor);
