//! A schedule is made in the form, seen in the days to come, and run. About ten seconds.

use serde_json::json;

use super::browser::Browser;
use super::nothing_is_wrong;
use crate::world::{WEB, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_in_the_form_and_its_next_run_is_seen() {
    let world = World::new().await;
    let browser = Browser::open(world.client().base()).await;
    browser.go("/web/dashboard/#/schedules").await;
    browser.see("There are no schedules.").await;
    browser.inspect("schedules-empty").await;
    browser.press("New schedule").await;
    // What is no time is refused while it is written, with the reason.
    browser.write("input[name=schedule]", "99 2 * * *").await;
    browser.until("return document.querySelector('.preview .problem') !== null").await;
    browser.write("input[name=schedule]", "30 2 * * *").await;
    browser.write("input[name=timezone]", "Europe/Berlin").await;
    browser.see("at 02:30").await;
    browser.until("return document.querySelectorAll('.preview ol li').length === 5").await;
    let refused = browser.console().await;
    assert!(refused.iter().all(|line| line.contains("422")), "{refused:?}");
    browser.write("input[name=id]", "nightly").await;
    browser.write("input[name=name]", "Nightly web").await;
    browser.write("input[name=vm_path]", WEB).await;
    browser.write("input[name=output_dir]", &world.out().display().to_string()).await;
    browser.inspect("schedule-form").await;
    browser.press("Create the schedule").await;
    browser.see("Nightly web").await;

    let (status, schedules) = world.client().get("/schedules").await;
    assert_eq!((status, &schedules[0]["id"]), (200, &json!("nightly")), "{schedules:#}");
    let next = schedules[0]["next_run"].as_str().unwrap().to_owned();
    // The table says when by the clock and in words, and the strip of days has a run nearly every day.
    let shown =
        format!("return document.querySelector('tbody time')?.getAttribute('datetime') === {}", json!(next));
    browser.until(&shown).await;
    let words = browser.run("return document.querySelector('tbody time').innerText").await;
    assert!(words.as_str().is_some_and(|words| words.starts_with("in ")), "{words}");
    let days = browser.run("return document.querySelectorAll('.calendar li').length").await;
    let busy = browser.run("return document.querySelectorAll('.calendar li:not(.free)').length").await;
    assert_eq!(days, 14);
    assert!(busy.as_u64() >= Some(13), "{busy}");

    browser.press("Run now").await;
    browser.see("Started: 1 job.").await;
    let (_, jobs) = world.client().get("/jobs").await;
    let job = jobs["jobs"][0]["definition"]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.client().wait_for_end(&job).await["status"], "completed");
    browser.press("Runs").await;
    browser.until("return document.querySelector('tbody ul .badge') !== null").await;
    browser.inspect("schedules").await;
    browser.press("Switch off").await;
    browser.until("return document.querySelector('.badge.off') !== null").await;
    browser.press("Pool").await;
    browser.see("served by an open session").await;
    browser.inspect("pool").await;
    nothing_is_wrong(&browser).await;
    drop(browser);
    world.stop_clean().await;
}
