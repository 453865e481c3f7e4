//! The notification tables of the NT kernel: register, remove, walk.
//!
//! Drivers ask the NT kernel to call them when a process, a thread or an image comes and goes. The kernel
//! keeps their routines in small tables and calls them in slot order, on the thread where the thing happened;
//! and when a driver takes its routine back, the kernel returns only after the last call of it has. This
//! crate is those tables and nothing else: it knows addresses, not what is behind them. It needs `core` and
//! `alloc`, and through [`Platform`] two fences and a way to sleep, so that any emulator, simulator or
//! operating system can use it.
//!
//! ```text
//!             Domain ── roster of walkers, removals that wait, the platform
//!            /   |   \
//!     process  image  thread            Table: slots 0..63, and a state that changes with them
//!                |
//!      ┌────┬────┬────┬────┐
//!      │ A  │    │ B  │ C  │            register: the lowest empty slot
//!      └────┴────┴────┴────┘
//!         ▲         ▲
//!    walk │         │ remove(B): 1 empty the slot, change the state
//!         │         │            2 heavy fence
//!   ┌─────┴──────┐  │            3 whose marks say B? does one of them wait for me?
//!   │ Walker     │  │            4 sleep until they do not
//!   │ mark: B  ──┼──┘            5 free B
//!   └────────────┘
//! ```
//!
//! # What is promised
//! The numbers are those of the requirements that the tests are named after.
//!
//! * A registration takes the lowest empty slot; nothing is ever compacted; a full table says so and a failed
//!   registration leaves no trace (R-REG-05 to 11).
//! * A walk calls in slot order and sees what is registered ahead of it while it is on its way (R-RACE-01,
//!   R-RM-09, R-RACE-05). It takes no lock, allocates nothing, and writes only to its own thread's cache
//!   lines, so walks on different processors do not slow each other down. Walks nest to any depth
//!   (R-RACE-04).
//! * A removal takes the lowest match, empties its slot, and returns when every call of *that* registration
//!   that had begun is over; no call begins after (R-RM-01 to 04, R-RACE-06 to 08). The wait sleeps.
//! * A removal that could never end — from within the routine itself, or in a circle of routines that remove
//!   each other, through any number of threads and tables — is told so, with the chain of who waits for whom
//!   (R-RM-05 to 07). The entry is out of the table by then, as on Windows; what to do about the thread is up
//!   to the caller.
//! * A registration's memory is freed after its removal, and never while a walk can still read it.
//!
//! # Example
//! ```
//! use notify::platform::Portable;
//! use notify::{Capacity, Domain, ImageFlavour, ImageTable, RemoveError, Request, Walker};
//!
//! let domain = Domain::new(Portable);
//! let images = ImageTable::new(&domain, Capacity::SIXTY_FOUR);
//! let walker = Walker::new(&domain); // one per thread
//!
//! let routine = 0xFFFF_F800_0123_4560;
//! images.register(Request { routine, flavour: ImageFlavour::Plain, flags: 0, owner: 7 })?;
//!
//! // An image was mapped: tell everybody.
//! images.walk(&walker, |registration| {
//!     assert_eq!(registration.routine, routine);
//!     // A driver that removes its routine from within the routine would wait for itself.
//!     let refused = images.remove(&walker, routine);
//!     assert!(matches!(refused, Err(RemoveError::Deadlock(found)) if found.is_self_removal()));
//! });
//! assert!(images.owned_by(7).is_empty());
//! # Ok::<(), notify::RegisterError>(())
//! ```
//!
//! # How it is checked
//! `cargo test` runs the requirements, random histories against a naive table, and the same sources on
//! shuttle's atomics under thousands of schedules (`tests/shuttle.rs`). Shuttle knows only sequentially
//! consistent steps; the arguments for the fences are with [`Platform`] and with the waits in the sources
//! (`Domain::run_down` and `Post::wait_until_released`), and `tests/linux.rs` runs them on a real
//! `membarrier`. The tests use `platform::Portable`, whose fences Miri understands:
//!
//! ```text
//! MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-many-seeds=0..16" \
//!     cargo +nightly miri test -p callboard-notify --test registration --test walking --test removal --test memory
//! ```
//!
//! # Features
//! `std` (on by default) adds `platform::Portable`. Without it the crate is `no_std`.
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod domain;
mod error;
pub mod family;
mod lock;
pub mod platform;
mod registration;
mod sync;
mod table;
mod walker;

pub use domain::Domain;
pub use error::{Deadlock, RegisterError, RemoveError, Wait};
pub use family::{
    Image, ImageFlavour, ImageTable, Process, ProcessFlavour, ProcessTable, Thread, ThreadFlavour,
    ThreadTable,
};
pub use platform::Platform;
pub use registration::{Family, Registration, RegistrationId, RegistrationRef, Request};
pub use table::{Capacity, DuplicatePolicy, MAX_SLOTS, Table};
pub use walker::{Walker, WalkerId};
