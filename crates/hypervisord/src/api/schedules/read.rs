//! What `POST /schedules` and `PUT /schedules/{id}` understand.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, Utc, Weekday};
use hypersdk_core::{JobSpec, ScheduleId};
use hypersdk_sched::{Blackout, CatchUp, Cron, NewSchedule, Retention, ScheduleSpec, Tz, Window};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::catalogue::RulesView;
use super::super::fields::Fields;
use super::super::problem::FieldError;
use super::super::request;
use super::view::{CATCH_UPS, DAYS, OVERLAPS, catch_up_words, overlap_words};
use crate::config::{nearest, parse_duration};

/// The longest jitter.
const MOST_JITTER: Duration = Duration::from_secs(24 * 3600);

/// The most packages that a rule can keep.
const MOST_KEPT: i64 = 100_000;

/// Identifiers that are words of the API.
const RESERVED: [&str; 1] = ["preview"];

/// What `POST /schedules` takes, for the document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `request` takes from its fields")]
pub(super) struct ScheduleFields {
    /// Up to 128 of `A-Z a-z 0-9 . _ -`; made up if not given
    #[schema(example = "daily-backup")]
    id: Option<String>,
    /// For people; the id if not given
    name: Option<String>,
    description: Option<String>,
    #[schema(required = false)]
    tags: Vec<String>,
    #[serde(flatten)]
    times: TimesFields,
    enabled: Option<bool>,
    /// What `POST /jobs/submit` takes, without `id`
    job_template: request::JobFields,
    /// What happens while the last run goes on
    #[schema(required = false, schema_with = overlap_words)]
    overlap: String,
    #[schema(required = false)]
    catch_up: CatchUpFields,
    /// Up to so long later, such as `10m`; at most a day
    jitter: Option<String>,
    /// It is switched off after so many failures in a row
    #[schema(minimum = 1, maximum = 1000000)]
    max_failures: Option<i64>,
    /// Which of its packages are kept; all if not given
    retention: Option<RulesView>,
    /// With `PUT`: only if it is still at this one
    #[schema(minimum = 1)]
    revision: Option<i64>,
}

