//! Refusals as PowerDNS words them: `{"error": "…"}`, with a content type that every client reads.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_zones::edit::Refusal;
use postern_zones::zone::Refused;
use serde_json::json;

use crate::http::{Problem, say_when};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub status: StatusCode,
    pub message: String,
}

impl Fault {
    /// Understood, and wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: message.into() }
    }

    /// Not understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// There is no such thing.
    pub fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: "Not Found".into() }
    }

    /// There is no such zone: 404, for clients make a zone on that alone.
    pub fn no_zone(name: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("Could not find domain '{}.'", name.trim_end_matches('.')) }
    }

    /// The key does not reach so far.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.into() }
    }
}

/// For edits: it comes back as it is, by [`From<Refusal>`].
impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Invalid(vec![Refused { change: 0, message: fault.message }])
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NoZone(name) => return Self::no_zone(name),
            Refusal::Exists(_) | Refusal::Loss(_) => StatusCode::CONFLICT,
            Refusal::Ambiguous { .. } | Refusal::ReadOnly { .. } | Refusal::Precondition { .. } | Refusal::Invalid(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Refusal::Unavailable { .. } | Refusal::Journal(_) | Refusal::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::Busy | Refusal::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, message: refusal.to_string() }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status, message: problem.detail }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = super::json(self.status, json!({ "error": self.message }).to_string());
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("X-API-Key realm=\"PowerDNS\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        say_when(&mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panicked_is_a_fault_of_the_server_in_both_interfaces() {
        assert_eq!(Fault::from(Refusal::Panicked).status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(Problem::from(Refusal::Panicked).status, StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn what_may_be_tried_again_says_when_in_both_interfaces() {
        for (refusal, after) in [(Refusal::Busy, Some("1")), (Refusal::Stopped, Some("1")), (Refusal::Panicked, None)] {
            let own = Problem::from(refusal.clone()).into_response();
            for response in [own, Fault::from(refusal.clone()).into_response()] {
                let told = response.headers().get(header::RETRY_AFTER).map(|after| after.to_str().unwrap());
                assert_eq!(told, after, "{refusal}: {}", response.status());
            }
        }
    }
}
