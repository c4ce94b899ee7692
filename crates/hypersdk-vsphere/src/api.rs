//! The calls of the vSphere API that are used, one file a managed object. Names and wire order are those of
//! the vSphere Web Services API reference; each method is a type that implements
//! [`Call`](crate::soap::Call).

mod authorization_manager;
mod http_nfc_lease;
mod ovf_manager;
mod property_collector;
mod search_index;
mod service_instance;
mod session_manager;
mod view_manager;
mod virtual_machine;
mod virtual_machine_snapshot;

pub(crate) use authorization_manager::HasPrivilegeOnEntities;
pub(crate) use http_nfc_lease::{
    DeviceUrl, HttpNfcLeaseAbort, HttpNfcLeaseComplete, HttpNfcLeaseGetManifest, HttpNfcLeaseProgress,
    HttpNfcLeaseSetManifestChecksumType, LeaseInfo, ManifestEntry,
};
pub(crate) use ovf_manager::{CreateDescriptor, OvfFile};
pub(crate) use property_collector::{
    ContinueRetrievePropertiesEx, CreateFilter, CreatePropertyCollector, DestroyPropertyCollector,
    FilterSpec, ObjectContent, ObjectSpec, ObjectUpdate, PropertySpec, RetrievePropertiesEx, Select,
    Traversal, UnreadUpdates, WaitForUnreadUpdates, WaitForUpdatesEx,
};
pub(crate) use search_index::{FindByInventoryPath, FindByUuid};
pub(crate) use service_instance::{RetrieveServiceContent, ServiceContent};
pub(crate) use session_manager::{Login, Logout};
pub(crate) use view_manager::{CreateContainerView, DestroyView};
pub(crate) use virtual_machine::{
    CreateSnapshotTask, ExportVm, PowerOffVmTask, PowerOnVmTask, ShutdownGuest,
};
pub(crate) use virtual_machine_snapshot::{ExportSnapshot, RemoveSnapshotTask};

/// Implements [`Call`](crate::soap::Call) for a method: its wire name, what follows from it, its reply, and
/// how parameters are written and the reply is read.
macro_rules! method {
    (
        $type:ident, $name:literal, idempotent: $idempotent:literal $(, session_bound: $bound:literal)?,
        reply: $reply:ty, write: |$this:ident, $out:ident| $write:block, read: |$reader:ident| $read:expr
    ) => {
        impl crate::soap::Call for $type {
            const METHOD: &'static str = $name;
            const IDEMPOTENT: bool = $idempotent;
            $(const SESSION_BOUND: bool = $bound;)?
            type Reply = $reply;

            fn this(&self) -> &crate::soap::MoRef {
                &self.this
            }

            fn write(&self, $out: &mut crate::soap::Writer) {
                let $this = self;
                $write
            }

            fn read(&self, document: String) -> Result<$reply, crate::soap::CallError> {
                let $reader = &mut crate::soap::ReplyReader::open(&document)?;
                Ok($read)
            }
        }
    };
}
pub(crate) use method;
