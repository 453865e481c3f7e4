//! `SeLocateProcessImageName`.

use export_macro::export;
use nt_abi::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING};

use crate::ex::pool::{Allocation, Kind, Tag};
use crate::io;
use crate::ps::process::Eprocess;
use crate::rtl::unicode::{put, short};

/// The tag that names have in the pool.
pub(crate) const TAG: Tag = Tag(u32::from_le_bytes(*b"SeNm"));

/// Returns the path of a process's main image, in its device form: a string and its characters in one allocation that
/// the driver frees with ExFreePool. Source: DDI of the file system headers; L-14.
#[export(irql == PASSIVE, since = Xp)]
pub unsafe extern "win64" fn SeLocateProcessImageName(
    process: &Eprocess,
    name: *mut *mut UNICODE_STRING,
) -> NTSTATUS {
    let text: Vec<u16> = match &process.image {
        // The System process has no image, and an empty name.
        _ if process.id == event::ProcessId::SYSTEM => Vec::new(),
        Some(image) => image.nt.encode_utf16().collect(),
        None => return STATUS_NOT_FOUND,
    };
    let size = size_of::<UNICODE_STRING>() + text.len() * 2 + 2;
    let what = Allocation { size, tag: TAG, kind: Kind::Paged, owner: io::current_driver() };
    let Some(memory) = crate::ex::allocate(what, true) else { return STATUS_INSUFFICIENT_RESOURCES };
    let string = memory.as_ptr().cast::<UNICODE_STRING>();
    // SAFETY: room for the string, its characters and a NUL; the driver's variable.
    unsafe {
        let buffer = string.add(1).cast::<u16>();
        put(buffer, &text);
        let bytes = text.len() * 2;
        string.write(UNICODE_STRING {
            Length: short(bytes),
            MaximumLength: short(bytes + 2),
            Buffer: buffer,
        });
        name.write_unaligned(string);
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::ps::process::Origin;
    use crate::testing::with_kernel;

    #[test]
    fn a_process_has_the_name_of_its_image() {
        with_kernel(Config::default(), |kernel, _| {
            let path = r"\Device\HarddiskVolume1\usr\bin\ls";
            let process = event::Process {
                process: event::ProcessId(8),
                image: Some(event::Name { nt: path.into(), host: None }),
                ..event::Process::default()
            };
            let process = Eprocess::new(&process, Origin::Created, event::Time(0));
            let mut name = std::ptr::null_mut();
            // SAFETY: variables of the test; names are freed.
            unsafe {
                assert_eq!(SeLocateProcessImageName(&process, &raw mut name), STATUS_SUCCESS);
                assert_eq!(crate::rtl::text_of(&*name), path);
                crate::ex::pool_routines::ExFreePool(name.expose_provenance());
                assert_eq!(SeLocateProcessImageName(&kernel.ps.system.0, &raw mut name), STATUS_SUCCESS);
                assert_eq!((*name).Length, 0);
                crate::ex::pool_routines::ExFreePool(name.expose_provenance());
            }
        });
    }
}
