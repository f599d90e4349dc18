//! How often one address may ask.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use postern_dns::listen::places::client_of;

use super::Shared;
use super::peer::Peer;
use super::problem::Problem;

/// Token buckets by address. Bounded: where it is full of addresses that ask, one that comes anew has to wait.
#[derive(Debug, Default)]
pub(super) struct Rate {
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    since: Instant,
}

/// Addresses that are remembered.
const MOST: usize = 10_000;

impl Rate {
    /// Takes a request of `address`; false: it is one too many. `rate` is a second's worth, and what a bucket holds.
    fn take(&self, address: IpAddr, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate);
        let filled = |bucket: &Bucket| (bucket.tokens + now.saturating_duration_since(bucket.since).as_secs_f64() * rate).min(rate);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let place = client_of(address);
        if buckets.len() >= MOST && !buckets.contains_key(&place) {
            buckets.retain(|_, bucket| filled(bucket) < rate); // a full one says nothing
            if buckets.len() >= MOST {
                return false;
            }
        }
        let bucket = buckets.entry(place).or_insert(Bucket { tokens: rate, since: now });
        let tokens = filled(bucket);
        let is_taken = tokens >= 1.0;
        *bucket = Bucket { tokens: if is_taken { tokens - 1.0 } else { tokens }, since: now };
        is_taken
    }
}

/// Refuses what is beyond `api.rate`.
pub(super) async fn bound(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let rate = shared.settings.now().rate;
    if let Some(Peer::Remote { address }) = request.extensions().get::<Peer>()
        && rate > 0
        && !shared.settings.rate.take(*address, rate, Instant::now())
    {
        return Problem::new(StatusCode::TOO_MANY_REQUESTS, format!("more than {rate} requests a second (`api.rate`)")).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_has_a_second_s_worth_and_then_the_rate() {
        let (rate, start) = (Rate::default(), Instant::now());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let taken = |address, now| (0..100).filter(|_| rate.take(address, 10, now)).count();
        assert_eq!((taken(one, start), taken(other, start)), (10, 10));
        assert_eq!(taken(one, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(one, start + Duration::from_secs(60)), 10);
    }

    #[test]
    fn one_ipv6_site_is_one_address_and_memory_is_bounded() {
        let (rate, start) = (Rate::default(), Instant::now());
        let site = |number: u32| IpAddr::from(std::net::Ipv6Addr::from_bits(u128::from(number) << 64 | 1));
        assert!(rate.take(site(0), 1, start));
        assert!(!rate.take("::2".parse().unwrap(), 1, start));
        let taken = (1..2 * MOST as u32).filter(|number| rate.take(site(*number), 1, start)).count();
        assert_eq!(taken, MOST - 1);
        assert!(rate.take(site(u32::MAX), 1, start + Duration::from_secs(2)), "buckets that filled up make room");
    }
}
