//! The files, and what kind each is.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use sha2::{Digest, Sha256};

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../assets/dashboard/", $name)))),*]
    };
}

const EMBEDDED: &[(&str, &[u8])] = embedded![
    "api.js",
    "app.js",
    "calendar.js",
    "dom.js",
    "export.js",
    "format.js",
    "icon.svg",
    "index.html",
    "job.js",
    "jobs.js",
    "live.js",
    "login.html",
    "login.js",
    "nodes.js",
    "overview.js",
    "packages.js",
    "pool.js",
    "schedules.js",
    "speed.js",
    "style.css",
    "vms.js",
    "webhook.js",
    "webhooks.js",
    "widgets.js",
    "work.js",
];

static FILES: LazyLock<Vec<File>> =
    LazyLock::new(|| EMBEDDED.iter().map(|(name, bytes)| File::new(name, bytes)).collect());

/// A file of the dashboard.
#[derive(Debug)]
pub(super) struct File {
    name: &'static str,
    pub(super) media_type: &'static str,
    pub(super) etag: HeaderValue,
    pub(super) bytes: &'static [u8],
}

impl File {
    fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        let digest = hex::encode(&Sha256::digest(bytes)[..16]);
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hexadecimal");
        File { name, media_type: media_type(name), etag, bytes }
    }
}

/// The file of this name.
pub(super) fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_directory_is_embedded_and_its_kind_is_known() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/dashboard");
        let mut there: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        let embedded: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
        assert_eq!(there, embedded);
        assert!(FILES.iter().all(|file| file.media_type != "application/octet-stream"));
    }

    #[test]
    fn pages_carry_no_script_or_style_of_their_own_and_nothing_from_elsewhere() {
        for (name, bytes) in EMBEDDED {
            let text = std::str::from_utf8(bytes).unwrap();
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"]
            {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
            if name.ends_with(".html") {
                for forbidden in ["<style", " style=", " onclick=", " onload=", "<script>", "http://"] {
                    assert!(!text.contains(forbidden), "{name} has {forbidden}");
                }
            }
        }
    }
}
