//! `/v1`: zones and records as Postern has them.
//!
//! A route and its description are one thing ([`utoipa_axum::routes`]): what is served is what `/v1/openapi.json` says.

use axum::extract::State;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use utoipa::openapi::OpenApi as Document;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Control;
use crate::http::{Caller, Problem, Shared};

#[derive(OpenApi)]
#[openapi(info(title = "Postern", description = "Zones and records of a Postern server."))]
struct Api;

/// The routes, and the document that describes them.
pub(crate) fn routes() -> Router<Shared> {
    let (router, document) = described();
    let document = Arc::new(document);
    router.route("/v1/openapi.json", axum::routing::get(async move || Json(document.as_ref().clone())))
}

/// Every route with its description.
fn described() -> (Router<Shared>, Document) {
    OpenApiRouter::with_openapi(Api::openapi()).routes(routes!(networks)).split_for_parts()
}

/// A network.
#[derive(Debug, Serialize, ToSchema)]
struct Network {
    /// Its name; `default` is everybody else.
    name: String,
}

/// The networks of the configuration.
#[utoipa::path(get, path = "/v1/networks", responses((status = 200, body = [Network]), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn networks(caller: Caller, State(control): State<Arc<Control>>) -> Result<Json<Vec<Network>>, Problem> {
    caller.must_see_all()?;
    let state = control.state.load();
    Ok(Json(state.snapshot.networks().map(|(_, network)| Network { name: network.name.to_string() }).collect()))
}
