//! Handles and references as drivers use them.

use std::ptr::{NonNull, null, null_mut, without_provenance_mut};
use std::sync::Mutex;

use event::{Body, LeakKind};
use nt_abi::*;

use super::close::*;
use super::object::Object;
use super::open::*;
use super::query::*;
use super::reference::*;
use super::types::*;
use super::{ObjectType, Ref};
use crate::cm::tests::{attributes, text};
use crate::ps::process::{Eprocess, Origin, PROCESS_TYPE};
use crate::testing::{stops, with_kernel};
use crate::{Config, Kernel};

/// An event with one reference.
fn event() -> Ref<Object> {
    let event: NonNull<KEVENT> = super::create(&EVENT_TYPE, 0);
    // SAFETY: the one reference it was created with.
    unsafe { Ref::adopt(event) }.erase()
}

/// A process that is no more but for its references.
fn exited_process() -> Ref<Eprocess> {
    let process = event::Process { process: event::ProcessId(8), ..event::Process::default() };
    let process = Eprocess::new(&process, Origin::Created, event::Time(0));
    process.set_exited(STATUS_SUCCESS, event::Time(1));
    process
}

fn by_handle(
    handle: HANDLE,
    access: u32,
    kind: Option<&'static ObjectType>,
    mode: i8,
) -> Result<Ref<Object>, NTSTATUS> {
    let mut object = null_mut();
    // SAFETY: everything lives during the call; a reference that was given is taken over.
    unsafe {
        let status = ObReferenceObjectByHandle(handle, access, kind, mode, &mut object, null_mut());
        if status.is_success() { Ok(Ref::adopt(NonNull::new(object).unwrap())) } else { Err(status) }
    }
}

#[test]
fn a_handle_leads_to_its_object_for_those_who_may() {
    with_kernel(Config::default(), |kernel, _| {
        let handle = kernel.ob.handles.insert(event(), EVENT_QUERY_STATE, OBJ_KERNEL_HANDLE);
        assert!(handle.addr() >= KERNEL_HANDLE_MASK);
        // SAFETY: a handle is a number.
        assert_eq!(unsafe { ObIsKernelHandle(handle) }, 1);
        assert!(
            by_handle(handle, EVENT_ALL_ACCESS, Some(&EVENT_TYPE), 0).is_ok(),
            "the kernel may everything"
        );
        assert_eq!(by_handle(handle, 0, Some(&PROCESS_TYPE), 0).err(), Some(STATUS_OBJECT_TYPE_MISMATCH));
        assert_eq!(
            by_handle(handle, 0, None, 1).err(),
            Some(STATUS_INVALID_HANDLE),
            "user mode reaches no kernel handle"
        );
        assert_eq!(by_handle(without_provenance_mut(0x44), 0, None, 0).err(), Some(STATUS_INVALID_HANDLE));
        let user = kernel.ob.handles.insert(event(), EVENT_QUERY_STATE, 0);
        assert!(user.addr() < KERNEL_HANDLE_MASK && user.addr().is_multiple_of(4));
        assert!(by_handle(user, EVENT_QUERY_STATE, None, 1).is_ok());
        assert_eq!(by_handle(user, EVENT_MODIFY_STATE, None, 1).err(), Some(STATUS_ACCESS_DENIED));
        // The table of the System process is the kernel's.
        let as_kernel = without_provenance_mut(user.addr() | KERNEL_HANDLE_MASK);
        assert!(by_handle(as_kernel, 0, None, 0).is_ok());
    });
}

#[test]
fn pseudo_handles_name_the_current_process_and_thread() {
    with_kernel(Config::default(), |kernel, _| {
        let process = by_handle(without_provenance_mut(usize::MAX), 0, Some(&PROCESS_TYPE), 0).unwrap();
        assert_eq!(process.as_ptr().addr(), kernel.ps.system.0.as_ptr().addr());
        let thread = by_handle(without_provenance_mut(usize::MAX - 1), 0, None, 0).unwrap();
        assert_eq!(thread.as_ptr().addr(), machine::current_thread().addr());
        // SAFETY: a handle is a number.
        assert_eq!(unsafe { ObIsKernelHandle(without_provenance_mut(usize::MAX)) }, 0);
    });
}

#[test]
fn a_protected_handle_stays_open() {
    with_kernel(Config::default(), |kernel, _| {
        let handle = kernel.ob.handles.insert(event(), 0, OBJ_KERNEL_HANDLE);
        // SAFETY: handles are numbers.
        unsafe {
            assert_eq!(ObSetHandleAttributes(handle, &[0, 1], 0), STATUS_SUCCESS);
            assert_eq!(ZwClose(handle), STATUS_HANDLE_NOT_CLOSABLE);
            assert_eq!(ObSetHandleAttributes(handle, &[0, 0], 0), STATUS_SUCCESS);
            assert_eq!(ObCloseHandle(handle, 1), STATUS_INVALID_HANDLE);
            assert_eq!(ObCloseHandle(handle, 0), STATUS_SUCCESS);
        }
    });
}

