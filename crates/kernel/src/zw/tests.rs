//! Files, events, processes and the system as drivers use them.

use nt_abi::*;

use super::directory::*;
use super::event::*;
use super::file::*;
use super::information::*;
use super::process::*;
use super::system::*;
use crate::cm::tests::{attributes, text};
use crate::ob::close::ZwClose;
use crate::testing::with_kernel;
use crate::{Config, kernel};

fn open(path: &str, disposition: u32, options: u32) -> (NTSTATUS, HANDLE, usize) {
    let (name, mut handle, mut block) = (text(path), std::ptr::null_mut(), IO_STATUS_BLOCK::default());
    let access = GENERIC_READ | GENERIC_WRITE | DELETE | SYNCHRONIZE;
    let given = attributes(std::ptr::null_mut(), &name);
    let none: *const std::ffi::c_void = std::ptr::null();
    // SAFETY: everything lives during the call.
    let status = unsafe {
        ZwCreateFile(
            &mut handle,
            access,
            &given,
            &mut block,
            none.cast(),
            0,
            7,
            disposition,
            options,
            none,
            0,
        )
    };
    assert_eq!(block.Status, status);
    (status, handle, block.Information)
}

fn write(handle: HANDLE, data: &[u8], at: Option<i64>) -> (NTSTATUS, usize) {
    let (mut block, mut data) = (IO_STATUS_BLOCK::default(), data.to_vec());
    let (none, length) = (std::ptr::null_mut(), u32::try_from(data.len()).unwrap());
    let at = at.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: as above.
    let status = unsafe {
        ZwWriteFile(handle, none, 0, none, &mut block, data.as_mut_ptr(), length, at, std::ptr::null())
    };
    (status, block.Information)
}

fn read(handle: HANDLE, room: u32, at: Option<i64>) -> (NTSTATUS, Vec<u8>) {
    let (mut block, mut data) = (IO_STATUS_BLOCK::default(), vec![0; room as usize]);
    let none = std::ptr::null_mut();
    let at = at.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: as above.
    let status = unsafe {
        ZwReadFile(handle, none, 0, none, &mut block, data.as_mut_ptr(), room, at, std::ptr::null())
    };
    data.truncate(block.Information);
    (status, data)
}

fn query(handle: HANDLE, class: u32, room: u32) -> (NTSTATUS, Vec<u8>) {
    let (mut block, mut data) = (IO_STATUS_BLOCK::default(), vec![0; room as usize]);
    // SAFETY: as above.
    let status = unsafe { ZwQueryInformationFile(handle, &mut block, data.as_mut_ptr(), room, class) };
    data.truncate(block.Information);
    (status, data)
}

fn close(handle: HANDLE) {
    // SAFETY: a handle is a number.
    assert_eq!(unsafe { ZwClose(handle) }, STATUS_SUCCESS);
}

#[test]
fn a_log_file_is_written_and_read_again() {
    with_kernel(Config::default(), |_, _| {
        let path = r"\??\C:\Windows\Temp\driver.log";
        assert_eq!(open(path, FILE_OPEN, PLAIN).0, STATUS_OBJECT_NAME_NOT_FOUND);
        let (status, file, what) = open(path, NEW, PLAIN);
        assert_eq!((status, what), (STATUS_SUCCESS, FILE_CREATED));
        assert_eq!(write(file, b"first ", None), (STATUS_SUCCESS, 6));
        assert_eq!(write(file, b"second", None), (STATUS_SUCCESS, 6), "the position moves");
        assert_eq!(write(file, b"!", Some(-1)), (STATUS_SUCCESS, 1), "at the end");
        close(file);
        let (status, file, what) = open(r"\SystemRoot\TEMP\DRIVER.LOG", FILE_OPEN_IF, PLAIN);
        assert_eq!((status, what), (STATUS_SUCCESS, FILE_OPENED));
        assert_eq!(read(file, 100, None), (STATUS_SUCCESS, b"first second!".to_vec()));
        assert_eq!(read(file, 100, None).0, STATUS_END_OF_FILE);
        assert_eq!(read(file, 6, Some(6)), (STATUS_SUCCESS, b"second".to_vec()));
        let (status, standard) = query(file, FileStandardInformation, 0x18);
        assert_eq!((status, &standard[8..16]), (STATUS_SUCCESS, &13u64.to_le_bytes()[..]));
        assert_eq!(query(file, FileStandardInformation, 0x10).0, STATUS_INFO_LENGTH_MISMATCH);
        let (_, name) = query(file, FileNameInformation, 200);
        assert_eq!(name[4..], text(r"\Windows\Temp\driver.log").units_as_bytes());
        close(file);
        assert_eq!(open(path, NEW, PLAIN).0, STATUS_OBJECT_NAME_COLLISION);
        assert_eq!(open(r"\??\C:\Windows\Temp", FILE_OPEN, PLAIN).0, STATUS_FILE_IS_A_DIRECTORY);
        assert_eq!(open(r"\??\C:\Nope\x", NEW, PLAIN).0, STATUS_OBJECT_PATH_NOT_FOUND);
        assert_eq!(open(r"\??\D:\x", FILE_OPEN, PLAIN).0, STATUS_OBJECT_PATH_NOT_FOUND);
    });
}