/// The times of a schedule. Whatever else belongs to one may be there.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `times` takes from its fields")]
pub(super) struct TimesFields {
    /// A cron expression: minute, hour, day of the month, month, day of the week
    #[schema(example = "0 2 * * *")]
    schedule: String,
    /// Such as `Europe/Berlin`; UTC if not given
    timezone: Option<String>,
    /// Only times in one of them count
    #[schema(required = false)]
    windows: Vec<WindowFields>,
    /// Times in any of them come to nothing
    #[schema(required = false)]
    blackouts: Vec<BlackoutFields>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `window` takes from its fields")]
struct WindowFields {
    /// `mon` to `sun`; all if not given
    #[schema(required = false, example = json!(["sat", "sun"]))]
    days: Vec<String>,
    /// A time of day
    #[schema(example = "22:00")]
    from: String,
    /// A time of day, of the next day if it is not later than `from`
    #[schema(example = "06:00")]
    to: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `blackout` takes from its fields")]
struct BlackoutFields {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    reason: Option<String>,
}

/// What happens to times that went by while no daemon ran.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `catch_up` understands")]
enum CatchUpFields {
    /// The policy alone
    Word(String),
    Limited {
        #[schema(schema_with = catch_up_words)]
        policy: String,
        /// With `all`: of the newest so many
        #[schema(minimum = 1, maximum = 10000)]
        limit: Option<i64>,
    },
}

/// A schedule as it was asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: Option<ScheduleId>,
    pub(super) spec: ScheduleSpec,
    pub(super) enabled: Option<bool>,
    pub(super) revision: Option<i64>,
}

/// Reads a template again, when it fires.
pub(crate) fn read_template(template: &Map<String, Value>) -> Result<JobSpec, Vec<String>> {
    let read = request::template("job_template", Value::Object(template.clone()));
    read.map_err(|errors| {
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
    })
}

/// Reads a schedule that did not come over the API, by the same rules.
pub(crate) fn read_schedule(body: Value) -> Result<NewSchedule, Vec<String>> {
    let said = |error: FieldError| format!("{}: {}", error.field, error.message);
    let request = request(body).map_err(|errors| errors.into_iter().map(said).collect::<Vec<_>>())?;
    let id = request.id.ok_or_else(|| vec!["id: is missing".to_owned()])?;
    Ok(NewSchedule { id, spec: request.spec, enabled: request.enabled.unwrap_or(true) })
}

pub(super) fn request(body: Value) -> Result<Request, Vec<FieldError>> {
    let mut fields = Fields::open("", body).map_err(|error| vec![error])?;
    let id = fields.parsed("id", |text| match RESERVED.contains(&text) {
        true => Err(format!("{text:?} is a word of the API; choose another id")),
        false => text.parse::<ScheduleId>().map_err(|error| error.to_string()),
    });
    let given_name = fields.parsed("name", |text| match text.chars().any(char::is_control) {
        true => Err("has a control character in it; leave it out".to_owned()),
        false => Ok(text.to_owned()),
    });
    let name = given_name.or_else(|| id.as_ref().map(ToString::to_string)).unwrap_or_default();
    let template = match fields.has("job_template") {
        true => fields.object("job_template"),
        false => {
            fields.take("job_template");
            fields.wrong(
                "job_template",
                "is missing: give what POST /jobs/submit takes, such as vm_path and output_dir",
            );
            None
        }
    };
    if let Some(template) = &template
        && let Err(errors) = request::template("job_template", Value::Object(template.clone()))
    {
        fields.adopt(errors);
    }
    let enabled = fields.boolean("enabled");
    let revision = fields.integer("revision", 1, i64::MAX);
    // What is missing is noted by now, so the stand-in is never used.
    let mut spec = ScheduleSpec::new(name, midnight(), template.unwrap_or_default());
    spec.description = fields.text("description").unwrap_or_default();
    spec.tags = texts(&mut fields, "tags");
    read_times(&mut fields, &mut spec);
    spec.overlap = fields.word("overlap", &OVERLAPS).unwrap_or_default();
    spec.catch_up = catch_up(&mut fields);
    spec.jitter = duration(&mut fields, "jitter").unwrap_or_default();
    spec.max_failures =
        fields.integer("max_failures", 1, 1_000_000).and_then(|number| u32::try_from(number).ok());
    spec.retention = retention(&mut fields);
    let errors = fields.close();
    if !errors.is_empty() {
        return Err(errors);
    }
    check_times(&spec)?;
    Ok(Request { id, spec, enabled, revision })
}

/// Only the times of a schedule; whatever else belongs to one may be there.
pub(super) fn times(body: Value) -> Result<ScheduleSpec, Vec<FieldError>> {
    let mut fields = Fields::open("", body).map_err(|error| vec![error])?;
    for name in [
        "id",
        "name",
        "description",
        "tags",
        "job_template",
        "enabled",
        "revision",
        "overlap",
        "catch_up",
        "jitter",
        "max_failures",
        "retention",
    ] {
        fields.take(name);
    }
    let mut spec = ScheduleSpec::new("", midnight(), Map::new());
    read_times(&mut fields, &mut spec);
    let errors = fields.close();
    if !errors.is_empty() {
        return Err(errors);
    }
    check_times(&spec)?;
    Ok(spec)
}

fn midnight() -> Cron {
    "@daily".parse().expect("a shorthand")
}

fn read_times(fields: &mut Fields, spec: &mut ScheduleSpec) {
    if !fields.has("schedule") {
        fields.wrong(
            "schedule",
            "is missing: give a cron expression such as \"0 2 * * *\" (every day at 02:00)",
        );
    }
    if let Some(cron) =
        fields.parsed("schedule", |text| text.parse::<Cron>().map_err(|error| error.to_string()))
    {
        spec.schedule = cron;
    }
    if let Some(zone) = fields.parsed("timezone", zone) {
        spec.timezone = zone;
    }
    spec.windows = each(fields, "windows", window);
    spec.blackouts = each(fields, "blackouts", blackout);
}

/// A schedule that can never fire is a mistake.
fn check_times(spec: &ScheduleSpec) -> Result<(), Vec<FieldError>> {
    let now = Utc::now();
    if spec.next_after(now).is_some() {
        return Ok(());
    }
    Err(vec![match spec.windows.is_empty() {
        true => FieldError::new("schedule", "no time is left before the year 2100"),
        false => {
            FieldError::new("windows", "no time of the schedule lies in any of them; widen them or move it")
        }
    }])
}

fn zone(text: &str) -> Result<Tz, String> {
    text.parse::<Tz>().map_err(|_| {
        let known = hypersdk_sched::TZ_VARIANTS.iter().map(|zone| zone.name());
        match nearest(text, known) {
            Some(near) => format!("{text:?} is no time zone; did you mean {near}?"),
            None => format!("{text:?} is no time zone; use a name such as Europe/Berlin or UTC"),
        }
    })
}

fn texts(fields: &mut Fields, name: &'static str) -> Vec<String> {
    let mut found = Vec::new();
    match fields.take(name) {
        None => {}
        Some(Value::Array(values)) => {
            for value in values {
                match value {
                    Value::String(text) => found.push(text),
                    other => fields.wrong(name, format!("expected a list of texts, found {other} in it")),
                }
            }
        }
        Some(_) => fields.wrong(name, "expected a list of texts"),
    }
    found
}

/// A list of objects, each read by `read`.
fn each<T>(fields: &mut Fields, name: &'static str, read: fn(&mut Fields) -> Option<T>) -> Vec<T> {
    let mut found = Vec::new();
    match fields.take(name) {
        None => {}
        Some(Value::Array(values)) => {
            for (index, value) in values.into_iter().enumerate() {
                match Fields::open(&format!("{}[{index}]", fields.path(name)), value) {
                    Ok(mut inner) => {
                        found.extend(read(&mut inner));
                        fields.adopt(inner.close());
                    }
                    Err(error) => fields.adopt(vec![error]),
                }
            }
        }
        Some(_) => fields.wrong(name, "expected a list of objects"),
    }
    found
}

fn window(fields: &mut Fields) -> Option<Window> {
    let mut days = Vec::new();
    for text in texts(fields, "days") {
        match DAYS.iter().find(|(name, _)| *name == text.to_ascii_lowercase()) {
            Some((_, day)) => days.push(*day),
            None => {
                fields.wrong("days", format!("{text:?} is no day; use mon, tue, wed, thu, fri, sat, sun"))
            }
        }
    }
    days.sort_by_key(Weekday::num_days_from_monday);
    let mut time = |name: &'static str| {
        if !fields.has(name) {
            fields.wrong(name, "is missing: give a time such as 22:00");
        }
        fields.parsed(name, |text| {
            let parsed = NaiveTime::parse_from_str(text, "%H:%M")
                .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
            parsed.map_err(|_| format!("{text:?} is no time of day; write one such as 22:00"))
        })
    };
    let (from, to) = (time("from"), time("to"));
    Some(Window { days, from: from?, to: to? })
}

