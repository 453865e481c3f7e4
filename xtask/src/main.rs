//! The chores of the house: `cargo xtask help`. One file per command; this one is their index.
#![expect(clippy::print_stderr, reason = "a tool that people run tells them what it does")]

mod bench_live;
mod bugs;
mod callboard;
mod conformance;
mod drivers;
mod mutate;
mod root;
mod timeline;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the house.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the Windows drivers in drivers/ and put them in drivers/bin/
    Drivers(drivers::Arguments),
    /// Write docs/conformance.md: every requirement, what proves it, and how that goes
    Conformance(conformance::Arguments),
    /// Break one behaviour at a time, and see that the tests which prove it fail
    Mutate(mutate::Arguments),
    /// Measure how long stress takes to find each known defect, and that the corrected twins stay silent
    Bugs(bugs::Arguments),
    /// Measure what watching costs a command, as ratios within one run (docs/performance.md)
    BenchLive,
    /// Draw docs/timeline.svg, the picture of the README, from a real run
    Timeline,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Drivers(arguments) => drivers::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Mutate(arguments) => mutate::run(&arguments),
        Command::Bugs(arguments) => bugs::run(&arguments),
        Command::BenchLive => bench_live::run(),
        Command::Timeline => timeline::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why:#}");
            ExitCode::FAILURE
        }
    }
}
