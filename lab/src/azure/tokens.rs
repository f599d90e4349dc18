//! Tokens of the simulated IMDS and Entra ID.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::estate::EstateSettings;

/// Type of a client assertion (RFC 7523 section 2.2).
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Tokens that were issued.
#[derive(Debug, Default)]
pub(super) struct TokenDesk {
    issued: HashMap<String, Instant>,
    count: u64,
}

impl TokenDesk {
    /// Issues a token, and forgets expired ones.
    fn issue(&mut self, settings: &EstateSettings) -> (String, u64) {
        let now = Instant::now();
        self.issued.retain(|_, until| *until > now);
        self.count += 1;
        let token = format!("lab-token-{}", self.count);
        self.issued.insert(token.clone(), now + Duration::from_secs(settings.token_seconds));
        (token, settings.token_seconds)
    }

    /// Returns true if the token is valid now.
    pub fn accepts(&self, token: &str) -> bool {
        self.issued.get(token).is_some_and(|until| *until > Instant::now())
    }

    /// Answers as IMDS. `has_header` is set if the request has `Metadata: true`.
    pub fn of_machine(&mut self, query: &str, has_header: bool, settings: &EstateSettings) -> (u16, Value) {
        let bad = |words: &str| (400, json!({"error": "invalid_request", "error_description": words}));
        if !has_header {
            return bad("Required metadata header not specified");
        }
        let form = form(query);
        if !form.contains_key("api-version") || !form.contains_key("resource") {
            return bad("Required query variables `api-version` and `resource` are missing");
        }
        if form.get("client_id").is_some_and(|id| *id != settings.client_id) {
            return bad("Identity not found");
        }
        let (token, life) = self.issue(settings);
        let answer = json!({
            "access_token": token, "client_id": settings.client_id, "expires_in": life.to_string(), "ext_expires_in": life.to_string(),
            "resource": form["resource"], "token_type": "Bearer",
        });
        (200, answer)
    }

    /// Answers as Entra ID.
    pub fn of_application(&mut self, tenant: &str, body: &str, settings: &EstateSettings) -> (u16, Value) {
        let refused = |error: &str, words: &str| (401, json!({"error": error, "error_description": words}));
        let form = form(body);
        let at = |key: &str| form.get(key).map_or("", String::as_str);
        if tenant != settings.tenant {
            let words = format!("AADSTS90002: Tenant '{tenant}' not found.");
            return (400, json!({"error": "invalid_request", "error_description": words}));
        }
        if at("grant_type") != "client_credentials" || !at("scope").ends_with("/.default") {
            return (400, json!({"error": "unsupported_grant_type", "error_description": "AADSTS70003: Unsupported grant type."}));
        }
        if at("client_id") != settings.client_id {
            return refused("unauthorized_client", "AADSTS700016: Application was not found in the directory.");
        }
        let is_assertion = at("client_assertion_type") == ASSERTION;
        match (form.get("client_secret"), form.get("client_assertion")) {
            (Some(secret), None) if *secret != settings.client_secret => {
                refused("invalid_client", "AADSTS7000215: Invalid client secret provided.")
            }
            (None, Some(assertion)) if !is_assertion || assertion.split('.').count() != 3 => {
                refused("invalid_client", "AADSTS50027: JWT token is invalid or malformed.")
            }
            (Some(_), None) | (None, Some(_)) => {
                let (token, life) = self.issue(settings);
                (200, json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token}))
            }
            _ => refused("invalid_client", "AADSTS7000216: 'client_assertion' or 'client_secret' is required."),
        }
    }
}

/// Reads `application/x-www-form-urlencoded` text.
fn form(text: &str) -> HashMap<String, String> {
    let decode = |part: &str| {
        let mut octets = Vec::with_capacity(part.len());
        let mut rest = part.bytes();
        while let Some(octet) = rest.next() {
            octets.push(match octet {
                b'+' => b' ',
                b'%' => {
                    let digit = |octet: Option<u8>| octet.and_then(|octet| char::from(octet).to_digit(16)).unwrap_or(0);
                    (digit(rest.next()) * 16 + digit(rest.next())) as u8
                }
                octet => octet,
            });
        }
        String::from_utf8_lossy(&octets).into_owned()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (decode(key), decode(value))).collect()
}
