//! What a file is called, on both sides.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The volume on which a live bench shows the Linux file system, as a device.
const DEVICE: &str = r"\Device\HarddiskVolume1";
/// What every volume of a disk is called, but for its number.
const VOLUME: &str = r"\Device\HarddiskVolume";
/// The live volume as a DOS drive.
const DRIVE: &str = "C:";
/// The same in the object manager's directory of drives.
const DOS_DRIVE: &str = r"\??\C:";
/// That directory.
const DOS_DRIVES: &str = r"\??\";

/// The name of a file: its NT path, and the path on the machine it came from where that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name<'a> {
    /// The full NT path in device form: `\Device\HarddiskVolume1\usr\bin\ls`.
    #[serde(borrow)]
    pub nt: Cow<'a, str>,
    /// The path as the source's own machine writes it: `/usr/bin/ls`. `None` when it is the NT path.
    #[serde(borrow)]
    pub host: Option<Cow<'a, str>>,
}

impl<'a> Name<'a> {
    /// The name of a Linux file, by its absolute path. `/` becomes `\`; a backslash in a Linux name
    /// stays as it is, so that form is for drivers to read and not for finding the file again.
    pub fn from_unix(path: impl Into<Cow<'a, str>>) -> Self {
        let path = path.into();
        let mut nt = String::with_capacity(DEVICE.len() + path.len());
        nt.push_str(DEVICE);
        nt.extend(path.chars().map(|c| if c == '/' { '\\' } else { c }));
        Self { nt: Cow::Owned(nt), host: Some(path) }
    }

    /// The name of a file of a simulated machine, by any of its names: `C:\Windows\x.exe`, `\??\C:\Windows\x.exe`,
    /// `\SystemRoot\x.exe` and `\Device\HarddiskVolume1\Windows\x.exe` are the same file. Another name is kept as it is,
    /// and so is the case of every letter but those of the device's own name (R-FN-07).
    pub fn from_nt(path: &str) -> Name<'static> {
        let path = path.strip_prefix(r"\??\").unwrap_or(path);
        let on_volume = |drive: &str, prefix: &str, rest: &str| Name {
            nt: Cow::Owned(format!("{DEVICE}{prefix}{rest}")),
            host: Some(Cow::Owned(format!("{drive}{prefix}{rest}"))),
        };
        let after = |prefix: &str| {
            let (head, rest) = path.split_at_checked(prefix.len())?;
            (head.eq_ignore_ascii_case(prefix) && rest.starts_with('\\')).then_some(rest)
        };
        if let Some(rest) = after(DRIVE) {
            on_volume(&path[..DRIVE.len()], "", rest)
        } else if let Some(rest) = after(DEVICE) {
            on_volume(DRIVE, "", rest)
        } else if let Some(rest) = after(r"\SystemRoot") {
            on_volume(DRIVE, r"\Windows", rest)
        } else {
            Name { nt: Cow::Owned(path.to_owned()), host: None }
        }
    }

    /// The path a person of the source's machine would use.
    pub fn for_people(&self) -> &str {
        self.host.as_deref().unwrap_or(&self.nt)
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        let name = self.for_people();
        name.rsplit(['/', '\\']).next().unwrap_or(name)
    }

    /// The path without its device, as a file object holds it: `\usr\bin\ls`.
    pub fn on_volume(&self) -> &str {
        let after =
            self.nt.strip_prefix(VOLUME).map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        after.filter(|path| path.starts_with('\\')).unwrap_or(&self.nt)
    }

