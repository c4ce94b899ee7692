//! What the ready-made rules and the dashboard ask for is there.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use hypersdk_core::{ConnectionStats, InventoryStats};
use hypersdk_webhook::EndpointStats;
use serde_json::Value;

use super::{Metrics, OperationLabel, StatusLabel};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names as a scrape spells them.
fn known() -> BTreeSet<String> {
    let mut text = String::new();
    let metrics = Metrics::new();
    // What has labels is told once it has values.
    metrics.jobs.get_or_create(&StatusLabel { status: "pending" }).set(0);
    metrics.jobs_ended.get_or_create(&StatusLabel { status: "failed" }).inc();
    metrics.store_latency.get_or_create(&OperationLabel { operation: "read" }).observe(0.0);
    metrics.pools.set("default".to_owned(), &ConnectionStats::default());
    let mut inventory = InventoryStats::default();
    inventory.age = Some(Duration::ZERO);
    metrics.inventories.set("default".to_owned(), &inventory);
    metrics.webhooks.set("chat".to_owned(), &EndpointStats::default());
    metrics.answered(&Method::GET, None, StatusCode::OK, Duration::ZERO);
    prometheus_client::encoding::text::encode(&mut text, &metrics.registry.lock().unwrap()).unwrap();
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    assert!(names.contains("hypersdk_jobs") && names.len() > 15, "{text}");
    names
}

/// Every `hypersdk_...` in a text.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for part in text.split("hypersdk_").skip(1) {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        names.insert(format!("hypersdk_{}", &part[..end]));
    }
    names
}

#[test]
fn the_dashboard_and_the_alerts_name_only_metrics_there_are() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
    let known = known();
    for (path, text) in [
        ("dashboard", named(&dashboard.to_string())),
        ("alerts", named(&read("deploy/prometheus/alerts.yaml"))),
    ] {
        let missing: Vec<_> = text.difference(&known).collect();
        assert!(missing.is_empty(), "{path} names what is not measured: {missing:?}");
    }
}

#[test]
fn every_metric_is_documented_and_no_other_is() {
    let documented = named(&read("docs/monitoring.md"));
    let shortened = |name: &str| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name)
            .to_owned()
    };
    let known: BTreeSet<String> = known().iter().map(|name| shortened(name)).collect();
    assert_eq!(known, documented);
}

#[test]
fn promtool_finds_that_each_alert_fires_when_it_should() {
    let output = std::process::Command::new("promtool")
        .args(["test", "rules", "alerts_test.yaml"])
        .current_dir(format!("{ROOT}/deploy/prometheus"))
        .output()
        .expect("promtool; `cargo xtask peers` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("SUCCESS"));
}
