//! Query parameters: those that the description does not list are rejected, and `-` and `_` are the same in their names.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request};
use axum::http::uri::PathAndQuery;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi as Document;

use super::rrsets::bad_parameter;
use crate::http::{Identity, Problem, one_of, part};

/// The query parameters of each endpoint, by method and path.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownParameters(Arc<HashMap<(String, String), Vec<String>>>);

impl KnownParameters {
    /// The parameters that the document describes.
    pub fn of(document: &Document) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let mut known = HashMap::new();
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let names = parameters.filter(|parameter| parameter["in"] == "query").filter_map(|parameter| parameter["name"].as_str());
                known.insert((method.to_uppercase(), path.clone()), names.map(str::to_owned).collect());
            }
        }
        Self(Arc::new(known))
    }

    /// The request with its parameters under the names that handlers read.
    fn checked(&self, mut request: Request) -> Result<Request, Problem> {
        let is_known_caller = request.extensions().get::<Identity>().is_none_or(|identity| identity.0.is_ok());
        let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
        let Some(path) = path.filter(|_| is_known_caller && request.uri().query().is_some()) else { return Ok(request) };
        let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
        let Some(known) = self.0.get(&(method.to_owned(), path)) else { return Ok(request) };
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(mut pairs) = query.map_err(|rejection| bad_parameter("query", rejection.body_text()))?;
        let mut problem: Option<Problem> = None;
        for (name, _) in &mut pairs {
            let plain = name.replace('-', "_");
            match known.contains(&plain) {
                true => *name = plain,
                false => {
                    let found = bad_parameter(name, format!("unknown parameter{}", one_of(&plain, known)));
                    match &mut problem {
                        Some(problem) => problem.errors.extend(found.errors),
                        None => problem = Some(found),
                    }
                }
            }
        }
        match problem {
            Some(problem) => Err(problem),
            None => {
                *request.uri_mut() = with_query(request.uri(), &pairs)?;
                Ok(request)
            }
        }
    }
}

/// Rejects a request with a parameter that its endpoint does not have, before anything is done.
pub(super) async fn check(known: KnownParameters, request: Request, next: Next) -> Response {
    match known.checked(request) {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn with_query(uri: &Uri, pairs: &[(String, String)]) -> Result<Uri, Problem> {
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", part(name), part(value))).collect();
    let mut parts = uri.clone().into_parts();
    let unreadable = |error: String| bad_parameter("query", error);
    let path_and_query = PathAndQuery::try_from(format!("{}?{}", uri.path(), query.join("&")));
    parts.path_and_query = Some(path_and_query.map_err(|error| unreadable(error.to_string()))?);
    Uri::from_parts(parts).map_err(|error| unreadable(error.to_string()))
}
