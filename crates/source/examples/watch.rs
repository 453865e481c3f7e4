//! Prints what a command does: `cargo run -p callboard-source --example watch -- sh -c 'uname -a; ls /'`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example that prints")]

use std::{process::ExitCode, time::Duration};

use event::{Event, Level};
use source::{
    Delivery, Recipient, Reply, Ticket,
    live::{Command, Observer, Options, run},
};

struct Printer;

impl Recipient for Printer {
    fn deliver(&mut self, batch: &[Event<'_>]) -> Delivery {
        for event in batch {
            println!("{:?} {:?}", event.context, event.kind);
        }
        println!("--");
        Delivery::Done(Reply::default())
    }

    fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
        None
    }
}

struct Speaker;

impl Observer for Speaker {
    fn note(&mut self, level: Level, text: &str) {
        eprintln!("watch: {level:?}: {text}");
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("watch: which command?");
        return ExitCode::from(2);
    };
    let options = Options { observer: Some(&mut Speaker) };
    match run(&Command::new(program, arguments), &mut Printer, options) {
        Ok(outcome) => {
            println!("{outcome:?}");
            ExitCode::from(outcome.ending.shell_code())
        }
        Err(error) => {
            eprintln!("watch: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
