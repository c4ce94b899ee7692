//! What a process has used, from `/proc` (proc(5)).

use std::fs;
use std::ops::Sub;

use anyhow::{Context, Result};

/// CPU time and writes up to a moment, or between two.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Seconds in user mode.
    pub(super) user: f64,
    /// Seconds in the kernel.
    pub(super) system: f64,
    /// Bytes sent to the storage layer, counted when a page gets dirty.
    pub(super) written: u64,
}

impl Usage {
    /// Of a process: its id, or `self`.
    pub(super) fn of(process: &str) -> Result<Self> {
        let fields = stat(process)?;
        Ok(Self { user: fields[0], system: fields[1], written: written(process)? })
    }

    /// Of this process's children that have ended; the writes include this process's own.
    pub(super) fn of_children() -> Result<Self> {
        let fields = stat("self")?;
        Ok(Self { user: fields[2], system: fields[3], written: written("self")? })
    }
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
            written: self.written - before.written,
        }
    }
}

/// The largest resident set a process ever had, in bytes (VmHWM).
pub(super) fn peak(process: &str) -> Result<u64> {
    Ok(number(&format!("/proc/{process}/status"), "VmHWM:")? << 10)
}

/// The resident set of a process, in bytes (VmRSS).
pub(super) fn resident(process: &str) -> Result<u64> {
    Ok(number(&format!("/proc/{process}/status"), "VmRSS:")? << 10)
}

fn written(process: &str) -> Result<u64> {
    number(&format!("/proc/{process}/io"), "write_bytes:")
}

fn number(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).with_context(|| format!("{path} has no {name}"))
}

/// Fields 14 to 17: user, system, children's user, children's system; in seconds.
fn stat(process: &str) -> Result<[f64; 4]> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The second field, in parentheses, may hold anything.
    let rest = text.rsplit_once(") ").with_context(|| format!("{path} reads otherwise"))?.1;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut fields = [0.0; 4];
    for (field, word) in fields.iter_mut().zip(rest.split(' ').skip(11)) {
        *field = word.parse::<f64>()? / ticks;
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let used = Usage::of("self").unwrap();
        assert!(used.user >= 0.0 && used.system >= 0.0);
        assert!(peak("self").unwrap() > 1 << 20);
    }
}
