//! SOA-EDIT-API: how the serial moves with a change.
//!
//! It always moves forward (RFC 1982), whatever a client puts into a SOA: secondaries take no step back.

use postern_zones::zone::{next_serial, serial_rose};
use time::OffsetDateTime;

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The day and two digits, `2026112501`; by one where that is not enough.
    Default,
    /// By one.
    Increase,
    /// Seconds since 1970.
    Epoch,
    /// As the client's SOA says; by one where it says nothing.
    Off,
}

impl Rule {
    /// The rule of `soa_edit_api` in any letter case (rule 3). Like PowerDNS it accepts every word. A word that PowerDNS gives no meaning
    /// for a zone without signatures moves the serial by one. `soa_edit` is the word that `SOA-EDIT` and `SOA-EDIT-INCREASE` refer to.
    pub fn of(word: &str, soa_edit: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "DEFAULT" | "INCEPTION-INCREMENT" => Self::Default,
            "EPOCH" | "INCEPTION-EPOCH" => Self::Epoch,
            "OFF" | "" => Self::Off,
            "SOA-EDIT" | "SOA-EDIT-INCREASE" if !soa_edit.is_empty() => Self::of(soa_edit, ""),
            _ => Self::Increase,
        }
    }

    /// The serial after a change. `given`: what the client's SOA says.
    pub fn next(self, current: u32, given: Option<u32>, now: OffsetDateTime) -> u32 {
        let from = given.unwrap_or(current);
        let wanted = match self {
            Self::Default => match today(now) {
                first if from < first => first,
                _ => next_serial(from),
            },
            Self::Increase => next_serial(from),
            Self::Epoch => now.unix_timestamp() as u32, // as PowerDNS has it: the low 32 bits
            Self::Off => given.unwrap_or_else(|| next_serial(current)),
        };
        match (serial_rose(current, wanted), given) {
            (true, _) => wanted,
            (false, Some(_)) => self.next(current, None, now),
            (false, None) => next_serial(current),
        }
    }

    /// The serial of a new zone. `given`: what the client says.
    pub fn first(self, given: u32, now: OffsetDateTime) -> u32 {
        match self {
            Self::Off => given.max(1), // some secondaries take zero for "none"
            Self::Increase => next_serial(given),
            Self::Default | Self::Epoch => self.next(given, Some(given), now),
        }
    }
}

/// The first serial of a day.
fn today(now: OffsetDateTime) -> u32 {
    let date = now.date();
    date.year().unsigned_abs() * 1_000_000 + u32::from(u8::from(date.month())) * 10_000 + u32::from(date.day()) * 100 + 1
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn serials_move_as_soa_edit_api_says_and_never_back() {
        let now = datetime!(2026-11-25 12:00 UTC);
        let epoch = now.unix_timestamp() as u32;
        for (rule, current, given, next) in [
            ("DEFAULT", 0, None, 2026112501),
            ("default", 2026112501, None, 2026112502),
            ("DEFAULT", 2030010101, None, 2030010102),
            ("DEFAULT", epoch, Some(7), 2026112501),
            ("DEFAULT", 2026112505, Some(7), 2026112506),
            ("INCREASE", 7, None, 8),
            ("INCREASE", 7, Some(20), 21),
            ("INCREASE", 7, Some(1), 8),
            ("INCREASE", u32::MAX, None, 1),
            ("EPOCH", 7, None, epoch),
            ("EPOCH", epoch, None, epoch + 1),
            ("EPOCH", 7, Some(9), epoch),
            ("OFF", 7, None, 8),
            ("OFF", 7, Some(100), 100),
            ("", 7, Some(7), 8),
        ] {
            assert_eq!(Rule::of(rule, "").next(current, given, now), next, "{rule} {current} {given:?}");
        }
    }

    #[test]
    fn new_zones_begin_as_soa_edit_api_says() {
        let now = datetime!(2026-11-25 12:00 UTC);
        for (rule, given, first) in [
            ("DEFAULT", 0, 2026112501),
            ("INCREASE", 0, 1),
            ("INCREASE", 77, 78),
            ("EPOCH", 0, now.unix_timestamp() as u32),
            ("OFF", 0, 1),
            ("OFF", 9, 9),
        ] {
            assert_eq!(Rule::of(rule, "").first(given, now), first, "{rule} {given}");
        }
    }

    #[test]
    fn every_word_of_soa_edit_api_is_accepted() {
        for (word, soa_edit, rule) in [
            ("INCEPTION-INCREMENT", "", Rule::Default),
            ("soa-edit-increase", "", Rule::Increase),
            ("SOA-EDIT-INCREASE", "INCEPTION-INCREMENT", Rule::Default),
            ("SOA-EDIT", "inception-epoch", Rule::Epoch),
            ("SOA-EDIT", "SOA-EDIT", Rule::Increase),
            ("INCREMENT-WEEKS", "", Rule::Increase),
            ("BOGUS", "EPOCH", Rule::Increase),
        ] {
            assert_eq!(Rule::of(word, soa_edit), rule, "{word} {soa_edit}");
        }
    }
}
