//! Refusals in the form of PowerDNS: `{"error": "…"}`, with a content type that every client reads.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_zones::edit::Refusal;
use postern_zones::zone::ChangeError;
use serde_json::json;

use crate::http::{Problem, say_when, status_of};

/// A rejected request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerDnsError {
    pub status: StatusCode,
    pub message: String,
}

impl PowerDnsError {
    /// A fault with status 422.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: message.into() }
    }

    /// A fault with status 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// A fault with status 404.
    pub fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: "Not Found".into() }
    }

    /// A fault with status 404 for a zone. Clients create a zone after no other status.
    pub fn no_zone(name: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("Could not find domain '{}.'", name.trim_end_matches('.')) }
    }

    /// A fault with status 403: the key lacks the scope.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.into() }
    }
}

/// Carries a fault through an edit. [`From<Refusal>`] gives it back.
impl From<PowerDnsError> for Refusal {
    fn from(fault: PowerDnsError) -> Self {
        Self::Invalid(vec![ChangeError { change: 0, message: fault.message }])
    }
}

impl From<Refusal> for PowerDnsError {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NoZone(name) => return Self::no_zone(name),
            // PowerDNS has 422 for all of them, and its clients know no other.
            Refusal::Ambiguous { .. } | Refusal::ReadOnly { .. } | Refusal::Precondition { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            other => status_of(other),
        };
        Self { status, message: refusal.to_string() }
    }
}

impl From<Problem> for PowerDnsError {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status, message: problem.detail }
    }
}

impl IntoResponse for PowerDnsError {
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
    fn a_refusal_that_is_no_fault_of_the_client_has_one_status_in_both_interfaces() {
        for (refusal, status) in [
            (Refusal::Panicked, 500),
            (Refusal::Unavailable { name: "contoso.test".into(), reason: "damaged".into() }, 503),
            (Refusal::Busy, 503),
            (Refusal::Journal("No space left on device".into()), 507),
        ] {
            assert_eq!(PowerDnsError::from(refusal.clone()).status.as_u16(), status, "{refusal}");
            assert_eq!(Problem::from(refusal.clone()).status.as_u16(), status, "{refusal}");
        }
    }

    #[test]
    fn what_may_be_tried_again_says_when_in_both_interfaces() {
        for (refusal, after) in [(Refusal::Busy, Some("1")), (Refusal::Stopped, Some("1")), (Refusal::Panicked, None)] {
            let own = Problem::from(refusal.clone()).into_response();
            for response in [own, PowerDnsError::from(refusal.clone()).into_response()] {
                let told = response.headers().get(header::RETRY_AFTER).map(|after| after.to_str().unwrap());
                assert_eq!(told, after, "{refusal}: {}", response.status());
            }
        }
    }
}
