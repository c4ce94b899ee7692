//! The bill of materials: every crate in the binaries, in CycloneDX 1.6, from what cargo resolved and the lock file.
//!
//! It has no serial number and no time but `SOURCE_DATE_EPOCH`, so the same sources make the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::DateTime;
use clap::Args;
use serde_json::{Value, json};

use crate::dependencies::{Part, graph, metadata};
use crate::package::ROOT;

/// The programs that it describes.
const PROGRAMS: [&str; 2] = ["hypervisord", "hyperctl"];

/// Where the bill goes.
#[derive(Args)]
pub(crate) struct SbomArgs {
    /// The file; standard output if not given.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes it.
#[expect(clippy::print_stdout, reason = "it is what was asked for")]
pub(crate) fn sbom(args: &SbomArgs) -> Result<()> {
    let document = document()?;
    match &args.output {
        Some(path) => fs::write(path, document).with_context(|| format!("write {}", path.display())),
        None => {
            print!("{document}");
            Ok(())
        }
    }
}

/// The bill of this workspace, as resolved for this machine.
pub(crate) fn document() -> Result<String> {
    let graph = graph(&PROGRAMS, "normal")?;
    let known = metadata()?;
    let digests = digests(&fs::read_to_string(Path::new(ROOT).join("Cargo.lock"))?);
    let components: Vec<Value> = graph
        .keys()
        .map(|part| {
            let package = known.get(part).with_context(|| format!("cargo does not know {}", part.name))?;
            Ok(component(part, package, digests.get(part)))
        })
        .collect::<Result<_>>()?;
    let mut dependencies: Vec<Value> = graph
        .iter()
        .map(|(part, used)| json!({ "ref": reference(part), "dependsOn": used.iter().map(reference).collect::<Vec<_>>() }))
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let programs: Vec<String> =
        graph.keys().filter(|part| PROGRAMS.contains(&part.name.as_str())).map(reference).collect();
    dependencies.push(json!({ "ref": "hypersdk", "dependsOn": programs }));
    let mut about = json!({
        "component": { "type": "application", "bom-ref": "hypersdk", "name": "hypersdk", "version": version },
        "tools": { "components": [{ "type": "application", "name": "xtask", "version": version }] },
    });
    if let Some(time) = source_date() {
        about["timestamp"] = json!(time);
    }
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": about,
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn reference(part: &Part) -> String {
    format!("pkg:cargo/{}@{}", part.name, part.version)
}

fn component(part: &Part, package: &Value, digest: Option<&String>) -> Value {
    let mut component = json!({
        "type": if PROGRAMS.contains(&part.name.as_str()) { "application" } else { "library" },
        "bom-ref": reference(part),
        "name": part.name,
        "version": part.version,
        "purl": reference(part),
    });
    if let Some(text) = package["description"].as_str() {
        component["description"] = json!(text.trim());
    }
    if let Some(licence) = package["license"].as_str() {
        // The slash is how alternatives were written before SPDX expressions.
        let expression = licence.replace('/', " OR ").split_whitespace().collect::<Vec<_>>().join(" ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(digest) = digest {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": digest }]);
    }
    if let Some(address) = package["repository"].as_str().filter(|address| address.starts_with("https://")) {
        component["externalReferences"] = json!([{ "type": "vcs", "url": address }]);
    }
    component
}

/// The digests of the archives that crates came in.
fn digests(lock: &str) -> BTreeMap<Part, String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| {
            let part = Part { name: value(block, "name")?, version: value(block, "version")? };
            Some((part, value(block, "checksum")?))
        })
        .collect()
}

fn source_date() -> Option<String> {
    let seconds: i64 = std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()?;
    Some(DateTime::from_timestamp(seconds, 0)?.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn digests_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.3.0\"\ndependencies = [\n \"a\",\n]\n";
        let found = digests(lock);
        let a = Part { name: "a".to_owned(), version: "1.0.0".to_owned() };
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(a, "00ff".to_owned())]);
    }

    /// By the official schema, which comes with CycloneDX's own Python library.
    #[test]
    fn the_bill_is_valid_and_names_what_is_linked() {
        let document = document().unwrap();
        let bill: Value = serde_json::from_str(&document).unwrap();
        let components = bill["components"].as_array().unwrap();
        let names: Vec<&str> = components.iter().filter_map(|part| part["name"].as_str()).collect();
        for name in ["hypervisord", "hyperctl", "tokio", "rustls", "libsqlite3-sys"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(!names.contains(&"proptest"), "what only tests use is not in the binaries");
        let theirs = |part: &&Value| !part["name"].as_str().is_some_and(|name| name.starts_with("hyper"));
        for part in components.iter().filter(theirs) {
            assert!(part["hashes"].is_array() && part["licenses"].is_array(), "{part}");
        }
        let python = std::env::var("HYPERSDK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = "import sys\n\
            from cyclonedx.schema import SchemaVersion\n\
            from cyclonedx.validation.json import JsonStrictValidator\n\
            fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\n\
            sys.exit(str(fault) if fault else 0)";
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &document).unwrap();
        let output = Command::new(&python).args(["-c", script]).arg(file.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{python}: {said}\n(run by `cargo xtask test`, which installs it)");
    }
}
