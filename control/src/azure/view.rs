//! The last good endpoints, and the proof that one of them is gone.
//!
//! | a reading that succeeded | effect on an endpoint that was there |
//! |---|---|
//! | has it, not approved | it is not served |
//! | has it, approved, without one of its names | the name stays; the second such reading in a row removes it |
//! | has it, approved, without any name | the earlier names stay as if its subscription were hidden, because interfaces may not be readable |
//! | lacks it, and has its subscription | it stays; the second such reading in a row removes it, because Resource Graph is late at times |
//! | lacks its subscription too | it stays until the subscription is back; a zone whose operator accepts the loss drops it |
//!
//! A reading that failed changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use postern_config::model::AzureScope;
use serde::{Deserialize, Serialize};

use super::reading::{AzureReading, PrivateEndpoint};

/// Readings in a row that must lack an endpoint before it counts as gone.
const AGREEMENT: u8 = 2;

/// Endpoints as they count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AzureView {
    endpoints: BTreeMap<String, KeptEndpoint>,
}

/// An endpoint of the view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptEndpoint {
    /// The endpoint as it was last read.
    pub endpoint: PrivateEndpoint,
    /// Readings in a row that lacked it, although its subscription answered.
    pub missing: u8,
    /// Set if its subscription, or all of its names, were not in the last reading.
    pub hidden: bool,
    /// Names that the last reading lacked, each with the number of such readings in a row.
    #[serde(default)]
    late: BTreeMap<String, u8>,
    /// Zones whose operator lets it go while it is hidden, as `name` or `name@network`.
    #[serde(default)]
    dropped_by: BTreeSet<String>,
}

impl AzureView {
    /// Takes a reading that succeeded. `scope` is the scope of the reading.
    pub fn take(&mut self, reading: AzureReading, scope: &AzureScope) {
        let AzureReading { endpoints, answered, .. } = reading;
        let is_in_scope = |kept: &KeptEndpoint| match scope {
            AzureScope::Subscriptions(named) => named.contains(&kept.endpoint.subscription),
            AzureScope::Visible | AzureScope::ManagementGroups(_) => true,
        };
        self.endpoints.retain(|id, kept| {
            if endpoints.contains_key(id) {
                return true; // taken below
            }
            kept.hidden = !answered.contains(&kept.endpoint.subscription);
            kept.missing = if kept.hidden { 0 } else { kept.missing + 1 };
            is_in_scope(kept) && kept.missing < AGREEMENT
        });
        for (id, endpoint) in endpoints {
            let before = self.endpoints.remove(&id).filter(|before| before.endpoint.is_approved() && endpoint.is_approved());
            let kept = KeptEndpoint::new(endpoint);
            self.endpoints.insert(id, if let Some(before) = before { kept.after(before) } else { kept });
        }
    }

    /// Lets a zone drop hidden endpoints. Returns their number.
    pub fn drop_hidden(&mut self, zone: &str, is_meant: impl Fn(&PrivateEndpoint) -> bool) -> usize {
        let meant = self.endpoints.values_mut().filter(|kept| kept.hidden && is_meant(&kept.endpoint));
        meant.filter_map(|kept| kept.dropped_by.insert(zone.to_owned()).then_some(())).count()
    }

    /// Returns all endpoints, in the order of their IDs.
    pub fn endpoints(&self) -> impl Iterator<Item = &KeptEndpoint> {
        self.endpoints.values()
    }

    /// Returns the endpoints that are kept although nothing is known about them now, and that no operator lets go.
    pub fn hidden(&self) -> impl Iterator<Item = &KeptEndpoint> {
        self.endpoints.values().filter(|kept| kept.hidden && kept.dropped_by.is_empty())
    }
}

impl KeptEndpoint {
    fn new(endpoint: PrivateEndpoint) -> Self {
        Self { endpoint, missing: 0, hidden: false, late: BTreeMap::new(), dropped_by: BTreeSet::new() }
    }

    /// Adds the names that the endpoint had before, unless two readings in a row lack them.
    fn after(mut self, before: Self) -> Self {
        if self.endpoint.names.is_empty() && !before.endpoint.names.is_empty() {
            (self.endpoint.names, self.hidden) = (before.endpoint.names, true);
            (self.late, self.dropped_by) = (before.late, before.dropped_by);
            return self;
        }
        let present: BTreeSet<String> = self.endpoint.names.iter().map(|(name, _)| name.clone()).collect();
        for (name, address) in before.endpoint.names {
            let lacked = before.late.get(&name).copied().unwrap_or(0) + 1;
            if !present.contains(&name) && lacked < AGREEMENT {
                self.late.insert(name.clone(), lacked);
                self.endpoint.names.insert((name, address));
            }
        }
        self
    }

    /// Returns true if the last reading should have had the name of the endpoint, and lacked it.
    pub fn is_late(&self, name: &str) -> bool {
        self.missing > 0 || self.late.contains_key(name)
    }

