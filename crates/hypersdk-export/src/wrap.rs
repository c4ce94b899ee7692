//! Whole archives compressed for cold storage.

use hypersdk_core::{ArchiveCompression, Error, ErrorKind, Result};
use hypersdk_ova::wrap::{self, WrapError, WrapOptions};

use crate::plan::Target;

/// Compresses the finished archive and removes the plain one. Gives the result's size in bytes.
pub(crate) async fn wrap(target: &Target, compression: ArchiveCompression) -> Result<u64> {
    let compression = match compression {
        ArchiveCompression::Gzip => wrap::ArchiveCompression::Gzip,
        ArchiveCompression::Zstd => wrap::ArchiveCompression::Zstd,
    };
    let plain = target.partial_package();
    let wrapped =
        wrap::wrap(&plain, WrapOptions { compression, level: None }).await.map_err(|error| match error {
            WrapError::Io { path, source } => Error::io(format!("write {}", path.display()), source),
            other => Error::new(ErrorKind::Internal, "compress archive", other.to_string()),
        })?;
    let renamed = std::fs::rename(&wrapped.partial, target.partial_result())
        .and_then(|()| std::fs::remove_file(&plain));
    renamed.map_err(|error| Error::io(format!("replace {}", plain.display()), error))?;
    Ok(wrapped.size)
}
