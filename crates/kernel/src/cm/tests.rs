//! The registry as drivers use it.

use nt_abi::*;

use super::RegistryValue;
use super::key::*;
use super::value::*;
use crate::ob::close::ZwClose;
use crate::ob::name::units;
use crate::testing::with_kernel;
use crate::{Config, kernel};

/// A counted string and what it points to.
pub(crate) struct Text(Vec<u16>, UNICODE_STRING);

pub(crate) fn text(of: &str) -> Box<Text> {
    let mut text = Box::new(Text(units(of), UNICODE_STRING::default()));
    let bytes = u16::try_from(text.0.len() * 2).unwrap();
    text.1 = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.0.as_mut_ptr() };
    text
}

impl Text {
    pub(crate) fn units_as_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }

    pub(crate) fn at(&self) -> *const UNICODE_STRING {
        &raw const self.1
    }
}

pub(crate) fn attributes(root: HANDLE, name: &Text) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: 0x30,
        RootDirectory: root,
        ObjectName: name.at(),
        Attributes: OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
        ..OBJECT_ATTRIBUTES::default()
    }
}

pub(super) fn open(root: HANDLE, path: &str) -> Result<HANDLE, NTSTATUS> {
    let (name, mut key) = (text(path), std::ptr::null_mut());
    // SAFETY: everything lives during the call.
    let status = unsafe { ZwOpenKey(&mut key, KEY_READ, &attributes(root, &name)) };
    if status.is_success() { Ok(key) } else { Err(status) }
}

pub(super) fn create(root: HANDLE, path: &str, options: u32) -> Result<(HANDLE, u32), NTSTATUS> {
    let (name, mut key, mut disposition) = (text(path), std::ptr::null_mut(), 0);
    // SAFETY: as above.
    let status = unsafe {
        let class = std::ptr::null();
        ZwCreateKey(&mut key, KEY_ALL_ACCESS, &attributes(root, &name), 0, class, options, &mut disposition)
    };
    if status.is_success() { Ok((key, disposition)) } else { Err(status) }
}

/// The answer of a query with a buffer of `room` bytes, and the size that it told.
pub(super) fn query(key: HANDLE, name: &str, class: u32, room: u32) -> (NTSTATUS, Vec<u8>, u32) {
    let (name, mut buffer, mut told) = (text(name), vec![0xEE; room as usize], 0);
    // SAFETY: as above.
    let status = unsafe { ZwQueryValueKey(key, name.at(), class, buffer.as_mut_ptr(), room, &mut told) };
    (status, buffer, told)
}

pub(super) const HERE: &str = r"\Registry\Machine\System\CurrentControlSet\Services\Sensor";

#[test]
fn a_driver_reads_what_was_set_for_its_service() {
    with_kernel(Config::default(), |kernel, _| {
        kernel.set_service_value("sensor", "Deny", RegistryValue::MultiSz(vec!["a".into(), "bc".into()]));
        let service = open(std::ptr::null_mut(), HERE).unwrap();
        let parameters = open(service, "PARAMETERS").unwrap();
        let (status, answer, told) = query(parameters, "deny", KeyValuePartialInformation, 64);
        assert_eq!(status, STATUS_SUCCESS);
        assert_eq!(told, 0x0C + 12);
        assert_eq!(&answer[..12], [0, 0, 0, 0, 7, 0, 0, 0, 12, 0, 0, 0]);
        assert_eq!(&answer[12..24], [b'a', 0, 0, 0, b'b', 0, b'c', 0, 0, 0, 0, 0]);
        // SAFETY: handles.
        unsafe { assert_eq!([ZwClose(parameters), ZwClose(service)], [STATUS_SUCCESS; 2]) };
    });
}

