//! The daemon, for this package's tests: `cargo test` builds it beside them from the sources of the moment.
//! Its main is the one line that `hypervisord`'s own binary has.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    hypervisord::run(&hypervisord::Args::parse())
}
