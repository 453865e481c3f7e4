//! A run, as Procmon would have written it down: as CSV and as PML.

use std::fmt::Write as _;

/// 31 July 2020, 07:37:18 UTC.
pub(crate) const START: i64 = 132_406_546_380_000_000;

/// What one record of a run is.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Create {
        child: usize,
        line: String,
    },
    Start {
        parent: usize,
        line: String,
    },
    Exit(u32),
    ThreadCreate(u32),
    ThreadExit,
    Load {
        path: String,
        base: u64,
        size: u32,
    },
    /// Something that is not told of: a file that is closed.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// In whose name, by its place among the processes.
    pub(crate) process: usize,
    pub(crate) thread: u32,
    pub(crate) ticks: i64,
    pub(crate) act: Act,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    pub(crate) image: String,
    pub(crate) line: String,
    pub(crate) wide: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) processes: Vec<Process>,
    pub(crate) records: Vec<Record>,
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// How an exporting machine writes.
#[derive(Clone, Copy)]
pub(crate) struct Locale {
    pub(crate) separator: char,
    pub(crate) half_days: bool,
}

pub(crate) const US: Locale = Locale { separator: ',', half_days: true };
pub(crate) const DE: Locale = Locale { separator: ';', half_days: false };

impl Run {
    pub(crate) fn to_csv(&self, locale: Locale) -> String {
        let names = [
            "Time of Day",
            "Process Name",
            "PID",
            "Operation",
            "Path",
            "Result",
            "Detail",
            "Date & Time",
            "Image Path",
            "Command Line",
            "TID",
            "Parent PID",
            "Architecture",
        ];
        let separator = locale.separator.to_string();
        let mut text = String::from("\u{feff}");
        let line = |text: &mut String, fields: &[String]| {
            let fields: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
            writeln!(text, "{}\r", fields.join(&separator)).unwrap();
        };
        line(&mut text, &names.map(str::to_owned));
        for record in &self.records {
            let process = &self.processes[record.process];
            let seconds = record.ticks / 10_000_000;
            let (hour, minute, second) = (
                7 + (37 * 60 + 18 + seconds) / 3600,
                (37 * 60 + 18 + seconds) / 60 % 60,
                (18 + seconds) % 60,
            );
            let ticks = record.ticks % 10_000_000;
            let (time, date) = match locale.half_days {
                true => {
                    let (half, hour) = if hour < 12 { ("AM", hour) } else { ("PM", hour - 12) };
                    let hour = if hour == 0 { 12 } else { hour };
                    (
                        format!("{hour}:{minute:02}:{second:02}.{ticks:07} {half}"),
                        format!("7/31/2020 {hour}:{minute:02}:{second:02} {half}"),
                    )
                }
                false => (
                    format!("{hour:02}:{minute:02}:{second:02},{ticks:07}"),
                    format!("31.07.2020 {hour:02}:{minute:02}:{second:02}"),
                ),
            };
            let none = String::new();
            let (operation, path, detail) = match &record.act {
                Act::Create { child, line } => {
                    let child = &self.processes[*child];
                    (
                        "Process Create",
                        child.image.clone(),
                        format!("PID: {}, Command line: {line}", child.id),
                    )
                }
                Act::Start { parent, line } => {
                    let parent = self.processes[*parent].id;
                    let rest = "Current directory: C:\\, Environment: \r\n;\tA=B\r\n;\tPath=C:\\x;C:\\y";
                    ("Process Start", none, format!("Parent PID: {parent}, Command line: {line}, {rest}"))
                }
                Act::Exit(status) => {
                    let status = status.cast_signed();
                    (
                        "Process Exit",
                        none,
                        format!(
                            "Exit Status: {status}, User Time: 0.0156250 seconds, Private Bytes: 393,216"
                        ),
                    )
                }
                Act::ThreadCreate(thread) => ("Thread Create", none, format!("Thread ID: {thread}")),
                Act::ThreadExit => {
                    ("Thread Exit", none, format!("Thread ID: {}, User Time: 0.0000000", record.thread))
                }
                Act::Load { path, base, size } => {
                    ("Load Image", path.clone(), format!("Image Base: {base:#x}, Image Size: {size:#x}"))
                }
                Act::Other => ("CloseFile", "C:\\x".into(), none),
            };
            let name = process.image.rsplit('\\').next().unwrap().to_owned();
            let architecture = if process.wide { "64-bit" } else { "32-bit" };
            line(
                &mut text,
                &[
                    time,
                    name,
                    process.id.to_string(),
                    operation.into(),
                    path,
                    "SUCCESS".into(),
                    detail,
                    date,
                    process.image.clone(),
                    process.line.clone(),
                    record.thread.to_string(),
                    process.parent.to_string(),
                    architecture.into(),
                ],
            );
        }
        text
    }

