use std::fs;

use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::verify::{FaultClass, Level, PackageFormat, verify, verify_blocking};
use hypersdk_ova::wrap::{ArchiveCompression, WrapError, WrapOptions, wrap};

use crate::package::Machine;
use crate::tool;

#[tokio::test]
async fn a_wrapped_archive_is_unwrapped_by_other_tools_and_verified_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (ova, _) = Machine::new(40).ova(folder.path(), DigestAlgorithm::Sha256);
    let content = fs::read(&ova).unwrap();
    for (compression, levels, unpack, format) in [
        (ArchiveCompression::Gzip, [None, Some(0), Some(9)], "gzip", PackageFormat::OvaGzip),
        (ArchiveCompression::Zstd, [None, Some(1), Some(19)], "zstd", PackageFormat::OvaZstd),
    ] {
        for level in levels {
            let wrapped = wrap(&ova, WrapOptions { compression, level }).await.unwrap();
            let name = format!("web01.ova.{}", compression.extension());
            assert_eq!(wrapped.path, folder.path().join(&name));
            assert_eq!(wrapped.partial, folder.path().join(format!("{name}.partial")));
            let packed = fs::read(&wrapped.partial).unwrap();
            assert_eq!(wrapped.size, packed.len() as u64);
            assert_eq!(wrapped.digest, Digest::of(DigestAlgorithm::Sha256, &packed));
            fs::rename(&wrapped.partial, &wrapped.path).unwrap();
            let report = verify(&wrapped.path, Level::Full).await.unwrap();
            assert!(report.is_ok(), "{report}");
            assert_eq!(report.format, format);
            let unpacked = folder.path().join("unpacked.ova");
            let path = wrapped.path.to_str().unwrap();
            let script = format!("{unpack} -dc '{path}' > '{}'", unpacked.display());
            tool::run("sh", &["-c", &script]);
            assert!(fs::read(&unpacked).unwrap() == content, "{name} {level:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_wrapped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.ova");
    for (compression, level) in [(ArchiveCompression::Gzip, 10), (ArchiveCompression::Zstd, 0)] {
        let error = wrap(&missing, WrapOptions { compression, level: Some(level) }).await.unwrap_err();
        assert!(matches!(error, WrapError::Level { .. }), "{error}");
    }
    let options = WrapOptions { compression: ArchiveCompression::Gzip, level: None };
    assert!(matches!(wrap(&missing, options).await, Err(WrapError::Io { .. })));
    // A folder can be opened, but not read.
    assert!(matches!(wrap(folder.path(), options).await, Err(WrapError::Io { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let beside = folder.path().with_extension("gz.partial");
    assert!(!beside.exists());
}

#[tokio::test]
async fn a_bomb_is_refused_long_before_it_has_gone_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.ova");
    let (ova, _) = Machine::new(1).ova(folder.path(), DigestAlgorithm::Sha256);
    let mut content = fs::read(ova).unwrap();
    content.resize(256 << 20, 0);
    fs::write(&path, &content).unwrap();
    for compression in [ArchiveCompression::Gzip, ArchiveCompression::Zstd] {
        let wrapped = wrap(&path, WrapOptions { compression, level: Some(6) }).await.unwrap();
        let report = verify_blocking(&wrapped.partial, Level::Structure).unwrap();
        assert_eq!(report.worst(), Some(FaultClass::Archive), "{report}");
        assert!(report.faults[0].message.contains("bomb: it unwraps to more than"), "{report}");
    }
}
