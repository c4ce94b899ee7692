//! `hyperctl schedules`, from a first preview to the end of a schedule.

use serde_json::{Value, json};

use crate::terminal::Terminal;
use crate::world::{WEB, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_looked_at_fired_changed_and_removed() {
    let world = World::new().await;
    let out = world.out();
    let out = out.to_str().unwrap();
    let create = ["schedules", "create", "nightly", "--vm", WEB, "--output", out, "--schedule", "0 2 * * *"];
    let further = ["--timezone", "Europe/Berlin", "--format", "ovf", "--keep-last", "3", "--tag", "prod"];
    let made = world.json(&[&create[..], &further].concat());
    assert_eq!((&made["id"], &made["enabled"]), (&"nightly".into(), &true.into()), "{made}");
    assert_eq!(
        (&made["job_template"]["format"], &made["retention"]["keep_last"]),
        (&"ovf".into(), &3.into())
    );
    let again = world.run(&create);
    assert_eq!(again.code, 6, "{}", again.stderr);
    assert!(again.stderr.contains("id: a schedule nightly exists already"), "{}", again.stderr);
    let wrong =
        world.run(&["schedules", "create", "x", "--vm", WEB, "--output", out, "--schedule", "0 25 * * *"]);
    assert_eq!(wrong.code, 7, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("schedule: "), "{}", wrong.stderr);
    let missing = world.run(&["schedules", "create", "x", "--vm", WEB, "--output", out]);
    assert!(missing.code == 2 && missing.stderr.contains("--schedule"), "{}", missing.stderr);

    let listed = world.run(&["schedules"]);
    for text in ["nightly", "Europe/Berlin", "0 2 * * *", " on "] {
        assert!(listed.stdout.contains(text), "{}", listed.stdout);
    }
    assert_eq!(world.json(&["schedules", "list", "--tag", "test"]), json!([]));
    let shown = world.run(&["schedules", "show", "nightly"]);
    for text in ["retention.keep_last", "job_template.vm_path", WEB] {
        assert!(shown.stdout.contains(text), "{}", shown.stdout);
    }

    let changed =
        world.json(&["schedules", "change", "nightly", "--schedule", "30 3 * * 0", "--keep-daily", "7"]);
    assert_eq!(changed["schedule"], "30 3 * * 0");
    assert_eq!(
        (&changed["retention"]["keep_last"], &changed["retention"]["keep_daily"]),
        (&3.into(), &7.into())
    );
    assert_eq!((&changed["timezone"], &changed["tags"]), (&"Europe/Berlin".into(), &json!(["prod"])));
    assert_eq!(world.json(&["schedules", "change", "nightly", "--keep-all"])["retention"], Value::Null);

    let run = world.run(&["schedules", "trigger", "nightly", "--watch"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with(out), "the package is named: {}", run.stdout);
    let runs = world.run(&["schedules", "runs", "nightly"]);
    assert!(runs.stdout.contains("manual"), "{}", runs.stdout);
    assert_eq!(world.json(&["schedules", "runs", "nightly"])["runs"].as_array().unwrap().len(), 1);

    let off = world.run(&["schedules", "disable", "nightly"]);
    assert!(off.code == 0 && off.stdout.contains("off"), "{}{}", off.stdout, off.stderr);
    assert_eq!(world.json(&["schedules", "enable", "nightly"])["enabled"], true);
    for arguments in
        [&["show", "none"][..], &["trigger", "none"], &["runs", "none"], &["delete", "none", "--yes"]]
    {
        let line = [&["schedules"], arguments].concat();
        assert_eq!(world.run(&line).code, 5, "{line:?}");
    }
    assert_eq!(world.run(&["schedules", "delete", "nightly", "--yes"]).code, 0);
    assert_eq!(world.json(&["schedules"]), json!([]));
    assert!(world.run(&["jobs"]).stdout.contains("completed"), "what it did stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_previewed_before_there_is_a_schedule_and_after() {
    let world = World::new().await;
    let preview = ["schedules", "next", "--schedule", "30 2 * * *", "--timezone", "Europe/Berlin", "-n", "2"];
    let shown = world.run(&preview);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert_eq!(shown.stdout.matches("T02:30:00+0").count(), 2, "{}", shown.stdout);
    assert_eq!(world.json(&preview)["next"].as_array().unwrap().len(), 2);
    assert_eq!(world.run(&["schedules", "next"]).code, 2);

    let file = world.home.path().join("weekly.yaml");
    let file = file.to_str().unwrap();
    let out = world.out();
    let out = out.to_str().unwrap();
    let windows = "windows: [{ days: [sun], from: '00:00', to: '06:00' }]";
    let body = format!(
        "id: weekly\nschedule: 0 3 * * 0\n{windows}\njob_template: {{ vm_path: {WEB}, output_dir: {out} }}\n"
    );
    std::fs::write(file, &body).unwrap();
    let made = world.json(&["schedules", "create", "--file", file, "--disabled"]);
    assert_eq!((&made["id"], &made["enabled"]), (&"weekly".into(), &false.into()), "{made}");
    let next = world.run(&["schedules", "next", "weekly", "-n", "1"]);
    assert!(next.stdout.contains("T03:00:00+00:00") && next.stderr.contains("it is off"), "{}", next.stdout);

    // A whole definition goes in the place of the old one, and what is not in it is gone.
    std::fs::write(file, body.replace(windows, "description: without windows")).unwrap();
    let changed = world.json(&["schedules", "change", "weekly", "--file", file]);
    assert_eq!((&changed["windows"], &changed["enabled"]), (&json!([]), &false.into()), "{changed}");
    std::fs::write(file, "windws: []\n").unwrap();
    let wrong = world.run(&["schedules", "change", "weekly", "--file", file]);
    assert!(wrong.code == 7 && wrong.stderr.contains("did you mean windows"), "{}", wrong.stderr);
    assert_eq!(world.run(&["schedules", "create", "--file", "/nonexistent.yaml"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_asks_first_and_without_a_terminal_it_must_be_said() {
    let world = World::new().await;
    let out = world.out();
    let out = out.to_str().unwrap();
    let create = ["schedules", "create", "nightly", "--vm", WEB, "--output", out, "--schedule", "@daily"];
    assert_eq!(world.run(&create).code, 0);
    let unsaid = world.run(&["schedules", "delete", "nightly"]);
    assert!(unsaid.code == 2 && unsaid.stderr.contains("--yes"), "{}", unsaid.stderr);

    for (answer, code, left) in [("n\r", 130, 1), ("y\r", 0, 0)] {
        let mut terminal = Terminal::start(80, &["schedules", "delete", "nightly"], &world.environment());
        terminal.wait("the question", |screen| screen.text().contains("remove nightly"));
        answer.bytes().for_each(|key| terminal.press(key));
        assert_eq!(terminal.end(), code, "{}", terminal.text());
        assert_eq!(world.json(&["schedules"]).as_array().unwrap().len(), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_the_terminal() {
    let world = World::new().await;
    let out = world.out();
    let out = out.to_str().unwrap();
    let id = "a-schedule-with-a-name-that-is-longer-than-one-would-wish-for";
    let create = ["schedules", "create", id, "--vm", WEB, "--output", out, "--schedule", "0 2 * * *"];
    assert_eq!(world.run(&create).code, 0);
    let webhook =
        ["webhooks", "create", "https://hooks.example.com/a/rather/long/path/for/a/receiver", "--id", id];
    let made = world.run(&webhook);
    assert_eq!(made.code, 0, "{}", made.stderr);
    for table in ["schedules", "webhooks"] {
        let mut terminal = Terminal::start(60, &[table], &world.environment());
        assert_eq!(terminal.end(), 0, "{}", terminal.text());
        // A row that was too long would go on at the beginning of the next line, where no cell begins.
        let screen = terminal.text();
        assert!(screen.lines().all(|row| row.starts_with(' ')), "{screen}");
        assert!(screen.contains("a-schedule"), "{screen}");
    }
}
