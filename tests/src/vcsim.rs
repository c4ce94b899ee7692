use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// govmomi's vSphere simulator, other people's server, as a child process. It ends with this.
#[derive(Debug)]
pub struct Vcsim {
    child: Child,
    url: String,
}

impl Vcsim {
    /// The one account.
    pub const ACCOUNT: (&str, &str) = ("user", "pass");

    /// Builds it in the directory `cache` if need be, and starts it.
    ///
    /// # Panics
    /// If it does not start; the panic says what it needs.
    pub fn start(cache: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/vcsim/run.sh");
        let mut child = Command::new(&script)
            .env("VCSIM_CACHE", cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        let mut url = String::new();
        let stdout = child.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut url).expect("a line or its end");
        assert!(
            url.starts_with("https://"),
            "govmomi's simulator did not start; `cargo xtask peers` installs what it needs"
        );
        Vcsim { child, url: url.trim().to_owned() }
    }

    /// The SDK's address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        // Standard input closes with the handle, and the program ends.
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}
