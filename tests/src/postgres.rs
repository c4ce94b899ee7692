use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to be made and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the server until its standard input ends, which it does when the test process ends, however that ends;
/// then stops it and removes its directory.
const KEEPER: &str = r#"
"$BIN/postgres" -D "$DIR/data" >"$DIR/log" 2>&1 &
server=$!
cat >/dev/null
"$BIN/pg_ctl" stop --silent --mode=immediate --pgdata="$DIR/data" >/dev/null 2>&1
wait "$server"
rm -rf "$DIR"
"#;

/// A PostgreSQL server of this process's own, on a free port of the loopback. It has one account, `hyper`, with a
/// password.
#[derive(Debug)]
pub struct Postgres {
    keeper: Option<Child>,
    bin: PathBuf,
    directory: PathBuf,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// The password of the account.
    pub const PASSWORD: &str = "s3cret of the tests";

    /// The one server that the tests of a program share; it ends with the program. What it has acknowledged need
    /// not survive a crash of the machine.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Postgres::start(false))
    }

    /// A server of its own. With `fsync` it does what it takes to survive a crash of the machine.
    ///
    /// # Panics
    /// If it does not start: the programs are missing, or see the panic's text.
    pub fn start(fsync: bool) -> Postgres {
        let bin = programs();
        let directory = tempfile::Builder::new()
            .prefix("hypersdk-postgres-")
            .tempdir()
            .expect("a directory for the server")
            .keep();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&directory));
        }
        let password = directory.join("password");
        std::fs::write(&password, Self::PASSWORD).expect("the password's file is written");
        run(as_server(&bin.join("initdb"))
            .args(["--username=hyper", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(directory.join("data")));
        let port = free_port();
        let mut settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 200\n\
             shared_buffers = 32MB\nautovacuum_naptime = 5s\n"
        );
        if !fsync {
            settings.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
        }
        std::fs::OpenOptions::new()
            .append(true)
            .open(directory.join("data/postgresql.conf"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, settings.as_bytes()))
            .expect("the server's settings are written");
        let mut server = Postgres { keeper: None, bin, directory, port, databases: AtomicU32::new(0) };
        server.resume();
        server
    }

    /// Stops the server as a crash does, and keeps what it had on disk for [`resume`](Self::resume).
    ///
    /// # Panics
    /// If it cannot be stopped.
    pub fn crash(&mut self) {
        let data = self.directory.join("data");
        run(as_server(&self.bin.join("pg_ctl")).args(["stop", "--mode=immediate", "--pgdata"]).arg(data));
    }

    /// Starts the server again on the same port.
    ///
    /// # Panics
    /// If it does not answer in time; the panic shows its log.
    pub fn resume(&mut self) {
        if self.keeper.is_none() {
            let keeper = as_server(Path::new("/bin/sh"))
                .args(["-c", KEEPER])
                .env("BIN", &self.bin)
                .env("DIR", &self.directory)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the server starts");
            self.keeper = Some(keeper);
        } else {
            let log = self.directory.join("log");
            run(as_server(&self.bin.join("pg_ctl"))
                .args(["start", "--wait", "--silent", "--pgdata"])
                .arg(self.directory.join("data"))
                .arg("--log")
                .arg(log));
        }
        let begun = Instant::now();
        while !self.answers() {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not answer:\n{log}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        Command::new(self.bin.join("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()])
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Makes an empty database and gives its URL, password included.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        let password = Self::PASSWORD.replace(' ', "%20");
        format!("postgres://hyper:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement as another program would, and gives what it printed, columns separated by `|`.
    ///
    /// # Panics
    /// If it fails.
    pub fn psql(&self, database: &str, statement: &str) -> String {
        let output = Command::new(self.bin.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--host=127.0.0.1", "--port", &self.port.to_string(), "--username=hyper"])
            .args(["--dbname", database, "--command", statement])
            .env("PGPASSWORD", Self::PASSWORD)
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("output in UTF-8").trim().to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// The newest installed server's programs.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed; `cargo xtask peers` does that").1
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// The program as the account `postgres` if this is root, which the server refuses to be. In a process group of
/// its own: an interrupt at the terminal is the tests' to handle.
fn as_server(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.current_dir("/").env_remove("LC_ALL");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address").port()
}
