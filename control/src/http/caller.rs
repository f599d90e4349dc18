//! Who asks, and how far that reaches.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use postern_config::model::NetworkLinks;
use postern_zones::edit::{Author, Via, ZoneRef};

use super::peer::Peer;
use super::problem::Problem;
use super::rights::KeyRights;
use super::settings::HttpSettings;
use super::{Shared, keys};
use axum::http::StatusCode;

/// Who asks. As an argument of a handler it refuses everybody without a valid key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the key, or of the local user.
    pub who: Arc<str>,
    /// Where from; none: over the UNIX socket.
    pub from: Option<IpAddr>,
    /// How far the key reaches.
    pub rights: KeyRights,
}

/// Ends when the key that a request came with is good no longer: for handlers that would go on for ever. Among the extensions of every
/// request.
#[derive(Clone)]
pub struct Revoked {
    settings: Arc<HttpSettings>,
    key: Option<(keys::Hash, KeyRights)>,
    is_local: bool,
}

/// Who asks, or why nobody is known to: for interfaces that refuse in a form of their own.
#[derive(Debug, Clone)]
pub struct Identity(pub Result<Caller, Problem>);

impl Caller {
    /// As the audit names it.
    pub fn author(&self, via: Via) -> Author {
        Author { who: self.who.clone(), from: self.from, via }
    }

    /// True where everything is allowed.
    pub fn is_admin(&self) -> bool {
        self.rights == KeyRights::Admin
    }

    /// True where all may be seen: networks, the configuration, who asked what.
    pub fn may_see_all(&self) -> bool {
        matches!(self.rights, KeyRights::Read | KeyRights::Admin)
    }

    /// Returns true if the caller may see a zone that is for these networks.
    pub fn may_see(&self, zone: &str, networks: &NetworkLinks) -> bool {
        self.may_see_all() || self.may_change(zone, networks)
    }

    /// Returns true if the caller may change the records of a zone that is for these networks. A key for one network may not change what all
    /// of them see.
    pub fn may_change(&self, zone: &str, networks: &NetworkLinks) -> bool {
        let linked = |network: &String| networks.names().contains(network);
        let is_meant = |of: &ZoneRef| (of.name == "*" || of.name == zone) && of.network.as_ref().is_none_or(linked);
        match &self.rights {
            KeyRights::Read => false,
            KeyRights::Records(zones) => zones.iter().any(is_meant),
            KeyRights::Admin => true,
        }
    }

    /// Refuses whoever may not do everything.
    pub fn must_be_admin(&self) -> Result<(), Problem> {
        self.is_admin().then_some(()).ok_or_else(|| self.lacks("admin"))
    }

    /// Refuses whoever may not see everything.
    pub fn must_see_all(&self) -> Result<(), Problem> {
        self.may_see_all().then_some(()).ok_or_else(|| self.lacks("read"))
    }

    fn lacks(&self, scope: &str) -> Problem {
        Problem::forbidden(format!("this needs a key of scope `{scope}`, and the key `{}` has scope `{}`", self.who, self.rights))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let identity = parts.extensions.get::<Identity>().cloned();
        identity.map_or_else(|| Err(unknown("nobody looked who asks")), |identity| identity.0)
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self(Err(unknown("nobody looked who asks")))))
    }
}

/// Finds out who asks; whoever needs to know takes [`Caller`].
pub(super) async fn identify(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let settings = shared.settings.now();
    let peer = request.extensions().get::<Peer>().cloned();
    let identity = match &peer {
        Some(Peer::Local { user }) => Ok((Caller { who: user.clone(), from: None, rights: KeyRights::Admin }, None)),
        Some(Peer::Remote { address }) => of_remote(*address, request.headers(), request.uri(), settings.keys.as_ref()),
        None => Err(unknown("it is not known where the request comes from")),
    };
    let is_local = matches!(peer, Some(Peer::Local { .. }));
    let (identity, key) = match identity {
        Ok((caller, key)) => (Ok(caller), key),
        Err(problem) => (Err(problem), None),
    };
    let key = key.zip(identity.as_ref().ok().map(|caller: &Caller| caller.rights.clone()));
    request.extensions_mut().insert(Revoked { settings: shared.settings.clone(), key, is_local });
    request.extensions_mut().insert(Identity(identity));
    next.run(request).await
}

