//! Faults on demand: rules that strike calls and streams.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What a rule does when it strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// Stream: close the connection in the middle of the body, once `bytes` of it are sent.
    CutAfter {
        /// Bytes of body that still arrive.
        bytes: u64,
    },
    /// Stream: end the body properly once `bytes` are sent, as a proxy might.
    /// The host's manifest still describes the whole file.
    EndAfter {
        /// Bytes of body that arrive.
        bytes: u64,
    },
    /// Stream: send nothing more once `bytes` are sent, until the client or the lease goes.
    StallAt {
        /// Bytes of body that arrive.
        bytes: u64,
    },
    /// Stream: invert the bits of one byte of the body on its way. The host's
    /// manifest describes the right bytes.
    FlipByte {
        /// Offset of the byte in the body.
        offset: u64,
    },
    /// Stream: cap the rate.
    RateCap {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// Stream: the lease expires once `bytes` are sent. Method: it expires before the call.
    ExpireLease {
        /// Bytes of body that still arrive; not used for a method.
        #[serde(default)]
        bytes: u64,
    },
    /// Method: the session is gone and the call fails with NotAuthenticated.
    NotAuthenticated,
    /// Method or stream: answer with this HTTP status (400 to 599) and no SOAP.
    HttpStatus {
        /// The status, for instance 503.
        status: u16,
    },
    /// Method: answer this much later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Method: fail with a VIM fault and its fields, or begin a task that fails with it.
    DetailedFault {
        /// Name of the fault type, for instance `NoPermission`.
        fault: String,
        /// What it says to people; a standard text if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Names and values in the order of the schema. In the fields that the schema declares as references,
        /// such as `object`, the value is `Type:id`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<(String, String)>,
        /// The call of a `..._Task` method succeeds, and its task fails.
        #[serde(default)]
        in_task: bool,
    },
    /// Method: fail with a VIM fault without fields, for instance `TaskInProgress`.
    MethodFault {
        /// Name of the fault type.
        fault: String,
    },
}

impl FaultKind {
    /// A [`DetailedFault`](Self::DetailedFault) of the method itself, with a standard message.
    pub fn detailed(fault: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::DetailedFault {
            fault: fault.to_owned(),
            message: None,
            fields: fields.collect(),
            in_task: false,
        }
    }

    /// The same fault, in the task that the method begins.
    #[must_use]
    pub fn of_task(mut self) -> Self {
        if let Self::DetailedFault { in_task, .. } = &mut self {
            *in_task = true;
        }
        self
    }

    /// The name it has in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::CutAfter { .. } => "cut_after",
            Self::EndAfter { .. } => "end_after",
            Self::StallAt { .. } => "stall_at",
            Self::FlipByte { .. } => "flip_byte",
            Self::RateCap { .. } => "rate_cap",
            Self::ExpireLease { .. } => "expire_lease",
            Self::NotAuthenticated => "not_authenticated",
            Self::HttpStatus { .. } => "http_status",
            Self::Delay { .. } => "delay",
            Self::DetailedFault { .. } => "detailed_fault",
            Self::MethodFault { .. } => "method_fault",
        }
    }
}

/// What a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Target {
    /// Calls of one SOAP method; `"RetrievePropertiesEx"` in JSON.
    Method(String),
    /// Calls of any method but RetrieveServiceContent, Login and Logout; `"*"` in JSON.
    AnyMethod,
    /// NFC streams; `"stream"` in JSON.
    Stream,
}

impl From<String> for Target {
    fn from(name: String) -> Self {
        match name.as_str() {
            "*" => Self::AnyMethod,
            "stream" => Self::Stream,
            _ => Self::Method(name),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        match target {
            Target::Method(name) => name,
            Target::AnyMethod => "*".to_owned(),
            Target::Stream => "stream".to_owned(),
        }
    }
}

/// A rule: skip some matches, then strike some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What it applies to.
    pub target: Target,
    /// Only what concerns the machine of this name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// Only streams of this file, for instance `disk-1.vmdk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Matches to let through first.
    #[serde(default)]
    pub skip: u64,
    /// Matches to strike after those; without end if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
}

impl FaultRule {
    /// A rule for NFC streams that strikes once.
    pub fn stream(kind: FaultKind) -> Self {
        Self { target: Target::Stream, vm: None, file: None, skip: 0, count: Some(1), kind }
    }

    /// A rule for a SOAP method that strikes once.
    pub fn method(name: impl Into<String>, kind: FaultKind) -> Self {
        Self { target: Target::Method(name.into()), ..Self::stream(kind) }
    }

    /// A rule for any SOAP method (see [`Target::AnyMethod`]) that strikes once.
    pub fn any_method(kind: FaultKind) -> Self {
        Self { target: Target::AnyMethod, ..Self::stream(kind) }
    }

