//! `OBJECT_ATTRIBUTES`: how a driver names what it opens.

use nt_abi::{
    HANDLE, NTSTATUS, OBJ_VALID_ATTRIBUTES, OBJECT_ATTRIBUTES, STATUS_ACCESS_VIOLATION,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_INVALID, UNICODE_STRING,
};

/// What a driver passed, read once.
#[derive(Debug)]
pub(crate) struct Attributes {
    /// What the name is relative to; null where it is absolute.
    pub(crate) root: HANDLE,
    /// The name; `None` where there is none.
    pub(crate) name: Option<Vec<u16>>,
    /// `OBJ_…`.
    pub(crate) flags: u32,
}

impl Attributes {
    /// Reads a driver's structure.
    ///
    /// # Errors
    /// STATUS_INVALID_PARAMETER where it is none, STATUS_OBJECT_NAME_INVALID where its name has half a character.
    ///
    /// # Safety
    /// The pointers are a driver's, valid as the documentation of its routine asks; bad ones fault as on Windows.
    pub(crate) unsafe fn read(from: *const OBJECT_ATTRIBUTES) -> Result<Self, NTSTATUS> {
        if from.is_null() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // SAFETY: by this function's contract; every bit pattern is a value of the structure.
        let given = unsafe { from.read_unaligned() };
        if given.Length as usize != size_of::<OBJECT_ATTRIBUTES>()
            || given.Attributes & !OBJ_VALID_ATTRIBUTES != 0
        {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let name = if given.ObjectName.is_null() {
            None
        } else {
            // SAFETY: as above.
            Some(unsafe { units_of(given.ObjectName) }?)
        };
        Ok(Self { root: given.RootDirectory, name, flags: given.Attributes })
    }

    /// The name, empty where there is none.
    pub(crate) fn name(&self) -> &[u16] {
        self.name.as_deref().unwrap_or_default()
    }
}

/// The units of a counted string of a driver.
///
/// # Errors
/// STATUS_OBJECT_NAME_INVALID where it has half a character, STATUS_ACCESS_VIOLATION where it has no buffer.
///
/// # Safety
/// As for [`Attributes::read`].
pub(crate) unsafe fn units_of(string: *const UNICODE_STRING) -> Result<Vec<u16>, NTSTATUS> {
    // SAFETY: by this function's contract.
    let string = unsafe { string.read_unaligned() };
    if !string.Length.is_multiple_of(2) {
        return Err(STATUS_OBJECT_NAME_INVALID);
    }
    if string.Length == 0 {
        return Ok(Vec::new());
    }
    if string.Buffer.is_null() {
        return Err(STATUS_ACCESS_VIOLATION);
    }
    // SAFETY: as above: the buffer has as many bytes as the string says.
    Ok(unsafe { std::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) }.to_vec())
}
