//! Why a question has the answer it has.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use dns::explain::{BadQuestion, Explanation, question};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Refusals;
use super::rrsets::bad_parameter;
use crate::Control;
use crate::http::{Caller, Problem, Query};

/// Which question is explained.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// QNAME.
    #[param(example = "contosows-fhir1.fhir.azurehealthcareapis.com")]
    name: String,
    /// QTYPE; absent: A.
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// Who asks. Absent: whoever sends this request, over the UNIX socket 127.0.0.1.
    #[param(value_type = Option<String>, example = "10.1.0.4")]
    client: Option<IpAddr>,
    /// Ask the question for that client, upstreams too where it takes them, before it is explained. It counts like one of the client's.
    #[serde(default)]
    ask: bool,
}

/// A question with its answer and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explained {
    /// The question was asked and answered.
    asked: bool,
    /// `name`, `type`, `client`, `network`, `admitted`, `recursion`, `generation`; `hops`: each name on the way with its `zone`, `route`,
    /// `cache`, who decided and what was said; `ask`: what must be asked upstream first; `answer`; `fallback`: the line of the fallback
    /// record, with what would mend it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    explanation: Explanation,
}

/// Explains what a client gets for a question: every name, zone, route and cache entry on the way.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explain", tag = "insight", params(Asked), responses((status = 200, body = Explained), Refusals))]
pub(super) async fn explain(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Explained>, Problem> {
    caller.must_see_all()?;
    let refused = |bad: BadQuestion| {
        let parameter = if matches!(bad, BadQuestion::Name(_)) { "name" } else { "type" };
        bad_parameter(parameter, bad.to_string())
    };
    let message = question(&asked.name, asked.rtype.as_deref().unwrap_or("A")).map_err(refused)?;
    let client = asked.client.or(caller.from).unwrap_or(Ipv4Addr::LOCALHOST.into()).to_canonical();
    let reply = if asked.ask { control.streams.ask(&message, client).await } else { None };
    let state = control.state.load_full();
    let now = control.streams.service.clock.now();
    let explanation = dns::explain::explain(&message, client, &state, now, reply.as_deref()).map_err(refused)?;
    Ok(Json(Explained { asked: reply.is_some(), explanation }))
}
