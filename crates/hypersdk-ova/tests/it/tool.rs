//! Other people's tools. A missing one fails the test that needs it.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};

/// Runs a tool to success and gives what it printed.
#[track_caller]
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program} has to be installed: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{printed}{complaint}", output.status);
    printed
}

/// Starts a tool whose output is read through a pipe.
#[track_caller]
pub(crate) fn piped<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} has to be installed: {error}"))
}
