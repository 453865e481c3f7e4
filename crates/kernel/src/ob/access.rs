//! Rights: what generic ones come to for each type of object.

use nt_abi::{
    FILE_ALL_ACCESS, FILE_GENERIC_EXECUTE, FILE_GENERIC_READ, FILE_GENERIC_WRITE, GENERIC_ALL,
    GENERIC_EXECUTE, GENERIC_MAPPING, GENERIC_READ, GENERIC_WRITE, KEY_ALL_ACCESS, KEY_READ, KEY_WRITE,
    MAXIMUM_ALLOWED,
};

/// Keys.
pub(crate) const KEY: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: KEY_READ,
    GenericWrite: KEY_WRITE,
    GenericExecute: KEY_READ,
    GenericAll: KEY_ALL_ACCESS,
};
/// Files.
pub(crate) const FILE: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: FILE_GENERIC_READ,
    GenericWrite: FILE_GENERIC_WRITE,
    GenericExecute: FILE_GENERIC_EXECUTE,
    GenericAll: FILE_ALL_ACCESS,
};
/// Processes.
pub(crate) const PROCESS: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0410,
    GenericWrite: 0x0002_0BEA,
    GenericExecute: 0x0012_1001,
    GenericAll: 0x001F_FFFF,
};
/// Threads.
pub(crate) const THREAD: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0848,
    GenericWrite: 0x0002_0437,
    GenericExecute: 0x0012_1800,
    GenericAll: 0x001F_FFFF,
};
/// Directories, symbolic links, events: all that their owner can do.
pub(crate) const OTHER: GENERIC_MAPPING = GENERIC_MAPPING {
    GenericRead: 0x0002_0003,
    GenericWrite: 0x0002_000C,
    GenericExecute: 0x0012_0003,
    GenericAll: 0x001F_000F,
};

/// The rights that a request comes to: whoever asks is the kernel, so it gets what it asks for.
pub(crate) fn granted(access: u32, mapping: &GENERIC_MAPPING) -> u32 {
    let generic = [
        (GENERIC_READ, mapping.GenericRead),
        (GENERIC_WRITE, mapping.GenericWrite),
        (GENERIC_EXECUTE, mapping.GenericExecute),
        (GENERIC_ALL | MAXIMUM_ALLOWED, mapping.GenericAll),
    ];
    let specific = access & !(GENERIC_READ | GENERIC_WRITE | GENERIC_EXECUTE | GENERIC_ALL | MAXIMUM_ALLOWED);
    generic
        .iter()
        .filter(|(right, _)| access & right != 0)
        .fold(specific, |rights, (_, means)| rights | means)
}

/// What generic rights mean for files, as a variable that drivers are given the address of.
pub(crate) static FILE_MAPPING: GENERIC_MAPPING = FILE;
