//! Properties of the objects that are not inventory.

use chrono::Utc;

use super::Reader;
use crate::model::{Lease, LeasePhase, Session, Task, TaskPhase};
use crate::service::ids;
use crate::spec::Kind;
use crate::wire::{MoRef, Struct, Value};

/// AboutInfo of either kind of server.
pub(crate) fn about(kind: Kind) -> Struct {
    let (name, os, line, api, full, license) = match kind {
        Kind::VirtualCenter => (
            "VMware vCenter Server",
            "linux-x64",
            "vpx",
            "VirtualCenter",
            "VMware vCenter Server 8.0.3 build-24022515 (simulated)",
            "VMware VirtualCenter Server",
        ),
        Kind::Esxi => (
            "VMware ESXi",
            "vmnix-x86",
            "embeddedEsx",
            "HostAgent",
            "VMware ESXi 8.0.3 build-24022510 (simulated)",
            "VMware ESX Server",
        ),
    };
    Struct::new("AboutInfo")
        .with("name", name)
        .with("fullName", full)
        .with("vendor", "VMware, Inc.")
        .with("version", "8.0.3")
        .with("build", "24022515")
        .with("localeVersion", "INTL")
        .with("localeBuild", "000")
        .with("osType", os)
        .with("productLineId", line)
        .with("apiType", api)
        .with("apiVersion", "8.0.3.0")
        .with("instanceUuid", "9a4a6c3c-0000-4000-8000-76696d000001")
        .with("licenseProductName", license)
        .with("licenseProductVersion", "8.0")
}

impl Reader<'_> {
    pub(super) fn is_service(&self, object: &MoRef) -> bool {
        ids(self.world.config.kind).iter().any(|(_, known)| known == object)
            || (object.ty == "PropertyCollector"
                && self.state.collectors.contains_key(&(self.session.to_owned(), object.id.clone())))
    }

    pub(super) fn service(&self, object: &MoRef, name: &str) -> Option<Value> {
        if !self.is_service(object) {
            return None;
        }
        match (object.ty.as_str(), name) {
            ("ServiceInstance", "content") => Some(self.content().into()),
            ("ServiceInstance", "serverClock") => Some(Utc::now().into()),
            ("SessionManager", "currentSession") => {
                let session = self.state.sessions.values().find(|session| session.key == self.session)?;
                Some(user_session(session).into())
            }
            ("SessionManager", "sessionList") => {
                let mut all: Vec<&Session> = self.state.sessions.values().collect();
                all.sort_by(|a, b| a.key.cmp(&b.key));
                Some(Value::list("UserSession", all.into_iter().map(user_session)))
            }
            ("SessionManager", "defaultLocale") => Some("en".into()),
            ("OvfManager", "ovfExportOption") => Some(export_options()),
            ("OvfManager", "ovfImportOption") => Some(Value::Array("OvfOptionInfo", Vec::new())),
            ("ViewManager", "viewList") => {
                let own = self.state.views.iter().filter(|(_, view)| view.session == self.session);
                Some(Value::refs(own.map(|(id, _)| MoRef::new("ContainerView", id))))
            }
            ("TaskManager", "recentTask") => {
                Some(Value::refs(self.state.tasks.values().map(|task| task.moref.clone())))
            }
            _ => None,
        }
    }

    /// ServiceContent, which also RetrieveServiceContent returns.
    pub(crate) fn content(&self) -> Struct {
        let kind = self.world.config.kind;
        let content = Struct::new("ServiceContent").with("rootFolder", &self.state.root);
        ids(kind).iter().filter(|(field, _)| !field.is_empty()).fold(content, |content, (field, id)| {
            let content = content.with(field, id);
            if *field == "viewManager" { content.with("about", about(kind)) } else { content }
        })
    }

    pub(super) fn task(&self, moref: &MoRef, name: &str) -> Option<Value> {
        let task = self.state.tasks.get(&moref.id)?;
        (name == "info").then(|| task_info(task).into())
    }

    pub(super) fn lease(&self, moref: &MoRef, name: &str) -> Option<Value> {
        let lease = self.state.leases.get(&moref.id)?;
        match name {
            "state" => {
                let member = match lease.phase {
                    LeasePhase::Initializing => "initializing",
                    LeasePhase::Ready => "ready",
                    LeasePhase::Done => "done",
                    LeasePhase::Error(_) => "error",
                };
                Some(Value::Enum("HttpNfcLeaseState", member))
            }
            "initializeProgress" => {
                Some((if lease.phase == LeasePhase::Initializing { 50 } else { 100 }).into())
            }
            "transferProgress" => Some((lease.percent as i32).into()),
            "mode" => Some("pushOrGet".into()),
            "capabilities" => Some(
                Struct::new("HttpNfcLeaseCapabilities")
                    .with("pullModeSupported", true)
                    .with("corsSupported", false)
                    .into(),
            ),
            "error" => match &lease.phase {
                LeasePhase::Error(fault) => Some(fault.localized().into()),
                _ => None,
            },
            "info" if lease.phase == LeasePhase::Ready => Some(self.lease_info(lease).into()),
            _ => None,
        }
    }

    fn lease_info(&self, lease: &Lease) -> Struct {
        let (authority, thumbprint) = (&self.world.nfc.authority, &self.world.nfc.thumbprint);
        let path = match self.world.config.kind {
            Kind::VirtualCenter => "nfc",
            Kind::Esxi => "ha-nfc",
        };
        let urls = lease.files.iter().map(|file| {
            let target = file.target.replace('%', "%25").replace(' ', "%20");
            Struct::new("HttpNfcLeaseDeviceUrl")
                .with("key", &file.key)
                .with("importKey", &file.key)
                .with("url", format!("https://{authority}/{path}/{}/{target}", lease.ticket))
                .with("sslThumbprint", thumbprint)
                .with("disk", file.is_disk())
                .with("targetId", &file.target)
                .with("datastoreKey", &file.datastore)
                .maybe("fileSize", (!file.is_disk()).then_some(file.capacity as i64))
        });
        let kib = lease.files.iter().filter(|file| file.is_disk()).map(|file| file.populated / 1024);
        let mut datastores: Vec<&String> = lease.files.iter().map(|file| &file.datastore).collect();
        datastores.dedup();
        let hosts = datastores.into_iter().map(|datastore| {
            let host = Struct::new("HttpNfcLeaseHostInfo")
                .with("url", format!("https://{authority}/"))
                .with("sslThumbprint", thumbprint);
            Struct::new("HttpNfcLeaseDatastoreLeaseInfo")
                .with("datastoreKey", datastore)
                .with("hosts", Value::list("HttpNfcLeaseHostInfo", [host]))
        });
        let timeout = self.world.config.lease_timeout;
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        Struct::new("HttpNfcLeaseInfo")
            .with("lease", &lease.moref)
            .with("entity", &lease.vm)
            .with("deviceUrl", Value::list("HttpNfcLeaseDeviceUrl", urls))
            .with("totalDiskCapacityInKB", kib.sum::<u64>() as i64)
            .with("leaseTimeout", seconds as i32)
            .with("hostMap", Value::list("HttpNfcLeaseDatastoreLeaseInfo", hosts))
    }
}

