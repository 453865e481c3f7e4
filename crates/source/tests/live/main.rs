//! Live trees, watched for real: each test runs commands and compares every notice.
#![expect(clippy::unwrap_used, reason = "tests")]

mod images;
mod jobs;
mod recorder;
mod refusal;
mod storm;
mod tree;
