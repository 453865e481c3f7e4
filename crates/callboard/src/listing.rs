//! `callboard exports`: what drivers can import.

use std::io::Write;

use callboard::exit;
use callboard::exports::{self, Export, Kind};
use serde::Serialize;

use crate::args::{Exports, Listing};
use crate::{Outcome, json, written};

/// An export as programs read it.
#[derive(Serialize)]
struct Entry<'a> {
    module: &'a str,
    name: &'a str,
    kind: &'a str,
    since: String,
    irql: String,
    summary: &'a str,
    parameters: Vec<Parameter<'a>>,
}

#[derive(Serialize)]
struct Parameter<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Lists them.
pub(crate) fn exports(arguments: &Exports) -> Outcome {
    let wanted: Vec<String> = arguments.names.iter().map(|name| name.to_lowercase()).collect();
    let listed: Vec<&Export> = exports::sorted()
        .into_iter()
        .filter(|export| arguments.os.is_none_or(|profile| profile.has(export.since)))
        .filter(|export| {
            let name = export.name.to_lowercase();
            wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
        })
        .collect();
    match arguments.format {
        Listing::Json => {
            let entries: Vec<_> = listed.iter().map(|export| entry(export)).collect();
            json(&entries)
        }
        Listing::Human => human(&listed).map_err(written).map(|()| exit::SUCCESS),
    }
}

fn entry(export: &'static Export) -> Entry<'static> {
    Entry {
        module: export.module,
        name: export.name,
        kind: match export.kind {
            Kind::Code => "routine",
            Kind::Data => "variable",
        },
        since: export.since.to_string(),
        irql: export.irql.to_string(),
        summary: export.summary,
        parameters: export.parameters.iter().map(|(name, kind)| Parameter { name, kind }).collect(),
    }
}

fn human(listed: &[&Export]) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let bold = anstyle::Style::new().bold();
    let faint = anstyle::Style::new().dimmed();
    let width = listed.iter().map(|export| export.name.len()).max().unwrap_or(0).min(44);
    let mut module = "";
    for export in listed {
        if export.module != module {
            module = export.module;
            writeln!(out, "{bold}{module}{bold:#}")?;
        }
        let irql = match export.kind {
            Kind::Code => export.irql.to_string(),
            Kind::Data => "variable".to_owned(),
        };
        let since = export.since.to_string();
        writeln!(
            out,
            "  {:width$}  {faint}{irql:<17}  {since:<26}{faint:#}  {}",
            export.name, export.summary
        )?;
    }
    writeln!(out, "{} names", listed.len())
}
