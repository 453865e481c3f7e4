//! NT names for the paths that recordings hold.

use std::fmt;
use std::str::FromStr;

use event::Name;

/// What every volume of a disk is called, but for its number.
const VOLUME: &str = r"\Device\HarddiskVolume";
/// What a drive of floppy disks is called, but for its number.
const FLOPPY: &str = r"\Device\Floppy";
/// How long the name of a device is, or longer, unless another was said.
const DEVICE_LENGTH: usize = VOLUME.len() + 2;
/// Where remote files are.
const REMOTE: &str = r"\Device\Mup";

/// Which device each drive letter stands for. Where nothing else is said, C: is the first volume, D: the second, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drives(Vec<Drive>);

/// A drive letter and its device, as `X:=\Device\…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    letter: char,
    device: String,
}

/// A text that is no drive and its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(r"a drive is written X:=\Device\NAME")]
pub struct NotADrive;

impl FromStr for Drive {
    type Err = NotADrive;

    fn from_str(text: &str) -> Result<Self, NotADrive> {
        let (drive, device) = text.split_once('=').ok_or(NotADrive)?;
        let (letter, colon) = drive.split_at_checked(1).ok_or(NotADrive)?;
        let letter = letter.chars().next().filter(char::is_ascii_alphabetic).ok_or(NotADrive)?;
        let device = device.trim_end_matches('\\');
        if colon != ":" || !device.starts_with('\\') {
            return Err(NotADrive);
        }
        Ok(Self { letter: letter.to_ascii_uppercase(), device: device.to_owned() })
    }
}

impl fmt::Display for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:={}", self.letter, self.device)
    }
}

impl FromIterator<Drive> for Drives {
    fn from_iter<T: IntoIterator<Item = Drive>>(drives: T) -> Self {
        Self(drives.into_iter().collect())
    }
}

impl Drives {
    /// The name of a file whose path a recording holds, in any of the forms that Windows and its tools write; `None` where
    /// what stands there is no path. No letter of it changes its case (R-FN-07).
    pub(super) fn name(&self, path: &str) -> Option<Name<'static>> {
        let path = path.trim();
        if !is_path(path) {
            return None;
        }
        // Sysmon for Linux.
        if path.starts_with('/') {
            return Some(Name::from_unix(path.to_owned()));
        }
        let path = [r"\??\", r"\\?\", r"\DosDevices\"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))
            .unwrap_or(path);
        if let Some((letter, rest)) = split(path) {
            return Some(Name { nt: self.on(letter, rest).into(), host: Some(path.to_owned().into()) });
        }
        if let Some(rest) = after(path, r"\SystemRoot") {
            let host = format!(r"C:\Windows{rest}");
            return Some(Name { nt: self.on('C', &host[2..]).into(), host: Some(host.into()) });
        }
        // After the prefix `\\?\` a remote path begins with `UNC`.
        let remote = path.strip_prefix(r"\\").or_else(|| path.strip_prefix(r"UNC\"));
        if let Some(remote) = remote {
            return Some(Name {
                nt: format!(r"{REMOTE}\{remote}").into(),
                host: Some(format!(r"\\{remote}").into()),
            });
        }
        let host = self.letter_of(path).map(|(letter, rest)| format!("{letter}:{rest}").into());
        Some(Name { nt: path.to_owned().into(), host })
    }

    /// The same of a path that is given away: where it is the DOS path, it is kept as that.
    pub(super) fn name_of(&self, path: String) -> Option<Name<'static>> {
        if path.ends_with(char::is_whitespace) {
            return self.name(&path);
        }
        match split(&path) {
            Some((letter, rest)) => Some(Name { nt: self.on(letter, rest).into(), host: Some(path.into()) }),
            None => self.name(&path),
        }
    }

    /// A path on a drive, as a path on its device.
    fn on(&self, letter: char, rest: &str) -> String {
        let mut path = String::with_capacity(DEVICE_LENGTH + rest.len());
        self.device(letter, &mut path);
        path + rest
    }

    /// Adds the device of a drive.
    fn device(&self, letter: char, to: &mut String) {
        let letter = letter.to_ascii_uppercase();
        if let Some(said) = self.0.iter().rfind(|drive| drive.letter == letter) {
            return to.push_str(&said.device);
        }
        let (kind, first) = if matches!(letter, 'A' | 'B') { (FLOPPY, 'A') } else { (VOLUME, 'B') };
        let number = u8::try_from(u32::from(letter) - u32::from(first)).unwrap_or(0);
        to.push_str(kind);
        if number >= 10 {
            to.push(char::from(b'0' + number / 10));
        }
        to.push(char::from(b'0' + number % 10));
    }

    /// The drive that a path in device form is on: one that was said, or C:. What the others are on the machine of the
    /// recording, nobody has said.
    fn letter_of<'a>(&self, path: &'a str) -> Option<(char, &'a str)> {
        let said = self.0.iter().rev().find_map(|drive| Some((drive.letter, after(path, &drive.device)?)));
        said.or_else(|| Some(('C', after(path, &self.on('C', ""))?)))
    }
}

