//! What an export needs to know of a VM before it begins.

use hypersdk_core::{Error, ErrorKind, ExportOptions, PowerState, Result};

use super::hardware::{self, Disk};
use crate::inventory::unescape;
use crate::power;
use crate::session::Scope;
use crate::soap::MoRef;
use crate::wait::{self, Watched};

/// Facts about a VM.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) instance_uuid: Option<String>,
    pub(crate) power: PowerState,
    /// VMware Tools run in the guest.
    pub(crate) tools: bool,
    pub(crate) host: Option<String>,
    pub(crate) disks: Vec<Disk>,
}

impl Facts {
    /// The names each disk can be chosen by, in the disks' order.
    pub(crate) fn disk_names(&self) -> Vec<[String; 3]> {
        let names = |(index, disk): (usize, &Disk)| {
            [disk.label.clone(), format!("disk-{index}.vmdk"), index.to_string()]
        };
        self.disks.iter().enumerate().map(names).collect()
    }

    /// The disks that these options choose.
    pub(crate) fn taken(&self, options: &ExportOptions) -> Vec<&Disk> {
        let chosen = |names: &[String; 3]| options.disks.takes(&names.each_ref().map(String::as_str));
        let names = self.disk_names();
        self.disks.iter().zip(&names).filter(|(_, names)| chosen(names)).map(|(disk, _)| disk).collect()
    }
}

const PATHS: &[&str] = &[
    "name",
    "runtime.powerState",
    "runtime.host",
    "guest.toolsRunningStatus",
    "config.instanceUuid",
    "config.hardware.device",
    "layoutEx",
];

/// Reads them.
///
/// # Errors
/// [`ErrorKind::NotFound`] for an unknown VM, [`ErrorKind::Conflict`] for one whose configuration the server
/// cannot read.
pub(crate) async fn inspect(scope: &Scope, vm: &MoRef) -> Result<Facts> {
    let watched = Watched { object: vm.clone(), kind: "VirtualMachine", paths: PATHS };
    let known = wait::properties(scope, &watched).await.map_err(|error| error.into_error("look up VM"))?;
    let devices = known.get("config.hardware.device").ok_or_else(|| {
        Error::new(ErrorKind::Conflict, "look up VM", "the server cannot read its configuration").with_advice(
            "see that the VM is neither orphaned nor inaccessible, and that the account may read it",
        )
    })?;
    let text = |path| known.get(path).map(|value| value.text.clone()).filter(|text| !text.is_empty());
    let host = match known.get("runtime.host").and_then(|host| host.moref().ok()) {
        Some(host) => host_name(scope, host).await,
        None => None,
    };
    Ok(Facts {
        name: unescape(&text("name").unwrap_or_else(|| vm.id.clone())).into_owned(),
        instance_uuid: text("config.instanceUuid"),
        power: text("runtime.powerState").map_or(PowerState::Off, |text| power::read(&text)),
        tools: text("guest.toolsRunningStatus").is_some_and(|text| text == "guestToolsRunning"),
        host,
        disks: hardware::disks(devices, known.get("layoutEx")),
    })
}

/// A host's name, where the account may see it.
async fn host_name(scope: &Scope, host: MoRef) -> Option<String> {
    let watched = Watched { object: host, kind: "HostSystem", paths: &["name"] };
    Some(wait::properties(scope, &watched).await.ok()?.remove("name")?.text)
}
