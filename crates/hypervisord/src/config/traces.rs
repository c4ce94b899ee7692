//! Where traces go.

use url::Url;

use super::keys;
use super::read::{Reader, Values};
use crate::telemetry::{CAN_TRACE, TraceConfig};

/// The traces of the configuration; none without an endpoint.
pub(super) fn read(reader: &mut Reader<'_>, top: &Values) -> Option<TraceConfig> {
    let values = reader.below(top, "traces", &keys::TRACES);
    let sample = reader.value(&values, "sample", sample);
    let endpoint = reader.optional(&values, "endpoint", endpoint)?;
    Some(TraceConfig { endpoint, sample })
}

fn endpoint(text: &str) -> Result<Url, String> {
    if !CAN_TRACE {
        return Err("this build sends no traces; build hypervisord with --features otlp".to_owned());
    }
    let mut url = Url::parse(text).map_err(|error| {
        format!("{text:?} is not a URL ({error}); a collector listens at http://HOST:4318")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?} is not an http or https URL; a collector listens at http://HOST:4318"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong in it; give a header in OTEL_EXPORTER_OTLP_HEADERS".to_owned());
    }
    if url.path() == "/" {
        url.set_path("/v1/traces");
    }
    Ok(url)
}

fn sample(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err(format!("{text:?} is not a part of all traces, from 0 to 1")),
    }
}
