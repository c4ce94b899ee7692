//! Names of packages that a schedule makes: each run needs one of its own.

use chrono::NaiveDateTime;

/// The longest name of a package in bytes.
const LONGEST: usize = 60;

/// A name with places to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageName(String);

impl PackageName {
    /// What a template means: its own pattern, else one that differs from run to run, or the VM's name alone
    /// if packages are to be replaced.
    pub(crate) fn of(pattern: Option<&str>, overwrite: bool) -> Result<Option<Self>, String> {
        match pattern {
            None if overwrite => Ok(None),
            None => Ok(Some(PackageName("{vm}-{date}-{time}".to_owned()))),
            Some(pattern) => {
                let mut rest = pattern;
                while let Some((_, after)) = rest.split_once('{') {
                    let known = after
                        .split_once('}')
                        .filter(|(name, _)| ["vm", "date", "time", "schedule"].contains(name));
                    let Some((_, behind)) = known else {
                        return Err(
                            "has a { with no known word in it; use {vm}, {date}, {time} and {schedule}"
                                .to_owned(),
                        );
                    };
                    rest = behind;
                }
                Ok(Some(PackageName(pattern.to_owned())))
            }
        }
    }

    /// The name for a VM, at what the schedule's clock shows.
    pub(crate) fn for_vm(&self, vm: &str, schedule: &str, planned: NaiveDateTime) -> String {
        let fill = |vm: &str| {
            self.0
                .replace("{date}", &planned.format("%Y%m%d").to_string())
                .replace("{time}", &planned.format("%H%M%S").to_string())
                .replace("{schedule}", schedule)
                .replace("{vm}", vm)
        };
        let vm: String = vm.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let vm = vm.trim_matches([' ', '.']);
        let excess = fill(vm).len().saturating_sub(LONGEST);
        let mut end = vm.len().saturating_sub(excess);
        while !vm.is_char_boundary(end) {
            end -= 1;
        }
        fill(&vm[..end])
    }
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(pattern: Option<&str>, vm: &str) -> String {
        let planned = "2026-11-24T02:00:05".parse().unwrap();
        PackageName::of(pattern, false).unwrap().unwrap().for_vm(vm, "nightly", planned)
    }

    #[test]
    fn a_run_has_a_name_of_its_own_unless_it_replaces() {
        assert_eq!(name(None, "web01"), "web01-20261124-020005");
        assert_eq!(name(Some("{schedule}.{date}.{vm}"), "a/b"), "nightly.20261124.a_b");
        assert_eq!(PackageName::of(None, true), Ok(None));
        for wrong in ["{vm", "{VM}", "x{}", "{vm}{day}"] {
            assert!(PackageName::of(Some(wrong), false).unwrap_err().contains("{vm}"), "{wrong}");
        }
    }

    #[test]
    fn a_long_name_is_cut_in_the_vms_part() {
        let long = name(None, &"ü".repeat(100));
        assert!(long.len() <= 60 && long.ends_with("-20261124-020005"), "{long}");
    }
}
