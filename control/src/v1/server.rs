//! Operations on the server as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use postern_config::model::NetworkLinks;
use postern_zones::edit::ZoneRef;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Refusals;
use crate::Control;
use crate::http::{Caller, Problem, Query};

/// A network.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Network)]
pub(super) struct NetworkBody {
    /// Its name; `default` is everybody else.
    name: String,
    /// Client prefixes that belong to it.
    clients: Vec<String>,
    /// Zones linked to it.
    zones: Vec<String>,
}

/// Result of a reload.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// Generation of the data that is served.
    generation: u64,
    /// Problems that did not stop the reload.
    ailments: Vec<String>,
}

/// Lists the networks.
#[utoipa::path(get, path = "/v1/networks", operation_id = "list_networks", tag = "server", responses((status = 200, body = [NetworkBody]), Refusals))]
pub(super) async fn networks(caller: Caller, State(control): State<Arc<Control>>) -> Result<Json<Vec<NetworkBody>>, Problem> {
    caller.must_see_all()?;
    let (state, config) = (control.state.load_full(), control.host.config());
    let network = |network: &postern_zones::snapshot::Network| {
        let mut zones: Vec<String> = network.zones().map(|hosted| hosted.apex.to_string()).collect();
        zones.sort();
        let declared = config.networks.iter().find(|declared| declared.name == *network.name);
        let clients = declared.map_or(Vec::new(), |declared| declared.clients.iter().map(ToString::to_string).collect());
        NetworkBody { name: network.name.to_string(), clients, zones }
    };
    Ok(Json(state.snapshot.networks().map(|(_, one)| network(one)).collect()))
}

/// Losses that a reload accepts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Acceptance {
    /// Zones whose sources are taken as they are now, whatever records they lose: names, or `name@network`, with commas between.
    /// `configuration` accepts a configuration file that drops most zones.
    accept: Option<String>,
}

/// Reads the configuration and every source again.
#[utoipa::path(post, path = "/v1/reload", operation_id = "reload", tag = "server", params(Acceptance),
    responses((status = 200, body = Reloaded), Refusals))]
pub(super) async fn reload(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(acceptance): Query<Acceptance>,
) -> Result<Json<Reloaded>, Problem> {
    caller.must_be_admin()?;
    let host = control.host.clone();
    let accepted = acceptance.accept.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    let accepted: Vec<String> = accepted.map(str::to_owned).collect();
    let zones: Vec<ZoneRef> = accepted.iter().map(|word| ZoneRef::parse(word)).collect();
    let reloaded = tokio::task::spawn_blocking(move || host.reload(&accepted)).await;
    let stopped = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    reloaded.map_err(stopped)?.map_err(|why| {
        let (kind, title) = ("urn:postern:problem:reload-refused", "The old configuration serves on");
        Problem::of_kind(StatusCode::UNPROCESSABLE_ENTITY, kind, title, why)
    })?;
    for zone in zones {
        control.feeds.retrieve(&zone.name, &NetworkLinks::All); // a feed brings again what was rejected
    }
    let generation = control.state.load().snapshot.generation;
    let ailments = control.health().lines().map(str::to_owned).collect();
    Ok(Json(Reloaded { generation, ailments }))
}
