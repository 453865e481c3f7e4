//! Where a driver did something: the return addresses on its stack, kept for a later report.

use std::fmt;

use event::Frame;
use machine::stop::StackFrame;

/// How many frames are kept.
const DEPTH: usize = 6;

/// A driver's call and those who called it, innermost first; empty where no driver ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site([u64; DEPTH]);

impl Site {
    /// The call that is under way, with its callers. Takes some microseconds: a stack is walked.
    pub(crate) fn with_callers() -> Self {
        let mut site = Self::default();
        // The walk begins at a place of ours, which says nothing.
        let frames = crate::ke::stop::driver_stack().into_iter().map(|frame| frame.address);
        let in_driver = |&address: &u64| {
            usize::try_from(address).is_ok_and(|address| machine::images::find(address).is_some())
        };
        for (place, address) in site.0.iter_mut().zip(frames.filter(in_driver)) {
            *place = address;
        }
        site
    }

    /// The call that is under way and nothing more, which is cheap.
    pub(crate) fn call_only() -> Self {
        let mut site = Self::default();
        if machine::is_attached() && machine::call::inside_driver_call() {
            site.0[0] = machine::seh::walk::call_site().unwrap_or_default();
        }
        site
    }

    /// The frames, for a finding.
    pub(crate) fn frames(&self) -> Vec<Frame<'static>> {
        self.addresses().map(crate::ke::stop::frame_at).collect()
    }

    /// The address of the call; 0 where no driver ran.
    pub(crate) fn call(&self) -> u64 {
        self.0[0]
    }

    fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().copied().take_while(|&address| address != 0)
    }
}

impl fmt::Display for Site {
    /// `bad.sys+0x1200 (called from bad.sys+0x1340)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses = self.addresses();
        let Some(first) = addresses.next() else { return f.write_str("an unknown place") };
        place(f, first)?;
        let mut before = " (called from ";
        for address in addresses {
            f.write_str(before)?;
            place(f, address)?;
            before = ", ";
        }
        if before == ", " { f.write_str(")") } else { Ok(()) }
    }
}

fn place(f: &mut fmt::Formatter<'_>, address: u64) -> fmt::Result {
    let frame = StackFrame::at(address);
    match &frame.module {
        Some(module) => write!(f, "{module}+{:#x}", frame.offset),
        None => write!(f, "{address:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_read_from_the_inside_out() {
        assert_eq!(Site::default().to_string(), "an unknown place");
        let mut site = Site::default();
        site.0[0] = 0x1234;
        assert_eq!(site.to_string(), "0x1234");
        site.0[1] = 0x5678;
        site.0[2] = 0x9ABC;
        assert_eq!(site.to_string(), "0x1234 (called from 0x5678, 0x9abc)");
        assert_eq!(site.frames().len(), 3);
    }
}
