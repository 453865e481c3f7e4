//! The images that the kernel maps itself as a process begins (SEMANTICS C.2, C.3): the executable, then ntdll, in a 32-bit
//! process the native one and its own. They are told of when the first thread starts, before it runs code of its own.

use std::sync::atomic::{AtomicU8, Ordering};

use event::Name;

/// Which of them an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The executable.
    Executable = 1,
    /// The native ntdll.
    Ntdll = 2,
    /// The 32-bit ntdll.
    Ntdll32 = 4,
}

impl Beginning {
    /// The ntdll that a file is, by its name.
    fn ntdll(name: &Name<'_>) -> Option<Self> {
        let is = |path: &str| name.on_volume().eq_ignore_ascii_case(path);
        if is(r"\Windows\System32\ntdll.dll") {
            Some(Self::Ntdll)
        } else {
            is(r"\Windows\SysWOW64\ntdll.dll").then_some(Self::Ntdll32)
        }
    }

    /// The fixed name that older kernels have for it (R-FN-02), in two parts.
    pub(crate) fn system_root(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Executable => None,
            Self::Ntdll => Some([r"\SystemRoot", r"\System32\ntdll.dll"]),
            Self::Ntdll32 => Some([r"\SystemRoot", r"\SysWOW64\ntdll.dll"]),
        }
    }
}

/// How far a process has come with them: it is the moment that counts, as the process may map the same files again later,
/// by calls like any other.
#[derive(Debug, Default)]
pub(crate) struct Begun(AtomicU8);

impl Begun {
    /// Something else has been mapped: the process runs.
    const OVER: u8 = 8;

    /// The process maps an image, and this is which of those it begins with; `None` for all that it maps later.
    pub(crate) fn next(&self, name: Option<&Name<'_>>) -> Option<Beginning> {
        let before = self.0.load(Ordering::Relaxed);
        let is = if before == 0 { Some(Beginning::Executable) } else { name.and_then(Beginning::ntdll) };
        // Each of them once, and nothing in between.
        let begins = is.filter(|&is| before & (Self::OVER | is as u8) == 0);
        self.0.store(before | begins.map_or(Self::OVER, |is| is as u8), Ordering::Relaxed);
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_lock_03_each_of_the_first_images_is_one_once_and_nothing_later_is() {
        let name = |path: &str| Name::from_nt(path);
        let begun = Begun::default();
        let next = |path: &str| begun.next(Some(&name(path)));
        assert_eq!(next(r"C:\app\a.exe"), Some(Beginning::Executable));
        assert_eq!(next(r"C:\WINDOWS\system32\NTDLL.DLL"), Some(Beginning::Ntdll));
        assert_eq!(next(r"C:\Windows\SysWOW64\ntdll.dll"), Some(Beginning::Ntdll32));
        assert_eq!(next(r"C:\Windows\SysWOW64\ntdll.dll"), None, "mapped again");

        let begun = Begun::default();
        let next = |path: Option<&str>| begun.next(path.map(name).as_ref());
        assert_eq!(next(None), Some(Beginning::Executable), "whatever it is called");
        assert_eq!(next(Some(r"C:\app\ntdll.dll")), None, "of another folder");
        assert_eq!(next(Some(r"C:\Windows\System32\ntdll.dll")), None, "the process runs already");
    }
}
