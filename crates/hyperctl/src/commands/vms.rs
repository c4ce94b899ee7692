//! `hyperctl vms`: what there is to export.

use crate::client::{Client, segment, with_query};
use crate::failure::Failure;
use crate::output::table::Rows;
use crate::output::{self, Format, units, word};

/// List the VMs of the daemon's connections, or show one.
#[derive(Debug, clap::Args)]
pub struct VmsArgs {
    /// Show this VM: its path, or its managed object id.
    pub vm: Option<String>,
    /// Only VMs whose name matches this glob, such as 'web*'.
    #[arg(long, value_name = "GLOB", conflicts_with = "vm")]
    pub name: Option<String>,
    /// Only VMs below this folder.
    #[arg(long, value_name = "PATH", conflicts_with = "vm")]
    pub folder: Option<String>,
    /// Only VMs that are on, off or suspended.
    #[arg(long, value_name = "STATE", conflicts_with = "vm")]
    pub power: Option<String>,
    /// Only those of this connection.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", conflicts_with = "vm")]
    pub limit: Option<u32>,
}

pub(crate) async fn run(args: &VmsArgs, client: &Client, format: Format) -> Result<(), Failure> {
    if let Some(vm) = &args.vm {
        let path = format!("/vms/{}", segment(vm));
        let answer = client.get(&with_query(&path, &[("provider", args.provider.clone())])).await?;
        match (format, answer.as_object()) {
            (Format::Text, Some(fields)) => {
                for (name, value) in fields {
                    output::line(format!("{:<20}{}", name.replace('_', " "), word(value)));
                }
            }
            _ => output::json(&answer),
        }
        return Ok(());
    }
    let query = [
        ("name", args.name.clone()),
        ("folder", args.folder.clone()),
        ("power_state", args.power.clone()),
        ("provider", args.provider.clone()),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let answer = client.get(&with_query("/vms", &query)).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let mut rows = Rows::new(&["id", "power", "disks", "used", "guest", "path"], &[2, 3]);
    let vms = output::list(&answer["vms"]);
    for vm in vms {
        rows.push([
            word(&vm["id"]),
            word(&vm["power_state"]),
            word(&vm["disks"]),
            vm["storage_used_bytes"].as_u64().map_or_else(|| "-".to_owned(), units::bytes),
            word(&vm["guest_os"]),
            word(&vm["path"]),
        ]);
    }
    output::line(rows.text());
    if answer["total"].as_u64().is_some_and(|total| total > vms.len() as u64) {
        output::remark(format!("{} of {} VMs; --limit shows more", vms.len(), word(&answer["total"])));
    }
    Ok(())
}
