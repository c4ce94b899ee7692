use super::*;
use hypersdk_core::{OutcomeChunk, OutcomeFile};

/// A directory with packages in it.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        Room(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Every file, by its path from here.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut rooms = vec![self.path().to_owned()];
        while let Some(room) = rooms.pop() {
            for entry in std::fs::read_dir(room).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    rooms.push(path.clone());
                }
                names.push(path.strip_prefix(self.path()).unwrap().display().to_string());
            }
        }
        names.sort();
        names
    }

    fn outcome(&self, leader: &str, files: &[&str]) -> Outcome {
        let file = |name: &&str| OutcomeFile {
            name: (*name).to_owned(),
            size: 4,
            sha256: String::new(),
            attested: false,
            source_size: 4,
            source_sha256: String::new(),
            host_sha256: None,
            chunks: Vec::new(),
        };
        Outcome {
            vm_name: "web".to_owned(),
            output_dir: self.path().display().to_string(),
            ovf_path: self.path().join(leader).display().to_string(),
            files: files.iter().map(file).collect(),
            total_size: 4,
            duration_seconds: 1.0,
            checksum: String::new(),
            warnings: Vec::new(),
        }
    }

    fn receipt(&self, name: &str, job: &str, outcome: &Outcome) {
        let source = serde_json::json!({"vm": "vm-1", "vm_name": "web", "instance_uuid": null, "host": null,
                                        "snapshot": null});
        let text = serde_json::json!({
            "version": 1, "tool": "x", "job": job, "source": source, "started_at": "2026-11-24T00:00:00Z",
            "finished_at": "2026-11-24T00:00:00Z", "outcome": outcome,
        });
        self.put(name, &text.to_string());
    }

    /// `web.ova` of the job `j1`, with what belongs to others beside it.
    fn with_archive() -> (Self, Outcome) {
        let room = Room::new();
        let outcome = room.outcome("web.ova", &["web-disk-0.vmdk"]);
        for name in ["web.ova", "other.ova", "web.ova.bak"] {
            room.put(name, "data");
        }
        room.receipt("web.receipt.json", "j1", &outcome);
        room.receipt("other.receipt.json", "j2", &room.outcome("other.ova", &[]));
        (room, outcome)
    }

    /// The directory `web` of the job `j1`.
    fn with_directory() -> (Self, Outcome) {
        let room = Room::new();
        let mut outcome = room.outcome("web/web.ovf", &["web-disk-0.vmdk", "web-disk-1.vmdk"]);
        outcome.files[1].chunks = ["0", "1"]
            .map(|number| OutcomeChunk {
                name: format!("web-disk-1.vmdk.{number}"),
                size: 4,
                digest: String::new(),
            })
            .to_vec();
        for name in ["web.ovf", "web.mf", "web-disk-0.vmdk", "web-disk-1.vmdk.0", "web-disk-1.vmdk.1"] {
            room.put(&format!("web/{name}"), "data");
        }
        room.receipt("web.receipt.json", "j1", &outcome);
        (room, outcome)
    }

    fn remove(&self, job: &str, outcome: &Outcome, beside: bool) -> Result<Removal> {
        remove_package(&job.parse().unwrap(), outcome, beside, self.path())
    }

    fn stands(&self, outcome: &Outcome) -> bool {
        package_stands(&"j1".parse().unwrap(), outcome, self.path()).unwrap()
    }
}

#[test]
fn an_archive_goes_with_its_receipt_and_nothing_else_does() {
    let (room, outcome) = Room::with_archive();
    // Somebody has unpacked it by hand.
    room.put("web/web-disk-0.vmdk", "data");
    assert!(room.stands(&outcome));
    assert_eq!(room.remove("j1", &outcome, false).unwrap(), Removal::Removed);
    let rest = ["other.ova", "other.receipt.json", "web", "web.ova.bak", "web/web-disk-0.vmdk"];
    assert_eq!(room.names(), rest);
    assert!(!room.stands(&outcome));
    assert_eq!(room.remove("j1", &outcome, false).unwrap(), Removal::WasGone);
    assert_eq!(room.names(), rest);
}

#[test]
fn what_is_anothers_or_anybodys_is_refused_and_stays() {
    let (room, outcome) = Room::with_archive();
    let before = room.names();
    let error = room.remove("j1", &room.outcome("other.ova", &[]), false).unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("names job j2"), "{error}");
    std::fs::rename(room.path().join("web.receipt.json"), room.path().join("kept")).unwrap();
    let error = room.remove("j1", &outcome, false).unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("no receipt"), "{error}");
    std::fs::rename(room.path().join("kept"), room.path().join("web.receipt.json")).unwrap();
    assert_eq!(room.names(), before);
}