#[test]
fn references_are_counted() {
    with_kernel(Config::default(), |_, _| {
        let object = event();
        // SAFETY: a live object; each reference is given up once.
        unsafe {
            assert_eq!(ObfReferenceObject(object.as_ptr()), 2);
            let mismatch = ObReferenceObjectByPointer(object.as_ptr(), 0, Some(&PROCESS_TYPE), 0);
            assert_eq!(mismatch, STATUS_OBJECT_TYPE_MISMATCH);
            assert_eq!(ObReferenceObjectByPointer(object.as_ptr(), 0, Some(&EVENT_TYPE), 0), STATUS_SUCCESS);
            assert_eq!(ObfDereferenceObject(object.as_ptr()), 2);
            assert_eq!(ObfDereferenceObject(object.as_ptr()), 1);
            assert!(std::ptr::eq(ObGetObjectType(object.as_ptr()), &EVENT_TYPE));
        }
    });
}

#[test]
fn what_is_no_object_cannot_be_dereferenced() {
    with_kernel(Config::default(), |_, records| {
        let memory = [0u128; 8];
        // SAFETY: what is tested: 64 bytes before the pointer lie in `memory`.
        let stop = stops(records, || unsafe {
            ObfDereferenceObject((&raw const memory[4]).cast_mut().cast());
        });
        assert_eq!((stop.code, stop.parameters[1]), (0x18, (&raw const memory[4]).addr() as u64));
        assert_eq!(records.findings(), ["L-14"]);
    });
}

#[test]
fn exported_types_are_variables_that_hold_them() {
    let crate::export::Lookup::Found(export) =
        crate::export::lookup("ntoskrnl.exe", "PsProcessType", &Config::default())
    else {
        panic!("PsProcessType is not exported");
    };
    // SAFETY: the address of the variable, as drivers import it.
    let kind = unsafe { *export.address.0.cast::<&ObjectType>() };
    assert_eq!((kind.name, std::ptr::eq(kind, &PROCESS_TYPE)), ("Process", true));
}

#[test]
fn handles_are_duplicated_with_their_rights_or_others() {
    with_kernel(Config::default(), |kernel, _| {
        let object = event();
        let source = kernel.ob.handles.insert(object.clone(), EVENT_QUERY_STATE, OBJ_KERNEL_HANDLE);
        let this = without_provenance_mut(usize::MAX);
        let mut made = null_mut();
        // SAFETY: everything lives during the calls.
        unsafe {
            let same = DUPLICATE_SAME_ACCESS;
            assert_eq!(
                ZwDuplicateObject(this, source, this, &mut made, 0, OBJ_KERNEL_HANDLE, same),
                STATUS_SUCCESS
            );
            assert_eq!(kernel.ob.handles.get(made).unwrap().access, EVENT_QUERY_STATE);
            assert_eq!(
                ZwDuplicateObject(this, source, null_mut(), null_mut(), 0, 0, DUPLICATE_CLOSE_SOURCE),
                STATUS_SUCCESS
            );
            assert_eq!(ZwDuplicateObject(this, source, this, &mut made, 0, 0, same), STATUS_INVALID_HANDLE);
            let process = kernel.ps.system.0.as_ptr().cast();
            assert_eq!(
                ObDuplicateObject(process, made, process, &mut made, EVENT_ALL_ACCESS, 0, 0, 0),
                STATUS_SUCCESS
            );
            assert_eq!(kernel.ob.handles.get(made).unwrap().access, EVENT_ALL_ACCESS);
        }
        assert_eq!(kernel.ob.handles.count_of(4), 2);
        kernel.ob.handles.process_gone(4);
        assert_eq!(kernel.ob.handles.count_of(4), 0);
        // SAFETY: `object` keeps it alive.
        assert_eq!(unsafe { super::object::pointer_count(object.as_ptr()) }, 1);
    });
}

const DUPLICATE_CLOSE_SOURCE: u32 = 1;
const DUPLICATE_SAME_ACCESS: u32 = 2;

#[test]
fn objects_are_found_by_name_and_say_it() {
    with_kernel(Config::default(), |kernel, _| {
        let name = text(r"\filesystem\NTFS");
        let (mut object, mut handle) = (null_mut(), null_mut());
        // SAFETY: everything lives during the calls.
        unsafe {
            let driver = Some(IoDriverObjectType);
            let wrong =
                ObReferenceObjectByName(name.at(), 0, null(), 0, Some(&PROCESS_TYPE), 0, null(), &mut object);
            assert_eq!(wrong, STATUS_OBJECT_TYPE_MISMATCH);
            let found = ObReferenceObjectByName(name.at(), 0, null(), 0, driver, 0, null(), &mut object);
            assert_eq!(found, STATUS_SUCCESS);
            let driver_name = (*object.cast::<DRIVER_OBJECT>()).DriverName;
            assert_eq!(crate::rtl::text_of(&driver_name), r"\FileSystem\Ntfs");
            ObfDereferenceObject(object);
            let key = text(r"\Registry\Machine\Software");
            let given = attributes(null_mut(), &key);
            assert_eq!(ObOpenObjectByName(&given, None, 0, null(), 0, null(), &mut handle), STATUS_SUCCESS);
            let (mut told, mut buffer) = (0, [0u64; 16]);
            assert_eq!(ZwQueryObject(handle, 1, buffer.as_mut_ptr().cast(), 128, &mut told), STATUS_SUCCESS);
            let string = buffer.as_ptr().cast::<UNICODE_STRING>();
            assert_eq!(crate::rtl::text_of(&*string), r"\REGISTRY\MACHINE\SOFTWARE");
            let process = kernel.ps.system.0.as_ptr().cast();
            assert_eq!(
                ObQueryNameString(process, buffer.as_mut_ptr().cast(), 128, &mut told),
                STATUS_SUCCESS
            );
            assert_eq!(
                ((*string).Length, (*string).Buffer.is_null(), told),
                (0, true, 0x10),
                "a process has no name"
            );
            assert_eq!(ZwClose(handle), STATUS_SUCCESS);
        }
    });
}

