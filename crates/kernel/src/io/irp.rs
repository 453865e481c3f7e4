//! Requests: allocating, passing down, completing, cancelling.

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use export_macro::export;
use machine::Irql;
use nt_abi::{
    DEVICE_OBJECT, IO_STACK_LOCATION, IO_TYPE_IRP, IRP, KIRQL, NTSTATUS, SL_ERROR_RETURNED,
    SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS, SL_PENDING_RETURNED,
    STATUS_MORE_PROCESSING_REQUIRED,
};

use super::driver::as_driver;
use crate::ex::pool::{Allocation, Kind, Tag};
use crate::ke::region::ApcDisable;
use crate::kernel;

/// The tags of requests and of their buffers.
const IRP_TAG: Tag = Tag(u32::from_le_bytes(*b"Irp "));
const BUFFER_TAG: Tag = Tag(u32::from_le_bytes(*b"Io  "));

/// Flags of a request.
pub(super) const BUFFERED_IO: u32 = 0x10;
pub(super) const DEALLOCATE_BUFFER: u32 = 0x20;
pub(super) const INPUT_OPERATION: u32 = 0x40;
pub(super) const SYNCHRONOUS_API: u32 = 0x4;
const ASSOCIATED: u32 = 0x8;

/// `IRP::AllocationFlags`, which is the kernel's own: the memory descriptor is to be freed with the request.
pub(super) const OWN_MDL: u8 = 0x40;
/// `IRP::AllocationFlags`: `UserApcContext` is a reference of its [`Completion`].
const AWAITED: u8 = 0x80;

/// NO_MORE_IRP_STACK_LOCATIONS.
const NO_MORE_STACK_LOCATIONS: u32 = 0x35;
/// MULTIPLE_IRP_COMPLETE_REQUESTS.
const COMPLETED_TWICE: u32 = 0x44;

/// State of a completion's word: the request is under way.
pub(crate) const UNDER_WAY: u32 = 0;
/// The request has ended, for good.
pub(crate) const ENDED: u32 = 1;
/// Whoever waits need not: nobody is left who could end the request.
pub(crate) const HOPELESS: u32 = 2;

/// What a request of the kernel itself came to. The packet holds a reference of it until it has ended.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// [`UNDER_WAY`], [`ENDED`], or for a moment [`HOPELESS`].
    pub(super) word: AtomicU32,
    status: AtomicU32,
    information: AtomicUsize,
    /// The packet, where it stays as long as this: whoever cancels it must find it there.
    packet: AtomicPtr<IRP>,
}

impl Completion {
    /// Whether the request has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.word.load(Ordering::Acquire) == ENDED
    }

    /// What it came to, once it has ended: its status, and the number that came with it.
    pub(super) fn outcome(&self) -> (NTSTATUS, usize) {
        let status = NTSTATUS::from_u32(self.status.load(Ordering::Relaxed));
        (status, self.information.load(Ordering::Relaxed))
    }

    /// The packet, where it is kept.
    pub(super) fn packet(&self) -> *mut IRP {
        self.packet.load(Ordering::Relaxed)
    }

    fn end(&self, status: NTSTATUS, information: usize) {
        self.information.store(information, Ordering::Relaxed);
        self.status.store(status.as_u32(), Ordering::Relaxed);
        self.word.store(ENDED, Ordering::Release);
        machine::platform().wake(&self.word, u32::MAX);
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let packet = *self.packet.get_mut();
        if !packet.is_null() {
            free(packet.addr(), IRP_TAG);
        }
    }
}

/// Has a request tell `completion` of its end; `keep` leaves the packet where it is until then nobody asks for it.
///
/// # Safety
/// `irp` comes from [`allocate`] and was not sent yet.
pub(super) unsafe fn tell_of_end(irp: *mut IRP, completion: &Arc<Completion>, keep: bool) {
    if keep {
        completion.packet.store(irp, Ordering::Relaxed);
    }
    // SAFETY: by this function's contract.
    unsafe {
        (*irp).AllocationFlags |= AWAITED;
        (*irp).Overlay.AsynchronousParameters.UserApcContext =
            Arc::into_raw(completion.clone()).cast_mut().cast();
        (*irp).Tail.Overlay.Thread = machine::current_thread().cast();
    }
}