#[test]
fn nothing_that_leaves_the_directory_is_a_package() {
    let (room, outcome) = Room::with_archive();
    let before = room.names();
    for path in ["/etc/passwd", "../web.ova", "", "web.txt", ".ova", "web/deep/web.ovf"] {
        let wrong = Outcome { ovf_path: room.path().join(path).display().to_string(), ..outcome.clone() };
        assert_eq!(room.remove("j1", &wrong, false).unwrap_err().kind(), ErrorKind::Invalid, "{path}");
    }
    assert_eq!(room.names(), before);
}

#[test]
fn a_directory_goes_and_what_somebody_put_into_it_stays() {
    let (room, outcome) = Room::with_directory();
    assert!(room.stands(&outcome));
    room.put("web/notes.txt", "mine");
    room.put("web/sub/web.mf", "mine");
    assert_eq!(room.remove("j1", &outcome, false).unwrap(), Removal::Removed);
    assert_eq!(room.names(), ["web", "web/notes.txt", "web/sub", "web/sub/web.mf"]);

    let (room, outcome) = Room::with_directory();
    assert_eq!(room.remove("j1", &outcome, false).unwrap(), Removal::Removed);
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_package_that_was_cut_or_lacks_a_chunk_does_not_stand() {
    let (room, outcome) = Room::with_archive();
    room.put("web.ova", "dat");
    assert!(!room.stands(&outcome));
    let (room, outcome) = Room::with_directory();
    std::fs::remove_file(room.path().join("web/web-disk-1.vmdk.1")).unwrap();
    assert!(!room.stands(&outcome));
}

#[test]
fn the_directory_beside_an_archive_goes_with_it() {
    let (room, outcome) = Room::with_archive();
    for name in ["web.ovf", "web.mf", "web-disk-0.vmdk"] {
        room.put(&format!("web/{name}"), "data");
    }
    assert_eq!(room.remove("j1", &outcome, true).unwrap(), Removal::Removed);
    assert_eq!(room.names(), ["other.ova", "other.receipt.json", "web.ova.bak"]);
}

#[test]
fn links_are_not_followed() {
    let (room, outcome) = Room::with_directory();
    let elsewhere = Room::new();
    elsewhere.put("web-disk-0.vmdk", "data");
    std::fs::remove_dir_all(room.path().join("web")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), room.path().join("web")).unwrap();
    assert_eq!(room.remove("j1", &outcome, false).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(elsewhere.names(), ["web-disk-0.vmdk"]);

    // Inside the package's directory a link of a name that it owns is a name that it owns.
    let (room, outcome) = Room::with_directory();
    std::fs::remove_file(room.path().join("web/web-disk-0.vmdk")).unwrap();
    let disk = elsewhere.path().join("web-disk-0.vmdk");
    std::os::unix::fs::symlink(&disk, room.path().join("web/web-disk-0.vmdk")).unwrap();
    assert_eq!(room.remove("j1", &outcome, false).unwrap(), Removal::Removed);
    assert_eq!(room.names(), [""; 0]);
    assert_eq!(elsewhere.names(), ["web-disk-0.vmdk"]);
}

#[test]
fn a_removal_cut_short_anywhere_is_gone_on_with() {
    // The names go in this order, then the files, then the receipt.
    for done in 0..=5 {
        let (room, outcome) = Room::with_directory();
        let doomed = |name: &str| room.path().join(format!("{name}.removed.j1.partial"));
        if done >= 1 {
            std::fs::rename(room.path().join("web"), doomed("web")).unwrap();
        }
        if done >= 2 {
            std::fs::rename(room.path().join("web.receipt.json"), doomed("web.receipt.json")).unwrap();
        }
        if done >= 3 {
            std::fs::remove_file(doomed("web").join("web-disk-0.vmdk")).unwrap();
        }
        if done >= 4 {
            std::fs::remove_dir_all(doomed("web")).unwrap();
        }
        if done >= 5 {
            std::fs::remove_file(doomed("web.receipt.json")).unwrap();
        }
        // Another job has taken the name meanwhile.
        if done >= 2 {
            let other = room.outcome("web/web.ovf", &[]);
            room.put("web/web.ovf", "data");
            room.receipt("web.receipt.json", "j2", &other);
        }
        match (done, room.remove("j1", &outcome, false)) {
            (5, result) => assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict),
            (_, result) => assert_eq!(result.unwrap(), Removal::Removed, "after {done}"),
        }
        let rest: &[&str] = if done >= 2 { &["web", "web.receipt.json", "web/web.ovf"] } else { &[] };
        assert_eq!(room.names(), rest, "after {done}");
    }
}
