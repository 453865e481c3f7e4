//! Shows the example run as people see it: `cargo run -p callboard-report --example timeline -- [-q|-v|-vv]
//! [--ascii] [--ndjson] [COLUMNS]`. Colours are for terminals; `CLICOLOR_FORCE=1` asks for them.

#[path = "../tests/it/story.rs"]
mod story;

use report::human::{Options, Verbosity};
use report::{Human, Ndjson, Sink, SinkError, ndjson};

fn main() -> Result<(), SinkError> {
    let mut options = Options { colour: true, ..Options::default() };
    let mut json = false;
    for argument in std::env::args().skip(1) {
        match &*argument {
            "-q" => options.verbosity = Verbosity::Quiet,
            "-v" => options.verbosity = Verbosity::Verbose,
            "-vv" => options.verbosity = Verbosity::Everything,
            "--ascii" => options.ascii = true,
            "--ndjson" => json = true,
            columns => options.width = columns.parse().ok(),
        }
    }
    let out = anstream::stdout().lock();
    let mut sink: Box<dyn Sink> = match json {
        true => Box::new(Ndjson::new("stdout", out, ndjson::Options { live: true, ..Default::default() })),
        false => Box::new(Human::new("stdout", out, options)),
    };
    for record in story::story() {
        sink.record(&record)?;
    }
    sink.finish()
}
