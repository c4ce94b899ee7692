use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use hypersdk_vsim::Vsim;
use rustix::process::{Pid, Signal, kill_process};

use crate::Client;

/// How long a daemon may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration of a daemon under test: a file in a directory of its own.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    directory: PathBuf,
    keys: BTreeMap<String, String>,
}

impl DaemonConfig {
    /// A daemon that keeps everything in `directory` and reaches the simulator with its certificate pinned.
    pub fn over(sim: &Vsim, directory: &Path) -> Self {
        let mut config = Self::bare(directory);
        for (key, value) in [
            ("vcenter_url", sim.url().as_str()),
            ("username", sim.username()),
            ("password", sim.password()),
            ("thumbprint", sim.thumbprint()),
        ] {
            config = config.set(key, &format!("{value:?}"));
        }
        config
    }

    /// A daemon without any connection.
    pub fn bare(directory: &Path) -> Self {
        DaemonConfig { directory: directory.to_owned(), keys: BTreeMap::new() }
            .set("daemon_addr", "127.0.0.1:0")
            .set("database_path", &format!("{:?}", directory.join("hypersdk.db")))
    }

    /// Where its file and its database are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sets a key, a second time with another value if need be.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.keys.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Writes the file and gives its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self) -> PathBuf {
        let path = self.directory.join("hypersdk.yaml");
        let lines: String = self.keys.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        std::fs::write(&path, lines).expect("the configuration is written");
        path
    }
}

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    client: Client,
}

impl Daemon {
    /// Starts the binary and waits until it listens.
    ///
    /// # Panics
    /// If it does not; the panic shows its log.
    pub fn start(binary: &str, config: &DaemonConfig) -> Self {
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(config.write())
            .env_remove("GOVC_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(rest) = line.split("listening on ").nth(1) {
                    let _ = found.send(rest.split_whitespace().next().unwrap_or(rest).to_owned());
                }
                let mut kept = kept.lock().expect("no holder panics");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let base = address.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("the daemon did not listen:\n{}", log.lock().expect("no holder panics"))
        });
        Daemon { child, log, reader: Some(reader), client: Client::new(base.trim_end_matches('/')) }
    }

    /// A client of it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    ///
    /// # Panics
    /// Never.
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").clone()
    }

    /// Sends SIGTERM and waits for its end: exit status and how long it took.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(mut self) -> (ExitStatus, Duration, String) {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait();
        // Its last lines are read.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        (status, begun.elapsed(), self.log())
    }

    /// Kills it as a power failure would: no chance to tidy up.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("the signal is sent");
    }

    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon did not end:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
