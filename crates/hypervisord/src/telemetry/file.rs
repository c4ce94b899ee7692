//! A log file that can be opened anew while others write to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<LogFile> {
        let file = Arc::new(Mutex::new(append_to(path)?));
        Ok(LogFile { path: path.to_owned(), file })
    }

    pub(super) fn reopen(&self) -> anyhow::Result<()> {
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
