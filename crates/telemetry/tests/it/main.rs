//! The readers as their users see them.

mod data;
mod docs;
mod events;
mod faults;
mod procmon_made;
mod procmon_real;
mod procmon_run;
mod recording;
