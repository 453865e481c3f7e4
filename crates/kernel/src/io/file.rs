//! File objects of images: what `PS_CREATE_NOTIFY_INFO.FileObject` and `IMAGE_INFO_EX.FileObject` point to.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use event::Name;
use nt_abi::{DEVICE_OBJECT, FILE_OBJECT, UNICODE_STRING};

use super::driver::Driver;
use crate::ob::object::Object;
use crate::ob::{self, ObjectType, Ref};

/// The type of files: `*IoFileObjectType`.
pub static FILE_TYPE: ObjectType =
    ObjectType { name: "File", size: size_of::<ImageFile>(), delete: Some(delete) };

/// A file object, with what the kernel knows of the file behind it.
#[repr(C)]
#[derive(Debug)]
pub struct ImageFile {
    file: FILE_OBJECT,
    /// The whole name, in device form.
    pub(crate) name: Name<'static>,
    /// What `file.FileName` points to: the name on its volume, NUL-terminated.
    units: Vec<u16>,
    /// Whether a driver has it open, and is to be told when it is closed.
    open: bool,
    /// Whether it keeps its device: files of images do not, as the volume is always there.
    keeps_device: bool,
    /// The driver of the device it was opened on.
    driver: Option<&'static Driver>,
    /// The file it was opened relative to, kept for as long as it.
    related: Option<Ref<Object>>,
}

// SAFETY: what drivers may change of it they change under their own rules; the kernel's part is not changed while
// anybody else holds a reference.
unsafe impl Sync for ImageFile {}
// SAFETY: plain memory.
unsafe impl Send for ImageFile {}

impl ImageFile {
    /// A new file object, opened for execution.
    pub(crate) fn open(name: &Name<'_>) -> Ref<Self> {
        let object: NonNull<Self> = ob::create(&FILE_TYPE, 0);
        let body = Self {
            file: FILE_OBJECT::default(),
            name: Name::default(),
            units: Vec::new(),
            open: false,
            keeps_device: false,
            driver: None,
            related: None,
        };
        // SAFETY: new, of the right size, and nobody else has it.
        unsafe { object.write(body) };
        // SAFETY: the one reference it was created with; nobody else has the object, so it may be filled in.
        unsafe {
            (*object.as_ptr()).set(name);
            Ref::adopt(object)
        }
    }

    /// The file object of `name` for one notification: that of the last one where no driver has kept it,
    /// so that the notification path allocates only when the name outgrows the buffers.
    pub(crate) fn reuse<'a>(kept: &'a mut Option<Ref<Self>>, name: &Name<'_>) -> &'a Ref<Self> {
        let file = match kept.take() {
            // SAFETY: `file` keeps the object alive.
            Some(file) if unsafe { ob::object::pointer_count(file.as_ptr()) } == 1 => {
                // SAFETY: the only reference is this one, so nobody else looks at the object.
                unsafe { (*file.as_ptr()).set(name) };
                file
            }
            _ => Self::open(name),
        };
        kept.insert(file)
    }

    fn set(&mut self, name: &Name<'_>) {
        // What filters hung on it belongs to the file that it stood for.
        crate::flt::link::file_closed(std::ptr::from_ref(self).addr());
        if self.name != *name {
            self.name = name.clone().into_owned();
            self.units.clear();
            self.units.extend(self.name.on_volume().encode_utf16().take(0x7FFE));
            self.units.push(0);
        }
        let bytes = u16::try_from(self.units.len() * 2).unwrap_or(u16::MAX - 1);
        self.file = FILE_OBJECT {
            Type: nt_abi::io::IO_TYPE_FILE,
            Size: i16::try_from(size_of::<FILE_OBJECT>()).unwrap_or_default(),
            DeviceObject: super::device::volume(),
            ReadAccess: 1,
            SharedRead: 1,
            SharedDelete: 1,
            FileName: UNICODE_STRING {
                Length: bytes.saturating_sub(2),
                MaximumLength: bytes,
                Buffer: self.units.as_mut_ptr(),
            },
            ..FILE_OBJECT::default()
        };
    }
}

