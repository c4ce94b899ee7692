//! The inventory over the API: from memory, in pages, as it changes.

use std::time::{Duration, Instant};

use futures::StreamExt;
use hypersdk_vsim::{VmSpec, Vsim};
use serde_json::{Value, json};

use crate::world::{World, simulator};

/// How soon a change must show.
const SOON: Duration = Duration::from_secs(2);

async fn vms(world: &World, query: &str) -> Value {
    let (status, answer) = world.client().get(&format!("/vms{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn names(answer: &Value) -> Vec<&str> {
    answer["vms"].as_array().expect("a list").iter().filter_map(|vm| vm["name"].as_str()).collect()
}

/// The header `Age`, and whether the answer is from memory.
async fn freshness(world: &World, cache_control: &str) -> (String, bool) {
    let url = format!("{}/vms", world.client().base());
    let client = reqwest::Client::builder().build().unwrap();
    let answer = client.get(url).header("Cache-Control", cache_control).send().await.unwrap();
    let age = answer.headers().get("Age").expect("an age").to_str().unwrap().to_owned();
    let body: Value = answer.json().await.unwrap();
    (age, body["cached"].as_bool().expect("a flag"))
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_from_memory_and_a_change_shows_at_once() {
    // A sweep at the start would ask the server too.
    let world =
        World::over(crate::world::simulator(), |config| config.set("orphan_sweep_interval", "0")).await;
    assert_eq!(names(&vms(&world, "").await), ["app", "web"]);
    let calls = |world: &World| {
        let calls = world.sim.log().all_calls();
        calls.iter().filter(|(method, _)| *method != "WaitForUpdatesEx").map(|(_, count)| count).sum::<u64>()
    };
    let before = calls(&world);
    for query in ["", "?name=W*", "?power_state=on", "?folder=/DC0/vm/prod&limit=1", "?cluster=DC0_C0"] {
        let answer = vms(&world, query).await;
        assert_eq!((&answer["cached"], answer["total"].as_u64() > Some(0)), (&json!(true), true), "{query}");
    }
    assert_eq!(calls(&world), before, "nobody asked the server");
    assert_eq!(freshness(&world, "max-age=9").await, ("0".to_owned(), true));
    assert_eq!(freshness(&world, "no-cache").await, ("0".to_owned(), false));
    assert!(calls(&world) > before);

    world.sim.rename("web", "www").unwrap();
    let begun = Instant::now();
    while !names(&vms(&world, "").await).contains(&"www") {
        assert!(begun.elapsed() < SOON, "the new name does not show");
    }
    let metrics = reqwest::get(format!("{}/metrics", world.client().base())).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("hypersdk_inventory_vms{provider=\"default\"} 2"), "{metrics}");
    assert!(metrics.contains("hypersdk_inventory_readings_total{provider=\"default\"} 1"), "{metrics}");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_by_cursor_show_each_vm_once_although_others_come_and_go() {
    let sim = Vsim::builder().vms(23).disk_size(1 << 20);
    let world = World::over(sim, |config| config).await;
    let all: Vec<String> = names(&vms(&world, "?limit=5000").await).into_iter().map(str::to_owned).collect();
    assert_eq!(all.len(), 23);
    let (mut seen, mut query) = (Vec::new(), "?limit=5".to_owned());
    loop {
        let page = vms(&world, &query).await;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        if let Some(offset) = page["next_offset"].as_u64() {
            assert_eq!(offset, page["offset"].as_u64().unwrap() + 5);
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=5&cursor={cursor}");
        // In front of every page.
        world.sim.add_vm(VmSpec::new(format!("early-{}", seen.len())).folder("a")).unwrap();
    }
    assert_eq!(seen, all);
    let (status, problem) = world.client().get("/vms?cursor=x&limit=0").await;
    assert_eq!(status, 422, "{problem}");
    let fields: Vec<&Value> =
        problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["limit", "cursor"]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_of_changes_until_the_daemon_stops() {
    let world = World::new().await;
    let url = format!("{}/vms/events?provider=default", world.client().base());
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.bytes_stream();
    let mut text = String::new();
    // The message that says this; there may be others before it.
    let mut until = async |wanted: &str| loop {
        if let Some((message, rest)) = text.split_once("\n\n") {
            let (message, rest) = (message.to_owned(), rest.to_owned());
            text = rest;
            if message.contains(wanted) {
                break message;
            }
            continue;
        }
        let more = tokio::time::timeout(SOON, body.next()).await;
        let more = more.unwrap_or_else(|_| panic!("no {wanted} in {text}")).expect("no end");
        text.push_str(&String::from_utf8_lossy(&more.unwrap()));
    };
    until("event: vm.reset").await;
    // The inventory is read from then on.
    vms(&world, "").await;
    world.sim.rename("web", "www").unwrap();
    let told = until("event: vm.changed").await;
    assert!(told.contains("\"path\":\"/DC0/vm/prod/www\""), "{told}");
    world.sim.remove_vm("www").unwrap();
    let told = until("event: vm.removed").await;
    assert!(told.contains("\"id\":\"vm-101\""), "{told}");
    let (status, _) = world.client().get("/vms/events?provider=nobody").await;
    assert_eq!(status, 422);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_kept_inventory_the_server_is_asked_each_time() {
    let world = World::over(simulator(), |config| {
        config.set("inventory_cache", "{ enabled: false }").set("orphan_sweep_interval", "0")
    })
    .await;
    for round in 1..3 {
        assert_eq!(vms(&world, "").await["cached"], false);
        assert_eq!(world.sim.log().calls("CreateContainerView"), round);
    }
    let (status, problem) = world.client().get("/vms/events").await;
    assert_eq!((status, problem["detail"].as_str().unwrap().contains("inventory_cache")), (409, true));
    world.stop_clean().await;
}
