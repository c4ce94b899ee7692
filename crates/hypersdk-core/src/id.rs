//! Identifiers, parsed once at the edge and trusted afterwards.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {text:?}: use 1 to {max} of the characters A-Z a-z 0-9 . _ - and start with a letter or digit"
)]
pub struct InvalidId {
    what: &'static str,
    text: String,
    max: usize,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let legal = !text.is_empty()
                    && text.len() <= $max
                    && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
                if legal {
                    Ok($name(text.to_owned()))
                } else {
                    Err(InvalidId { what: $what, text: text.to_owned(), max: $max })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// A job's identifier: the submitter's own, or one made by [`JobId::generate`].
    JobId,
    "job id",
    128
);
text_id!(
    /// A schedule's identifier, e.g. `daily-backup`.
    ScheduleId,
    "schedule id",
    64
);
text_id!(
    /// The name of a configured provider instance, e.g. `default` or `vc-berlin`.
    ProviderName,
    "provider name",
    64
);

impl JobId {
    /// A new identifier whose text sorts by time of creation.
    pub fn generate() -> Self {
        JobId(format!("job-{}", uuid::Uuid::now_v7()))
    }
}

/// The provider's own identifier of a VM, e.g. the managed object id `vm-42`. Opaque to everybody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VmId(String);

impl VmId {
    /// Wraps the provider's text.
    pub fn new(text: impl Into<String>) -> Self {
        VmId(text.into())
    }

    /// The provider's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A position in the event log. Positions rise and are never used twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Before the first event.
    pub const START: Seq = Seq(0);

    pub(crate) fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_leave_a_directory_is_refused() {
        for text in ["", "..", "../x", "a/b", ".hidden", "a b", "ü", &"x".repeat(129)] {
            assert!(text.parse::<JobId>().is_err(), "{text:?}");
        }
        assert_eq!("nightly-1.prod_A".parse::<JobId>().unwrap().as_str(), "nightly-1.prod_A");
    }

    #[test]
    fn generated_ids_parse() {
        let id = JobId::generate();
        assert_eq!(id.as_str().parse::<JobId>().unwrap(), id);
    }
}
