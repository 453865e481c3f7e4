//! `callboard inspect`: what a driver is, without running it.

mod facts;

use std::io::Write;

use callboard::exit;

use crate::args::{Inspect, Listing};
use crate::drivers::DriverFile;
use crate::{Outcome, json, written};
use facts::{Facts, Support};

/// Looks at a driver and says what it is.
pub(crate) fn inspect(arguments: &Inspect) -> Outcome {
    let driver = match &arguments.driver {
        Some(path) => DriverFile::read(path)?,
        None => DriverFile::built_in(),
    };
    let file = driver.parse()?;
    let facts = Facts::gather(&driver, &file, arguments.profile.os);
    match arguments.format {
        Listing::Json => json(&facts),
        Listing::Human => human(&facts).map_err(written).map(|()| exit::SUCCESS),
    }
}

fn human(facts: &Facts) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let bold = anstyle::Style::new().bold();
    let red = anstyle::Style::new().fg_color(Some(anstyle::AnsiColor::Red.into()));
    let green = anstyle::Style::new().fg_color(Some(anstyle::AnsiColor::Green.into()));
    writeln!(out, "{bold}{}{bold:#}  {} bytes, service {}", facts.path, facts.file_size, facts.service)?;
    for (name, value) in [
        ("machine", facts.machine.clone()),
        ("subsystem", facts.subsystem.clone()),
        ("entry point", facts.entry.clone().unwrap_or_else(|| "none".into())),
        ("image base", facts.image_base.clone()),
        ("image size", format!("{:#x}", facts.image_size)),
        ("alignment", format!("sections {:#x}, file {:#x}", facts.section_alignment, facts.file_alignment)),
        ("flags", facts.flags.join(", ")),
        ("checksum", facts.checksum.clone()),
        ("relocations", facts.relocations.clone()),
        ("signature", if facts.signed { "embedded, not checked" } else { "none" }.into()),
        ("symbols", facts.pdb.clone().unwrap_or_else(|| "no PDB named".into())),
        ("version", facts.version.clone().unwrap_or_else(|| "none".into())),
    ] {
        writeln!(out, "  {name:<12} {value}")?;
    }
    writeln!(out, "{bold}sections{bold:#}")?;
    for section in &facts.sections {
        writeln!(
            out,
            "  {:<8} {:>10} {:>8} bytes  {}",
            section.name, section.rva, section.size, section.access
        )?;
    }
    writeln!(
        out,
        "{bold}exception handling{bold:#}\n  {} functions, {} with handlers",
        facts.functions, facts.handlers
    )?;
    writeln!(out, "{bold}notify routines{bold:#}")?;
    if facts.notify.is_empty() {
        writeln!(out, "  none: neither imported nor named")?;
    }
    for notify in &facts.notify {
        let how =
            if notify.imported { "imported" } else { "named in the image, for MmGetSystemRoutineAddress" };
        writeln!(
            out,
            "  {:<36} {how}{}",
            notify.name,
            notify.remark.as_deref().map(|remark| format!("; {remark}")).unwrap_or_default()
        )?;
    }
    let missing = facts.imports.iter().filter(|import| import.support != Support::Implemented).count();
    writeln!(
        out,
        "{bold}imports{bold:#}  {} in all, {missing} not available on {}",
        facts.imports.len(),
        facts.profile
    )?;
    for import in &facts.imports {
        let (style, word) = match import.support {
            Support::Implemented => (green, "ok      "),
            Support::NotInProfile => (red, "too new "),
            Support::Unknown => (red, "missing "),
        };
        let since = import.since.as_deref().map(|since| format!("  since {since}")).unwrap_or_default();
        writeln!(out, "  {style}{word}{style:#} {}!{}{since}", import.module, import.name)?;
    }
    for note in &facts.notes {
        writeln!(out, "{bold}note{bold:#} {note}")?;
    }
    Ok(())
}
