//! Schemas of fields that hold one of a few words, from the tables that reading and showing go by.

use hypersdk_core::{JobStatus, PackageState, Phase, PowerState};
use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::api::model::{ARCHIVE_COMPRESSIONS, FORMATS, MANIFEST_DIGESTS, POWER_POLICIES, VERIFY_MODES};
use crate::auth::Role;

/// One of these words.
pub(in crate::api) fn one_of<T: Into<String>>(words: impl IntoIterator<Item = T>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.into_iter().map(|word| serde_json::Value::String(word.into()))))
}

/// The words of a table.
pub(in crate::api) fn of_table<T>(table: &[(&'static str, T)]) -> RefOr<Schema> {
    one_of(table.iter().map(|(word, _)| *word)).into()
}

/// The words that values are written as.
pub(in crate::api) fn spelt<T: Serialize>(values: &[T]) -> RefOr<Schema> {
    let word = |value: &T| {
        serde_json::to_value(value)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    one_of(values.iter().map(word)).into()
}

pub(in crate::api) fn job_status() -> RefOr<Schema> {
    one_of(JobStatus::ALL.iter().map(|status| status.as_str())).into()
}

pub(in crate::api) fn package_state() -> RefOr<Schema> {
    one_of(PackageState::ALL.iter().map(|state| state.as_str())).into()
}

pub(in crate::api) fn phase() -> RefOr<Schema> {
    spelt(&[
        Phase::Queued,
        Phase::Preparing,
        Phase::Exporting,
        Phase::Finishing,
        Phase::Verifying,
        Phase::Done,
    ])
}

pub(in crate::api) fn power_state() -> RefOr<Schema> {
    spelt(&[PowerState::On, PowerState::Off, PowerState::Suspended])
}

pub(in crate::api) fn format() -> RefOr<Schema> {
    of_table(&FORMATS)
}

pub(in crate::api) fn manifest_digest() -> RefOr<Schema> {
    of_table(&MANIFEST_DIGESTS)
}

pub(in crate::api) fn verify_mode() -> RefOr<Schema> {
    of_table(&VERIFY_MODES)
}

pub(in crate::api) fn power_policy() -> RefOr<Schema> {
    of_table(&POWER_POLICIES)
}

/// Or `null`.
pub(in crate::api) fn archive_compression() -> RefOr<Schema> {
    let words = ARCHIVE_COMPRESSIONS.iter().map(|(word, _)| serde_json::Value::from(*word));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.chain([serde_json::Value::Null])))
        .into()
}

pub(in crate::api) fn verify_level() -> RefOr<Schema> {
    one_of(["headers", "structure", "full"]).into()
}

pub(in crate::api) fn role() -> RefOr<Schema> {
    one_of(Role::ALL.map(Role::as_str)).into()
}
