//! A change of records, from its request to its response.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use postern_zones::edit::{EditResult, Refusal, Via, ZoneEdit, ZoneRef};
use postern_zones::name::WireName;
use postern_zones::zone::{RrSetChange, Zone, rtype};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::records::{RrSetBody, find, zone_etag};
use crate::Control;
use crate::http::{Caller, Problem, RequestFault};

/// Whether a change is made.
#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Dry {
    /// Only report what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// Effect of a change, or of a dry run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    /// The zone, absolute.
    zone: String,
    /// True if nothing was changed, and this is what would happen.
    dry_run: bool,
    /// Serial before.
    serial_before: u32,
    /// Serial now. It is the same if nothing differs.
    serial: u32,
    /// Generation of the data that serves it.
    generation: u64,
    /// RRsets that are new.
    added: usize,
    /// RRsets with other data.
    changed: usize,
    /// RRsets that are gone.
    removed: usize,
    /// The first 1,000 of them.
    rrsets: Vec<ChangedSet>,
    /// Records of an imported file that were skipped, because they belong to other zones.
    skipped: usize,
    /// Probable mistakes, and records that were skipped.
    warnings: Vec<String>,
}

/// Notes about a request for its response.
#[derive(Debug, Default)]
pub(super) struct ChangeNotes {
    /// Probable mistakes, and records that were skipped.
    pub warnings: Vec<String>,
    /// Records of an imported file that were skipped.
    pub skipped: usize,
}

/// An RRset that is different.
#[derive(Debug, Serialize, ToSchema)]
struct ChangedSet {
    /// The RRset before. Null: there was none.
    before: Option<RrSetBody>,
    /// The RRset after. Null: there is none.
    after: Option<RrSetBody>,
}

/// Number of RRsets in the response to one change.
const MOST_TOLD: usize = 1_000;

/// Names of the RRsets that a change touched, from the thread that made it.
type Touched = Arc<Mutex<Vec<(WireName, u16)>>>;

/// Conditions on a zone before it is changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    matches: Option<String>,
    none_matches: Option<String>,
}

impl Conditions {
    /// `If-Match` and `If-None-Match` (RFC 9110 section 13.1).
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name: HeaderName| -> Result<Option<String>, Problem> {
            let bad = |_| Problem::new(StatusCode::BAD_REQUEST, format!("`{name}` cannot be read"));
            // A list may come in several lines (RFC 9110 section 5.3).
            let lines: Vec<&str> = headers.get_all(&name).iter().map(HeaderValue::to_str).collect::<Result<_, _>>().map_err(bad)?;
            Ok(Some(lines.join(", ")).filter(|_| !lines.is_empty()))
        };
        Ok(Self { matches: text(header::IF_MATCH)?, none_matches: text(header::IF_NONE_MATCH)? })
    }

    /// Returns an error unless the conditions hold. `etag` is `None` if the thing does not exist.
    pub fn hold(&self, what: &str, etag: Option<&str>) -> Result<(), Refusal> {
        let has = |list: &str, tag: &str| list.split(',').map(str::trim).any(|one| one == "*" || one == tag);
        let has_weakly = |list: &str, tag: &str| list.split(',').any(|one| has(one.trim().trim_start_matches("W/"), tag));
        let is = |tag: Option<&str>| tag.map_or_else(|| "is not there".into(), |tag| format!("is {tag}"));
        let rcode = if etag.is_some() { 7 } else { 8 }; // YXRRSET, NXRRSET (RFC 2136 section 2.2)
        if let Some(list) = &self.matches
            && !etag.is_some_and(|tag| has(list, tag))
        {
            return Err(Refusal::Precondition { message: format!("`If-Match: {list}`: {what} {}", is(etag)), rcode });
        }
        if let Some(list) = &self.none_matches
            && etag.is_some_and(|tag| has_weakly(list, tag))
        {
            return Err(Refusal::Precondition { message: format!("`If-None-Match: {list}`: {what} {}", is(etag)), rcode });
        }
        Ok(())
    }
}

/// Marks a response with more in it than the records that its tag stands for. A client with the tag may lack the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct SaysMore;

/// Answers 304 to a client that has the content already: `If-None-Match` of GET and HEAD (RFC 9110 section 13.1.2).
pub(super) async fn unless_known(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let wanted = is_read.then(|| Conditions::of(request.headers()).ok()).flatten();
    let response = next.run(request).await;
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let is_known = wanted.is_some_and(|wanted| Conditions { matches: None, ..wanted }.hold("", tag).is_err());
    match response.headers().get(header::ETAG) {
        Some(tag) if is_known && response.status() == StatusCode::OK && response.extensions().get::<SaysMore>().is_none() => {
            (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.clone())]).into_response()
        }
        _ => response,
    }
}

/// The response to a change: its effect, and the zone's new tag.
pub(super) type ChangeAnswer = ([(HeaderName, HeaderValue); 1], Json<Changed>);

