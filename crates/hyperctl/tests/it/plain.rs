//! What a pipe gets: no escape codes, and JSON that is JSON.

use hypersdk_tests::names;
use serde_json::Value;

use crate::world::{WEB, World};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_progress_is_plain_lines_and_the_result_alone_is_on_stdout() {
    let world = World::new().await;
    let out = world.out();
    let ended = world.run(&["export", WEB, "--output", out.to_str().unwrap(), "--watch"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let everything = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!everything.contains('\u{1b}') && !everything.contains('\r'), "{everything:?}");
    assert!(ended.stderr.lines().any(|line| line.starts_with("web: completed: ")), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert!(ended.stdout.starts_with(out.join("web.ova").to_str().unwrap()), "{}", ended.stdout);

    for command in [&["jobs"][..], &["vms"], &["packages"], &["status"], &["context", "list"]] {
        let ended = world.run(command);
        assert_eq!(ended.code, 0, "{command:?}: {}", ended.stderr);
        assert!(
            !ended.stdout.contains('\u{1b}') && !ended.stdout.is_empty(),
            "{command:?}: {:?}",
            ended.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_document_and_stderr_stays_silent() {
    let world = World::new().await;
    let out = world.out();
    let out = out.to_str().unwrap();
    let ended = world.run(&["export", WEB, "--output", out, "--watch", "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let jobs: Value = serde_json::from_str(&ended.stdout).unwrap();
    let id = jobs[0]["definition"]["id"].as_str().unwrap();
    assert_eq!(jobs[0]["status"], "completed");

    assert_eq!(world.json(&["jobs", id])["definition"]["id"], id);
    assert_eq!(world.json(&["jobs"])["total"], 1);
    assert!(world.json(&["logs", id])["total"].as_u64().unwrap() > 1);
    assert_eq!(world.json(&["vms", "--name", "w*"])["vms"][0]["path"], WEB);
    assert_eq!(world.json(&["vms", WEB])["name"], "web");
    assert_eq!(world.json(&["status"])["completed_jobs"], 1);
    assert_eq!(world.json(&["packages"])["packages"][0]["job_id"], id);
    assert_eq!(world.json(&["packages", "show", id])["state"], "present");
    let ova = format!("{out}/web.ova");
    assert_eq!(world.json(&["verify", &ova, "--level", "full"])["ok"], true);
    assert_eq!(world.json(&["packages", "remove", id])["removed"][0]["state"], "removed");
    let answer = world.json(&["export", "/DC0/vm/prod/app", "--output", out]);
    assert_eq!(answer["accepted"], 1, "{answer}");
    world.daemon.client().wait_for_end(answer["job_ids"][0].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glob_is_watched_to_the_last_of_its_jobs() {
    let world = World::new().await;
    let out = world.out();
    let ended = world.run(&[
        "export",
        "/DC0/vm/prod/*",
        "--output",
        out.to_str().unwrap(),
        "--format",
        "qcow2",
        "--watch",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    assert_eq!(names(&out), ["app", "app.receipt.json", "web", "web.receipt.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_until_the_job_has_ended() {
    let world = World::new().await;
    let out = world.out();
    let ended = world.run(&["export", WEB, "--output", out.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let logs = world.run(&["logs", ended.stdout.trim(), "--follow"]);
    assert!(logs.stdout.contains("attempt 1 started") && logs.stdout.contains("wrote "), "{}", logs.stdout);
}
