//! Why a question has the answer it has.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use postern_dns::explain::{BadQuestion, QueryExplanation, question};
use serde::{Deserialize, Serialize};

use super::Refusals;
use super::rrsets::bad_parameter;
use crate::Control;
use crate::http::{Caller, Problem, Query};

/// Which question is explained.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainParams {
    /// QNAME.
    #[param(example = "contosows-fhir1.fhir.azurehealthcareapis.com")]
    name: String,
    /// QTYPE; absent: A.
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// Who asks. Absent: whoever sends this request, over the UNIX socket 127.0.0.1.
    #[param(value_type = Option<String>, example = "10.20.0.4")]
    client: Option<IpAddr>,
    /// Ask the question for that client, upstreams too where it takes them, before it is explained. It counts like one of the client's.
    #[serde(default)]
    ask: bool,
}

/// A question with its answer and why.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    /// The question was asked and answered.
    asked: bool,
    #[serde(flatten)]
    explanation: QueryExplanation,
}

/// Explains what a client gets for a question: every name, zone, route and cache entry on the way.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explain", tag = "insight", params(ExplainParams), responses((status = 200, body = described::Explained), Refusals))]
pub(super) async fn explain(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(asked): Query<ExplainParams>,
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
    let explanation = postern_dns::explain::explain(&message, client, &state, now, reply.as_deref()).map_err(refused)?;
    Ok(Json(Explained { asked: reply.is_some(), explanation }))
}

/// [`Explained`] as the document describes it: the types themselves are the path's, which knows no HTTP. A test holds a real answer to it.
#[allow(dead_code)] // read by the description alone
mod described {
    use utoipa::ToSchema;

    /// A question with its answer and why. Names are lower case and have no final dot.
    #[derive(ToSchema)]
    pub struct Explained {
        /// The question was asked and answered.
        asked: bool,
        /// The name asked.
        name: String,
        /// The type asked.
        r#type: String,
        /// Who asks.
        client: String,
        /// The client's network.
        network: String,
        /// The client may query at all.
        admitted: bool,
        /// The client may have recursion.
        recursion: bool,
        /// Generation of the data that was looked at.
        generation: u64,
        /// The names that the answer goes over, in order.
        hops: Vec<ExplainedHop>,
        /// The query that must be sent upstream before there is an answer; null if there is none.
        #[schema(required = true)]
        ask: Option<ExplainedAsk>,
        /// The answer to the client; null if an upstream must be asked first.
        #[schema(required = true)]
        answer: Option<ExplainedAnswer>,
        /// The line that would stand in the fallback record; null: the answer does not fall back.
        #[schema(required = true)]
        fallback: Option<FallbackLine>,
        /// Why the name has no private answer, whatever the cache holds; null: it has one, or no private zone of the network is on the way.
        #[schema(required = true)]
        verdict: Option<ExplainedVerdict>,
    }

    /// Why a name has no private answer, and the record that would give it one.
    #[derive(ToSchema)]
    pub struct ExplainedVerdict {
        /// Why: `no-record`, `zone-unavailable` or `other-network`.
        reason: String,
        /// Policy of the zone for a missing name: `public`, `nxdomain` or `servfail`.
        action: String,
        /// The name that the zone lacks.
        private: String,
        /// The zone.
        zone: String,
        /// False: an upstream must be asked whether the public DNS leads to this name.
        certain: bool,
        /// The fallback record has the names that this zone lacks.
        recorded: bool,
        /// The record that mends it.
        mend: super::super::fallbacks::Mend,
    }

    /// One name on the way.
    #[derive(ToSchema)]
    pub struct ExplainedHop {
        /// The name.
        name: String,
        /// The private zone of the client's network that it lies in.
        #[schema(required = true)]
        zone: Option<ExplainedZone>,
        /// Overrides of the client's network that have it; null: there are none.
        #[schema(required = true)]
        overrides: Option<ExplainedOverride>,
        /// The route that would be asked for it.
        #[schema(required = true)]
        route: Option<ExplainedRoute>,
        /// The cache entry for this question.
        #[schema(required = true)]
        cache: Option<ExplainedCache>,
        /// Who said what comes next: `zone`, `override`, `upstream`, `zone-table`, or `nobody` if the answer waits for an upstream.
        decided_by: String,
        /// The decision, in words.
        said: String,
        /// The name that it leads to.
        #[schema(required = true)]
        leads_to: Option<String>,
    }

