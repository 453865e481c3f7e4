//! Prints what this machine lets a live source do: `cargo run -p callboard-source --example probe`.
#![expect(clippy::print_stdout, reason = "an example that prints")]

use source::live::{ProbeOutcome, probe};

fn main() {
    for probe in probe() {
        match probe.outcome {
            ProbeOutcome::Works(how) => println!("yes  {}: {how}", probe.name),
            ProbeOutcome::Missing { needed: true, text } => println!("NO   {}: {text}", probe.name),
            ProbeOutcome::Missing { needed: false, text } => println!("no   {}: {text}", probe.name),
        }
    }
}
