//! Names for addresses: from a PDB beside the driver, its COFF symbols, or its exports.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use event::{Body, Finding, Frame, Record, Stop};
use pe_image::symbols::{Location, Symbols};
use report::{Sink, SinkError};

/// Fills in the symbols of stacks on their way to another sink. Symbols are read when a stack first needs
/// them: most runs never do.
pub struct Symbolise<S> {
    next: S,
    /// Where each driver's file is, by its file name.
    files: HashMap<String, PathBuf>,
    symbols: HashMap<String, Option<Symbols>>,
}

impl<S: Sink> Symbolise<S> {
    /// In front of `next`.
    pub fn new(next: S) -> Self {
        Self { next, files: HashMap::new(), symbols: HashMap::new() }
    }

    fn name(&mut self, frame: &Frame<'_>) -> Option<String> {
        let module = frame.module.as_deref()?;
        let module = module.strip_prefix("<unloaded>").unwrap_or(module);
        let file = self.files.get(module)?;
        let symbols = self.symbols.entry(module.to_owned()).or_insert_with(|| read(file));
        let rva = u32::try_from(frame.offset).ok()?;
        symbols.as_ref()?.lookup(rva).map(|found| describe(&found))
    }

    fn frames(&mut self, stack: &[Frame<'_>]) -> Vec<Frame<'static>> {
        stack
            .iter()
            .map(|frame| Frame {
                address: frame.address,
                module: frame.module.as_ref().map(|module| module.clone().into_owned().into()),
                offset: frame.offset,
                symbol: match &frame.symbol {
                    Some(known) => Some(known.clone().into_owned().into()),
                    None => self.name(frame).map(Into::into),
                },
            })
            .collect()
    }
}

fn read(file: &Path) -> Option<Symbols> {
    let bytes = std::fs::read(file).ok()?;
    Some(Symbols::beside(file, &pe_image::parse(&bytes).ok()?))
}

/// `DriverEntry+0x1c (sensor.rs:12)`.
fn describe(found: &Location) -> String {
    let mut text = format!("{}+{:#x}", found.name, found.offset);
    if let Some(file) = &found.file {
        let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
        text.push_str(&match found.line {
            Some(line) => format!(" ({file}:{line})"),
            None => format!(" ({file})"),
        });
    }
    text
}

impl<S: Sink> Sink for Symbolise<S> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        let body = match &record.body {
            Body::DriverLoad { path, .. } => {
                let path = PathBuf::from(path.as_ref());
                if let Some(name) = path.file_name() {
                    self.files.insert(name.to_string_lossy().into_owned(), path);
                }
                return self.next.record(record);
            }
            Body::Stop(stop) => Body::Stop(Stop { stack: self.frames(&stop.stack), ..stop.clone() }),
            Body::Finding(finding) => {
                Body::Finding(Finding { stack: self.frames(&finding.stack), ..finding.clone() })
            }
            _ => return self.next.record(record),
        };
        self.next.record(&Record { time: record.time, context: record.context, body })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.next.flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.next.finish()
    }
}
