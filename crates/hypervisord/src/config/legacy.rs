//! The configuration of version 0.2 in the words of this one.
//!
//! 0.2 wrote keys without underscores and read a bare number as nanoseconds; some of its keys were about its command
//! line alone.

use std::path::Path;
use std::time::Duration;

use figment::value::{Dict, Value};
use serde_json::{Map, Value as Json};

use super::keys::{self, Kind, Section};
use super::yaml::YamlFile;
use super::{Config, Sources, duration};

/// Keys of 0.2 that have no equal, and why none is needed.
const GONE: [(&str, &str); 4] = [
    ("chunksize", "streams need no size of pieces"),
    ("progressstyle", "hyperctl chooses by what it writes to"),
    ("showeta", "hyperctl always shows it"),
    ("refreshrate", "hyperctl chooses it"),
];

/// A number of nanoseconds below this was meant as seconds by whoever wrote it.
const FEWEST_NANOSECONDS: u64 = 1_000_000;

/// What became of a configuration.
#[derive(Debug)]
pub(crate) struct Converted {
    /// A file of this version.
    pub(crate) yaml: String,
    /// What is worth a look.
    pub(crate) remarks: Vec<String>,
}

/// Reads 0.2's configuration.
///
/// # Errors
/// It cannot be read, or is no YAML with keys and values.
pub(crate) fn convert(path: &Path) -> Result<Converted, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let (mut mistakes, mut spellings) = (Vec::new(), Vec::new());
    let file = YamlFile::parse(path.to_owned(), &text, &mut mistakes, &mut spellings);
    let Some(file) = file else {
        return Err(mistakes.first().map(ToString::to_string).unwrap_or_default());
    };
    let mut remarks = Vec::new();
    for mistake in mistakes {
        let name = mistake.key.to_ascii_lowercase().replace(['_', '-'], "");
        remarks.push(match GONE.iter().find(|(gone, _)| *gone == name) {
            Some((_, why)) => format!("{} is left out: {why}", mistake.key),
            None => format!("left out: {mistake}"),
        });
    }
    let values = section("", &keys::TOP, file.dict(), &mut remarks);
    let body = serde_saphyr::to_string(&values).map_err(|error| error.to_string())?;
    let body = if values.is_empty() { "" } else { body.as_str() };
    let yaml =
        format!("# Made from {shown} of version 0.2; docs/configuration.md explains every key.\n{body}");
    remarks.extend(what_is_wrong(&yaml)?);
    Ok(Converted { yaml, remarks })
}

/// The mistakes that this version finds in the result.
fn what_is_wrong(yaml: &str) -> Result<Vec<String>, String> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), yaml).map_err(|error| error.to_string())?;
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    let (_, mistakes) = Config::inspect(&sources);
    Ok(mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.key, mistake.message)).collect())
}

fn section(path: &str, section: &Section, dict: &Dict, remarks: &mut Vec<String>) -> Map<String, Json> {
    let mut map = Map::new();
    // In the order of the reference.
    for key in section.keys {
        let Some(value) = dict.get(key.name) else { continue };
        let path = keys::join(path, key.name);
        map.insert(key.name.to_owned(), converted(&path, &key.kind, value, remarks));
    }
    map
}

fn converted(path: &str, kind: &Kind, value: &Value, remarks: &mut Vec<String>) -> Json {
    match (kind, value) {
        (Kind::Section(below), Value::Dict(_, dict)) => section(path, below, dict, remarks).into(),
        (Kind::Entries(below), Value::Array(_, items)) => items
            .iter()
            .map(|item| match item {
                Value::Dict(_, dict) => section(path, below, dict, remarks).into(),
                other => converted(path, &Kind::Text, other, remarks),
            })
            .collect(),
        (_, Value::Array(_, items)) => {
            items.iter().map(|item| converted(path, &Kind::Text, item, remarks)).collect()
        }
        (_, Value::Dict(_, dict)) => dict
            .iter()
            .map(|(name, value)| (name.clone(), converted(path, &Kind::Text, value, remarks)))
            .collect::<Map<_, _>>()
            .into(),
        (kind, value) => scalar(path, kind, value.as_str().unwrap_or_default(), remarks),
    }
}

fn scalar(path: &str, kind: &Kind, text: &str, remarks: &mut Vec<String>) -> Json {
    match kind {
        Kind::Boolean if matches!(text, "true" | "false") => Json::Bool(text == "true"),
        Kind::Number(..) => text.parse::<u32>().map_or_else(|_| text.into(), Json::from),
        Kind::Duration => match text.parse::<u64>() {
            Ok(number) if number >= FEWEST_NANOSECONDS => {
                duration::display(Duration::from_nanos(number)).into()
            }
            Ok(0) | Err(_) => text.into(),
            Ok(number) => {
                remarks.push(format!(
                    "{path}: 0.2 took {number} for nanoseconds; it is {number}s now, as it must have been meant"
                ));
                format!("{number}s").into()
            }
        },
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_0_2_keeps_its_meaning() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("config.yaml");
        let text = "vcenterurl: vc.example.com\nusername: u\npassword: 007\ninsecure: true\ntimeout: 3600000000000\n\
                    retrydelay: 5\ndownloadworkers: 4\nchunksize: 33554432\nprogressstyle: bar\nloglevel: debug\n\
                    daemonaddr: localhost:8080\nconnectionpool:\n  enabled: true\n  maxconnections: 7\n  idletimeout: 5m\n\
                    webhooks:\n  - url: https://hooks.example.com/x\n    events: [job.completed]\n    timeout: 10s\n    \
                    headers: {X-Team: storage}\n";
        std::fs::write(&old, text).unwrap();
        let Converted { yaml, remarks } = convert(&old).unwrap();
        let new = directory.path().join("hypersdk.yaml");
        std::fs::write(&new, &yaml).unwrap();
        let config = Config::load(&Sources { file: Some(new), ..Sources::default() }).expect(&yaml);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(config.timeout, Some(Duration::from_secs(3600)));
        assert_eq!(config.retry_delay, Duration::from_secs(5));
        assert_eq!((config.download_workers, config.session_pool.max_connections), (4, 7));
        assert!(config.providers[0].insecure);
        assert_eq!(secrecy::ExposeSecret::expose_secret(&config.providers[0].password), "007");
        assert_eq!(config.webhooks.endpoints.len(), 1);
        assert_eq!(remarks.len(), 3, "{remarks:?}");
        for part in ["chunksize is left out", "progressstyle is left out", "retry_delay: 0.2 took 5"] {
            assert!(remarks.iter().any(|remark| remark.contains(part)), "{part}: {remarks:?}");
        }
    }

    #[test]
    fn what_this_version_refuses_is_said_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("config.yaml");
        std::fs::write(&old, "daemonaddr: 0.0.0.0:8080\nteleport: 1\n").unwrap();
        let remarks = convert(&old).unwrap().remarks;
        assert!(remarks.iter().any(|remark| remark.contains("teleport")), "{remarks:?}");
        assert!(
            remarks.iter().any(|remark| remark.contains("daemon_addr: is not a loopback")),
            "{remarks:?}"
        );
        assert!(convert(&directory.path().join("none")).unwrap_err().contains("cannot be read"));
    }
}
