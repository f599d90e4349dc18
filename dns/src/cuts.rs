//! Zone cuts: which private zone and which route speak for a name.
//!
//! DS belongs to the parent's side of a cut (RFC 4035 section 3.1.4.1), so both depend on the type.

use std::sync::Arc;

use postern_config::model::OtherTypes;
use postern_zones::lookup::Lookup;
use postern_zones::name::NameBuf;
use postern_zones::snapshot::Hosted;
use postern_zones::zone::{OverriddenName, Zone};

use crate::route::{Route, RouteId};
use crate::state::View;
use crate::wire::question::Question;
use crate::wire::rtype;

/// Labels that are left off a name to find its zone or route: DS belongs to the parent's side of a cut (RFC 4035 section 3.1.4.1).
#[inline]
pub(crate) fn labels_off(name: &NameBuf, rtype: u16) -> usize {
    usize::from(rtype == rtype::DS && name.labels() > 0)
}

/// The route whose upstreams are asked for this type of `name`, with the length of its suffix on the wire.
#[inline]
pub(crate) fn route_of<'s>(view: &View<'s>, name: &NameBuf, rtype: u16) -> Option<(&'s Route, usize)> {
    view.state.routes.find_from(view.network_id, name, labels_off(name, rtype))
}

/// Returns true if an upstream that was asked at `route` may be believed about this type of `name`: its route covers the name, and no
/// private zone or override of the client's network does (S1).
pub(crate) fn may_speak_of(view: &View, route: RouteId, name: &NameBuf, rtype: u16) -> bool {
    let zone = view.network.zone_of(name, labels_off(name, rtype)).map_or(0, |hosted| hosted.apex.as_wire().len());
    route_of(view, name, rtype).is_some_and(|(found, suffix)| found.id == route && suffix > zone) && overridden(view, name, rtype).is_none()
}

/// Looks for `name` in the overrides of the network. Returns `None` if they do not have the name, or if the upstreams are to answer for
/// the type. A private zone must not hold the name. A wildcard gives way to a route with a longer suffix, as private zones do.
#[inline]
pub(crate) fn overridden<'s>(view: &View<'s>, name: &NameBuf, rtype: u16) -> Option<(&'s Zone, OverriddenName<'s>)> {
    if !view.network.has_overrides() {
        return None;
    }
    let (hosted, zone, found, matched) = view.network.overridden(name, rtype)?;
    let is_left = match found {
        OverriddenName::PassThrough => true,
        OverriddenName::OtherType => hosted.overrides == Some(OtherTypes::Public),
        _ => false,
    };
    let is_routed = || matched < name.len() && route_of(view, name, rtype).is_some_and(|(_, suffix)| suffix > matched);
    (!is_left && !is_routed()).then_some((zone, found))
}

/// The private zone that speaks for `name`: the longest of the network's zones, unless a route has a longer suffix.
pub(crate) fn private_zone<'s>(question: &Question, view: &View<'s>, name: &NameBuf) -> Option<&'s Arc<Hosted>> {
    let from = labels_off(name, question.rtype);
    let hosted = view.network.zone_of(name, from).filter(|hosted| {
        let passed_over = view.state.routes.has_suffixes(view.network_id)
            && route_of(view, name, question.rtype).is_some_and(|(_, suffix)| suffix > hosted.apex.as_wire().len());
        !passed_over
    });
    match hosted {
        // The child denies DS only where its parent cannot be asked.
        None if from > 0 && !(may_fall_back(question, view) && route_of(view, name, question.rtype).is_some()) => own_zone(view, name),
        hosted => hosted,
    }
}

/// The private zone with this apex.
pub(crate) fn own_zone<'s>(view: &View<'s>, apex: &NameBuf) -> Option<&'s Arc<Hosted>> {
    view.network.zone_of(apex, 0).filter(|own| own.apex.as_wire() == apex.as_wire())
}

/// The route whose suffix is this very name.
pub(crate) fn own_route<'s>(view: &View<'s>, name: &NameBuf) -> Option<(&'s Route, usize)> {
    view.state.routes.find_from(view.network_id, name, 0).filter(|(_, suffix)| *suffix == name.as_wire().len())
}

/// Returns true for the apex of a private zone or of a route. The name exists, even if its parent does not know it.
pub(crate) fn is_cut(view: &View, name: &NameBuf) -> bool {
    own_zone(view, name).is_some() || own_route(view, name).is_some()
}

/// S4: only an ordinary recursive question may be answered with public data for a name that a hosted zone lacks.
pub(crate) fn may_fall_back(question: &Question, view: &View) -> bool {
    question.recursion_desired && view.recursion && !question.signed
}

/// Returns true if a private zone or an override of the client's network has this name.
pub(crate) fn has_private_data(view: &View, name: &NameBuf) -> bool {
    match view.network.zone_of(name, 0) {
        Some(hosted) => hosted.zone().is_some_and(|zone| !matches!(zone.lookup(name, rtype::A), Lookup::Missing)),
        None => overridden(view, name, rtype::A).is_some(),
    }
}
