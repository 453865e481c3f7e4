//! The readers as their users see them.

mod data;
mod events;
mod faults;
mod procmon_real;
mod recording;
