//! What watching costs: 500 times `/bin/true`, watched and not, in turns (`cargo bench -p callboard-source`).
//!
//! The recipient does nothing. `ROUNDS` and `COMMAND` in the environment change what is run.
#![expect(clippy::print_stdout, reason = "a measurement that prints its result")]

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use event::Event;
use source::{
    Delivery, Recipient, Reply, Ticket,
    live::{Command, Options, run},
};

const DEFAULT: &str = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done";

struct Nobody;

impl Recipient for Nobody {
    fn deliver(&mut self, _: &[Event<'_>]) -> Delivery {
        Delivery::Done(Reply::default())
    }

    fn finished(&mut self, _: Duration) -> Option<(Ticket, Delivery)> {
        None
    }
}

fn unwatched(script: &str) {
    let status = std::process::Command::new("sh").args(["-c", script]).stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "the command failed");
}

fn watched(script: &str) {
    let outcome = run(&Command::new("sh", ["-c", script]), &mut Nobody, Options::default());
    assert!(outcome.is_ok_and(|outcome| outcome.ending.shell_code() == 0), "the command failed");
}

fn timed(what: fn(&str), script: &str) -> Duration {
    let start = Instant::now();
    what(script);
    start.elapsed()
}

fn main() {
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(15);
    let script = std::env::var("COMMAND").unwrap_or_else(|_| DEFAULT.to_owned());
    let (mut plain, mut live) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.push(timed(unwatched, &script));
        live.push(timed(watched, &script));
    }
    plain.sort_unstable();
    live.sort_unstable();
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let (Some(plain_best), Some(live_best)) = (plain.first(), live.first()) else { return };
    let (plain_middle, live_middle) = (plain[rounds / 2], live[rounds / 2]);
    println!(
        "best of {rounds}:   {plain_best:>10.1?} unwatched, {live_best:>10.1?} watched: x {:.2}",
        ratio(*live_best, *plain_best)
    );
    println!(
        "median of {rounds}: {plain_middle:>10.1?} unwatched, {live_middle:>10.1?} watched: x {:.2}",
        ratio(live_middle, plain_middle)
    );
}
