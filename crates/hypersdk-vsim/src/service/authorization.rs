//! AuthorizationManager: one account, which may do everything but what was
//! taken from it.

use super::{Answer, Request};
use crate::wire::{Fault, MoRef, Node, Struct, Value};

/// Privileges an exporter and its pre-flight check ask about.
const PRIVILEGES: [&str; 10] = [
    "Datastore.Browse",
    "Datastore.FileManagement",
    "System.Anonymous",
    "System.Read",
    "System.View",
    "VApp.Export",
    "VirtualMachine.Interact.PowerOff",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.State.CreateSnapshot",
    "VirtualMachine.State.RemoveSnapshot",
];

impl Request<'_> {
    fn entities(&self, name: &str) -> Result<Vec<MoRef>, Fault> {
        let entities: Vec<MoRef> = self.arguments().all(name).filter_map(Node::moref).collect();
        self.world.read(|state| entities.iter().try_for_each(|moref| state.entity(moref).map(|_| ())))?;
        Ok(entities)
    }

    fn privileges(&self, entities: Vec<MoRef>) -> Answer {
        let asked: Vec<&str> = self.arguments().all("privId").map(Node::content).collect();
        let entries = entities.into_iter().map(|entity| {
            let granted = asked.iter().map(|privilege| {
                Struct::new("PrivilegeAvailability")
                    .with("privId", *privilege)
                    .with("isGranted", !self.world.config.denied.contains(*privilege))
            });
            Struct::new("EntityPrivilege")
                .with("entity", entity)
                .with("privAvailability", Value::list("PrivilegeAvailability", granted))
        });
        Ok(Value::list("EntityPrivilege", entries).into())
    }

    pub(super) fn has_privilege_on_entities(&self) -> Answer {
        self.this("AuthorizationManager")?;
        let session = self.arguments().text("sessionId").unwrap_or_default();
        let known = self.world.read(|state| state.sessions.values().any(|known| known.key == session));
        if !known {
            return Err(Fault::invalid_argument("sessionId"));
        }
        self.privileges(self.entities("entity")?)
    }

    pub(super) fn has_user_privilege_on_entities(&self) -> Answer {
        self.this("AuthorizationManager")?;
        self.privileges(self.entities("entities")?)
    }

    pub(super) fn fetch_user_privilege_on_entities(&self) -> Answer {
        self.this("AuthorizationManager")?;
        let results = self.entities("entities")?.into_iter().map(|entity| {
            let held = PRIVILEGES.iter().filter(|privilege| !self.world.config.denied.contains(**privilege));
            Struct::new("UserPrivilegeResult")
                .with("entity", entity)
                .with("privileges", Value::Array("string", held.map(|name| Value::from(*name)).collect()))
        });
        Ok(Value::list("UserPrivilegeResult", results).into())
    }
}
