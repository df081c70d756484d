//! Traces to an OpenTelemetry collector, over OTLP (http/protobuf), set up by OpenTelemetry's own
//! variables: `OTEL_EXPORTER_OTLP_ENDPOINT` switches it on.
//!
//! Spans are put together on a thread of the SDK's. It knows no runtime, so what it wants to send
//! is handed over to ours.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The variables that name a collector, the more special one first (OpenTelemetry's
/// specification, "OpenTelemetry Protocol Exporter").
const ENDPOINTS: [(&str, &str); 2] =
    [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces")];
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// An answer under way.
pub type Sending = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send>>;

/// Sends a request to the collector; called from a thread without a runtime.
pub type Post = Box<dyn Fn(Request<Bytes>) -> Sending + Send + Sync>;

/// The way to a collector.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
    transport: Transport,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error("`OTEL_EXPORTER_OTLP_ENDPOINT` cannot be used")]
pub struct ExporterError(#[source] opentelemetry_otlp::ExporterBuildError);

impl Exporter {
    /// The exporter that the environment asks for, if it does.
    ///
    /// # Errors
    ///
    /// Where what it says is no URL.
    pub fn of(environment: &[(String, String)]) -> Result<Option<Self>, ExporterError> {
        let read = |name: &str| {
            let found = environment.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.trim_end_matches('/'))
        };
        let endpoint =
            ENDPOINTS.iter().find_map(|(name, path)| Some(format!("{}{path}", read(name)?)));
        let Some(endpoint) = endpoint else { return Ok(None) };
        let transport = Transport::default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(transport.clone())
            .with_endpoint(endpoint)
            .build()
            .map_err(ExporterError)?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(read(SERVICE_NAME).unwrap_or("countersign").to_owned())
            .with_attribute(version);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Some(Self { provider, transport }))
    }

    /// What spans are given to.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("countersign")
    }

    /// From now on there is a way to send. Spans that end before wait for the next batch.
    pub fn send_by(&self, send: Post) {
        let _ = self.transport.0.set(send); // the first way stays
    }

    /// Sends what is left. Blocks, so that it must not be called on the runtime's own thread.
    pub fn finish(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::debug!(error = &error as &dyn std::error::Error, "spans were not all sent");
        }
    }
}

/// Makes a span part of the trace that a client names, by W3C's header or else by X-Ray's.
pub(super) fn adopt(span: &Span, headers: &HeaderMap) {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let parent =
        text("traceparent").and_then(w3c).or_else(|| text("x-amzn-trace-id").and_then(xray));
    if let Some(parent) = parent.filter(SpanContext::is_valid) {
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// `00-TRACE-SPAN-FLAGS` (W3C Trace Context, 3.2).
fn w3c(header: &str) -> Option<SpanContext> {
    let mut parts = header.trim().split('-');
    let (_version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    remote(trace, span, u8::from_str_radix(flags, 16).ok()? & 1 == 1)
}

/// `Root=1-8 digits-24 digits;Parent=16 digits;Sampled=1`.
fn xray(header: &str) -> Option<SpanContext> {
    let field = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name));
    let trace = field("Root=1-")?.replacen('-', "", 1);
    remote(&trace, field("Parent=")?, field("Sampled=") == Some("1"))
}

fn remote(trace: &str, span: &str, sampled: bool) -> Option<SpanContext> {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}

/// Sends for the SDK, once there is a way to.
#[derive(Clone, Default)]
struct Transport(Arc<OnceLock<Post>>);

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpClient for Transport {
    fn send_bytes<'a, 'f>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        match self.0.get() {
            Some(send) => send(request),
            None => Box::pin(std::future::ready(Err("there is no runtime yet".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceId};

    use super::{w3c, xray};

    #[test]
    fn reads_the_parent_of_either_header() {
        let parent = w3c("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let other =
            xray("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1");
        assert_eq!(other.as_ref(), Some(&parent));
        let trace = TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
        let span = SpanId::from_hex("00f067aa0ba902b7").unwrap();
        assert_eq!((parent.trace_id(), parent.span_id()), (trace, span));
        assert!(parent.is_sampled() && parent.is_remote());
    }

    #[test]
    fn what_names_no_parent_gives_none() {
        for odd in ["", "00-xyz-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736"] {
            assert!(w3c(odd).is_none(), "{odd}");
        }
        assert!(xray("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736").is_none());
    }
}
