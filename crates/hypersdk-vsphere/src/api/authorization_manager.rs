//! `AuthorizationManager`: who may do what.

use super::method;
use crate::soap::MoRef;

/// `HasPrivilegeOnEntities`: which privileges a session has on one object.
#[derive(Debug)]
pub(crate) struct HasPrivilegeOnEntities {
    pub(crate) this: MoRef,
    pub(crate) entity: MoRef,
    pub(crate) session: String,
    pub(crate) privileges: Vec<&'static str>,
}

method!(HasPrivilegeOnEntities, "HasPrivilegeOnEntities", idempotent: true, reply: Vec<(String, bool)>,
write: |call, out| {
    out.moref("entity", &call.entity);
    out.text("sessionId", &call.session);
    for privilege in &call.privileges {
        out.text("privId", privilege);
    }
}, read: |reply| {
    let mut held = Vec::new();
    while let Some(entity) = reply.next_value()? {
        for availability in entity.all("privAvailability") {
            let granted = availability.boolean("isGranted").unwrap_or_default();
            held.push((availability.required("privId")?.to_owned(), granted));
        }
    }
    held
});