#[test]
fn a_query_says_how_much_room_it_needs() {
    with_kernel(Config::default(), |kernel, _| {
        kernel.set_service_value("sensor", "N", RegistryValue::Dword(0x1122_3344));
        let key = open(std::ptr::null_mut(), &format!(r"{HERE}\Parameters")).unwrap();
        let (status, answer, told) = query(key, "N", KeyValuePartialInformation, 11);
        assert_eq!((status, told), (STATUS_BUFFER_TOO_SMALL, 16));
        assert!(answer.iter().all(|byte| *byte == 0xEE), "nothing is written");
        let (status, answer, told) = query(key, "N", KeyValuePartialInformation, 14);
        assert_eq!((status, told), (STATUS_BUFFER_OVERFLOW, 16));
        assert_eq!(answer[8..], [4, 0, 0, 0, 0x44, 0x33]);
        let (status, answer, told) = query(key, "n", KeyValueFullInformation, 64);
        assert_eq!((status, told), (STATUS_SUCCESS, 0x1C));
        assert_eq!(
            answer[8..0x1C],
            [0x18, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, b'N', 0, 0, 0, 0x44, 0x33, 0x22, 0x11]
        );
        let (status, answer, told) = query(key, "N", KeyValueBasicInformation, 64);
        assert_eq!((status, told), (STATUS_SUCCESS, 14));
        assert_eq!(answer[..14], [0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, b'N', 0]);
        let (status, _, told) = query(key, "N", KeyValuePartialInformationAlign64, 64);
        assert_eq!((status, told), (STATUS_SUCCESS, 12));
        assert_eq!(query(key, "M", KeyValuePartialInformation, 64).0, STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(query(key, "N", 77, 64).0, STATUS_INVALID_PARAMETER);
    });
}

#[test]
fn names_that_lead_nowhere_have_their_statuses() {
    with_kernel(Config::default(), |_, _| {
        let none = std::ptr::null_mut();
        assert_eq!(open(none, r"\Registry\Machine\Nope"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
        assert_eq!(open(none, r"\RegistryX"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
        assert_eq!(open(none, r"Machine"), Err(STATUS_OBJECT_PATH_SYNTAX_BAD));
        let machine = open(none, r"\Registry\Machine").unwrap();
        assert_eq!(open(machine, r"\Software"), Err(STATUS_OBJECT_PATH_SYNTAX_BAD));
        assert!(open(machine, "Software").is_ok());
        let process = std::ptr::without_provenance_mut(usize::MAX);
        assert_eq!(open(process, "Software"), Err(STATUS_OBJECT_TYPE_MISMATCH));
        assert_eq!(open(std::ptr::without_provenance_mut(0x1000), "Software"), Err(STATUS_INVALID_HANDLE));
        let mut key = none;
        // SAFETY: no attributes are a parameter that is checked.
        assert_eq!(unsafe { ZwOpenKey(&mut key, KEY_READ, std::ptr::null()) }, STATUS_INVALID_PARAMETER);
    });
}

#[test]
fn a_key_can_be_made_filled_and_deleted() {
    with_kernel(Config::default(), |_, _| {
        let none = std::ptr::null_mut();
        let (key, disposition) = create(none, r"\Registry\Machine\Software\Mine", 0).unwrap();
        assert_eq!(disposition, REG_CREATED_NEW_KEY);
        assert_eq!(create(none, r"\REGISTRY\MACHINE\SOFTWARE\MINE", 0).unwrap().1, REG_OPENED_EXISTING_KEY);
        assert_eq!(create(key, r"A\B", 0), Err(STATUS_OBJECT_NAME_NOT_FOUND));
        let (child, _) = create(key, "Child", REG_OPTION_VOLATILE).unwrap();
        assert_eq!(create(child, "Stays", 0), Err(STATUS_CHILD_MUST_BE_VOLATILE));
        let name = text("Value");
        // SAFETY: everything lives during the calls.
        unsafe {
            assert_eq!(ZwSetValueKey(key, name.at(), 0, REG_BINARY, [1u8, 2, 3].as_ptr(), 3), STATUS_SUCCESS);
            assert_eq!(query(key, "value", KeyValuePartialInformation, 15).1[12..], [1, 2, 3]);
            assert_eq!(ZwDeleteValueKey(key, name.at()), STATUS_SUCCESS);
            assert_eq!(ZwDeleteValueKey(key, name.at()), STATUS_OBJECT_NAME_NOT_FOUND);
            assert_eq!(ZwDeleteKey(key), STATUS_CANNOT_DELETE, "it has a subkey");
            assert_eq!(ZwDeleteKey(child), STATUS_SUCCESS);
            assert_eq!(ZwDeleteKey(key), STATUS_SUCCESS);
            assert_eq!(query(key, "value", KeyValuePartialInformation, 15).0, STATUS_KEY_DELETED);
            assert_eq!(open(none, r"\Registry\Machine\Software\Mine"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
            assert_eq!(ZwClose(key), STATUS_SUCCESS);
        }
    });
}

#[test]
fn the_version_is_that_of_the_profile() {
    let config = Config { profile: Profile::Win7Sp1, ..Config::default() };
    with_kernel(config, |_, _| {
        let key =
            open(std::ptr::null_mut(), r"\Registry\Machine\Software\Microsoft\Windows NT\CurrentVersion")
                .unwrap();
        let (_, answer, told) = query(key, "CurrentVersion", KeyValuePartialInformation, 64);
        assert_eq!(answer[12..told as usize], [b'6', 0, b'.', 0, b'1', 0, 0, 0]);
        assert_eq!(query(key, "UBR", KeyValuePartialInformation, 64).0, STATUS_OBJECT_NAME_NOT_FOUND);
    });
}

#[test]
fn a_handle_closed_twice_is_a_finding() {
    with_kernel(Config::default(), |_, records| {
        let key = open(std::ptr::null_mut(), r"\Registry\Machine").unwrap();
        assert_eq!(kernel().ob.handles.count_of(4), 1);
        // SAFETY: handles are numbers.
        unsafe {
            assert_eq!(ZwClose(key), STATUS_SUCCESS);
            assert_eq!(ZwClose(key), STATUS_INVALID_HANDLE);
        }
        assert_eq!(records.findings(), ["L-14"]);
        assert_eq!(kernel().ob.handles.count_of(4), 0);
    });
}

static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

unsafe extern "win64" fn watch(context: usize, class: usize, information: *mut std::ffi::c_void) -> NTSTATUS {
    let class = u32::try_from(class).unwrap();
    let name = reg_notify_class_name(class).unwrap();
    let mut line = format!("{context} {name}");
    // SAFETY: the structures of the classes, valid during the call.
    unsafe {
        match class {
            RegNtPreSetValueKey => {
                let told = &mut *information.cast::<REG_SET_VALUE_KEY_INFORMATION>();
                line += &format!(" {}", crate::rtl::text_of(&*told.ValueName));
                told.CallContext = std::ptr::without_provenance_mut(context + 10);
                if line.ends_with("Forbidden") && context == 1 {
                    SEEN.lock().unwrap().push(line);
                    return STATUS_ACCESS_DENIED;
                }
                if line.ends_with("Swallowed") {
                    return STATUS_CALLBACK_BYPASS;
                }
            }
            RegNtPostSetValueKey => {
                let told = &*information.cast::<REG_POST_OPERATION_INFORMATION>();
                line += &format!(" {} {}", told.CallContext.addr(), told.Status);
            }
            RegNtPreOpenKeyEx => {
                let told = &*information.cast::<REG_CREATE_KEY_INFORMATION>();
                line += &format!(" {}", crate::rtl::text_of(&*told.CompleteName));
            }
            RegNtPostOpenKeyEx => {
                let told = &*information.cast::<REG_POST_OPERATION_INFORMATION>();
                let mut name = std::ptr::null();
                let (cookie, mut id) = (0i64, 0);
                use super::callback::*;
                let status = CmCallbackGetKeyObjectIDEx(&cookie, told.Object.cast(), &mut id, &mut name, 0);
                assert_eq!(status, STATUS_SUCCESS);
                line += &format!(" {}", crate::rtl::text_of(&*name));
                CmCallbackReleaseKeyObjectIDEx(name);
            }
            _ => {}
        }
    }
    SEEN.lock().unwrap().push(line);
    STATUS_SUCCESS
}

#[test]
fn callbacks_see_and_block_what_is_done_to_the_registry() {
    use super::callback::*;
    with_kernel(Config::default(), |_, _| {
        let (low, high, none) = (text("1000"), text("2000"), std::ptr::null_mut());
        let (mut first, mut second, mut again) = (0, 0, 0);
        let context = |number: usize| std::ptr::without_provenance_mut(number);
        let routine = watch as *const () as usize;
        let (key, _) = create(none, r"\Registry\Machine\Software\Mine", 0).unwrap();
        // SAFETY: everything lives during the calls.
        unsafe {
            assert_eq!(
                CmRegisterCallbackEx(routine, &*low.at(), none, context(1), &mut first, none),
                STATUS_SUCCESS
            );
            assert_eq!(
                CmRegisterCallbackEx(routine, &*high.at(), none, context(2), &mut second, none),
                STATUS_SUCCESS
            );
            let taken = CmRegisterCallbackEx(routine, &*high.at(), none, context(3), &mut again, none);
            assert_eq!(taken, STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
            let set = |name: &str| ZwSetValueKey(key, text(name).at(), 0, REG_BINARY, [1u8].as_ptr(), 1);
            assert_eq!(set("Allowed"), STATUS_SUCCESS);
            let seen = std::mem::take(&mut *SEEN.lock().unwrap());
            let expected = [
                "2 RegNtPreSetValueKey Allowed",
                "1 RegNtPreSetValueKey Allowed",
                &format!("1 RegNtPostSetValueKey 11 {STATUS_SUCCESS}"),
                &format!("2 RegNtPostSetValueKey 12 {STATUS_SUCCESS}"),
            ];
            assert_eq!(seen, expected);
            assert_eq!(set("Forbidden"), STATUS_ACCESS_DENIED);
            let seen = std::mem::take(&mut *SEEN.lock().unwrap());
            assert_eq!(seen.len(), 3, "{seen:?}: the one that blocks is not told of the end");
            assert_eq!(seen[2], format!("2 RegNtPostSetValueKey 12 {STATUS_ACCESS_DENIED}"));
            assert_eq!(set("Swallowed"), STATUS_SUCCESS);
            assert_eq!(CmUnRegisterCallback(second), STATUS_SUCCESS);
            assert_eq!(CmUnRegisterCallback(second), STATUS_INVALID_PARAMETER);
            SEEN.lock().unwrap().clear();
            let opened = open(none, r"\Registry\Machine\Software\Mine").unwrap();
            let expected = [
                r"1 RegNtPreOpenKeyEx \Registry\Machine\Software\Mine",
                r"1 RegNtPostOpenKeyEx \REGISTRY\MACHINE\SOFTWARE\Mine",
            ];
            assert_eq!(*SEEN.lock().unwrap(), expected);
            assert_eq!(ZwClose(opened), STATUS_SUCCESS);
            assert_eq!(CmUnRegisterCallback(first), STATUS_SUCCESS);
            assert_eq!(query(key, "Allowed", KeyValuePartialInformation, 64).0, STATUS_SUCCESS);
            assert_eq!(
                query(key, "Forbidden", KeyValuePartialInformation, 64).0,
                STATUS_OBJECT_NAME_NOT_FOUND
            );
            assert_eq!(
                query(key, "Swallowed", KeyValuePartialInformation, 64).0,
                STATUS_OBJECT_NAME_NOT_FOUND
            );
        }
        SEEN.lock().unwrap().clear();
    });
}

#[test]
fn keys_are_enumerated_and_described() {
    use super::query::*;
    with_kernel(Config::default(), |_, _| {
        let none = std::ptr::null_mut();
        let (key, _) = create(none, r"\Registry\Machine\Software\Mine", 0).unwrap();
        for name in ["b", "A"] {
            create(key, name, 0).unwrap();
        }
        let (mut buffer, mut told) = ([0u8; 128], 0);
        // SAFETY: everything lives during the calls.
        unsafe {
            let mut child = |index| {
                let status =
                    ZwEnumerateKey(key, index, KeyBasicInformation, buffer.as_mut_ptr(), 128, &mut told);
                (status, told, buffer[0x10])
            };
            assert_eq!(child(0), (STATUS_SUCCESS, 0x12, b'A'));
            assert_eq!(child(1), (STATUS_SUCCESS, 0x12, b'b'));
            assert_eq!(child(2).0, STATUS_NO_MORE_ENTRIES);
            assert_eq!(
                ZwQueryKey(key, KeyFullInformation, buffer.as_mut_ptr(), 0x2B, &mut told),
                STATUS_BUFFER_TOO_SMALL
            );
            assert_eq!(
                ZwQueryKey(key, KeyFullInformation, buffer.as_mut_ptr(), 0x2C, &mut told),
                STATUS_SUCCESS
            );
            assert_eq!((buffer[0x14], buffer[0x18]), (2, 2), "subkeys and the longest of their names");
            assert_eq!(
                ZwQueryKey(key, KeyNameInformation, buffer.as_mut_ptr(), 128, &mut told),
                STATUS_SUCCESS
            );
            assert_eq!(buffer[4..told as usize], text(r"\REGISTRY\MACHINE\SOFTWARE\Mine").units_as_bytes());
        }
    });
}

#[test]
fn the_run_time_library_reads_values_into_variables() {
    use super::rtl_registry::*;
    with_kernel(Config::default(), |kernel, _| {
        kernel.set_service_value("sensor", "Number", RegistryValue::Dword(77));
        kernel.set_service_value("sensor", "Path", RegistryValue::ExpandSz(r"%SystemRoot%\x".into()));
        let wide = |text: &str| units(text).into_iter().chain([0]).collect::<Vec<u16>>();
        let (mut number, mut missing, default) = (0u32, 0u32, 5u32);
        let mut characters = [0u16; 20];
        let mut path = UNICODE_STRING { Length: 0, MaximumLength: 40, Buffer: characters.as_mut_ptr() };
        let (mut n, mut m, mut p, mut sub) =
            (wide("number"), wide("missing"), wide("path"), wide("Parameters"));
        let direct = |name: &mut Vec<u16>, into: *mut std::ffi::c_void| RTL_QUERY_REGISTRY_TABLE {
            Flags: RTL_QUERY_REGISTRY_DIRECT,
            Name: name.as_mut_ptr(),
            EntryContext: into,
            ..RTL_QUERY_REGISTRY_TABLE::default()
        };
        let table = [
            RTL_QUERY_REGISTRY_TABLE {
                Flags: RTL_QUERY_REGISTRY_SUBKEY,
                Name: sub.as_mut_ptr(),
                ..RTL_QUERY_REGISTRY_TABLE::default()
            },
            direct(&mut n, (&raw mut number).cast()),
            RTL_QUERY_REGISTRY_TABLE {
                DefaultType: REG_DWORD,
                DefaultData: (&raw const default).cast_mut().cast(),
                DefaultLength: 4,
                ..direct(&mut m, (&raw mut missing).cast())
            },
            direct(&mut p, (&raw mut path).cast()),
            RTL_QUERY_REGISTRY_TABLE::default(),
        ];
        let key = wide("sensor");
        let none = std::ptr::null_mut();
        // SAFETY: everything lives during the calls.
        unsafe {
            let status =
                RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, key.as_ptr(), table.as_ptr(), none, none);
            assert_eq!((status, number, missing), (STATUS_SUCCESS, 77, 5));
            assert_eq!(crate::rtl::text_of(&path), r"C:\Windows\x");
            let nobody = wide("nobody");
            assert_eq!(
                RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, nobody.as_ptr()),
                STATUS_OBJECT_NAME_NOT_FOUND
            );
            let status = RtlWriteRegistryValue(
                RTL_REGISTRY_SERVICES,
                nobody.as_ptr(),
                n.as_ptr(),
                REG_DWORD,
                [9u8; 4].as_ptr(),
                4,
            );
            assert_eq!(status, STATUS_SUCCESS);
            assert_eq!(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, nobody.as_ptr()), STATUS_SUCCESS);
            assert_eq!(
                RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, nobody.as_ptr(), n.as_ptr()),
                STATUS_SUCCESS
            );
        }
        assert_eq!(kernel.ob.handles.count_of(4), 0, "nothing stays open");
    });
}
