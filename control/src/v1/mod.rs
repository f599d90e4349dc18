//! `/v1`: zones and records as Postern has them.
//!
//! A route and its description are one thing ([`utoipa_axum::routes`]): what is served is what `/v1/openapi.json` says.
//!
//! * [`zones`]: which zones there are; made, set, given up; what happened to them
//! * [`rrsets`]: the records, RRset by RRset or many at once
//! * [`files`]: records from and to files
//! * [`server`]: networks, reload
//! * [`explain`]: why a question has the answer it has
//! * [`fallbacks`], [`stream`]: what went public, mended and muted; the same as it happens
//! * [`cache`], [`status`]: what upstreams said, and how the server and its upstreams are
//! * [`parameters`]: which query parameters an endpoint takes
//! * [`records`], [`change`]: how records are written in JSON, and what came of a change

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::BodyExt;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{Problem, RequestFault, Shared};

mod cache;
mod change;
mod explain;
mod fallbacks;
mod files;
mod parameters;
mod records;
mod rrsets;
mod server;
mod status;
mod stream;
mod zones;

/// The document without its paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Postern",
        description = "Zones and records of a Postern server.\n\nNames are given absolute, with the final dot. They are taken with it \
                       or without: a name without it that does not lie in the zone is relative to the zone, `@` is the zone itself. \
                       RDATA is in presentation format (RFC 1035 section 5.1), but text without quotes is one string and `;` starts no comment. A \
                       name in it is absolute with its final dot, and relative to the zone if it is one label; any other is rejected.\n\nUnknown query parameters and \
                       unknown members are rejected. `-` and `_` are the same in the name of a parameter.\n\nA zone is named \
                       `name`, or `name@network` where several have one name. Errors are those of RFC 9457."
    ),
    components(schemas(RequestFault)),
    modifiers(&Keys),
    security((), ("bearer" = []), ("key" = []))
)]
struct Api;

struct Keys;

impl utoipa::Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    }
}

/// The routes, and the document that describes them.
pub(crate) fn routes() -> Router<Shared> {
    let (router, document) = described();
    let known = parameters::KnownParameters::of(&document);
    let check = axum::middleware::from_fn(move |request, next| parameters::check(known.clone(), request, next));
    let router = router.layer(axum::middleware::from_fn(change::unless_known)).layer(check);
    let document = Arc::new(document);
    let router = router.route("/v1/openapi.json", axum::routing::get(async move || Json(document.as_ref().clone())));
    router.layer(axum::middleware::map_response(end_line))
}

/// Ends JSON with a newline, so that the prompt of a shell does not stick to it.
async fn end_line(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !matches!(kind, "application/json" | "application/problem+json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() }; // it is in memory as a whole
    let mut text = Vec::from(body.to_bytes());
    let length = parts.headers.remove(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match (text.is_empty(), length) {
        (false, _) => text.push(b'\n'),
        // The answer to HEAD has the length of the one to GET.
        (true, Some(length)) if length > 0 => drop(parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length + 1))),
        (true, _) => {}
    }
    Response::from_parts(parts, text.into())
}

/// Every route with its description.
fn described() -> (Router<Shared>, Document) {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(zones::list, zones::create))
        .routes(routes!(zones::show, zones::set, zones::remove))
        .routes(routes!(zones::history))
        .routes(routes!(rrsets::list, rrsets::change))
        .routes(routes!(rrsets::show, rrsets::put, rrsets::patch, rrsets::remove))
        .routes(routes!(files::import))
        .routes(routes!(files::export))
        .routes(routes!(server::networks))
        .routes(routes!(server::reload))
        .routes(routes!(explain::explain))
        .routes(routes!(fallbacks::list))
        .routes(routes!(fallbacks::create))
        .routes(routes!(fallbacks::muted, fallbacks::mute, fallbacks::unmute))
        .routes(routes!(stream::stream))
        .routes(routes!(cache::look, cache::flush))
        .routes(routes!(status::status))
        .routes(routes!(status::upstreams))
        .routes(routes!(status::configuration))
        .split_for_parts()
}

/// The ways in which every request may be refused.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code)] // read by the description alone
pub(crate) enum Refusals {
    /// It cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(#[to_schema] Problem),
    /// No key, or none that is known.
    #[response(status = 401, content_type = "application/problem+json")]
    Unknown(#[to_schema] Problem),
    /// The key does not reach so far.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    Missing(#[to_schema] Problem),
    /// It took too long.
    #[response(status = 408, content_type = "application/problem+json")]
    Slow(#[to_schema] Problem),
    /// Something else writes the zone, the zone exists, or its name alone does not say which one is meant.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] Problem),
    /// The condition of `If-Match` or `If-None-Match` is not met.
    #[response(status = 412, content_type = "application/problem+json")]
    Precondition(#[to_schema] Problem),
    /// The body is longer than `api.max-body`.
    #[response(status = 413, content_type = "application/problem+json")]
    Large(#[to_schema] Problem),
    /// The body is of a kind that is not taken.
    #[response(status = 415, content_type = "application/problem+json")]
    Kind(#[to_schema] Problem),
    /// It breaks a rule of zones; each thing that is wrong is listed.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] Problem),
    /// More than `api.rate` requests a second.
    #[response(status = 429, content_type = "application/problem+json")]
    Often(#[to_schema] Problem),
    /// The zone's journal cannot be read, too many changes wait, or the server is stopping.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] Problem),
    /// The journal cannot be written.
    #[response(status = 507, content_type = "application/problem+json")]
    Full(#[to_schema] Problem),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_document_refers_to_is_in_it() {
        fn references<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
            found.extend(value["$ref"].as_str());
            value.as_object().into_iter().flatten().for_each(|(_, value)| references(value, found));
            value.as_array().into_iter().flatten().for_each(|value| references(value, found));
        }
        let document = serde_json::to_value(described().1).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_operation_has_words_and_an_id_of_its_own() {
        let (_, document) = described();
        let document = serde_json::to_value(document).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["summary"].as_str().is_some_and(|words| words.ends_with('.')), "{method} {path}");
                ids.push(operation["operationId"].as_str().unwrap().to_owned());
                for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                    let parameters = operation["parameters"].as_array().unwrap();
                    assert!(parameters.iter().any(|parameter| parameter["name"] == name), "{method} {path}");
                }
            }
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
