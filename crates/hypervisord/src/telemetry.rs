//! What the daemon tells of its own work: logs, as text or JSON to stderr or to a file that can be reopened, or as entries
//! of the journal, at a level that can be changed; and, in a build with the feature `otlp`, traces for an OpenTelemetry collector.

mod file;
#[cfg_attr(not(feature = "otlp"), path = "telemetry/no_traces.rs")]
mod traces;

use std::io;
use std::path::PathBuf;

use anyhow::Context;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};
use url::Url;

use file::LogFile;
pub use traces::Traces;

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// How to log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or levels by module such as `info,hypersdk_vsphere=debug`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
    /// The file; stderr if absent.
    pub file: Option<PathBuf>,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Entries of systemd's journal with a field for each value, rather than lines.
    Journald,
}

impl LogFormat {
    /// The name in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
            LogFormat::Journald => "journald",
        }
    }
}

/// Where the traces of jobs go, and how many of them.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceConfig {
    /// The collector's OTLP receiver over HTTP, with the path that takes traces.
    pub endpoint: Url,
    /// The part of all traces that is sent, from 0 to 1.
    pub sample: f64,
}

/// True if this build can send traces.
pub(crate) const CAN_TRACE: bool = cfg!(feature = "otlp");

/// Checks a level.
pub(crate) fn parse_level(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let by_module = text.contains(['=', ',']);
    if by_module && text.parse::<Targets>().is_ok() {
        return Ok(text.to_owned());
    }
    let known = LEVELS.join(", ");
    Err(match crate::config::nearest(text, LEVELS) {
        Some(level) => format!("{text:?} is not one of {known}; did you mean {level}?"),
        None => format!("{text:?} is not one of {known}"),
    })
}

/// The installed logging.
#[derive(Debug)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
    file: Option<LogFile>,
    traces: Option<Traces>,
}

impl Telemetry {
    /// Installs logs, and traces if they are wanted, for the whole process.
    ///
    /// Traces have their own choice of spans: those of our own code down to the single call, whatever the log's level.
    ///
    /// # Errors
    /// The log file cannot be opened, the sender of traces cannot be built, or logging is installed already.
    pub fn install(config: &LogConfig, traces: Option<&TraceConfig>) -> anyhow::Result<Telemetry> {
        let (filter, handle) = reload::Layer::new(filter(&config.level)?);
        let file = config.file.as_deref().map(LogFile::open).transpose()?;
        let writer = match &file {
            Some(file) => {
                let file = file.clone();
                BoxMakeWriter::new(move || file.clone())
            }
            None => BoxMakeWriter::new(io::stderr),
        };
        let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
        let lines = match config.format {
            LogFormat::Text => lines.with_filter(filter).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
            LogFormat::Journald => journal()?.with_filter(filter).boxed(),
        };
        let registry = tracing_subscriber::registry().with(lines);
        let traces = traces.map(Traces::to).transpose()?;
        registry.with(traces.as_ref().map(Traces::layer)).try_init()?;
        Ok(Telemetry { filter: handle, file, traces })
    }

    /// What sends the last spans when it is dropped. It is to be kept until the daemon has stopped, and dropped outside
    /// of the runtime, since it waits for the collector's answer.
    pub fn take_traces(&mut self) -> Option<Traces> {
        self.traces.take()
    }

    /// Opens the log file anew, after something moved it away.
    ///
    /// # Errors
    /// The file cannot be opened; the old one stays in use then.
    pub fn reopen(&self) -> anyhow::Result<()> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }

    /// Changes the level.
    ///
    /// # Errors
    /// It is not a level.
    pub fn set_level(&self, level: &str) -> anyhow::Result<()> {
        Ok(self.filter.reload(filter(level)?)?)
    }
}

fn journal() -> anyhow::Result<tracing_journald::Layer> {
    let layer = tracing_journald::layer().context(
        "log_format: journald: no journal listens at /run/systemd/journal/socket; without systemd use text or json",
    )?;
    Ok(layer.with_syslog_identifier("hypervisord".to_owned()).with_field_prefix(Some("HYPERSDK".to_owned())))
}

fn filter(level: &str) -> anyhow::Result<Targets> {
    // sqlx logs every statement at debug, hyper every poll at trace: only when asked for by name. Names are compared by
    // their beginning, and without the colons `hyper` would be ours too.
    let quiet = "sqlx=warn,hyper::=info,h2=info,rustls=info,hyper_util=info,reqwest=info";
    Ok(format!("{quiet},{level}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_names_modules() {
        assert_eq!(parse_level("DEBUG").unwrap(), "debug");
        assert_eq!(parse_level("info,hypersdk_vsphere=debug").unwrap(), "info,hypersdk_vsphere=debug");
        assert!(parse_level("inof").unwrap_err().contains("did you mean info?"));
    }
}
