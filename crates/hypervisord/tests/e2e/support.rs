//! What helps when something fails: `doctor` and `support-bundle`.

use std::path::Path;
use std::process::{Command, Output};

use hypersdk_tests::command;
use serde_json::{Value, json};

use crate::world::{WEB, World};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

fn run(arguments: &[&str], configuration: &Path) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--config").arg(configuration).env("LAB_API_TOKEN", "planted-in-environment");
    // What the tests themselves are told is not the daemon's.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HYPERSDK_") {
            command.env_remove(name);
        }
    }
    command.env_remove("GOVC_URL").output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// The grades of the findings of one check.
fn grades<'a>(findings: &'a Value, check: &str) -> Vec<&'a str> {
    let findings = findings["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["check"] == check)
        .filter_map(|finding| finding["grade"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_working_daemon_well_and_names_what_is_not() {
    let world = World::new().await;
    let configuration = world.path("hypersdk.yaml");
    let well = run(&["doctor", "--json"], &configuration);
    assert!(well.status.success(), "{}{}", text(&well.stdout), text(&well.stderr));
    let findings: Value = serde_json::from_slice(&well.stdout).unwrap();
    for check in ["configuration", "database", "connection default", "export_root", "clock"] {
        assert_eq!(grades(&findings, check), ["ok"], "{check}: {findings:#}");
    }
    assert_eq!(
        grades(&findings, "configuration file"),
        ["warn"],
        "it holds a password and everybody reads it"
    );

    let broken = world.path("broken.yaml");
    let text_of = std::fs::read_to_string(&configuration).unwrap();
    let database = world.path("damaged.db");
    std::fs::write(&database, "no database at all ".repeat(1000)).unwrap();
    let lines: String = text_of
        .lines()
        .map(|line| match line.split_once(": ") {
            Some(("password", _)) => "password: not-the-password\n".to_owned(),
            Some(("database_path", _)) => format!("database_path: {}\n", database.display()),
            Some(("export_root", _)) => "export_root: /nonexistent\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&broken, lines).unwrap();
    let ill = run(&["doctor", "--json"], &broken);
    assert_eq!(ill.status.code(), Some(1));
    let findings: Value = serde_json::from_slice(&ill.stdout).unwrap();
    for check in ["database", "connection default", "export_root"] {
        assert_eq!(grades(&findings, check), ["fail"], "{check}: {findings:#}");
    }
    let shown = text(&run(&["doctor"], &broken).stdout);
    assert!(shown.contains("FAIL  database: ") && shown.contains("      -> "), "{shown}");
    assert!(!shown.contains("not-the-password"), "{shown}");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_tells_everything_but_the_secrets() {
    let log = tempfile::tempdir().unwrap();
    let log_file = log.path().join("hypervisord.log");
    let world = World::new().await;
    let password = world.sim.password().to_owned();
    let mut job = world.job(WEB);
    job["metadata"] = json!({ "note": "planted-in-metadata" });
    let done = world.complete(&job).await;
    let failed = world.run(&job).await;
    assert_eq!(failed["status"], "failed", "the package is there already");

    std::fs::write(
        &log_file,
        format!(
            "2026-11-24T00:00:00Z  INFO login with {password} refused\n\
             2026-11-24T00:00:01Z DEBUG POST /x Authorization: Bearer planted-in-header\n\
             2026-11-24T00:00:02Z DEBUG connect https://user:planted-in-url@vc.example.com/sdk\n\
             2026-11-24T00:00:03Z DEBUG body {{\"password\":\"planted-in-json\",\"n\":1}}\n\
             2026-11-24T00:00:04Z DEBUG hsk_planted-token and planted-in-environment\n\
             -----BEGIN PRIVATE KEY-----\nplanted-in-pem\n-----END PRIVATE KEY-----\n\
             2026-11-24T00:00:05Z  INFO a line worth reading\n"
        ),
    )
    .unwrap();
    let configuration = world.path("bundle.yaml");
    let own = std::fs::read_to_string(world.path("hypersdk.yaml")).unwrap();
    let addr = world.client().base().trim_start_matches("http://").to_owned();
    let own: String =
        own.lines().filter(|line| !line.starts_with("daemon_addr")).map(|line| format!("{line}\n")).collect();
    let more = format!("daemon_addr: {addr}\nlog_file: {}\n", log_file.display());
    std::fs::write(&configuration, own + more.as_str()).unwrap();

    for name in ["bundle.tar.gz", "bundle.tar.zst"] {
        let bundle = world.path(name);
        let output = run(&["support-bundle", bundle.to_str().unwrap()], &configuration);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let opened = world.path(&format!("{name}.opened"));
        std::fs::create_dir(&opened).unwrap();
        command("tar", &["-xf", bundle.to_str().unwrap()], &opened);
        // grep ends with 1 if it finds nothing.
        for secret in ["planted", password.as_str()] {
            let found =
                Command::new("grep").args(["-r", "-F", "-e", secret]).current_dir(&opened).output().unwrap();
            assert_eq!(found.status.code(), Some(1), "{secret} is in {name}: {}", text(&found.stdout));
        }
        let read = |file: &str| std::fs::read_to_string(opened.join("hypersdk-support").join(file)).unwrap();
        assert!(read("log.txt").contains("a line worth reading"));
        assert!(
            read("config.yaml").contains("password: '********'") || read("config.yaml").contains("********")
        );
        assert!(read("doctor.txt").contains("connection default"));
        assert!(read("versions.json").contains(env!("CARGO_PKG_VERSION")));
        assert!(read("database.json").contains(done["definition"]["id"].as_str().unwrap()));
        let status: Value = serde_json::from_str(&read("daemon/status.json")).unwrap();
        assert_eq!(status["failed_jobs"], 1, "{status}");
    }
    let again = run(&["support-bundle", world.path("bundle.tar.gz").to_str().unwrap()], &configuration);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("exists already"), "{}", text(&again.stderr));
    world.stop_clean().await;
}
