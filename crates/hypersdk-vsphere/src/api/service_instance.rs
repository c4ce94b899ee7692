//! `ServiceInstance`: the root of the API.

use super::method;
use crate::soap::{Element, MoRef};

/// The singletons of a server, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct ServiceContent {
    pub(crate) root_folder: MoRef,
    pub(crate) property_collector: MoRef,
    pub(crate) view_manager: Option<MoRef>,
    pub(crate) session_manager: Option<MoRef>,
    pub(crate) search_index: Option<MoRef>,
    pub(crate) ovf_manager: Option<MoRef>,
    pub(crate) authorization_manager: Option<MoRef>,
    pub(crate) custom_fields_manager: Option<MoRef>,
    /// It is a stand-alone host.
    pub(crate) is_host: bool,
    /// E.g. `VMware vCenter Server 8.0.2 build-22385739`.
    pub(crate) full_name: String,
}

impl ServiceContent {
    fn read(value: &Element) -> Result<Self, crate::soap::CallError> {
        let reference = |name| value.moref_at(name);
        Ok(ServiceContent {
            root_folder: value
                .child("rootFolder")
                .map(Element::moref)
                .unwrap_or_else(|| missing("rootFolder"))?,
            property_collector: value
                .child("propertyCollector")
                .map(Element::moref)
                .unwrap_or_else(|| missing("propertyCollector"))?,
            view_manager: reference("viewManager"),
            session_manager: reference("sessionManager"),
            search_index: reference("searchIndex"),
            ovf_manager: reference("ovfManager"),
            authorization_manager: reference("authorizationManager"),
            custom_fields_manager: reference("customFieldsManager"),
            is_host: value.text_at("about/apiType") == Some("HostAgent"),
            full_name: value.text_at("about/fullName").unwrap_or_default().to_owned(),
        })
    }
}

fn missing(name: &str) -> Result<MoRef, crate::soap::Malformed> {
    Err(crate::soap::Malformed::missing(name, "ServiceContent"))
}

/// `RetrieveServiceContent`: needs no login.
#[derive(Debug)]
pub(crate) struct RetrieveServiceContent {
    this: MoRef,
}

impl RetrieveServiceContent {
    pub(crate) fn new() -> Self {
        RetrieveServiceContent { this: service_instance() }
    }
}

method!(RetrieveServiceContent, "RetrieveServiceContent", idempotent: true, reply: ServiceContent,
    write: |_call, _out| {}, read: |reply| ServiceContent::read(&reply.value()?)?);

fn service_instance() -> MoRef {
    MoRef::new("ServiceInstance", "ServiceInstance")
}
