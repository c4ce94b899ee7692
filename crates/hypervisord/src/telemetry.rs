//! Logs: to stderr or to a file that can be reopened, as text or JSON, at a level that can be changed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

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
}

impl LogFormat {
    /// The name in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// Checks a level.
pub(crate) fn parse_level(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let by_module = text.contains(['=', ',']);
    if by_module && EnvFilter::builder().parse(text).is_ok() {
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
    filter: reload::Handle<EnvFilter, Registry>,
    file: Option<LogFile>,
}

impl Telemetry {
    /// Installs logging for the whole process.
    ///
    /// # Errors
    /// The log file cannot be opened, or logging is installed already.
    pub fn install(config: &LogConfig) -> anyhow::Result<Telemetry> {
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
        let registry = tracing_subscriber::registry().with(filter);
        match config.format {
            LogFormat::Text => registry.with(lines).try_init()?,
            LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
        }
        Ok(Telemetry { filter: handle, file })
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

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    // sqlx logs every statement at debug, hyper every poll at trace: only when asked for by name. Names are compared by
    // their beginning, and without the colons `hyper` would be ours too.
    let quiet = "sqlx=warn,hyper::=info,h2=info,rustls=info,hyper_util=info,reqwest=info";
    Ok(EnvFilter::builder().parse(format!("{quiet},{level}"))?)
}

#[derive(Debug, Clone)]
struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> anyhow::Result<LogFile> {
        let file = Arc::new(Mutex::new(append_to(path)?));
        Ok(LogFile { path: path.to_owned(), file })
    }

    fn reopen(&self) -> anyhow::Result<()> {
        let new = append_to(&self.path)?;
        *self.file.lock().expect("no holder of this lock panics") = new;
        Ok(())
    }
}

fn append_to(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|error| anyhow::anyhow!("open log file {}: {error}", path.display()))
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().expect("no holder of this lock panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.lock().expect("no holder of this lock panics").flush()
    }
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

    #[test]
    fn a_reopened_file_is_a_new_one_under_the_old_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let mut log = LogFile::open(&path).unwrap();
        log.write_all(b"before\n").unwrap();
        std::fs::rename(&path, dir.path().join("daemon.log.1")).unwrap();
        log.reopen().unwrap();
        log.write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
    }
}
