//! `hyperctl status`: whether the daemon is well, and what it has to do.

use serde_json::json;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Format, word};

/// Show whether the daemon takes work, its version and uptime, and how many jobs there are.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {}

/// Fails if the daemon is not ready.
pub(crate) async fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let status = client.get("/status").await?;
    let ready = client.get("/health/ready").await;
    match format {
        Format::Json => {
            let mut shown = status.clone();
            shown["url"] = json!(client.to_string());
            shown["ready"] = json!(ready.is_ok());
            output::json(&shown);
        }
        Format::Text => {
            output::line(format!(
                "daemon     {client}, version {}, up {}",
                word(&status["version"]),
                word(&status["uptime"])
            ));
            output::line(format!("ready      {}", if ready.is_ok() { "yes" } else { "no" }));
            let states = ["running", "pending", "completed", "failed", "cancelled"];
            let counts: Vec<String> = states
                .iter()
                .map(|state| format!("{} {state}", word(&status[format!("{state}_jobs")])))
                .collect();
            output::line(format!("jobs       {}", counts.join(", ")));
        }
    }
    ready.map(drop)
}
