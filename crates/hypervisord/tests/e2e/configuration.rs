//! The configuration as people meet it: through `check-config` of the real binary, and in an editor.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use hypersdk_tests::{Daemon, DaemonConfig};
use rustix::process::Signal;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");
const MISTAKES: &str = include_str!("configuration/mistakes.yaml");
const EXAMPLE: &str = include_str!("../../../../config.example.yaml");

/// Reads a schema, then pairs of a name and a document in YAML, one JSON text a line, and says of each what is wrong.
const VALIDATE: &str = r#"
import json, sys, yaml
import jsonschema_rs
schema = json.loads(sys.stdin.readline())
jsonschema_rs.meta.validate(schema)
validator = jsonschema_rs.Draft202012Validator(schema)
for line in sys.stdin:
    document = yaml.safe_load(json.loads(line)) or {}
    print(json.dumps(["/".join(map(str, e.instance_path)) + ": " + e.message for e in validator.iter_errors(document)]))
"#;

fn hypervisord(arguments: &[&str], directory: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(directory);
    // What the tests themselves are told is not the daemon's.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("HYPERSDK_") || name.starts_with("GOVC_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

fn mistakes(output: &Output) -> Vec<String> {
    String::from_utf8(output.stderr.clone())
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("mistake: ")?.to_owned()))
        .collect()
}

/// The mistakes that the file's comments announce: line, key, part of what is said.
fn announced() -> Vec<(usize, &'static str, &'static str)> {
    let rows = MISTAKES.lines().enumerate().filter_map(|(index, line)| {
        let (key, said) = line.split_once("# => ")?.1.split_once(" | ")?;
        Some((index + 1, key.trim(), said.trim()))
    });
    rows.collect()
}

#[test]
fn each_of_more_than_forty_mistakes_is_answered_in_one_run_by_its_key_its_line_and_what_would_be_right() {
    let announced = announced();
    assert!(announced.len() >= 40, "{}", announced.len());
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("bad.yaml"), MISTAKES).unwrap();
    let output = hypervisord(&["check-config", "--config", "bad.yaml"], directory.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let mut found = mistakes(&output);
    for (line, key, said) in &announced {
        let start = format!("bad.yaml:{line}:");
        let position = found.iter().position(|text| {
            text.starts_with(&start) && text.contains(&format!(": {key}: ")) && text.contains(said)
        });
        let position =
            position.unwrap_or_else(|| panic!("nothing says {said:?} of {key} on line {line}: {found:#?}"));
        found.remove(position);
    }
    assert_eq!(found, [""; 0], "a mistake that is none, or told twice");
    // A secret does not reach the terminal by being wrong.
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[test]
fn a_mistake_names_the_file_the_variable_or_the_flag_that_it_stands_in() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("conf.d")).unwrap();
    std::fs::write(directory.path().join("hypersdk.yaml"), "retry_delay: soon\n").unwrap();
    std::fs::write(directory.path().join("conf.d/10-more.yaml"), "\ndrain_grace: late\n").unwrap();
    let output = hypervisord(
        &["check-config", "--config", "hypersdk.yaml", "--addr", "nowhere"],
        directory.path(),
        &[("HYPERSDK_TIMEOUT", "never")],
    );
    let found = mistakes(&output);
    let starts = [
        "hypersdk.yaml:1:1: retry_delay: ",
        "conf.d/10-more.yaml:2:1: drain_grace: ",
        "environment HYPERSDK_TIMEOUT: timeout: ",
        "flag --addr: daemon_addr: ",
    ];
    for start in starts {
        assert!(found.iter().any(|text| text.starts_with(start)), "{start}: {found:#?}");
    }
    assert_eq!(found.len(), starts.len(), "{found:#?}");
}

#[test]
fn each_layer_overrides_the_ones_before() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("conf.d")).unwrap();
    let keys = "timeout: 1m\nretry_delay: 1m\ndrain_grace: 1m\nlog_level: trace\n";
    std::fs::write(directory.path().join("hypersdk.yaml"), keys).unwrap();
    let keys = "retry_delay: 2m\ndrain_grace: 2m\nlog_level: debug\n";
    std::fs::write(directory.path().join("conf.d/10.yaml"), keys).unwrap();
    let variables = [("HYPERSDK_DRAIN_GRACE", "3m"), ("HYPERSDK_LOG_LEVEL", "info")];
    let arguments = ["check-config", "--config", "hypersdk.yaml", "--log-level", "warn"];
    let output = hypervisord(&arguments, directory.path(), &variables);
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in ["claim_timeout: 30s", "timeout: 1m", "retry_delay: 2m", "drain_grace: 3m", "log_level: warn"]
    {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
}