    /// A private zone on the way.
    #[derive(ToSchema)]
    pub struct ExplainedZone {
        /// Apex.
        name: String,
        /// SOA serial; null: it has no data.
        #[schema(required = true)]
        serial: Option<u32>,
        /// Policy for a name that it lacks: `public`, `nxdomain` or `servfail`.
        on_missing: String,
        /// The file that the record comes from. If there is no such record, the file where it would be added.
        #[schema(required = true)]
        file: Option<String>,
        /// Why it has no data.
        #[schema(required = true)]
        unavailable: Option<String>,
        /// A route has a longer suffix than the zone, so that the zone does not speak here.
        passed_over: bool,
        /// The zone has no such name.
        lacks_name: bool,
    }

    /// Overrides on the way.
    #[derive(ToSchema)]
    pub struct ExplainedOverride {
        /// Name of the `[[override]]`.
        name: String,
        /// The file that has the name; null: the configuration itself.
        #[schema(required = true)]
        file: Option<String>,
        /// The upstreams answer all the same, because the name is an exception, or lacks the type.
        passed_over: bool,
    }

    /// A route on the way.
    #[derive(ToSchema)]
    pub struct ExplainedRoute {
        /// Its suffix.
        suffix: String,
        /// Who is asked.
        upstreams: Vec<String>,
        /// It leads back to this server and is not asked.
        to_self: bool,
    }

    /// A cache entry on the way.
    #[derive(ToSchema)]
    pub struct ExplainedCache {
        /// `set`, `alias`, `no-data`, `nxdomain` or `failure`.
        what: String,
        /// Seconds that are left of its TTL; 0: it is stale.
        ttl: u32,
        /// It is past its TTL.
        stale: bool,
        /// Who said it.
        upstream: String,
    }

    /// A query that must be sent upstream.
    #[derive(ToSchema)]
    pub struct ExplainedAsk {
        /// QNAME.
        name: String,
        /// QTYPE.
        r#type: String,
        /// Who is asked.
        upstreams: Vec<String>,
    }

    /// A message as the client gets it.
    #[derive(ToSchema)]
    pub struct ExplainedAnswer {
        /// RCODE.
        rcode: String,
        /// AA: all of it is ours.
        authoritative: bool,
        /// Something in it is past its TTL, or was derived from the zone table.
        stale: bool,
        /// Records of the answer section, presentation form.
        answer: Vec<String>,
        /// Records of the authority section.
        authority: Vec<String>,
        /// Extended errors (RFC 8914): code and text.
        errors: Vec<String>,
    }

    /// A line of the fallback record.
    #[derive(ToSchema)]
    pub struct FallbackLine {
        /// When (RFC 3339, UTC).
        time: String,
        /// Who asked.
        client: String,
        /// The client's network.
        network: String,
        /// The name asked.
        name: String,
        /// The type asked.
        r#type: String,
        /// The private-link name that had no private answer.
        private: String,
        /// The private zone it lies in; empty where none is known.
        zone: String,
        /// Why.
        reason: String,
        /// The client's answer.
        action: String,
        /// The name asked and the name each alias leads to.
        chain: Vec<String>,
        /// The addresses given.
        addresses: Vec<String>,
        /// Some address given is a public one; null where none was given.
        #[schema(required = true)]
        public: Option<bool>,
        /// Who said it, where somebody was asked.
        #[schema(required = true)]
        upstream: Option<String>,
        /// RCODE given.
        rcode: String,
        /// TTL of what was given, seconds.
        ttl: u32,
        /// How to mend it.
        mend: super::super::fallbacks::Mend,
        /// Fallbacks of the same network, name, type and reason since the line before that were not written.
        folded: u64,
    }
}