/// Makes a change of a zone. `pointers` has the place of each change in the body, for the faults of a rejected one.
pub(super) async fn make(
    control: &Control,
    caller: &Caller,
    zone: &str,
    dry: Dry,
    pointers: Vec<String>,
    notes: ChangeNotes,
    make: impl FnOnce(&Zone) -> Result<Vec<RrSetChange>, Refusal> + Send + 'static,
) -> Result<ChangeAnswer, Problem> {
    let touched = Touched::default();
    let told = touched.clone();
    let edit = ZoneEdit {
        zone: ZoneRef::parse(zone),
        author: caller.author(Via::Api),
        make: Box::new(move |zone| {
            let changes = make(zone)?;
            let names = changes.iter().map(|change| (change.owner.clone(), change.rtype)).collect();
            *told.lock().unwrap_or_else(PoisonError::into_inner) = names;
            Ok(changes)
        }),
        is_dry: dry.dry_run,
    };
    let done = control.edit(edit).await.map_err(|refusal| placed(refusal, &pointers))?;
    let touched = std::mem::take(&mut *touched.lock().unwrap_or_else(PoisonError::into_inner));
    let tag = HeaderValue::from_str(&zone_etag(&done.after)).unwrap_or(HeaderValue::from_static("")); // a number in quotes
    Ok(([(header::ETAG, tag)], Json(Changed::of(&done, touched, dry, notes))))
}

/// The problem of a refusal, with the place of each fault in the body.
fn placed(refusal: Refusal, pointers: &[String]) -> Problem {
    let Refusal::Invalid(refused) = refusal else { return refusal.into() };
    let pointer = |change: usize| pointers.get(change).cloned().unwrap_or_default();
    Problem::invalid(
        refused.into_iter().map(|refused| RequestFault { pointer: pointer(refused.change), detail: refused.message }).collect(),
    )
}

impl Changed {
    fn of(done: &EditResult, touched: Vec<(WireName, u16)>, dry: Dry, notes: ChangeNotes) -> Self {
        let mut names: BTreeSet<(WireName, u16)> = touched.into_iter().collect();
        if done.before.soa() != done.after.soa() && !done.before.soa().same_data(&done.after.soa()) {
            names.insert((done.after.apex().clone(), rtype::SOA));
        }
        let set = |zone: &Zone, owner: &WireName, rtype: u16| {
            let owner = owner.to_buf();
            find(zone, &owner, rtype).map(|set| RrSetBody::of(&owner, &set))
        };
        let differs = |(owner, rtype): &(WireName, u16)| {
            let owner = owner.to_buf();
            match (find(&done.before, &owner, *rtype), find(&done.after, &owner, *rtype)) {
                (Some(before), Some(after)) => !before.same_data(&after),
                (before, after) => before.is_some() != after.is_some(),
            }
        };
        let told = names.iter().filter(|name| differs(name)).take(MOST_TOLD);
        let rrsets =
            told.map(|(owner, rtype)| ChangedSet { before: set(&done.before, owner, *rtype), after: set(&done.after, owner, *rtype) });
        Self {
            zone: done.after.apex().to_string(),
            dry_run: dry.dry_run,
            serial_before: done.before.serial(),
            serial: done.after.serial(),
            generation: done.generation,
            added: done.difference.added,
            changed: done.difference.changed,
            removed: done.difference.removed,
            rrsets: rrsets.collect(),
            skipped: notes.skipped,
            warnings: done.warnings.iter().cloned().chain(notes.warnings).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_of_tags_as_rfc_9110_has_them() {
        let of = |name: &str, value: &str| {
            let name: HeaderName = name.parse().unwrap();
            Conditions::of(&[(name, value.parse().unwrap())].into_iter().collect()).unwrap()
        };
        for (name, value, tag, good) in [
            ("if-match", "\"a\"", Some("\"a\""), true),
            ("if-match", "\"b\", \"a\"", Some("\"a\""), true),
            ("if-match", "\"b\"", Some("\"a\""), false),
            ("if-match", "*", Some("\"a\""), true),
            ("if-match", "*", None, false),
            ("if-none-match", "*", None, true),
            ("if-none-match", "*", Some("\"a\""), false),
            ("if-none-match", "\"b\"", Some("\"a\""), true),
            // One weak tag is enough not to be the same, and not enough to be (section 8.8.3.2).
            ("if-match", "W/\"a\"", Some("\"a\""), false),
            ("if-none-match", "\"b\", W/\"a\"", Some("\"a\""), false),
        ] {
            assert_eq!(of(name, value).hold("it", tag).is_ok(), good, "{name}: {value} of {tag:?}");
        }
        let lines = [(header::IF_MATCH, HeaderValue::from_static("\"b\"")), (header::IF_MATCH, HeaderValue::from_static("\"a\""))];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        assert!(Conditions::of(&headers).unwrap().hold("it", Some("\"a\"")).is_ok(), "a list may come in several lines");
    }
}
