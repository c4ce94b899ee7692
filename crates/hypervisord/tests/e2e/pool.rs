//! The session pool as its users see it: figures over the API and in the log, and the configuration's effect.

use hypersdk_vsim::Event;
use serde_json::json;

use crate::world::{WEB, World, simulator};

fn logins(world: &World) -> u64 {
    let events = world.sim.log().events();
    events.iter().filter(|event| matches!(event, Event::LoggedIn { .. })).count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_reuse_sessions_and_the_figures_say_so() {
    let world = World::new().await;
    let mut job = world.job(WEB);
    job["overwrite"] = json!(true);
    for _ in 0..5 {
        world.complete(&job).await;
    }
    let (status, stats) = world.client().get("/stats/pool").await;
    assert_eq!(status, 200, "{stats}");
    let figure = |name: &str| stats[name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"));
    assert_eq!((figure("max_connections"), figure("in_use")), (5, 0), "{stats}");
    assert_eq!(figure("idle"), figure("total_connections"), "{stats}");
    assert_eq!(figure("total_created"), logins(&world), "{stats}");
    // Each job is a look-up at its submission, another at its start, and an export.
    assert!(figure("total_borrowed") >= 15 && figure("total_created") <= 5, "{stats}");
    let ratio = stats["reuse_ratio"].as_f64().expect("a ratio");
    let exact = figure("total_reused") as f64 / figure("total_borrowed") as f64;
    assert!((ratio - exact).abs() < 1e-9, "{stats}");
    assert!(ratio > 0.6, "{stats}");
    assert_eq!(stats["connections"][0]["provider"], "default", "{stats}");
    assert_eq!(stats["connections"][0]["total_reused"], stats["total_reused"], "{stats}");
    let log = world.stop_clean().await;
    assert!(log.contains("session pool statistics"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_off_logs_in_for_each_piece_of_work() {
    let world = World::over(simulator(), |config| config.set("connection_pool", "{ enabled: false }")).await;
    world.complete(&world.job(WEB)).await;
    let (_, stats) = world.client().get("/stats/pool").await;
    assert_eq!((&stats["enabled"], &stats["total_reused"]), (&json!(false), &json!(0)), "{stats}");
    assert_eq!(stats["total_created"].as_u64(), Some(logins(&world)), "{stats}");
    assert!(logins(&world) >= 3);
    world.stop_clean().await;
}
