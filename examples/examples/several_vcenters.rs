//! Two vCenters behind one registry: which of them has a VM, and what each one's sessions are doing.
//!
//! `cargo run -p hypersdk-examples --example several_vcenters [PATH]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use hypersdk_core::{ConnectionStats, ProviderRegistry, VmSelector};
use hypersdk_vsim::{DiskSpec, VmSpec, Vsim};
use hypersdk_vsphere::{KnownHosts, VsphereConfig, look_at_certificate};
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let vm = |name: &str| VmSpec::new(name).disk(DiskSpec::synth(1, 1 << 20));
    let berlin = Vsim::builder().vm(vm("web01")).vm(vm("both")).start().await?;
    let paris = Vsim::builder().vm(vm("db01")).vm(vm("both")).start().await?;

    // Trust on first use: a person compares the fingerprint once, then the file knows it.
    let home = tempfile::tempdir()?;
    let known_hosts = KnownHosts::new(home.path().join("known_hosts"));
    for server in [&berlin, &paris] {
        let shown = look_at_certificate(&VsphereConfig::new(server.url(), "", "")).await?;
        assert!(!shown.trusted, "no authority vouches for a simulator");
        anyhow::ensure!(shown.sha256.to_string() == server.thumbprint_sha256(), "somebody is in between");
        known_hosts.record(&shown.host, shown.port, &shown.sha256)?;
    }

    let mut registry = ProviderRegistry::new();
    registry.register("vsphere", hypersdk_vsphere::factory);
    for (name, server) in [("berlin", &berlin), ("paris", &paris)] {
        let config = json!({
            "url": server.url().as_str(),
            "username": server.username(),
            "password": server.password(),
            "known_hosts": known_hosts.path(),
            "connection_pool": { "max_connections": 2 },
        });
        registry.open(name.parse()?, "vsphere", &config)?;
    }

    let asked = std::env::args().nth(1);
    let paths = match &asked {
        Some(path) => vec![path.as_str()],
        None => vec!["/DC0/vm/web01", "/DC0/vm/db01", "/DC0/vm/both", "/DC0/vm/neither"],
    };
    for path in paths {
        let vm: VmSelector = path.parse()?;
        let mut have = Vec::new();
        for source in registry.instances() {
            if !source.provider.find(&vm).await?.is_empty() {
                have.push(source.name.to_string());
            }
        }
        match have.as_slice() {
            [] => println!("{path} is nowhere"),
            [one] => println!("{path} is at {one}"),
            several => println!("{path} is at {}: a job has to say which", several.join(" and ")),
        }
    }

    for source in registry.instances() {
        source.provider.close().await;
    }
    let each: Vec<ConnectionStats> =
        registry.instances().map(|source| source.provider.connections()).collect();
    let all: ConnectionStats = each.iter().sum();
    println!("{} look-ups, {} logins", all.total_borrowed, all.total_created);
    berlin.shutdown().await;
    paris.shutdown().await;
    Ok(())
}
