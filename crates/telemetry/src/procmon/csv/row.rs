//! One record: its fields, and what they tell.

use csv_core::ReadRecordResult;

use super::super::{Birth, Operation, Raw, by_id, loaded, shared, some};
use super::clock::Clock;
use super::columns::{Column, Columns, name};
use super::detail;
use super::lines::LIMIT;
use crate::{ImageLoad, ProcessCreate, ProcessExit, Reason, Rejected, Subject, ThreadEvent, Told, What};

/// More fields than Procmon has columns.
const MOST_FIELDS: usize = 256;

/// The fields of a record.
pub(super) struct Row {
    reader: csv_core::Reader,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

impl Row {
    pub(super) fn separated(separator: u8) -> Self {
        let reader = csv_core::ReaderBuilder::new().delimiter(separator).build();
        Self { reader, bytes: Vec::new(), ends: vec![0; MOST_FIELDS], fields: 0 }
    }

    /// Takes a record apart, and says whether it is one.
    pub(super) fn parse(&mut self, record: &[u8]) -> bool {
        self.fields = 0;
        if record.len() > LIMIT {
            return false;
        }
        if self.bytes.len() < record.len() {
            self.bytes.resize(record.len().next_power_of_two(), 0);
        }
        self.reader.reset();
        let (mut input, mut written) = (record, 0);
        loop {
            let ends = &mut self.ends[self.fields..];
            let (result, read, wrote, fields) =
                self.reader.read_record(input, &mut self.bytes[written..], ends);
            input = &input[read..];
            written += wrote;
            self.fields += fields;
            match result {
                // No more input is its end.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => return matches!(input, [] | [b'\n']),
                ReadRecordResult::End | ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return false;
                }
            }
        }
    }

    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.fields
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.fields).map(|place| self.field(place))
    }

    fn field(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[start..self.ends[place]]
    }

    /// The text of a column, empty where there is none.
    pub(super) fn text(&self, columns: &Columns, column: Column) -> Result<&str, (Reason, String)> {
        match columns.place(column).filter(|place| *place < self.fields) {
            None => Ok(""),
            Some(place) => std::str::from_utf8(self.field(place))
                .map_err(|_| (Reason::Damaged, format!("{} is not UTF-8", name(column)))),
        }
    }

    /// What the record tells.
    pub(super) fn raw(&self, number: u64, columns: &Columns, clock: &mut Clock) -> Result<Raw, Rejected> {
        Fields { row: self, columns }.raw(number, clock).map_err(|(reason, detail)| Rejected {
            number,
            reason,
            detail,
        })
    }
}

/// The fields of a record by their columns.
struct Fields<'a> {
    row: &'a Row,
    columns: &'a Columns,
}

impl<'a> Fields<'a> {
    fn text(&self, column: Column) -> Result<&'a str, (Reason, String)> {
        self.row.text(self.columns, column)
    }

    /// A number, `None` where the column is not there or empty.
    fn number(&self, column: Column) -> Result<Option<u32>, (Reason, String)> {
        match self.text(column)?.trim() {
            "" | "n/a" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| (Reason::Malformed, format!("{} is no number: {}", name(column), shown(text)))),
        }
    }

    fn is_32_bit(&self) -> Result<Option<bool>, (Reason, String)> {
        let text = self.text(Column::Architecture)?;
        Ok(text.starts_with("32").then_some(true).or(text.starts_with("64").then_some(false)))
    }

    fn raw(&self, number: u64, clock: &mut Clock) -> Result<Raw, (Reason, String)> {
        let time = clock
            .time(self.text(Column::TimeOfDay)?, self.text(Column::DateTime)?)
            .map_err(|text| (Reason::Malformed, format!("no time that is known: {}", shown(text))))?;
        let name = self.text(Column::Operation)?;
        let operation = match name {
            "Process Defined" => Operation::ProcessDefined,
            "Process Create" => Operation::ProcessCreate,
            "Process Start" => Operation::ProcessStart,
            "Process Exit" => Operation::ProcessExit,
            "Thread Create" => Operation::ThreadCreate,
            "Thread Exit" => Operation::ThreadExit,
            "Load Image" => Operation::LoadImage,
            "" => return Err((Reason::Malformed, "no operation".into())),
            other => return Err((Reason::OtherKind, shown(other))),
        };
        let process = self.number(Column::Pid)?.ok_or((Reason::NoProcess, "no PID".to_owned()))?;
        let image = shared(self.text(Column::ImagePath)?);
        let subject = Subject { process: Some(process), unique: None, image };
        let machine = None;
        let birth = |create| Birth { number, machine: None, time, create };
        let what = match operation {
            Operation::ProcessCreate => return Ok(Raw::Create(birth(self.create(subject)?))),
            Operation::ProcessStart => return Ok(Raw::Start(birth(self.start(subject)?))),
            Operation::ProcessDefined => {
                let create = self.create(Subject::default())?;
                What::ProcessPresent(ProcessCreate { creator: (None, None), ..create })
            }
            Operation::ProcessExit => {
                What::ProcessExit(ProcessExit { subject, status: detail::status(self.text(Column::Detail)?) })
            }
            Operation::ThreadCreate => What::ThreadCreate(self.thread(subject)?),
            Operation::ThreadExit => What::ThreadExit(self.thread(subject)?),
            Operation::LoadImage => loaded(self.image(subject)?),
        };
        Ok(Raw::Other(Told { number, machine, time, record_id: None, what }))
    }

    /// A birth as the parent's record has it.
    fn create(&self, parent: Subject) -> Result<ProcessCreate, (Reason, String)> {
        let text = self.text(Column::Detail)?;
        let child =
            detail::unsigned(text, "PID").ok_or((Reason::NoProcess, "no PID in Detail".to_owned()))?;
        Ok(ProcessCreate {
            subject: Subject { process: Some(child), unique: None, image: shared(self.text(Column::Path)?) },
            parent,
            creator: (None, self.number(Column::Tid)?),
            // The column holds the parent's.
            command_line: detail::command_line(text, "").and_then(|line| some(line.to_owned())),
            is_32_bit: None,
        })
    }

    /// A birth as the child's record has it.
    fn start(&self, mut subject: Subject) -> Result<ProcessCreate, (Reason, String)> {
        let text = self.text(Column::Detail)?;
        let column = self.text(Column::CommandLine)?;
        subject.image = subject.image.or(shared(self.text(Column::Path)?));
        let parent = match detail::unsigned(text, "Parent PID") {
            Some(parent) => Some(parent),
            None => self.number(Column::ParentPid)?,
        };
        let line = detail::command_line(text, column).unwrap_or(column);
        Ok(ProcessCreate {
            subject,
            parent: parent.map(by_id).unwrap_or_default(),
            creator: (None, self.number(Column::Tid)?),
            command_line: some(line.to_owned()),
            is_32_bit: self.is_32_bit()?,
        })
    }

    fn thread(&self, subject: Subject) -> Result<ThreadEvent, (Reason, String)> {
        let thread = detail::unsigned(self.text(Column::Detail)?, "Thread ID");
        Ok(ThreadEvent { subject, thread, by: self.number(Column::Tid)?, status: None })
    }

    fn image(&self, subject: Subject) -> Result<ImageLoad, (Reason, String)> {
        let text = self.text(Column::Detail)?;
        Ok(ImageLoad {
            subject,
            thread: self.number(Column::Tid)?,
            path: some(self.text(Column::Path)?.to_owned()),
            base: detail::unsigned(text, "Image Base"),
            size: detail::unsigned(text, "Image Size"),
        })
    }
}

/// A text of the file, for people: not longer than it takes to find it.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
