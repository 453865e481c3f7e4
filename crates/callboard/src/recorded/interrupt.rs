//! Whoever has seen enough before a recording is at its end.

use std::sync::atomic::{AtomicBool, Ordering};

use callboard::exit;

/// Whether somebody has.
pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes ^C and its like, from now on, for the wish to see what came of what was read by then. The second one ends the program.
pub(super) fn watch() {
    let wish = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
    };
    // Where that cannot be had, ^C ends the program at once, as it ends others.
    let _ = ctrlc::set_handler(wish);
}

/// Whether that is wished by now.
pub(super) fn is_wished() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
