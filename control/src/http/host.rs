//! The one `Host` that a request names.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Rejects a request that does not name exactly one host (RFC 9112 section 3.2): a proxy in front of this server might act on another one.
pub(crate) async fn require_one(request: Request, next: Next) -> Response {
    match fault(request.version(), request.headers()) {
        Some(detail) => Problem::new(StatusCode::BAD_REQUEST, detail).into_response(),
        None => next.run(request).await,
    }
}

fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("more than one `Host` header"),
        (None, _) if version == Version::HTTP_11 => Some("HTTP/1.1 needs a `Host` header"),
        (None, _) => None,
        (Some(host), None) => {
            let is_good = host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'));
            (!is_good).then_some("the `Host` header is not a host with an optional port")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_host() {
        for (version, hosts, is_good) in [
            (Version::HTTP_11, &["dns.contoso.com:8053"][..], true),
            (Version::HTTP_11, &["[2001:db8::1]:8053"], true),
            (Version::HTTP_11, &[""], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_11, &["one.test", "two.test"], false),
            (Version::HTTP_11, &["one.test", "one.test"], false),
            (Version::HTTP_10, &["one.test", "two.test"], false),
            (Version::HTTP_11, &["one.test, two.test"], false),
            (Version::HTTP_11, &["admin@one.test"], false),
            (Version::HTTP_11, &["one.test/path"], false),
        ] {
            let headers = hosts.iter().map(|host| (header::HOST, host.parse().unwrap())).collect();
            assert_eq!(fault(version, &headers).is_none(), is_good, "{version:?} {hosts:?}");
        }
    }
}
