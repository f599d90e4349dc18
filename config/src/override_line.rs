//! Lines of overrides: an answer, and the names that get it.
//!
//! The same lines stand in `hosts = [...]` of `[[override]]` and in its `file`, so that a line can move from one to the other.

use std::net::IpAddr;

use crate::domain_name::domain;

/// Answer that the names of a line get.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverrideAnswer {
    /// An A or AAAA record with this address.
    Address(IpAddr),
    /// A CNAME to this name (lower case, no final dot).
    Alias(String),
    /// NXDOMAIN for every type.
    NoName,
    /// NODATA for every type.
    NoData,
    /// The answer that the name has without overrides: an exception to a wildcard.
    Public,
}

/// One line of overrides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OverrideLine {
    /// Answer that the names get.
    pub answer: OverrideAnswer,
    /// Names, lower case, no final dot, each with its offset in the line in octets. A first label `*` stands for every name below the rest.
    pub names: Vec<(usize, String)>,
    /// Line of the file, 1-based, and column of the first octet of the text. Both are 0 if the text stands in no file.
    pub place: (u32, u32),
}

/// Error in a line of overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideLineError {
    /// Offset of the wrong word in the line, in octets.
    pub offset: usize,
    /// Sentence about the wrong word.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

const FORM: &str = "a line is an address, a name, `nxdomain`, `nodata` or `public`, and then the names that get it";

impl OverrideLine {
    /// Reads a line. Returns `None` if it is empty or a comment.
    pub fn parse(text: &str) -> Result<Option<Self>, OverrideLineError> {
        let content = text.split('#').next().unwrap_or_default();
        let mut words = words(content);
        let Some((at, first)) = words.next() else { return Ok(None) };
        let wrong = |offset: usize, message: String, help: &str| OverrideLineError { offset, message, help: help.into() };
        let answer = match first.to_ascii_lowercase().as_str() {
            "nxdomain" => OverrideAnswer::NoName,
            "nodata" => OverrideAnswer::NoData,
            "public" => OverrideAnswer::Public,
            word => match word.parse::<IpAddr>() {
                Ok(address) => OverrideAnswer::Address(address.to_canonical()),
                // A bare word is more likely a misspelled one of the three above than the name of a host.
                Err(_) if !word.contains('.') || word.contains('*') || looks_like_an_address(word) => {
                    let help = if word.contains('%') { "an address with `%` is valid on one machine alone" } else { FORM };
                    return Err(wrong(at, format!("`{first}` is not an address or a name that others can lead to"), help));
                }
                Err(_) => OverrideAnswer::Alias(domain(word).map_err(|(message, help)| wrong(at, message, &help))?),
            },
        };
        let mut names = Vec::new();
        for (at, word) in words {
            let below = word.strip_prefix("*.");
            let name = domain(below.unwrap_or(word)).map_err(|(message, help)| wrong(at, message, &help))?;
            if name == "." || name == "*" {
                let help = "a `[[forward]]` says who answers for all names";
                return Err(wrong(at, format!("`{word}` cannot be overridden"), help));
            }
            if matches!(&answer, OverrideAnswer::Alias(target) if below.is_none() && *target == name) {
                return Err(wrong(at, format!("`{word}` would be an alias of itself"), "remove it, or write its address"));
            }
            names.push((at, if below.is_some() { format!("*.{name}") } else { name }));
        }
        if names.is_empty() {
            return Err(wrong(at, format!("`{first}` has no name"), FORM));
        }
        Ok(Some(Self { answer, names, place: (0, 0) }))
    }

    /// Returns the place of a name of the line: line and column, 1-based.
    pub fn place_of(&self, offset: usize) -> (u32, u32) {
        (self.place.0, self.place.1 + offset as u32)
    }
}

/// Returns true for digits and dots alone, which is an address with a typing error.
fn looks_like_an_address(word: &str) -> bool {
    word.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.') || word.contains(':')
}

/// Returns the words of a line with their offsets.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split_ascii_whitespace().map(move |word| (word.as_ptr() as usize - start, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_answer_and_the_names_that_get_it() {
        let line = |text: &str| OverrideLine::parse(text).unwrap().map(|line| (line.answer, line.names));
        let names = |names: &[(usize, &str)]| names.iter().map(|(at, name)| (*at, (*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(line("   # nothing"), None);
        assert_eq!(
            line("10.30.1.10  Printer.Contoso.com. scan.contoso.com # the big one"),
            Some((OverrideAnswer::Address([10, 30, 1, 10].into()), names(&[(12, "printer.contoso.com"), (33, "scan.contoso.com")])))
        );
        assert_eq!(
            line("app.contoso.com www.contoso.com"),
            Some((OverrideAnswer::Alias("app.contoso.com".into()), names(&[(16, "www.contoso.com")])))
        );
        assert_eq!(line("NXDOMAIN *.lab.contoso.com"), Some((OverrideAnswer::NoName, names(&[(9, "*.lab.contoso.com")]))));
        assert_eq!(line("nodata a.test").unwrap().0, OverrideAnswer::NoData);
        assert_eq!(line("public a.test").unwrap().0, OverrideAnswer::Public);
        assert_eq!(line("2001:db8::1 nas").unwrap().1, names(&[(12, "nas")]));
    }

    #[test]
    fn a_wrong_line_is_reported_at_its_wrong_word() {
        for (text, offset, message) in [
            (" 10.30.1 printer.contoso.com", 1, "`10.30.1` is not an address or a name that others can lead to"),
            ("nxdomian a.test", 0, "`nxdomian` is not an address or a name that others can lead to"),
            ("10.30.1.10", 0, "`10.30.1.10` has no name"),
            ("10.30.1.10 a..test", 11, "`a..test` is not a domain name: it has an empty label"),
            ("10.30.1.10 .", 11, "`.` cannot be overridden"),
            ("10.30.1.10 a.*.test *.*.test", 20, "`*.test` is not a domain name: it has a wildcard"),
            ("a.test a.test", 7, "`a.test` would be an alias of itself"),
        ] {
            let error = OverrideLine::parse(text).unwrap_err();
            assert_eq!((error.offset, error.message.as_str()), (offset, message), "{text}");
        }
    }
}
