//! What an export needs to know of a VM before it begins.

use hypersdk_core::{Error, ErrorKind, PowerState, Result};

use super::hardware::{self, Disk};
use crate::inventory::unescape;
use crate::power;
use crate::session::Scope;
use crate::soap::MoRef;
use crate::wait::{self, Watched};

/// Facts about a VM.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) instance_uuid: Option<String>,
    pub(super) power: PowerState,
    pub(super) host: Option<String>,
    pub(super) disks: Vec<Disk>,
}

const PATHS: &[&str] = &[
    "name",
    "runtime.powerState",
    "runtime.host",
    "config.instanceUuid",
    "config.hardware.device",
    "layoutEx",
];

/// Reads them.
///
/// # Errors
/// [`ErrorKind::NotFound`] for an unknown VM, [`ErrorKind::Conflict`] for one whose configuration the server
/// cannot read.
pub(super) async fn inspect(scope: &Scope, vm: &MoRef) -> Result<Facts> {
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
        host,
        disks: hardware::disks(devices, known.get("layoutEx")),
    })
}

/// A host's name, where the account may see it.
async fn host_name(scope: &Scope, host: MoRef) -> Option<String> {
    let watched = Watched { object: host, kind: "HostSystem", paths: &["name"] };
    Some(wait::properties(scope, &watched).await.ok()?.remove("name")?.text)
}
