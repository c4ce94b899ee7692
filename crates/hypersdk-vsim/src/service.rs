//! SOAP methods, one file a managed object.

mod authorization;
mod collector;
mod descriptor;
mod entity;
mod instance;
mod lease;
mod machine;
mod ovf;
mod search;
mod view;

use std::sync::Arc;

pub(crate) use instance::{ids, service_versions};

use crate::model::{Session, State, World};
use crate::property::Reader;
use crate::wire::{Call, Fault, MoRef, Node, Value};

/// A call on its way to a method.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) call: &'a Call,
    pub(crate) session: Option<Session>,
    /// Address of the client, for its session.
    pub(crate) address: String,
    pub(crate) agent: String,
}

/// What a method answers.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) value: Option<Value>,
    /// The cookie of a session just opened.
    pub(crate) cookie: Option<String>,
}

impl<T: Into<Value>> From<T> for Reply {
    fn from(value: T) -> Self {
        Self { value: Some(value.into()), cookie: None }
    }
}

type Answer = Result<Reply, Fault>;

impl Request<'_> {
    /// Runs the method.
    pub(crate) async fn answer(&self) -> Answer {
        if self.session.is_none() && !self.is_open_to_all() {
            return Err(Fault::not_authenticated(&self.call.this));
        }
        match self.call.method.as_str() {
            "RetrieveServiceContent" => self.retrieve_service_content(),
            "CurrentTime" => self.current_time(),
            "Login" => self.login(),
            "Logout" => self.logout(),
            "SessionIsActive" => self.session_is_active(),
            "TerminateSession" => self.terminate_session(),
            "FindByInventoryPath" => self.find_by_inventory_path(),
            "FindByUuid" => self.find_by_uuid(),
            "FindByDnsName" => self.find_by_dns_name(),
            "FindChild" => self.find_child(),
            "CreateContainerView" => self.create_container_view(),
            "DestroyView" => self.destroy_view(),
            "Fetch" => self.fetch(),
            "RetrieveProperties" => self.retrieve_properties(),
            "RetrievePropertiesEx" => self.retrieve_properties_ex(),
            "ContinueRetrievePropertiesEx" => self.continue_retrieve_properties_ex(),
            "CancelRetrievePropertiesEx" => self.cancel_retrieve_properties_ex(),
            "CreatePropertyCollector" => self.create_property_collector(),
            "DestroyPropertyCollector" => self.destroy_property_collector(),
            "CreateFilter" => self.create_filter(),
            "DestroyPropertyFilter" => self.destroy_property_filter(),
            "WaitForUpdatesEx" | "WaitForUpdates" | "CheckForUpdates" => self.wait_for_updates().await,
            "CancelWaitForUpdates" => self.cancel_wait_for_updates(),
            "Rename_Task" => self.rename(),
            "Destroy_Task" => self.destroy(),
            "UnregisterVM" => self.unregister(),
            "PowerOnVM_Task" => self.power_on(),
            "PowerOffVM_Task" => self.power_off(),
            "ShutdownGuest" => self.shutdown_guest(),
            "CreateSnapshot_Task" | "CreateSnapshotEx_Task" => self.create_snapshot(),
            "RemoveSnapshot_Task" => self.remove_snapshot(),
            "RemoveAllSnapshots_Task" => self.remove_all_snapshots(),
            "ExportVm" => self.export_vm(),
            "ExportSnapshot" => self.export_snapshot(),
            "HttpNfcLeaseProgress" => self.lease_progress(),
            "HttpNfcLeaseComplete" => self.lease_complete(),
            "HttpNfcLeaseAbort" => self.lease_abort(),
            "HttpNfcLeaseSetManifestChecksumType" => self.lease_set_checksum_type(),
            "HttpNfcLeaseGetManifest" => self.lease_get_manifest(),
            "CreateDescriptor" => self.create_descriptor(),
            "HasPrivilegeOnEntities" => self.has_privilege_on_entities(),
            "HasUserPrivilegeOnEntities" => self.has_user_privilege_on_entities(),
            "FetchUserPrivilegeOnEntities" => self.fetch_user_privilege_on_entities(),
            _ => Err(Fault::not_supported()),
        }
    }

    /// What a client may do before it has logged in: calls of privilege System.Anonymous.
    fn is_open_to_all(&self) -> bool {
        match self.call.method.as_str() {
            "RetrieveServiceContent" | "Login" => true,
            "Fetch" => self.call.this.ty == "ServiceInstance",
            _ => false,
        }
    }

    fn arguments(&self) -> &Node {
        &self.call.arguments
    }

    /// An argument that must be a reference.
    fn reference(&self, name: &str) -> Result<MoRef, Fault> {
        self.arguments().reference(name).ok_or_else(|| Fault::invalid_argument(name))
    }

    /// The called object, which must be of this type.
    fn this(&self, ty: &str) -> Result<&MoRef, Fault> {
        let this = &self.call.this;
        if this.ty != ty {
            return Err(Fault::not_supported());
        }
        if self.reading(|reader| reader.exists(this)) { Ok(this) } else { Err(Fault::not_found(this)) }
    }

    fn session_key(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.key)
    }

    fn user(&self) -> &str {
        self.session.as_ref().map_or("", |session| &session.user)
    }

    fn reading<R>(&self, look: impl FnOnce(Reader<'_>) -> R) -> R {
        self.world
            .read(|state: &State| look(Reader { world: self.world, state, session: self.session_key() }))
    }

    fn require(&self, privilege: &str, object: &MoRef) -> Result<(), Fault> {
        if self.world.config.denied.contains(privilege) {
            return Err(Fault::no_permission(object, privilege));
        }
        Ok(())
    }
}
