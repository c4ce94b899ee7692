//! Failures: what is said about them, and the exit code.

use crate::world::{WEB, World, run};

#[tokio::test(flavor = "multi_thread")]
async fn each_class_of_failure_ends_with_its_code_and_says_what_to_do() {
    let world = World::new().await;
    let out = world.out();
    let out = out.to_str().unwrap();
    let exported = world.export(WEB);
    let id = exported["definition"]["id"].as_str().unwrap();
    let ova = format!("{out}/web.ova");

    let cases: &[(&[&str], i32, &str)] = &[
        (&["jobs", "nope"], 5, "nope"),
        (&["cancel", id], 6, "completed already"),
        (&["export", "/DC0/vm/none", "--output", out], 7, "vm_path: no VM"),
        (&["export", WEB, "--output", "/nonexistent"], 7, "output_dir: "),
        (&["export", WEB, "--output", out, "--watch"], 1, "hyperctl logs "),
        (&["verify", "/nonexistent.ova"], 7, "path: "),
        (&["export", WEB], 2, "--output"),
        (&["exprot", WEB], 2, "export"),
    ];
    for (arguments, code, said) in cases {
        let ended = world.run(arguments);
        assert_eq!(ended.code, *code, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }

    let whole = std::fs::read(&ova).unwrap();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    std::fs::write(&ova, altered).unwrap();
    let faulty = world.run(&["verify", &ova]);
    assert!((17..=19).contains(&faulty.code), "{}: {}", faulty.code, faulty.stdout);
    std::fs::write(&ova, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(world.run(&["verify", &ova]).code, 10);
}

#[test]
fn a_daemon_that_is_not_there_is_said_to_be_and_how_to_name_another() {
    let nothing = [("HYPERCTL_URL", "http://127.0.0.1:9".to_owned()), ("HOME", "/nonexistent".to_owned())];
    let ended = run(&["status"], &nothing);
    assert_eq!(ended.code, 3);
    assert!(ended.stderr.contains("no daemon can be reached at http://127.0.0.1:9"), "{}", ended.stderr);
    assert!(ended.stderr.contains("HYPERCTL_URL"), "{}", ended.stderr);
}
