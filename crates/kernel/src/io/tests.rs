//! Devices and requests, with a driver of our own in place of a loaded one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use event::{ClientId, ProcessId, ThreadId};
use nt_abi::*;

use super::build::*;
use super::device::*;
use super::irp::*;
use super::link::*;
use super::request::{Operation, Progress};
use super::stack::*;
use super::user::Completed;
use crate::cm::tests::{attributes, text};
use crate::ob::close::ZwClose;
use crate::ob::query::ObQueryNameString;
use crate::po::request::PoRequestPowerIrp;
use crate::testing::{stops, with_kernel};
use crate::zw::file::*;
use crate::zw::information::*;
use crate::{Config, Kernel, kernel};

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// A request that the driver keeps, to be completed by another thread.
static KEPT: AtomicPtr<IRP> = AtomicPtr::new(std::ptr::null_mut());

const BUFFERED: u32 = ctl_code(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
const DIRECT: u32 = ctl_code(FILE_DEVICE_UNKNOWN, 0x801, METHOD_OUT_DIRECT, FILE_ANY_ACCESS);
const NEITHER: u32 = ctl_code(FILE_DEVICE_UNKNOWN, 0x802, METHOD_NEITHER, FILE_ANY_ACCESS);
const PENDING: u32 = ctl_code(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS);
const FORGOTTEN: u32 = ctl_code(FILE_DEVICE_UNKNOWN, 0x804, METHOD_BUFFERED, FILE_ANY_ACCESS);

/// The driver: answers every control code with its input in upper case.
unsafe extern "win64" fn dispatch(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: a request that was sent to this driver; buffers are as the method of the code says.
    unsafe {
        let stack = current_location(irp);
        SEEN.lock().unwrap().push(irp_mj_name(stack.MajorFunction).unwrap().into());
        if stack.MajorFunction == IRP_MJ_READ {
            let length = stack.Parameters.Read.Length as usize;
            (*irp).AssociatedIrp.SystemBuffer.cast::<u8>().write_bytes(b'r', length);
            return finish(irp, STATUS_SUCCESS, length);
        }
        if stack.MajorFunction != IRP_MJ_DEVICE_CONTROL {
            return finish(irp, STATUS_SUCCESS, 0);
        }
        let parameters = stack.Parameters.DeviceIoControl;
        let system = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        let (input, output) = match parameters.IoControlCode {
            BUFFERED => (system.cast_const(), system),
            DIRECT => (system.cast_const(), (*(*irp).MdlAddress).MappedSystemVa.cast()),
            NEITHER => (parameters.Type3InputBuffer.cast::<u8>().cast_const(), (*irp).UserBuffer.cast()),
            PENDING => {
                stack.Control |= SL_PENDING_RETURNED;
                KEPT.store(irp, Ordering::SeqCst);
                return STATUS_PENDING;
            }
            FORGOTTEN => return STATUS_SUCCESS,
            _ => return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        };
        let length = parameters.InputBufferLength.min(parameters.OutputBufferLength) as usize;
        for at in 0..length {
            let byte = input.add(at).read();
            output.add(at).write(byte.to_ascii_uppercase());
        }
        finish(irp, STATUS_SUCCESS, length)
    }
}

fn driver(kernel: &Kernel) -> *mut DRIVER_OBJECT {
    SEEN.lock().unwrap().clear();
    super::load::kernel_driver(kernel, r"\Driver\Test", dispatch)
}

fn create(driver: *mut DRIVER_OBJECT, name: &str, exclusive: u8) -> Result<*mut DEVICE_OBJECT, NTSTATUS> {
    let (name, mut device) = (text(name), std::ptr::null_mut());
    // SAFETY: everything lives during the call.
    let status =
        unsafe { IoCreateDevice(driver, 24, name.at(), FILE_DEVICE_UNKNOWN, 0, exclusive, &mut device) };
    if status.is_success() { Ok(device) } else { Err(status) }
}

fn link(name: &str, target: &str) -> NTSTATUS {
    // SAFETY: as above.
    unsafe { IoCreateSymbolicLink(text(name).at(), text(target).at()) }
}

fn open(path: &str) -> Result<HANDLE, NTSTATUS> {
    let (name, mut handle, mut block) = (text(path), std::ptr::null_mut(), IO_STATUS_BLOCK::default());
    let options = FILE_SYNCHRONOUS_IO_NONALERT;
    // SAFETY: as above.
    let status = unsafe {
        ZwOpenFile(
            &mut handle,
            GENERIC_READ | SYNCHRONIZE,
            &attributes(std::ptr::null_mut(), &name),
            &mut block,
            7,
            options,
        )
    };
    if status.is_success() { Ok(handle) } else { Err(status) }
}

fn control(handle: HANDLE, code: u32, input: &str) -> (NTSTATUS, String) {
    let (mut input, mut output) = (input.as_bytes().to_vec(), vec![0u8; 16]);
    let (none, mut block) = (std::ptr::null_mut(), IO_STATUS_BLOCK::default());
    let length = u32::try_from(input.len()).unwrap();
    // SAFETY: as above.
    let status = unsafe {
        ZwDeviceIoControlFile(
            handle,
            none,
            0,
            none,
            &mut block,
            code,
            input.as_mut_ptr(),
            length,
            output.as_mut_ptr(),
            16,
        )
    };
    output.truncate(block.Information);
    (status, String::from_utf8(output).unwrap())
}

/// A device that can be opened, with a link to it.
fn ready(kernel: &Kernel) -> (*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) {
    let driver = driver(kernel);
    let device = create(driver, r"\Device\Test", 0).unwrap();
    initialised(driver);
    assert_eq!(link(r"\DosDevices\Test", r"\Device\Test"), STATUS_SUCCESS);
    (driver, device)
}

#[test]
fn a_device_is_as_its_driver_asked() {
    with_kernel(Config::default(), |kernel, _| {
        let driver = driver(kernel);
        let first = create(driver, r"\Device\Test", 1).unwrap();
        let second = create(driver, r"\Device\Other", 0).unwrap();
        // SAFETY: live devices.
        unsafe {
            let device = &*first;
            assert_eq!(device.Flags, DO_EXCLUSIVE | DO_DEVICE_HAS_NAME | DO_DEVICE_INITIALIZING);
            assert_eq!((device.Type, device.Size, device.StackSize), (IO_TYPE_DEVICE, 0x150 + 24, 1));
            assert_eq!(device.DeviceExtension.addr(), first.addr() + 0x150);
            assert_eq!(*device.DeviceExtension.cast::<[u64; 3]>(), [0; 3]);
            assert_eq!(((*driver).DeviceObject, (*second).NextDevice), (second, first));
            let mut buffer = [0u64; 16];
            let mut told = 0;
            let status = ObQueryNameString(first.cast(), buffer.as_mut_ptr().cast(), 128, &mut told);
            assert_eq!((status, told), (STATUS_SUCCESS, 0x10 + 26));
            assert_eq!(crate::rtl::text_of(&*buffer.as_ptr().cast::<UNICODE_STRING>()), r"\Device\Test");
            assert_eq!(create(driver, r"\DEVICE\TEST", 0), Err(STATUS_OBJECT_NAME_COLLISION));
            assert_eq!(create(driver, r"\Nope\Test", 0), Err(STATUS_OBJECT_PATH_NOT_FOUND));
            assert_eq!(create(driver, "Test", 0), Err(STATUS_OBJECT_PATH_SYNTAX_BAD));
            assert_eq!(open(r"\Device\Test"), Err(STATUS_NO_SUCH_DEVICE), "DriverEntry has not returned yet");
            initialised(driver);
            let handle = open(r"\Device\Test").unwrap();
            assert_eq!(open(r"\Device\Test"), Err(STATUS_ACCESS_DENIED), "it is exclusive");
            assert_eq!(ZwClose(handle), STATUS_SUCCESS);
            IoDeleteDevice(second);
            IoDeleteDevice(first);
            assert!((*driver).DeviceObject.is_null());
        }
        assert_eq!(open(r"\Device\Test"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
    });
}

#[test]
fn a_device_that_is_deleted_twice_is_a_stop() {
    with_kernel(Config::default(), |kernel, records| {
        let device = create(driver(kernel), r"\Device\Test", 0).unwrap();
        // SAFETY: a live device.
        unsafe { IoDeleteDevice(device) };
        // SAFETY: what is tested.
        let stop = stops(records, || unsafe { IoDeleteDevice(device) });
        assert_eq!(stop.code, 0x18);
    });
}

#[test]
fn control_codes_arrive_by_every_method() {
    with_kernel(Config::default(), |kernel, _| {
        ready(kernel);
        let handle = open(r"\??\Test").unwrap();
        for code in [BUFFERED, DIRECT, NEITHER] {
            assert_eq!(control(handle, code, "hello"), (STATUS_SUCCESS, "HELLO".into()), "{code:#x}");
        }
        assert_eq!(control(handle, 0x1234_0000, "x").0, STATUS_INVALID_DEVICE_REQUEST);
        // SAFETY: an open handle.
        unsafe { assert_eq!(ZwClose(handle), STATUS_SUCCESS) };
        let seen = SEEN.lock().unwrap().join(" ");
        let control = ["IRP_MJ_DEVICE_CONTROL"; 4].join(" ");
        assert_eq!(seen, format!("IRP_MJ_CREATE {control} IRP_MJ_CLEANUP IRP_MJ_CLOSE"));
    });
}

#[test]
fn a_read_of_a_buffered_device_goes_through_the_system_buffer() {
    with_kernel(Config::default(), |kernel, _| {
        let (_, device) = ready(kernel);
        // SAFETY: a live device.
        unsafe { (*device).Flags |= DO_BUFFERED_IO };
        let handle = open(r"\Device\Test").unwrap();
        let (mut block, mut buffer, none) = (IO_STATUS_BLOCK::default(), [0u8; 4], std::ptr::null_mut());
        let nowhere = std::ptr::null();
        // SAFETY: everything lives during the call.
        let status = unsafe {
            ZwReadFile(handle, none, 0, none, &mut block, buffer.as_mut_ptr(), 4, nowhere, nowhere.cast())
        };
        assert_eq!((status, block.Information, &buffer), (STATUS_SUCCESS, 4, b"rrrr"));
    });
}

#[test]
fn a_request_that_is_pending_is_waited_for() {
    with_kernel(Config::default(), |kernel, _| {
        ready(kernel);
        let handle = open(r"\Device\Test").unwrap();
        let other = crate::testing::on_another_processor(kernel, || {
            let irp = loop {
                let kept = KEPT.swap(std::ptr::null_mut(), Ordering::SeqCst);
                if !kept.is_null() {
                    break kept;
                }
                std::thread::yield_now();
            };
            // SAFETY: the request that the driver kept.
            unsafe { finish(irp, STATUS_CANCELLED, 0) };
        });
        assert_eq!(control(handle, PENDING, "x").0, STATUS_CANCELLED);
        other.join().unwrap();
    });
}

/// Begins a request as a program: its number, and its packet.
fn begin(kernel: &Kernel) -> (u64, *mut IRP) {
    let program = ClientId { process: ProcessId(0x1000), thread: ThreadId(0x1004) };
    let file = kernel.user_open(program, r"\Device\Test", 0x8000_0000, true).unwrap();
    let number = kernel.user_begin(program, file, Operation::Control(PENDING), b"x", &[0; 4]).unwrap();
    (number, KEPT.swap(std::ptr::null_mut(), Ordering::SeqCst))
}

#[test]
fn a_program_s_request_that_is_completed_twice_is_a_stop() {
    with_kernel(Config::default(), |kernel, records| {
        ready(kernel);
        let (number, irp) = begin(kernel);
        let result = |wait| kernel.user_result(number, wait, &mut [0; 4]);
        assert_eq!(result(false), Ok(Progress::Pending { hopeless: false }));
        // SAFETY: the request that the driver kept.
        unsafe { finish(irp, STATUS_SUCCESS, 0) };
        // SAFETY: its packet is there until the request is asked for.
        let stop = stops(records, || unsafe {
            finish(irp, STATUS_SUCCESS, 0);
        });
        assert_eq!((stop.code, stop.parameters[0]), (0x44, irp.addr() as u64));
        assert!(matches!(result(true), Ok(Progress::Ended(_))));
        assert_eq!(result(false), Err(STATUS_NOT_FOUND));
    });
}

/// A cancel routine that completes its request and keeps the cancel spin lock.
unsafe extern "win64" fn keeps_the_lock(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the request that was cancelled.
    unsafe { finish(irp, STATUS_CANCELLED, 0) };
}

#[test]
fn r_dev_03_a_cancel_routine_that_keeps_the_cancel_spin_lock_is_found_and_the_next_one_runs() {
    with_kernel(Config::default(), |kernel, records| {
        ready(kernel);
        for _ in 0..2 {
            let (number, irp) = begin(kernel);
            // SAFETY: the request that the driver kept.
            unsafe {
                (*irp).CancelRoutine = Some(keeps_the_lock);
                assert_eq!(IoCancelIrp(irp), 1);
                assert_eq!(IoCancelIrp(irp), 0, "its cancel routine was called");
            }
            let ended = kernel.user_result(number, false, &mut [0; 4]);
            let expected = Completed { status: STATUS_CANCELLED, information: 0 };
            assert_eq!(ended, Ok(Progress::Ended(expected)));
        }
        assert_eq!(records.findings().first().map(String::as_str), Some("L-13"));
        assert_eq!(machine::irql::current(), machine::Irql::PASSIVE);
    });
}

unsafe extern "win64" fn power_ended(
    device: *mut DEVICE_OBJECT,
    minor: u8,
    state: u32,
    context: PVOID,
    block: *mut IO_STATUS_BLOCK,
) {
    // SAFETY: how the request ended.
    let status = unsafe { (*block).Status };
    SEEN.lock().unwrap().push(format!("{} {minor} {state} {} {status:?}", device.is_null(), context.addr()));
}

#[test]
fn r_dev_06_a_power_request_of_a_driver_s_own_is_told_of_its_end() {
    with_kernel(Config::default(), |kernel, _| {
        let (_, device) = ready(kernel);
        let routine = (power_ended as *const ()).expose_provenance();
        let context = std::ptr::without_provenance_mut(7);
        let none = std::ptr::null_mut();
        // SAFETY: a live device and a routine of this test.
        let request =
            |minor| unsafe { PoRequestPowerIrp(device, minor, PowerDeviceD3, routine, context, none) };
        assert_eq!(request(IRP_MN_SET_POWER), STATUS_PENDING);
        let seen = std::mem::take(&mut *SEEN.lock().unwrap());
        assert_eq!(seen, ["IRP_MJ_POWER".to_owned(), format!("false 2 4 7 {STATUS_SUCCESS:?}")]);
        assert_eq!(request(IRP_MN_POWER_SEQUENCE), STATUS_INVALID_PARAMETER_2);
        assert!(SEEN.lock().unwrap().is_empty());
    });
}

#[test]
fn r_dev_01_nothing_is_attached_to_a_device_that_goes() {
    with_kernel(Config::default(), |kernel, _| {
        let (driver, device) = ready(kernel);
        let above = create(driver, r"\Device\Above", 0).unwrap();
        assert!(!unload_pending(driver), "nobody is attached");
        // SAFETY: live devices.
        unsafe { assert!(IoAttachDeviceToDeviceStack(above, device).is_null()) };
        assert_eq!(open(r"\Device\Test"), Err(STATUS_NO_SUCH_DEVICE));
    });
}

#[test]
fn a_dispatch_routine_that_forgets_its_request_is_a_finding() {
    with_kernel(Config::default(), |kernel, records| {
        ready(kernel);
        let handle = open(r"\Device\Test").unwrap();
        assert_eq!(control(handle, FORGOTTEN, "x").0, STATUS_SUCCESS);
        assert_eq!(records.findings(), ["IO-02"]);
    });
}

unsafe extern "win64" fn completed(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut std::ffi::c_void,
) -> NTSTATUS {
    // SAFETY: the request that this routine was set on.
    let status = unsafe { (*irp).IoStatus.Status };
    SEEN.lock().unwrap().push(format!("completed {} {} {status}", device.is_null(), context.addr()));
    STATUS_MORE_PROCESSING_REQUIRED
}

#[test]
fn a_completion_routine_can_keep_its_request() {
    with_kernel(Config::default(), |kernel, records| {
        let (driver, device) = ready(kernel);
        let above = create(driver, r"\Device\Above", 0).unwrap();
        // SAFETY: live devices and the test's own request.
        unsafe {
            assert_eq!(IoAttachDeviceToDeviceStack(above, device), device);
            assert_eq!(((*above).StackSize, IoGetAttachedDevice(device)), (2, above));
            let base = IoGetDeviceAttachmentBaseRef(above);
            assert_eq!(base, device);
            crate::ob::dereference(base);
            let irp = IoAllocateIrp((*device).StackSize, 0);
            let stack = next_location(irp);
            stack.MajorFunction = IRP_MJ_FLUSH_BUFFERS;
            stack.CompletionRoutine = Some(completed);
            stack.Context = std::ptr::without_provenance_mut(7);
            stack.Control = SL_INVOKE_ON_SUCCESS;
            assert_eq!(IofCallDriver(device, irp), STATUS_SUCCESS);
            let seen = std::mem::take(&mut *SEEN.lock().unwrap());
            assert_eq!(seen, ["IRP_MJ_FLUSH_BUFFERS", &format!("completed true 7 {STATUS_SUCCESS}")]);
            assert_eq!((*irp).CurrentLocation, 2, "the request is the sender's again");
            IoReuseIrp(irp, STATUS_NOT_SUPPORTED);
            assert_eq!(((*irp).IoStatus.Status, (*irp).CurrentLocation), (STATUS_NOT_SUPPORTED, 2));
            let stop = stops(records, || {
                (*irp).CurrentLocation = 1;
                IofCallDriver(device, irp);
            });
            assert_eq!(stop.code, 0x35);
            IoFreeIrp(irp);
            IoDetachDevice(device);
            assert_eq!(IoGetAttachedDevice(device), device);
        }
    });
}

#[test]
fn a_built_request_ends_at_its_event_and_status_block() {
    with_kernel(Config::default(), |kernel, _| {
        let (_, device) = ready(kernel);
        let (mut input, mut output, mut block) = (*b"abc", [0u8; 8], IO_STATUS_BLOCK::default());
        let mut event = KEVENT::default();
        // SAFETY: everything lives until the request is completed, which is at once.
        unsafe {
            crate::ke::event::KeInitializeEvent(&mut event, 0, 0);
            let irp = IoBuildDeviceIoControlRequest(
                BUFFERED,
                device,
                input.as_mut_ptr(),
                3,
                output.as_mut_ptr(),
                8,
                0,
                &mut event,
                &mut block,
            );
            assert_eq!(IofCallDriver(device, irp), STATUS_SUCCESS);
            assert_eq!((block.Status, block.Information), (STATUS_SUCCESS, 3));
            assert_eq!((&output[..3], crate::ke::event::KeReadStateEvent(&mut event)), (&b"ABC"[..], 1));
        }
    });
}

#[test]
fn a_link_is_found_until_it_is_deleted() {
    with_kernel(Config::default(), |kernel, _| {
        ready(kernel);
        assert_eq!(link(r"\??\TEST", r"\Device\Other"), STATUS_OBJECT_NAME_COLLISION);
        assert!(open(r"\DosDevices\test").is_ok());
        // SAFETY: the string lives during the call.
        let delete = || unsafe { IoDeleteSymbolicLink(text(r"\??\Test").at()) };
        assert_eq!(delete(), STATUS_SUCCESS);
        assert_eq!(delete(), STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(open(r"\??\Test"), Err(STATUS_OBJECT_NAME_NOT_FOUND));
    });
}

#[test]
fn a_device_lives_until_its_last_handle_is_closed() {
    with_kernel(Config::default(), |kernel, _| {
        let (driver, device) = ready(kernel);
        let handle = open(r"\Device\Test").unwrap();
        // SAFETY: an open device is alive.
        unsafe {
            IoDeleteDevice(device);
            assert!((*driver).DeviceObject.is_null());
            assert_eq!(control(handle, BUFFERED, "x"), (STATUS_SUCCESS, "X".into()));
            assert_eq!((*device).ReferenceCount, 1);
            assert_eq!(ZwClose(handle), STATUS_SUCCESS);
        }
    });
}

#[test]
fn the_volume_is_a_device_with_a_file_system() {
    with_kernel(Config::default(), |_, _| {
        let (mut file, mut device) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: everything lives during the calls.
        unsafe {
            let name = text(r"\??\C:");
            let status = IoGetDeviceObjectPointer(name.at(), FILE_READ_DATA, &mut file, &mut device);
            assert_eq!(status, STATUS_SUCCESS);
            assert_eq!((*file).DeviceObject, volume());
            assert_eq!(device, (*(*volume()).Vpb).DeviceObject);
            crate::ob::reference::ObfDereferenceObject(file.cast());
        }
        assert_eq!(kernel().ob.handles.count_of(4), 0);
    });
}

#[test]
fn what_cannot_be_loaded_or_unloaded_has_the_status_of_the_service_that_refuses_it() {
    with_kernel(Config::default(), |kernel, _| {
        let file = include_bytes!("../../../../drivers/bin/minimal.sys");
        let id = kernel.load_driver("minimal", "minimal.sys", file).unwrap();
        let again = kernel.load_driver("MINIMAL", "minimal.sys", file).unwrap_err();
        assert_eq!(again.status(), STATUS_IMAGE_ALREADY_LOADED);
        let object = kernel.io.driver(id).unwrap().object.as_ptr();
        // SAFETY: a live driver object.
        let unload = unsafe { (*object).DriverUnload.take() };
        assert_eq!(kernel.unload_driver(id).unwrap_err().status(), STATUS_INVALID_DEVICE_REQUEST);
        // SAFETY: as above.
        unsafe { (*object).DriverUnload = unload };
        kernel.unload_driver(id).unwrap();
        assert_eq!(kernel.unload_driver(id).unwrap_err().status(), STATUS_OBJECT_NAME_NOT_FOUND);
        kernel.load_driver("minimal", "minimal.sys", file).unwrap();
    });
}

#[test]
fn the_sensor_reads_its_settings_and_leaves_nothing() {
    use event::Body;
    with_kernel(Config::default(), |kernel, records| {
        let deny = crate::RegistryValue::MultiSz(vec!["*/refused".into()]);
        kernel.set_service_value("sensor", "Deny", deny);
        let file = include_bytes!("../../../../drivers/bin/sensor.sys");
        let id = kernel.load_driver("sensor", "sensor.sys", file).unwrap();
        assert_eq!(kernel.ob.handles.count_of(4), 0, "the sensor closes its keys");
        let path = r"\SystemRoot\System32\drivers\sensor.sys";
        assert!(open(path).is_ok(), "its file is on the volume");
        let name = text(r"\Driver\sensor");
        assert!(kernel.ob.names.object(r"\Driver\SENSOR").is_ok(), "{:?}", name.at());
        // SAFETY: a variable of the kernel; its list has one entry.
        unsafe {
            let head = (&raw const super::module::PsLoadedModuleList).cast::<LIST_ENTRY>();
            let entry = (*head).Flink.cast::<KLDR_DATA_TABLE_ENTRY>();
            assert_eq!(crate::rtl::text_of(&(*entry).BaseDllName), "sensor.sys");
            assert_ne!((*entry).Flags & 0x20, 0, "R-INT-02");
            kernel.unload_driver(id).unwrap();
            assert_eq!((*head).Flink.cast_const(), head);
        }
        assert!(kernel.ob.names.object(r"\Driver\sensor").is_err());
        let leaks = records.all().into_iter().filter(|body| matches!(body, Body::Leak(_))).count();
        assert_eq!((leaks, records.findings()), (0, vec![]), "{:?}", records.lines());
    });
}

const UNSIGNED: &[u8] = include_bytes!("../../../../drivers/bin/minimal.sys");
const SIGNED: &[u8] = include_bytes!("../../../pe-image/tests/data/signed-minimal.sys");
const WITHOUT_INTEGRITY: &[u8] = include_bytes!("../../../../drivers/bin/loader-flag.sys");

/// How often the image routine of the test was called.
static IMAGES: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

unsafe extern "win64" fn count_image(_: usize, _: usize, _: usize) {
    IMAGES.fetch_add(1, Ordering::Relaxed);
}

/// Loads a file as a driver: the status, how many images routines were told of, and what the driver printed.
fn loaded(config: Config, file: &[u8]) -> (NTSTATUS, usize, usize) {
    with_kernel(config, |kernel, records| {
        let routine = (count_image as *const ()).expose_provenance();
        let flavour = notify::ImageFlavour::Plain;
        let request = notify::Request { routine, flavour, flags: 0, owner: u64::MAX };
        kernel.ps.tables.image.register(request).unwrap();
        IMAGES.store(0, Ordering::Relaxed);
        let loaded = kernel.load_driver("some", "some.sys", file);
        let status = loaded.map_or_else(|error| error.status(), |_| STATUS_SUCCESS);
        (status, IMAGES.load(Ordering::Relaxed), records.lines().len())
    })
}

#[test]
fn r_int_04_a_checked_image_that_is_not_what_was_signed_is_not_loaded() {
    let mut config = Config::default();
    config.choices.set("code-integrity", "embedded").unwrap();
    let refused = (STATUS_INVALID_IMAGE_HASH, 0, 0);
    let mut changed = SIGNED.to_vec();
    // In the code of its DriverEntry.
    let entry = pe_image::parse(SIGNED).unwrap().entry.unwrap();
    let at = pe_image::parse(SIGNED).unwrap().sections()[0].raw_offset as usize + (entry as usize % 0x1000);
    changed[at] ^= 1;
    assert_eq!(loaded(config, UNSIGNED), refused);
    assert_eq!(loaded(config, &changed), refused);
    let (status, images, lines) = loaded(config, SIGNED);
    assert_eq!((status, images), (STATUS_SUCCESS, 1));
    assert!(lines > 0, "its DriverEntry has run");
    // Who does not ask for the check is not checked, unless it is counted as one that does.
    assert_eq!(loaded(config, WITHOUT_INTEGRITY).0, STATUS_SUCCESS);
    assert_eq!(loaded(Config { force_integrity: true, ..config }, WITHOUT_INTEGRITY), refused);
}

#[test]
fn r_int_04_nobody_looks_unless_code_integrity_is_chosen() {
    assert_eq!(loaded(Config::default(), UNSIGNED).0, STATUS_SUCCESS);
    assert_eq!(loaded(Config::default(), SIGNED).0, STATUS_SUCCESS);
}
