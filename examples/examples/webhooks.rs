//! A receiver that is told of an export and verifies who told it.
//!
//! `cargo run -p hypersdk-examples --example webhooks [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hypersdk_core::{JobId, JobManager, JobManagerConfig, JobSpec, JobStore, NewJob, ProviderRegistry, Seq};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, ExportRunner};
use hypersdk_store::SqliteStore;
use hypersdk_webhook::{Deliverer, DelivererConfig, Endpoint, EndpointInput, Parts, Secret};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let vm = source.choose(arguments.next(), "/DC0/vm/demo/web01")?;
    let output = Output::choose(arguments.next())?;

    // Who is told: a server on this machine, which is why private addresses are allowed.
    let receiver = TcpListener::bind("127.0.0.1:0").await?;
    let input = EndpointInput {
        url: Some(format!("http://{}/hook", receiver.local_addr()?)),
        secret: Some(SECRET.to_owned()),
        allow_private: Some(true),
        ..EndpointInput::default()
    };
    let endpoint = input.check(false, None).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;

    // One database keeps jobs, events and deliveries.
    let store = Arc::new(SqliteStore::open(output.path().join("jobs.db")).await?);
    let parts = Parts {
        store: store.clone(),
        log: store.clone(),
        configured: vec![Endpoint::configured("example".parse().map_err(anyhow::Error::msg)?, endpoint)],
        vault: None,
        progress: None,
        shape: Arc::new(|event| event.data.clone()),
    };
    let webhooks =
        Deliverer::start(parts, DelivererConfig { exclusive: true, ..Default::default() }, Seq::START)
            .await?;
    let mut providers = ProviderRegistry::new();
    providers.insert(source.provider.name.clone(), Arc::clone(&source.provider.provider));
    let runner = Arc::new(ExportRunner::new(Arc::new(providers), ExportConfig::default()));
    let config = JobManagerConfig { exclusive: true, ..JobManagerConfig::default() };
    let jobs = JobManager::start(Arc::clone(&store) as Arc<dyn JobStore>, runner, config).await?;
    jobs.submit(vec![NewJob { id: JobId::generate(), spec: JobSpec::new(vm, output.path()) }]).await?;

    // One connection is used for all of them.
    let mut connection = BufReader::new(receiver.accept().await?.0);
    let secret = Secret::parse(SECRET).map_err(anyhow::Error::msg)?;
    loop {
        let event = receive(&mut connection, &secret).await?;
        println!("verified {} of {}", event["event"], event["data"]["vm_path"]);
        if ["job.completed", "job.failed"].iter().any(|end| event["event"] == *end) {
            break;
        }
    }
    jobs.drain(Duration::from_secs(60)).await;
    println!("{} delivered", webhooks.drain(Duration::from_secs(5)).await.total.delivered);
    source.close().await;
    store.close().await;
    Ok(())
}

/// Takes one request, answers it, and gives its body if the signature is ours.
async fn receive(
    connection: &mut BufReader<TcpStream>,
    secret: &Secret,
) -> anyhow::Result<serde_json::Value> {
    let mut headers = std::collections::HashMap::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let header = |name: &str| headers.get(name).with_context(|| format!("no {name}"));
    let mut body = vec![0; header("content-length")?.parse()?];
    connection.read_exact(&mut body).await?;
    connection.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    anyhow::ensure!(secret.verify(id, timestamp, &body, header("webhook-signature")?), "a forgery");
    Ok(serde_json::from_slice(&body)?)
}
