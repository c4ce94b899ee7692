//! The clock: schedules fire by it, certificates are valid by it.

use std::path::Path;

use chrono::{DateTime, Datelike, Utc};

use super::Finding;

/// No version of this program ran before.
const FIRST_YEAR: i32 = 2025;
/// Where services that keep the clock right have their state.
const SERVICES: [&str; 4] =
    ["/run/chrony", "/run/chronyd.pid", "/run/ntpd.pid", "/run/systemd/timesync/synchronized"];

pub(super) fn check() -> Vec<Finding> {
    let now = Utc::now();
    vec![sane(now), kept(SERVICES.iter().any(|path| Path::new(path).exists()))]
}

fn sane(now: DateTime<Utc>) -> Finding {
    let message = format!("it is {} UTC", now.format("%Y-%m-%d %H:%M:%S"));
    if now.year() < FIRST_YEAR {
        return Finding::fail("clock", message, "set the clock: certificates will look not yet valid");
    }
    Finding::ok("clock", message)
}

fn kept(synchronized: bool) -> Finding {
    match synchronized {
        true => Finding::ok("time service", "something keeps the clock right"),
        false => Finding::warn(
            "time service",
            "nothing that keeps the clock right was found (chrony, ntpd, systemd-timesyncd)",
            "run one of them; in a container or a VM, make sure that the host does",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Grade;

    #[test]
    fn a_clock_that_lost_its_battery_is_noticed() {
        assert_eq!(sane(DateTime::UNIX_EPOCH).grade, Grade::Fail);
        assert_eq!(sane(Utc::now()).grade, Grade::Ok);
        assert_eq!(kept(false).grade, Grade::Warn);
    }
}