fn packet_size(stack: i8) -> usize {
    size_of::<IRP>() + usize::try_from(stack).unwrap_or(0) * size_of::<IO_STACK_LOCATION>()
}

/// Allocates a request with `stack` locations; null where there is no memory or it asks for none.
pub(super) fn allocate(stack: i8, owner: Option<event::DriverId>) -> *mut IRP {
    if stack < 1 {
        return std::ptr::null_mut();
    }
    let size = packet_size(stack);
    let what = Allocation { size, tag: IRP_TAG, kind: Kind::NonPaged, owner };
    let memory = match owner {
        Some(_) => crate::ex::allocate(what, true),
        None => kernel().ex.pool.allocate(what, true),
    };
    let Some(memory) = memory else { return std::ptr::null_mut() };
    let irp = memory.as_ptr().cast();
    // SAFETY: new memory of that size.
    unsafe { initialise(irp, u16::try_from(size).unwrap_or(u16::MAX), stack) };
    irp
}

/// # Safety
/// `irp` has `size` bytes.
unsafe fn initialise(irp: *mut IRP, size: u16, stack: i8) {
    // SAFETY: by this function's contract.
    unsafe {
        irp.cast::<u8>().write_bytes(0, usize::from(size));
        let packet = &mut *irp;
        packet.Type = IO_TYPE_IRP;
        packet.Size = size;
        packet.StackCount = stack;
        packet.CurrentLocation = stack + 1;
        let list = &raw mut packet.ThreadListEntry;
        packet.ThreadListEntry = nt_abi::LIST_ENTRY { Flink: list, Blink: list };
        packet.Tail.Overlay.CurrentStackLocation = locations(irp).add(usize::try_from(stack).unwrap_or(0));
    }
}

/// The first stack location of a request: the lowest driver's.
fn locations(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    irp.wrapping_add(1).cast()
}

/// The stack location of the driver that has the request.
///
/// # Safety
/// `irp` is a request that some driver has.
pub(super) unsafe fn current_location<'a>(irp: *mut IRP) -> &'a mut IO_STACK_LOCATION {
    // SAFETY: by this function's contract.
    unsafe { &mut *(*irp).Tail.Overlay.CurrentStackLocation }
}

/// The stack location of the next lower driver.
///
/// # Safety
/// `irp` is a request with a location left.
pub(super) unsafe fn next_location<'a>(irp: *mut IRP) -> &'a mut IO_STACK_LOCATION {
    // SAFETY: by this function's contract.
    unsafe { &mut *(*irp).Tail.Overlay.CurrentStackLocation.sub(1) }
}

/// Memory for a request's buffer.
pub(super) fn allocate_buffer(size: usize) -> *mut u8 {
    let what = Allocation { size: size.max(1), tag: BUFFER_TAG, kind: Kind::NonPaged, owner: None };
    kernel().ex.pool.allocate(what, true).map_or(std::ptr::null_mut(), |memory| memory.as_ptr())
}

fn free(address: usize, tag: Tag) {
    if kernel().ex.pool.free(address, tag).is_err() {
        // BAD_POOL_CALLER: what was to be freed is no request, or was freed before.
        machine::bug_check(0xC2, 7, 0, tag.0.into(), address as u64);
    }
}

/// Allocates a request. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAllocateIrp(stack: i8, _quota: u8) -> *mut IRP {
    allocate(stack, super::current_driver())
}

/// Frees a request that `IoAllocateIrp` gave. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoFreeIrp(irp: *mut IRP) {
    free(irp.addr(), IRP_TAG);
}

/// Makes a request out of a driver's own memory. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoInitializeIrp(irp: *mut IRP, size: u16, stack: i8) {
    // SAFETY: a driver's pointer to that many bytes.
    unsafe { initialise(irp, size, stack) };
}

/// Makes a request as new, so that its driver can use it again. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoReuseIrp(irp: *mut IRP, status: NTSTATUS) {
    // SAFETY: a driver's request.
    unsafe {
        let (size, stack, flags) = ((*irp).Size, (*irp).StackCount, (*irp).AllocationFlags);
        initialise(irp, size, stack);
        (*irp).AllocationFlags = flags;
        (*irp).IoStatus.Status = status;
    }
}

