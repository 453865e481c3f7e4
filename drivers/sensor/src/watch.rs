//! What the sensor does with a notice.

use core::fmt;

use driver_kit::{
    ImageHandler, ImageLoaded, NtStatus, NtStr, ProcessCreated, ProcessExited, ProcessHandler, ThreadCreated,
    ThreadExited, ThreadHandler, Verdict, dbg_print,
};

use crate::rules::Rules;

/// Prints notices and refuses images.
pub(crate) struct Watch {
    pub(crate) rules: Rules,
    pub(crate) quiet: bool,
}

impl ProcessHandler for Watch {
    fn created(&self, notice: &ProcessCreated<'_>) -> Verdict {
        let (pid, image) = (notice.pid(), notice.image_name());
        if !self.quiet {
            let (ppid, shown) = (notice.parent(), OrDash(image));
            match notice.command_line() {
                Some(cmd) => dbg_print!("create pid={pid} ppid={ppid} image={shown} cmd=\"{cmd}\""),
                None => dbg_print!("create pid={pid} ppid={ppid} image={shown} cmd=-"),
            }
        }
        let Some((image, rule)) = image.and_then(|image| Some((image, self.rules.refuses(image)?))) else {
            return Verdict::Allow;
        };
        let status = NtStatus::ACCESS_DENIED;
        dbg_print!("refuse pid={pid} image={image} rule={rule} status={status}");
        Verdict::Deny(status)
    }

    fn exited(&self, notice: &ProcessExited<'_>) {
        if !self.quiet {
            dbg_print!("exit pid={} status={}", notice.pid(), notice.status());
        }
    }
}

impl ThreadHandler for Watch {
    fn created(&self, notice: &ThreadCreated<'_>) {
        if !self.quiet {
            dbg_print!("thread pid={} tid={}", notice.pid(), notice.tid());
        }
    }

    fn exited(&self, notice: &ThreadExited<'_>) {
        if !self.quiet {
            dbg_print!("thread-exit pid={} tid={}", notice.pid(), notice.tid());
        }
    }
}

impl ImageHandler for Watch {
    fn loaded(&self, notice: &ImageLoaded<'_>) {
        if self.quiet {
            return;
        }
        let (base, size, name) = (notice.base(), notice.size(), OrDash(notice.full_image_name()));
        match notice.pid() {
            Some(pid) => dbg_print!("image pid={pid} base={base:#x} size={size:#x} {name}"),
            None => dbg_print!("image kernel base={base:#x} size={size:#x} {name}"),
        }
    }
}

/// A name that may be missing.
struct OrDash<'call>(Option<&'call NtStr>);

impl fmt::Display for OrDash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => text.fmt(f),
            None => f.write_str("-"),
        }
    }
}
