//! How packages look on the wire.

use chrono::{DateTime, Utc};
use hypersdk_core::{Package, PackageState};
use hypersdk_sched::Retention;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::model::ResultView;
use crate::api::openapi::words;
use crate::retention::Verdict;

/// A package. Its `id` is that of the job that made it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PackageView {
    id: String,
    job_id: String,
    #[schema(schema_with = words::package_state)]
    state: PackageState,
    /// Why it is in that state
    reason: Option<String>,
    vm_name: String,
    vm_path: String,
    provider: Option<String>,
    job_name: Option<String>,
    /// The schedule that made it
    schedule_id: Option<String>,
    /// The time that the schedule fired for
    planned_at: Option<DateTime<Utc>>,
    #[schema(schema_with = words::format)]
    format: &'static str,
    output_dir: String,
    /// The main file
    path: String,
    total_size: u64,
    checksum: String,
    completed_at: DateTime<Utc>,
    /// When it was last checked, by its job or since
    verified_at: Option<DateTime<Utc>>,
    verification: Option<VerificationView>,
    updated_at: DateTime<Utc>,
    /// What its job made; not in lists
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    result: Option<ResultView>,
}

/// What the last check found.
#[derive(Debug, Serialize, ToSchema)]
struct VerificationView {
    /// Whether nothing was wrong
    ok: bool,
    #[schema(schema_with = words::verify_level)]
    level: &'static str,
    /// The first fault
    fault: Option<String>,
}

impl PackageView {
    /// As in a list.
    pub(super) fn brief(package: &Package) -> Self {
        let Package { id, spec, outcome, completed_at, verification, state, reason, updated_at, .. } =
            package;
        PackageView {
            id: id.to_string(),
            job_id: id.to_string(),
            state: *state,
            reason: reason.clone(),
            vm_name: outcome.vm_name.clone(),
            vm_path: spec.vm.to_string(),
            provider: spec.provider.as_ref().map(ToString::to_string),
            job_name: spec.name.clone(),
            schedule_id: spec.schedule.as_ref().map(|by| by.id.to_string()),
            planned_at: spec.schedule.as_ref().map(|by| by.planned_at),
            format: spec.format.as_str(),
            output_dir: outcome.output_dir.clone(),
            path: outcome.ovf_path.clone(),
            total_size: outcome.total_size,
            checksum: outcome.checksum.clone(),
            completed_at: *completed_at,
            verified_at: verification.as_ref().map(|verification| verification.at),
            verification: verification.as_ref().map(|verification| VerificationView {
                ok: verification.is_ok(),
                level: verification.level.as_str(),
                fault: verification.fault.clone(),
            }),
            updated_at: *updated_at,
            result: None,
        }
    }

    /// With everything.
    pub(super) fn whole(package: &Package) -> Self {
        PackageView { result: Some(ResultView::from(&package.outcome)), ..PackageView::brief(package) }
    }
}

/// A package and what the rules say of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JudgedView {
    id: String,
    vm_name: String,
    vm_path: String,
    path: String,
    total_size: u64,
    planned_at: Option<DateTime<Utc>>,
    completed_at: DateTime<Utc>,
    /// The rules that keep it, or a sentence
    why: String,
}

impl From<&Verdict> for JudgedView {
    fn from(verdict: &Verdict) -> Self {
        let Verdict { package, why, .. } = verdict;
        JudgedView {
            id: package.id.to_string(),
            vm_name: package.outcome.vm_name.clone(),
            vm_path: package.spec.vm.to_string(),
            path: package.outcome.ovf_path.clone(),
            total_size: package.outcome.total_size,
            planned_at: package.spec.schedule.as_ref().map(|by| by.planned_at),
            completed_at: package.completed_at,
            why: why.clone(),
        }
    }
}

/// Which packages of a schedule are kept.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RulesView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keep_last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keep_daily: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keep_weekly: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keep_monthly: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keep_yearly: Option<u32>,
    /// Bytes
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    min_free: Option<u64>,
}

impl From<Retention> for RulesView {
    fn from(rules: Retention) -> Self {
        let Retention { keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_free } = rules;
        RulesView { keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_free }
    }
}
