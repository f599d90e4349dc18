//! Metadata of zones: lists of text by kind.
//!
//! ALLOW-AXFR-FROM and ALSO-NOTIFY say who may have the zone transferred and who is told of changes ([`crate::transfer`]); `X-` kinds are
//! the client's own. Those that PowerDNS knows and nothing here obeys are refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use postern_zones::edit::{AmendFn, StoreTask};
use serde_json::{Value, json};

use super::fault::PowerDnsError;
use super::find;
use super::read::Object;
use super::settings::PowerDnsSettings;
use super::{Asked, Json, ZoneId, ZoneIdAnd, zones::author};
use crate::Control;
use crate::http::Caller;

/// It is not a list but a setting of the zone.
const SOA_EDIT_API: &str = "SOA-EDIT-API";
/// Prefixes and addresses that may have the zone transferred.
const ALLOW_AXFR_FROM: &str = "ALLOW-AXFR-FROM";
/// Addresses, with port where it is not 53, that are told of changes.
const ALSO_NOTIFY: &str = "ALSO-NOTIFY";

/// `GET /zones/{id}/metadata`.
pub async fn list(Asked(caller): Asked, State(control): State<Arc<Control>>, ZoneId(id): ZoneId) -> Result<Response, PowerDnsError> {
    let settings = find::find(&control, &id, &caller)?.settings();
    let mut all = settings.metadata.clone();
    all.extend(settings.soa_edit_api.map(|rule| (SOA_EDIT_API.to_owned(), vec![rule])));
    let all: Vec<Value> = all.iter().map(|(kind, values)| entry(kind, values)).collect();
    Ok(super::json(StatusCode::OK, Value::from(all).to_string()))
}

/// `POST /zones/{id}/metadata`: adds to what is there.
pub async fn add(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneId(id): ZoneId,
    Json(body): Json,
) -> Result<Response, PowerDnsError> {
    let kind = Object::of(&body).may_text("kind").ok_or_else(|| PowerDnsError::invalid("kind is not specified or not a string"))?;
    let values = values(&body)?;
    change(&control, &caller, &id, kind, move |old| old.iter().cloned().chain(values).collect(), StatusCode::CREATED).await
}

/// `GET /zones/{id}/metadata/{kind}`.
pub async fn get(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneIdAnd(id, kind): ZoneIdAnd,
) -> Result<Response, PowerDnsError> {
    let settings = find::find(&control, &id, &caller)?.settings();
    check_kind(&kind)?;
    Ok(super::json(StatusCode::OK, entry(&kind, &of(&settings, &kind)).to_string()))
}

/// `PUT /zones/{id}/metadata/{kind}`: in place of what is there.
pub async fn set(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneIdAnd(id, kind): ZoneIdAnd,
    Json(body): Json,
) -> Result<Response, PowerDnsError> {
    let values = values(&body)?;
    change(&control, &caller, &id, &kind, move |_| values, StatusCode::OK).await
}

/// `DELETE /zones/{id}/metadata/{kind}`.
pub async fn remove(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneIdAnd(id, kind): ZoneIdAnd,
) -> Result<Response, PowerDnsError> {
    change(&control, &caller, &id, &kind, |_| Vec::new(), StatusCode::NO_CONTENT).await
}

async fn change(
    control: &Control,
    caller: &Caller,
    id: &str,
    kind: &str,
    make: impl FnOnce(&[String]) -> Vec<String> + Send + 'static,
    status: StatusCode,
) -> Result<Response, PowerDnsError> {
    let found = find::find(control, id, caller)?;
    found.must_be_changeable(caller)?;
    check_kind(kind)?;
    if matches!(kind, ALLOW_AXFR_FROM | ALSO_NOTIFY) {
        // Who may have the zone and whom the server sends datagrams is more than its records.
        super::must_be_admin(caller)?;
    }
    let of_kind = kind.to_owned();
    let amend: AmendFn = Box::new(move |_, kept| {
        let mut settings = PowerDnsSettings::of(kept);
        let values = make(&of(&settings, &of_kind));
        check_values(&of_kind, &values)?;
        match (&*of_kind, values.is_empty()) {
            (SOA_EDIT_API, _) => settings.soa_edit_api = values.into_iter().next(),
            (_, true) => drop(settings.metadata.remove(&of_kind)),
            (_, false) => drop(settings.metadata.insert(of_kind, values)),
        }
        settings.keep(kept)?;
        Ok(Vec::new())
    });
    let author = author(caller);
    control.ask(|answer| StoreTask::Amend(found.as_ref(), author, amend, answer)).await?;
    if status == StatusCode::NO_CONTENT {
        return Ok(status.into_response());
    }
    let settings = find::find(control, id, caller)?.settings();
    Ok(super::json(status, entry(kind, &of(&settings, kind)).to_string()))
}

fn of(settings: &PowerDnsSettings, kind: &str) -> Vec<String> {
    match kind {
        SOA_EDIT_API => settings.soa_edit_api.iter().cloned().collect(),
        _ => settings.metadata.get(kind).cloned().unwrap_or_default(),
    }
}

fn entry(kind: &str, values: &[String]) -> Value {
    json!({ "kind": kind, "metadata": values, "type": "Metadata" })
}

fn values(body: &Value) -> Result<Vec<String>, PowerDnsError> {
    let values = Object::of(body).texts("metadata", "metadata must be strings")?;
    let values = values.ok_or_else(|| PowerDnsError::invalid("metadata is not specified or not an array"))?;
    Ok(values.into_iter().map(str::to_owned).collect())
}

fn check_kind(kind: &str) -> Result<(), PowerDnsError> {
    match kind.starts_with("X-") || matches!(kind, SOA_EDIT_API | ALLOW_AXFR_FROM | ALSO_NOTIFY) {
        true => Ok(()),
        false => Err(PowerDnsError::invalid(format!("Unsupported metadata kind '{kind}'"))),
    }
}

fn check_values(kind: &str, values: &[String]) -> Result<(), PowerDnsError> {
    match (kind, values) {
        (SOA_EDIT_API, [] | [_]) => Ok(()),
        (SOA_EDIT_API, _) => Err(PowerDnsError::invalid("SOA-EDIT-API has one value")),
        (ALLOW_AXFR_FROM, _) => check_each(values, "an address or a prefix", |text| is_address(text) || text.parse::<IpNet>().is_ok()),
        (ALSO_NOTIFY, _) => {
            check_each(values, "an address, or address:port", |text| is_address(text) || text.parse::<SocketAddr>().is_ok())
        }
        _ => Ok(()),
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn check_each(values: &[String], what: &str, is_good: impl Fn(&str) -> bool) -> Result<(), PowerDnsError> {
    match values.iter().find(|value| !is_good(value)) {
        Some(value) => Err(PowerDnsError::invalid(format!("'{value}' is not {what}"))),
        None => Ok(()),
    }
}
