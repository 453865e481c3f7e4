//! The exit status of a process that was ended by a signal for which NT has no status: a value of our own, which keeps
//! the signal.

use nt_abi::NTSTATUS;

/// What the signal's number is added to.
const BASE: u32 = 0xC000_4E00;

/// The status that stands for a signal.
pub fn to_status(signal: u8) -> NTSTATUS {
    NTSTATUS::from_u32(BASE + u32::from(signal))
}

/// The signal that a status stands for, where it stands for one.
pub fn of_status(status: NTSTATUS) -> Option<u8> {
    let signal = u8::try_from(status.as_u32().checked_sub(BASE)?).ok()?;
    (signal != 0).then_some(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_our_own_keeps_its_signal() {
        assert_eq!(to_status(15), NTSTATUS::from_u32(0xC000_4E0F));
        assert!((1..=u8::MAX).all(|signal| of_status(to_status(signal)) == Some(signal)));
        for other in [0, 15, 0xC000_0005, BASE, BASE + 0x100] {
            assert_eq!(of_status(NTSTATUS::from_u32(other)), None);
        }
    }
}
