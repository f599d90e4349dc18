//! The last good endpoints, and the proof that one of them is gone.
//!
//! | a reading that succeeded | effect on an endpoint that was there |
//! |---|---|
//! | has it, not approved | it is not served |
//! | has it, approved, without names | the earlier names stay; the second such reading in a row removes them |
//! | lacks it, and has its subscription | it stays; the second such reading in a row removes it, because Resource Graph is late at times |
//! | lacks its subscription too | it stays until the subscription is back, or until the operator accepts the loss |
//!
//! A reading that failed changes nothing.

use std::collections::BTreeMap;

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
    /// Readings in a row that lacked it or its names, although its subscription answered.
    pub missing: u8,
    /// Set if its subscription was not in the last reading.
    pub hidden: bool,
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
            if !kept.hidden {
                kept.missing += 1;
            }
            is_in_scope(kept) && kept.missing < AGREEMENT
        });
        for (id, mut endpoint) in endpoints {
            let mut missing = 0;
            if let Some(before) = self.endpoints.get_mut(&id)
                && endpoint.is_approved()
                && endpoint.names.is_empty()
                && !before.endpoint.names.is_empty()
                && before.missing + 1 < AGREEMENT
            {
                (endpoint.names, missing) = (std::mem::take(&mut before.endpoint.names), before.missing + 1);
            }
            self.endpoints.insert(id, KeptEndpoint { endpoint, missing, hidden: false });
        }
    }

    /// Lets the endpoints of subscriptions go that the identity does not see any more. Returns true if there were any.
    pub fn forget_hidden(&mut self, is_meant: impl Fn(&PrivateEndpoint) -> bool) -> bool {
        let before = self.endpoints.len();
        self.endpoints.retain(|_, kept| !kept.hidden || !is_meant(&kept.endpoint));
        self.endpoints.len() < before
    }

    /// Returns all endpoints, in the order of their IDs.
    pub fn endpoints(&self) -> impl Iterator<Item = &KeptEndpoint> {
        self.endpoints.values()
    }

    /// Returns the number of endpoints whose subscription was not in the last reading.
    pub fn hidden(&self) -> usize {
        self.endpoints.values().filter(|kept| kept.hidden).count()
    }
}

impl KeptEndpoint {
    /// Returns true if the last reading had it with its names.
    pub fn is_confirmed(&self) -> bool {
        self.missing == 0 && !self.hidden
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
            assert_eq!((served(&view), view.hidden()), (vec!["a"], 1));
        }
        assert!(view.forget_hidden(|_| true));
        assert!(served(&view).is_empty());
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
        assert_eq!(take("Approved", &[]), 1);
        assert_eq!(take("Approved", &[]), 0);
        assert_eq!(take("Approved", &["a"]), 1);
        assert_eq!(take("Rejected", &["a"]), 0);
    }
}
