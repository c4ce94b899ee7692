//! Certificates that a person has confirmed: a file, a line a server.
//!
//! ```text
//! # comments and empty lines are left alone
//! vcenter.example.org:443 9A:F1:…   SHA-256 (or SHA-1) of the certificate
//! [2001:db8::1]:8443 03:C2:…
//! ```
//!
//! It is asked only when no authority vouches for a server, and then read anew each time, so what is recorded takes
//! effect at once. A server that stands in it with another certificate is refused.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Thumbprint;

/// The file of confirmed certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHosts {
    path: PathBuf,
}

impl KnownHosts {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        KnownHosts { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificates recorded for a server; none if the file does not exist. Lines that cannot be read are
    /// left out, with a warning in the log.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub fn thumbprints(&self, host: &str, port: u16) -> io::Result<Vec<Thumbprint>> {
        let name = name(host, port);
        let mut found = Vec::new();
        for (number, line) in self.text()?.lines().enumerate() {
            match entry(line) {
                Some((server, Ok(thumbprint))) if server.eq_ignore_ascii_case(&name) => {
                    found.push(thumbprint)
                }
                Some((_, Ok(_))) | None => {}
                Some((_, Err(error))) => {
                    let line = number + 1;
                    tracing::warn!(file = %self.path.display(), line, %error, "an entry cannot be read");
                }
            }
        }
        Ok(found)
    }

    /// Records a server's certificate in the place of whatever was recorded for it. The file is replaced as a
    /// whole, so that nobody reads half of it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn record(&self, host: &str, port: u16, thumbprint: &Thumbprint) -> io::Result<()> {
        let name = name(host, port);
        let old = self.text()?;
        let others = old
            .lines()
            .filter(|line| !entry(line).is_some_and(|(server, _)| server.eq_ignore_ascii_case(&name)));
        let mut text: String = others.flat_map(|line| [line, "\n"]).collect();
        text.push_str(&format!("{name} {thumbprint}\n"));
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)
    }

    fn text(&self) -> io::Result<String> {
        match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            other => other,
        }
    }
}

/// How a server is written; an IPv6 address stands in brackets.
fn name(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

type Parsed = Result<Thumbprint, super::InvalidThumbprint>;

fn entry(line: &str) -> Option<(&str, Parsed)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (server, thumbprint) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some((server, thumbprint.parse()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_found_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(dir.path().join("known"));
        let (old, new) = (Thumbprint::sha256(b"old"), Thumbprint::sha256(b"new"));
        assert_eq!(hosts.thumbprints("vc", 443).unwrap(), []);
        hosts.record("vc", 443, &old).unwrap();
        hosts.record("::1", 8443, &old).unwrap();
        let edited =
            format!("# mine\n{}VC.example.org:443 {}\n", hosts.text().unwrap(), Thumbprint::sha1(b"x"));
        std::fs::write(hosts.path(), edited).unwrap();
        hosts.record("vc", 443, &new).unwrap();
        assert_eq!(hosts.thumbprints("vc", 443).unwrap(), [new]);
        assert_eq!(hosts.thumbprints("vc", 444).unwrap(), []);
        assert_eq!(hosts.thumbprints("[::1]", 8443).unwrap(), [old]);
        assert_eq!(hosts.thumbprints("vc.example.org", 443).unwrap(), [Thumbprint::sha1(b"x")]);
        assert!(hosts.text().unwrap().starts_with("# mine\n"), "comments stay");
    }

    #[test]
    fn a_line_that_cannot_be_read_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = KnownHosts::new(dir.path().join("known"));
        let thumbprint = Thumbprint::sha256(b"x");
        std::fs::write(hosts.path(), format!("nonsense\nvc:443 zz\nvc:443 {thumbprint}\n")).unwrap();
        assert_eq!(hosts.thumbprints("vc", 443).unwrap(), [thumbprint]);
    }
}
