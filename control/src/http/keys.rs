//! Keys of those who come over TCP: hashed at rest, one a line.
//!
//! ```text
//! # name  scope                              hash
//! ci      records=contoso.test,fabrikam.test sha256:0f3c…
//! grafana read                               sha256:77aa…
//! ops     admin                              sha256:b19e…
//! ```
//! A key is 32 random octets, so one round of SHA-256 is as good as any slow hash: there is nothing to guess.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use super::rights::KeyRights;

/// The keys of a file.
#[derive(Debug, Default)]
pub(super) struct ApiKeys {
    keys: Vec<ApiKey>,
}

/// A key, hashed.
#[derive(Debug)]
pub(super) struct ApiKey {
    pub name: Arc<str>,
    pub rights: KeyRights,
    hash: Hash,
}

/// SHA-256 of a key.
pub(super) type Hash = [u8; SHA256_OUTPUT_LEN];

/// A file of keys that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKeys {
    /// The file.
    pub file: PathBuf,
    /// Line and column, 1-based; none: the file as a whole.
    pub place: Option<(usize, usize)>,
    /// Description of the problem.
    pub message: String,
}

/// A key that was just made: the only moment at which it can be read.
pub struct NewKey {
    /// Key as the client sends it.
    pub secret: String,
    /// Line for the key file.
    pub line: String,
}

/// Longest name of a key.
const LONGEST_NAME: usize = 64;
const PREFIX: &str = "sha256:";

impl ApiKeys {
    /// The keys of a file of which this was read.
    pub fn of(path: &Path, bytes: &io::Result<Vec<u8>>) -> Result<Self, BadKeys> {
        let whole = |message: String| BadKeys { file: path.to_owned(), place: None, message };
        let bytes = bytes.as_ref().map_err(|error| whole(format!("the keys cannot be read: {error}")))?;
        let text = std::str::from_utf8(bytes).map_err(|_| whole("the keys cannot be read: not UTF-8 text".into()))?;
        Self::parse(text).map_err(|(line, column, message)| BadKeys { place: Some((line, column)), ..whole(message) })
    }

    fn parse(text: &str) -> Result<Self, (usize, usize, String)> {
        let mut keys: Vec<ApiKey> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.split('#').next().unwrap_or_default();
            let mut words = content.split_whitespace();
            let at = |word: &str| (number, word.as_ptr() as usize - line.as_ptr() as usize + 1);
            let wrong = |word: &str, message: String| (at(word).0, at(word).1, message);
            let Some(name) = words.next() else { continue };
            let (Some(scope), Some(hash), None) = (words.next(), words.next(), words.next()) else {
                return Err(wrong(name, "a key is a name, a scope and a hash: `postern key` prints such a line".into()));
            };
            check_name(name).map_err(|message| wrong(name, message))?;
            if keys.iter().any(|key| *key.name == *name) {
                return Err(wrong(name, format!("there is a key `{name}` already")));
            }
            let rights = scope.parse().map_err(|message| wrong(scope, message))?;
            let octets = hash.strip_prefix(PREFIX).and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
            let hash = octets.and_then(|octets| octets.try_into().ok());
            let hash = hash.ok_or_else(|| wrong(words_at(content, 2), format!("the hash is `{PREFIX}` and 64 hexadecimal digits")))?;
            keys.push(ApiKey { name: name.into(), rights, hash });
        }
        Ok(Self { keys })
    }

    /// True where there is such a key with these rights.
    pub fn has(&self, hash: &Hash, rights: &KeyRights) -> bool {
        self.keys.iter().any(|key| key.hash == *hash && key.rights == *rights) // both are ours: nothing to time
    }

    /// The key that somebody gives.
    pub fn find(&self, given: &str) -> Option<&ApiKey> {
        let hash = digest(&SHA256, given.as_bytes());
        // All of them, whichever it is: the time tells nothing.
        let mut found = None;
        for key in &self.keys {
            if bool::from(key.hash.ct_eq(hash.as_ref())) {
                found = Some(key);
            }
        }
        found
    }
}

impl ApiKey {
    /// Name by which the audit log knows the key.
    pub fn hash(&self) -> Hash {
        self.hash
    }
}

fn words_at(content: &str, index: usize) -> &str {
    content.split_whitespace().nth(index).unwrap_or(content)
}

/// Says what is wrong with a file of keys.
pub fn check(path: &Path) -> Result<(), BadKeys> {
    ApiKeys::of(path, &postern_config::read(path)).map(|_| ())
}

impl fmt::Display for BadKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        self.place.map_or(Ok(()), |(line, column)| write!(f, "{line}:{column}:"))?;
        write!(f, " error: {}", self.message)
    }
}

impl NewKey {
    /// A key of that name and scope (`read`, `records=ZONE,…`, `admin`).
    pub fn make(name: &str, scope: &str) -> Result<Self, String> {
        check_name(name)?;
        let rights: KeyRights = scope.parse()?;
        let mut octets = [0; 32];
        SystemRandom::new().fill(&mut octets).map_err(|_| "the system gives no random octets".to_string())?;
        let secret = BASE64URL_NOPAD.encode(&octets);
        let hash = HEXLOWER_PERMISSIVE.encode(digest(&SHA256, secret.as_bytes()).as_ref());
        Ok(Self { secret, line: format!("{name} {rights} {PREFIX}{hash}") })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let good = |octet: u8| octet.is_ascii_alphanumeric() || b"._-@".contains(&octet);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good) {
        return Err(format!("a key's name is 1 to {LONGEST_NAME} of a-z, 0-9, `.`, `_`, `-` and `@`, found `{name}`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_found_by_its_secret_and_by_nothing_else() {
        let one = NewKey::make("ci", "records=Contoso.test.,fabrikam.test@hub").unwrap();
        let other = NewKey::make("ops", "admin").unwrap();
        assert_ne!(one.secret, other.secret);
        assert!(!one.line.contains(&one.secret));
        let keys = ApiKeys::parse(&format!("# keys\n{}\n\n{} # the people\n", one.line, other.line)).unwrap();
        let found = keys.find(&one.secret).unwrap();
        assert_eq!((&*found.name, found.rights.to_string().as_str()), ("ci", "records=contoso.test,fabrikam.test@hub"));
        assert_eq!(keys.find(&other.secret).unwrap().rights, KeyRights::Admin);
        assert!(keys.find("").is_none() && keys.find(&one.secret[1..]).is_none());
    }

    #[test]
    fn a_wrong_line_is_told_with_its_place() {
        let hash = format!("sha256:{}", "0".repeat(64));
        for (text, line, column, words) in [
            ("ci admin".to_string(), 1, 1, "a name, a scope and a hash"),
            (format!("ci admin {hash} more"), 1, 1, "a name, a scope and a hash"),
            (format!("\nci  write {hash}"), 2, 5, "the scope is"),
            (format!("ci records= {hash}"), 1, 4, "is not a zone"),
            (format!("ci records=a..b {hash}"), 1, 4, "is not a zone"),
            ("ci admin sha256:00".into(), 1, 10, "64 hexadecimal digits"),
            ("ci admin secret".into(), 1, 10, "64 hexadecimal digits"),
            (format!("c/i admin {hash}"), 1, 1, "a key's name"),
            (format!("ci admin {hash}\nci read {hash}"), 2, 1, "already"),
        ] {
            let (at_line, at_column, message) = ApiKeys::parse(&text).unwrap_err();
            assert_eq!((at_line, at_column), (line, column), "{text}: {message}");
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
