//! What examples that print a cost have in common: a question, and the time of a call.

use std::time::Instant;

use hickory_proto::rr::RecordType;
use postern_dns::wire::question::Question;
use postern_zones::name::NameBuf;

/// A question for recursion, without EDNS.
pub fn question(name: &str, rtype: RecordType) -> Question {
    let name = NameBuf::parse(name).unwrap();
    Question {
        end: 12 + name.len() + 4,
        name,
        rtype: rtype.into(),
        class: 1,
        recursion_desired: true,
        checking_disabled: false,
        authentic_data: false,
        edns: None,
        cookie: None,
        signed: false,
    }
}

/// Nanoseconds a call, the best of five times so many.
pub fn best(calls: u32, mut call: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..5).map(round).fold(f64::MAX, f64::min)
}
