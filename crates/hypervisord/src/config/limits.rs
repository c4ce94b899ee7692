//! How politely exports behave towards what they share with others.

use hypersdk_export::{Caps, InvalidTimetable, Timetable};

use super::keys;
use super::read::{Reader, Values};

/// Caps on exports at one time; zero is no cap.
pub(super) fn caps(reader: &mut Reader<'_>, top: &Values) -> Caps {
    let values = reader.below(top, "limits", &keys::LIMITS);
    let mut cap = |key| reader.number(&values, key) as usize;
    Caps { per_host: cap("per_host"), per_datastore: cap("per_datastore"), per_provider: cap("per_vcenter") }
}

/// The rate of all transfers together.
pub(super) fn bandwidth(text: &str) -> Result<Timetable, String> {
    text.parse().map_err(|error: InvalidTimetable| error.to_string())
}
