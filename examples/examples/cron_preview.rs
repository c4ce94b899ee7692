//! What a cron expression means and when it comes, in a time zone, also around a change of the clock.
//!
//! `cargo run -p hypersdk-examples --example cron_preview [EXPRESSION [ZONE [AFTER]]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use hypersdk_sched::{Cron, Tz};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let expression = arguments.next().unwrap_or_else(|| "30 2 * * sat,sun".to_owned());
    let zone = arguments.next().unwrap_or_else(|| "Europe/Berlin".to_owned());
    let after = arguments.next().unwrap_or_else(|| "2026-03-27T00:00:00Z".to_owned());

    // The error names the field, what is wrong and what would be right.
    let cron: Cron = expression.parse()?;
    let zone: Tz = zone.parse().ok().with_context(|| format!("{zone:?} is no time zone"))?;
    let after: DateTime<Utc> = after.parse().context("the third argument is an instant in RFC 3339")?;

    println!("{cron} means: {} ({zone})", cron.describe());
    for time in cron.upcoming(zone, after).take(5) {
        println!("{}  {}", time.with_timezone(&zone).format("%a %F %T %Z"), time.to_rfc3339());
    }
    Ok(())
}
