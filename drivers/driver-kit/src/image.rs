//! Image notices: [`ImageNotify`], [`ImageHandler`], [`ImageLoaded`].

use core::ffi::c_void;
use core::mem::{ManuallyDrop, offset_of};
use core::ptr::NonNull;

use crate::abi::{Handle, ImageInfo, ImageInfoEx, ImageRoutine, UnicodeString};
use crate::routine::{SLOTS, Shared, Slots};
use crate::{NtStatus, NtStr, Pid, dbg_error, nt};

/// What is told of images. Called at PASSIVE_LEVEL inside a critical region, sometimes with all APCs
/// off, from any number of threads at once.
///
/// A handler must not drop the guard it is registered through: the removal would wait for this very
/// call, for ever.
pub trait ImageHandler: Send + Sync + 'static {
    /// An image was mapped; nothing of it has run.
    fn loaded(&self, notice: &ImageLoaded<'_>);
}

/// An image was mapped.
pub struct ImageLoaded<'call> {
    name: Option<&'call NtStr>,
    pid: Option<Pid>,
    info: &'call ImageInfo,
    file_object: Option<NonNull<c_void>>,
}

impl<'call> ImageLoaded<'call> {
    /// The image's full name, if NT could obtain it.
    #[must_use]
    pub fn full_image_name(&self) -> Option<&'call NtStr> {
        self.name
    }

    /// The process that it was mapped into; `None` for a kernel image, such as a driver.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Where it begins, as an address in that process.
    #[must_use]
    pub fn base(&self) -> usize {
        self.info.base.addr()
    }

    /// Its size in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.info.size
    }

    /// What else is known of it.
    #[must_use]
    pub fn properties(&self) -> ImageProperties {
        ImageProperties(self.info.properties)
    }

    /// The `FILE_OBJECT` behind it, when NT gives extended information. Valid during the call.
    #[must_use]
    pub fn file_object(&self) -> Option<NonNull<c_void>> {
        self.file_object
    }
}

/// The `Properties` word of `IMAGE_INFO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageProperties(u32);

impl ImageProperties {
    /// The word itself.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Always 3, `IMAGE_ADDRESSING_MODE_32BIT`, even for 64-bit images.
    #[must_use]
    pub const fn addressing_mode(self) -> u32 {
        self.0 & 0xFF
    }

    /// A kernel image.
    #[must_use]
    pub const fn is_system_mode(self) -> bool {
        self.0 & 1 << 8 != 0
    }

    /// The notice is inside an `IMAGE_INFO_EX`.
    #[must_use]
    pub const fn has_extended_info(self) -> bool {
        self.0 & 1 << 10 != 0
    }

    /// The image is for another architecture than the process.
    #[must_use]
    pub const fn has_machine_type_mismatch(self) -> bool {
        self.0 & 1 << 11 != 0
    }

    /// Code integrity's signing level (`SE_SIGNING_LEVEL_…`, 0 to 15).
    #[must_use]
    pub const fn signature_level(self) -> u32 {
        self.0 >> 12 & 0xF
    }

    /// Code integrity's signature type (`SE_IMAGE_SIGNATURE_TYPE`, 0 to 7).
    #[must_use]
    pub const fn signature_type(self) -> u32 {
        self.0 >> 16 & 0x7
    }

    /// The view maps a part of the image only.
    #[must_use]
    pub const fn is_partial_map(self) -> bool {
        self.0 & 1 << 19 != 0
    }
}

static HANDLERS: Slots<dyn ImageHandler> = Slots::new();
static ROUTINES: [ImageRoutine; SLOTS] = [routine::<0>, routine::<1>, routine::<2>, routine::<3>];

/// Leads a call of NT to the handler of its slot.
///
/// # Safety
/// Called by NT under the contract of `PLOAD_IMAGE_NOTIFY_ROUTINE`.
unsafe extern "system" fn routine<const SLOT: usize>(
    name: *const UnicodeString,
    pid: Handle,
    info: *mut ImageInfo,
) {
    // SAFETY: this is the routine of that slot, and the borrow ends with it.
    let handler = unsafe { HANDLERS.handler(SLOT) };
    // SAFETY: NT gives a structure that is valid for the call.
    let (Some(handler), Some(seen)) = (handler, unsafe { info.as_ref() }) else { return };
    let file_object = if ImageProperties(seen.properties).has_extended_info() {
        // SAFETY: the flag says that an IMAGE_INFO_EX surrounds the structure.
        let extended = unsafe { info.byte_sub(offset_of!(ImageInfoEx, info)) }.cast::<ImageInfoEx>();
        // SAFETY: as above; the field is read, not borrowed.
        NonNull::new(unsafe { (*extended).file_object })
    } else {
        None
    };
    handler.loaded(&ImageLoaded {
        // SAFETY: null, or valid for the call.
        name: unsafe { NtStr::from_counted(name) },
        pid: (!pid.is_null()).then(|| Pid::from_handle(pid)),
        info: seen,
        file_object,
    });
}

/// Keeps a handler registered for image notices. Dropping it removes the routine, waits for the calls
/// that are under way, and then drops the handler.
#[must_use = "dropping it removes the routine"]
pub struct ImageNotify<P: Shared<Target: ImageHandler>> {
    slot: usize,
    handler: ManuallyDrop<P>,
}

impl<P: Shared<Target: ImageHandler>> ImageNotify<P> {
    /// Registers (`PsSetLoadImageNotifyRoutine`). The handler may be called before this returns.
    ///
    /// IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES if NT's table is full, or if this driver has four such guards
    /// already.
    pub fn register(handler: P) -> Result<Self, NtStatus> {
        let target: &dyn ImageHandler = &*handler;
        let slot = HANDLERS.take(NonNull::from(target))?;
        // SAFETY: the routine lives as long as the driver, its slot is filled, and the guard (or
        // `remove_all`) removes it before the driver goes.
        let status = NtStatus::from_raw(unsafe { nt::PsSetLoadImageNotifyRoutine(ROUTINES[slot]) });
        if let Err(status) = status.ok() {
            // SAFETY: taken above, and not registered.
            unsafe { HANDLERS.release(slot) };
            return Err(status);
        }
        Ok(Self { slot, handler: ManuallyDrop::new(handler) })
    }
}

impl<P: Shared<Target: ImageHandler>> Drop for ImageNotify<P> {
    fn drop(&mut self) {
        if remove(self.slot) {
            // SAFETY: the routine is gone, so nobody uses the handler; it is dropped this once.
            unsafe { ManuallyDrop::drop(&mut self.handler) };
        }
    }
}

/// As for processes: if NT refuses, routine, slot and handler stay.
fn remove(slot: usize) -> bool {
    // SAFETY: IRQL ≤ APC_LEVEL and not inside this very routine, by the contract of the guard.
    let status = NtStatus::from_raw(unsafe { nt::PsRemoveLoadImageNotifyRoutine(ROUTINES[slot]) });
    if status.is_success() {
        // SAFETY: the slot was taken by the guard that is going, and its routine is gone.
        unsafe { HANDLERS.release(slot) };
    } else {
        dbg_error!("driver-kit: an image routine could not be removed: {status}");
    }
    status.is_success()
}

/// Removes what leaked guards (`mem::forget`) left registered.
pub(crate) fn remove_all() {
    for slot in (0..SLOTS).filter(|&slot| HANDLERS.is_taken(slot)) {
        remove(slot);
    }
}
