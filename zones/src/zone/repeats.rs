//! Records of an RRset that say the same twice (RFC 2181 section 5).

use std::cmp::Ordering;

use super::rtype;

/// Records up to which each is held against those before it: that needs no memory, and sorting so few costs more.
const FEW: usize = 16;

/// Which records have the data of one before them, by place; empty: none has. `data` gives that of a place.
pub fn repeats<'d>(rtype: u16, count: usize, data: impl Fn(usize) -> &'d [u8]) -> Vec<bool> {
    let mut repeats = Vec::new();
    let mut note = |place: usize| {
        repeats.resize(count, false);
        repeats[place] = true;
    };
    if count <= FEW {
        let is_there = |place: &usize| (0..*place).any(|earlier| is_same(rtype, data(earlier), data(*place)));
        (1..count).filter(is_there).for_each(note);
        return repeats;
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(rtype, data(*one), data(*other))); // of those that are the same, the first stays the first
    for pair in order.windows(2) {
        if is_same(rtype, data(pair[0]), data(pair[1])) {
            note(pair[1]);
        }
    }
    repeats
}

/// True where the data holds names, which compare without regard to case (RFC 4343); other data does octet by octet.
fn has_names(rtype: u16) -> bool {
    matches!(rtype, rtype::NS | rtype::CNAME | rtype::PTR | rtype::MX | rtype::SRV | rtype::DNAME)
}

fn is_same(rtype: u16, one: &[u8], other: &[u8]) -> bool {
    if has_names(rtype) { one.eq_ignore_ascii_case(other) } else { one == other }
}

/// Some order, in which the same data is equal.
fn compare(rtype: u16, one: &[u8], other: &[u8]) -> Ordering {
    match has_names(rtype) {
        true => one.iter().map(u8::to_ascii_lowercase).cmp(other.iter().map(u8::to_ascii_lowercase)),
        false => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn many_records_are_told_apart_without_holding_each_against_all() {
        let looks = Cell::new(0);
        let records: Vec<[u8; 4]> = (0..4_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) % 3_999).to_be_bytes()).collect();
        let told = repeats(rtype::A, records.len(), |place| {
            looks.set(looks.get() + 1);
            &records[place]
        });
        assert!(told.iter().any(|is_there| *is_there));
        let most = 4 * records.len() * records.len().ilog2() as usize; // of some sorting or other; two by two there are sixteen million
        assert!(looks.get() < most, "{} looks, {most} at most", looks.get());
    }

    proptest! {
        #[test]
        fn few_records_and_many_are_told_apart_alike(
            texts in prop::collection::vec(prop::sample::select(&["a", "A", "b", "ab", "aB", "c", ""][..]), 0..3 * FEW),
            rtype in prop::sample::select(&[rtype::PTR, rtype::TXT][..]),
        ) {
            let told = repeats(rtype, texts.len(), |place| texts[place].as_bytes());
            for place in 0..texts.len() {
                let same = |earlier: &&str| if rtype == rtype::PTR { earlier.eq_ignore_ascii_case(texts[place]) } else { *earlier == texts[place] };
                let is_there = texts[..place].iter().any(same);
                prop_assert_eq!(told.get(place).copied().unwrap_or(false), is_there, "{} of {:?}", place, texts);
            }
        }
    }
}
