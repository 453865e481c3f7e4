//! Which driver images are loaded where, and which were.
//!
//! Read by signal handlers and while an exception is dispatched, therefore without locks: an entry is
//! a leaked, immutable structure behind an atomic pointer. Loading is rare, so nothing is ever freed.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// One loaded image.
#[derive(Clone, Debug)]
pub struct LoadedImage {
    /// File name, as reports show it.
    pub name: Box<str>,
    /// Where it is mapped.
    pub base: usize,
    /// Bytes from `base` that belong to it.
    pub size: usize,
    /// Offset from `base` of the sorted table of `RUNTIME_FUNCTION`s; 0 when it has none.
    pub function_table: u32,
    /// Entries of that table.
    pub function_count: u32,
    /// The driver that it belongs to, as the supervisor numbers them.
    pub driver: u64,
}

impl LoadedImage {
    /// Whether an address lies in the image.
    pub fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base) < self.size
    }
}

/// The registry is full or the image is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No free entry.
    #[error("{MAX_IMAGES} driver images are loaded already; unload one before `{0}`")]
    TooMany(Box<str>),
    /// The range overlaps another image, is empty, or its table lies outside.
    #[error("the image `{name}` at {base:#x} (size {size:#x}) {why}")]
    Invalid {
        /// Its name.
        name: Box<str>,
        /// Where it is.
        base: usize,
        /// How long it is.
        size: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// How many images can be loaded at once.
pub const MAX_IMAGES: usize = 256;
/// How many unloaded images are remembered; NT's kernel remembers 50.
pub const MAX_UNLOADED: usize = 64;

const RUNTIME_FUNCTION_SIZE: usize = 12;

static LOADED: [AtomicPtr<LoadedImage>; MAX_IMAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_IMAGES];
/// Entries at and above this index have never been used.
static HIGH_WATER: AtomicUsize = AtomicUsize::new(0);
static UNLOADED: [AtomicPtr<LoadedImage>; MAX_UNLOADED] =
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_UNLOADED];
static UNLOADED_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Makes an image known: from now on a fault in it is the driver's.
///
/// # Safety
/// The range stays mapped, and its function table and unwind data readable and unchanged, until
/// [`unregister`].
///
/// # Errors
/// See [`ImageError`].
pub unsafe fn register(image: LoadedImage) -> Result<&'static LoadedImage, ImageError> {
    let invalid =
        |why| ImageError::Invalid { name: image.name.clone(), base: image.base, size: image.size, why };
    if image.size == 0 || image.base.checked_add(image.size).is_none() {
        return Err(invalid("has no valid range"));
    }
    let table_end =
        (image.function_table as usize).saturating_add(image.function_count as usize * RUNTIME_FUNCTION_SIZE);
    if table_end > image.size {
        return Err(invalid("has a function table that ends outside of it"));
    }
    if loaded().any(|other| other.base < image.base + image.size && image.base < other.base + other.size) {
        return Err(invalid("overlaps another image"));
    }
    let name = image.name.clone();
    let entry = Box::into_raw(Box::new(image));
    for (index, slot) in LOADED.iter().enumerate() {
        if slot.compare_exchange(ptr::null_mut(), entry, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            HIGH_WATER.fetch_max(index + 1, Ordering::SeqCst);
            // SAFETY: leaked, so it lives for ever; nobody writes to it.
            return Ok(unsafe { &*entry });
        }
    }
    // SAFETY: made by Box::into_raw above and published nowhere.
    drop(unsafe { Box::from_raw(entry) });
    Err(ImageError::TooMany(name))
}

/// Forgets the image that starts at `base`, but remembers where it was; `false` when there is none.
pub fn unregister(base: usize) -> bool {
    for slot in &LOADED {
        let entry = slot.load(Ordering::SeqCst);
        // SAFETY: null or a leaked entry.
        let found = unsafe { entry.as_ref() }.is_some_and(|image| image.base == base);
        if found && slot.compare_exchange(entry, ptr::null_mut(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            let index = UNLOADED_COUNT.fetch_add(1, Ordering::SeqCst) % MAX_UNLOADED;
            UNLOADED[index].store(entry, Ordering::SeqCst);
            return true;
        }
    }
    false
}

/// All images that are loaded.
pub fn loaded() -> impl Iterator<Item = &'static LoadedImage> {
    let used = HIGH_WATER.load(Ordering::SeqCst).min(MAX_IMAGES);
    // SAFETY: null or a leaked entry that nobody writes to.
    LOADED[..used].iter().filter_map(|slot| unsafe { slot.load(Ordering::SeqCst).as_ref() })
}

/// The loaded image that an address lies in. Safe in a signal handler.
pub fn find(address: usize) -> Option<&'static LoadedImage> {
    loaded().find(|image| image.contains(address))
}

/// The image that an address lay in, the latest first, if no loaded one has taken its place.
pub fn find_unloaded(address: usize) -> Option<&'static LoadedImage> {
    if find(address).is_some() {
        return None;
    }
    let count = UNLOADED_COUNT.load(Ordering::SeqCst);
    (0..count.min(MAX_UNLOADED))
        // SAFETY: null or a leaked entry that nobody writes to.
        .filter_map(|back| unsafe {
            UNLOADED[(count - 1 - back) % MAX_UNLOADED].load(Ordering::SeqCst).as_ref()
        })
        .find(|image| image.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(base: usize) -> LoadedImage {
        LoadedImage {
            name: "a.sys".into(),
            base,
            size: 0x1000,
            function_table: 0,
            function_count: 0,
            driver: 1,
        }
    }

    #[test]
    fn r_unl_02_an_unloaded_image_is_remembered() {
        let base = 0x5000_0000_0000;
        // SAFETY: without a function table nothing is read from the range.
        unsafe { register(image(base)) }.unwrap();
        assert!(find(base + 0xFFF).is_some());
        assert!(find(base + 0x1000).is_none());
        assert!(find_unloaded(base).is_none());
        assert!(unregister(base));
        assert!(!unregister(base));
        assert!(find(base).is_none());
        assert_eq!(find_unloaded(base + 5).map(|image| &*image.name), Some("a.sys"));
    }

    #[test]
    fn overlaps_and_tables_outside_are_refused() {
        let base = 0x5000_1000_0000;
        // SAFETY: without a function table nothing is read from the range.
        unsafe { register(image(base)) }.unwrap();
        // SAFETY: as above.
        assert!(matches!(unsafe { register(image(base + 0xFFF)) }, Err(ImageError::Invalid { .. })));
        let table = LoadedImage { function_table: 0xFF8, function_count: 1, ..image(base + 0x2000) };
        // SAFETY: refused, so nothing is read.
        assert!(matches!(unsafe { register(table) }, Err(ImageError::Invalid { .. })));
        unregister(base);
    }
}