/// Whether what stands in the place of a path is one.
pub(super) fn is_path(text: &str) -> bool {
    let text = text.trim();
    !(text.is_empty() || text == "-" || text.starts_with('<'))
}

/// A DOS path as its drive and the rest: `C:\x` is `C` and `\x`.
fn split(path: &str) -> Option<(char, &str)> {
    let letter = path.chars().next().filter(char::is_ascii_alphabetic)?;
    let rest = path.get(1..)?.strip_prefix(':')?;
    rest.starts_with('\\').then_some((letter, rest))
}

/// What comes behind a prefix that ends with a component.
fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = path.split_at_checked(prefix.len())?;
    (head.eq_ignore_ascii_case(prefix) && rest.starts_with('\\')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nt(drives: &Drives, path: &str) -> String {
        drives.name(path).unwrap().nt.into_owned()
    }

    #[test]
    fn r_fn_04_every_form_of_a_path_has_its_device_form() {
        let drives = Drives::default();
        for path in [
            r"C:\Windows\x.exe",
            r"\??\C:\Windows\x.exe",
            r"\\?\C:\Windows\x.exe",
            r"\SystemRoot\x.exe",
            r"\Device\HarddiskVolume1\Windows\x.exe",
        ] {
            let name = drives.name(path).unwrap();
            assert_eq!(name.nt, r"\Device\HarddiskVolume1\Windows\x.exe", "{path}");
            assert_eq!(name.for_people(), r"C:\Windows\x.exe", "{path}");
        }
        assert_eq!(nt(&drives, r"d:\X.exe"), r"\Device\HarddiskVolume2\X.exe");
        assert_eq!(nt(&drives, r"A:\X.exe"), r"\Device\Floppy0\X.exe");
        assert_eq!(nt(&drives, r"Z:\X.exe"), r"\Device\HarddiskVolume24\X.exe");
        assert_eq!(nt(&drives, r"\\server\share\x.exe"), r"\Device\Mup\server\share\x.exe");
        assert_eq!(nt(&drives, r"\\?\UNC\server\share\x.exe"), r"\Device\Mup\server\share\x.exe");
        assert_eq!(nt(&drives, r"\Device\HarddiskVolume4\x.exe"), r"\Device\HarddiskVolume4\x.exe");
        assert_eq!(drives.name(r"\Device\HarddiskVolume4\x.exe").unwrap().host, None);
        assert_eq!(nt(&drives, "System"), "System");
        assert_eq!(nt(&drives, "/usr/bin/ls"), r"\Device\HarddiskVolume1\usr\bin\ls");
    }

    #[test]
    fn a_path_that_is_given_away_has_the_same_name() {
        let drives: Drives = [r"X:=\Device\Vera".parse().unwrap()].into_iter().collect();
        for path in
            [r"C:\a", r"x:\a ", r"x:\", " C:\\a", r"C:a", r"\??\C:\a", "/a", "-", "<x>", "", " ", "é:\\"]
        {
            assert_eq!(drives.name_of(path.to_owned()), drives.name(path), "{path:?}");
            assert_eq!(is_path(path), drives.name(path).is_some(), "{path:?}");
        }
    }

    #[test]
    fn r_fn_01_what_is_no_path_is_no_name() {
        for path in ["", " ", "-", "<unknown process>"] {
            assert_eq!(Drives::default().name(path), None);
        }
    }

    #[test]
    fn drives_are_as_they_are_said() {
        let drives: Drives = [r"c:=\Device\HarddiskVolume3\", r"X:=\Device\Vera"]
            .map(|it| it.parse().unwrap())
            .into_iter()
            .collect();
        assert_eq!(nt(&drives, r"C:\a"), r"\Device\HarddiskVolume3\a");
        assert_eq!(nt(&drives, r"x:\a"), r"\Device\Vera\a");
        assert_eq!(nt(&drives, r"\SystemRoot\a"), r"\Device\HarddiskVolume3\Windows\a");
        assert_eq!(drives.name(r"\device\harddiskvolume3\a").unwrap().for_people(), r"C:\a");
        assert_eq!(drives.name(r"\Device\HarddiskVolume1\a").unwrap().host, None, "C: is another");
        for wrong in ["", "C:", r"C=\Device\X", "C:=X", r"CC:=\X", r"1:=\X", "é:=\\X"] {
            assert_eq!(wrong.parse::<Drive>(), Err(NotADrive), "{wrong}");
        }
    }
}
