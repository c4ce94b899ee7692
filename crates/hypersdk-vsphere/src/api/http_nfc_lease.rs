//! `HttpNfcLease`: the right to fetch a VM's files, for as long as it is renewed.

use super::method;
use crate::soap::{Element, Malformed, MoRef};

/// `HttpNfcLeaseInfo`: valid while the lease is ready.
#[derive(Debug, Clone)]
pub(crate) struct LeaseInfo {
    /// Seconds without a renewal until the lease ends.
    pub(crate) timeout_seconds: u64,
    pub(crate) devices: Vec<DeviceUrl>,
}

/// `HttpNfcLeaseDeviceUrl`: one file and where to fetch it.
#[derive(Debug, Clone)]
pub(crate) struct DeviceUrl {
    pub(crate) key: String,
    /// The host may be `*`.
    pub(crate) url: String,
    pub(crate) thumbprint: Option<String>,
    pub(crate) disk: Option<bool>,
    /// The file's name in a package; absent for what is not part of one.
    pub(crate) target_id: Option<String>,
    /// Bytes; only for what is not a disk.
    pub(crate) file_size: Option<u64>,
}

impl LeaseInfo {
    pub(crate) fn read(value: &Element) -> Result<Self, Malformed> {
        let text = |element: &Element, name| {
            element.text_at(name).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let device = |element: &Element| {
            Ok(DeviceUrl {
                key: element.required("key")?.to_owned(),
                url: element.required("url")?.to_owned(),
                thumbprint: text(element, "sslThumbprint"),
                disk: element.boolean("disk"),
                target_id: text(element, "targetId"),
                file_size: element.number("fileSize").filter(|size| *size > 0),
            })
        };
        Ok(LeaseInfo {
            timeout_seconds: value.number("leaseTimeout").unwrap_or(300),
            devices: value.all("deviceUrl").map(device).collect::<Result<_, Malformed>>()?,
        })
    }
}

/// `HttpNfcLeaseProgress`: renews the lease, even if the percentage does not move.
#[derive(Debug)]
pub(crate) struct HttpNfcLeaseProgress {
    pub(crate) this: MoRef,
    pub(crate) percent: u8,
}

method!(HttpNfcLeaseProgress, "HttpNfcLeaseProgress", idempotent: true, reply: (),
    write: |call, out| { out.value("percent", call.percent.min(100)); }, read: |_reply| ());

/// `HttpNfcLeaseComplete`.
#[derive(Debug)]
pub(crate) struct HttpNfcLeaseComplete {
    pub(crate) this: MoRef,
}

method!(HttpNfcLeaseComplete, "HttpNfcLeaseComplete", idempotent: false, reply: (),
    write: |_call, _out| {}, read: |_reply| ());

/// `HttpNfcLeaseAbort`, with a reason that vSphere shows at the task.
#[derive(Debug)]
pub(crate) struct HttpNfcLeaseAbort {
    pub(crate) this: MoRef,
    pub(crate) reason: String,
}

method!(HttpNfcLeaseAbort, "HttpNfcLeaseAbort", idempotent: true, reply: (), write: |call, out| {
    out.nest("fault", |out| {
        out.typed("fault", "SystemError", |out| out.text("reason", &call.reason));
        out.text("localizedMessage", &call.reason);
    });
}, read: |_reply| ());

/// `HttpNfcLeaseSetManifestChecksumType` to SHA-256 for some devices; since API 6.7, before the download.
#[derive(Debug)]
pub(crate) struct HttpNfcLeaseSetManifestChecksumType {
    pub(crate) this: MoRef,
    pub(crate) keys: Vec<String>,
}

method!(HttpNfcLeaseSetManifestChecksumType, "HttpNfcLeaseSetManifestChecksumType", idempotent: true, reply: (),
    write: |call, out| {
        for key in &call.keys {
            out.nest("deviceUrlsToChecksumTypes", |out| {
                out.text("key", key);
                out.text("value", "sha256");
            });
        }
    }, read: |_reply| ());

/// `HttpNfcLeaseManifestEntry`: what the host says it sent.
#[derive(Debug)]
pub(crate) struct ManifestEntry {
    pub(crate) key: String,
    pub(crate) sha1: Option<String>,
    pub(crate) checksum: Option<String>,
    pub(crate) checksum_type: Option<String>,
    pub(crate) size: u64,
}

impl ManifestEntry {
    fn read(value: &Element) -> Result<Self, Malformed> {
        let text =
            |name| value.text_at(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(ManifestEntry {
            key: value.required("key")?.to_owned(),
            sha1: text("sha1"),
            checksum: text("checksum"),
            checksum_type: text("checksumType"),
            size: value
                .number("size")
                .ok_or_else(|| Malformed::missing("size", "HttpNfcLeaseManifestEntry"))?,
        })
    }
}

/// `HttpNfcLeaseGetManifest`: after the download, before the lease is completed.
#[derive(Debug)]
pub(crate) struct HttpNfcLeaseGetManifest {
    pub(crate) this: MoRef,
}

method!(HttpNfcLeaseGetManifest, "HttpNfcLeaseGetManifest", idempotent: true, reply: Vec<ManifestEntry>,
write: |_call, _out| {}, read: |reply| {
    let mut entries = Vec::new();
    while let Some(value) = reply.next_value()? {
        entries.push(ManifestEntry::read(&value)?);
    }
    entries
});
