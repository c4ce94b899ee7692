//! The journal gets entries with fields. Another process stands in for it, in a mount namespace where `/run` is empty.

use std::process::Command;

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

/// Receives as `systemd-journald` does, starts the daemon, and prints each entry as a line of JSON until it has stopped.
/// The protocol: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.
const JOURNAL: &str = r#"
import json, os, signal, socket, subprocess, sys
os.makedirs("/run/systemd/journal")
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
journal.settimeout(30)
daemon = subprocess.Popen(sys.argv[1:])

def entry(data):
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(data[:8], "little")
            value, data = data[8:8 + size], data[8 + size + 1:]
        fields[name.decode()] = value.decode()
    return fields

try:
    while True:
        fields = entry(journal.recv(1 << 20))
        # The first datagram only asks whether somebody is there.
        if not fields:
            continue
        print(json.dumps(fields), flush=True)
        if fields["MESSAGE"].startswith("listening on"):
            daemon.send_signal(signal.SIGTERM)
        if fields["MESSAGE"].startswith("job statistics"):
            sys.exit(daemon.wait())
finally:
    daemon.kill()
"#;

#[test]
fn entries_of_the_journal_have_fields() {
    let python = std::env::var("HYPERSDK_PYTHON").expect("HYPERSDK_PYTHON: run `cargo xtask test`");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("hypersdk.yaml");
    let database = directory.path().join("hypersdk.db");
    std::fs::write(
        &config,
        format!("log_format: journald\ndaemon_addr: 127.0.0.1:0\ndatabase_path: {}\n", database.display()),
    )
    .unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec"])
        .arg("mount -t tmpfs none /run; exec \"$@\"")
        .args(["sh", &python, "-c", JOURNAL, BINARY, "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let (entries, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{}\n{entries}\n{errors}", output.status);
    assert_eq!(errors, "", "nothing goes to stderr as well");
    let entries: Vec<Value> = entries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listening = entries
        .iter()
        .find(|entry| entry["MESSAGE"].as_str().is_some_and(|text| text.starts_with("listening on")))
        .unwrap();
    assert_eq!(listening["SYSLOG_IDENTIFIER"], "hypervisord", "{listening:#}");
    assert!(listening["HYPERSDK_ADDR"].as_str().unwrap().starts_with("127.0.0.1:"), "{listening:#}");
    assert!(listening["PRIORITY"].is_string(), "{listening:#}");
}
