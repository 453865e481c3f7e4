//! Procmon's CSV: what a person exported, in the columns and the language of that person.
//!
//! Columns are found by their names, which are English in every Windows; a header in another language is taken by position
//! where it has Procmon's columns as it is installed. The separator is whichever the header has most of. Fields may hold
//! line ends. Numbers of records count from 1 at the first below the header.
//!
//! The file says neither its time zone nor its machine. Times are local times of the exporting machine: [`Options`] says
//! how far they are from UTC. Without the column `Date & Time` there is no date either: the first time of day is on the
//! day that [`Options`] says, which is 1 January 1601 where it says none, and [`Reader::dated`] is false.

mod clock;
mod columns;
mod detail;
mod lines;
mod row;

use std::io::{self, BufRead};

use clock::Clock;
pub use clock::DateOrder;
pub(crate) use clock::time_of_day;
use columns::{Column, Columns};
use event::Time;
use lines::{Lines, Shape};
use row::Row;

use super::Raw;
use super::births::Births;
use crate::civil::DAY;
use crate::{Reason, Rejected, Told};

/// What a file does not say of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many minutes the times are ahead of UTC.
    pub utc_offset_minutes: i32,
    /// The order of dates; found out from the dates where it is `None`.
    pub date_order: Option<DateOrder>,
    /// A moment of the day on which a log without dates begins.
    pub day: Option<Time>,
}

/// Why a file is not read as Procmon's CSV.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is UTF-16, which Procmon does not write: an editor did.
    #[error("the file is UTF-16: save it as UTF-8")]
    Utf16,
    /// Its first line is not Procmon's.
    #[error(
        "the first line has not the columns PID, Operation and Detail, nor Procmon's seven columns in another language"
    )]
    Header,
}

/// Procmon's CSV, record by record.
pub struct Reader<R> {
    lines: Lines<R>,
    row: Row,
    columns: Columns,
    clock: Clock,
    births: Births,
    record: Vec<u8>,
    number: u64,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When it is none of Procmon's.
    pub fn open(mut input: R, options: Options) -> Result<Self, OpenError> {
        match input.fill_buf()? {
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => return Err(OpenError::Utf16),
            [0xEF, 0xBB, 0xBF, ..] => input.consume(3),
            _ => {}
        }
        let mut lines = Lines::new(input);
        let mut record = Vec::new();
        lines.next(&mut record)?;
        let mut row = Row::separated(b',');
        let mut most = 0;
        for separator in [b',', b';', b'\t'] {
            let mut other = Row::separated(separator);
            if other.parse(&record) && other.len() > most {
                most = other.len();
                row = other;
            }
        }
        let columns =
            match Columns::by_name(row.fields().map(|field| std::str::from_utf8(field).unwrap_or(""))) {
                Some(columns) => columns,
                None => by_position(&mut lines, &mut row)?,
            };
        let day = options.day.map_or(0, |time| time.0.div_euclid(DAY));
        let clock = Clock::new(options.date_order, options.utc_offset_minutes, day);
        Ok(Self { lines, row, columns, clock, births: Births::default(), record, number: 0, ended: false })
    }

    /// Whether the file has dates, and not only times of day.
    pub fn dated(&self) -> bool {
        self.columns.place(Column::DateTime).is_some()
    }

    /// How many records were read by now.
    pub fn read(&self) -> u64 {
        self.number
    }

    /// The next record of the file; `None` at its end.
    fn record(&mut self) -> Option<Result<Raw, Rejected>> {
        loop {
            let rejected = |number, reason, detail: String| Some(Err(Rejected { number, reason, detail }));
            let shape = match self.lines.next(&mut self.record) {
                Ok(shape) => shape?,
                Err(error) => {
                    self.number += 1;
                    self.ended = true;
                    return rejected(
                        self.number,
                        Reason::Damaged,
                        format!("the file cannot be read on: {error}"),
                    );
                }
            };
            if self.record.trim_ascii().is_empty() {
                continue;
            }
            self.number += 1;
            let number = self.number;
            match shape {
                Shape::Whole => {}
                Shape::Cut => {
                    return rejected(number, Reason::Truncated, "the file ends inside of quotes".into());
                }
                Shape::Unclosed => {
                    return rejected(number, Reason::Malformed, "a quote is not closed".into());
                }
                Shape::TooLong => {
                    let detail = format!("longer than any record ({} bytes)", lines::LIMIT);
                    return rejected(number, Reason::Malformed, detail);
                }
            }
            if !self.row.parse(&self.record) {
                return rejected(number, Reason::Malformed, "not fields between separators".into());
            }
            if self.row.len() < self.columns.count {
                let cut = !self.record.ends_with(b"\n");
                let reason = if cut { Reason::Truncated } else { Reason::Malformed };
                let detail = format!("{} fields of {}", self.row.len(), self.columns.count);
                return rejected(number, reason, detail);
            }
            return Some(self.row.raw(number, &self.columns, &mut self.clock));
        }
    }
}

/// The columns of a header whose names say nothing, if what follows it is a record of Procmon's as it is installed.
fn by_position<R: BufRead>(lines: &mut Lines<R>, row: &mut Row) -> Result<Columns, OpenError> {
    let columns = Columns::by_position(row.len()).ok_or(OpenError::Header)?;
    let mut first = Vec::new();
    lines.next(&mut first)?;
    let fits = row.parse(&first)
        && row.len() == columns.count
        && clock::time_of_day(row.text(&columns, Column::TimeOfDay).unwrap_or("")).is_some()
        && row.text(&columns, Column::Pid).is_ok_and(|pid| pid.parse::<u32>().is_ok());
    lines.put_back(&first);
    if fits { Ok(columns) } else { Err(OpenError::Header) }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Told, Rejected>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(told) = self.births.next() {
                return Some(told);
            }
            if self.ended {
                return None;
            }
            match self.record() {
                Some(raw) => self.births.take(raw),
                None => self.ended = true,
            }
            if self.ended {
                self.births.end();
            }
        }
    }
}
