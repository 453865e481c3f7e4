//! A scenario to begin with, and the schema for editors.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use callboard::exit;

use crate::{Failure, Outcome};

/// What the starter is called when nobody says.
pub(super) const STARTER: &str = "scenario.toml";

/// Writes the starter, where there is no file.
pub(super) fn init(path: &Path) -> Outcome {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let name = path.display();
            Failure::new(exit::USAGE, format_args!("{name} is there already; name another file: --init FILE"))
        }
        _ => Failure::new(exit::USAGE, format_args!("cannot write {}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    // It says how it is run: by the name that it has.
    let text = scenario::STARTER.replace(STARTER, &path.to_string_lossy());
    file.write_all(text.as_bytes()).map_err(failed)?;
    let path = path.display();
    writeln!(std::io::stdout(), "wrote {path}; run it with: callboard test {path}")
        .map_err(crate::written)?;
    Ok(exit::SUCCESS)
}

/// Prints the schema.
pub(super) fn schema() -> Outcome {
    std::io::stdout().write_all(scenario::schema().as_bytes()).map_err(crate::written)?;
    Ok(exit::SUCCESS)
}
