//! What went wrong: refusals, findings, stops and leaks.

use event::{Finding, Frame, Leak, ProcessId, Record, Registers, Severity, Stop, StopKind, Time};
use nt_abi::BugCheckCode;

use super::{Rows, TOLD};
use crate::html::budget::Class;
use crate::html::cells::short;
use crate::html::totals::DriverRow;
use crate::{frame, words};

impl Rows {
    /// The row of the process a record is about that matters.
    pub(super) fn place(&mut self, (record, time): (&Record<'_>, Time), out: &mut Vec<u8>) -> Option<u64> {
        let process = self.subject(record.context)?;
        if self.people.get(process).is_none() && process == ProcessId::SYSTEM {
            return None;
        }
        self.meet(process, time, Class::Matter, out)
    }

    /// A process was refused or terminated.
    pub(super) fn ended(
        &mut self,
        kind: char,
        time: Time,
        (id, driver): (ProcessId, DriverRow),
        status: &str,
        out: &mut Vec<u8>,
    ) {
        if self.budget.take(Class::Matter)
            && let Some(number) = self.meet(id, time, Class::Matter, out)
        {
            self.row(out, kind, time).number(number).text(status).optional(driver).end();
        }
        self.people.leave(id);
    }

    pub(super) fn finding(
        &mut self,
        (record, time): (&Record<'_>, Time),
        finding: &Finding<'_>,
        out: &mut Vec<u8>,
    ) {
        let driver = finding.driver.map(|driver| self.driver(driver, out));
        let severity = finding.severity.word();
        self.totals.finding(driver, short(&finding.rule), severity);
        self.tell(|rows| {
            format!("{} {severity} in {}: {}", finding.rule, rows.name(driver), finding.message)
        });
        if !self.budget.take(Class::Matter) {
            return;
        }
        let process = self.place((record, time), out);
        let bug_check = finding.bug_check.map(|(code, [a, b, c, d])| {
            format!("{}, parameters {a:#x}, {b:#x}, {c:#x}, {d:#x}", BugCheckCode(code))
        });
        self.row(out, 'F', time)
            .optional(process)
            .optional(driver)
            .text(&finding.rule)
            .number(finding.severity == Severity::Error)
            .text(&finding.message)
            .text_or_null(bug_check.as_deref())
            .lines(stack(&finding.stack))
            .end();
    }

    pub(super) fn stop(&mut self, (record, time): (&Record<'_>, Time), stop: &Stop<'_>, out: &mut Vec<u8>) {
        let driver = stop.driver.map(|driver| self.driver(driver, out));
        let title = match stop.kind {
            StopKind::BugCheck => BugCheckCode(stop.code).to_string(),
            StopKind::Hang => "a routine did not return".to_owned(),
            StopKind::Unimplemented => "a routine was called that Callboard does not have".to_owned(),
            StopKind::HostDied => "the host died".to_owned(),
        };
        self.tell(|rows| format!("STOP {title} in {}: {}", rows.name(driver), stop.message));
        if !self.budget.take(Class::Matter) {
            return;
        }
        let process = self.place((record, time), out);
        let with_parameters = stop.kind == StopKind::BugCheck || stop.code != 0;
        let parameters = stop.parameters.iter().zip(words::bug_check_parameters(stop.code));
        let parameters = parameters.map(|(value, meaning)| format!("{value:#018x}  {meaning}"));
        self.row(out, 'S', time)
            .optional(process)
            .optional(driver)
            .text(&title)
            .text(&stop.message)
            .lines(parameters.filter(|_| with_parameters))
            .lines(stack(&stop.stack))
            .lines(stop.registers.as_deref().map(registers).unwrap_or_default())
            .end();
    }

    pub(super) fn leak(&mut self, time: Time, leak: &Leak<'_>, out: &mut Vec<u8>) {
        let driver = self.driver(leak.driver, out);
        let (one, several) = words::leak_words(leak.kind);
        let word = if leak.count == 1 { one } else { several };
        self.tell(|rows| format!("{} left {} {word}: {}", rows.name(Some(driver)), leak.count, leak.what));
        if self.budget.take(Class::Matter) {
            let row = self.row(out, 'L', time).number(driver).text(one).text(several).text(&leak.what);
            row.number(leak.count).number(leak.bytes).end();
        }
    }

    /// Keeps a sentence for the page without a script.
    pub(super) fn tell(&mut self, sentence: impl FnOnce(&Self) -> String) {
        if self.told.len() < TOLD {
            self.told.push(short(&sentence(self)));
        }
    }

    /// The same about a process, which is named as well as it is known.
    pub(super) fn tell_of(&mut self, id: ProcessId, sentence: impl FnOnce(&Self, &str) -> String) {
        self.tell(|rows| {
            let name = rows.people.get(id).and_then(|person| person.name.as_deref());
            sentence(rows, &name.map_or_else(|| format!("process {id}"), |name| format!("{name} ({id})")))
        });
    }
}

/// A stack, a line for each level.
fn stack(frames: &[Frame<'_>]) -> impl Iterator<Item = String> {
    frames.iter().map(frame::line)
}

/// Registers, three in a line.
fn registers(r: &Registers) -> Vec<String> {
    let all = [
        ("rax", r.rax),
        ("rbx", r.rbx),
        ("rcx", r.rcx),
        ("rdx", r.rdx),
        ("rsi", r.rsi),
        ("rdi", r.rdi),
        ("r8", r.r8),
        ("r9", r.r9),
        ("r10", r.r10),
        ("r11", r.r11),
        ("r12", r.r12),
        ("r13", r.r13),
        ("r14", r.r14),
        ("r15", r.r15),
        ("rbp", r.rbp),
        ("rsp", r.rsp),
        ("rip", r.rip),
        ("efl", u64::from(r.eflags)),
    ];
    let line = |row: &[(&str, u64)]| {
        row.iter().map(|(name, value)| format!("{name:<3} {value:016x}")).collect::<Vec<_>>().join("  ")
    };
    let mut lines: Vec<_> = all.chunks(3).map(line).collect();
    lines.push(format!("irql {}", r.irql));
    lines
}
