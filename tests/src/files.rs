use std::path::Path;
use std::process::Command;

/// The names in a directory, sorted.
///
/// # Panics
/// If it cannot be read.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("the directory reads")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

/// Runs a program and gives what it printed.
///
/// # Panics
/// If it is missing or fails; the panic says what it printed.
pub fn command(program: &str, arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask peers` installs it"));
    assert!(
        output.status.success(),
        "{program} {arguments:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("output in UTF-8")
}