impl ImageFile {
    /// A new file object on a device, not open yet. The name is what follows the device's.
    ///
    /// # Safety
    /// `device` is a live device.
    pub(super) unsafe fn on_device(
        device: *mut DEVICE_OBJECT,
        name: &[u16],
        related: Option<Ref<Object>>,
        how: &super::send::How,
    ) -> Ref<Self> {
        let file = Self::open(&Name::default());
        // SAFETY: nobody else has the file yet; the device is alive by this function's contract.
        unsafe {
            let body = &mut *file.as_ptr();
            body.units = name.iter().copied().chain([0]).collect();
            let bytes = u16::try_from(name.len() * 2).unwrap_or(u16::MAX - 1);
            body.file.FileName = UNICODE_STRING {
                Length: bytes,
                MaximumLength: bytes.saturating_add(2),
                Buffer: body.units.as_mut_ptr(),
            };
            body.file.DeviceObject = device;
            body.file.Vpb = (*device).Vpb;
            body.file.RelatedFileObject =
                related.as_ref().map_or(std::ptr::null_mut(), |file| file.as_ptr().cast());
            body.file.ReadAccess =
                u8::from(how.access & (nt_abi::FILE_READ_DATA | nt_abi::FILE_EXECUTE) != 0);
            body.file.WriteAccess =
                u8::from(how.access & (nt_abi::FILE_WRITE_DATA | nt_abi::FILE_APPEND_DATA) != 0);
            body.file.DeleteAccess = u8::from(how.access & nt_abi::DELETE != 0);
            body.file.SharedRead = u8::from(how.share & nt_abi::FILE_SHARE_READ != 0);
            body.file.SharedWrite = u8::from(how.share & nt_abi::FILE_SHARE_WRITE != 0);
            body.file.SharedDelete = u8::from(how.share & nt_abi::FILE_SHARE_DELETE != 0);
            let synchronous = nt_abi::FILE_SYNCHRONOUS_IO_ALERT | nt_abi::FILE_SYNCHRONOUS_IO_NONALERT;
            if how.options & synchronous != 0 {
                body.file.Flags |= nt_abi::FO_SYNCHRONOUS_IO;
            }
            body.related = related;
            // A device is not deleted while it is open, and its driver not unloaded.
            body.keeps_device = true;
            body.driver = crate::kernel().io.driver_of((*device).DriverObject);
            if let Some(driver) = body.driver {
                driver.usage.open_files.fetch_add(1, Ordering::Relaxed);
            }
            (*device).ReferenceCount += 1;
            Ref::share(NonNull::new_unchecked(device)).into_raw();
        }
        file
    }

    /// A driver has opened the file: it is told of the closing.
    pub(super) fn opened(file: &Ref<Self>) {
        // SAFETY: whoever opens the file has it alone until this returns.
        unsafe {
            (*file.as_ptr()).open = true;
            (*file.as_ptr()).file.Flags |= nt_abi::FO_FILE_OPEN;
        }
    }
}

impl Ref<ImageFile> {
    /// The object as drivers know it.
    pub(crate) fn as_file_object(&self) -> *mut FILE_OBJECT {
        self.as_ptr().cast()
    }
}

/// Drops what a file object holds.
///
/// # Safety
/// Called by the object manager, once, with the body of a file that nobody else can reach.
unsafe fn delete(body: *mut u8) {
    crate::flt::link::file_closed(body.addr());
    // SAFETY: by this function's contract; a file that was opened on a device has kept it alive.
    unsafe {
        let file = body.cast::<ImageFile>();
        let (device, open, on_device) = {
            let file = &*file;
            (file.file.DeviceObject, file.open, file.keeps_device)
        };
        if open {
            super::send::close(file.cast());
        }
        if on_device {
            (*device).ReferenceCount -= 1;
            ob::dereference(device);
        }
        if let Some(driver) = (*file).driver {
            driver.usage.open_files.fetch_sub(1, Ordering::Release);
        }
        file.drop_in_place();
    }
}

/// The last handle to a file was closed: IRP_MJ_CLEANUP.
pub(crate) fn last_handle_closed(file: &Ref<Object>) {
    let Some(file) = file.clone().of::<ImageFile>(&FILE_TYPE) else { return };
    if file.open {
        // SAFETY: a file that is open on its device.
        unsafe { super::send::cleanup(file.as_file_object()) };
    }
}

/// The whole name of a file: its device's and its own.
pub(crate) fn path_of(kernel: &crate::Kernel, file: &Ref<Object>) -> Vec<u16> {
    let Some(file) = file.clone().of::<ImageFile>(&FILE_TYPE) else { return Vec::new() };
    if !file.name.nt.is_empty() {
        return file.name.nt.encode_utf16().collect();
    }
    let mut path = super::device::name_of(kernel, file.file.DeviceObject);
    path.extend(crate::rtl::text_of(&file.file.FileName).encode_utf16());
    path
}
