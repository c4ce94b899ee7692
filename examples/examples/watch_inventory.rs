//! Keeps an inventory in memory and follows its changes, which the server tells as they happen.
//!
//! `cargo run -p hypersdk-examples --example watch_inventory`; at a server that `GOVC_URL` names it goes on until it is
//! stopped.

#![expect(clippy::print_stdout, reason = "what the example shows")]

use anyhow::Context;
use futures::StreamExt;
use hypersdk_core::{Inventory, VmChange};
use hypersdk_examples::Source;
use hypersdk_vsim::VmSpec;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let source = Source::open().await?;
    let inventory = source.provider.provider.inventory().context("it tells of no changes")?;

    // Followed first and listed then, so that nothing is missed in between.
    let mut changes = inventory.changes();
    list(&*inventory).await?;
    if let Some(simulator) = source.simulator() {
        // What others do at a server.
        simulator.rename("web01", "web02")?;
        simulator.add_vm(VmSpec::new("late").folder("demo"))?;
    }
    while let Some(change) = changes.next().await {
        match change {
            VmChange::Added(vm) => {
                println!("new      {} {}", vm.id, vm.path);
                if let Some(simulator) = source.simulator() {
                    simulator.remove_vm(vm.id.as_str())?;
                }
            }
            VmChange::Changed(vm) => println!("changed  {} {}", vm.id, vm.path),
            VmChange::Removed(vm) => {
                println!("gone     {vm}");
                if source.simulator().is_some() {
                    break;
                }
            }
            // Also at the beginning: any of them may be other than it was.
            _ => println!("anew     {} VMs", inventory.stats().vms),
        }
    }
    list(&*inventory).await?;
    let stats = inventory.stats();
    println!("read {} time(s), told of {} changes", stats.readings, stats.changes);
    drop(changes);
    source.close().await;
    Ok(())
}

/// From memory, but for the first time.
async fn list(inventory: &dyn Inventory) -> anyhow::Result<()> {
    let copy = inventory.copy().await.context("the server cannot be watched now")?;
    for vm in copy.vms.iter() {
        println!("listed   {} {}", vm.id, vm.path);
    }
    Ok(())
}
