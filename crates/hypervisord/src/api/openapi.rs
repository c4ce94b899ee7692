//! `GET /openapi.json`, and `GET /docs` for people: both made from the handlers and their types.

mod page;
pub(super) mod words;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use sha2::{Digest, Sha256};
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response as Answer,
    ResponseBuilder, SecurityRequirement,
};
use utoipa_axum::router::OpenApiRouter;

use super::ApiState;
use super::access::{Least, TABLE};
use super::problem::{MEDIA_TYPE, ProblemView};

/// What every operation may answer beside what it says itself.
const ANYWHERE: [(&str, &str); 2] = [
    ("4XX", "The request is wrong, or not allowed; `errors` names the fields"),
    ("5XX", "The daemon or the source of the VMs failed; the cause is in the log, under `request_id`"),
];

/// Both texts, made once.
#[derive(Debug)]
struct Documents {
    json: Text,
    page: Text,
}

#[derive(Debug)]
struct Text {
    media_type: &'static str,
    etag: HeaderValue,
    text: bytes::Bytes,
}

impl Text {
    fn new(media_type: &'static str, text: String) -> Self {
        let digest = hex::encode(&Sha256::digest(text.as_bytes())[..16]);
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hexadecimal");
        Text { media_type, etag, text: text.into() }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == self.etag);
        let etag = (header::ETAG, self.etag.clone());
        let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if known {
            return (StatusCode::NOT_MODIFIED, [etag, cache]).into_response();
        }
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        ([etag, cache, kind], self.text.clone()).into_response()
    }
}

/// Puts the document's own routes beside those it describes.
pub(super) fn with_document(routes: OpenApiRouter<ApiState>) -> Router<ApiState> {
    let (router, described) = routes.split_for_parts();
    let document = complete(described);
    let documents = Arc::new(Documents {
        page: Text::new("text/html; charset=utf-8", page::render(&document)),
        json: Text::new("application/json", document.to_json().expect("a document is always JSON")),
    });
    let own =
        Router::new().route("/openapi.json", get(json)).route("/docs", get(docs)).layer(Extension(documents));
    router.merge(own)
}

async fn json(Extension(documents): Extension<Arc<Documents>>, headers: HeaderMap) -> Response {
    documents.json.answer(&headers)
}

async fn docs(Extension(documents): Extension<Arc<Documents>>, headers: HeaderMap) -> Response {
    let mut response = documents.page.answer(&headers);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// Adds what holds for every operation: problems, and who may ask for it.
fn complete(described: OpenApi) -> OpenApi {
    let info = InfoBuilder::new()
        .title("HyperSDK")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Exports of virtual machines as verified packages: jobs, schedules, webhooks."))
        .license(Some(
            LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build(),
        ))
        .build();
    let mut document = OpenApiBuilder::from(described).info(info).servers(None::<Vec<_>>).build();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Delete, &mut item.delete),
        ] {
            if let Some(operation) = operation {
                complete_operation(operation, name(&method), path);
            }
        }
    }
    let components = document.components.get_or_insert_default();
    let mut schemas = Vec::new();
    <ProblemView as utoipa::ToSchema>::schemas(&mut schemas);
    schemas.push(("Problem".to_owned(), <ProblemView as utoipa::PartialSchema>::schema()));
    components.schemas.extend(schemas);
    for (name, scheme) in [
        ("token", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build())),
        ("password", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build())),
        ("session", SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(crate::auth::COOKIE)))),
    ] {
        components.add_security_scheme(name, scheme);
    }
    document
}

fn complete_operation(operation: &mut Operation, method: &str, path: &str) {
    for (status, description) in ANYWHERE {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(problem(description)));
    }
    let least = TABLE
        .iter()
        .find(|(known, route, _)| *known == method && *route == path)
        .map_or(Least::Role(crate::auth::Role::Admin), |(.., least)| *least);
    let Least::Role(role) = least else {
        operation.security = Some(Vec::new());
        return;
    };
    operation.security = Some(
        ["token", "password", "session"]
            .map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()))
            .to_vec(),
    );
    let needs = format!("Needs the role `{role}` where `auth` is configured.");
    operation.description = Some(match operation.description.take() {
        Some(text) if !text.is_empty() => format!("{text}\n\n{needs}"),
        _ => needs,
    });
}

fn problem(description: &str) -> Answer {
    ResponseBuilder::new()
        .description(description)
        .content(MEDIA_TYPE, ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build())
        .build()
}

pub(super) fn name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        _ => "other",
    }
}