/// Returns how many bytes a request with so many stack locations has. Source: DDI (IoSizeOfIrp).
#[export(irql any)]
pub unsafe extern "win64" fn IoSizeOfIrpEx(_device: *mut DEVICE_OBJECT, stack: i8) -> u16 {
    u16::try_from(packet_size(stack)).unwrap_or(u16::MAX)
}

/// Sends a request to the driver of a device, and returns what that returned. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IofCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: a driver's pointers; bad ones fault as on Windows.
    let (routine, owner, sets_power) = unsafe {
        (*irp).CurrentLocation -= 1;
        if (*irp).CurrentLocation <= 0 {
            machine::bug_check(NO_MORE_STACK_LOCATIONS, irp.addr() as u64, 0, 0, 0);
        }
        let stack = (*irp).Tail.Overlay.CurrentStackLocation.sub(1);
        (*irp).Tail.Overlay.CurrentStackLocation = stack;
        (*stack).DeviceObject = device;
        let driver = (*device).DriverObject;
        let major = usize::from((*stack).MajorFunction);
        let table = &raw const (*driver).MajorFunction;
        let routine = (*table).get(major).copied().flatten();
        let routine = routine
            .map_or(super::device::invalid_device_request as *const (), |routine| routine as *const ());
        let routine = routine.expose_provenance();
        (routine, kernel().io.driver_at(routine).map(|driver| driver.id), is_set_power(&*stack))
    };
    let status = as_driver(owner, routine as u64, || {
        if sets_power {
            crate::rule::call::handles_set_power();
        }
        let (device, irp) = (device.expose_provenance() as u64, irp.expose_provenance() as u64);
        // SAFETY: the dispatch routine that the driver has set.
        let call = || unsafe { machine::call2(routine, device, irp) };
        // The kernel's own file system is nobody's to be stressed.
        if owner.is_some() { crate::stress::invoke(call) } else { call() }
    });
    NTSTATUS::from_u32(low(status))
}

/// Whether a driver is asked to change a power state.
fn is_set_power(stack: &IO_STACK_LOCATION) -> bool {
    stack.MajorFunction == nt_abi::IRP_MJ_POWER && stack.MinorFunction == nt_abi::IRP_MN_SET_POWER
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or_default()
}

/// Sends a request to the driver of a device. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: as this routine.
    unsafe { IofCallDriver(device, irp) }
}

/// Says that a driver is done with a request: the drivers above it are told, then who sent it. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IofCompleteRequest(irp: *mut IRP, _boost: i8) {
    // SAFETY: a driver's request; a bad pointer faults as on Windows.
    unsafe {
        if (*irp).CurrentLocation > (*irp).StackCount + 1 || (*irp).Type != IO_TYPE_IRP {
            machine::bug_check(COMPLETED_TWICE, irp.addr() as u64, 0xD62, 0, 0);
        }
        if (*irp).IoStatus.Status == nt_abi::STATUS_PENDING {
            let message = "completes a request with STATUS_PENDING, which is no status to end with";
            // MULTIPLE_IRP_COMPLETE_REQUESTS is how that ends under Windows.
            kernel().finding(
                &crate::rule::IO_01,
                message,
                Some((COMPLETED_TWICE, [irp.addr() as u64, 0, 0, 0])),
            );
        }
        while (*irp).CurrentLocation <= (*irp).StackCount {
            let stack = &mut *(*irp).Tail.Overlay.CurrentStackLocation;
            (*irp).CurrentLocation += 1;
            (*irp).Tail.Overlay.CurrentStackLocation = (*irp).Tail.Overlay.CurrentStackLocation.add(1);
            (*irp).PendingReturned = u8::from(stack.Control & SL_PENDING_RETURNED != 0);
            let status = (*irp).IoStatus.Status;
            if !status.is_success() {
                stack.Control |= SL_ERROR_RETURNED;
            }
            let wanted = (status.is_success() && stack.Control & SL_INVOKE_ON_SUCCESS != 0)
                || (!status.is_success() && stack.Control & SL_INVOKE_ON_ERROR != 0)
                || ((*irp).Cancel != 0 && stack.Control & SL_INVOKE_ON_CANCEL != 0);
            let (routine, context) = (stack.CompletionRoutine, stack.Context);
            let sets_power = is_set_power(stack);
            let (mut above, pending) = (std::ptr::null_mut(), (*irp).PendingReturned != 0);
            let is_last = (*irp).CurrentLocation > (*irp).StackCount;
            if !is_last {
                above = current_location(irp).DeviceObject;
            }
            stack.Control &= SL_PENDING_RETURNED | SL_ERROR_RETURNED;
            match routine.filter(|_| wanted) {
                Some(routine) => {
                    let routine = (routine as *const ()).expose_provenance();
                    if completion(routine, above, irp, context, sets_power) == STATUS_MORE_PROCESSING_REQUIRED
                    {
                        return;
                    }
                }
                None if pending && !is_last => current_location(irp).Control |= SL_PENDING_RETURNED,
                None => {}
            }
        }
        end(irp);
    }
}