    /// The device of the volume, when the name is on the live volume.
    pub fn device(&self) -> Option<&'static str> {
        self.nt.starts_with(DEVICE).then_some(DEVICE)
    }

    /// The NT-DOS form in which processes are opened, `\??\C:\usr\bin\ls` (R-PCI-03), in two parts:
    /// prefix and rest. The prefix is empty where no drive is known for the volume. A drive that the source gave
    /// is as it gave it.
    pub fn dos(&self) -> (&'static str, &str) {
        let has_drive = |path: &&str| {
            path.starts_with(|c: char| c.is_ascii_alphabetic())
                && path.get(1..).is_some_and(|it| it.starts_with(r":\"))
        };
        match (self.host.as_deref().filter(has_drive), self.nt.strip_prefix(DEVICE)) {
            (Some(host), _) => (DOS_DRIVES, host),
            (None, Some(rest)) => (DOS_DRIVE, rest),
            (None, None) => ("", &self.nt),
        }
    }

    /// The same name with nothing borrowed.
    pub fn into_owned(self) -> Name<'static> {
        Name {
            nt: Cow::Owned(self.nt.into_owned()),
            host: self.host.map(|host| Cow::Owned(host.into_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_fn_04_a_linux_path_has_a_device_form() {
        let name = Name::from_unix("/usr/bin/ls");
        assert_eq!(name.nt, r"\Device\HarddiskVolume1\usr\bin\ls");
        assert_eq!(name.for_people(), "/usr/bin/ls");
        assert_eq!(name.file_name(), "ls");
        assert_eq!(name.on_volume(), r"\usr\bin\ls");
        let named = |nt: &'static str| Name { nt: nt.into(), host: None };
        assert_eq!(named(r"\Device\HarddiskVolume12\a\b").on_volume(), r"\a\b");
        assert_eq!(
            named(r"\Device\HarddiskVolumeShadowCopy1\a").on_volume(),
            r"\Device\HarddiskVolumeShadowCopy1\a"
        );
        assert_eq!(named(r"\Device\Mup\server\a").on_volume(), r"\Device\Mup\server\a");
    }

    #[test]
    fn r_fn_04_every_name_of_a_file_has_the_device_form() {
        for path in [
            r"C:\Windows\x.exe",
            r"c:\Windows\x.exe",
            r"\??\C:\Windows\x.exe",
            r"\SystemRoot\x.exe",
            r"\Device\HarddiskVolume1\Windows\x.exe",
        ] {
            let name = Name::from_nt(path);
            assert_eq!(name.nt, r"\Device\HarddiskVolume1\Windows\x.exe", "{path}");
            assert!(name.for_people().eq_ignore_ascii_case(r"C:\Windows\x.exe"), "{path}");
        }
        let remote = Name::from_nt(r"\Device\Mup\server\x.exe");
        assert_eq!((remote.nt.as_ref(), remote.host), (r"\Device\Mup\server\x.exe", None));
    }

    #[test]
    fn r_fn_07_no_letter_of_a_path_changes_its_case() {
        let name = Name::from_nt(r"c:\WinDOWS\SYSTEM32\Some.EXE");
        assert_eq!(name.nt, r"\Device\HarddiskVolume1\WinDOWS\SYSTEM32\Some.EXE");
        assert_eq!(name.dos(), (r"\??\", r"c:\WinDOWS\SYSTEM32\Some.EXE"));
        assert_eq!(name.on_volume(), r"\WinDOWS\SYSTEM32\Some.EXE");
        assert_eq!(name.file_name(), "Some.EXE");
        let linux = Name::from_unix("/Opt/lib/Some.SO");
        assert_eq!(linux.nt, r"\Device\HarddiskVolume1\Opt\lib\Some.SO");
        assert_eq!(linux.dos(), (r"\??\C:", r"\Opt\lib\Some.SO"));
        assert_eq!(Name::from_nt(r"\Device\Mup\Server\A.exe").nt, r"\Device\Mup\Server\A.exe");
    }

    #[test]
    fn r_pci_03_the_open_name_is_the_dos_form() {
        assert_eq!(Name::from_unix("/a b").dos(), (r"\??\C:", r"\a b"));
        let other = Name { nt: r"\Device\Mup\server\x.exe".into(), host: None };
        assert_eq!(other.dos(), ("", r"\Device\Mup\server\x.exe"));
        let second = Name { nt: r"\Device\HarddiskVolume2\x.exe".into(), host: Some(r"D:\x.exe".into()) };
        assert_eq!(second.dos(), (r"\??\", r"D:\x.exe"), "where its source knows the drive");
    }
}
