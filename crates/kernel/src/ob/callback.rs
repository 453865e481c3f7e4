//! `ObRegisterCallbacks`: drivers that see handles to processes and threads before and after they are opened.

use std::ffi::c_void;

use export_macro::export;
use nt_abi::{
    NTSTATUS, OB_CALLBACK_REGISTRATION, OB_FLT_REGISTRATION_VERSION, OB_OPERATION_HANDLE_CREATE,
    OB_OPERATION_HANDLE_DUPLICATE, OB_POST_HANDLE_INFORMATION, OB_POST_OPERATION_INFORMATION,
    OB_PRE_CREATE_HANDLE_INFORMATION, OB_PRE_DUPLICATE_HANDLE_INFORMATION, OB_PRE_OPERATION_INFORMATION,
    OB_PRE_OPERATION_PARAMETERS, STATUS_ACCESS_DENIED, STATUS_FLT_INSTANCE_ALTITUDE_COLLISION,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use super::interceptors::{Active, Altitude};
use super::object::Object;
use super::types::DESKTOP_TYPE;
use super::{ObjectType, Ref};
use crate::io::driver::as_driver;
use crate::ps::process::{Eprocess, PROCESS_TYPE};
use crate::ps::thread::THREAD_TYPE;
use crate::{Kernel, kernel};

/// One type of a registration.
#[derive(Debug)]
pub(crate) struct Operation {
    kind: &'static ObjectType,
    /// `OB_OPERATION_…`.
    operations: u32,
    /// Its routine before, 0 where it has none.
    pre: usize,
    /// Its routine after, 0 where it has none.
    post: usize,
}

/// One registration.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) context: usize,
    pub(crate) operations: Vec<Operation>,
}

