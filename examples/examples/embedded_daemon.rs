//! The whole daemon inside another program: configured without a file, asked over its own API, stopped in order.
//!
//! `cargo run -p hypersdk-examples --example embedded_daemon [DIRECTORY]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::time::Duration;

use anyhow::{Context, ensure};
use hypersdk_examples::{Output, Source};
use hypervisord::{App, Config, Sources};
use serde_json::{Value, json};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let source = Source::simulated().await?;
    let simulator = source.simulator().expect("it was asked for");
    let output = Output::choose(std::env::args().nth(1))?;

    // Every key of a configuration file, here from memory. What is wrong with them is told all at once.
    let keys = [
        ("VCENTER_URL", simulator.url().to_string()),
        ("USERNAME", simulator.username().to_owned()),
        ("PASSWORD", simulator.password().to_owned()),
        ("THUMBPRINT", simulator.thumbprint_sha256().to_owned()),
        ("DATABASE_PATH", output.path().join("daemon.db").display().to_string()),
        ("EXPORT_ROOT", output.path().display().to_string()),
    ];
    let environment = keys.into_iter().map(|(key, value)| (format!("HYPERSDK_{key}"), value)).collect();
    let addr = Some("127.0.0.1:0".to_owned());
    let config = Config::load(&Sources { environment, addr, ..Sources::default() })?;

    // Bound and wired, but not serving: what is wrong with address or database is known here.
    let app = App::build(config).await?;
    let api = format!("http://{}", app.local_addr());
    // When to stop is this program's affair; no signal is caught.
    let (stop, stopped) = oneshot::channel();
    let daemon = tokio::spawn(app.run_until(async {
        let _: Result<(), _> = stopped.await;
    }));

    let worked = work(&api, &json!(output.path())).await;
    // Running jobs get their grace, sessions are logged out of, the database is closed.
    let _ = stop.send(());
    daemon.await?;
    worked?;
    println!("stopped; the simulator has {} open sessions", simulator.log().open_sessions().len());
    source.close().await;
    Ok(())
}

/// Has a VM exported as any client would: the same routes, schedules, webhooks and dashboard are there.
async fn work(api: &str, output_dir: &Value) -> anyhow::Result<()> {
    // Reqwest wants a provider of cryptography even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).build()?;
    let spec = json!({ "vm_path": "/DC0/vm/demo/web01", "output_dir": output_dir, "format": "ova" });
    let accepted = http.post(format!("{api}/jobs/submit")).json(&spec).send().await?;
    let accepted: Value = accepted.error_for_status()?.json().await?;
    let id = accepted["job_ids"][0].as_str().context("one job")?;

    // A stream of events from the job's first to its last.
    let mut events = http.get(format!("{api}/jobs/{id}/events")).send().await?.error_for_status()?;
    let mut text = String::new();
    while let Some(bytes) = events.chunk().await? {
        text.push_str(std::str::from_utf8(&bytes)?);
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            match line.trim_end().strip_prefix("event: ") {
                None | Some("job.progress") => {}
                Some(event) => println!("{event}"),
            }
        }
    }
    let job: Value = http.get(format!("{api}/jobs/{id}")).send().await?.error_for_status()?.json().await?;
    println!("{} is {}: {}", job["definition"]["vm_path"], job["status"], job["result"]["ovf_path"]);
    ensure!(job["status"] == "completed", "{job}");
    Ok(())
}
