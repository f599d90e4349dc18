//! Refusals in the form of RFC 9457, and the HTTP status of each refusal.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_zones::edit::Refusal;
use serde::Serialize;
use utoipa::ToSchema;

/// Problem details of a rejected request (RFC 9457).
///
/// They are among the extensions of the response, so that an interface with another form of errors can write them in that form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Kind of the problem. `about:blank`: the status explains it.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// HTTP status.
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    pub status: StatusCode,
    /// This problem in words.
    pub detail: String,
    /// Each fault of the request, if its place is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<RequestFault>,
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Fault)]
pub struct RequestFault {
    /// Place in the body as a JSON pointer (RFC 6901), or the name of a parameter.
    pub pointer: String,
    /// The fault in words.
    pub detail: String,
}

impl Problem {
    /// A problem that its status explains.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self { kind: "about:blank", title, status, detail: detail.into(), errors: Vec::new() }
    }

    /// A problem of one of Postern's own kinds.
    pub fn of_kind(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, title, ..Self::new(status, detail) }
    }

    /// A problem with status 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// A problem with status 403: the caller's key lacks the scope.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// A problem with status 422 that lists these faults.
    pub fn invalid(errors: Vec<RequestFault>) -> Self {
        let detail = errors.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; ");
        let problem = Self::of_kind(StatusCode::UNPROCESSABLE_ENTITY, "urn:postern:problem:invalid", "The request is not valid", detail);
        Self { errors, ..problem }
    }
}

/// The HTTP status of a refusal. Every HTTP interface uses it.
pub(crate) fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NoZone(_) => StatusCode::NOT_FOUND,
        Refusal::Ambiguous { .. } | Refusal::ReadOnly { .. } | Refusal::Loss(_) | Refusal::Exists(_) => StatusCode::CONFLICT,
        Refusal::Precondition { .. } => StatusCode::PRECONDITION_FAILED,
        Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Unavailable { .. } | Refusal::Busy | Refusal::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Journal(_) => StatusCode::INSUFFICIENT_STORAGE,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, detail) = (status_of(&refusal), refusal.to_string());
        match refusal {
            Refusal::Ambiguous { .. } => {
                Self::of_kind(status, "urn:postern:problem:ambiguous-zone", "Several zones have that name", detail)
            }
            Refusal::ReadOnly { .. } => {
                Self::of_kind(status, "urn:postern:problem:managed-elsewhere", "The zone has another writer", detail)
            }
            Refusal::Loss(_) => Self::of_kind(status, "urn:postern:problem:loss", "The zone would lose its records", detail),
            Refusal::Exists(_) => Self::of_kind(status, "urn:postern:problem:exists", "It exists already", detail),
            Refusal::Invalid(refused) => {
                let fault = |refused: postern_zones::zone::ChangeError| RequestFault {
                    pointer: format!("/rrsets/{}", refused.change),
                    detail: refused.message,
                };
                Self::invalid(refused.into_iter().map(fault).collect())
            }
            _ => Self::new(status, detail),
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

/// Adds `Retry-After` to responses that invite another try. One second is the unit of `api.rate`.
pub(crate) fn say_when(response: &mut Response) {
    if matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// Gives the errors of the router itself (unknown path, unknown method) the same form.
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
