//! Queries of Azure Resource Graph, with pages, quotas, and retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use postern_config::model::AzureReaderConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use super::AzureError;
use super::http::{HttpAnswer, HttpClient};
use super::token::AccessToken;

const PATH: &str = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01";
/// Rows of a page, the most that Resource Graph returns.
const PAGE: usize = 1_000;
/// Largest page in bytes. A row takes one or two kilobytes.
const LARGEST: usize = 32 << 20;
/// Most rows of a query. 25 million private endpoints would not fit into the limits of Azure, nor of this server.
const MOST_ROWS: usize = 500_000;
/// How often a page is requested if the service fails, and the pause before the second request. The pause doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// Longest time that a service may ask for before the next request. A longer one ends the reading.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Shortest pause after an answer that asked for one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Counters of a reader, for metrics.
#[derive(Debug, Default)]
pub(crate) struct GraphCounters {
    /// Requests to Resource Graph.
    pub queries: AtomicU64,
    /// Requests for a token.
    pub tokens: AtomicU64,
    /// Answers with status 429.
    pub throttled: AtomicU64,
}

/// Subscriptions that one query covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum QueryScope {
    Visible,
    Subscriptions(Vec<String>),
    ManagementGroups(Vec<String>),
}

/// Client of Resource Graph with its token and its knowledge of the quota.
pub(super) struct GraphClient {
    config: Arc<AzureReaderConfig>,
    http: HttpClient,
    token: Option<AccessToken>,
    /// Time before which the quota is used up.
    quota: Option<Instant>,
    counters: Arc<GraphCounters>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphAnswer {
    total_records: usize,
    data: Vec<Value>,
    #[serde(default)]
    result_truncated: Value,
    #[serde(default, rename = "$skipToken")]
    skip_token: Option<String>,
}

impl GraphClient {
    pub fn new(config: Arc<AzureReaderConfig>, counters: Arc<GraphCounters>) -> Self {
        Self { config, http: HttpClient::default(), token: None, quota: None, counters }
    }

    /// Returns all rows of a query, or an error if one is missing. `take` returns `None` for a row that cannot be used.
    pub async fn rows<T>(
        &mut self,
        query: &str,
        scope: &QueryScope,
        take: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<Option<T>>, AzureError> {
        let (mut rows, mut skip_token): (Vec<Option<T>>, Option<String>) = (Vec::new(), None);
        loop {
            let mut body = json!({"query": query, "options": {"$top": PAGE, "resultFormat": "objectArray"}});
            match scope {
                QueryScope::Visible => {}
                QueryScope::Subscriptions(ids) => body["subscriptions"] = json!(ids),
                QueryScope::ManagementGroups(names) => body["managementGroups"] = json!(names),
            }
            if let Some(token) = &skip_token {
                body["options"]["$skipToken"] = token.as_str().into();
            }
            let answer = self.page(body.to_string()).await?;
            let page: GraphAnswer = serde_json::from_slice(&answer).map_err(|error| AzureError::Unreadable(error.to_string()))?;
            let (is_empty, total) = (page.data.is_empty(), page.total_records);
            rows.extend(page.data.iter().map(&take));
            if rows.len() > MOST_ROWS {
                return Err(AzureError::Unreadable(format!("more than {MOST_ROWS} rows")));
            }
            match page.skip_token {
                Some(next) if !is_empty && skip_token.as_ref() != Some(&next) => skip_token = Some(next),
                Some(_) => return Err(AzureError::Incomplete { found: rows.len(), total }),
                None if rows.len() != total || is_true(&page.result_truncated) => {
                    return Err(AzureError::Incomplete { found: rows.len(), total });
                }
                None => return Ok(rows),
            }
        }
    }

    /// Returns the body of one page. It waits for the quota, obeys 429, and tries again if the service fails.
    async fn page(&mut self, body: String) -> Result<hyper::body::Bytes, AzureError> {
        let (mut tries, mut renewed) = (0, false);
        loop {
            let sent = self.send(body.clone()).await;
            let answer = match sent {
                Ok(answer) if answer.status.is_success() => return Ok(answer.body),
                Ok(answer) => answer,
                Err(error) => {
                    tries += 1;
                    if tries >= TRIES || !error.is_transient() {
                        return Err(error);
                    }
                    self.pause(PAUSE * 2_u32.pow(tries - 1)).await;
                    continue;
                }
            };
            match answer.status {
                StatusCode::UNAUTHORIZED if !renewed => {
                    // The token was revoked, or a clock is wrong.
                    (self.token, renewed) = (None, true);
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    self.counters.throttled.fetch_add(1, Relaxed);
                    let wait = retry_after(&answer.headers).unwrap_or(Duration::from_secs(5)).max(SHORTEST_PAUSE);
                    if wait > LONGEST_PAUSE {
                        return Err(failed(&answer));
                    }
                    self.pause(wait).await;
                }
                status if status.is_server_error() && tries + 1 < TRIES => {
                    tries += 1;
                    let usual = PAUSE * 2_u32.pow(tries - 1);
                    self.pause(retry_after(&answer.headers).filter(|wait| *wait <= LONGEST_PAUSE).unwrap_or(usual)).await;
                }
                _ => return Err(failed(&answer)),
            }
        }
    }

    async fn send(&mut self, body: String) -> Result<HttpAnswer, AzureError> {
        let token = match self.token.take().filter(|token| !token.is_stale()) {
            Some(token) => token,
            None => {
                self.counters.tokens.fetch_add(1, Relaxed);
                AccessToken::request(&self.config, &mut HttpClient::default()).await?
            }
        };
        let authorization = format!("Bearer {}", token.text);
        self.token = Some(token);
        if let Some(until) = self.quota.take() {
            tokio::time::sleep_until(until.into()).await;
        }
        self.counters.queries.fetch_add(1, Relaxed);
        let request = Request::builder().method(Method::POST).uri(format!("{}{PATH}", self.config.endpoint));
        let request = request.header(AUTHORIZATION, authorization).header(CONTENT_TYPE, "application/json").body(Full::from(body));
        let request = request.map_err(|error| AzureError::Settings(error.to_string()))?;
        let answer = self.http.send(request, LARGEST).await?;
        self.quota = exhausted(&answer.headers).map(|wait| Instant::now() + wait.min(LONGEST_PAUSE));
        Ok(answer)
    }

    /// Waits, with up to a tenth more, so that servers that were throttled together do not come back together.
    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time + time.mul_f64(rand::random_range(0.0..0.1))).await;
    }
}

