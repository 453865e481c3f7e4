//! A PE file as a mapped, relocated, bound and protected image. Nothing here runs a driver.
//!
//! ```text
//!  bytes of a .sys ──parse──▶ PeFile ──map──────────────────────────────▶ MappedImage ──retire──▶ RetiredImage
//!                     │         │        │  reserve   (guard pages)         │  entry, sections      (range kept,
//!                     ▼         │        │  copy      (headers, sections)   │  function table        no access)
//!                  PeError      │        │  relocate  (delta)               │  exports
//!             (offset, what     │        │  bind      (Resolver)            │  notes
//!              was expected)    │        │  cookie    (GS)                  ▼
//!                               │        └─ seal      (W^X)              resolve (forwarders, across modules)
//!                               └──symbols──▶ Symbols: PDB beside the file, else COFF symbols, else exports
//! ```
//!
//! | file | subject |
//! |---|---|
//! | [`mod@file`] | [`parse`] and [`PeFile`]: everything the headers and directories say |
//! | `header` | DOS header to section table, and what kind of file this is instead |
//! | [`section`], [`layout`] | sections; RVA → file bytes |
//! | [`imports`], [`exports`], [`relocations`], [`unwind`] | one data directory each |
//! | [`load_config`], [`debug_info`], [`version`], `checksum` | the smaller ones |
//! | [`map`], [`bind`], [`mapped`] | from file to image: steps, the caller's resolver, the result |
//! | `memory` | the only file with `unsafe`: reserve, write, seal, read |
//! | [`signature`] | the embedded signature, and whether it is of these bytes |
//! | [`forward`] | exports that name an export of another module |
//! | [`symbols`] | RVA → name, file and line |
//! | `fuzzing` | the oracle of the fuzz target and of the seeded test (feature `fuzzing`) |
//!
//! Sizes and offsets are bytes; an *RVA* is an offset from the image's base. Limits that a hostile
//! file meets are constants in [`limits`].

pub mod bind;
mod bytes;
mod checksum;
pub mod debug_info;
pub mod error;
pub mod exports;
pub mod file;
pub mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod header;
pub mod imports;
pub mod layout;
pub mod limits;
pub mod load_config;
pub mod map;
pub mod mapped;
mod memory;
pub mod note;
pub mod relocations;
pub mod section;
pub mod signature;
pub mod symbols;
pub mod unwind;
pub mod version;

pub use bind::{Resolution, Resolver, Symbol};
pub use error::{MapError, PeError};
pub use exports::{Export, ExportTable, ExportTarget, ForwardSymbol};
pub use file::{PeFile, parse};
pub use forward::{ForwardError, Modules, resolve};
pub use map::{MapOptions, Placement};
pub use mapped::{MappedImage, RetiredImage};
pub use memory::GUARD_SIZE;
pub use note::Note;
pub use section::{Protection, Section};
pub use signature::{SignatureError, check_signature};
pub use symbols::{Symbols, SymbolsError};
pub use unwind::{FunctionTable, RuntimeFunction};