/// UserSession, which also Login returns.
pub(crate) fn user_session(session: &Session) -> Struct {
    Struct::new("UserSession")
        .with("key", &session.key)
        .with("userName", &session.user)
        .with("fullName", &session.user)
        .with("loginTime", session.login)
        .with("lastActiveTime", session.active)
        .with("locale", "en")
        .with("messageLocale", "en")
        .with("extensionSession", false)
        .with("ipAddress", &session.address)
        .with("userAgent", &session.agent)
        .with("callCount", session.calls)
}

fn task_info(task: &Task) -> Struct {
    let (state, error, result) = match &task.phase {
        TaskPhase::Queued => ("queued", None, None),
        TaskPhase::Running => ("running", None, None),
        TaskPhase::Success(result) => ("success", None, result.clone()),
        TaskPhase::Error(fault) => ("error", Some(fault.localized()), None),
    };
    let running = matches!(task.phase, TaskPhase::Running);
    Struct::new("TaskInfo")
        .with("key", &task.moref.id)
        .with("task", &task.moref)
        .with("name", task.method)
        .with("descriptionId", task.description_id)
        .with("entity", &task.entity)
        .with("entityName", &task.entity_name)
        .with("state", Value::Enum("TaskInfoState", state))
        .with("cancelled", false)
        .with("cancelable", false)
        .maybe("error", error)
        .maybe("result", result.map(Value::any))
        .maybe("progress", running.then_some(task.progress))
        .with("reason", Struct::subtype("TaskReasonUser").with("userName", &task.user))
        .with("queueTime", task.queued)
        .maybe("startTime", task.started)
        .maybe("completeTime", task.completed)
        .with("eventChainId", 0)
}

fn export_options() -> Value {
    let options = [
        ("mac", "Include MAC addresses for network adapters"),
        ("uuid", "Include BIOS UUID"),
        ("extraconfig", "Include extra configuration"),
        ("nodevicesubtypes", "Leave out device subtypes"),
    ];
    let options = options.into_iter().map(|(option, words)| {
        let description =
            Struct::new("LocalizableMessage").with("key", format!("ovf.{option}")).with("message", words);
        Struct::new("OvfOptionInfo").with("option", option).with("description", description)
    });
    Value::list("OvfOptionInfo", options)
}
