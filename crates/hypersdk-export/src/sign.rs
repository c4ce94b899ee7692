//! The key that signs a job's manifest.

use std::path::Path;
use std::sync::Arc;

use hypersdk_core::{Error, ErrorKind, JobSpec, Result};
use hypersdk_ova::sign::Signer;

/// Reads the job's key and certificate, before anything else is done.
pub(crate) fn signer(spec: &JobSpec) -> Result<Option<Arc<Signer>>> {
    let Some(signing) = &spec.sign else { return Ok(None) };
    let (key, certificate) = (read("key", &signing.key)?, read("certificate", &signing.certificate)?);
    let signer = Signer::from_pem(&key, &certificate).map_err(|error| {
        Error::new(ErrorKind::Invalid, "read signing key", error.to_string()).with_advice(
            "sign.key is an RSA key of 2048 to 4096 bits in PEM, sign.certificate its certificate",
        )
    })?;
    Ok(Some(Arc::new(signer)))
}

fn read(what: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::io(format!("read sign.{what} {}", path.display()), error)
            .with_advice("name a file that the daemon's user can read")
    })
}