/// Calls a completion routine.
///
/// # Safety
/// The routine is what a driver has set.
unsafe fn completion(
    routine: usize,
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut std::ffi::c_void,
    sets_power: bool,
) -> NTSTATUS {
    let owner = kernel().io.driver_at(routine).map(|driver| driver.id);
    let arguments = [device.expose_provenance(), irp.expose_provenance(), context.expose_provenance()];
    let [device, irp, context] = arguments.map(|argument| argument as u64);
    let status = as_driver(owner, routine as u64, || {
        if sets_power {
            crate::rule::call::handles_set_power();
        }
        // SAFETY: by this function's contract.
        unsafe { machine::call3(routine, device, irp, context) }
    });
    NTSTATUS::from_u32(low(status))
}

/// What the I/O manager does once the last driver is done: gives the answer to who asked, and frees the request.
///
/// # Safety
/// `irp` is a request that no driver has any more.
unsafe fn end(irp: *mut IRP) {
    // SAFETY: by this function's contract; its buffers are the sender's, who waits for it.
    unsafe {
        let packet = &mut *irp;
        if packet.Flags & ASSOCIATED != 0 {
            let master = packet.AssociatedIrp.MasterIrp;
            free(irp.addr(), IRP_TAG);
            (*master).AssociatedIrp.IrpCount -= 1;
            if (*master).AssociatedIrp.IrpCount == 0 {
                IofCompleteRequest(master, 0);
            }
            return;
        }
        let status = packet.IoStatus.Status;
        let system = packet.AssociatedIrp.SystemBuffer.cast::<u8>();
        if packet.Flags & BUFFERED_IO != 0 {
            let copies = packet.Flags & INPUT_OPERATION != 0 && status.as_u32() >> 30 != 3;
            if copies && !packet.UserBuffer.is_null() && !system.is_null() {
                packet.UserBuffer.cast::<u8>().copy_from_nonoverlapping(system, packet.IoStatus.Information);
            }
            if packet.Flags & DEALLOCATE_BUFFER != 0 && !system.is_null() {
                free(system.addr(), BUFFER_TAG);
            }
        }
        if packet.AllocationFlags & OWN_MDL != 0 {
            super::build::free_mdl(packet.MdlAddress);
        }
        if !packet.UserIosb.is_null() {
            packet.UserIosb.write_unaligned(packet.IoStatus);
        }
        let (event, information) = (packet.UserEvent, packet.IoStatus.Information);
        let awaited = packet.AllocationFlags & AWAITED != 0;
        // The reference that `tell_of_end` gave to the packet.
        let completion = awaited.then(|| {
            Arc::from_raw(
                packet.Overlay.AsynchronousParameters.UserApcContext.cast::<Completion>().cast_const(),
            )
        });
        let kept = completion.as_ref().is_some_and(|completion| !completion.packet().is_null());
        if kept {
            // A second completion finds it as NT leaves it.
            packet.CurrentLocation = packet.StackCount.wrapping_add(2);
        } else {
            free(irp.addr(), IRP_TAG);
        }
        if !event.is_null() {
            super::wait::set_event(event);
        }
        if let Some(completion) = completion {
            completion.end(status, information);
        }
        if kept {
            kernel().io.requests.one_has_ended();
        }
    }
}

