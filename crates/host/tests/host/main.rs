//! Benches and their hosts, with scripted drivers and with real ones. The host of each is this test program once more.

mod begun;
mod bench;
mod common;
mod drivers;
mod sandbox;
