//! Spans as OpenTelemetry traces, sent in batches by a thread of their own to a collector (OTLP over HTTP, protobuf).
//!
//! A collector that is away costs its traces and nothing else. `OTEL_EXPORTER_OTLP_HEADERS` adds headers, such as a
//! key (OpenTelemetry's specification of the protocol exporter).

use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::TraceConfig;
use crate::outbound;

/// How long the collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sender of traces; sends what is left when it is dropped.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn to(config: &TraceConfig) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.endpoint.as_str())
            .with_timeout(PATIENCE)
            .build()
            .context("build the sender of traces")?;
        let resource = Resource::builder()
            .with_service_name("hypervisord")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample))))
            .with_resource(resource)
            .build();
        Ok(Traces { provider })
    }

    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours = ["hypervisord", "hypersdk"].map(|target| (target, tracing::Level::DEBUG));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("hypersdk"))
            .with_filter(Targets::new().with_targets(ours))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// A client of its own thread's, since the batches are sent outside of the runtime.
fn client() -> anyhow::Result<reqwest::blocking::Client> {
    let build = || {
        let client = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(outbound::tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        anyhow::Ok(client)
    };
    // The blocking client refuses to be built on a thread of the runtime.
    std::thread::spawn(build).join().expect("building a client does not panic")
}
