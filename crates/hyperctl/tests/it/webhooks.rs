//! `hyperctl webhooks`, with a receiver that can be switched off.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use crate::world::{WEB, World, hypervisord, simulator};

/// Answers every request with the status that is set.
struct Receiver {
    url: String,
    status: Arc<AtomicU16>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
        let status = Arc::new(AtomicU16::new(200));
        let answered = status.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away is its own business.
                let _ = stream.and_then(|mut stream| {
                    let mut reader = BufReader::new(stream.try_clone()?);
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        reader.read_line(&mut line)?;
                        let line = line.trim().to_ascii_lowercase();
                        if line.is_empty() {
                            break;
                        }
                        if let Some(value) = line.strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap_or(0);
                        }
                    }
                    reader.read_exact(&mut vec![0; length])?;
                    let status = answered.load(Ordering::SeqCst);
                    write!(stream, "HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                });
            }
        });
        Receiver { url, status }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

async fn world() -> World {
    World::configured(simulator(), |config, home| {
        let key = home.join("secret.key");
        let made = Command::new(hypervisord()).arg("secret-key").arg(&key).output().expect("it starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        config.set("secret_key_file", &format!("{key:?}"))
    })
    .await
}

/// Deliveries in a state, asked for until there are `count`.
async fn deliveries(world: &World, state: &str, count: usize) -> Vec<Value> {
    for _ in 0..600 {
        let found = world.json(&["webhooks", "deliveries", "ops", "--state", state]);
        let found = found["deliveries"].as_array().unwrap().clone();
        if found.len() == count {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("never {count} {state} deliveries: {}", world.run(&["webhooks", "deliveries", "ops"]).stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_tested_and_what_it_missed_is_sent_again() {
    let world = world().await;
    let receiver = Receiver::start();
    let secret = world.home.path().join("hook-secret");
    std::fs::write(&secret, "a secret of more than 24 bytes\nand a remark\n").unwrap();
    let create =
        ["webhooks", "create", &receiver.url, "--id", "ops", "--events", "job.created,job.completed"];
    let further = ["--secret-file", secret.to_str().unwrap(), "--retry", "0", "--timeout", "20s"];
    let private = world.run(&[&create[..], &further].concat());
    assert!(private.code == 7 && private.stderr.contains("allow_private"), "{}", private.stderr);
    let made = world.json(&[&create[..], &further, &["--allow-private"]].concat());
    assert_eq!((&made["status"], &made["secret"]), (&"active".into(), &"********".into()), "{made}");
    assert_eq!(world.run(&[&create[..], &["--allow-private"]].concat()).code, 6, "there is one of this id");

    let test = world.run(&["webhooks", "test", "ops"]);
    assert_eq!(test.code, 0, "{}", test.stderr);
    receiver.answer(503);
    let test = world.run(&["webhooks", "test", "ops"]);
    assert!(test.code == 1 && test.stderr.contains("503"), "{}", test.stderr);

    world.export(WEB);
    let dead = deliveries(&world, "dead", 2).await;
    let listed = world.run(&["webhooks"]);
    assert!(listed.stdout.contains("ops") && listed.stdout.contains(" 2 "), "{}", listed.stdout);
    let table = world.run(&["webhooks", "deliveries", "ops"]).stdout;
    assert!(table.contains("job.completed") && table.contains("503"), "{table}");
    receiver.answer(200);
    let one = dead[0]["id"].as_str().unwrap();
    let again = world.run(&["webhooks", "redeliver", one]);
    assert_eq!((again.code, again.stdout.trim()), (0, "1 to be sent again"), "{}", again.stderr);
    deliveries(&world, "delivered", 1).await;
    assert_eq!(world.json(&["webhooks", "redeliver", "--dead", "ops"])["redelivered"], 1);
    deliveries(&world, "delivered", 2).await;
    let delivery = world.run(&["webhooks", "delivery", one]);
    for text in ["request.body", "attempts.1.status", "job.c"] {
        assert!(delivery.stdout.contains(text), "{}", delivery.stdout);
    }
    assert!(!delivery.stdout.contains("a secret of more"), "{}", delivery.stdout);
    assert_eq!(world.run(&["webhooks", "redeliver", "msg_none"]).code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_switched_changed_without_its_secret_and_removed() {
    let world = world().await;
    let receiver = Receiver::start();
    let file = world.home.path().join("ops.yaml");
    let text = format!(
        "id: ops\nurl: {}\nallow_private: true\nsecret: a secret of more than 24 bytes\nheaders: {{ x-team: core }}\n",
        receiver.url
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(world.json(&["webhooks", "create", "--file", file, "--disabled"])["status"], "disabled");
    assert_eq!(world.json(&["webhooks", "enable", "ops"])["status"], "active");
    assert_eq!(world.run(&["webhooks", "disable", "ops"]).stdout.trim(), "ops  disabled");
    let changed = world.json(&["webhooks", "change", "ops", "--events", "schedule.*", "--retry", "7"]);
    assert_eq!((&changed["events"], &changed["retry"]), (&serde_json::json!(["schedule.*"]), &7.into()));
    assert_eq!((&changed["secret"], &changed["enabled"]), (&"********".into(), &false.into()), "{changed}");
    let test = world.run(&["webhooks", "test", "ops"]);
    assert_eq!(test.code, 0, "its secret still opens: {}{}", test.stdout, test.stderr);

    let enabled = world.json(&["webhooks", "change", "ops", "--file", file]);
    assert_eq!(enabled["retry"], 3, "a file is the whole of it: {enabled}");
    let wrong = world.run(&["webhooks", "change", "ops", "--timeout", "soon"]);
    assert!(wrong.code == 7 && wrong.stderr.contains("timeout: "), "{}", wrong.stderr);
    assert_eq!(world.run(&["webhooks", "delete", "ops"]).code, 2, "nobody can be asked");
    assert_eq!(world.run(&["webhooks", "delete", "ops", "--yes"]).stdout.trim(), "ops  removed");
    for arguments in [&["show", "ops"][..], &["delete", "ops", "--yes"], &["enable", "ops"], &["test", "ops"]]
    {
        assert_eq!(world.run(&[&["webhooks"], arguments].concat()).code, 5, "{arguments:?}");
    }
    assert_eq!(world.json(&["webhooks"])["total"], 0);
}
