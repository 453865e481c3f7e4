//! `callboard exports`: what drivers can import.

use std::io::Write;

use callboard::exit;
use callboard::exports::{self, Export, Kind};
use serde::Serialize;

use crate::args::{Exports, Listing};
use crate::{Failure, Outcome, json, written};

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
    let code = match arguments.format {
        Listing::Json => {
            let entries: Vec<_> = listed.iter().map(|export| entry(export)).collect();
            json(&entries)?
        }
        Listing::Human if listed.is_empty() => exit::SUCCESS,
        Listing::Human => human(&listed).map_err(written).map(|()| exit::SUCCESS)?,
    };
    if listed.is_empty() {
        return Err(nothing(arguments));
    }
    Ok(code)
}

/// How many names are shown in place of those that there are not.
const NEAREST: usize = 3;

/// No name was found: the nearest ones.
fn nothing(arguments: &Exports) -> Failure {
    let mut alike: Vec<(f64, &str)> = Vec::new();
    for export in exports::sorted() {
        let name = export.name.to_lowercase();
        let likeness =
            |wanted: &String| strsim::normalized_damerau_levenshtein(&wanted.to_lowercase(), &name);
        let best = arguments.names.iter().map(likeness).fold(0.0, f64::max);
        if !alike.iter().any(|(_, known)| *known == export.name) {
            alike.push((best, export.name));
        }
    }
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    let nearest: Vec<_> = alike.iter().take(NEAREST).map(|(_, name)| *name).collect();
    let wanted = arguments.names.join("` or `");
    let of = arguments.os.map(|profile| format!(" of {}", profile.name())).unwrap_or_default();
    let message = format!("no name{of} contains `{wanted}`; nearest of all: {}", nearest.join(", "));
    Failure::new(exit::NO_SUCH_NAME, message)
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
    let widest =
        |of: &dyn Fn(&Export) -> String| listed.iter().map(|export| of(export).len()).max().unwrap_or(0);
    let since_width = widest(&|export| export.since.to_string());
    let irql_width = widest(&irql);
    let mut module = "";
    for export in listed {
        if export.module != module {
            module = export.module;
            writeln!(out, "{bold}{module}{bold:#}")?;
        }
        let (irql, since) = (irql(export), export.since.to_string());
        writeln!(
            out,
            "  {:width$}  {faint}{irql:<irql_width$}  {since:<since_width$}{faint:#}  {}",
            export.name, export.summary
        )?;
    }
    writeln!(out, "{} names", listed.len())
}

/// Where it may be called, for people.
fn irql(export: &Export) -> String {
    match export.kind {
        Kind::Code => export.irql.to_string(),
        Kind::Data => "variable".to_owned(),
    }
}
