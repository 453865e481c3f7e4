//! The parts of a file's name.

use std::ops::Range;

use export_macro::export;
use nt_abi::{
    FLT_FILE_NAME_INFORMATION, FLT_FILE_NAME_SHORT, FLTFL_FILE_NAME_PARSED_EXTENSION,
    FLTFL_FILE_NAME_PARSED_FINAL_COMPONENT, FLTFL_FILE_NAME_PARSED_PARENT_DIR, FLTFL_FILE_NAME_PARSED_STREAM,
    NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

const SEPARATOR: u16 = b'\\' as u16;
/// Devices behind which a server and a share are part of a name.
const REMOTE: [&str; 2] = [r"\Device\Mup", r"\Device\LanmanRedirector"];

/// Where the parts of a name are, in units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) volume: Range<usize>,
    pub(crate) share: Range<usize>,
    pub(crate) parent: Range<usize>,
    pub(crate) last: Range<usize>,
    pub(crate) extension: Range<usize>,
    pub(crate) stream: Range<usize>,
}

/// The end of the component that begins with the separator at `from`.
fn component(name: &[u16], from: usize) -> usize {
    let rest = name.get(from + 1..).unwrap_or_default();
    from + 1 + rest.iter().position(|&unit| unit == SEPARATOR).unwrap_or(rest.len())
}

/// Takes a name apart as `FltParseFileNameInformation` documents. A short name has no volume and no directory.
pub(crate) fn parts(name: &[u16], short: bool) -> Parts {
    let mut parts = Parts::default();
    let device: Vec<u16> = r"\Device\".encode_utf16().collect();
    let mut at = 0;
    if !short && crate::ob::name::fold(name).starts_with(&crate::ob::name::fold(&device)) {
        at = component(name, component(name, 0)).min(name.len());
        parts.volume = 0..at;
        let volume = String::from_utf16_lossy(&name[..at]);
        if REMOTE.iter().any(|remote| volume.eq_ignore_ascii_case(remote)) && at < name.len() {
            let end = component(name, component(name, at).min(name.len())).min(name.len());
            parts.share = at..end;
            at = end;
        }
    }
    let last = name[at..].iter().rposition(|&unit| unit == SEPARATOR).map_or(at, |found| at + found + 1);
    parts.parent = at..last;
    parts.last = last..name.len();
    let tail = &name[last..];
    let colon = tail.iter().position(|&unit| unit == u16::from(b':'));
    let end = colon.map_or(name.len(), |colon| last + colon);
    if colon.is_some() {
        parts.stream = end..name.len();
    }
    if let Some(dot) = name[last..end].iter().rposition(|&unit| unit == u16::from(b'.')) {
        parts.extension = last + dot + 1..end;
    }
    parts
}

/// The string for a part of a name: without a buffer where it is empty.
pub(crate) fn string(name: *mut u16, part: &Range<usize>) -> UNICODE_STRING {
    let bytes = u16::try_from(part.len() * 2).unwrap_or(u16::MAX - 1);
    if bytes == 0 {
        return UNICODE_STRING::default();
    }
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.wrapping_add(part.start) }
}

/// Takes the name in a name information apart and fills in its parts. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS")]
pub unsafe extern "win64" fn FltParseFileNameInformation(
    information: *mut FLT_FILE_NAME_INFORMATION,
) -> NTSTATUS {
    // SAFETY: the driver's pointer to what FltGetFileNameInformation gave it, valid until released.
    let Some(information) = (unsafe { information.as_mut() }) else { return STATUS_INVALID_PARAMETER };
    let name = information.Name;
    if name.Buffer.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: as above.
    let units = unsafe { std::slice::from_raw_parts(name.Buffer, usize::from(name.Length) / 2) };
    let parts = parts(units, information.Format == FLT_FILE_NAME_SHORT);
    information.Volume = string(name.Buffer, &parts.volume);
    information.Share = string(name.Buffer, &parts.share);
    information.ParentDir = string(name.Buffer, &parts.parent);
    information.FinalComponent = string(name.Buffer, &parts.last);
    information.Extension = string(name.Buffer, &parts.extension);
    information.Stream = string(name.Buffer, &parts.stream);
    information.NamesParsed = FLTFL_FILE_NAME_PARSED_FINAL_COMPONENT
        | FLTFL_FILE_NAME_PARSED_EXTENSION
        | FLTFL_FILE_NAME_PARSED_STREAM
        | FLTFL_FILE_NAME_PARSED_PARENT_DIR;
    STATUS_SUCCESS
}

/// Finds extension, stream and final component in a string. Source: DDI.
#[export(irql <= APC, module = "FLTMGR.SYS", since = VistaSp1)]
pub unsafe extern "win64" fn FltParseFileName(
    name: *const UNICODE_STRING,
    extension: *mut UNICODE_STRING,
    stream: *mut UNICODE_STRING,
    last: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the driver's pointers: the string is required, the others may be null.
    unsafe {
        let Some(name) = name.as_ref() else { return STATUS_INVALID_PARAMETER };
        let units = match crate::ob::attributes::units_of(name) {
            Ok(units) => units,
            Err(_) => return STATUS_INVALID_PARAMETER,
        };
        let parts = parts(&units, false);
        for (to, part) in [(extension, &parts.extension), (stream, &parts.stream), (last, &parts.last)] {
            if !to.is_null() {
                to.write(string(name.Buffer, part));
            }
        }
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(name: &str, short: bool) -> [String; 6] {
        let units: Vec<u16> = name.encode_utf16().collect();
        let Parts { volume, share, parent, last, extension, stream } = parts(&units, short);
        [volume, share, parent, last, extension, stream].map(|part| String::from_utf16_lossy(&units[part]))
    }

    #[test]
    fn names_come_apart_as_documented() {
        let local = texts(r"\Device\HarddiskVolume1\usr\lib\libc.so.6:a:$DATA", false);
        assert_eq!(
            local,
            [r"\Device\HarddiskVolume1", "", r"\usr\lib\", "libc.so.6:a:$DATA", "6", ":a:$DATA"]
        );
        let remote = texts(r"\Device\Mup\server\share\dir\a.txt", false);
        assert_eq!(remote, [r"\Device\Mup", r"\server\share", r"\dir\", "a.txt", "txt", ""]);
        assert_eq!(texts("TESTRE~1.TXT", true), ["", "", "", "TESTRE~1.TXT", "TXT", ""]);
    }

    #[test]
    fn odd_names_have_parts_as_well() {
        assert_eq!(texts("", false), [""; 6]);
        assert_eq!(
            texts(r"\Device\HarddiskVolume1", false),
            [r"\Device\HarddiskVolume1", "", "", "", "", ""]
        );
        assert_eq!(texts(r"\Device\Mup\server", false), [r"\Device\Mup", r"\server", "", "", "", ""]);
        assert_eq!(texts(r"C:\a\b", false)[3], "b");
        assert_eq!(texts(r"\a.b\", false), ["", "", r"\a.b\", "", "", ""]);
        assert_eq!(texts(r"\Device\", false)[0], r"\Device\");
    }
}
