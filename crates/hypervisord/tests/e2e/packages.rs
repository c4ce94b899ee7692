//! The catalogue of packages and the rules of schedules, over the real binary. About half a minute together.

use std::path::PathBuf;
use std::time::Duration;

use hypersdk_tests::{command, names};
use serde_json::{Value, json};

use crate::world::{WEB, World};

impl World {
    fn nightly(&self, retention: &Value) -> Value {
        json!({
            "id": "nightly", "schedule": "0 2 1 1 *", "retention": retention,
            "job_template": {"vm_path": WEB, "output_dir": self.out(), "format": "ova"},
        })
    }

    async fn make_nightly(&self, retention: &Value) {
        let (status, answer) = self.client().post("/schedules", &self.nightly(retention)).await;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(answer["retention"], *retention);
    }

    /// Fires the schedule and waits for its package. Names have the time in them, so no two come in one second.
    async fn fire(&self) -> String {
        tokio::time::sleep(Duration::from_millis(1001)).await;
        let (status, run) = self.client().post("/schedules/nightly/trigger", &json!({})).await;
        assert_eq!(status, 202, "{run}");
        let id = run["job_ids"][0].as_str().expect("a job").to_owned();
        let job = self.client().wait_for_end(&id).await;
        assert_eq!(job["status"], "completed", "{job:#}\n{}", self.daemon.log());
        id
    }

    async fn ids(&self, query: &str) -> Vec<String> {
        let (status, page) = self.client().get(&format!("/packages?{query}")).await;
        assert_eq!(status, 200, "{page}");
        let packages = page["packages"].as_array().expect("packages").iter();
        packages.map(|package| package["id"].as_str().expect("an id").to_owned()).collect()
    }

    async fn package(&self, id: &str) -> Value {
        let (status, package) = self.client().get(&format!("/packages/{id}")).await;
        assert_eq!(status, 200, "{package}");
        package
    }

    async fn main_file(&self, id: &str) -> PathBuf {
        PathBuf::from(self.package(id).await["path"].as_str().expect("a path"))
    }

