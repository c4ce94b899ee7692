use std::fs;
use std::path::{Path, PathBuf};

use hypersdk_ova::digest::DigestAlgorithm;
use hypersdk_ova::package::finish_signed_directory;
use hypersdk_ova::sign::{SignError, Signer};
use hypersdk_ova::verify::{FaultClass, Level, SignatureReport, verify_blocking, verify_written};

use crate::package::Machine;
use crate::tool;

/// A key and its certificate, made by OpenSSL.
struct Identity {
    folder: tempfile::TempDir,
}

impl Identity {
    fn new(kind: &str) -> Self {
        let identity = Self { folder: tempfile::tempdir().unwrap() };
        let (key, certificate) = (identity.at("key.pem"), identity.at("cert.pem"));
        let request = "req -x509 -sha256 -nodes -days 2 -subj /O=Example/CN=Builder".split(' ');
        let mut arguments: Vec<&str> = request.collect();
        arguments.extend(["-newkey", kind, "-keyout", &key, "-out", &certificate]);
        if kind == "ec" {
            arguments.extend(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        }
        tool::run("openssl", &arguments);
        identity
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    fn signer(&self) -> Signer {
        Signer::from_pem(&self.read("key.pem"), &self.read("cert.pem")).unwrap()
    }
}

/// Has OpenSSL check the certificate file of an OVF directory.
fn openssl_accepts(folder: &Path, option: &str) {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let text = fs::read_to_string(at("web01.cert")).unwrap();
    let (line, pem) = text.split_once('\n').unwrap();
    let (_, hex) = line.split_once("(web01.mf)= ").unwrap();
    fs::write(at("signature"), hex::decode(hex).unwrap()).unwrap();
    fs::write(at("certificate.pem"), pem).unwrap();
    let key = tool::run("openssl", &["x509", "-in", &at("certificate.pem"), "-noout", "-pubkey"]);
    fs::write(at("public.pem"), key).unwrap();
    let arguments =
        ["dgst", option, "-verify", &at("public.pem"), "-signature", &at("signature"), &at("web01.mf")];
    assert!(tool::run("openssl", &arguments).contains("Verified OK"));
}

fn signed_directory(folder: &Path, algorithm: DigestAlgorithm, signer: &Signer) -> PathBuf {
    let machine = Machine::new(4);
    let files = machine.directory(folder, algorithm).files;
    let xml = machine.envelope.to_xml();
    let written = finish_signed_directory(folder, "web01", &xml, files, algorithm, signer).unwrap();
    assert!(verify_written(folder, &written).unwrap().is_ok());
    folder.to_owned()
}

#[test]
fn openssl_verifies_the_signature_of_a_directory_and_so_do_we() {
    let identity = Identity::new("rsa:2048");
    for (algorithm, option, signed_by) in [
        (DigestAlgorithm::Sha256, "-sha256", DigestAlgorithm::Sha256),
        (DigestAlgorithm::Sha512, "-sha512", DigestAlgorithm::Sha512),
        (DigestAlgorithm::Sha1, "-sha256", DigestAlgorithm::Sha256),
    ] {
        let folder = tempfile::tempdir().unwrap();
        signed_directory(folder.path(), algorithm, &identity.signer());
        openssl_accepts(folder.path(), option);
        for level in [Level::Headers, Level::Full] {
            let report = verify_blocking(folder.path(), level).unwrap();
            assert!(report.is_ok() && report.warnings.is_empty(), "{report}");
            let signer = "O=Example, CN=Builder".to_owned();
            assert_eq!(report.signature, Some(SignatureReport { signer, algorithm: signed_by, valid: true }));
            assert!(report.to_string().contains("signed   by O=Example, CN=Builder, sha"), "{report}");
        }
    }
}

#[test]
fn a_signed_archive_ends_with_manifest_and_certificate() {
    let identity = Identity::new("rsa:2048");
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(4);
    let path = folder.path().join("web01.ova");
    let writer = machine.begin_ova(&path, DigestAlgorithm::Sha256);
    let written = writer.finish_signed(&machine.envelope.to_xml(), &identity.signer()).unwrap();
    assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
    assert!(verify_written(&path, &written).unwrap().is_ok());
    for level in [Level::Headers, Level::Structure, Level::Full] {
        let report = verify_blocking(&path, level).unwrap();
        assert!(report.is_ok(), "{report}");
        assert!(report.signature.unwrap().valid);
    }
    let listed = tool::run("tar", &["-tf", path.to_str().unwrap()]);
    assert!(listed.ends_with("web01.mf\nweb01.cert\n"), "{listed}");
    let unpacked = tempfile::tempdir().unwrap();
    tool::run("tar", &["-xf", path.to_str().unwrap(), "-C", unpacked.path().to_str().unwrap()]);
    openssl_accepts(unpacked.path(), "-sha256");
}

#[test]
fn a_file_signed_by_openssl_itself_is_accepted() {
    let identity = Identity::new("rsa:2048");
    let folder = tempfile::tempdir().unwrap();
    Machine::new(1).directory(folder.path(), DigestAlgorithm::Sha256);
    let manifest = folder.path().join("web01.mf");
    let arguments = ["dgst", "-sha256", "-hex", "-sign", &identity.at("key.pem"), manifest.to_str().unwrap()];
    let printed = tool::run("openssl", &arguments);
    let (_, hex) = printed.split_once("= ").unwrap();
    for word in ["RSA-SHA2-256", "SHA256"] {
        let pem = String::from_utf8(identity.read("cert.pem")).unwrap();
        fs::write(folder.path().join("web01.cert"), format!("{word}(web01.mf)= {hex}{pem}")).unwrap();
        let report = verify_blocking(folder.path(), Level::Full).unwrap();
        assert!(report.is_ok() && report.signature.as_ref().unwrap().valid, "{report}");
    }
}

#[test]
fn what_was_changed_after_signing_is_seen() {
    let identity = Identity::new("rsa:2048");
    let folder = tempfile::tempdir().unwrap();
    signed_directory(folder.path(), DigestAlgorithm::Sha256, &identity.signer());
    let at = |name: &str| folder.path().join(name);
    let (manifest, certificate) =
        (fs::read(at("web01.mf")).unwrap(), fs::read_to_string(at("web01.cert")).unwrap());
    let faulty = |message: &str| {
        let report = verify_blocking(folder.path(), Level::Headers).unwrap();
        let fault = report.faults.iter().find(|fault| fault.class == FaultClass::Signature);
        let fault = fault.unwrap_or_else(|| panic!("{message}: {report}"));
        assert!(fault.message.contains(message), "{report}");
    };
    // Both digests right, but not what was signed: the manifest's lines in another order.
    let mut lines: Vec<&[u8]> = manifest.split_inclusive(|&byte| byte == b'\n').collect();
    lines.reverse();
    fs::write(at("web01.mf"), lines.concat()).unwrap();
    faulty("not what O=Example, CN=Builder signed");
    fs::write(at("web01.mf"), &manifest).unwrap();
    for (from, to, message) in [
        ("(web01.mf)", "(web02.mf)", "it signs \"web02.mf\""),
        ("SHA256(", "SHA512(", "not what"),
        ("SHA256(", "MD5(", "the algorithm is not known"),
        ("BEGIN", "BEGUN", "certificate:"),
        ("= ", "= xx", "not hexadecimal"),
    ] {
        fs::write(at("web01.cert"), certificate.replacen(from, to, 1)).unwrap();
        faulty(message);
    }
    let other = String::from_utf8(Identity::new("ec").read("cert.pem")).unwrap();
    let (line, _) = certificate.split_once('\n').unwrap();
    fs::write(at("web01.cert"), format!("{line}\n{other}")).unwrap();
    faulty("is not RSA");
    fs::write(at("web01.cert"), &certificate).unwrap();
    fs::remove_file(at("web01.mf")).unwrap();
    faulty("signs nothing");
}

#[test]
fn a_key_is_taken_in_both_forms_and_only_with_its_own_certificate() {
    let identity = Identity::new("rsa:2048");
    let (key, traditional) = (identity.at("key.pem"), identity.at("traditional.pem"));
    tool::run("openssl", &["rsa", "-in", &key, "-traditional", "-out", &traditional]);
    assert!(String::from_utf8(identity.read("traditional.pem")).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    let signer = Signer::from_pem(&identity.read("traditional.pem"), &identity.read("cert.pem")).unwrap();
    assert_eq!(signer.subject(), "O=Example, CN=Builder");
    assert_eq!(format!("{signer:?}"), "Signer { subject: \"O=Example, CN=Builder\", .. }");

    let (other, curve) = (Identity::new("rsa:2048"), Identity::new("ec"));
    let both = |key: &Identity, certificate: &Identity| {
        Signer::from_pem(&key.read("key.pem"), &certificate.read("cert.pem")).unwrap_err()
    };
    assert!(matches!(both(&identity, &other), SignError::Mismatch(_)));
    assert!(matches!(both(&identity, &curve), SignError::Mismatch(_)));
    assert!(matches!(both(&curve, &curve), SignError::Key(_)));
    assert!(matches!(Signer::from_pem(b"", &identity.read("cert.pem")), Err(SignError::Key(_))));
    assert!(matches!(Signer::from_pem(&identity.read("key.pem"), b"x"), Err(SignError::Certificate(_))));
}

#[test]
fn a_certificate_file_holds_no_more_of_the_pem_than_certificates() {
    let identity = Identity::new("rsa:2048");
    let both = [identity.read("key.pem"), identity.read("cert.pem"), identity.read("cert.pem")].concat();
    let signer = Signer::from_pem(&both, &both).unwrap();
    let text = signer.sign("a.mf", b"manifest", DigestAlgorithm::Sha256).unwrap();
    assert!(!text.contains("PRIVATE"), "{text}");
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 2);
}
