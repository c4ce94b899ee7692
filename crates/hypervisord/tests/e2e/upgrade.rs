//! Coming from version 0.2, from an older version of the tables, and having come too far.

use std::path::Path;
use std::process::{Command, Output};

use hypersdk_tests::{Daemon, DaemonConfig, command};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

/// What version 0.2 kept: its own table, as its program made it.
const OLD: &str = "CREATE TABLE scheduled_jobs (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT, schedule TEXT NOT NULL,
  job_template_json TEXT NOT NULL, enabled BOOLEAN NOT NULL DEFAULT 1, created_at DATETIME, updated_at DATETIME,
  last_run DATETIME, next_run DATETIME, run_count INTEGER DEFAULT 0, tags_json TEXT);
INSERT INTO scheduled_jobs VALUES
 ('daily-backup', 'Daily Backup', 'all of it', '0 2 * * *',
  '{\"id\":\"\",\"vm_path\":\"/DC0/vm/prod/*\",\"output_dir\":\"/srv/exports\",\"format\":\"ova\",\"compress\":true}', 1, '2025-01-01T00:00:00Z',
  '2025-01-01T00:00:00Z', NULL, NULL, 7, '[\"prod\"]'),
 ('weekly', 'Weekly', NULL, '@weekly', '{\"vm_path\":\"/DC0/vm/a\",\"output_dir\":\"/srv/exports\"}', 0, '', '', NULL, NULL, 0, 'null'),
 ('often', 'Often', NULL, '@every 90m', '{\"vm_path\":\"/DC0/vm/a\",\"output_dir\":\"/srv/exports\"}', 1, '', '', NULL, NULL, 0, NULL);";

fn run(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("HYPERSDK_") || name.starts_with("GOVC_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(directory).env("TZ", "Europe/Berlin").output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedules_of_version_0_2_go_on_and_its_file_is_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    command("sqlite3", &["old.db", OLD], here);
    let before = std::fs::read(here.join("old.db")).unwrap();
    let config = DaemonConfig::bare(here).set("orphan_sweep_interval", "0");
    config.write();
    let import = ["import-legacy", "--old-database", "old.db", "--config", "hypersdk.yaml"];

    let dry = run(&[&import[..], &["--dry-run"]].concat(), here);
    assert!(dry.status.success(), "{}", text(&dry));
    assert!(text(&dry).contains("3 of 3 schedules would be in"), "{}", text(&dry));
    assert!(!here.join("hypersdk.db").exists(), "nothing is changed");

    let done = run(&import, here);
    assert!(done.status.success(), "{}", text(&done));
    for line in
        ["daily-backup: taken over\n", "weekly: taken over, disabled\n", "often: taken over, disabled\n"]
    {
        assert!(text(&done).contains(line), "{line}{}", text(&done));
    }
    assert!(text(&done).contains("has no equal"), "{}", text(&done));
    assert_eq!(std::fs::read(here.join("old.db")).unwrap(), before);

    let again = run(&import, here);
    assert!(text(&again).contains("daily-backup: left alone"), "{}", text(&again));

    let daemon = Daemon::start(BINARY, &config);
    let (_, schedules) = daemon.client().get("/schedules").await;
    let find = |id: &str| schedules.as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone();
    let daily: Value = find("daily-backup");
    assert_eq!((&daily["enabled"], &daily["timezone"]), (&true.into(), &"Europe/Berlin".into()), "{daily:#}");
    assert_eq!(daily["tags"], serde_json::json!(["prod"]));
    assert_eq!(daily["job_template"]["vm_path"], "/DC0/vm/prod/*");
    assert!(daily["next_run"].is_string(), "{daily:#}");
    assert_eq!(find("often")["enabled"], false);

    let busy = run(&import, here);
    assert_eq!(busy.status.code(), Some(1));
    assert!(
        text(&busy).contains("another process") && text(&busy).contains("stop that process"),
        "{}",
        text(&busy)
    );
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn the_configuration_of_version_0_2_becomes_one_of_this_version() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let old = "vcenterurl: vc.example.com\nusername: u\npassword: hunter22\ndaemonaddr: localhost:8080\nchunksize: 33554432\n\
               connectionpool:\n  maxconnections: 7\n";
    std::fs::write(here.join("old.yaml"), old).unwrap();
    let arguments = ["import-legacy", "--old-config", "old.yaml", "--write-config", "new.yaml"];
    let done = run(&arguments, here);
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&done).contains("chunksize is left out"), "{}", text(&done));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(here.join("new.yaml")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "it holds a password");
    let checked = run(&["check-config", "--config", "new.yaml"], here);
    assert!(checked.status.success() && !text(&checked).contains("warning"), "{}", text(&checked));
    assert!(text(&checked).contains("max_connections: 7"), "{}", text(&checked));
    let again = run(&arguments, here);
    assert!(!again.status.success(), "a file that is there is not written over");
}

#[test]
fn a_database_of_version_0_2_or_of_a_newer_version_keeps_the_daemon_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    command("sqlite3", &["old.db", OLD], here);
    DaemonConfig::bare(here).set("database_path", "old.db").write();
    let refused = run(&["--config", "hypersdk.yaml"], here);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("hypervisord import-legacy"), "{}", text(&refused));

    let config = DaemonConfig::bare(here).set("orphan_sweep_interval", "0");
    Daemon::start(BINARY, &config).stop();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9001, 'from the future', TRUE, x'00', 0)";
    command("sqlite3", &["hypersdk.db", newer], here);
    let refused = run(&["--config", "hypersdk.yaml"], here);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("version 9001"), "{}", text(&refused));
    assert!(text(&refused).contains("newer version"), "{}", text(&refused));
}
