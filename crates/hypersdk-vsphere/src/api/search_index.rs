//! `SearchIndex`: finds one object fast.

use super::method;
use crate::soap::{Element, MoRef};

/// `FindByInventoryPath`, e.g. `DC0/vm/folder/name`; a slash in a name is `%2f`.
#[derive(Debug)]
pub(crate) struct FindByInventoryPath {
    pub(crate) this: MoRef,
    pub(crate) path: String,
}

method!(FindByInventoryPath, "FindByInventoryPath", idempotent: true, reply: Option<MoRef>,
    write: |call, out| { out.text("inventoryPath", &call.path); },
    read: |reply| reply.next_value()?.as_ref().map(Element::moref).transpose()?);

/// `FindByUuid` for a VM by its instance UUID.
#[derive(Debug)]
pub(crate) struct FindByUuid {
    pub(crate) this: MoRef,
    pub(crate) uuid: String,
}

method!(FindByUuid, "FindByUuid", idempotent: true, reply: Option<MoRef>, write: |call, out| {
    out.text("uuid", &call.uuid);
    out.value("vmSearch", true);
    out.value("instanceUuid", true);
}, read: |reply| reply.next_value()?.as_ref().map(Element::moref).transpose()?);
