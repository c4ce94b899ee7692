//! Keeps sessions in a pool while many pieces of work come and go, and shows what that saved.
//!
//! `cargo run -p hypersdk-examples --example pool_statistics`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use futures::future::try_join_all;
use hypersdk_core::{ConnectionStats, Provider, ProviderExt, VmFilter, VmId};
use hypersdk_examples::Source;
use hypersdk_vsphere::{PoolConfig, VsphereConfig, VsphereProvider};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let source = Source::simulated().await?;
    let simulator = source.simulator().expect("it was asked for");
    let connect = |pool: PoolConfig| {
        let mut config =
            VsphereConfig::new(simulator.url(), simulator.username(), simulator.password().to_owned());
        config.thumbprint = Some(simulator.thumbprint_sha256().to_owned());
        config.connection_pool = pool;
        VsphereProvider::new(config)
    };

    // Every piece of work logs in and out by itself.
    let mut none = PoolConfig::default();
    none.enabled = false;
    let provider = connect(none)?;
    work(&provider).await?;
    provider.close().await;
    show("without a pool", &provider.connections());

    // Three sessions serve everybody; who finds none idle waits in order.
    let mut three = PoolConfig::default();
    three.max_connections = 3;
    let provider = connect(three)?;
    work(&provider).await?;

    // An export keeps its session to its end; its job's id tells who has it.
    let vm = provider.list_all(VmFilter::default()).await?.remove(0);
    let export = provider.open_export(&vm.id, &Default::default()).await?;
    for holder in provider.connections().holders {
        println!("{} has a session", holder.work);
    }
    export.abort("the example has seen enough", std::time::Duration::from_secs(5)).await;

    provider.close().await;
    show("with a pool", &provider.connections());
    source.close().await;
    Ok(())
}

/// Forty look-ups, eight at a time.
async fn work(provider: &VsphereProvider) -> anyhow::Result<()> {
    let vms: Vec<VmId> = provider.list_all(VmFilter::default()).await?.into_iter().map(|vm| vm.id).collect();
    for _ in 0..5 {
        try_join_all((0..8).map(|number| provider.describe(&vms[number % vms.len()]))).await?;
    }
    Ok(())
}

fn show(what: &str, stats: &ConnectionStats) {
    println!(
        "{what}: {} pieces of work, {} logins, {} found a session ({:.0} %)",
        stats.total_borrowed,
        stats.total_created,
        stats.total_reused,
        stats.reuse_ratio() * 100.0
    );
}
