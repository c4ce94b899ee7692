//! A VM's power state and descriptor without an export: two calls.

use hypersdk_core::{Descriptor, Error, ErrorKind, PowerState};

use crate::api::CreateDescriptor;
use crate::power;
use crate::session::Scope;
use crate::soap::{CallError, Fault, MoRef};
use crate::wait::{self, Watched};

/// What a VM is like right now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VmDescription {
    /// Whether it runs.
    pub power: PowerState,
    /// The OVF envelope that an export would have, with made-up names for the files and without their sizes.
    pub descriptor: Descriptor,
}

pub(crate) async fn describe(scope: &Scope, vm: MoRef) -> Result<VmDescription, Error> {
    let operation = format!("describe {}", vm.id);
    let this = scope.content().ovf_manager.clone().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, operation.clone(), "the server has no OVF manager")
    })?;
    let watched =
        Watched { object: vm.clone(), kind: "VirtualMachine", paths: &["name", "runtime.powerState"] };
    let known = match wait::properties(scope, &watched).await {
        Ok(known) => known,
        Err(error) => return Err(error.into_error(operation)),
    };
    let text = |path: &str| known.get(path).map(|value| value.text.clone()).unwrap_or_default();
    let name = text("name");
    let call = CreateDescriptor { this, vm, files: Vec::new(), name, images: false, snapshot: None };
    let made = match scope.call(&call).await {
        Ok(made) => made,
        Err(error) => return Err(error.into_error(operation)),
    };
    if let Some(first) = made.errors.first() {
        let all: Vec<String> = made.errors.iter().map(ToString::to_string).collect();
        let fault = Fault::new(first.type_name(), all.join("; "));
        return Err(CallError::Fault(Box::new(fault)).into_error(operation));
    }
    let warnings = made.warnings.iter().map(ToString::to_string).collect();
    let descriptor = Descriptor { ovf: made.descriptor, warnings };
    Ok(VmDescription { power: power::read(&text("runtime.powerState")), descriptor })
}