#[test]
fn a_file_is_deleted_with_its_last_handle() {
    with_kernel(Config::default(), |_, _| {
        let path = r"\Device\HarddiskVolume1\gone";
        let (_, one, _) = open(path, NEW, PLAIN);
        let mut block = IO_STATUS_BLOCK::default();
        // SAFETY: everything lives during the call.
        let status = unsafe {
            ZwSetInformationFile(one, &mut block, [1u8].as_mut_ptr(), 1, FileDispositionInformation)
        };
        assert_eq!(status, STATUS_SUCCESS);
        assert_eq!(open(path, FILE_OPEN, PLAIN).0, STATUS_DELETE_PENDING);
        close(one);
        assert_eq!(open(path, FILE_OPEN, PLAIN).0, STATUS_OBJECT_NAME_NOT_FOUND);
    });
}

#[test]
fn a_directory_is_listed() {
    with_kernel(Config::default(), |_, _| {
        for name in ["b.txt", "a.txt", "c.log"] {
            close(open(&format!(r"\??\C:\Temp\{name}"), NEW, PLAIN).1);
        }
        let (status, directory, _) =
            open(r"\??\C:\Temp", FILE_OPEN, FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT);
        assert_eq!(status, STATUS_SUCCESS);
        let (pattern, mut buffer, none) = (text("*.TXT"), [0u8; 256], std::ptr::null_mut());
        let mut block = IO_STATUS_BLOCK::default();
        let mut list = |restart| {
            // SAFETY: everything lives during the call.
            let status = unsafe {
                ZwQueryDirectoryFile(
                    directory,
                    none,
                    0,
                    none,
                    &mut block,
                    buffer.as_mut_ptr(),
                    256,
                    FileNamesInformation,
                    0,
                    pattern.at(),
                    restart,
                )
            };
            (status, buffer)
        };
        let (status, found) = list(1);
        assert_eq!((status, found[0], found[8]), (STATUS_SUCCESS, 0x18, 10));
        assert_eq!(found[12..22], text("a.txt").units_as_bytes());
        assert_eq!(found[0x18 + 12..0x18 + 22], text("b.txt").units_as_bytes());
        assert_eq!(list(0).0, STATUS_NO_MORE_FILES);
    });
}

#[test]
fn events_have_names_and_handles() {
    with_kernel(Config::default(), |_, _| {
        let name = text(r"\BaseNamedObjects\Mine");
        let given = attributes(std::ptr::null_mut(), &name);
        let (mut one, mut two, mut before) = (std::ptr::null_mut(), std::ptr::null_mut(), 7);
        let now = 0;
        // SAFETY: everything lives during the calls.
        unsafe {
            assert_eq!(ZwCreateEvent(&mut one, EVENT_ALL_ACCESS, &given, 0, 0), STATUS_SUCCESS);
            assert_eq!(ZwCreateEvent(&mut two, EVENT_ALL_ACCESS, &given, 0, 0), STATUS_OBJECT_NAME_COLLISION);
            assert_eq!(ZwOpenEvent(&mut two, EVENT_ALL_ACCESS, &given), STATUS_SUCCESS);
            assert_eq!(ZwWaitForSingleObject(one, 0, &now), STATUS_TIMEOUT);
            assert_eq!((ZwSetEvent(two, &mut before), before), (STATUS_SUCCESS, 0));
            assert_eq!(ZwWaitForSingleObject(one, 0, &now), STATUS_SUCCESS);
            assert_eq!((ZwResetEvent(two, &mut before), before), (STATUS_SUCCESS, 1));
            close(one);
            close(two);
            assert_eq!(ZwOpenEvent(&mut two, EVENT_ALL_ACCESS, &given), STATUS_OBJECT_NAME_NOT_FOUND);
            let event = IoCreateNotificationEvent(name.at(), &mut one);
            assert!(!event.is_null());
            assert_eq!(ZwWaitForSingleObject(one, 0, &now), STATUS_SUCCESS, "made set");
        }
    });
}

