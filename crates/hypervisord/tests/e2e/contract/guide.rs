//! A machine set up as the operator's guide says: its configuration, started by its command line, with a log file
//! that is looked through with grep.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hypersdk_vsim::Vsim;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{assert_kinds, parsed, sh};
use crate::world::{WEB, simulator};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

/// How long the daemon may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// The machine. Dropping it kills the daemon.
struct Machine {
    _sim: Vsim,
    home: tempfile::TempDir,
    daemon: Option<Child>,
    addr: String,
}

/// Every key that the guide names, with its own values but for addresses. Nobody listens at the webhook.
fn configuration(sim: &Vsim, webhook: &str) -> String {
    format!(
        "vcenter_url: \"{}\"\nusername: \"{}\"\npassword: \"{}\"\ninsecure: true\n\
         daemon_addr: \"127.0.0.1:0\"\ndatabase_path: ./hypersdk.db\nlog_file: ./hypersdk.log\n\
         connection_pool:\n  enabled: true\n  max_connections: 7\n\
         webhooks:\n  - url: \"{webhook}\"\n    timeout: 2s\n    retry: 0\n    enabled: true\n\
         webhook_allow_private: true\n",
        sim.url().as_str(),
        sim.username(),
        sim.password(),
    )
}

impl Machine {
    async fn new() -> Self {
        let sim = simulator().start().await.expect("the simulator starts");
        let home = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(home.path().join("backups")).expect("an output directory");
        // Nobody listens there, as it was just let go of.
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
        let text = configuration(&sim, &format!("http://127.0.0.1:{port}/hook"));
        std::fs::write(home.path().join("config.yaml"), text).expect("a configuration");
        let mut machine = Machine { _sim: sim, home, daemon: None, addr: String::new() };
        machine.start("hypervisord --config config.yaml --log-level debug");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("hypersdk.log")).unwrap_or_default()
    }

    /// Runs a command line that goes on, in the foreground of a shell of its own, and waits until it listens.
    fn start(&mut self, line: &str) {
        let known = self.log().matches("listening on ").count();
        let path = format!(
            "{}:{}",
            Path::new(BINARY).parent().expect("a folder").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let daemon = Command::new("sh")
            .args(["-c", &format!("exec {line}")])
            .current_dir(self.home.path())
            .env("PATH", path)
            .env_remove("GOVC_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        self.daemon = Some(daemon);
        self.until(|machine| machine.log().matches("listening on ").count() > known);
        let log = self.log();
        let rest = log.rsplit("listening on http://").next().expect("an address");
        rest.split_whitespace().next().expect("an address").clone_into(&mut self.addr);
    }

    fn until(&self, reached: impl Fn(&Machine) -> bool) {
        let begun = Instant::now();
        while !reached(self) {
            assert!(begun.elapsed() < PATIENCE, "waited in vain:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        let id = self.daemon.as_ref().expect("it runs").id();
        let pid = Pid::from_raw(id.try_into().expect("a process id")).expect("not 0");
        kill_process(pid, signal).expect("it takes signals");
    }

    fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.daemon.take().expect("it runs").wait().expect("its end")
    }

    fn sh(&self, line: &str) -> String {
        sh(self.home.path(), &self.addr, line)
    }

    fn json(&self, line: &str) -> Value {
        parsed(line, &self.sh(line))
    }

    /// Submits as the guide does, and waits for the job's end.
    fn export(&self, vm: &str) -> Value {
        let body = json!({
            "vm_path": vm, "output_dir": self.path("backups"), "format": "ova", "compress": true,
            "compression_level": 6, "cleanup_ovf": true,
        });
        let answer = self.json(&format!(
            "curl -X POST http://localhost:8080/jobs/submit -H \"Content-Type: application/json\" -d '{body}'"
        ));
        let id = answer["job_ids"][0].as_str().expect("an id").to_owned();
        self.sh(&format!("curl -N http://localhost:8080/jobs/{id}/events"));
        self.json(&format!("curl http://localhost:8080/jobs/{id}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_answers_with_the_figures_of_the_guide() {
    let mut machine = Machine::new().await;
    assert_eq!(machine.export(WEB)["status"], "completed");
    let pool = machine.json("curl http://localhost:8080/stats/pool | jq");
    let kinds = [
        ("total_connections", "count"),
        ("in_use", "count"),
        ("idle", "count"),
        ("max_connections", "count"),
        ("total_created", "count"),
        ("total_reused", "count"),
    ];
    assert_kinds(&pool, &kinds);
    assert_kinds(&pool["connections"][0], &kinds);
    assert_eq!(pool["max_connections"], 7, "as configured");
    assert_eq!(pool["connections"][0]["provider"], "default");
    let ratio = machine.sh("curl -s http://localhost:8080/stats/pool | jq '.reuse_ratio'");
    let ratio: f64 = ratio.trim().parse().expect("a number");
    assert!(ratio > 0.0 && ratio <= 1.0, "{pool:#}");
    assert!(
        pool["total_created"].as_u64() >= Some(1) && pool["total_reused"].as_u64() >= Some(1),
        "{pool:#}"
    );
    assert!(machine.log().contains("DEBUG hypervisord"), "--log-level debug");
    assert!(machine.stop().success());
    let statistics = machine.sh("grep 'session pool statistics' hypersdk.log");
    assert!(statistics.contains("reuse_ratio") || statistics.contains("reused"), "{statistics}");
    assert!(machine.sh("grep 'job statistics' hypersdk.log").contains("completed=1"));
    assert!(machine.sh("grep 'webhook statistics' hypersdk.log").contains("attempts="));
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_are_made_listed_and_still_there_after_a_restart() {
    let mut machine = Machine::new().await;
    for (id, name, schedule) in [
        ("daily-backup", "Daily Backup", "0 2 * * *"),
        ("weekly-backup", "Weekly Backup", "0 3 * * 0"),
        ("hourly-backup", "Hourly Backup", "0 * * * *"),
    ] {
        let body = json!({
            "id": id, "name": name, "schedule": schedule, "enabled": true,
            "job_template": {
                "vm_path": WEB, "output_dir": machine.path("backups"), "format": "ova", "compress": true,
            },
        });
        let status = machine.sh(&format!(
            "curl -o made.json -w '%{{http_code}}' -X POST http://localhost:8080/schedules \\\n  -H \"Content-Type: application/json\" \\\n  -d '{body}'"
        ));
        assert_eq!(status, "201", "{}", machine.sh("cat made.json"));
    }
    let assert_shown = |machine: &Machine| {
        assert_eq!(machine.sh("curl -s http://localhost:8080/schedules | jq -r type").trim(), "array");
        let one = machine
            .json(r#"curl -s http://localhost:8080/schedules | jq '.[] | select(.id=="daily-backup")'"#);
        assert_kinds(
            &one,
            &[
                ("id", "text"),
                ("name", "text"),
                ("schedule", "text"),
                ("enabled", "boolean"),
                ("job_template", "object"),
                ("next_run", "text"),
                ("last_run", "null"),
                ("run_count", "count"),
            ],
        );
        assert_eq!((&one["name"], &one["schedule"]), (&json!("Daily Backup"), &json!("0 2 * * *")));
        assert!(one["next_run"].as_str().unwrap().ends_with("T02:00:00Z"), "{one:#}");
        assert_eq!(machine.sh("curl -s http://localhost:8080/schedules | jq length").trim(), "3");
    };
    assert_shown(&machine);
    assert!(machine.stop().success());
    machine.start("hypervisord --config config.yaml --log-level debug");
    assert_shown(&machine);
    let lines = machine.sh("grep \"load.*schedule\" hypersdk.log");
    assert!(lines.lines().last().expect("a line").contains("loaded 3 schedules"), "{lines}");
    let rows = machine.sh("sqlite3 ./hypersdk.db \"SELECT id, name, enabled FROM scheduled_jobs;\"");
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        ["daily-backup|Daily Backup|1", "hourly-backup|Hourly Backup|1", "weekly-backup|Weekly Backup|1"]
    );
    assert!(machine.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_the_configuration_are_shown_and_a_failed_delivery_is_found_with_grep() {
    let mut machine = Machine::new().await;
    let shown = machine.json("curl http://localhost:8080/webhooks | jq '.webhooks[0]'");
    assert_kinds(
        &shown,
        &[
            ("url", "text"),
            ("timeout", "text"),
            ("retry", "count"),
            ("enabled", "boolean"),
            ("events", "list"),
        ],
    );
    assert_eq!((&shown["timeout"], &shown["retry"]), (&json!("2s"), &json!(0)), "{shown:#}");
    assert_eq!((&shown["events"], &shown["enabled"]), (&json!(["*"]), &json!(true)));
    assert_eq!(machine.export(WEB)["status"], "completed");
    machine.until(|machine| machine.log().contains("webhook delivery failed"));
    let line = machine.sh("grep \"webhook delivery failed\" hypersdk.log | head -1");
    assert!(line.contains("http://127.0.0.1") && line.contains("job."), "{line}");
    assert!(machine.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_opens_and_can_be_left_out() {
    let mut machine = Machine::new().await;
    let status = "curl -o page.html -w '%{http_code}' http://localhost:8080/web/dashboard/";
    assert_eq!(machine.sh(status), "200");
    assert!(machine.sh("cat page.html").contains("<title>"));
    let led = machine.sh("curl -o /dev/null -w '%{http_code} %{redirect_url}' http://localhost:8080/");
    assert_eq!(led, "307 http://localhost:8080/web/dashboard/");
    assert!(machine.stop().success());
    machine.start("hypervisord --config config.yaml --log-level debug --disable-web --addr 127.0.0.1:0");
    let absent =
        "curl --no-fail-with-body -o /dev/null -w '%{http_code}' http://localhost:8080/web/dashboard/";
    assert_eq!(machine.sh(absent), "404");
    assert_eq!(machine.sh("curl http://localhost:8080/health | jq -r .status").trim(), "healthy");
    assert!(machine.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_moved_away_is_begun_anew_after_sighup() {
    let mut machine = Machine::new().await;
    machine.sh("mv hypersdk.log hypersdk.log.1");
    machine.signal(Signal::HUP);
    machine.until(|machine| machine.path("hypersdk.log").exists());
    machine.sh("curl http://localhost:8080/status");
    machine.until(|machine| machine.log().contains("/status"));
    assert!(!machine.sh("cat hypersdk.log.1").contains("/status"));
    assert!(machine.stop().success());
}

#[test]
fn the_defaults_are_those_of_the_guide() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::write(home.path().join("config.yaml"), "vcenter_url: vc.example.com\nusername: u\npassword: p\nwebhooks:\n  - url: https://hooks.example.com/x\n")
        .unwrap();
    let run = |line: &str| sh(home.path(), "127.0.0.1:1", &line.replace("hypervisord", BINARY));
    let shown = run("hypervisord check-config --config config.yaml");
    for line in [
        "daemon_addr: 127.0.0.1:8080",
        "database_path: ./hypersdk.db",
        "insecure: false",
        "enabled: true",
        "max_connections: 5",
        "timeout: 10s",
        "retry: 3",
    ] {
        assert!(
            shown.lines().any(|shown| shown.trim().trim_start_matches("- ") == line),
            "{line} in\n{shown}"
        );
    }
    let version = run("hypervisord --version");
    assert_eq!(version.trim(), format!("hypervisord {}", env!("CARGO_PKG_VERSION")));
}
