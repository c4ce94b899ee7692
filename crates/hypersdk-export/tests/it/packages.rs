use std::process::Command;

use hypersdk_core::{ArchiveCompression, ErrorKind, ManifestDigest, PackageFormat, Signing, VerifyMode};
use hypersdk_export::Receipt;
use hypersdk_ova::verify::{Level, verify};

use crate::lab::{Lab, names};

#[tokio::test]
async fn an_ova_has_descriptor_first_manifest_last_and_every_file_between() {
    let lab = Lab::with_disks(&[40, 7]);
    let outcome = lab.export(&lab.spec(PackageFormat::Ova)).await.unwrap();
    assert_eq!(lab.names(), ["web_01.ova", "web_01.receipt.json"]);
    let listing = Command::new("tar").arg("-tf").arg(lab.path("web_01.ova")).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert_eq!(
        listing.lines().collect::<Vec<_>>(),
        ["web_01.ovf", "web_01-disk-0.vmdk", "web_01-disk-1.vmdk", "web_01-file-0.nvram", "web_01.mf"]
    );
    assert_eq!(outcome.total_size, std::fs::metadata(lab.path("web_01.ova")).unwrap().len());
    assert_eq!(lab.provider.ledger().exports(), (1, 1, 0));
}

#[tokio::test]
async fn an_ovf_package_is_a_directory_whose_digests_sha256sum_confirms() {
    let lab = Lab::with_disks(&[40, 7, 9]);
    let outcome = lab.export(&lab.spec(PackageFormat::Ovf)).await.unwrap();
    let package = lab.path("web_01");
    assert_eq!(outcome.ovf_path, package.join("web_01.ovf").display().to_string());
    let manifest = std::fs::read_to_string(package.join("web_01.mf")).unwrap();
    let sums: String = manifest
        .lines()
        .map(|line| {
            let (name, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
            format!("{digest}  {name}\n")
        })
        .collect();
    assert_eq!(sums.lines().count(), 5, "every file but the manifest is listed: {manifest}");
    std::fs::write(lab.path("sums"), sums).unwrap();
    let checked =
        Command::new("sha256sum").arg("-c").arg(lab.path("sums")).current_dir(&package).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn every_disk_of_a_package_satisfies_qemu_img() {
    let lab = Lab::with_disks(&[40, 7]);
    lab.export(&lab.spec(PackageFormat::Ovf)).await.unwrap();
    for disk in ["web_01-disk-0.vmdk", "web_01-disk-1.vmdk"] {
        let checked =
            Command::new("qemu-img").arg("check").arg(lab.path("web_01").join(disk)).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[tokio::test]
async fn the_manifest_uses_the_algorithm_that_was_asked_for() {
    for (digest, prefix) in [(ManifestDigest::Sha1, "SHA1("), (ManifestDigest::Sha512, "SHA512(")] {
        let lab = Lab::with_disks(&[7]);
        let mut spec = lab.spec(PackageFormat::Ovf);
        spec.manifest_digest = digest;
        spec.verify = VerifyMode::Full;
        lab.export(&spec).await.unwrap();
        let manifest = std::fs::read_to_string(lab.path("web_01").join("web_01.mf")).unwrap();
        assert!(manifest.lines().all(|line| line.starts_with(prefix)), "{manifest}");
    }
}

#[tokio::test]
async fn a_full_verification_passes_for_both_formats() {
    for format in PackageFormat::ALL {
        let lab = Lab::with_disks(&[40]);
        let mut spec = lab.spec(format);
        spec.verify = VerifyMode::Full;
        lab.export(&spec).await.unwrap();
    }
}

#[tokio::test]
async fn the_receipt_tells_where_the_package_came_from() {
    let lab = Lab::with_disks(&[7]);
    let outcome = lab.export(&lab.spec(PackageFormat::Ova)).await.unwrap();
    let receipt = Receipt::read(&lab.path("web_01.receipt.json")).unwrap();
    assert_eq!(receipt.outcome, outcome);
    assert_eq!(receipt.source.vm_name, "web 01");
    assert_eq!(receipt.job.as_str(), "job-1");
    assert!(receipt.finished_at >= receipt.started_at);
    assert!(receipt.tool.starts_with("hypersdk "), "{}", receipt.tool);
    for file in &receipt.outcome.files {
        // This source attests nothing.
        assert_eq!((file.attested, &file.host_sha256), (false, &None));
        assert_eq!((file.sha256.len(), file.size), (64, file.source_size));
    }
}

#[tokio::test]
async fn a_package_of_the_same_name_is_replaced_only_if_that_is_wanted() {
    for format in PackageFormat::ALL {
        let lab = Lab::with_disks(&[7]);
        let mut spec = lab.spec(format);
        lab.export_as("first", &spec).await.unwrap();
        let error = lab.export_as("second", &spec).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.advice().unwrap().contains("overwrite"));
        spec.overwrite = true;
        lab.export_as("third", &spec).await.unwrap();
        assert_eq!(lab.names().len(), 2, "package and receipt, nothing partial: {:?}", lab.names());
        assert_eq!(Receipt::read(&lab.path("web_01.receipt.json")).unwrap().job.as_str(), "third");
    }
}

#[tokio::test]
async fn a_job_that_was_killed_after_publishing_keeps_its_package() {
    let lab = Lab::with_disks(&[7]);
    let spec = lab.spec(PackageFormat::Ova);
    let outcome = lab.export(&spec).await.unwrap();
    let again = lab.export(&spec).await.unwrap();
    assert_eq!(again, outcome);
    assert_eq!(lab.provider.ledger().exports(), (1, 1, 0), "nothing was exported twice");
}

#[tokio::test]
async fn a_receipt_is_not_believed_if_the_package_is_another() {
    let lab = Lab::with_disks(&[7]);
    let spec = lab.spec(PackageFormat::Ova);
    lab.export(&spec).await.unwrap();
    let other = Lab::with_disks(&[10]);
    other.export(&other.spec(PackageFormat::Ova)).await.unwrap();
    std::fs::copy(other.path("web_01.ova"), lab.path("web_01.ova")).unwrap();
    assert_eq!(lab.export(&spec).await.unwrap_err().kind(), ErrorKind::Conflict);
}

/// Takes names back as if the process had been killed before it gave them.
fn unpublish(lab: &Lab, names: &[(&str, &str)]) {
    for (name, partial) in names {
        std::fs::rename(lab.path(name), lab.path(&format!("web_01.{partial}@job-1@1.partial"))).unwrap();
    }
}

#[tokio::test]
async fn a_job_that_was_killed_between_two_names_goes_on_where_it_was() {
    let (archive, directory) = (("web_01.ova", "ova"), ("web_01", "ovf"));
    for missing in [vec![archive], vec![archive, directory]] {
        let lab = Lab::with_disks(&[7]);
        let mut spec = lab.spec(PackageFormat::Ova);
        spec.cleanup_ovf = false;
        let outcome = lab.export(&spec).await.unwrap();
        unpublish(&lab, &missing);
        assert_eq!(lab.export(&spec).await.unwrap(), outcome);
        assert_eq!(lab.names(), ["web_01", "web_01.ova", "web_01.receipt.json"]);
        assert_eq!(lab.provider.ledger().exports(), (1, 1, 0), "nothing was exported twice");
    }
}

#[tokio::test]
async fn half_a_publication_whose_other_half_is_lost_is_exported_anew() {
    let lab = Lab::with_disks(&[7]);
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.cleanup_ovf = false;
    lab.export(&spec).await.unwrap();
    unpublish(&lab, &[("web_01.ova", "ova")]);
    let partial = lab.path("web_01.ova@job-1@1.partial");
    let mut content = std::fs::read(&partial).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&partial, content).unwrap();
    lab.export(&spec).await.unwrap();
    assert_eq!(lab.names(), ["web_01", "web_01.ova", "web_01.receipt.json"]);
    assert_eq!(lab.provider.ledger().exports(), (2, 2, 0));
}

#[tokio::test]
async fn a_publication_that_is_taken_up_again_takes_no_name_that_somebody_else_has_by_now() {
    let lab = Lab::with_disks(&[7]);
    let spec = lab.spec(PackageFormat::Ova);
    lab.export(&spec).await.unwrap();
    unpublish(&lab, &[("web_01.ova", "ova")]);
    std::fs::write(lab.path("web_01.ova"), "somebody else's").unwrap();
    assert_eq!(lab.export(&spec).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(std::fs::read(lab.path("web_01.ova")).unwrap(), b"somebody else's");
    assert_eq!(lab.names(), ["web_01.ova"], "no receipt for what is not ours");
}

#[tokio::test]
async fn a_directory_in_the_way_of_one_that_is_to_stay_is_found_before_the_export() {
    let lab = Lab::with_disks(&[7]);
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.cleanup_ovf = false;
    std::fs::create_dir(lab.path("web_01")).unwrap();
    assert_eq!(lab.export(&spec).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(lab.provider.ledger().exports(), (0, 0, 0));
    assert_eq!(lab.names(), ["web_01"]);
}

#[tokio::test]
async fn the_disks_of_a_directory_are_cut_in_chunks_and_put_together_by_cat() {
    for (compress, digest) in [(false, ManifestDigest::Sha256), (true, ManifestDigest::Sha512)] {
        let lab = Lab::with_disks(&[100, 7]);
        lab.provider.fault_stream("disk-0.vmdk", [hypersdk_core::testing::StreamFault::EndEarly(90_000)]);
        let mut spec = lab.spec(PackageFormat::Ovf);
        (spec.compress, spec.manifest_digest) = (compress, digest);
        spec.chunk_size = std::num::NonZeroU64::new(70_000);
        spec.verify = VerifyMode::Full;
        let outcome = lab.export(&spec).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        let package = lab.path("web_01");
        for file in outcome.files.iter().filter(|file| file.name.ends_with("vmdk")) {
            assert_eq!(file.chunks.len() as u64, file.size.div_ceil(70_000), "{file:?}");
            let pieces = file.chunks.iter().map(|chunk| std::fs::read(package.join(&chunk.name)).unwrap());
            let whole = lab.path("whole.vmdk");
            std::fs::write(&whole, pieces.collect::<Vec<_>>().concat()).unwrap();
            let sum = Command::new("sha256sum").arg(&whole).output().unwrap();
            assert!(String::from_utf8_lossy(&sum.stdout).starts_with(&file.sha256), "{file:?}");
            qemu_img(&["check".as_ref(), whole.as_os_str()]);
        }
        assert!(outcome.files[2].chunks.is_empty(), "firmware variables stay whole");
        let manifest = std::fs::read_to_string(package.join("web_01.mf")).unwrap();
        for chunk in outcome.files.iter().flat_map(|file| &file.chunks) {
            assert!(manifest.contains(&format!("({})= {}", chunk.name, chunk.digest)), "{chunk:?}");
        }
        let report = verify(&package, Level::Full).await.unwrap();
        assert!(report.is_ok() && report.warnings.is_empty(), "{report}");
        std::fs::remove_file(package.join(&outcome.files[0].chunks[0].name)).unwrap();
        assert!(!verify(&package, Level::Full).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn slow_streams_are_spooled_in_parallel_and_joined_in_order() {
    let mut lab = Lab::with_disks(&[300, 300, 300]);
    lab.config.download_workers = 3;
    lab.provider.pace(std::time::Duration::from_millis(1));
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.verify = VerifyMode::Full;
    lab.export(&spec).await.unwrap();
    assert!(lab.provider.ledger().most_streams() > 1, "later disks were fetched beside the first");
    assert_eq!(names(lab.directory.path()), ["web_01.ova", "web_01.receipt.json"]);
}

/// Exports one VM of compressible disks in a format.
async fn shaped(format: PackageFormat, compress: bool) -> (Lab, hypersdk_core::Outcome) {
    let lab = Lab::with_disks(&[40, 7]);
    let mut spec = lab.spec(format);
    spec.compress = compress;
    spec.compression_level = 9;
    spec.verify = VerifyMode::Full;
    let outcome = lab.export(&spec).await.unwrap_or_else(|error| panic!("{format:?}: {}", error.chain()));
    (lab, outcome)
}

#[tokio::test]
async fn every_format_and_compression_holds_the_same_disks() {
    let (reference, _) = shaped(PackageFormat::Ovf, false).await;
    for (format, ending) in [
        (PackageFormat::Qcow2, "qcow2"),
        (PackageFormat::Raw, "raw"),
        (PackageFormat::Vmdk, "vmdk"),
        (PackageFormat::Ovf, "vmdk"),
    ] {
        for compress in [false, true] {
            let (lab, outcome) = shaped(format, compress).await;
            for disk in 0..2 {
                let name = format!("web_01-disk-{disk}.{ending}");
                let path = lab.path("web_01").join(&name);
                let source = reference.path("web_01").join(format!("web_01-disk-{disk}.vmdk"));
                if ending != "raw" {
                    qemu_img(&["check".as_ref(), path.as_os_str()]);
                }
                let form =
                    ["compare".as_ref(), "-f".as_ref(), ending.as_ref(), "-F".as_ref(), "vmdk".as_ref()];
                qemu_img(&[&form[..], &[path.as_os_str(), source.as_os_str()]].concat());
                assert!(outcome.files.iter().any(|file| file.name == name), "{outcome:?}");
            }
            assert_eq!(outcome.files.len(), if format == PackageFormat::Vmdk { 2 } else { 3 });
            let descriptor = std::fs::read_to_string(lab.path("web_01").join("web_01.ovf")).unwrap();
            assert!(descriptor.contains(&format!("web_01-disk-0.{ending}")), "{descriptor}");
        }
    }
}

#[tokio::test]
async fn compression_makes_an_ova_smaller_and_names_both_digests() {
    let (_, plain) = shaped(PackageFormat::Ova, false).await;
    let (lab, packed) = shaped(PackageFormat::Ova, true).await;
    let disk = |outcome: &hypersdk_core::Outcome| outcome.files[0].clone();
    assert!(disk(&packed).size <= disk(&plain).size, "{packed:?}");
    assert_eq!(disk(&packed).source_sha256, disk(&plain).sha256);
    assert_eq!(disk(&packed).source_size, disk(&plain).size);
    assert_ne!(disk(&packed).sha256, disk(&plain).sha256);
    assert_eq!(lab.names(), ["web_01.ova", "web_01.receipt.json"]);
}

#[tokio::test]
async fn the_ovf_directory_stays_beside_its_ova_if_that_is_wanted() {
    let lab = Lab::with_disks(&[40]);
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.cleanup_ovf = false;
    lab.export(&spec).await.unwrap();
    assert_eq!(lab.names(), ["web_01", "web_01.ova", "web_01.receipt.json"]);
    let report = verify(&lab.path("web_01"), Level::Full).await.unwrap();
    assert!(report.is_ok(), "{report}");
}

#[tokio::test]
async fn an_archive_compressed_as_a_whole_says_how_to_unwrap_it() {
    for (compression, ending, word) in
        [(ArchiveCompression::Gzip, "ova.gz", "gunzip"), (ArchiveCompression::Zstd, "ova.zst", "unzstd")]
    {
        let lab = Lab::with_disks(&[40]);
        let mut spec = lab.spec(PackageFormat::Ova);
        spec.archive_compression = Some(compression);
        let outcome = lab.export(&spec).await.unwrap();
        assert_eq!(lab.names(), [format!("web_01.{ending}"), "web_01.receipt.json".to_owned()]);
        assert!(outcome.warnings.iter().any(|warning| warning.contains(word)), "{:?}", outcome.warnings);
        let package = lab.path(&format!("web_01.{ending}"));
        assert_eq!(outcome.total_size, std::fs::metadata(&package).unwrap().len());
        let report = verify(&package, Level::Full).await.unwrap();
        assert!(report.is_ok(), "{report}");
    }
}

#[tokio::test]
async fn a_signed_package_names_its_signer_and_a_wrong_key_is_refused_first() {
    for format in [PackageFormat::Ova, PackageFormat::Ovf] {
        let lab = Lab::with_disks(&[7]);
        let (key, certificate) = (lab.path("key.pem"), lab.path("certificate.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=exporter"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{made:?}");
        let mut spec = lab.spec(format);
        spec.sign = Some(Signing { key: key.clone(), certificate: key });
        let error = lab.export(&spec).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(lab.provider.ledger().exports(), (0, 0, 0));
        spec.sign.as_mut().unwrap().certificate = certificate;
        lab.export(&spec).await.unwrap();
        let package = lab.path(if format == PackageFormat::Ova { "web_01.ova" } else { "web_01" });
        let report = verify(&package, Level::Full).await.unwrap();
        assert!(report.is_ok(), "{report}");
        let signature = report.signature.expect("a signature");
        assert!(signature.valid && signature.signer.contains("exporter"), "{signature:?}");
    }
}

fn qemu_img(arguments: &[&std::ffi::OsStr]) {
    let output = Command::new("qemu-img").args(arguments).output().expect("qemu-img is installed");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}
