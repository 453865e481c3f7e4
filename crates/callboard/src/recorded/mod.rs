//! Recordings: files of them, read machine by machine.
//!
//! ```text
//!   files.rs ──▶ reading.rs ──Step──▶ stage.rs ──lane of a machine──▶ events.rs    shows it
//!   (look)       (once)               (store.rs: those that wait)     replay.rs    drivers are told of it
//!
//!   replay.rs ──▶ machine.rs  one bench, played to ──▶ answers.rs   what drivers said, and how long they took
//!                 ×2 where there is a baseline     ──▶ difference.rs
//!                                                  ──▶ order.rs     one machine after the other, to the sinks
//! ```

mod answers;
pub(crate) mod args;
mod baseline;
mod difference;
pub(crate) mod events;
mod files;
mod interrupt;
mod lane;
mod machine;
mod order;
mod progress;
mod reading;
pub(crate) mod replay;
mod stage;
mod store;

use std::io::Write;

use callboard::exit;
use callboard::replay::Account;

use files::Files;

/// Writes what was read and what became of it to the standard error, and says whether anything is damaged.
fn tell(account: &Account, files: &Files) -> u8 {
    let mut out = anstream::stderr().lock();
    // Nobody can be told that the standard error is closed.
    let _ = write(&mut out, account, files);
    if interrupt::is_wished() {
        let _ = writeln!(out, "interrupted: not all of it was read and told");
        return exit::INTERRUPTED;
    }
    if account.damaged() > 0 { exit::DAMAGED } else { exit::SUCCESS }
}

fn write(out: &mut impl Write, account: &Account, files: &Files) -> std::io::Result<()> {
    writeln!(out, "{account}")?;
    if account.reordered + account.late > 0 {
        writeln!(
            out,
            "  out of order: {} put in order, {} too late for that",
            account.reordered, account.late
        )?;
    }
    let listed = |names: Vec<(&'static str, u64)>| {
        names.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    if !account.absent.is_empty() {
        let absent = account.absent.iter().map(|(what, count)| (what.name(), *count)).collect();
        writeln!(out, "  not in the records, and left out: {}", listed(absent))?;
    }
    if !account.synthesised.is_empty() {
        let made = account.synthesised.iter().map(|(what, count)| (what.name(), *count)).collect();
        writeln!(out, "  not in the records, and told as it must have been: {}", listed(made))?;
    }
    for (cause, first) in account.rejected.iter().filter(|(cause, _)| cause.needs_a_look()) {
        let file = files.name(first.file);
        writeln!(out, "  first {cause}: {file}, record {}: {}", first.number, escaped(&first.detail))?;
    }
    Ok(())
}

/// A machine's name, for people.
fn shown(name: &str) -> &str {
    if name.is_empty() { "(without a name)" } else { name }
}

/// What a file says cannot control a terminal.
fn escaped(text: &str) -> String {
    event::terminal::plain(text).chars().take(300).collect()
}
