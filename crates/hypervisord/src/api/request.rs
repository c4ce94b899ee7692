//! What `POST /jobs/submit` understands.

use std::num::NonZeroU64;
use std::path::PathBuf;

use hypersdk_core::{
    DiskSelection, ExportOptions, JobId, JobSpec, ManifestDigest, PackageFormat, ProviderName, Signing, VmId,
    VmSelector,
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields::Fields;
use super::model::{ARCHIVE_COMPRESSIONS, FORMATS, MANIFEST_DIGESTS, POWER_POLICIES, VERIFY_MODES};
use super::openapi::words;
use super::problem::{FieldError, Problem};
use crate::scheduling::PackageName;
use crate::submission::JobRequest;

/// Fields that version 0.2 read and that mean nothing any more.
const IGNORED: [&str; 5] = ["export_method", "method", "thin", "datacenter", "created_at"];

/// The least and the most bytes a chunk may have: 1 MiB, and 1 PiB.
const CHUNK_BYTES: (i64, i64) = (1 << 20, 1 << 50);

/// What `POST /jobs/submit` takes, for the document.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `entries` takes apart")]
pub(super) enum SubmitBody {
    One(Box<JobFields>),
    Several { jobs: Vec<JobFields> },
    List(Vec<JobFields>),
}

/// A job to be done. Fields that version 0.2 knew are ignored with a warning; any other is refused by name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `read` takes from its fields")]
pub(super) struct JobFields {
    /// An inventory path, a managed object id, or a glob
    #[schema(example = "/DC0/vm/prod/web01")]
    vm_path: String,
    /// An absolute path of an existing directory
    #[schema(required = false, example = "/srv/exports")]
    output_dir: String,
    /// Another name of `output_dir`
    #[schema(required = false)]
    output_path: String,
    /// Up to 128 of `A-Z a-z 0-9 . _ -`; made up if not given
    id: Option<String>,
    /// For people
    name: Option<String>,
    /// Which connection
    provider: Option<String>,
    /// The base name of the package's files; the VM's name if not given
    package_name: Option<String>,
    #[schema(required = false, schema_with = words::format)]
    format: String,
    #[schema(required = false)]
    compress: bool,
    #[schema(required = false, minimum = 0, maximum = 9)]
    compression_level: u8,
    #[schema(required = false)]
    cleanup_ovf: bool,
    #[schema(required = false, schema_with = words::manifest_digest)]
    manifest_digest: String,
    #[schema(required = false)]
    portable: bool,
    /// PEM files that the daemon can read
    sign: Option<SignFields>,
    #[schema(required = false, schema_with = words::archive_compression)]
    archive_compression: Option<String>,
    #[schema(required = false, schema_with = words::verify_mode)]
    verify: String,
    #[schema(required = false)]
    keep_partial: bool,
    #[schema(required = false)]
    overwrite: bool,
    /// Bytes of a piece of a disk file; only with format `ovf`
    chunk_size: Option<i64>,
    /// Higher goes first
    #[schema(required = false)]
    priority: i32,
    /// For whom it is: providers and submitters take turns
    submitter: Option<String>,
    /// Only a daemon that has all of them runs it
    #[schema(required = false)]
    labels: Vec<String>,
    /// Jobs that must be completed first
    #[schema(required = false)]
    after: Vec<String>,
    /// Further attempts after a failure that a retry can help; as configured if not given
    retry_attempts: Option<u32>,
    /// The wait before the first of them, such as `30s`
    retry_delay: Option<String>,
    /// The longest an attempt may take, such as `2h`
    timeout: Option<String>,
    options: Option<OptionFields>,
    /// Your own, kept and shown
    metadata: Option<Map<String, Value>>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `signing` takes from its fields")]
pub(super) struct SignFields {
    key: String,
    certificate: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `options` takes from its fields")]
pub(super) struct OptionFields {
    #[schema(required = false, schema_with = words::power_policy)]
    power: String,
    quiesce: Option<bool>,
}

/// A job as it was written, understood or not.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path in the body: empty if the body is the job, else `jobs[1]` or `[1]`.
    pub(super) path: String,
    pub(super) request: Result<JobRequest, Vec<FieldError>>,
    pub(super) warnings: Vec<String>,
}

/// Takes a body apart: one job, `{"jobs": [...]}`, or a bare list.
pub(super) fn entries(body: Value) -> Result<Vec<Entry>, Problem> {
    let (prefix, jobs) = match body {
        Value::Array(jobs) => ("", jobs),
        Value::Object(mut object) if object.contains_key("jobs") => {
            let jobs = object.remove("jobs");
            let others: Vec<FieldError> = object
                .keys()
                .map(|name| FieldError::new(name, "unknown field beside jobs; put it into each job"))
                .collect();
            if !others.is_empty() {
                return Err(Problem::invalid(others));
            }
            match jobs {
                Some(Value::Array(jobs)) => ("jobs", jobs),
                _ => return Err(Problem::invalid(vec![FieldError::new("jobs", "expected a list of jobs")])),
            }
        }
        Value::Object(_) => return Ok(vec![entry(String::new(), body)]),
        _ => return Err(Problem::malformed("expected a job, a list of jobs, or {\"jobs\": [...]}")),
    };
    if jobs.is_empty() {
        return Err(Problem::invalid(vec![FieldError::new("jobs", "the list is empty")]));
    }
    Ok(jobs.into_iter().enumerate().map(|(index, job)| entry(format!("{prefix}[{index}]"), job)).collect())
}

/// The job of a schedule's template, whose own path is `path`.
pub(super) fn template(path: &str, job: Value) -> Result<JobSpec, Vec<FieldError>> {
    let JobRequest { id, spec } = entry(path.to_owned(), job).request?;
    if id.is_some() {
        let message = "each run makes identifiers of its own; leave it out";
        return Err(vec![FieldError::new(format!("{path}.id"), message)]);
    }
    if let Err(message) = PackageName::of(spec.package_name.as_deref(), spec.overwrite) {
        return Err(vec![FieldError::new(format!("{path}.package_name"), message)]);
    }
    Ok(spec)
}

fn entry(path: String, job: Value) -> Entry {
    let mut warnings = Vec::new();
    let request = match Fields::open(&path, job) {
        Ok(fields) => read(fields, &mut warnings),
        Err(error) => Err(vec![error]),
    };
    Entry { path, request, warnings }
}

fn read(mut fields: Fields, warnings: &mut Vec<String>) -> Result<JobRequest, Vec<FieldError>> {
    let vm_given = fields.take("vm_path");
    let vm = match &vm_given {
        Some(Value::String(text)) => match text.parse::<VmSelector>() {
            Ok(vm) => Some(vm),
            Err(error) => {
                fields.wrong("vm_path", error.to_string());
                None
            }
        },
        Some(_) => {
            fields.wrong("vm_path", "expected a text");
            None
        }
        None => {
            fields.wrong("vm_path", "is missing: give an inventory path, a managed object id or a glob");
            None
        }
    };
    let output_dir = output_dir(&mut fields);
    let id = fields.parsed("id", |text| text.parse::<JobId>().map_err(|error| error.to_string()));
    let provider =
        fields.parsed("provider", |text| text.parse::<ProviderName>().map_err(|error| error.to_string()));
    // What is missing is noted by now, so the stand-ins are never used.
    let vm = vm.unwrap_or_else(|| VmSelector::Id(VmId::new("")));
    let mut spec = JobSpec::new(vm, output_dir.unwrap_or_default());
    spec.provider = provider;
    spec.name = fields.text("name");
    spec.package_name = fields.parsed("package_name", package_name);
    spec.format = fields.word("format", &FORMATS).unwrap_or(spec.format);
    spec.compress = fields.boolean("compress").unwrap_or(spec.compress);
    spec.compression_level = fields
        .integer("compression_level", 0, 9)
        .and_then(|level| u8::try_from(level).ok())
        .unwrap_or(spec.compression_level);
    spec.cleanup_ovf = fields.boolean("cleanup_ovf").unwrap_or(spec.cleanup_ovf);
    spec.manifest_digest = fields.word("manifest_digest", &MANIFEST_DIGESTS).unwrap_or(spec.manifest_digest);
    spec.portable = fields.boolean("portable").unwrap_or(spec.portable);
    spec.archive_compression = fields.word("archive_compression", &ARCHIVE_COMPRESSIONS);
    if spec.archive_compression.is_some() && !spec.format.is_archive() {
        fields.wrong(
            "archive_compression",
            "compresses an archive as a whole; use it with format ova, or leave it out",
        );
    }
    spec.chunk_size = chunk_size(&mut fields, spec.format);
    spec.sign = signing(&mut fields, spec.manifest_digest);
    spec.verify = fields.word("verify", &VERIFY_MODES).unwrap_or(spec.verify);
    spec.keep_partial = fields.boolean("keep_partial").unwrap_or(spec.keep_partial);
    spec.overwrite = fields.boolean("overwrite").unwrap_or(spec.overwrite);
    spec.priority = fields
        .integer("priority", i64::from(i32::MIN), i64::from(i32::MAX))
        .and_then(|number| i32::try_from(number).ok())
        .unwrap_or(spec.priority);
    spec.labels = fields.texts("labels").unwrap_or_default().into_iter().collect();
    for wrong in spec.labels.iter().filter(|label| !is_label(label)) {
        fields.wrong("labels", format!("{wrong:?}: {LABEL_SHAPE}"));
    }
    spec.submitter = fields.parsed("submitter", |text| match is_label(text) {
        true => Ok(text.to_owned()),
        false => Err(LABEL_SHAPE.to_owned()),
    });
    for text in fields.texts("after").unwrap_or_default() {
        match text.parse::<JobId>() {
            Ok(id) => spec.after.push(id),
            Err(error) => fields.wrong("after", error.to_string()),
        }
    }
    spec.retry_attempts =
        fields.integer("retry_attempts", 0, 100).and_then(|number| u32::try_from(number).ok());
    spec.retry_delay_ms = fields.parsed("retry_delay", millis);
    spec.timeout_ms = fields.parsed("timeout", millis);
    spec.options = options(&mut fields);
    spec.metadata = fields.object("metadata").unwrap_or_default();
    if fields.take("vcenter").is_some() {
        fields.wrong(
            "vcenter",
            "a connection for one job is not available in this build; configure it under providers and name it in provider",
        );
    }
    for name in IGNORED {
        if fields.take(name).is_some() {
            warnings.push(format!("{} is ignored: it has no meaning since version 0.3", fields.path(name)));
        }
    }
    let errors = fields.close();
    if errors.is_empty() { Ok(JobRequest { id, spec }) } else { Err(errors) }
}

fn chunk_size(fields: &mut Fields, format: PackageFormat) -> Option<NonZeroU64> {
    let bytes = fields.integer("chunk_size", CHUNK_BYTES.0, CHUNK_BYTES.1)?;
    if format != PackageFormat::Ovf {
        fields.wrong(
            "chunk_size",
            "cuts the disks of an OVF directory into several files; use it with format ovf, or leave it out",
        );
    }
    u64::try_from(bytes).ok().and_then(NonZeroU64::new)
}

/// What labels and submitters look like.
pub(crate) const LABEL_SHAPE: &str = "use 1 to 64 of the characters A-Z a-z 0-9 . _ - @ /";

pub(crate) fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@/".contains(&byte))
}

fn millis(text: &str) -> Result<u64, String> {
    let duration = crate::config::parse_duration(text)?;
    u64::try_from(duration.as_millis()).map_err(|_| format!("{text:?} is too long"))
}

fn signing(fields: &mut Fields, digest: ManifestDigest) -> Option<Signing> {
    let object = fields.object("sign")?;
    if digest == ManifestDigest::Sha1 {
        fields.wrong("sign", "a SHA-1 manifest cannot be signed; use manifest_digest sha256 or sha512");
    }
    match Fields::open(&fields.path("sign"), Value::Object(object)) {
        Ok(mut inner) => {
            let mut file = |name| {
                if !inner.has(name) {
                    inner.wrong(name, "is missing: give the absolute path of a PEM file");
                }
                inner.parsed(name, |text| {
                    let path = PathBuf::from(text);
                    if path.is_absolute() {
                        Ok(path)
                    } else {
                        Err(format!("{text:?} is not an absolute path"))
                    }
                })
            };
            let (key, certificate) = (file("key"), file("certificate"));
            fields.adopt(inner.close());
            Some(Signing { key: key?, certificate: certificate? })
        }
        Err(error) => {
            fields.adopt(vec![error]);
            None
        }
    }
}

fn output_dir(fields: &mut Fields) -> Option<String> {
    let dir = fields.text("output_dir");
    let path = fields.text("output_path");
    match (dir, path) {
        (Some(dir), Some(path)) if dir != path => {
            fields.wrong("output_path", "is another name of output_dir, which says something else");
            None
        }
        (None, None) => {
            fields.wrong("output_dir", "is missing: give an absolute path of an existing directory");
            None
        }
        (dir, path) => dir.or(path),
    }
}

fn package_name(text: &str) -> Result<String, String> {
    let legal = !text.is_empty()
        && text.len() <= 80
        && !text.starts_with(['.', ' '])
        && !text.ends_with([' ', '.'])
        && !text.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !text.chars().any(char::is_control);
    if legal {
        Ok(text.to_owned())
    } else {
        Err("give a file name of at most 80 bytes, without path and without extension".to_owned())
    }
}

fn options(fields: &mut Fields) -> ExportOptions {
    let mut options = ExportOptions::default();
    let Some(object) = fields.object("options") else { return options };
    match Fields::open(&fields.path("options"), Value::Object(object)) {
        Ok(mut inner) => {
            options.power = inner.word("power", &POWER_POLICIES).unwrap_or_default();
            options.quiesce = inner.boolean("quiesce").unwrap_or_default();
            options.restore_power = inner.boolean("restore_power").unwrap_or(options.restore_power);
            options.remove_cdrom = inner.boolean("remove_cdrom").unwrap_or_default();
            include_snapshots(&mut inner);
            options.disks = disks(&mut inner);
            fields.adopt(inner.close());
        }
        Err(error) => fields.adopt(vec![error]),
    }
    options
}

/// Accepts only what a package can be: the present state.
fn include_snapshots(fields: &mut Fields) {
    match fields.take("include_snapshots") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::String(word)) if word.eq_ignore_ascii_case("no") => {}
        Some(_) => fields.wrong(
            "include_snapshots",
            "an OVF package holds no snapshots; write no, or leave it out, and the present state is exported",
        ),
    }
}

/// `disks: {include: [...], exclude: [...]}`, each a label, a file name or a number.
fn disks(fields: &mut Fields) -> DiskSelection {
    let mut selection = DiskSelection::default();
    let Some(object) = fields.object("disks") else { return selection };
    match Fields::open(&fields.path("disks"), Value::Object(object)) {
        Ok(mut inner) => {
            selection.include = names(&mut inner, "include");
            selection.exclude = names(&mut inner, "exclude");
            fields.adopt(inner.close());
        }
        Err(error) => fields.adopt(vec![error]),
    }
    selection
}

fn names(fields: &mut Fields, name: &'static str) -> Vec<String> {
    const EXPECTED: &str =
        "expected a list of disks: labels (Hard disk 1), file names (disk-0.vmdk) or numbers from 0";
    let items = match fields.take(name) {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    let mut names = Vec::new();
    for item in items {
        match item {
            Value::String(text) if !text.trim().is_empty() => names.push(text),
            Value::Number(number) if number.is_u64() => names.push(number.to_string()),
            _ => {
                fields.wrong(name, EXPECTED);
                return Vec::new();
            }
        }
    }
    names
}
