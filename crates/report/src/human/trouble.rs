//! Findings, stops and leaks.

use event::{Finding, Frame, Leak, Registers, Severity, Stop, StopKind};

use nt_abi::BugCheckCode;

use super::Verbosity;
use super::palette::{BAD, DRIVER, FAINT, PLAIN, STRONG, WARN};
use super::paper::{BLOCK, Paper};
use super::quantity::{count, milliseconds, size};
use super::timeline::{Timeline, begin_block};
use crate::words;

/// How many levels of a stack are shown unless everything is.
const LEVELS: usize = 16;

pub(super) fn finding(line: &mut Timeline<'_>, finding: &Finding<'_>) {
    line.begin();
    let name = line.driver_name(finding.driver);
    let paper = &mut *line.paper;
    let style = match finding.severity {
        Severity::Warning => WARN,
        Severity::Error => BAD,
    };
    paper.word(style, paper.signs().attention, style, "finding");
    paper.put(STRONG, &finding.rule);
    paper.put(style, &format!(" {} ", finding.severity.word()));
    paper.put_short(DRIVER, &name);
    paper.put(PLAIN, ": ");
    paper.put_wrapped(PLAIN, &finding.message);
    paper.end();
    if let Some((code, parameters)) = finding.bug_check {
        paper.begin_detail();
        let [a, b, c, d] = parameters;
        let text = format!(
            "Windows would stop with {}, parameters {a:#x}, {b:#x}, {c:#x}, {d:#x}",
            BugCheckCode(code)
        );
        paper.put_wrapped(FAINT, &text);
        paper.end();
    }
    stack(paper, &finding.stack, Paper::begin_detail, line.verbosity);
}

pub(super) fn stop(line: &mut Timeline<'_>, stop: &Stop<'_>) {
    let (elapsed, context) = (line.names.elapsed(line.record.time), line.record.context);
    let process = line.names.process(context.process).unwrap_or("?");
    let mut place = format!("at {} ms", milliseconds(elapsed));
    if context != event::ClientId::default() {
        place.push_str(&format!(", in {process} (process {}, thread {})", context.process, context.thread));
    }
    let driver = stop.driver.map(|driver| line.driver_name(Some(driver)));
    let verbose = line.verbosity >= Verbosity::Verbose;
    let paper = &mut *line.paper;

    begin_block(paper);
    paper.sign(BAD, paper.signs().stop);
    let title = match stop.kind {
        StopKind::BugCheck => format!(" STOP {}", BugCheckCode(stop.code)),
        StopKind::Hang => " STOP: a routine did not return".to_owned(),
        StopKind::Unimplemented => " STOP: a routine was called that Callboard does not have".to_owned(),
        StopKind::HostDied => " STOP: the host died".to_owned(),
    };
    paper.put(BAD, &title);
    paper.end();
    paper.begin_at(BLOCK + 2);
    paper.put_wrapped(PLAIN, &stop.message);
    paper.end();
    paper.begin_at(BLOCK + 2);
    paper.put(FAINT, &place);
    if let Some(driver) = driver {
        paper.put(FAINT, ", driver ");
        paper.put_short(DRIVER, &driver);
    }
    paper.end();

    if stop.kind == StopKind::BugCheck || stop.code != 0 {
        let meanings = words::bug_check_parameters(stop.code);
        for (number, (value, meaning)) in stop.parameters.iter().zip(meanings).enumerate() {
            paper.begin_at(BLOCK + 2);
            paper.put(FAINT, &format!("parameter {}  ", number + 1));
            paper.put(PLAIN, &format!("{value:#018x}"));
            if !meaning.is_empty() {
                paper.put(FAINT, "  ");
                paper.put_wrapped(FAINT, meaning);
            }
            paper.end();
        }
    }
    stack(paper, &stop.stack, |paper| paper.begin_at(BLOCK + 2), line.verbosity);
    if verbose && let Some(values) = &stop.registers {
        registers(paper, values);
    }
    paper.blank();
}

fn stack(paper: &mut Paper, frames: &[Frame<'_>], begin: impl Fn(&mut Paper), verbosity: Verbosity) {
    let levels = if verbosity >= Verbosity::Everything { frames.len() } else { LEVELS };
    for (level, frame) in frames.iter().take(levels).enumerate() {
        begin(paper);
        paper.put(FAINT, if level == 0 { "at   " } else { "from " });
        let place = match &frame.module {
            // A routine of the kernel has no offset that means anything.
            Some(module) if frame.offset == 0 && frame.symbol.is_some() => module.to_string(),
            Some(module) => format!("{module}+{:#x}", frame.offset),
            None => format!("{:#x}", frame.address),
        };
        match &frame.symbol {
            Some(symbol) => {
                paper.put_short(STRONG, symbol);
                paper.put_short(FAINT, &format!("  {place}"));
            }
            None => paper.put_short(PLAIN, &place),
        }
        if verbosity >= Verbosity::Verbose && frame.module.is_some() {
            paper.put(FAINT, &format!("  {:#x}", frame.address));
        }
        paper.end();
    }
    if frames.len() > levels {
        begin(paper);
        paper.put(
            FAINT,
            &format!(
                "from {} more (-vv shows all)",
                count((frames.len() - levels) as u64, "level", "levels")
            ),
        );
        paper.end();
    }
}

fn registers(paper: &mut Paper, r: &Registers) {
    let rows = [
        [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx)],
        [("rdx", r.rdx), ("rsi", r.rsi), ("rdi", r.rdi)],
        [("r8", r.r8), ("r9", r.r9), ("r10", r.r10)],
        [("r11", r.r11), ("r12", r.r12), ("r13", r.r13)],
        [("r14", r.r14), ("r15", r.r15), ("rbp", r.rbp)],
        [("rip", r.rip), ("rsp", r.rsp), ("efl", u64::from(r.eflags))],
    ];
    for row in rows {
        paper.begin_at(BLOCK + 2);
        for (name, value) in row {
            paper.put(FAINT, &format!("{name:<3} "));
            paper.put(PLAIN, &format!("{value:016x}"));
            paper.space(2);
        }
        paper.end();
    }
    paper.begin_at(BLOCK + 2);
    paper.put(FAINT, "irql ");
    paper.put(PLAIN, &r.irql.to_string());
    paper.end();
}

pub(super) fn leak(line: &mut Timeline<'_>, leak: &Leak<'_>) {
    line.begin();
    let name = line.driver_name(Some(leak.driver));
    let paper = &mut *line.paper;
    paper.word(WARN, paper.signs().attention, WARN, "leak");
    paper.put_short(DRIVER, &name);
    paper.put_wrapped(PLAIN, &format!(" left {}", left_behind(leak)));
    paper.end();
}

/// What a leak is, in words.
pub(super) fn left_behind(leak: &Leak<'_>) -> String {
    let (one, several) = words::leak_words(leak.kind);
    let bytes = if leak.bytes == 0 { String::new() } else { format!(", {}", size(leak.bytes)) };
    format!("{}: {}{bytes}", count(leak.count, one, several), leak.what)
}
