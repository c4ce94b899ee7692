//! The archive: a few texts, made whole in memory and put in place in one rename, for its owner's eyes alone.

use std::path::Path;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_tar::{Builder, EntryType, Header};

/// How the archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// As the file's name says.
    pub(super) fn of(file: &Path) -> anyhow::Result<Self> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            name if name.ends_with(".tar.zst") => Ok(Compression::Zstd),
            name if name.ends_with(".tar.gz") || name.ends_with(".tgz") => Ok(Compression::Gzip),
            _ => anyhow::bail!("{name:?} does not say what to write; end it in .tar.zst or .tar.gz"),
        }
    }
}

/// The files to be.
#[derive(Debug, Default)]
pub(super) struct Archive {
    files: Vec<(String, Vec<u8>)>,
}

impl Archive {
    pub(super) fn text(&mut self, name: &str, mut text: String) {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.files.push((name.to_owned(), text.into_bytes()));
    }

    pub(super) fn json(&mut self, name: &str, value: &Value) {
        self.text(name, serde_json::to_string_pretty(value).expect("a value is always JSON"));
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(super) async fn write(&self, file: &Path, compression: Compression) -> anyhow::Result<()> {
        let directory =
            file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A temporary file is readable by its owner alone.
        let temporary = tempfile::NamedTempFile::new_in(directory)?;
        let target = tokio::fs::File::from_std(temporary.reopen()?);
        match compression {
            Compression::Gzip => self.tar(GzipEncoder::new(target)).await?,
            Compression::Zstd => self.tar(ZstdEncoder::new(target)).await?,
        }
        temporary.as_file().sync_all()?;
        temporary.persist_noclobber(file)?;
        Ok(())
    }

    async fn tar(&self, target: impl AsyncWrite + Unpin + Send + 'static) -> anyhow::Result<()> {
        let now = u64::try_from(chrono::Utc::now().timestamp()).unwrap_or_default();
        let mut builder = Builder::new(target);
        for (name, content) in &self.files {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o600);
            header.set_mtime(now);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, format!("hypersdk-support/{name}"), content.as_slice()).await?;
        }
        builder.into_inner().await?.shutdown().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_how_to_compress() {
        assert_eq!(Compression::of(Path::new("/tmp/b.tar.zst")).unwrap(), Compression::Zstd);
        assert_eq!(Compression::of(Path::new("b.tgz")).unwrap(), Compression::Gzip);
        assert!(Compression::of(Path::new("b.zip")).unwrap_err().to_string().contains(".tar.gz"));
    }
}
