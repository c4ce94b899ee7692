//! What the fuzz targets run, and the tests of `hypersdk-ova` on the corpus.

mod entry;

pub use entry::{descriptor, manifest, ova_scan_verify, tar_header, vmdk_inspector, vmdk_reader};