/// The type of the object below, which has nothing to delete.
static BARE: ObjectType = ObjectType { name: "Driver", size: size_of::<DRIVER_OBJECT>(), delete: None };

fn loaded(kernel: &'static Kernel) -> &'static crate::io::Driver {
    let object: NonNull<DRIVER_OBJECT> = super::create(&BARE, 0);
    kernel.io.add(crate::io::Driver {
        id: kernel.io.next_id().unwrap(),
        name: "left".into(),
        path: "left.sys".into(),
        base: 0,
        size: 0,
        force_integrity: false,
        // SAFETY: the one reference it was created with.
        object: unsafe { Ref::adopt(object) },
        image: Mutex::new(None),
        usage: Default::default(),
        running: Default::default(),
    })
}

unsafe extern "win64" fn nothing(_: usize, _: usize, _: usize) -> NTSTATUS {
    STATUS_SUCCESS
}

#[test]
fn r_unl_02_what_a_driver_left_behind_is_told() {
    with_kernel(Config::default(), |kernel, records| {
        let driver = loaded(kernel);
        crate::io::driver::as_driver(Some(driver.id), 0, || {
            kernel.ob.handles.insert(event(), 0, OBJ_KERNEL_HANDLE);
            kernel.ob.handles.insert(event(), 0, 0);
            let mut cookie = 0;
            // SAFETY: everything lives during the call.
            unsafe {
                crate::cm::callback::CmRegisterCallback(
                    nothing as *const () as usize,
                    null_mut(),
                    &mut cookie,
                )
            };
        });
        kernel.ob.handles.insert(event(), 0, 0);
        super::leaks::report(kernel, driver);
        let leak = |body| match body {
            Body::Leak(leak) => Some((leak.kind, leak.count)),
            _ => None,
        };
        let leaks: Vec<_> = records.all().into_iter().filter_map(leak).collect();
        assert_eq!(leaks, [(LeakKind::Handle, 2), (LeakKind::Routine, 1)]);
        assert_eq!(records.findings(), ["L-14", "L-18"]);
    });
}

#[test]
fn l_14_references_that_an_unloaded_driver_holds_are_told_by_kind_and_way_back() {
    with_kernel(Config::default(), |kernel, records| {
        let driver = loaded(kernel);
        let (kept, returned) = (event(), event());
        let process = exited_process();
        crate::io::driver::as_driver(Some(driver.id), 0, || {
            // SAFETY: live objects; what is given back was taken.
            unsafe {
                ObfReferenceObject(kept.as_ptr());
                ObfReferenceObject(kept.as_ptr());
                ObfReferenceObject(returned.as_ptr());
                ObfDereferenceObject(returned.as_ptr());
                ObfReferenceObject(process.as_ptr().cast());
                crate::se::token::PsReferencePrimaryToken(&process);
            }
        });
        super::leaks::report(kernel, driver);
        let bodies = records.all();
        let of = |kind: &str| {
            let named = format!("object(s) of type {kind}");
            let found = bodies.iter().find_map(|body| match body {
                Body::Finding(finding) if finding.message.contains(&named) => {
                    Some(finding.message.to_string())
                }
                _ => None,
            });
            found.unwrap_or_else(|| panic!("{kind}: {bodies:?}"))
        };
        assert_eq!(records.findings(), ["L-14"; 3]);
        assert!(
            of("Event").contains("2 reference(s) on 1 object(s)")
                && of("Event").contains("call ObDereferenceObject")
        );
        assert!(of("Process").contains("(1 of them exited, and cannot be freed)"));
        assert!(of("Token").contains("call PsDereferencePrimaryToken"));
        super::leaks::report(kernel, driver);
        assert_eq!(records.findings().len(), 3, "they are told once");
    });
}

#[test]
fn l_14_an_object_that_was_deleted_holds_nobodys_reference() {
    with_kernel(Config::default(), |kernel, records| {
        let driver = loaded(kernel);
        let object = event();
        // SAFETY: the second reference is the driver's, and is given up behind the ledger's back.
        crate::io::driver::as_driver(Some(driver.id), 0, || unsafe {
            ObfReferenceObject(object.as_ptr());
            super::dereference(object.as_ptr());
        });
        drop(object);
        super::leaks::report(kernel, driver);
        assert!(records.findings().is_empty());
    });
}