#[test]
fn a_drive_is_a_link_to_its_device() {
    with_kernel(Config::default(), |_, _| {
        let name = text(r"\??\C:");
        let given = attributes(std::ptr::null_mut(), &name);
        let (mut link, mut told, mut buffer) = (std::ptr::null_mut(), 0, [0u16; 40]);
        let mut target = UNICODE_STRING { Length: 0, MaximumLength: 80, Buffer: buffer.as_mut_ptr() };
        // SAFETY: everything lives during the calls.
        unsafe {
            assert_eq!(ZwOpenSymbolicLinkObject(&mut link, GENERIC_READ, &given), STATUS_SUCCESS);
            assert_eq!(ZwQuerySymbolicLinkObject(link, &mut target, &mut told), STATUS_SUCCESS);
            assert_eq!(crate::rtl::text_of(&target), r"\Device\HarddiskVolume1");
            target.MaximumLength = 4;
            assert_eq!(ZwQuerySymbolicLinkObject(link, &mut target, &mut told), STATUS_BUFFER_TOO_SMALL);
            assert_eq!(told, 48);
            assert_eq!(ZwOpenDirectoryObject(&mut link, GENERIC_READ, &given), STATUS_OBJECT_TYPE_MISMATCH);
        }
    });
}

#[test]
fn the_system_process_is_opened_and_asked() {
    with_kernel(Config::default(), |_, _| {
        let given =
            OBJECT_ATTRIBUTES { Length: 0x30, Attributes: OBJ_KERNEL_HANDLE, ..OBJECT_ATTRIBUTES::default() };
        let id = |number: usize| std::ptr::without_provenance_mut(number);
        let ids = CLIENT_ID { UniqueProcess: id(4), UniqueThread: id(0) };
        let nobody = CLIENT_ID { UniqueProcess: id(4444), UniqueThread: id(0) };
        let (mut process, mut told, mut buffer) = (std::ptr::null_mut(), 0, [0u8; 64]);
        // SAFETY: everything lives during the calls.
        unsafe {
            assert_eq!(ZwOpenProcess(&mut process, 0x400, &given, &nobody), STATUS_INVALID_CID);
            assert_eq!(
                ZwOpenProcess(&mut process, 0x400, &given, std::ptr::null()),
                STATUS_INVALID_PARAMETER_MIX
            );
            assert_eq!(ZwOpenProcess(&mut process, 0x400, &given, &ids), STATUS_SUCCESS);
            let start = buffer.as_mut_ptr();
            assert_eq!(
                ZwQueryInformationProcess(process, ProcessBasicInformation, start, 0x30, &mut told),
                STATUS_SUCCESS
            );
            assert_eq!(buffer[0x20..0x28], 4u64.to_le_bytes());
            let start = buffer.as_mut_ptr();
            let short = ZwQueryInformationProcess(process, ProcessImageFileName, start, 0x10, &mut told);
            assert_eq!((short, told), (STATUS_INFO_LENGTH_MISMATCH, 0x10 + 14));
            assert_eq!(
                ZwQueryInformationProcess(process, ProcessImageFileName, start, 64, &mut told),
                STATUS_SUCCESS
            );
            assert_eq!(crate::rtl::text_of(&start.cast::<UNICODE_STRING>().read_unaligned()), "System");
            assert_eq!(
                ZwQueryInformationProcess(process, 999, start, 64, &mut told),
                STATUS_INVALID_INFO_CLASS
            );
            assert_eq!(ZwTerminateProcess(process, STATUS_SUCCESS), STATUS_ACCESS_DENIED, "System");
            assert_eq!(ZwTerminateProcess(std::ptr::null_mut(), STATUS_SUCCESS), STATUS_NOT_SUPPORTED);
        }
    });
}

#[test]
fn processes_are_listed_with_their_names() {
    with_kernel(Config::default(), |_, _| {
        let mut told = 0;
        // SAFETY: no buffer of no bytes.
        let status =
            unsafe { ZwQuerySystemInformation(SystemProcessInformation, std::ptr::null_mut(), 0, &mut told) };
        assert_eq!(status, STATUS_INFO_LENGTH_MISMATCH);
        let mut buffer = vec![0u64; told as usize / 8 + 1];
        let start = buffer.as_mut_ptr().cast::<u8>();
        // SAFETY: everything lives during the calls; entries begin at multiples of 8.
        unsafe {
            assert_eq!(
                ZwQuerySystemInformation(SystemProcessInformation, start, told, &mut told),
                STATUS_SUCCESS
            );
            let entry = &*start.cast::<SYSTEM_PROCESS_INFORMATION>();
            assert_eq!((entry.NextEntryOffset, entry.UniqueProcessId.addr()), (0, 4));
            assert_eq!(crate::rtl::text_of(&entry.ImageName), "System");
            let threads = kernel().ps.cid.all::<crate::ps::thread::Ethread>(&crate::ps::thread::THREAD_TYPE);
            assert_eq!(entry.NumberOfThreads as usize, threads.len());
        }
    });
}