    /// Waits until a package is in a state.
    async fn until_it_is(&self, id: &str, state: &str) -> Value {
        let waiting = async {
            loop {
                let package = self.package(id).await;
                if package["state"] == state {
                    return package;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("{id} did not come to be {state}\n{}", self.daemon.log()))
    }

    fn sqlite(&self, statement: &str) -> String {
        let database = self.database();
        // The daemon writes as well.
        let arguments = ["-cmd", ".timeout 20000", database.to_str().unwrap(), statement];
        command("sqlite3", &arguments, &self.out()).trim().to_owned()
    }
}

/// What is in the output directory of these packages.
fn files_of(mains: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut files: Vec<String> =
        mains.iter().map(name).flat_map(|ova| [ova.replace(".ova", ".receipt.json"), ova]).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_keeps_two_has_two_and_nothing_else_is_touched() {
    let world = World::new().await;
    world.make_nightly(&json!({ "keep_last": 2 })).await;
    // Neither of them is a package of the catalogue.
    std::fs::write(world.out().join("web-20200101-020000.ova"), "mine").unwrap();
    std::fs::create_dir(world.out().join("web")).unwrap();
    let by_hand =
        world.complete(&json!({ "vm_path": WEB, "output_dir": world.out(), "format": "ova" })).await;
    let by_hand = by_hand["definition"]["id"].as_str().unwrap().to_owned();
    let mut fired = Vec::new();
    for _ in 0..4 {
        fired.push(world.fire().await);
    }
    for id in &fired[..2] {
        let gone = world.until_it_is(id, "removed").await;
        assert_eq!(gone["reason"], "retention of schedule nightly: no rule keeps it");
    }
    assert_eq!(world.ids("schedule=nightly&state=present").await, [fired[3].as_str(), &fired[2]]);
    let mut expected = vec!["web".to_owned(), "web-20200101-020000.ova".to_owned()];
    for id in [&fired[2], &fired[3], &by_hand] {
        expected.extend(files_of(&[world.main_file(id).await]));
    }
    expected.sort();
    assert_eq!(names(&world.out()), expected);
    let (_, dry) = world.client().get("/schedules/nightly/retention").await;
    assert_eq!((&dry["dry_run"], &dry["remove"]), (&json!(true), &json!([])), "{dry}");
    let kept: Vec<_> = dry["keep"].as_array().unwrap().iter().map(|kept| &kept["why"]).collect();
    assert_eq!(kept, ["keep_last", "keep_last"]);
    assert_eq!(world.sqlite("SELECT count(*) FROM events WHERE kind = 'package.removed'"), "2");
    let (_, audit) = world.client().get("/audit").await;
    let mut removed: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["actor"] == "schedule:nightly")
        .map(|entry| entry["target"].as_str().unwrap().trim_start_matches("/packages/").to_owned())
        .collect();
    removed.reverse();
    assert_eq!(removed, fired[..2]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_newest_protects_what_is_older_and_a_dry_run_removes_nothing() {
    let world = World::new().await;
    let (status, answer) =
        world.client().post("/schedules", &world.nightly(&json!({ "keep_last": 0 }))).await;
    assert_eq!((status, &answer["errors"][0]["field"]), (422, &json!("retention.keep_last")), "{answer}");
    world.make_nightly(&Value::Null).await;
    let mut fired = Vec::new();
    for _ in 0..3 {
        fired.push(world.fire().await);
    }
    let newest = world.main_file(&fired[2]).await;
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let (status, report) = world.client().post("/packages/verify", &json!({ "path": newest })).await;
    assert_eq!((status, &report["ok"], &report["package_id"]), (200, &json!(false), &json!(fired[2])));
    let faulty = world.package(&fired[2]).await;
    assert_eq!(faulty["verification"]["ok"], false, "{faulty}");
    assert!(faulty["verified_at"].as_str() > faulty["completed_at"].as_str(), "{faulty}");

    let (status, answer) =
        world.client().put("/schedules/nightly", &world.nightly(&json!({ "keep_last": 1 }))).await;
    assert_eq!(status, 200, "{answer}");
    let before = names(&world.out());
    let (_, dry) = world.client().get("/schedules/nightly/retention").await;
    let id = |judged: &Value| judged["id"].as_str().unwrap().to_owned();
    let of = |dry: &Value, name: &str| dry[name].as_array().unwrap().iter().map(id).collect::<Vec<_>>();
    assert_eq!(of(&dry, "remove"), [fired[0].as_str()], "{dry}");
    assert_eq!(of(&dry, "keep"), [fired[2].as_str(), &fired[1]], "{dry}");
    assert_eq!(dry["keep"][1]["why"], "keep_last", "the last one that is whole counts, not the faulty one");
    assert_eq!(names(&world.out()), before);
    let (status, done) = world.client().post("/schedules/nightly/retention", &json!({})).await;
    assert_eq!((status, of(&done, "remove")), (200, vec![fired[0].clone()]), "{done}");
    assert_eq!(of(&done, "keep"), [fired[2].as_str(), &fired[1]], "{done}");
    assert_eq!(
        names(&world.out()),
        files_of(&[world.main_file(&fired[1]).await, newest]),
        "the older one is still there"
    );
    // Once there is a newer one that is whole, both may go.
    let last = world.fire().await;
    world.until_it_is(&fired[1], "removed").await;
    world.until_it_is(&fired[2], "removed").await;
    assert_eq!(names(&world.out()), files_of(&[world.main_file(&last).await]));
    world.stop_clean().await;
}

/// How often the daemon is killed while it removes: about two seconds each. `HYPERSDK_REMOVAL_KILLS` sets another
/// number.
const KILLS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_killed_is_gone_on_with() {
    let kills = std::env::var("HYPERSDK_REMOVAL_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut world = World::new().await;
    let mut job = json!({ "vm_path": WEB, "output_dir": world.out(), "format": "ovf" });
    let mut ended = Vec::new();
    for round in 0..kills {
        job["package_name"] = json!(format!("web-{round}"));
        let made = world.complete(&job).await;
        let id = made["definition"]["id"].as_str().unwrap().to_owned();
        let (client, path) = (world.client().clone(), format!("/packages/{id}"));
        let asked = tokio::spawn(async move { client.delete(&path).await });
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..8000))).await;
        world = world.crash();
        drop(asked.await);
        ended.push(id);
    }
    for (round, id) in ended.iter().enumerate() {
        let waiting = async {
            while world.package(id).await["state"] == "removing" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it goes on by itself");
        let package = world.package(id).await;
        let name = format!("web-{round}");
        let files: Vec<String> =
            names(&world.out()).into_iter().filter(|file| file.starts_with(&name)).collect();
        match package["state"].as_str() {
            Some("removed") => assert_eq!(files, [""; 0], "{package}"),
            _ => {
                assert_eq!(files, [name.clone(), format!("{name}.receipt.json")], "{package}");
                let (_, report) = world.client().post("/packages/verify", &json!({ "id": id })).await;
                assert_eq!(report["ok"], true, "{report}");
                let (status, gone) = world.client().delete(&format!("/packages/{id}")).await;
                assert_eq!((status, &gone["state"]), (200, &json!("removed")), "{gone}");
            }
        }
    }
    assert_eq!(names(&world.out()), [""; 0]);
    let events = world.sqlite("SELECT count(*) FROM events WHERE kind = 'package.removed'");
    assert_eq!(events, kills.to_string(), "each is told of once");

    // Half way on purpose: noted, renamed, one file of it gone.
    job["package_name"] = json!("half");
    let made = world.complete(&job).await;
    let id = made["definition"]["id"].as_str().unwrap().to_owned();
    std::fs::write(world.out().join("half").join("notes.txt"), "mine").unwrap();
    let world = {
        let doomed = world.out().join(format!("half.removed.{id}.partial"));
        std::fs::rename(world.out().join("half"), &doomed).unwrap();
        let disk = names(&doomed).into_iter().find(|name| name.ends_with(".vmdk")).unwrap();
        std::fs::remove_file(doomed.join(disk)).unwrap();
        let note =
            format!("UPDATE packages SET state = 'removing', reason = 'x', remover = 'y' WHERE id = '{id}'");
        world.sqlite(&note);
        world.crash()
    };
    world.until_it_is(&id, "removed").await;
    assert_eq!(names(&world.out()), ["half"]);
    assert_eq!(names(&world.out().join("half")), ["notes.txt"], "what somebody put there is left to them");
    world.stop_after_a_kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_published_just_before_a_crash_is_in_the_catalogue() {
    let world = World::new().await;
    let made = world.complete(&world.job(WEB)).await;
    let id = made["definition"]["id"].as_str().unwrap().to_owned();
    let package = world.package(&id).await;
    let before = names(&world.out());
    // As if it had died between the last rename and the write that completes the job.
    world.sqlite(&format!(
        "UPDATE jobs SET status = 'pending', outcome = NULL, completed_at = NULL WHERE id = '{id}';
         DELETE FROM packages WHERE id = '{id}'"
    ));
    assert_eq!(world.ids("").await, [""; 0]);
    let world = world.crash();
    let again = world.client().wait_for_end(&id).await;
    assert_eq!((&again["status"], &again["result"]["checksum"]), (&json!("completed"), &package["checksum"]));
    let entered = world.package(&id).await;
    assert_eq!((&entered["state"], &entered["path"]), (&json!("present"), &package["path"]));
    assert_eq!(entered["result"], package["result"], "it is the same package, and not another");
    assert_eq!(names(&world.out()), before);
    let (status, gone) = world.client().delete(&format!("/packages/{id}")).await;
    assert_eq!((status, &gone["state"]), (200, &json!("removed")), "{gone}");
    assert_eq!(names(&world.out()), [""; 0]);
    world.stop_after_a_kill().await;
}
