//! `hyperctl pool`: what the session pools are doing.

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::table::Rows;
use crate::output::{self, Format, word};

/// Show the sessions of each connection: in use, idle, and how often they were reused.
#[derive(Debug, clap::Args)]
pub struct PoolArgs {}

pub(crate) async fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let answer = client.get("/stats/pool").await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let heading = ["connection", "in use", "idle", "at most", "waiting", "created", "reused", "ratio"];
    let mut rows = Rows::new(&heading, &[1, 2, 3, 4, 5, 6, 7]);
    for connection in output::list(&answer["connections"]) {
        rows.push(cells(word(&connection["provider"]), connection));
    }
    rows.push(cells("all".to_owned(), &answer));
    output::line(rows.text());
    Ok(())
}

fn cells(name: String, figures: &Value) -> [String; 8] {
    let ratio = figures["reuse_ratio"].as_f64().unwrap_or_default();
    let figure = |key: &str| word(&figures[key]);
    [
        name,
        figure("in_use"),
        figure("idle"),
        figure("max_connections"),
        figure("waiting"),
        figure("total_created"),
        figure("total_reused"),
        format!("{ratio:.2}"),
    ]
}