    /// Returns true if the operator of a zone lets the endpoint go.
    pub fn is_dropped_by(&self, zone: &str) -> bool {
        self.hidden && self.dropped_by.contains(zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: &str, subscription: &str, state: &str, names: &[&str]) -> PrivateEndpoint {
        let names = names.iter().map(|name| ((*name).to_owned(), "10.20.1.4".parse().unwrap())).collect();
        PrivateEndpoint { id: id.into(), subscription: subscription.into(), subnet: String::new(), state: state.into(), names }
    }

    fn reading(endpoints: &[PrivateEndpoint], answered: &[&str]) -> AzureReading {
        AzureReading {
            endpoints: endpoints.iter().map(|endpoint| (endpoint.id.clone(), endpoint.clone())).collect(),
            answered: answered.iter().map(|id| (*id).to_owned()).collect(),
            ..AzureReading::default()
        }
    }

    fn served(view: &AzureView) -> Vec<&str> {
        let serves = |kept: &&KeptEndpoint| kept.endpoint.is_approved() && !kept.endpoint.names.is_empty();
        view.endpoints().filter(serves).map(|kept| kept.endpoint.id.as_str()).collect()
    }

    #[test]
    fn an_endpoint_goes_when_two_readings_in_a_row_lack_it() {
        let (one, other) = (endpoint("a", "s", "Approved", &["a"]), endpoint("b", "s", "Approved", &["b"]));
        let mut view = AzureView::default();
        let mut take = |endpoints: &[PrivateEndpoint]| {
            view.take(reading(endpoints, &["s"]), &AzureScope::Visible);
            served(&view).len()
        };
        assert_eq!(take(&[one.clone(), other.clone()]), 2);
        assert_eq!(take(std::slice::from_ref(&one)), 2, "it may be late");
        assert_eq!(take(&[one.clone(), other]), 2);
        assert_eq!(take(std::slice::from_ref(&one)), 2, "the count begins anew");
        assert_eq!(take(&[one]), 1);
    }

    #[test]
    fn an_endpoint_stays_while_its_subscription_is_hidden() {
        let one = endpoint("a", "s", "Approved", &["a"]);
        let mut view = AzureView::default();
        view.take(reading(&[one], &["s"]), &AzureScope::Visible);
        for _ in 0..5 {
            view.take(reading(&[], &["other"]), &AzureScope::Visible);
            assert_eq!((served(&view), view.hidden().count()), (vec!["a"], 1));
        }
        assert_eq!((view.drop_hidden("contoso.test", |_| true), view.hidden().count()), (1, 0));
        let drops = |view: &AzureView, zone: &str| view.endpoints().next().unwrap().is_dropped_by(zone);
        assert!(drops(&view, "contoso.test") && !drops(&view, "fabrikam.test"), "other zones keep it");
        view.take(reading(&[endpoint("a", "s", "Approved", &["a"])], &["s"]), &AzureScope::Visible);
        assert!(!drops(&view, "contoso.test"), "it is back");
    }

    #[test]
    fn a_subscription_that_the_configuration_no_longer_names_is_let_go() {
        let one = endpoint("a", "s", "Approved", &["a"]);
        let mut view = AzureView::default();
        view.take(reading(&[one], &["s"]), &AzureScope::Subscriptions(vec!["s".into()]));
        view.take(reading(&[], &["other"]), &AzureScope::Subscriptions(vec!["other".into()]));
        assert!(served(&view).is_empty());
    }

    #[test]
    fn a_rejected_endpoint_goes_at_once_and_lost_names_do_not() {
        let mut view = AzureView::default();
        let mut take = |state: &str, names: &[&str]| {
            view.take(reading(&[endpoint("a", "s", state, names)], &["s"]), &AzureScope::Visible);
            served(&view).len()
        };
        assert_eq!(take("Pending", &["a"]), 0);
        assert_eq!(take("Approved", &["a"]), 1);
        for _ in 0..5 {
            assert_eq!(take("Approved", &[]), 1, "its interface may not be readable");
        }
        assert_eq!(take("Approved", &["a"]), 1);
        assert_eq!(take("Rejected", &["a"]), 0);
        assert_eq!(take("Approved", &[]), 0);
    }

    #[test]
    fn a_name_goes_when_two_readings_in_a_row_lack_it() {
        let mut view = AzureView::default();
        let mut take = |names: &[&str]| {
            view.take(reading(&[endpoint("a", "s", "Approved", names)], &["s"]), &AzureScope::Visible);
            let kept = view.endpoints().next().unwrap();
            kept.endpoint.names.iter().map(|(name, _)| (name.clone(), kept.is_late(name))).collect::<Vec<_>>()
        };
        let (a, late, b) = (("a".to_owned(), false), ("a".to_owned(), true), ("b".to_owned(), false));
        assert_eq!(take(&["a", "b"]), [a.clone(), b.clone()]);
        assert_eq!(take(&["b"]), [late.clone(), b.clone()]);
        assert_eq!(take(&["a", "b"]), [a, b.clone()]);
        assert_eq!(take(&["b"]), [late, b.clone()]);
        assert_eq!(take(&["b"]), [b]);
    }
}
