//! Access tokens: from the metadata service of the machine (IMDS), or from Entra ID.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postern_config::model::{AzureIdentity, AzureReaderConfig};
use serde::Deserialize;
use serde_json::Value;

use super::AzureError;
use super::http::HttpClient;

/// Largest answer with a token in bytes. Tokens of an identity with many groups have some kilobytes.
const LARGEST: usize = 256 << 10;
/// A token is renewed this long before it expires, or when a quarter of its life is left.
const MARGIN: Duration = Duration::from_secs(300);
/// Type of an assertion (RFC 7523 section 2.2), percent-encoded.
const ASSERTION: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

/// A token for Azure Resource Manager.
pub(super) struct AccessToken {
    pub text: String,
    renew: Instant,
}

/// Answer of IMDS, whose numbers are strings, and of Entra ID.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Value,
}

impl AccessToken {
    /// Returns true if the token should be renewed before it is used again.
    pub fn is_stale(&self) -> bool {
        Instant::now() >= self.renew
    }

    /// Requests a token.
    pub async fn request(config: &AzureReaderConfig, http: &mut HttpClient) -> Result<Self, AzureError> {
        let (request, now) = (request(config)?, Instant::now());
        let answer = http.send(request, LARGEST).await?;
        if !answer.status.is_success() {
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let message = told["error_description"].as_str().or(told["error"].as_str()).unwrap_or("no reason given");
            // The trace and correlation IDs after it differ each time.
            let message = message.lines().next().unwrap_or_default().split(" Trace ID:").next().unwrap_or_default();
            let message = message.chars().take(300).collect();
            return Err(AzureError::Token { status: answer.status.as_u16(), message });
        }
        let read: TokenAnswer =
            serde_json::from_slice(&answer.body).map_err(|error| AzureError::Unreadable(format!("a token: {error}")))?;
        let life = read.expires_in.as_u64().or_else(|| read.expires_in.as_str()?.parse().ok());
        let life = Duration::from_secs(life.ok_or_else(|| AzureError::Unreadable("a token without `expires_in`".into()))?.min(7 * 86_400));
        Ok(Self { text: read.access_token, renew: now + life - MARGIN.min(life / 4) })
    }
}

fn request(config: &AzureReaderConfig) -> Result<Request<Full<Bytes>>, AzureError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let authority = &config.authority;
    let (tenant, form) = match &config.identity {
        AzureIdentity::Managed { client_id } => {
            let client = client_id.as_ref().map_or(String::new(), |id| format!("&client_id={}", encoded(id)));
            let resource = encoded(config.audience);
            let url = format!("{authority}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{client}");
            let request = Request::builder().uri(url).header("Metadata", "true").body(Full::default());
            return request.map_err(|error| AzureError::Settings(error.to_string()));
        }
        AzureIdentity::Workload { tenant, client_id, token_file } => {
            let needed = |key: &str, name: &str, value: Option<String>| {
                value.or_else(|| variable(name)).ok_or_else(|| AzureError::Settings(format!("neither `{key}` nor {name} is set")))
            };
            let tenant = needed("tenant", "AZURE_TENANT_ID", tenant.clone())?;
            let client = needed("client-id", "AZURE_CLIENT_ID", client_id.clone())?;
            let file = token_file.as_ref().map(|path| path.display().to_string());
            let token = read(needed("token-file", "AZURE_FEDERATED_TOKEN_FILE", file)?.into())?;
            let form = format!("client_id={}&client_assertion_type={ASSERTION}&client_assertion={}", encoded(&client), encoded(&token));
            (tenant, form)
        }
        AzureIdentity::Secret { tenant, client_id, secret_file } => {
            let secret = read(secret_file.clone())?;
            (tenant.clone(), format!("client_id={}&client_secret={}", encoded(client_id), encoded(&secret)))
        }
    };
    let scope = encoded(&format!("{}/.default", config.audience));
    let form = format!("grant_type=client_credentials&scope={scope}&{form}");
    let request = Request::builder().method(Method::POST).uri(format!("{authority}/{}/oauth2/v2.0/token", encoded(&tenant)));
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(Full::from(form));
    request.map_err(|error| AzureError::Settings(error.to_string()))
}

/// Returns the content of a file with a secret, without white space around it.
fn read(path: PathBuf) -> Result<String, AzureError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(AzureError::Settings(format!("{}: {error}", path.display()))),
    }
}

fn encoded(text: &str) -> String {
    // A GUID is easier to recognize in a trace with its hyphens.
    const KEPT: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}
