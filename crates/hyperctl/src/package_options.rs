//! What a package is to be: the same flags for a job of the daemon and for `export --direct`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The form of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageFormat {
    /// One file that every importer reads.
    Ova,
    /// A directory with a descriptor.
    Ovf,
    /// A directory of the disks alone.
    Vmdk,
    /// A directory of qcow2 disks.
    Qcow2,
    /// A directory of raw, sparse disks.
    Raw,
}

/// How the finished archive is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Archive {
    /// Read everywhere.
    Gzip,
    /// Denser, on all cores.
    Zstd,
}

/// What to do about a VM that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// Export it from a temporary snapshot.
    Snapshot,
    /// Leave it alone, and fail if it runs.
    Keep,
    /// Have its guest shut down.
    Shutdown,
    /// Switch it off hard.
    Poweroff,
}

/// How a finished package is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Bytes as they pass, and the finished structure.
    Structure,
    /// Every byte again, and every grain inflated.
    Full,
}

/// What the package is to be.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Package")]
pub struct PackageOptions {
    /// The form of the package.
    #[arg(long, value_enum, default_value = "ova")]
    pub format: PackageFormat,
    /// Deflate the disks anew on all cores; every importer reads the result.
    #[arg(long)]
    pub compress: bool,
    /// How hard to deflate, 0 to 9 (6 if not given).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9), requires = "compress")]
    pub compression_level: Option<u8>,
    /// Compress the finished archive as a whole; importers must unwrap it first.
    #[arg(long, value_enum, value_name = "HOW")]
    pub archive_compression: Option<Archive>,
    /// The base name of the package's files; the VM's name if not given.
    #[arg(long, value_name = "NAME")]
    pub package_name: Option<String>,
    /// Replace a package of the same name.
    #[arg(long)]
    pub overwrite: bool,
    /// Leave vendor sections out of the descriptor.
    #[arg(long)]
    pub portable: bool,
    /// Leave an OVF directory beside the OVA.
    #[arg(long)]
    pub keep_ovf: bool,
    /// How the finished package is checked.
    #[arg(long, value_enum, value_name = "HOW", default_value = "structure")]
    pub verify: Check,
    /// What to do about a VM that runs.
    #[arg(long, value_enum, value_name = "HOW", default_value = "snapshot")]
    pub power: Power,
    /// Ask the guest to flush its file systems before the snapshot.
    #[arg(long)]
    pub quiesce: bool,
    /// Leave a VM off that was stopped for the export.
    #[arg(long)]
    pub leave_off: bool,
    /// Leave images of virtual drives out of the package.
    #[arg(long)]
    pub remove_cdrom: bool,
    /// Export only this disk: its label, its file's name or its number from 0. May be repeated.
    #[arg(long, value_name = "DISK")]
    pub include_disk: Vec<String>,
    /// Leave this disk out. May be repeated.
    #[arg(long, value_name = "DISK")]
    pub exclude_disk: Vec<String>,
    /// Sign the manifest with this RSA key in PEM.
    #[arg(long, value_name = "FILE", requires = "sign_certificate")]
    pub sign_key: Option<PathBuf>,
    /// The key's certificate in PEM.
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    pub sign_certificate: Option<PathBuf>,
}

impl PackageOptions {
    /// The fields of a submission, with nothing that stands at its default; the words are the API's and
    /// those of the libraries alike.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("format", json!(self.format));
        for (name, on) in
            [("compress", self.compress), ("overwrite", self.overwrite), ("portable", self.portable)]
        {
            if on {
                set(name, json!(true));
            }
        }
        if self.keep_ovf {
            set("cleanup_ovf", json!(false));
        }
        if let Some(level) = self.compression_level {
            set("compression_level", json!(level));
        }
        if let Some(how) = self.archive_compression {
            set("archive_compression", json!(how));
        }
        if let Some(name) = &self.package_name {
            set("package_name", json!(name));
        }
        if self.verify == Check::Full {
            set("verify", json!(self.verify));
        }
        if let (Some(key), Some(certificate)) = (&self.sign_key, &self.sign_certificate) {
            set("sign", json!({ "key": key, "certificate": certificate }));
        }
        let options = self.export_options();
        if !options.is_empty() {
            set("options", Value::Object(options));
        }
        fields
    }

    /// How the VM is treated, again without what stands at its default.
    fn export_options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        let mut set = |name: &str, value: Value| options.insert(name.to_owned(), value);
        if self.power != Power::Snapshot {
            set("power", json!(self.power));
        }
        if self.leave_off {
            set("restore_power", json!(false));
        }
        for (name, on) in [("quiesce", self.quiesce), ("remove_cdrom", self.remove_cdrom)] {
            if on {
                set(name, json!(true));
            }
        }
        if !self.include_disk.is_empty() || !self.exclude_disk.is_empty() {
            set("disks", json!({ "include": self.include_disk, "exclude": self.exclude_disk }));
        }
        options
    }
}
