//! A webhook whose receiver fails: its delivery is seen, and sent again once the receiver is well. About ten seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::browser::Browser;
use super::nothing_is_wrong;
use crate::world::{WEB, World};

/// A receiver that answers 500 until it is well.
#[derive(Clone, Default)]
struct Receiver {
    is_well: Arc<AtomicBool>,
    /// The `webhook-id` of each request, and the status it got.
    seen: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Receiver {
    /// Its URL.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("its address"));
        let receiver = self.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(receiver.clone().serve(connection));
            }
        });
        url
    }

    /// Answers one request and closes.
    async fn serve(self, connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        let (mut id, mut length, mut line) = (String::new(), 0, String::new());
        while connection.read_line(&mut line).await.is_ok_and(|read| read > 2) {
            match line.trim_end().split_once(": ") {
                Some(("webhook-id", value)) => value.clone_into(&mut id),
                Some(("content-length", value)) => length = value.parse().expect("a number"),
                _ => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if connection.read_exact(&mut body).await.is_err() {
            return;
        }
        let status = if self.is_well.load(Ordering::SeqCst) { 200 } else { 500 };
        self.seen.lock().expect("no holder panics").push((id, status));
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        // A client that has gone does not matter.
        let _ = connection.get_mut().write_all(answer.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_seen_and_sent_again() {
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let world = World::new().await;
    let browser = Browser::open(world.client().base()).await;
    browser.go("/web/dashboard/#/webhooks").await;
    browser.see("Nobody is told of what happens.").await;
    browser.press("New webhook").await;
    browser.write("input[name=id]", "by-form").await;
    browser.write("input[name=url]", &url).await;
    browser.write("input[name=events]", "schedule.*").await;
    browser.click("input[name=allow_private]").await;
    browser.inspect("webhook-form").await;
    browser.press("Create the webhook").await;
    browser.press("by-form").await;
    browser.see("There are no deliveries here yet.").await;
    // The form has no word for how often to try; one try is enough here.
    let once =
        json!({ "id": "ops", "url": url, "allow_private": true, "retry": 0, "events": ["job.completed"] });
    let (status, made) = world.client().post("/webhooks", &once).await;
    assert_eq!(status, 201, "{made}");
    world.complete(&world.job(WEB)).await;
    browser.press("Webhooks").await;
    browser.see("1 given up").await;
    browser.inspect("webhooks").await;
    browser.press("ops").await;
    browser.until("return document.querySelector('.badge.dead') !== null").await;
    browser.see("job.completed").await;
    browser.see("500").await;
    browser.inspect("webhook-failed").await;
    receiver.is_well.store(true, Ordering::SeqCst);
    browser.press("Send again").await;
    browser.see("It will be sent again.").await;
    browser.until("return document.querySelector('.badge.delivered') !== null").await;
    browser.inspect("webhook-delivered").await;
    let seen = receiver.seen.lock().expect("no holder panics").clone();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((seen[0].1, seen[1].1, &seen[0].0), (500, 200, &seen[1].0), "the same message: {seen:?}");
    nothing_is_wrong(&browser).await;
    drop(browser);
    world.stop_clean().await;
}
