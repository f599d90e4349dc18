//! Refusals as RFC 9457 has them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_zones::edit::Refusal;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request is refused (RFC 9457).
///
/// It is kept among the extensions of its response, so that an interface with another form of errors can write it in that form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is; `about:blank`: what the status says.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// HTTP status.
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    pub status: StatusCode,
    /// This very problem in words.
    pub detail: String,
    /// Each thing that is wrong with the request, where it can be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Fault>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where in the body: a JSON pointer (RFC 6901), or a parameter's name.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

impl Problem {
    /// A problem that its status explains.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self { kind: "about:blank", title, status, detail: detail.into(), errors: Vec::new() }
    }

    /// A problem of a kind of ours.
    pub fn of_kind(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, title, ..Self::new(status, detail) }
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The caller's key does not reach so far.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// Understood, and wrong.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = errors.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; ");
        let problem = Self::of_kind(StatusCode::UNPROCESSABLE_ENTITY, "urn:postern:problem:invalid", "The request is not valid", detail);
        Self { errors, ..problem }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoZone(_) => Self::not_found(detail),
            Refusal::Ambiguous { .. } => {
                Self::of_kind(StatusCode::CONFLICT, "urn:postern:problem:ambiguous-zone", "Several zones have that name", detail)
            }
            Refusal::ReadOnly { .. } => {
                Self::of_kind(StatusCode::CONFLICT, "urn:postern:problem:managed-elsewhere", "The zone has another writer", detail)
            }
            Refusal::Loss(_) => Self::of_kind(StatusCode::CONFLICT, "urn:postern:problem:loss", "The zone would lose its records", detail),
            Refusal::Exists(_) => Self::of_kind(StatusCode::CONFLICT, "urn:postern:problem:exists", "It exists already", detail),
            Refusal::Precondition { .. } => Self::new(StatusCode::PRECONDITION_FAILED, detail),
            Refusal::Unavailable { .. } | Refusal::Busy | Refusal::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
            Refusal::Invalid(refused) => {
                let fault = |refused: postern_zones::zone::Refused| Fault {
                    pointer: format!("/rrsets/{}", refused.change),
                    detail: refused.message,
                };
                Self::invalid(refused.into_iter().map(fault).collect())
            }
            Refusal::Panicked => Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail),
            Refusal::Journal(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postern\""));
        }
        say_when(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

/// Tells whoever may try again when: in a second, by which `api.rate` counts.
pub(crate) fn say_when(response: &mut Response) {
    if matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// Gives the refusals of the router itself (no such path, no such method) the same form.
pub(super) async fn fill_in(response: Response) -> Response {
    let detail = match response.status() {
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take that method; `Allow` lists those it takes",
        _ => return response,
    };
    if response.headers().contains_key(header::CONTENT_TYPE) {
        return response;
    }
    let mut problem = Problem::new(response.status(), detail).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