    pub(crate) fn to_pml(&self, pointer: usize) -> Vec<u8> {
        let mut strings = vec![String::new()];
        let mut events = Vec::new();
        let mut offsets = Vec::new();
        let address = |out: &mut Vec<u8>, value: u64| out.extend_from_slice(&value.to_le_bytes()[..pointer]);
        let word = |out: &mut Vec<u8>, value: usize| {
            out.extend_from_slice(&u32::try_from(value).unwrap().to_le_bytes())
        };
        let half = |out: &mut Vec<u8>, value: usize| {
            out.extend_from_slice(&u16::try_from(value).unwrap().to_le_bytes())
        };
        for (number, record) in self.records.iter().enumerate() {
            offsets.push(0x3A8 + events.len());
            let mut details = Vec::new();
            let (class, operation) = match &record.act {
                Act::Create { child, line } => {
                    let process = &self.processes[*child];
                    word(&mut details, 100 + *child);
                    word(&mut details, process.id as usize);
                    word(&mut details, 100 + record.process);
                    word(&mut details, self.processes[record.process].id as usize);
                    details.resize(0x2C, 0);
                    details.extend_from_slice(&[12, 8]);
                    half(&mut details, info(&process.image));
                    half(&mut details, info(line));
                    details.resize(0x34 + 20, 0);
                    characters(&mut details, &process.image);
                    characters(&mut details, line);
                    (1, 1)
                }
                Act::Start { parent, line } => {
                    word(&mut details, self.processes[*parent].id as usize);
                    half(&mut details, info(line));
                    half(&mut details, info("C:\\"));
                    word(&mut details, 4);
                    characters(&mut details, line);
                    characters(&mut details, "C:\\");
                    details.extend("A=B\0".encode_utf16().flat_map(u16::to_le_bytes));
                    (1, 7)
                }
                Act::Exit(status) => {
                    word(&mut details, *status as usize);
                    details.resize(52, 0);
                    (1, 2)
                }
                Act::ThreadCreate(thread) => {
                    word(&mut details, *thread as usize);
                    (1, 3)
                }
                Act::ThreadExit => {
                    word(&mut details, 0x103);
                    details.resize(20, 0);
                    (1, 4)
                }
                Act::Load { path, base, size } => {
                    address(&mut details, *base);
                    word(&mut details, *size as usize);
                    half(&mut details, info(path));
                    half(&mut details, 0xFFFF);
                    characters(&mut details, path);
                    (1, 5)
                }
                Act::Other => (3, 38),
            };
            let stack = number % 3;
            word(&mut events, 100 + record.process);
            word(&mut events, record.thread as usize);
            word(&mut events, class);
            half(&mut events, operation);
            events.extend_from_slice(&[0x5A; 6]);
            events.extend_from_slice(&0_u64.to_le_bytes());
            events.extend_from_slice(&(START + record.ticks).to_le_bytes());
            word(&mut events, 0);
            half(&mut events, stack);
            half(&mut events, 0xFFFF);
            word(&mut events, details.len());
            word(&mut events, 0);
            (0..stack).for_each(|_| address(&mut events, 0xFFFF_F801_5A5E_510D));
            events.extend_from_slice(&details);
        }
        let mut processes = Vec::new();
        let mut places = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            places.push(4 + 8 * self.processes.len() + processes.len());
            let mut text = |text: &str| {
                strings.push(text.to_owned());
                strings.len() - 1
            };
            for value in [100 + index, process.id as usize, process.parent as usize, 0] {
                word(&mut processes, value);
            }
            processes.resize(processes.len() + 0x20, 0);
            word(&mut processes, 0);
            word(&mut processes, usize::from(process.wide));
            let (image, line) = (text(&process.image), text(&process.line));
            for value in [0, 0, image, image, line, 0, 0, 0, 0, 0] {
                word(&mut processes, value);
            }
            address(&mut processes, 0);
            word(&mut processes, 1);
            address(&mut processes, 0);
            address(&mut processes, 0x40_0000);
            for value in [0x5000, image, 0, 0, 0, 0] {
                word(&mut processes, value);
            }
            processes.resize(processes.len() + 24, 0);
        }
        let mut file = b"PML_".to_vec();
        word(&mut file, 9);
        word(&mut file, usize::from(pointer == 8));
        file.extend("WS-042".encode_utf16().flat_map(u16::to_le_bytes));
        file.resize(0x234, 0);
        word(&mut file, self.records.len());
        file.resize(0x3A8, 0);
        file.extend_from_slice(&events);
        let at_offsets = file.len();
        for offset in &offsets {
            word(&mut file, *offset);
            file.push(0);
        }
        let at_processes = file.len();
        word(&mut file, self.processes.len());
        (0..self.processes.len()).for_each(|index| word(&mut file, 100 + index));
        places.iter().for_each(|place| word(&mut file, *place));
        file.extend_from_slice(&processes);
        let at_strings = file.len();
        word(&mut file, strings.len());
        let mut at = 4 + 4 * strings.len();
        for text in &strings {
            word(&mut file, at);
            at += 4 + 2 * (text.encode_utf16().count() + 1);
        }
        for text in &strings {
            word(&mut file, 2 * (text.encode_utf16().count() + 1));
            file.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        }
        for (at, value) in [(0x240, 0x3A8), (0x248, at_offsets), (0x250, at_processes), (0x258, at_strings)] {
            file[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        file
    }
}

fn info(text: &str) -> usize {
    if text.is_ascii() { 0x8000 | text.len() } else { text.encode_utf16().count() }
}

fn characters(out: &mut Vec<u8>, text: &str) {
    match text.is_ascii() {
        true => out.extend_from_slice(text.as_bytes()),
        false => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
    }
}
