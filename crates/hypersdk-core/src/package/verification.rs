//! What a check of a package found.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::job::VerifyMode;

/// What a check of a package found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When it was checked.
    pub at: DateTime<Utc>,
    /// How deeply.
    pub level: VerificationLevel,
    /// The first fault; `None` if it is whole.
    pub fault: Option<String>,
}

/// How deeply a package is checked; a later one finds whatever an earlier one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationLevel {
    /// Headers, descriptor and manifest.
    Headers,
    /// Every byte, by its digest, and how the disks are made up.
    Structure,
    /// In addition every grain is inflated.
    Full,
}

impl Verification {
    /// True if the package is whole.
    pub fn is_ok(&self) -> bool {
        self.fault.is_none()
    }

    /// Whether this takes the place of an earlier one. Headers alone prove nothing, and what a deep check found
    /// faulty is not whole because a shallower one finds nothing.
    pub fn supersedes(&self, earlier: Option<&Verification>) -> bool {
        match (self.is_ok(), earlier) {
            (false, _) => true,
            (true, _) if self.level == VerificationLevel::Headers => false,
            (true, Some(earlier)) if !earlier.is_ok() => self.level >= earlier.level,
            (true, _) => true,
        }
    }
}

impl VerificationLevel {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            VerificationLevel::Headers => "headers",
            VerificationLevel::Structure => "structure",
            VerificationLevel::Full => "full",
        }
    }
}

impl From<VerifyMode> for VerificationLevel {
    fn from(mode: VerifyMode) -> Self {
        match mode {
            VerifyMode::Structure => VerificationLevel::Structure,
            VerifyMode::Full => VerificationLevel::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stays_until_a_check_as_deep_finds_nothing() {
        use VerificationLevel::{Full, Headers, Structure};
        let check = |level, fault: Option<&str>| Verification {
            at: DateTime::UNIX_EPOCH,
            level,
            fault: fault.map(str::to_owned),
        };
        for (later, earlier, supersedes) in [
            (check(Structure, None), None, true),
            (check(Headers, None), None, false),
            (check(Headers, Some("x")), Some(check(Full, None)), true),
            (check(Structure, None), Some(check(Full, Some("x"))), false),
            (check(Full, None), Some(check(Full, Some("x"))), true),
            (check(Structure, None), Some(check(Headers, Some("x"))), true),
            (check(Structure, None), Some(check(Full, None)), true),
        ] {
            assert_eq!(later.supersedes(earlier.as_ref()), supersedes, "{later:?} after {earlier:?}");
        }
    }
}
