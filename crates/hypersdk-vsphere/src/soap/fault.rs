//! Faults: what a server says when it will not.

use std::fmt;

use hypersdk_core::{Error, RetryHint};

use super::element::Element;
use super::fault_rules::{Retry, rule_for};

/// A fault the server raised, typed. Found as the [source](std::error::Error::source) of the
/// [`hypersdk_core::Error`] it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    type_name: String,
    message: String,
    details: Vec<(String, String)>,
}

/// What is to be done about a fault, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// Nothing but to try again: it passes, or is made good on the way.
    Retry,
    /// Somebody else holds the object, or a host is away: wait, then try again.
    Wait,
    /// Nothing changes until a person changes something.
    Operator,
    /// A defect, in this program or in the server.
    Bug,
}

/// The faults an export meets, by what they mean to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The session is gone.
    NotAuthenticated,
    /// User name or password were refused.
    InvalidLogin,
    /// The account lacks a privilege on an object.
    NoPermission,
    /// The VM's power state forbids it.
    InvalidPowerState,
    /// The object's state forbids it: a lease that is done, a VM in transition.
    InvalidState,
    /// Another task holds the object.
    TaskInProgress,
    /// A disk or file is locked by somebody.
    FileLocked,
    /// A file is not there.
    FileNotFound,
    /// A file cannot be used for another reason.
    FileFault,
    /// The object is not, or no longer, there.
    ManagedObjectNotFound,
    /// The server's time for something ran out, a lease for instance.
    Timedout,
    /// The host is away.
    HostUnavailable,
    /// The VM waits for an answer.
    QuestionPending,
    /// The server's storage is full.
    NoDiskSpace,
    /// The edition or licence forbids it.
    Restricted,
    /// The server cannot do it at all.
    NotSupported,
    /// The guest could not be quiesced.
    Quiesce,
    /// A device cannot be exported.
    Export,
    /// Encryption or a vTPM forbids it.
    Encrypted,
    /// A certificate is not the expected one.
    SslVerify,
    /// The request is wrong in a way the server names.
    InvalidArgument,
    /// Somebody cancelled it at the server.
    RequestCanceled,
    /// Any other.
    Other,
}

impl Fault {
    pub(crate) fn new(type_name: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { type_name: type_name.into(), message: message.into(), details: Vec::new() }
    }

    /// A `soapenv:Fault` element.
    pub(crate) fn from_soap(element: &Element) -> Self {
        let message = element.text_at("faultstring").unwrap_or_default();
        match element.child("detail").and_then(|detail| detail.children.first()) {
            Some(detail) => Fault::from_detail(detail, message),
            None => Fault::new(element.text_at("faultcode").unwrap_or("Fault"), message.trim()),
        }
    }

    /// A `LocalizedMethodFault`, as tasks and leases hold it.
    pub(crate) fn from_localized(element: &Element) -> Self {
        let message = element.text_at("localizedMessage").unwrap_or_default();
        match element.child("fault") {
            Some(fault) => Fault::from_detail(fault, message),
            None => Fault::new("MethodFault", message.trim()),
        }
    }

    fn from_detail(element: &Element, message: &str) -> Self {
        // Some servers leave xsi:type out in a SOAP fault; the element is then named `<Type>Fault`.
        let by_name = || element.name.strip_suffix("Fault").unwrap_or(&element.name).to_owned();
        let type_name = element.xsi_type.as_deref().map_or_else(by_name, str::to_owned);
        let details = element
            .children
            .iter()
            .filter(|child| child.children.is_empty() && !child.text.is_empty())
            .map(|child| (child.name.to_string(), child.text.clone()))
            .collect();
        Fault { type_name, message: message.trim().to_owned(), details }
    }

    /// What it means.
    pub fn kind(&self) -> FaultKind {
        rule_for(&self.type_name).kind
    }

    /// What is to be done about it.
    pub fn class(&self) -> FaultClass {
        rule_for(&self.type_name).class
    }

    /// Its type in the vSphere API, e.g. `NoPermission`.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The server's own words, perhaps empty.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A plain field of it, e.g. `privilegeId`.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The core error it becomes, with retry hint and advice.
    pub(crate) fn into_error(self, operation: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        let rule = rule_for(&self.type_name);
        let retry = match rule.retry {
            Retry::Never => RetryHint::Never,
            Retry::Backoff => RetryHint::Backoff,
            Retry::After(seconds) => RetryHint::After(std::time::Duration::from_secs(seconds)),
        };
        let error = Error::new(rule.error, operation, self.to_string()).with_retry(retry);
        let error = if rule.advice.is_empty() { error } else { error.with_advice(rule.advice) };
        error.with_source(self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.type_name)?;
        if let Some(privilege) = self.detail("privilegeId") {
            write!(f, " ({privilege}")?;
            if let Some(object) = self.detail("object") {
                write!(f, " on {object}")?;
            }
            f.write_str(")")?;
        } else {
            const TOLD: [&str; 14] = [
                "object",
                "obj",
                "file",
                "datastore",
                "diskName",
                "filename",
                "deviceName",
                "failureReason",
                "name",
                "existingState",
                "text",
                "host",
                "thumbprint",
                "invalidProperty",
            ];
            let told: Vec<&str> = TOLD.into_iter().filter_map(|field| self.detail(field)).collect();
            if !told.is_empty() {
                write!(f, " ({})", told.join(", "))?;
            }
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
