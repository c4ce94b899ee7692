//! Power failures, at any moment.
#![expect(clippy::print_stderr, reason = "a test says what it found")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hypersdk_ova::verify::{Level, verify_blocking};
use hypersdk_tests::names;
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim, VsimBuilder};
use serde_json::{Value, json};

use crate::world::World;

const MIB: u64 = 1 << 20;
/// VMs to choose from: the lease of a daemon that was killed holds its VM for a while.
const VMS: u64 = 10;
/// Jobs that have not ended are kept at this many.
const WORK: usize = 6;
/// After a daemon listens it has at most this long to live.
const LIFE_MS: u64 = 400;

fn simulator() -> VsimBuilder {
    (0..VMS).fold(Vsim::builder().lease_timeout(Duration::from_millis(400)), |builder, number| {
        let power = if number % 3 == 0 { PowerState::On } else { PowerState::Off };
        let vm = VmSpec::new(format!("vm{number}"))
            .power(power)
            .disk(DiskSpec::synth(2 * number, 6 * MIB))
            .disk(DiskSpec::synth(2 * number + 1, 2 * MIB))
            .nvram(vec![0x5a; 8684]);
        builder.vm(vm)
    })
}

/// The `number`th job: formats and options take turns, and some replace what an earlier one wrote.
fn job(world: &World, number: u64) -> Value {
    let mut job = world.job(&format!("/DC0/vm/vm{}", number % VMS));
    let shape = match number % 8 {
        0 => json!({ "format": "ova" }),
        1 => json!({ "format": "ova", "cleanup_ovf": false }),
        2 => json!({ "format": "ovf", "chunk_size": MIB }),
        3 => json!({ "format": "ova", "compress": true, "compression_level": 1 }),
        4 => json!({ "format": "qcow2" }),
        5 => json!({ "format": "ova", "archive_compression": "zstd" }),
        6 => json!({ "format": "ovf" }),
        _ => json!({ "format": "raw" }),
    };
    let name = if number % 4 == 1 { format!("again{}", number % 8) } else { format!("package{number}") };
    let job = job.as_object_mut().expect("a job is an object");
    job.extend(shape.as_object().expect("so is a shape").clone());
    job.insert("package_name".into(), name.into());
    job.insert("overwrite".into(), true.into());
    Value::Object(job.clone())
}

/// Everything under a final name is whole. What was looked at before is known by its inode and time.
fn check(out: &Path, seen: &mut BTreeSet<(u64, i64, i64)>) -> usize {
    use std::os::unix::fs::MetadataExt;
    let mut packages = 0;
    for name in names(out) {
        if name.contains(".partial") {
            continue;
        }
        let path = out.join(&name);
        let kind = std::fs::metadata(&path).unwrap();
        if name.ends_with(".receipt.json") {
            let text = std::fs::read(&path).unwrap();
            serde_json::from_slice::<Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            continue;
        }
        packages += 1;
        if seen.insert((kind.ino(), kind.ctime(), kind.ctime_nsec())) {
            let report =
                verify_blocking(&path, Level::Structure).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(report.is_ok(), "{report}");
        }
    }
    packages
}

/// Costs about a minute; `HYPERSDK_KILLS` sets how many, `HYPERSDK_SEED` which moments.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_moment_never_leaves_a_faulty_package_and_loses_no_job() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let (kills, seed) =
        (number("HYPERSDK_KILLS", 200), number("HYPERSDK_SEED", u64::from(std::process::id())));
    eprintln!("{kills} kills with HYPERSDK_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) % below
    };
    let configure = |config: hypersdk_tests::DaemonConfig| {
        config.set("retry_attempts", "100").set("max_concurrent_jobs", &WORK.to_string())
    };
    let mut world = World::over(simulator(), configure).await;
    let (mut open, mut submitted) = (Vec::<String>::new(), 0);
    let (mut seen, mut in_the_middle) = (BTreeSet::new(), 0);
    for _ in 0..kills {
        let mut left = Vec::new();
        for id in open {
            match world.client().job(&id).await["status"].as_str() {
                Some("pending" | "running") => left.push(id),
                Some("completed") => {}
                other => panic!("{id} is {other:?}: {:#}", world.client().job(&id).await),
            }
        }
        open = left;
        while open.len() < WORK {
            open.push(world.client().submit(&job(&world, submitted)).await);
            submitted += 1;
        }
        tokio::time::sleep(Duration::from_millis(random(LIFE_MS))).await;
        world = world.crash();
        in_the_middle += usize::from(names(&world.out()).iter().any(|name| name.ends_with(".partial")));
        check(&world.out(), &mut seen);
    }
    for id in &open {
        let job = world.client().wait_for_end(id).await;
        assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    }
    let packages = check(&world.out(), &mut seen);
    assert!(names(&world.out()).iter().all(|name| !name.contains(".partial")), "{:?}", names(&world.out()));
    eprintln!("{submitted} jobs, {packages} packages, {in_the_middle} kills while one was written");
    assert!(
        in_the_middle as u64 * 4 > kills,
        "most kills met nothing that was being written: {in_the_middle}"
    );
    let database = world.database();
    let integrity = ["PRAGMA integrity_check"];
    let arguments = [&[database.to_str().unwrap()], &integrity[..]].concat();
    assert_eq!(hypersdk_tests::command("sqlite3", &arguments, &world.out()).trim(), "ok");
    let (status, _, log) = world.daemon.stop();
    assert!(status.success(), "{log}");
}
