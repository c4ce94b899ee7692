//! `VirtualMachine`: export, power and snapshots.

use super::method;
use crate::soap::MoRef;

/// `ExportVm`: a lease on the files of a VM that does not run.
#[derive(Debug)]
pub(crate) struct ExportVm {
    pub(crate) this: MoRef,
}

method!(ExportVm, "ExportVm", idempotent: false, reply: MoRef,
    write: |_call, _out| {}, read: |reply| reply.moref()?);

/// `PowerOnVM_Task`.
#[derive(Debug)]
pub(crate) struct PowerOnVmTask {
    pub(crate) this: MoRef,
}

method!(PowerOnVmTask, "PowerOnVM_Task", idempotent: false, reply: MoRef,
    write: |_call, _out| {}, read: |reply| reply.moref()?);

/// `PowerOffVM_Task`.
#[derive(Debug)]
pub(crate) struct PowerOffVmTask {
    pub(crate) this: MoRef,
}

method!(PowerOffVmTask, "PowerOffVM_Task", idempotent: false, reply: MoRef,
    write: |_call, _out| {}, read: |reply| reply.moref()?);

/// `CreateSnapshot_Task`, without the VM's memory.
#[derive(Debug)]
pub(crate) struct CreateSnapshotTask {
    pub(crate) this: MoRef,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) quiesce: bool,
}

method!(CreateSnapshotTask, "CreateSnapshot_Task", idempotent: false, reply: MoRef, write: |call, out| {
    out.text("name", &call.name);
    out.text("description", &call.description);
    out.value("memory", false);
    out.value("quiesce", call.quiesce);
}, read: |reply| reply.moref()?);

/// `ShutdownGuest`: asks the guest and answers at once; the VM is off when the guest has done it.
#[derive(Debug)]
pub(crate) struct ShutdownGuest {
    pub(crate) this: MoRef,
}

method!(ShutdownGuest, "ShutdownGuest", idempotent: false, reply: (), write: |_call, _out| {}, read: |_reply| ());