/// Reads what a driver wants to register.
///
/// # Safety
/// The pointers are a driver's; bad ones fault as on Windows.
unsafe fn read(given: &OB_CALLBACK_REGISTRATION) -> Result<(Altitude, Registration), NTSTATUS> {
    if given.Version != OB_FLT_REGISTRATION_VERSION
        || given.OperationRegistrationCount == 0
        || given.OperationRegistration.is_null()
    {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let altitude = Altitude::parse(&crate::rtl::text_of(&given.Altitude)).ok_or(STATUS_INVALID_PARAMETER)?;
    let mut operations = Vec::new();
    for index in 0..usize::from(given.OperationRegistrationCount) {
        // SAFETY: by this function's contract.
        let operation = unsafe { given.OperationRegistration.add(index).read() };
        // SAFETY: the address of a variable such as PsProcessType, by this function's contract.
        let kind =
            unsafe { operation.ObjectType.cast::<Option<&'static ObjectType>>().as_ref() }.copied().flatten();
        let supported = [&PROCESS_TYPE, &THREAD_TYPE, &DESKTOP_TYPE];
        let kind = kind.filter(|kind| supported.iter().any(|supported| std::ptr::eq(*supported, *kind)));
        let kind = kind.ok_or(STATUS_INVALID_PARAMETER)?;
        let known = OB_OPERATION_HANDLE_CREATE | OB_OPERATION_HANDLE_DUPLICATE;
        let pre = operation.PreOperation.map_or(0, |routine| (routine as *const ()).expose_provenance());
        let post = operation.PostOperation.map_or(0, |routine| (routine as *const ()).expose_provenance());
        if operation.Operations == 0 || operation.Operations & !known != 0 || (pre == 0 && post == 0) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        operations.push(Operation { kind, operations: operation.Operations, pre, post });
    }
    Ok((altitude, Registration { context: given.RegistrationContext.expose_provenance(), operations }))
}

/// Registers callbacks for handles to processes, threads and desktops. They must lie in images that ask for their
/// integrity to be checked. Source: DDI; R-INT-01.
#[export(irql <= APC, since = VistaSp1)]
pub unsafe extern "win64" fn ObRegisterCallbacks(
    registration: &OB_CALLBACK_REGISTRATION,
    handle: *mut *mut c_void,
) -> NTSTATUS {
    // SAFETY: a driver's pointers.
    let (altitude, read) = match unsafe { read(registration) } {
        Ok(read) => read,
        Err(status) => return status,
    };
    let routines = read.operations.iter().flat_map(|operation| [operation.pre, operation.post]);
    let checked = |driver| crate::io::module::is_checked(kernel(), driver);
    let unsigned = |routine: usize| !kernel().io.driver_at(routine).is_some_and(checked);
    if routines.filter(|routine| *routine != 0).any(unsigned) {
        return STATUS_ACCESS_DENIED;
    }
    match kernel().ob.callbacks.register(altitude, crate::io::current_driver(), read) {
        Some(cookie) => {
            let cookie = usize::try_from(cookie).unwrap_or(usize::MAX);
            // SAFETY: as above.
            unsafe { handle.write(std::ptr::without_provenance_mut(cookie)) };
            STATUS_SUCCESS
        }
        None => STATUS_FLT_INSTANCE_ALTITUDE_COLLISION,
    }
}

/// Removes callbacks, once none of them runs any more. Source: DDI.
#[export(irql <= APC, since = VistaSp1)]
pub unsafe extern "win64" fn ObUnRegisterCallbacks(handle: *mut c_void) {
    if !kernel().ob.callbacks.unregister(handle.addr() as u64) {
        let message =
            format!("unregisters {:#x}, which is no registration of object callbacks", handle.addr());
        kernel().finding(&crate::rule::L_18, &message, None);
    }
}

/// Returns the version of the registration of object callbacks: 0x100. Source: DDI.
#[export(irql any, since = VistaSp1)]
pub unsafe extern "win64" fn ObGetFilterVersion() -> u16 {
    OB_FLT_REGISTRATION_VERSION
}

/// A handle that is about to be made.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    pub(crate) object: &'a Ref<Object>,
    /// The rights asked for.
    pub(crate) access: u32,
    /// Whether it is to be a kernel handle.
    pub(crate) kernel_handle: bool,
    /// For a duplicate: from which process into which.
    pub(crate) duplicate: Option<(&'a Ref<Eprocess>, &'a Ref<Eprocess>)>,
}

/// A callback that was called before, and is to be called after.
struct Called {
    entry: Active<Registration>,
    post: usize,
    context: *mut c_void,
}

/// Opens a handle to a process or thread with the callbacks before and after: `open` gets the rights that they left.
pub(crate) fn around(kernel: &Kernel, opening: &Opening<'_>, open: impl FnOnce(u32) -> NTSTATUS) -> NTSTATUS {
    let kind = opening.object.kind();
    if !std::ptr::eq(kind, &PROCESS_TYPE) && !std::ptr::eq(kind, &THREAD_TYPE) {
        return open(opening.access);
    }
    let (access, called) = before(kernel, opening, kind);
    let status = open(access);
    for called in called.into_iter().rev().filter(|called| called.post != 0) {
        after(opening, kind, &called, access, status);
    }
    status
}

fn operation(opening: &Opening<'_>) -> u32 {
    if opening.duplicate.is_some() { OB_OPERATION_HANDLE_DUPLICATE } else { OB_OPERATION_HANDLE_CREATE }
}

fn before(kernel: &Kernel, opening: &Opening<'_>, kind: &'static ObjectType) -> (u32, Vec<Called>) {
    let mut access = opening.access;
    let mut all = Vec::new();
    for entry in kernel.ob.callbacks.all() {
        let wanted =
            |found: &&Operation| std::ptr::eq(found.kind, kind) && found.operations & operation(opening) != 0;
        let Some((pre, post)) =
            entry.value.operations.iter().find(wanted).map(|found| (found.pre, found.post))
        else {
            continue;
        };
        let mut parameters = OB_PRE_OPERATION_PARAMETERS::zeroed();
        match opening.duplicate {
            Some((source, target)) => {
                parameters.DuplicateHandleInformation = OB_PRE_DUPLICATE_HANDLE_INFORMATION {
                    DesiredAccess: access,
                    OriginalDesiredAccess: opening.access,
                    SourceProcess: source.as_ptr().cast(),
                    TargetProcess: target.as_ptr().cast(),
                };
            }
            None => {
                parameters.CreateHandleInformation = OB_PRE_CREATE_HANDLE_INFORMATION {
                    DesiredAccess: access,
                    OriginalDesiredAccess: opening.access,
                };
            }
        }
        let mut information = OB_PRE_OPERATION_INFORMATION {
            Operation: operation(opening),
            Flags: u32::from(opening.kernel_handle),
            Object: opening.object.as_ptr().cast(),
            ObjectType: std::ptr::from_ref(kind).cast_mut().cast(),
            Parameters: &raw mut parameters,
            ..OB_PRE_OPERATION_INFORMATION::default()
        };
        if pre != 0 {
            call(&entry, pre, (&raw mut information).cast());
            // SAFETY: both members begin with the rights.
            let left = unsafe { parameters.CreateHandleInformation.DesiredAccess };
            // A callback can take rights away; what it adds does not count.
            access &= left;
        }
        all.push(Called { entry, post, context: information.CallContext });
    }
    (access, all)
}

fn after(opening: &Opening<'_>, kind: &'static ObjectType, called: &Called, access: u32, status: NTSTATUS) {
    let granted = if status.is_success() { access } else { 0 };
    let mut parameters = OB_POST_HANDLE_INFORMATION { GrantedAccess: granted };
    let mut information = OB_POST_OPERATION_INFORMATION {
        Operation: operation(opening),
        Flags: u32::from(opening.kernel_handle),
        Object: opening.object.as_ptr().cast(),
        ObjectType: std::ptr::from_ref(kind).cast_mut().cast(),
        CallContext: called.context,
        ReturnStatus: status,
        Parameters: &raw mut parameters,
    };
    call(&called.entry, called.post, (&raw mut information).cast());
}

fn call(entry: &Active<Registration>, routine: usize, information: *mut c_void) {
    let (context, information) = (entry.value.context as u64, information.expose_provenance() as u64);
    as_driver(entry.owner, routine as u64, || {
        // SAFETY: what the driver registered; its parameters live during the call.
        unsafe { machine::call2(routine, context, information) }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use nt_abi::*;

    use super::*;
    use crate::Config;
    use crate::testing::with_kernel;

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    unsafe extern "win64" fn pre(
        context: *mut c_void,
        information: *mut OB_PRE_OPERATION_INFORMATION,
    ) -> u32 {
        // SAFETY: valid during the call, which is what is tested.
        let (information, create) =
            unsafe { (&mut *information, &mut (*(*information).Parameters).CreateHandleInformation) };
        let name = context.addr();
        SEEN.lock().unwrap().push(format!(
            "pre {name} {:#x} {:#x} {}",
            create.DesiredAccess, create.OriginalDesiredAccess, information.Flags
        ));
        create.DesiredAccess &= !(1 << name);
        // More than was asked for is not to be had.
        create.DesiredAccess |= 0x8000;
        information.CallContext = std::ptr::without_provenance_mut(name + 100);
        OB_PREOP_SUCCESS
    }

    unsafe extern "win64" fn post(context: *mut c_void, information: *mut OB_POST_OPERATION_INFORMATION) {
        // SAFETY: as above.
        let (information, granted) = unsafe { (&*information, (*(*information).Parameters).GrantedAccess) };
        let call = information.CallContext.addr();
        SEEN.lock().unwrap().push(format!("post {} {call} {granted:#x}", context.addr()));
    }

    fn register(altitude: &str, context: usize) -> Option<u64> {
        let altitude = Altitude::parse(altitude).unwrap();
        let operation = Operation {
            kind: &PROCESS_TYPE,
            operations: OB_OPERATION_HANDLE_CREATE,
            pre: pre as *const () as usize,
            post: post as *const () as usize,
        };
        kernel().ob.callbacks.register(altitude, None, Registration { context, operations: vec![operation] })
    }

    #[test]
    fn the_highest_callback_is_first_before_and_last_after() {
        with_kernel(Config::default(), |kernel, _| {
            register("100", 1).unwrap();
            register("200", 4).unwrap();
            assert_eq!(register("200.0", 9), None);
            let mut handle = std::ptr::null_mut();
            let system = kernel.ps.system.0.as_ptr().cast();
            let status = unsafe {
                // SAFETY: everything lives during the call.
                crate::ob::open::ObOpenObjectByPointer(
                    system,
                    OBJ_KERNEL_HANDLE,
                    std::ptr::null(),
                    0x413,
                    Some(&PROCESS_TYPE),
                    0,
                    &mut handle,
                )
            };
            assert_eq!(status, STATUS_SUCCESS);
            let expected =
                ["pre 4 0x413 0x413 1", "pre 1 0x403 0x413 1", "post 1 101 0x401", "post 4 104 0x401"];
            assert_eq!(*SEEN.lock().unwrap(), expected);
            assert_eq!(kernel.ob.handles.get(handle).unwrap().access, 0x401);
        });
    }

    #[test]
    fn r_int_01_callbacks_must_lie_in_an_image_that_is_checked() {
        with_kernel(Config::default(), |_, _| {
            let altitude = crate::cm::tests::text("370000");
            let mut operation = OB_OPERATION_REGISTRATION {
                ObjectType: (&raw const crate::ob::types::PsProcessType).cast_mut().cast(),
                Operations: OB_OPERATION_HANDLE_CREATE,
                PreOperation: Some(pre),
                PostOperation: None,
            };
            let mut registration = OB_CALLBACK_REGISTRATION {
                Version: OB_FLT_REGISTRATION_VERSION,
                OperationRegistrationCount: 1,
                // SAFETY: it lives as long as `altitude`.
                Altitude: unsafe { *altitude.at() },
                OperationRegistration: &raw mut operation,
                ..OB_CALLBACK_REGISTRATION::default()
            };
            let mut handle = std::ptr::null_mut();
            // SAFETY: everything lives during the calls.
            unsafe {
                assert_eq!(ObRegisterCallbacks(&registration, &mut handle), STATUS_ACCESS_DENIED);
                registration.Version = 7;
                assert_eq!(ObRegisterCallbacks(&registration, &mut handle), STATUS_INVALID_PARAMETER);
                registration.Version = OB_FLT_REGISTRATION_VERSION;
                let wrong = (&raw const crate::ob::types::IoFileObjectType).cast_mut().cast();
                (&raw mut operation.ObjectType).write(wrong);
                assert_eq!(ObRegisterCallbacks(&registration, &mut handle), STATUS_INVALID_PARAMETER);
            }
        });
    }
}
