//! The known defects of real drivers: each is found by some seed, and its corrected twin by none.

use callboard::Profile;
use callboard::host::BenchOptions;
use callboard::stress::{self, Outcome, Subject};

use crate::support::driver;

fn subject(name: &str) -> Subject {
    let path = driver(&format!("bugs/{name}"));
    let image = std::fs::read(&path).unwrap();
    Subject::new(name, &path.to_string_lossy(), image, BenchOptions::new(Profile::Win11_24H2))
}

/// Prints which seeds find what: `BUG=bug-01 SEEDS=100 cargo test -p callboard --test it survey -- --ignored --nocapture`.
#[test]
#[ignore = "a survey for people"]
fn survey() {
    let name = std::env::var("BUG").unwrap();
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(100);
    let verbose = std::env::var_os("V").is_some();
    let subject = subject(&name);
    let began = std::time::Instant::now();
    for seed in 0..seeds {
        let outcome: Outcome = stress::run(&subject, seed, &mut |record| {
            if verbose {
                eprintln!("{:?} {:?}", record.context, record.body);
            }
        })
        .unwrap();
        if !outcome.is_silent() {
            let stop = outcome
                .stop
                .as_ref()
                .map(|stop| (stop.kind, stop.code, stop.parameters, stop.message.clone()));
            let findings: Vec<_> =
                outcome.findings.iter().map(|it| (it.rule.clone(), it.message.clone())).collect();
            eprintln!("seed {seed}: {stop:?} {findings:?}");
        } else if let Some(status) = outcome.not_loaded {
            eprintln!("seed {seed}: not loaded: {status}");
        }
    }
    eprintln!("{seeds} seeds in {:?}", began.elapsed());
}