fn failed(answer: &HttpAnswer) -> AzureError {
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    AzureError::Query { status: answer.status.as_u16(), message: reason(&told["error"]).chars().take(300).collect() }
}

/// Returns the reason for an error. The details have it, if there are any: the message above them differs each time.
fn reason(error: &Value) -> String {
    let told = |error: &Value| {
        let text = |key: &str| error[key].as_str().unwrap_or_default();
        format!("{} {}", text("code"), text("message")).trim().to_owned()
    };
    let details: Vec<String> = error["details"].as_array().into_iter().flatten().map(told).filter(|text| !text.is_empty()).collect();
    match details.is_empty() {
        true => told(error),
        false => details.join("; "),
    }
}

fn is_true(value: &Value) -> bool {
    value == "true" || value == true
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Returns the time until the quota is renewed, if the last query has used it up.
fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("x-ms-user-quota-remaining")?.trim() != "0" {
        return None;
    }
    let parts: Option<Vec<u64>> = text("x-ms-user-quota-resets-after")?.split(':').map(|part| part.trim().parse().ok()).collect();
    match parts?.as_slice() {
        [hours, minutes, seconds] => {
            Some(Duration::from_secs(hours.saturating_mul(3_600).saturating_add(minutes.saturating_mul(60)).saturating_add(*seconds)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_an_error_is_that_of_its_details() {
        let plain = json!({"code": "RateLimiting", "message": "Too many requests."});
        assert_eq!(reason(&plain), "RateLimiting Too many requests.");
        let message = "Please provide below info when asking for support: timestamp = 2026-02-03T04:05:06Z, correlationId = 0000";
        let detail = json!({"code": "NoValidSubscriptionsInQueryRequest", "message": "There are no valid subscriptions."});
        let told = reason(&json!({"code": "BadRequest", "message": message, "details": [detail, {}]}));
        assert_eq!(told, "NoValidSubscriptionsInQueryRequest There are no valid subscriptions.");
        assert!(AzureError::Query { status: 400, message: told }.is_forbidden());
        assert_eq!(reason(&Value::Null), "");
    }

    #[test]
    fn a_quota_that_is_used_up_is_waited_for() {
        let headers = |remaining: &'static str, after: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ms-user-quota-remaining", remaining.parse().unwrap());
            headers.insert("x-ms-user-quota-resets-after", after.parse().unwrap());
            headers
        };
        for (remaining, after, wait) in [
            ("14", "00:00:05", None),
            ("0", "00:00:05", Some(5)),
            ("0", "01:02:03", Some(3_723)),
            ("0", "soon", None),
            ("0", "18446744073709551615:1:1", Some(u64::MAX)),
        ] {
            assert_eq!(exhausted(&headers(remaining, after)), wait.map(Duration::from_secs), "{remaining} {after}");
        }
        assert_eq!(exhausted(&HeaderMap::new()), None);
    }
}
