//! The dashboard in Chromium, over the real binary and the simulator. Pictures of every page are kept in
//! `target/dashboard`. About a minute together.

mod browser;
mod planning;
mod telling;

use std::process::Command;

use browser::Browser;
use hypersdk_vsim::{FaultKind, FaultRule};

use crate::world::{APP, WEB, World};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

/// Streams that are slow enough to be watched.
fn slow(world: &World) {
    world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 3 << 20 }).always());
}

async fn nothing_is_wrong(browser: &Browser) {
    assert_eq!(browser.console().await, [""; 0], "the console");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_started_from_the_form_and_watched_until_its_package_can_be_opened() {
    let world = World::new().await;
    slow(&world);
    let browser = Browser::open(world.client().base()).await;
    browser.go("/").await;
    browser.see("Nothing runs and nothing waits.").await;
    browser.see("Live").await;
    browser.inspect("overview-empty").await;
    browser.press("VMs").await;
    browser.see(WEB).await;
    browser.inspect("vms").await;
    browser.write("input[name=name]", "we").await;
    browser.until("return !document.body.innerText.includes('/DC0/vm/prod/app')").await;
    browser.click("a[aria-label='Export web']").await;
    browser.see(WEB).await;
    browser.inspect("export").await;
    // A directory that is not there is refused at its field.
    browser.write("input[name=output_dir]", "/nowhere/at/all").await;
    browser.press("Check first").await;
    browser.see("It would fail as it is").await;
    browser.click("form button.primary").await;
    browser
        .until("return document.querySelector('[name=output_dir]').getAttribute('aria-invalid') === 'true'")
        .await;
    let refused = browser.console().await;
    assert!(refused.iter().all(|line| line.contains("422")), "{refused:?}");
    browser.write("input[name=output_dir]", &world.out().display().to_string()).await;
    browser.press("Check first").await;
    browser.see("Nothing stands in its way").await;
    browser.see("about").await;
    browser.inspect("export-checked").await;
    browser.click("form button.primary").await;
    browser.until("return location.hash.startsWith('#/jobs/')").await;
    let bar = "const bar = document.querySelector('.bar.large progress')";
    browser.until(&format!("{bar}; return bar !== null && bar.value > 5 && bar.value < 100")).await;
    browser.until("return document.querySelectorAll('.file-bars progress').length >= 2").await;
    browser.until("return document.querySelector('.speed polyline') !== null").await;
    browser.inspect("job-running").await;
    browser.until(&format!("{bar}; return bar.value === 100")).await;
    browser.until("return document.querySelector('.badge.completed') !== null").await;
    let package = world.out().join("web.ova");
    browser.see(&package.display().to_string()).await;
    assert!(package.is_file(), "what the page shows is there");
    browser.press("Verify it now").await;
    browser.see("every byte read").await;
    browser.inspect("job-completed").await;
    browser.press("Packages").await;
    browser.see("checked").await;
    browser.inspect("packages").await;
    browser.press("Open").await;
    browser.see("SHA-256 of the manifest").await;
    browser.see("Last checked").await;
    browser.inspect("package").await;
    browser.press("Remove").await;
    browser.see("Its files are deleted.").await;
    browser.press("Remove it").await;
    browser.see("asked for").await;
    assert!(!package.exists(), "what the page says is gone is gone");
    browser.press("Jobs").await;
    browser.see("1 of 1").await;
    browser.inspect("jobs").await;
    browser.press("Nodes").await;
    browser.see("This daemon").await;
    browser.inspect("nodes").await;
    nothing_is_wrong(&browser).await;
    drop(browser);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_from_its_page_and_retried() {
    let world = World::new().await;
    world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 64 << 10 }).always());
    let job = world.client().submit(&world.job(WEB)).await;
    world.client().wait_for(&job, |job| job["progress"]["bytes_downloaded"].as_u64() > Some(0)).await;
    let browser = Browser::open(world.client().base()).await;
    browser.go("/web/dashboard/#/jobs").await;
    browser.until("return (document.querySelector('tbody progress')?.value ?? 0) > 0").await;
    browser.inspect("jobs-running").await;
    browser.click("tbody a.strong").await;
    browser.press("Cancel").await;
    browser.see("What was fetched so far is removed.").await;
    browser.inspect("confirm").await;
    browser.press("Leave it").await;
    assert_eq!(world.client().job(&job).await["status"], "running");
    browser.press("Cancel").await;
    browser.press("Cancel the job").await;
    browser.until("return document.querySelector('.badge.cancelled') !== null").await;
    assert_eq!(world.client().job(&job).await["status"], "cancelled");
    browser.press("Retry").await;
    browser
        .until(&format!("return location.hash.startsWith('#/jobs/') && !location.hash.includes('{job}')"))
        .await;
    browser.until("return document.querySelector('.badge.running') !== null").await;
    let again = browser.run("return location.hash").await;
    let again = again.as_str().unwrap().trim_start_matches("#/jobs/").to_owned();
    let (first, second) = (world.client().job(&job).await, world.client().job(&again).await);
    for field in ["vm_path", "output_dir", "format", "options", "verify"] {
        assert_eq!(first["definition"][field], second["definition"][field], "{field}");
    }
    world.client().cancel(&again).await;
    browser.until("return document.querySelector('.badge.cancelled') !== null").await;
    nothing_is_wrong(&browser).await;
    drop(browser);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_why_on_the_first_page() {
    let world = World::new().await;
    // A package of that name is there, and may not be replaced.
    std::fs::write(world.out().join("app.ova"), "theirs").unwrap();
    let job = world.run(&world.job(APP)).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    let browser = Browser::open(world.client().base()).await;
    browser.go("/web/dashboard/").await;
    browser.see("Failed in the last 24 hours").await;
    let why = job["error"].as_str().unwrap().split(';').next().unwrap().to_owned();
    browser.see(&why).await;
    browser.inspect("overview-failed").await;
    browser.click(".failures a").await;
    browser.see("It failed").await;
    browser.see(&why).await;
    browser.inspect("job-failed").await;
    nothing_is_wrong(&browser).await;
    drop(browser);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_token_logs_in_and_sees_what_the_role_allows() {
    let world = World::over(crate::world::simulator(), |config| {
        let tokens = config.directory().join("tokens.json");
        config.set("auth", &format!("{{tokens_file: {tokens:?}}}"))
    })
    .await;
    let create = Command::new(BINARY)
        .args(["token", "--tokens-file"])
        .arg(world.path("tokens.json"))
        .args(["create", "--role", "viewer", "--name", "night"])
        .output()
        .unwrap();
    let token = String::from_utf8(create.stdout).unwrap().trim().to_owned();
    let browser = Browser::open(world.client().base()).await;
    browser.go("/web/dashboard/").await;
    browser.see("With a token").await;
    browser.inspect("login").await;
    browser.write("#token", "hsk_0000").await;
    browser.click("#token-form button").await;
    browser.see("This token is not good").await;
    let refused = browser.console().await;
    assert!(refused.iter().all(|line| line.contains("401")), "{refused:?}");
    browser.write("#token", &token).await;
    browser.click("#token-form button").await;
    browser.see("Nothing runs and nothing waits.").await;
    browser.see("viewer").await;
    browser.press("VMs").await;
    browser.see(WEB).await;
    assert_eq!(browser.run("return document.querySelectorAll('a[aria-label^=Export]').length").await, 0);
    browser.press("Log out").await;
    browser.see("With a token").await;
    browser.go("/web/dashboard/").await;
    browser.see("With a token").await;
    nothing_is_wrong(&browser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough() {
    let world = World::new().await;
    let browser = Browser::open(world.client().base()).await;
    browser.go("/web/dashboard/").await;
    browser.see("Nothing runs and nothing waits.").await;
    // Tab, Enter: the first stop is the way past the menu.
    browser.keys("\u{e004}").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "skip");
    browser.keys("\u{e007}").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "main");
    browser.keys("\u{e004}\u{e007}").await;
    browser.until("return location.hash === '#/vms'").await;
    browser.until("return document.activeElement.tagName === 'H1'").await;
    nothing_is_wrong(&browser).await;
}
