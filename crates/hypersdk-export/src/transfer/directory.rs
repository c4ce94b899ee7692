//! An OVF package: a directory of files, fetched in parallel.

use std::fs::File;
use std::num::NonZeroU64;
use std::path::Path;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use hypersdk_core::{Error, ErrorKind, FileKind, LogLevel, Result};
use hypersdk_ova::package::{ChunkedFile, DirectoryError, finish_directory, finish_signed_directory};

use super::{Delivered, Transfer, Written, check_disk, manifest_algorithm};
use crate::blocking::blocking;
use crate::fetch::fetch;
use crate::output::DiskFile;
use crate::plan::PlannedFile;

impl Transfer<'_> {
    pub(super) async fn write_directory(&self, files: &[PlannedFile]) -> Result<Written> {
        let directory = self.target.partial_ovf_directory();
        // What an earlier attempt finished may be there already.
        match std::fs::create_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && self.journal.is_some() => {}
            created => {
                created.map_err(|error| Error::io(format!("create {}", directory.display()), error))?;
            }
        }
        let fetches: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(index, file)| self.fetch_file(index, file, &directory).boxed())
            .collect();
        let mut delivered: Vec<Delivered> =
            stream::iter(fetches).buffered(self.workers).try_collect().await?;
        self.attest_the_rest(files, &mut delivered).await?;

        let (descriptor, warnings) = self.descriptor(files, &delivered).await?;
        let name = self.target.name.clone();
        let algorithm = manifest_algorithm(self.spec);
        let packaged = delivered.iter().flat_map(Delivered::packaged).collect();
        let signer = self.signer.clone();
        let summary = blocking("write descriptor", move || {
            let finished = match &signer {
                Some(signer) => {
                    finish_signed_directory(&directory, &name, &descriptor, packaged, algorithm, signer)
                }
                None => finish_directory(&directory, &name, &descriptor, packaged, algorithm),
            };
            finished.map_err(directory_error)
        })
        .await?;
        Ok(Written { summary, delivered, warnings })
    }

    async fn fetch_file(&self, index: usize, file: &PlannedFile, directory: &Path) -> Result<Delivered> {
        self.meter.begin(&file.name);
        if let Some(kept) = self.journal.and_then(|journal| journal.kept(file)) {
            let meter = self.meter.file(index);
            meter.record(kept.came().0, file.weight);
            meter.finish();
            let line =
                format!("{}: an earlier attempt had finished it; it was checked and is kept", file.name);
            self.context.log(LogLevel::Info, line);
            return Ok(kept);
        }
        let delivered = self.fetch_anew(index, file, directory).await?;
        if let Some(journal) = self.journal {
            journal.note(file, &delivered).await?;
        }
        Ok(delivered)
    }

    async fn fetch_anew(&self, index: usize, file: &PlannedFile, directory: &Path) -> Result<Delivered> {
        match self.spec.chunk_size {
            Some(chunk_bytes) if file.source.kind == FileKind::Disk => {
                self.fetch_in_chunks(index, file, directory, chunk_bytes).await
            }
            _ => self.fetch_whole(index, file, directory).await,
        }
    }

    async fn fetch_whole(&self, index: usize, file: &PlannedFile, directory: &Path) -> Result<Delivered> {
        let path = directory.join(&file.name);
        let output = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| Error::io(format!("create {}", path.display()), error))?;
        let (shape, algorithm) = (self.shape_in(&path)?, manifest_algorithm(self.spec));
        let meter = self.meter.file(index);
        let (output, fetched) =
            fetch(self.session, file, meter, DiskFile::new(output), shape, algorithm, self.context).await?;
        check_disk(file, &fetched)?;
        blocking("sync", move || {
            output
                .into_file()
                .sync_all()
                .map_err(|error| Error::io(format!("sync {}", path.display()), error))
        })
        .await?;
        Ok(Delivered::whole(file, fetched))
    }

    async fn fetch_in_chunks(
        &self,
        index: usize,
        file: &PlannedFile,
        directory: &Path,
        chunk_bytes: NonZeroU64,
    ) -> Result<Delivered> {
        let algorithm = manifest_algorithm(self.spec);
        let output =
            ChunkedFile::new(directory, &*file.name, chunk_bytes, algorithm).map_err(directory_error)?;
        let meter = self.meter.file(index);
        let (output, fetched) =
            fetch(self.session, file, meter, output, self.shape()?, algorithm, self.context).await?;
        check_disk(file, &fetched)?;
        let chunks = blocking("sync chunks", move || output.finish().map_err(directory_error)).await?;
        Ok(Delivered { chunks: Some(chunks), ..Delivered::whole(file, fetched) })
    }
}

fn directory_error(error: DirectoryError) -> Error {
    match error {
        DirectoryError::Io { name, source } => Error::io(format!("write {name}"), source),
        other => Error::new(ErrorKind::Internal, "write directory", other.to_string()),
    }
}
