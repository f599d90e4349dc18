//! The HTTP API of PowerDNS Authoritative, version 1, as far as the clients in use need it.
//!
//! ExternalDNS, octoDNS, dnscontrol, lego, lexicon, Terraform's providers and PowerDNS-Admin speak it unchanged: base `/api/v1`, server
//! `localhost`, the key as `X-API-Key`. Behind it is the same store, the same journal and the same audit as behind `/v1`; a client that
//! needs what is Postern's own (networks, policies, dry runs, fallbacks) uses that one.
//!
//! ```text
//! request ─ key ─ id ─▶ zone ─┬─ read ──────────────────▶ answer (zone, RRsets, export)
//!                             └─ read body ─▶ draft ─▶ one edit of the zone ─▶ 204, serials
//! ```
//!
//! | | |
//! |---|---|
//! | `GET /api`, `/api/v1`, `/servers`, `/servers/localhost` | what this is |
//! | `GET /zones`, `POST /zones` | list; make, from RRsets or the text of a zone file |
//! | `GET`, `PATCH`, `PUT`, `DELETE /zones/{id}` | read; change RRsets (REPLACE, DELETE, EXTEND, PRUNE); settings, or all RRsets; give up |
//! | `PUT /zones/{id}/notify`, `/axfr-retrieve`, `/rectify` | tells secondaries; transfers a secondary zone; nothing, for none is signed |
//! | `GET /zones/{id}/export` | a zone file |
//! | `/zones/{id}/metadata[/{kind}]` | SOA-EDIT-API and `X-…`; ALLOW-AXFR-FROM and ALSO-NOTIFY for an admin |
//! | `GET /zones/{id}/cryptokeys` | none: zones are not signed here |
//! | `GET /config`, `/statistics`, `/search-data` | what clients ask to know what is served; what is counted; a search with `*` and `?` |
//! | `PUT /cache/flush` | forgets upstream data |
//! | `GET /tsigkeys`, `/autoprimaries` | none: they are named in the configuration file |
//!
//! **Zones.** All hosted zones are listed and read; those of the configuration's files are refused for writing, with 422 and the file's
//! name. A zone that is made here is linked to all networks, or to one: `"name": "contoso.test.@hub"`. Several zones of one name have ids
//! with their network, `contoso.test.@hub`; while a name is unique, the name is the id.
//!
//! **Records.** What a client writes is what it reads: content that PowerDNS takes in more than one spelling is kept as it was written, TXT
//! in its exact quoted form. Comments, records that are not served (`disabled`), account and metadata are kept in the zone's journal; a
//! request changes them and the records as one. ALIAS and LUA records are refused.
//!
//! **Serials** move as SOA-EDIT-API says, and only where data is different; never back. A SOA that is made has MINIMUM 10, as Azure's.
//!
//! A comment that cites "rule N" means the test `rule_N_…` in `tests/powerdns/rules.rs`: the rules that keep clients working.
//!
//! Reading order: `zones` (what a request does), `draft` and `patch` (RRsets on their way in), `answer` (on their way out), `content` (RDATA
//! as text), `id`, `find`, `settings`, `serial`, then the small ones.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::Value;
use tower_http::compression::CompressionLayer;

use crate::http::{self, Caller, ErrorForm, Interface, Problem, Shared};
use fault::PowerDnsError;

mod answer;
mod content;
mod create;
mod draft;
mod fault;
mod find;
mod id;
mod metadata;
mod patch;
mod read;
mod search;
mod serial;
mod server;
mod settings;
mod zones;

/// Path of the one server.
const SERVER: &str = "/api/v1/servers/localhost";

/// Returns the interface. Its clients read errors of the listener (too many requests, a body too large) in no form but their own.
pub(crate) fn interface() -> Interface {
    let write = |problem: &Problem| PowerDnsError::from(problem.clone()).into_response();
    Interface { router: routes(), errors: Some(ErrorForm { segment: "api", write }) }
}

fn routes() -> Router<Shared> {
    let zone = Router::new()
        .route("/", get(zones::get).patch(zones::patch).put(zones::put).delete(zones::remove))
        .route("/notify", put(zones::notify))
        .route("/rectify", put(zones::rectify))
        .route("/axfr-retrieve", put(zones::retrieve))
        .route("/export", get(zones::export))
        .route("/cryptokeys", get(zones::cryptokeys))
        .route("/metadata", get(metadata::list).post(metadata::add))
        .route("/metadata/{kind}", get(metadata::get).put(metadata::set).delete(metadata::remove));
    let server = Router::new()
        .route("/", get(server::get))
        .route("/config", get(server::config))
        .route("/statistics", get(server::statistics))
        .route("/search-data", get(search::search))
        .route("/cache/flush", put(server::flush))
        .route("/tsigkeys", get(server::none))
        .route("/autoprimaries", get(server::none))
        .route("/zones", get(zones::list).post(zones::create))
        .nest("/zones/{id}", zone);
    let api = Router::new()
        .route("/", get(server::versions))
        .route("/v1", get(server::features))
        .route("/v1/servers", get(server::list))
        .nest("/v1/servers/localhost", server)
        .fallback(async || PowerDnsError::not_found())
        .method_not_allowed_fallback(async || PowerDnsError {
            status: StatusCode::METHOD_NOT_ALLOWED,
            message: "Method Not Allowed".into(),
        })
        .layer(CompressionLayer::new());
    Router::new().nest("/api", api)
}

/// Who asks; whoever has no valid key is told so in the form of this interface.
struct Asked(Caller);

/// The zone's id in the path.
struct ZoneId(String);

/// The zone's id in the path, and what follows.
struct ZoneIdAnd(String, String);

/// Parameters behind the question mark.
struct Parameters(zones::Pairs);

/// A JSON body, whatever its content type says; with GET it is not looked at (rule 4).
struct Json(Value);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = PowerDnsError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PowerDnsError> {
        Ok(Self(Caller::from_request_parts(parts, state).await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ZoneId {
    type Rejection = PowerDnsError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PowerDnsError> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let mut path = path.map_err(|rejection| PowerDnsError::bad_request(rejection.body_text()))?;
        Ok(Self(path.remove("id").unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ZoneIdAnd {
    type Rejection = PowerDnsError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PowerDnsError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, what)) = path.map_err(|rejection| PowerDnsError::bad_request(rejection.body_text()))?;
        Ok(Self(id, what))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = PowerDnsError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PowerDnsError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = query.map_err(|rejection| PowerDnsError::bad_request(rejection.body_text()))?;
        Ok(Self(pairs.into_iter().rev().collect())) // the first of each name counts
    }
}

impl FromRequest<Shared> for Json {
    type Rejection = PowerDnsError;

    async fn from_request(request: Request<Body>, shared: &Shared) -> Result<Self, PowerDnsError> {
        let bytes = http::read(request, shared).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| PowerDnsError::bad_request(format!("the body is not JSON: {error}")))
    }
}

/// An answer in JSON. The content type has nothing behind it, for there are clients that compare it as a whole (rule 9).
fn json(status: StatusCode, json: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}

fn must_be_admin(caller: &Caller) -> Result<(), PowerDnsError> {
    caller.must_be_admin().map_err(|problem: Problem| problem.into())
}

fn must_see_all(caller: &Caller) -> Result<(), PowerDnsError> {
    caller.must_see_all().map_err(|problem: Problem| problem.into())
}
