//! `VirtualMachineSnapshot`.

use super::method;
use crate::soap::MoRef;

/// `ExportSnapshot`: a lease on the disks as they were at a snapshot, whatever the VM does now.
#[derive(Debug)]
pub(crate) struct ExportSnapshot {
    pub(crate) this: MoRef,
}

method!(ExportSnapshot, "ExportSnapshot", idempotent: false, reply: MoRef,
    write: |_call, _out| {}, read: |reply| reply.moref()?);

/// `RemoveSnapshot_Task` of this snapshot alone, its disks consolidated.
#[derive(Debug)]
pub(crate) struct RemoveSnapshotTask {
    pub(crate) this: MoRef,
}

method!(RemoveSnapshotTask, "RemoveSnapshot_Task", idempotent: false, reply: MoRef, write: |_call, out| {
    out.value("removeChildren", false);
    out.value("consolidate", true);
}, read: |reply| reply.moref()?);