fn blackout(fields: &mut Fields) -> Option<Blackout> {
    let mut instant = |name: &'static str| {
        if !fields.has(name) {
            fields.wrong(name, "is missing: give an instant such as 2026-12-24T00:00:00Z");
        }
        fields.parsed(name, |text| {
            let parsed = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
            parsed.map_err(|_| format!("{text:?} is no instant; write one such as 2026-12-24T00:00:00Z"))
        })
    };
    let (from, to) = (instant("from"), instant("to"));
    let reason = fields.text("reason").unwrap_or_default();
    let (from, to) = (from?, to?);
    if from >= to {
        fields.wrong("to", "is not later than from");
        return None;
    }
    Some(Blackout { from, to, reason })
}

/// A word, or `{"policy": "all", "limit": 20}`.
fn catch_up(fields: &mut Fields) -> CatchUp {
    let with_limit = |policy: CatchUp, limit: Option<u32>| match (policy, limit) {
        (CatchUp::All { limit }, given) => CatchUp::All { limit: given.unwrap_or(limit) },
        (other, _) => other,
    };
    let Some(value) = fields.take("catch_up") else { return CatchUp::default() };
    let object = match value {
        Value::Object(object) => object,
        policy => Map::from_iter([("policy".to_owned(), policy)]),
    };
    match Fields::open(&fields.path("catch_up"), Value::Object(object)) {
        Ok(mut inner) => {
            let words = CATCH_UPS;
            let policy = inner.word("policy", &words).unwrap_or_default();
            let limit = inner.integer("limit", 1, 10_000).and_then(|limit| u32::try_from(limit).ok());
            if limit.is_some() && !matches!(policy, CatchUp::All { .. }) {
                inner.wrong("limit", "belongs to the policy all");
            }
            fields.adopt(inner.close());
            with_limit(policy, limit)
        }
        Err(error) => {
            fields.adopt(vec![error]);
            CatchUp::default()
        }
    }
}

/// Which packages are kept. A rule that is not there keeps nothing; at least one must be.
fn retention(fields: &mut Fields) -> Option<Retention> {
    let object = fields.object("retention")?;
    let mut inner = match Fields::open(&fields.path("retention"), Value::Object(object)) {
        Ok(inner) => inner,
        Err(error) => {
            fields.adopt(vec![error]);
            return None;
        }
    };
    let mut count =
        |name: &'static str| inner.integer(name, 1, MOST_KEPT).and_then(|number| u32::try_from(number).ok());
    let mut retention = Retention {
        keep_last: count("keep_last"),
        keep_daily: count("keep_daily"),
        keep_weekly: count("keep_weekly"),
        keep_monthly: count("keep_monthly"),
        keep_yearly: count("keep_yearly"),
        min_free: None,
    };
    retention.min_free = inner.integer("min_free", 1, i64::MAX).and_then(|bytes| u64::try_from(bytes).ok());
    let errors = inner.close();
    if errors.is_empty() && retention == Retention::default() {
        let rules = "keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, min_free";
        fields.wrong("retention", format!("has no rule: give at least one of {rules}, or leave it out"));
    }
    fields.adopt(errors);
    Some(retention)
}

fn duration(fields: &mut Fields, name: &'static str) -> Option<Duration> {
    fields.parsed(name, |text| {
        let duration = parse_duration(text)?;
        if duration > MOST_JITTER { Err("is longer than a day".to_owned()) } else { Ok(duration) }
    })
}
