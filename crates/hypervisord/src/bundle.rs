//! `hypervisord support-bundle FILE`: what somebody needs who is to find out, from afar, why something fails.
//!
//! Everything passes through the [scrubber](scrub) on its way into the archive: the configuration is masked where
//! it is printed, and the scrubber removes what found its way elsewhere. Nothing that a submitter gave along with
//! a job (its `metadata`) goes in at all.

mod archive;
mod collect;
mod scrub;

use std::path::Path;

use anyhow::Context;

use crate::config::{Config, Sources};
use crate::doctor::Diagnosis;
use archive::{Archive, Compression};
use scrub::Scrubber;

/// What stands at the head of a bundle.
const README: &str = "\
A support bundle of hypervisord.

doctor.txt, doctor.json   what `hypervisord doctor` finds
config.yaml               the configuration in effect, secrets masked
versions.json             program, system, machine
database.json             the database's version, soundness and size, and the newest jobs without their metadata
log.txt, journal.txt      the end of the log, from log_file or from the journal
daemon/                   what the running daemon says of itself, if one answers

Passwords, tokens, keys and signatures are replaced by ********. Names of VMs, hosts, accounts and directories are
not: look through the files before you hand them on.
";

/// Writes the bundle, and gives the names of the files in it.
///
/// # Errors
/// The file exists or cannot be written, or its name does not say how to compress it.
pub(crate) async fn write(sources: &Sources, file: &Path) -> anyhow::Result<Vec<String>> {
    let compression = Compression::of(file)?;
    anyhow::ensure!(!file.exists(), "{} exists already; name another file", file.display());
    let (config, _mistakes) = Config::inspect(sources);
    let scrubber = Scrubber::new(sources, config.as_ref());
    let diagnosis = Diagnosis::make(sources).await;

    let mut archive = Archive::default();
    archive.text("README.txt", README.to_owned());
    archive.text("doctor.txt", scrubber.text(&diagnosis.to_string()));
    archive.json("doctor.json", &scrubber.json(serde_json::to_value(&diagnosis)?));
    archive.json("versions.json", &collect::versions());
    if let Some(config) = &config {
        archive.text("config.yaml", scrubber.text(&config.to_yaml()));
        archive.json("database.json", &scrubber.json(collect::database(config).await));
        if let Some(log) = collect::log_file(config) {
            archive.text("log.txt", scrubber.text(&log));
        }
        for (name, answer) in collect::daemon(config).await {
            match serde_json::from_str(&answer) {
                Ok(json) => archive.json(&format!("daemon/{name}.json"), &scrubber.json(json)),
                Err(_) => archive.text(&format!("daemon/{name}.txt"), scrubber.text(&answer)),
            }
        }
    }
    if let Some(journal) = collect::journal().await {
        archive.text("journal.txt", scrubber.text(&journal));
    }
    let names = archive.names();
    archive.write(file, compression).await.with_context(|| format!("write {}", file.display()))?;
    Ok(names)
}
