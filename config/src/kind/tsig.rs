//! Kinds of values for `[[key]]`: hashes, secrets, owners and types.

use data_encoding::BASE64;
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::network::read_text;
use super::word::word;
use super::{ChoiceWord, NetworkName};
use crate::domain_name::domain;
use crate::key::{KeyUse, ValueKind};
use crate::model;
pub(crate) use crate::model::{KeyAction, TsigAlgorithm};
use crate::problems::ConfigProblems;
use crate::rtype;

/// A secret in Base64.
pub(crate) struct SecretText;

/// `name` or `name@network`.
pub(crate) struct ZoneNameText;

/// A name whose labels may be `*`.
pub(crate) struct NamePatternText;

/// Mnemonic of a type, or `TYPE` followed by a number (RFC 3597, section 5).
pub(crate) struct RecordType;

impl TsigAlgorithm {
    pub(crate) const WORDS: [ChoiceWord<Self>; 6] = [
        word("hmac-sha256", Self::Sha256, "required by RFC 8945"),
        word("hmac-sha384", Self::Sha384, "longer"),
        word("hmac-sha512", Self::Sha512, "longer still"),
        word("hmac-sha224", Self::Sha224, "shorter"),
        word("hmac-sha1", Self::Sha1, "for old clients"),
        word("hmac-md5", Self::Md5, "for very old clients; only with `allow-md5`"),
    ];

    /// Returns the name of the hash in the configuration.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|word| word.value == self).map_or("", |word| word.text)
    }

    /// Returns the hash with this name in any letter case. MD5 has two names (RFC 8945, section 6).
    pub fn of_word(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('.');
        let known = Self::WORDS.iter().find(|word| word.text.eq_ignore_ascii_case(text)).map(|word| word.value);
        known.or_else(|| text.eq_ignore_ascii_case("hmac-md5.sig-alg.reg.int").then_some(Self::Md5))
    }
}

impl KeyAction {
    pub(crate) const WORDS: [ChoiceWord<Self>; 4] = [
        word("update", Self::Update, "changes of records (RFC 2136)"),
        word("transfer", Self::Transfer, "AXFR and IXFR"),
        word("notify", Self::Notify, "NOTIFY messages (RFC 1996)"),
        word("query", Self::Query, "ordinary queries"),
    ];
}

/// Decodes a secret. The error is the message and the help.
pub(crate) fn secret(text: &str) -> Result<model::TsigSecret, (String, String)> {
    const MOST: usize = 1024;
    let text: String = text.split_ascii_whitespace().collect();
    let help = || "create one with `tsig-keygen`".to_string();
    match BASE64.decode(text.as_bytes()) {
        Ok(octets) if octets.is_empty() => Err(("the secret is empty".into(), help())),
        Ok(octets) if octets.len() > MOST => {
            Err((format!("the secret has {} octets, more than the maximum of {MOST}", octets.len()), help()))
        }
        Ok(octets) => Ok(model::TsigSecret::new(octets)),
        // The message must not reveal the secret.
        Err(_) => Err(("the secret is not Base64".into(), help())),
    }
}

impl ValueKind for SecretText {
    type Out = model::TsigSecret;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<model::TsigSecret> {
        read_text(self, value, field, problems, secret)
    }

    fn shape(&self) -> String {
        "text in Base64".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

impl ValueKind for ZoneNameText {
    type Out = model::QualifiedZoneName;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<model::QualifiedZoneName> {
        read_text(self, value, field, problems, |text| {
            let (name, network) = text.split_once('@').map_or((text, None), |(name, network)| (name, Some(network.to_string())));
            Ok(model::QualifiedZoneName { name: domain(name)?, network })
        })
    }

    fn shape(&self) -> String {
        format!("a domain name, or one with `@` and {}", NetworkName.shape())
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

/// Parses a domain name whose labels may be `*`. The error is the message and the help.
pub(crate) fn name_pattern(text: &str) -> Result<model::NamePattern, (String, String)> {
    let labels: Vec<&str> = text.split('.').map(|label| if label == "*" { "any" } else { label }).collect();
    if let Some(label) = labels.iter().find(|label| label.contains('*')) {
        return Err((format!("`{text}`: `*` stands for whole labels, not for a part of `{label}`"), String::new()));
    }
    domain(&labels.join("."))?;
    Ok(model::NamePattern::new(&text.trim_end_matches('.').to_ascii_lowercase()))
}

impl model::NamePattern {
    /// Parses a domain name in which labels may be `*`. The error text is for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        name_pattern(text).map_err(|(message, help)| if help.is_empty() { message } else { format!("{message}; {help}") })
    }
}

impl ValueKind for NamePatternText {
    type Out = model::NamePattern;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<model::NamePattern> {
        read_text(self, value, field, problems, name_pattern)
    }

    fn shape(&self) -> String {
        "a domain name in which labels may be `*`".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

impl ValueKind for RecordType {
    type Out = u16;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<u16> {
        read_text(self, value, field, problems, |text| {
            let code = rtype::type_code(text).ok_or_else(|| {
                let help = crate::diagnostic::did_you_mean(&text.to_ascii_uppercase(), rtype::mnemonics());
                let help =
                    help.map_or("any type can be written as `TYPE` and its number".into(), |meant| format!("did you mean `{meant}`?"));
                (format!("`{text}` is not a record type"), help)
            })?;
            match rtype::is_meta(code) {
                true => Err((format!("`{text}` is a type for queries only; no zone has records of it"), String::new())),
                false => Ok(code),
            }
        })
    }

    fn shape(&self) -> String {
        "a record type such as `TXT`, or `TYPE` and its number".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}
