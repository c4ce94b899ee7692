//! What a verification means to whoever asked for it.

use hypersdk_ova::verify::{FaultClass, Level, Report};

use crate::cli::VerifyLevel;

/// The exit code of a package that cannot be read at all.
pub(crate) const UNREADABLE: u8 = 2;

impl From<VerifyLevel> for Level {
    fn from(level: VerifyLevel) -> Self {
        match level {
            VerifyLevel::Headers => Level::Headers,
            VerifyLevel::Structure => Level::Structure,
            VerifyLevel::Full => Level::Full,
        }
    }
}

/// 0 for a whole package, else a code for what tells most about its faults.
pub(crate) fn exit_code(report: &Report) -> u8 {
    match report.worst() {
        None => 0,
        Some(FaultClass::Truncated) => 10,
        Some(FaultClass::Archive) => 11,
        Some(FaultClass::Unsafe) => 12,
        Some(FaultClass::Descriptor) => 13,
        Some(FaultClass::Manifest) => 14,
        Some(FaultClass::Missing) => 15,
        Some(FaultClass::Size) => 16,
        Some(FaultClass::Digest) => 17,
        Some(FaultClass::Signature) => 18,
        Some(FaultClass::Disk) => 19,
    }
}
