//! The shared memory between a bench and its host.
//!
//! ```text
//!   header   magic, version, policy · bell (futex) · last words
//!   lane 0   state (futex) · request ▶ · ◀ reply · ◀ record ring · in-flight block · ◀ask ▶page
//!   …
//!   lane 15
//!   system   record ring only: for host threads that own no lane
//!   staging  driver images on their way in
//! ```
//!
//! A lane is a synchronous conversation between one waiting bench thread and one host worker. A
//! notice costs one futex wake and one futex wait on each side, or none while the other side is awake.
//!
//! The host cannot be trusted with any of it: a driver may write anywhere at any time. So the bench
//! copies out before it looks, checks every length against the layout (which is a constant of the
//! build, never read from the memory), and takes anything unexpected for the host's death ([`Damage`]).

mod futex;
mod lane;
mod layout;
mod memory;
mod ring;
mod spin;

pub(crate) use futex::{wait, wake};
pub(crate) use lane::{Ask, InFlight, Lane, Waited};
pub(crate) use layout::{
    LANES, MAX_RECORD, REPLY_BYTES, REQUEST_BYTES, STAGING, STAGING_BYTES, SYSTEM_LANE, TRANSFER_BYTES,
    USER_PAGE, header, transfer_at,
};
pub(crate) use memory::Channel;
pub(crate) use ring::{Consumer, Producer};
pub(crate) use spin::Spin;

/// What was wrong with the memory that a bench shares with its host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// The state word of a lane holds what neither side writes.
    #[error("lane {lane}: impossible state {state:#x}")]
    State {
        /// Which lane.
        lane: usize,
        /// What was found.
        state: u32,
    },
    /// A reply is longer than its buffer or no reply.
    #[error("lane {lane}: unreadable reply")]
    Reply {
        /// Which lane.
        lane: usize,
    },
    /// The positions of a record ring contradict each other.
    #[error("lane {lane}: record ring ends at {head:#x} but was read up to {tail:#x}")]
    Ring {
        /// Which lane.
        lane: usize,
        /// Where it ends.
        head: u64,
        /// Where the bench has read to.
        tail: u64,
    },
    /// A record's length does not fit its ring.
    #[error("lane {lane}: a record of {length} bytes at {position:#x}")]
    Length {
        /// Which lane.
        lane: usize,
        /// The length that was found.
        length: u32,
        /// Where.
        position: u64,
    },
    /// A record's bytes are no record.
    #[error("lane {lane}: unreadable record ({why})")]
    Record {
        /// Which lane.
        lane: usize,
        /// What the decoder said.
        why: String,
    },
}