    /// Narrows it to a machine, by name or managed object id.
    #[must_use]
    pub fn vm(mut self, vm: impl Into<String>) -> Self {
        self.vm = Some(vm.into());
        self
    }

    /// Narrows it to a file, by its name on the lease.
    #[must_use]
    pub fn file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Lets this many matches through first.
    #[must_use]
    pub fn skip(mut self, matches: u64) -> Self {
        self.skip = matches;
        self
    }

    /// Strikes this many matches.
    #[must_use]
    pub fn times(mut self, matches: u64) -> Self {
        self.count = Some(matches);
        self
    }

    /// Strikes every match.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.count = None;
        self
    }
}

/// What a rule is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    /// The SOAP method, or `None` for a stream.
    pub(crate) method: Option<&'a str>,
    /// Name and id of the machine concerned, if one is.
    pub(crate) vm: Option<(&'a str, &'a str)>,
    pub(crate) file: Option<&'a str>,
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct FaultBook {
    rules: Mutex<Vec<FaultRule>>,
}

impl FaultBook {
    fn lock(&self) -> MutexGuard<'_, Vec<FaultRule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, rule: FaultRule) {
        self.lock().push(rule);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn rules(&self) -> Vec<FaultRule> {
        self.lock().clone()
    }

    /// The faults that strike now; uses up skips and counts.
    pub(crate) fn strike(&self, occasion: Occasion<'_>) -> Vec<FaultKind> {
        let mut rules = self.lock();
        let mut struck = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.matches(occasion)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if let Some(left) = &mut rule.count {
                *left = left.saturating_sub(1);
            }
            struck.push(rule.kind.clone());
        }
        rules.retain(|rule| rule.count != Some(0));
        struck
    }
}

impl FaultRule {
    fn matches(&self, occasion: Occasion<'_>) -> bool {
        let target = match (&self.target, occasion.method) {
            (Target::Stream, method) => method.is_none(),
            (Target::Method(wanted), method) => method == Some(wanted),
            (Target::AnyMethod, None) => false,
            (Target::AnyMethod, Some(method)) => {
                !matches!(method, "RetrieveServiceContent" | "Login" | "Logout")
            }
        };
        let vm = self
            .vm
            .as_deref()
            .is_none_or(|wanted| occasion.vm.is_some_and(|(name, id)| wanted == name || wanted == id));
        let file = self.file.as_deref().is_none_or(|wanted| occasion.file == Some(wanted));
        target && vm && file && self.count != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str) -> Occasion<'_> {
        Occasion { method: Some(method), vm: Some(("web-01", "vm-1")), file: None }
    }

    #[test]
    fn a_rule_skips_then_strikes_then_is_used_up() {
        let book = FaultBook::default();
        book.add(FaultRule::any_method(FaultKind::NotAuthenticated).skip(1).times(2));
        let struck: Vec<_> = (0..5).map(|_| book.strike(call("ExportVm")).len()).collect();
        assert_eq!(struck, [0, 1, 1, 0, 0]);
        assert!(book.rules().is_empty());
    }

    #[test]
    fn login_is_spared_by_a_rule_for_any_method_only() {
        let book = FaultBook::default();
        book.add(FaultRule::any_method(FaultKind::NotAuthenticated).always());
        assert!(book.strike(call("Login")).is_empty());
        book.add(FaultRule::method("Login", FaultKind::HttpStatus { status: 503 }));
        assert_eq!(book.strike(call("Login")), [FaultKind::HttpStatus { status: 503 }]);
    }

    #[test]
    fn filters_by_machine_and_file_must_hold_together() {
        let book = FaultBook::default();
        book.add(FaultRule::stream(FaultKind::CutAfter { bytes: 1 }).vm("vm-1").file("disk-1.vmdk"));
        let stream = |file| Occasion { method: None, vm: Some(("web-01", "vm-1")), file: Some(file) };
        assert!(book.strike(stream("disk-0.vmdk")).is_empty());
        assert!(book.strike(call("ExportVm")).is_empty());
        assert_eq!(book.strike(stream("disk-1.vmdk")).len(), 1);
    }

    #[test]
    fn json_is_flat_and_reads_back() {
        let json = r#"{"target":"stream","vm":"web-01","count":1,"kind":"cut_after","bytes":1000}"#;
        let rule: FaultRule = serde_json::from_str(json).unwrap();
        assert_eq!(rule, FaultRule::stream(FaultKind::CutAfter { bytes: 1000 }).vm("web-01"));
        let back: FaultRule = serde_json::from_str(&serde_json::to_string(&rule).unwrap()).unwrap();
        assert_eq!(back, rule);
    }
}