/// Completes a request with a status, which it returns.
///
/// # Safety
/// `irp` is a request that the caller has.
pub(super) unsafe fn finish(irp: *mut IRP, status: NTSTATUS, information: usize) -> NTSTATUS {
    // SAFETY: by this function's contract.
    unsafe {
        (*irp).IoStatus = nt_abi::IO_STATUS_BLOCK { Status: status, Information: information };
        IofCompleteRequest(irp, 0);
    }
    status
}

/// 0, or the number of the processor that has the cancel spin lock, and one more.
static CANCEL_LOCK: AtomicU32 = AtomicU32::new(0);

/// This processor, as the cancel spin lock knows it.
fn this_processor() -> u32 {
    machine::Kpcr::current().number() + 1
}

/// Takes the lock that guards the cancel routines of all requests. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoAcquireCancelSpinLock(irql: *mut KIRQL) {
    let before = machine::irql::raise(Irql::DISPATCH);
    let me = this_processor();
    while let Err(owner) = CANCEL_LOCK.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
        machine::platform().block(&CANCEL_LOCK, owner, None);
    }
    // SAFETY: a driver's pointer.
    unsafe { irql.write(before.level()) };
}

/// Gives the lock back that guards the cancel routines of all requests. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoReleaseCancelSpinLock(irql: KIRQL) {
    release_cancel_lock();
    machine::irql::lower(Irql::new(irql));
}

fn release_cancel_lock() {
    CANCEL_LOCK.store(0, Ordering::Release);
    machine::platform().wake(&CANCEL_LOCK, 1);
}

/// Cancels a request: marks it, and calls its cancel routine where it has one. Source: DDI.
#[export(irql <= DISPATCH)]
pub unsafe extern "win64" fn IoCancelIrp(irp: *mut IRP) -> u8 {
    let mut irql = 0;
    // SAFETY: a driver's request, kept alive by its caller.
    unsafe {
        IoAcquireCancelSpinLock(&mut irql);
        (&raw mut (*irp).Cancel).write_volatile(1);
        // Drivers take it out with the interlocked exchange that IoSetCancelRoutine is, some without this lock.
        let routine = AtomicPtr::from_ptr((&raw mut (*irp).CancelRoutine).cast::<*mut ()>())
            .swap(std::ptr::null_mut(), Ordering::AcqRel);
        if routine.is_null() {
            IoReleaseCancelSpinLock(irql);
            return 0;
        }
        (*irp).CancelIrql = irql;
        let has_location = (*irp).CurrentLocation <= (*irp).StackCount;
        let device = if has_location { current_location(irp).DeviceObject } else { std::ptr::null_mut() };
        call_cancel_routine(routine.expose_provenance(), device, irp, Irql::new(irql));
    }
    1
}

/// Calls a cancel routine, which gives the cancel spin lock back and so returns at `level`.
///
/// # Safety
/// The routine is what a driver has set; the lock is this processor's.
unsafe fn call_cancel_routine(routine: usize, device: *mut DEVICE_OBJECT, irp: *mut IRP, level: Irql) {
    let kernel = kernel();
    let owner = kernel.io.driver_at(routine).map(|driver| driver.id);
    let thread = crate::ps::thread::current();
    let apcs = thread.map(ApcDisable::of);
    as_driver(owner, routine as u64, || {
        // SAFETY: by this function's contract.
        unsafe { machine::call2(routine, device.expose_provenance() as u64, irp.expose_provenance() as u64) };
        if let (Some(thread), Some(apcs)) = (thread, apcs) {
            crate::ps::check_balance(kernel, thread, (level, apcs), routine as u64, "a cancel routine");
        }
    });
    if CANCEL_LOCK.load(Ordering::Relaxed) == this_processor() {
        // Said already, as the IRQL was the lock's: the next one that cancels must not wait for ever.
        release_cancel_lock();
    }
}
