//! What a file may ask for at most. Real drivers stay far below every limit.

/// Largest `SizeOfImage` that is accepted (512 MiB); the largest drivers are about 60 MiB.
pub const MAX_IMAGE_SIZE: u32 = 512 << 20;
/// Longest name of a module, an import or an export.
pub const MAX_NAME: usize = 4096;
/// Imports of one file, over all its modules; also bounds tables that overlap each other.
pub const MAX_IMPORTS: usize = 65_536;
/// Modules that one file imports from.
pub const MAX_IMPORT_MODULES: usize = 1024;
/// Exports of one file: an ordinal has 16 bits.
pub const MAX_EXPORTS: u32 = 65_536;
/// Bytes of names that one directory may hold: many entries can point at one long name.
pub const MAX_NAME_BYTES: usize = 8 << 20;
/// Entries of the function table: beyond this the image would hold no code.
pub const MAX_FUNCTIONS: usize = 4 << 20;
/// How many forwarders may stand between a name and its address.
pub const MAX_FORWARDS: usize = 16;
