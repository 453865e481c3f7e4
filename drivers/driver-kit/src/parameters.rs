//! [`Parameters`]: the values that an administrator set for the driver.

use core::ffi::c_void;
use core::mem::size_of;
use core::ptr;

use crate::abi::{self, Handle, ObjectAttributes, UnicodeString, ValueHeader};
use crate::{NtStatus, NtStr, nt};

/// The open `Parameters` key below a driver's service key.
///
/// IRQL of everything here: PASSIVE_LEVEL.
pub struct Parameters {
    key: Key,
}

impl Parameters {
    /// Opens the key; `None` if there is none.
    ///
    /// # Errors
    /// What `ZwOpenKey` said, except that a missing key is no error.
    pub fn open(registry_path: &NtStr) -> Result<Option<Self>, NtStatus> {
        let opened = Key::open(None, registry_path)
            .and_then(|service| Key::open(Some(&service), NtStr::from_units(PARAMETERS)));
        match opened {
            Ok(key) => Ok(Some(Self { key })),
            Err(NtStatus::OBJECT_NAME_NOT_FOUND) => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// A `REG_DWORD`; `None` if there is no such value.
    ///
    /// # Errors
    /// STATUS_OBJECT_TYPE_MISMATCH for a value of another type, STATUS_INVALID_PARAMETER for a name of
    /// more than 64 characters, else what `ZwQueryValueKey` said.
    pub fn dword(&self, name: &str) -> Result<Option<u32>, NtStatus> {
        let mut value = [0; size_of::<ValueHeader>() + size_of::<u32>()];
        // A longer value of another type overflows the buffer, but its header is there all the same.
        let header = match self.key.query(name, &mut value) {
            Err(NtStatus::OBJECT_NAME_NOT_FOUND) => return Ok(None),
            Err(NtStatus::BUFFER_OVERFLOW) => return Err(NtStatus::OBJECT_TYPE_MISMATCH),
            other => other?,
        };
        match value.last_chunk() {
            Some(&data) if header.kind == abi::REG_DWORD && header.data_length == 4 => {
                Ok(Some(u32::from_le_bytes(data)))
            }
            _ => Err(NtStatus::OBJECT_TYPE_MISMATCH),
        }
    }

    /// A list of strings: the members of a `REG_MULTI_SZ`, or those of a `REG_SZ` in which `;`
    /// separates them. Empty members are left out; a missing value is an empty list.
    ///
    /// # Errors
    /// As [`dword`](Self::dword).
    #[cfg(feature = "alloc")]
    pub fn strings(&self, name: &str) -> Result<alloc::vec::Vec<crate::NtString>, NtStatus> {
        let mut value = alloc::vec![0_u8; 512];
        let header = loop {
            match self.key.query(name, &mut value) {
                Err(NtStatus::OBJECT_NAME_NOT_FOUND) => return Ok(alloc::vec![]),
                // Somebody may lengthen the value between two looks, so look again until it fits; the
                // registry keeps no value beyond a megabyte in practice.
                Err(NtStatus::BUFFER_OVERFLOW | NtStatus::BUFFER_TOO_SMALL) if value.len() < 1 << 21 => {
                    value.resize(value.len() * 4, 0);
                }
                other => break other?,
            }
        };
        let length = usize::try_from(header.data_length).unwrap_or(usize::MAX);
        let data = value.get(size_of::<ValueHeader>()..).unwrap_or_default();
        let data = data.get(..length).unwrap_or(data);
        let units: alloc::vec::Vec<u16> =
            data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let separator = match header.kind {
            abi::REG_MULTI_SZ => 0,
            abi::REG_SZ | abi::REG_EXPAND_SZ => u16::from(b';'),
            _ => return Err(NtStatus::OBJECT_TYPE_MISMATCH),
        };
        Ok(units
            .split(|&unit| unit == separator || unit == 0)
            .filter(|member| !member.is_empty())
            .map(|member| NtStr::from_units(member).to_owned())
            .collect())
    }
}

const PARAMETERS: &[u16] = &{
    let mut units = [0; 10];
    let mut i = 0;
    while i < units.len() {
        units[i] = b"Parameters"[i] as u16;
        i += 1;
    }
    units
};

/// An open key, closed when dropped.
struct Key(Handle);

impl Key {
    fn open(root: Option<&Key>, name: &NtStr) -> Result<Self, NtStatus> {
        let name = counted(name.units())?;
        let attributes = ObjectAttributes {
            length: 0x30,
            root_directory: root.map_or(ptr::null_mut(), |key| key.0),
            object_name: &raw const name,
            attributes: abi::OBJ_CASE_INSENSITIVE | abi::OBJ_KERNEL_HANDLE,
            security_descriptor: ptr::null_mut(),
            security_quality_of_service: ptr::null_mut(),
        };
        let mut key = ptr::null_mut();
        // SAFETY: all pointers are to locals that outlive the call.
        let status = unsafe { nt::ZwOpenKey(&raw mut key, abi::KEY_READ, &raw const attributes) };
        NtStatus::from_raw(status).ok().map(|()| Self(key))
    }

    /// Reads a value as `KEY_VALUE_PARTIAL_INFORMATION` into `value`.
    fn query(&self, name: &str, value: &mut [u8]) -> Result<ValueHeader, NtStatus> {
        let mut units = [0; 64];
        let mut length = 0;
        for unit in name.encode_utf16() {
            *units.get_mut(length).ok_or(NtStatus::INVALID_PARAMETER)? = unit;
            length += 1;
        }
        let name = counted(&units[..length])?;
        let room = u32::try_from(value.len()).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        let mut used = 0;
        // SAFETY: the key is open, and all pointers are to memory that outlives the call, `value` of
        // `room` bytes.
        let status = unsafe {
            nt::ZwQueryValueKey(
                self.0,
                &raw const name,
                abi::KEY_VALUE_PARTIAL_INFORMATION,
                value.as_mut_ptr().cast::<c_void>(),
                room,
                &raw mut used,
            )
        };
        NtStatus::from_raw(status).ok()?;
        let word = |at: usize| {
            let bytes = value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or(NtStatus::INVALID_PARAMETER)
        };
        Ok(ValueHeader { title_index: word(0)?, kind: word(4)?, data_length: word(8)? })
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and closed this once.
        unsafe { nt::ZwClose(self.0) };
    }
}

/// A `UNICODE_STRING` of these units, which must outlive it.
fn counted(units: &[u16]) -> Result<UnicodeString, NtStatus> {
    let length = u16::try_from(size_of_val(units)).map_err(|_| NtStatus::INVALID_PARAMETER)?;
    Ok(UnicodeString { length, maximum_length: length, buffer: units.as_ptr() })
}
