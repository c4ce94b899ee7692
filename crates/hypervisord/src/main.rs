//! The daemon's binary; everything is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    hypervisord::run(&hypervisord::Args::parse())
}