impl Revoked {
    /// Waits until the request would be refused.
    pub async fn wait(&self) {
        let mut changes = self.settings.changes();
        loop {
            let now = self.settings.now();
            let is_good = match (&self.key, &now.keys) {
                _ if self.is_local => true,
                (None, keys) => keys.is_none(),
                (Some((hash, rights)), Some(keys)) => keys.has(hash, rights),
                (Some(_), None) => false,
            };
            if !is_good || changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Who it is, and what its key is known by.
fn of_remote(
    address: IpAddr,
    headers: &HeaderMap,
    uri: &Uri,
    keys: Option<&keys::ApiKeys>,
) -> Result<(Caller, Option<keys::Hash>), Problem> {
    let Some(keys) = keys else {
        // The configuration sees to that, but of one that is read anew the addresses wait for a restart and the keys do not.
        if !address.is_loopback() {
            return Err(unknown("without `api.key-file` only this machine is answered"));
        }
        // Pages in a browser of this machine must not get in.
        refuse_browsers(headers, uri)?;
        return Ok((Caller { who: "local".into(), from: Some(address), rights: KeyRights::Admin }, None));
    };
    let given = key_of(headers).ok_or_else(|| unknown("no key: send `Authorization: Bearer …` or `X-API-Key: …`"))?;
    let key = keys.find(given).ok_or_else(|| unknown("the key is not known"))?;
    Ok((Caller { who: key.name.clone(), from: Some(address), rights: key.rights.clone() }, Some(key.hash())))
}

/// The key that a request carries.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    if let Some(key) = headers.get("x-api-key") {
        return key.to_str().ok();
    }
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// A page of elsewhere sends `Origin`, and one whose name was rebound to loopback its own name in `Host`.
fn refuse_browsers(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let host = uri.host().or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|octet| octet.is_ascii_digit())).map_or(host, |(name, _)| name);
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    let is_local = name.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own = origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, authority)| authority == host));
    if is_local && is_own {
        return Ok(());
    }
    Err(Problem::forbidden("without `api.key-file` requests must name a loopback address as their host, and come from no other web page"))
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_records_reaches_its_zones_and_no_further() {
        let caller = |zones: &[&str]| {
            let zones = zones.iter().map(|zone| ZoneRef { name: (*zone).into(), network: None }).collect();
            Caller { who: "ci".into(), from: None, rights: KeyRights::Records(zones) }
        };
        let links = |names: &[&str]| NetworkLinks::of_list(names.iter().map(|name| (*name).to_owned()).collect());
        let (hub, spoke) = (links(&["hub"]), links(&["spoke"]));
        let here = caller(&["contoso.test"]);
        assert!(here.may_change("contoso.test", &hub) && here.may_see("contoso.test", &hub));
        assert!(!here.may_change("fabrikam.test", &hub) && !here.may_see("fabrikam.test", &hub));
        assert!(!here.may_see_all() && here.must_be_admin().is_err() && here.must_see_all().is_err());
        assert!(caller(&["*"]).may_change("fabrikam.test", &hub));
        let of_hub = ZoneRef::parse("contoso.test@hub");
        let of_hub = Caller { rights: KeyRights::Records([of_hub].into()), ..here };
        assert!(of_hub.may_change("contoso.test", &links(&["hub", "spoke"])));
        assert!(!of_hub.may_change("contoso.test", &spoke) && !of_hub.may_change("contoso.test", &NetworkLinks::All));
        let all_of_hub = Caller { rights: KeyRights::Records([ZoneRef::parse("*@hub")].into()), ..of_hub };
        assert!(all_of_hub.may_change("contoso.test", &hub) && all_of_hub.may_change("fabrikam.test", &hub));
        assert!(!all_of_hub.may_change("contoso.test", &spoke) && !all_of_hub.may_see("contoso.test", &NetworkLinks::All));
    }

    #[test]
    fn a_key_is_taken_from_either_header() {
        for (name, value, key) in [
            ("x-api-key", "k", Some("k")),
            ("authorization", "Bearer k", Some("k")),
            ("authorization", "bearer  k", Some("k")),
            ("authorization", "Basic k", None),
            ("authorization", "k", None),
        ] {
            let headers = [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            assert_eq!(key_of(&headers), key, "{name}: {value}");
        }
    }

    #[test]
    fn without_keys_only_this_machine_gets_in() {
        let headers: HeaderMap = [(header::HOST, "localhost".parse().unwrap())].into_iter().collect();
        for (address, good) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("2001:db8::1", false)] {
            let caller = of_remote(address.parse().unwrap(), &headers, &Uri::from_static("/v1/zones"), None);
            assert_eq!(caller.map_err(|problem| problem.status.as_u16()).err(), (!good).then_some(401), "{address}");
        }
    }

    #[test]
    fn pages_in_a_browser_do_not_get_in_without_a_key() {
        for (host, origin, good) in [
            ("127.0.0.1:8053", None, true),
            ("[::1]:8053", None, true),
            ("localhost", None, true),
            ("127.0.0.1:8053", Some("http://127.0.0.1:8053"), true),
            ("127.0.0.1:8053", Some("http://contoso.test"), false),
            ("127.0.0.1:8053", Some("null"), false),
            ("contoso.test:8053", None, false),
            ("contoso.test:8053", Some("http://contoso.test:8053"), false),
            ("", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            origin.map(|origin: &str| headers.insert("origin", origin.parse().unwrap()));
            assert_eq!(refuse_browsers(&headers, &Uri::from_static("/v1/zones")).is_ok(), good, "{host} {origin:?}");
        }
    }
}