/// What the validator says of each document.
fn validate(documents: &[String]) -> Vec<Vec<String>> {
    let schema = hypervisord(&["config-schema"], Path::new("."), &[]);
    assert!(schema.status.success());
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let mut input = format!("{schema}\n");
    for document in documents {
        input.push_str(&format!("{}\n", Value::from(document.as_str())));
    }
    let python = std::env::var("HYPERSDK_PYTHON").expect("`cargo xtask test` names the Python interpreter");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input");
    std::fs::write(&file, input).unwrap();
    let output = Command::new(python)
        .args(["-c", VALIDATE])
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The example with every key in force: what is prose begins with `# `.
fn example_in_force() -> String {
    let lines = EXAMPLE.lines().filter_map(|line| {
        let line = line.strip_prefix('#')?;
        let key = line.trim_start().trim_start_matches("- ").split_whitespace().next()?;
        let is_prose = line.starts_with(' ') && !line.starts_with("  ");
        (key.ends_with(':') && !is_prose).then_some(line)
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn an_editor_takes_the_example_and_refuses_what_the_daemon_refuses() {
    let example = example_in_force();
    let right = vec![EXAMPLE.to_owned(), example.clone()];
    assert_eq!(validate(&right), [Vec::<String>::new(), Vec::new()], "{example}");

    let wrong: Vec<String> = [
        "timeout: 30",
        "retry_atempts: 3",
        "retry_attempts: 101",
        "retry_attempts: many",
        "download_workers: 0",
        "insecure: perhaps",
        "log_format: xml",
        "limits: {per_hots: 4}",
        "limits: {per_vcenter: -1}",
        "connection_pool: 5",
        "auth: {default_role: root}",
        "auth: {oidc: {issuer: x}}",
        "tls: {cert: x}",
        "providers: x",
        "providers: [{vcenter_url: x}]",
        "providers: [{name: a, vcenter_url: x, type: proxmox}]",
        "webhooks: [{name: a}]",
        "webhooks: [{url: 'https://x.example', retry: -1}]",
        "webhooks: [{url: 'https://x.example', headers: [a]}]",
    ]
    .map(str::to_owned)
    .to_vec();
    let directory = tempfile::tempdir().unwrap();
    for (document, said) in wrong.iter().zip(validate(&wrong)) {
        assert!(!said.is_empty(), "an editor takes {document}");
        std::fs::write(directory.path().join("bad.yaml"), document).unwrap();
        let output = hypervisord(&["check-config", "--config", "bad.yaml"], directory.path(), &[]);
        assert!(!mistakes(&output).is_empty(), "the daemon takes {document}");
    }
}

/// Waits until the daemon has logged something.
async fn logged(daemon: &Daemon, text: &str) {
    for _ in 0..600 {
        if daemon.log().contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{text:?} is not in the log:\n{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_up_what_is_safe_and_names_what_waits_for_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = DaemonConfig::bare(directory.path()).set("orphan_sweep_interval", "0");
    let daemon = Daemon::start(BINARY, &config);
    daemon.signal(Signal::HUP);
    logged(&daemon, "reloaded; taken up: nothing").await;

    let changed = config
        .set("limits", "{per_host: 1}")
        .set("bandwidth_limit", "7M")
        .set("retry_attempts", "9")
        .set("log_level", "debug")
        .set("webhooks", "[{name: ops, url: 'https://hooks.example.com/x'}]")
        .set("download_workers", "5");
    changed.write();
    daemon.signal(Signal::HUP);
    logged(&daemon, "taken up: bandwidth_limit, limits, log_level, retry_attempts, webhooks").await;
    logged(&daemon, "changed, but used only after a restart: download_workers").await;
    let (_, limits) = daemon.client().get("/limits").await;
    assert_eq!((&limits["per_host"], &limits["bandwidth_limit"]), (&1.into(), &"7M".into()), "{limits:#}");
    let (_, webhooks) = daemon.client().get("/webhooks").await;
    assert!(webhooks.to_string().contains("\"ops\""), "{webhooks:#}");
    logged(&daemon, "DEBUG").await;

    // What was changed over the API stays until the configuration itself says something else.
    let (status, _) = daemon.client().put("/limits", &serde_json::json!({ "per_host": 3 })).await;
    assert_eq!(status, 200);
    let changed = changed.set("webhooks", "[]").set("drain_grace", "1s");
    changed.write();
    daemon.signal(Signal::HUP);
    logged(&daemon, "taken up: drain_grace, webhooks").await;
    let (_, limits) = daemon.client().get("/limits").await;
    assert_eq!(limits["per_host"], 3, "{limits:#}");
    let (_, webhooks) = daemon.client().get("/webhooks").await;
    assert!(!webhooks.to_string().contains("\"ops\""), "{webhooks:#}");

    changed.set("bandwidth_limit", "quick").set("limits", "{per_host: 9}").write();
    daemon.signal(Signal::HUP);
    logged(&daemon, "nothing of it is used").await;
    let (_, limits) = daemon.client().get("/limits").await;
    assert_eq!((&limits["per_host"], &limits["bandwidth_limit"]), (&3.into(), &"7M".into()), "{limits:#}");
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
}
