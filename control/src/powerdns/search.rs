//! `GET /search-data?q=…&max=100&object_type=…`: zones, records and comments by a pattern with `*` and `?`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postern_zones::text::rdata::type_name;
use serde_json::{Value, json};

use super::draft;
use super::fault::PowerDnsError;
use super::find::{self, FoundZone};
use super::zones::aside;
use super::{Asked, Parameters};
use crate::Control;

/// Most of each kind that are found, whatever is asked for.
const MOST: usize = 10_000;
/// Longest pattern, octets: each is compared with each octet of a record at worst.
const LONGEST: usize = 256;

/// Pattern of a search.
#[derive(Debug, Clone)]
struct Search {
    pattern: Vec<u8>,
    most: usize,
    zones: bool,
    records: bool,
    comments: bool,
}

/// Answers a search.
pub async fn search(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    Parameters(parameters): Parameters,
) -> Result<Response, PowerDnsError> {
    let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let search = Search::read(parameter("q"), parameter("max"), parameter("object_type"))?;
    let found = find::all(&control, &caller);
    let sets = found.iter().filter_map(FoundZone::zone).map(|zone| zone.counts().sets).sum();
    let result = aside(sets, move || search.run(&found)).await?;
    Ok(super::json(StatusCode::OK, Value::from(result).to_string()))
}

impl Search {
    fn read(q: &str, max: &str, object_type: &str) -> Result<Self, PowerDnsError> {
        if q.is_empty() {
            return Err(PowerDnsError::invalid("Query q can't be blank"));
        }
        if q.len() > LONGEST {
            return Err(PowerDnsError::invalid(format!("Query q has more than {LONGEST} octets")));
        }
        let most = match max {
            "" => 100,
            max => max.parse().map_err(|_| PowerDnsError::invalid("Invalid value for maximum entries"))?,
        };
        if most == 0 {
            return Err(PowerDnsError::invalid("Maximum entries must be larger than 0"));
        }
        let (zones, records, comments) = match object_type {
            "" | "all" => (true, true, true),
            "zone" => (true, false, false),
            "record" => (false, true, false),
            "comment" => (false, false, true),
            _ => return Err(PowerDnsError::invalid("object_type must be one of the following options: all, zone, record, comment")),
        };
        Ok(Self { pattern: q.to_ascii_lowercase().into_bytes(), most: most.min(MOST), zones, records, comments })
    }

    /// Zones, then records, then comments: as many of each as may be, as PowerDNS counts.
    fn run(&self, found: &[FoundZone]) -> Vec<Value> {
        let mut result = Vec::new();
        if self.zones {
            let zones = found.iter().filter(|found| self.is_name(&found.name())).take(self.most);
            result.extend(zones.map(|found| json!({ "name": found.name(), "object_type": "zone", "zone_id": found.id() })));
        }
        if self.records {
            result.extend(found.iter().flat_map(|found| self.records_of(found)).take(self.most));
        }
        if self.comments {
            result.extend(found.iter().flat_map(|found| self.comments_of(found)).take(self.most));
        }
        result
    }

    fn records_of(&self, found: &FoundZone) -> Vec<Value> {
        let Some(zone) = found.zone() else { return Vec::new() };
        let settings = found.settings();
        let (mut records, zone_name, id) = (Vec::new(), found.name(), found.id());
        for (owner, set) in zone.records() {
            if records.len() >= self.most {
                break;
            }
            let name = owner.to_string();
            let is_named = self.is_name(&name);
            for record in draft::stored(Some(&zone), &settings, &owner, set.rtype).records {
                let content = record.text(set.rtype);
                if is_named || self.is_like(&content) {
                    records.push(json!({
                        "content": content, "disabled": record.disabled, "name": name, "object_type": "record", "ttl": set.ttl,
                        "type": type_name(set.rtype), "zone": zone_name, "zone_id": id,
                    }));
                }
            }
        }
        records
    }

    fn comments_of(&self, found: &FoundZone) -> Vec<Value> {
        let (zone, id) = (found.name(), found.id());
        let settings = found.settings();
        let sets = settings.beside.iter().filter_map(|(key, beside)| Some((key.rsplit_once(' ')?, beside)));
        let all = sets.flat_map(|(key, beside)| beside.comments.iter().map(move |comment| (key, comment)));
        let matching = all.filter(|((name, _), comment)| self.is_name(name) || self.is_like(&comment.content));
        let shown = matching.map(|((name, kind), comment)| {
            json!({ "content": comment.content, "name": name, "object_type": "comment", "type": kind, "zone": zone, "zone_id": id })
        });
        shown.take(self.most).collect()
    }

    /// A name with or without its final dot.
    fn is_name(&self, name: &str) -> bool {
        self.is_like(name) || self.is_like(name.trim_end_matches('.'))
    }

    /// `*`: any octets; `?`: one. Goes back at most to the last `*`, so it takes no more than pattern times text.
    fn is_like(&self, text: &str) -> bool {
        let (pattern, text) = (&self.pattern, text.as_bytes());
        let (mut p, mut t, mut star) = (0, 0, None);
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(octet) if *octet == b'?' || *octet == text[t].to_ascii_lowercase() => (p, t) = (p + 1, t + 1),
                _ => match star {
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        (p, t) = (at + 1, taken + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|octet| *octet == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_powerdns() {
        for (pattern, text, want) in [
            ("www*", "www.contoso.test", true),
            ("WWW*", "www.contoso.test", true),
            ("www", "www.contoso.test", false),
            ("*10.0.0*", "10.0.0.1", true),
            ("10.0.0.?", "10.0.0.1", true),
            ("10.0.0.?", "10.0.0.12", false),
            ("*a*b*c", "xaxbxcxc", true),
            ("*a*b*c", "xaxbxcx", false),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(Search::read(pattern, "", "").unwrap().is_like(text), want, "{pattern} {text}");
        }
        assert!(Search::read("contoso.test", "", "").unwrap().is_name("contoso.test."));
    }

    #[test]
    fn searches_are_refused_in_the_words_of_powerdns() {
        for (q, max, object_type, message) in [
            ("", "", "", "Query q can't be blank"),
            ("x", "0", "", "Maximum entries must be larger than 0"),
            ("x", "y", "", "Invalid value for maximum entries"),
            ("x", "", "bogus", "object_type must be one of the following options: all, zone, record, comment"),
        ] {
            assert_eq!(Search::read(q, max, object_type).unwrap_err().message, message);
        }
    }
}
