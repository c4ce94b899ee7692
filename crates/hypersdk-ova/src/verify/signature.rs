//! Whether a package is what its signer signed.

use std::time::SystemTime;

use super::member::{Content, Found, is_certificate, is_manifest};
use super::report::{FaultClass, Report, SignatureReport};
use crate::sign::Certificate;

/// Checks the certificate file, if there is one, and notes who signed.
pub(super) fn check(found: &[Found], report: &mut Report) {
    let mut certificates = found.iter().filter(|file| is_certificate(&file.name));
    let Some(file) = certificates.next() else { return };
    let name = Some(file.name.as_str());
    if let Some(second) = certificates.next() {
        report.fault(FaultClass::Signature, Some(&second.name), "a second certificate");
    }
    let Content::Text(text) = &file.content else { return };
    let certificate = match Certificate::parse(text) {
        Ok(certificate) => certificate,
        Err(error) => {
            report.fault(FaultClass::Signature, name, error.to_string());
            return;
        }
    };
    let manifest = found.iter().find(|file| is_manifest(&file.name));
    let Some((manifest, Content::Text(text))) = manifest.map(|file| (file, &file.content)) else {
        report.fault(FaultClass::Signature, name, "a certificate without a manifest signs nothing");
        return;
    };
    let checked = certificate.check(&manifest.name, text);
    report.signature = Some(SignatureReport {
        signer: certificate.subject().to_owned(),
        algorithm: certificate.algorithm(),
        valid: checked.is_ok(),
    });
    if let Err(error) = checked {
        report.fault(FaultClass::Signature, name, error.to_string());
    }
    if !certificate.is_valid_at(SystemTime::now()) {
        report.warn(name, "the certificate has expired or is not valid yet");
    }
}
