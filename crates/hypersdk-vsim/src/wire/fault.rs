use std::borrow::Cow;

use super::value::{MoRef, Struct, Value};

/// A VIM fault: a type name, a message for people, and the type's fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) fields: Vec<(Cow<'static, str>, Value)>,
}

impl Fault {
    pub(crate) fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), fields: Vec::new() }
    }

    fn with(mut self, field: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.fields.push((field.into(), value.into()));
        self
    }

    pub(crate) fn invalid_login() -> Self {
        Self::new("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")
    }

    pub(crate) fn not_authenticated(object: &MoRef) -> Self {
        Self::new("NotAuthenticated", "The session is not authenticated.")
            .with("object", object)
            .with("privilegeId", "System.View")
    }

    pub(crate) fn no_permission(object: &MoRef, privilege: &str) -> Self {
        Self::new("NoPermission", "Permission to perform this operation was denied.")
            .with("object", object)
            .with("privilegeId", privilege)
    }

    pub(crate) fn not_supported() -> Self {
        Self::new("NotSupported", "The operation is not supported on the object.")
    }

    pub(crate) fn invalid_request(why: impl Into<String>) -> Self {
        Self::new("InvalidRequest", why)
    }

    pub(crate) fn invalid_argument(property: &str) -> Self {
        Self::new("InvalidArgument", format!("A specified parameter was not correct: {property}"))
            .with("invalidProperty", property)
    }

    pub(crate) fn invalid_property(name: &str) -> Self {
        Self::new("InvalidProperty", format!("The property {name} does not exist.")).with("name", name)
    }

    pub(crate) fn not_found(object: &MoRef) -> Self {
        Self::new(
            "ManagedObjectNotFound",
            format!(
                "The object '{}:{}' has already been deleted or has not been completely created",
                object.ty, object.id
            ),
        )
        .with("obj", object)
    }

    pub(crate) fn invalid_state() -> Self {
        Self::new("InvalidState", "The operation is not allowed in the current state.")
    }

    /// Members of VirtualMachinePowerState.
    pub(crate) fn invalid_power_state(requested: &'static str, existing: &'static str) -> Self {
        let message =
            format!("The attempted operation cannot be performed in the current state ({existing}).");
        Self::new("InvalidPowerState", message)
            .with("requestedState", Value::Enum("VirtualMachinePowerState", requested))
            .with("existingState", Value::Enum("VirtualMachinePowerState", existing))
    }

    pub(crate) fn task_in_progress(task: &MoRef) -> Self {
        Self::new("TaskInProgress", "The operation is not allowed: another task is in progress.")
            .with("task", task)
    }

    pub(crate) fn duplicate_name(name: &str, object: &MoRef) -> Self {
        Self::new("DuplicateName", format!("The name '{name}' already exists."))
            .with("name", name)
            .with("object", object)
    }

    pub(crate) fn timed_out() -> Self {
        Self::new("Timedout", "Operation timed out.")
    }

    pub(crate) fn request_canceled() -> Self {
        Self::new("RequestCanceled", "The task was canceled by a user.")
    }

    /// A device that no OVF descriptor can hold.
    pub(crate) fn unsupported_device(device: &str) -> Self {
        Self::new("OvfUnsupportedDeviceExport", format!("The device {device} cannot be exported."))
            .with("failureReason", device)
    }

    /// A fault of the OVF family that names an attribute of an element.
    pub(crate) fn ovf_attribute(
        name: &'static str,
        element: &str,
        attribute: &str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(name, message)
            .with("lineNumber", 0)
            .with("elementName", element)
            .with("attributeName", attribute)
    }

    /// With a field written as text; `Type:id` where the schema wants a reference.
    pub(crate) fn with_text(self, field: String, text: String) -> Self {
        const REFERENCES: [&str; 7] = ["object", "obj", "host", "vm", "task", "entity", "datastore"];
        match text.split_once(':') {
            Some((ty, id)) if REFERENCES.contains(&field.as_str()) => self.with(field, MoRef::new(ty, id)),
            _ => self.with(field, text),
        }
    }

    pub(crate) fn with_value(self, value: String) -> Self {
        self.with("value", value)
    }

    /// The fault as a field of another object: LocalizedMethodFault.
    pub(crate) fn localized(&self) -> Struct {
        Struct::new("LocalizedMethodFault")
            .with("fault", Value::Fault(Box::new(self.clone())))
            .with("localizedMessage", &self.message)
    }
}
