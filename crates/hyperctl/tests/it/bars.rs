//! What a person sees in a terminal.

use std::collections::BTreeSet;

use hypersdk_tests::names;
use hypersdk_vsim::{FaultKind, FaultRule};

use crate::terminal::Terminal;
use crate::world::{WEB, World, simulator};

const CTRL_C: u8 = 3;

/// The percentage in a bar's row.
fn percent(row: &str) -> Option<u32> {
    row.split('%').next()?.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A world whose first export takes its time over one disk and does not end at all because of the other, until
/// the lease goes; then it is begun again at full speed. Nothing depends on who is how fast.
async fn held() -> World {
    let slow = FaultKind::RateCap { bytes_per_second: 2 << 20 };
    let simulator = simulator();
    let world = World::configured(simulator, |config, _home| {
        config.set("retry_attempts", "1").set("retry_delay", "100ms")
    })
    .await;
    world.sim.add_fault(FaultRule::stream(slow).file("disk-0.vmdk"));
    world.sim.add_fault(FaultRule::stream(FaultKind::StallAt { bytes: 4 << 20 }).file("disk-1.vmdk"));
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn bars_move_in_place_follow_the_width_and_give_way_to_the_result() {
    let world = held().await;
    let out = world.out();
    let arguments = ["export", WEB, "--output", out.to_str().unwrap(), "--watch"];
    let mut terminal = Terminal::start(100, &arguments, &world.environment());

    // Each disk has a bar of its own, and bars are redrawn where they stand: each name is on one row only. What
    // is seen is gathered from every redraw, as any of them may be the only one to show it.
    let mut first = BTreeSet::new();
    let (mut second, mut words) = (false, false);
    terminal.wait("two bars, one of which moves, with rate and time left", |screen| {
        first.extend(screen.row("web-disk-0.vmdk").and_then(|row| percent(&row)));
        second |= screen.row("web-disk-1.vmdk").and_then(|row| percent(&row)).is_some();
        words |= screen.text().lines().any(|row| row.contains("/s, ETA "));
        first.len() > 3 && second && words
    });

    // A narrower terminal: rows that were too long would be broken in two.
    terminal.resize(64);
    terminal.wait("bars of the new width", |screen| {
        let row = screen.text().lines().rfind(|row| row.contains("web-disk-1.vmdk")).map(str::to_owned);
        row.is_some_and(|row| row.contains('[') && row.contains("] ") && row.contains('%'))
    });

    assert_eq!(world.sim.expire_leases(None), 1, "the export still runs");
    assert_eq!(terminal.end(), 0, "{}", terminal.text());
    let screen = terminal.text();
    assert!(screen.contains("web completed: "), "{screen}");
    assert!(screen.replace('\n', "").contains("out/web.ova"), "{screen}");
    assert!(terminal.raw.contains(&0x1b), "a terminal is driven by escape codes");
    assert_eq!(names(&out), ["web.ova", "web.receipt.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_the_job_and_nothing_is_left_behind() {
    let world = held().await;
    let out = world.out();
    let arguments = ["export", WEB, "--output", out.to_str().unwrap(), "--watch"];
    let mut terminal = Terminal::start(90, &arguments, &world.environment());
    terminal.wait("a moving bar", |screen| {
        screen.row("web-disk-0.vmdk").and_then(|row| percent(&row)).is_some_and(|percent| percent > 1)
    });
    assert!(!names(&out).is_empty(), "the export has begun to write");
    terminal.press(CTRL_C);
    assert_eq!(terminal.end(), 130, "{}", terminal.text());
    let screen = terminal.text();
    assert!(screen.contains("cancelling") && screen.contains("nothing unfinished is left"), "{screen}");
    assert_eq!(names(&out), [""; 0]);
    assert_eq!(world.sim.log().open_leases(), [""; 0]);
    let jobs = world.json(&["jobs"]);
    assert_eq!(jobs["jobs"][0]["status"], "cancelled", "{jobs:#}");
}
