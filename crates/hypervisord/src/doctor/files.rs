//! Files and directories: who may read the secrets, and where the daemon may write.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use crate::config::{Config, files_of};

/// Less free space than this is worth a word: an export of the smallest VM needs more.
const LITTLE_BYTES: u64 = 2 << 30;

/// Others may read.
const WORLD_READABLE: u32 = 0o004;

pub(super) fn check(file: Option<&Path>, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(file) = file {
        findings.extend(files_of(file).iter().map(|file| configuration_file(file)));
    }
    match &config.export_root {
        Some(root) => findings.extend(directory("export_root", root)),
        None => findings.push(Finding::warn(
            "export_root",
            "it is not set: a job may write wherever the daemon can",
            "set export_root to the directory that packages go below",
        )),
    }
    if let Some(directory_of_log) = config.log.file.as_deref().and_then(Path::parent) {
        findings.extend(directory("log_file", directory_of_log));
    }
    findings
}

/// A configuration that holds a password is for its owner (and the daemon's group) alone.
fn configuration_file(path: &Path) -> Finding {
    let check = "configuration file";
    let shown = path.display();
    match (std::fs::metadata(path), std::fs::read_to_string(path)) {
        (Ok(metadata), Ok(text)) => {
            let mode = metadata.mode() & 0o777;
            if mode & WORLD_READABLE != 0 && holds_secret(&text) {
                let message = format!("{shown} holds a secret and everybody can read it (mode {mode:04o})");
                return Finding::warn(check, message, format!("chmod 640 {shown}, or use password_file"));
            }
            Finding::ok(check, format!("{shown} (mode {mode:04o})"))
        }
        (Err(error), _) | (_, Err(error)) => Finding::fail(
            check,
            format!("{shown}: {error}"),
            "give the account that runs the daemon the right to read it",
        ),
    }
}

/// True if a line gives a secret its value in clear: not by a variable, and not a file's name.
fn holds_secret(text: &str) -> bool {
    text.lines().any(|line| {
        let Some((key, value)) = line.split_once(':') else { return false };
        let key = key.trim().trim_start_matches("- ").trim_matches(['"', '\'']);
        let value = value.trim().trim_matches(['"', '\'']);
        matches!(key, "password" | "secret") && !value.is_empty() && !value.starts_with("${")
    })
}

/// A directory that must be writable, and what is free there.
pub(super) fn directory(check: &str, path: &Path) -> Vec<Finding> {
    let shown = path.display();
    if !path.is_dir() {
        let remedy = format!("make it: install -d -o hypersdk -g hypersdk -m 0750 {shown}");
        return vec![Finding::fail(check, format!("{shown} is no directory"), remedy)];
    }
    // Asking by doing: modes, ACLs, read-only mounts and sandboxes all have their say.
    if let Err(error) = tempfile::Builder::new().prefix(".hypersdk-doctor-").tempfile_in(path) {
        return vec![Finding::fail(
            check,
            format!("{shown} cannot be written to: {error}"),
            "change its owner; under systemd, name it in ReadWritePaths= as well",
        )];
    }
    let mut findings = vec![Finding::ok(check, format!("{shown} can be written to"))];
    match rustix::fs::statvfs(path) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let message = format!("{} MiB are free at {shown}", free >> 20);
            findings.push(match free < LITTLE_BYTES {
                true => Finding::warn("free space", message, "free some, or exports will be refused"),
                false => Finding::ok("free space", message),
            });
        }
        Err(error) => {
            findings.push(Finding::warn("free space", format!("{shown}: {error}"), "look at the mount"))
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_clear_is_told_from_one_that_is_named() {
        assert!(holds_secret("username: u\npassword: hunter2\n"));
        assert!(holds_secret("webhooks:\n  - url: x\n    secret: 'abc'\n"));
        assert!(!holds_secret("password: ${VCENTER_PASSWORD}\npassword_file: /etc/x\n#password: x\n"));
    }
}
