//! `[[key]]`, and the files that contain secrets.

use std::path::Path;

use toml::de::DeTable;

use super::values;
use crate::diagnostic::did_you_mean;
use crate::key::AnyKey;
use crate::keys::key;
use crate::kind;
use crate::model::{KeyConfig, KeyProof, NetworkConfig, TsigAlgorithm, TsigSecret};
use crate::permissions;
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

/// Reads the keys in file order.
pub(super) fn keys(document: &DeTable<'_>, networks: &[NetworkConfig], problems: &mut ConfigProblems<'_>) -> Vec<KeyConfig> {
    let mut keys: Vec<KeyConfig> = Vec::new();
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = TableReader::open(&key::SECTION, Some(table), at, problems);
        keys.extend(key_table(&mut read, at, networks, &keys));
    }
    keys
}

/// Reads one `[[key]]`. Returns `None` if it is not complete.
fn key_table(read: &mut TableReader<'_, '_>, at: usize, networks: &[NetworkConfig], earlier: &[KeyConfig]) -> Option<KeyConfig> {
    let name = read.required(&key::NAME);
    let (allow, zones) = (read.required(&key::ALLOW), read.option(&key::ZONES).unwrap_or_default());
    let (names, types) = (read.option(&key::NAMES).unwrap_or_default(), read.option(&key::TYPES).unwrap_or_default());
    let clients = read.option(&key::CLIENTS).unwrap_or_default();
    for zone in &zones {
        let Some(network) = &zone.value.network else { continue };
        let known = networks.iter().map(|network| network.name.as_str());
        if !known.clone().any(|known| known == network) {
            let help = did_you_mean(network, known).map_or(String::new(), |meant| format!("did you mean `{meant}`?"));
            read.problems().error(zone.at, format!("there is no network `{network}`"), help);
        }
    }
    if let Some(name) = &name
        && let Some(other) = earlier.iter().find(|other| other.name == *name)
    {
        let at = read.place(&key::NAME).unwrap_or(at);
        read.problems().error(at, format!("key `{name}` is already declared in line {}", other.line), "give it another name");
    }
    let proof = proof(read, at, name.as_deref());
    let line = read.problems().line(at);
    Some(KeyConfig {
        name: name?,
        proof: proof?,
        allow: values(allow?),
        zones: values(zones),
        names: values(names),
        types: values(types),
        clients: values(clients),
        line,
    })
}

/// Returns how a client proves that it may use the key. `name` is the name of the key, if it has a
/// valid one: a file of secrets may hold several keys.
fn proof(read: &mut TableReader<'_, '_>, at: usize, name: Option<&str>) -> Option<KeyProof> {
    let (secret, file) = (read.option(&key::SECRET), read.option(&key::SECRET_FILE));
    let (algorithm, mac_bits) = (read.option(&key::ALGORITHM), read.option(&key::MAC_BITS));
    let (allow_md5, _) = (read.value(&key::ALLOW_MD5), read.option(&key::UNSIGNED));
    let (name, chosen) = (name?, read.chosen(&key::SECRET)?);
    if chosen == key::UNSIGNED.name() {
        return Some(KeyProof::Address);
    }
    let file_at = read.place(&key::SECRET_FILE);
    let algorithm_at = read.place(&key::ALGORITHM).or(file_at).unwrap_or(at);
    let (named, secret) = match (&file, file_at) {
        (Some(path), Some(at)) => from_file(path, name, at, read.problems())?,
        _ => (None, secret?),
    };
    if let (Some(algorithm), Some(named)) = (algorithm, named)
        && algorithm != named
    {
        let message = format!("`algorithm` is {}, but its file has {}", algorithm.word(), named.word());
        read.problems().error(algorithm_at, message, "remove `algorithm`");
    }
    let algorithm = algorithm.or(named).unwrap_or(TsigAlgorithm::Sha256);
    if algorithm == TsigAlgorithm::Md5 && !allow_md5 {
        let help = "create a new key with hmac-sha256, or write `allow-md5 = true`";
        read.problems().error(algorithm_at, "HMAC-MD5 is not secure, and must be allowed explicitly", help);
    }
    Some(KeyProof::Tsig { algorithm, allow_md5, mac_bits, secret })
}

/// Returns the secret in a file, and its hash if the file names one.
fn from_file(path: &Path, name: &str, at: usize, problems: &mut ConfigProblems<'_>) -> Option<(Option<TsigAlgorithm>, TsigSecret)> {
    const LARGEST: usize = 64 << 10;
    let shown = path.display();
    permissions::readable(path, at, problems);
    permissions::changeable(path, at, problems);
    let read = match problems.read(path) {
        Ok(text) if text.len() > LARGEST => Err("it is too large for a secret".to_string()),
        Ok(text) => read_key(&text, name),
        Err(error) => Err(error.to_string()),
    };
    read.map_err(|why| problems.error(at, format!("cannot read the secret from {shown}: {why}"), "")).ok()
}

/// Parses either Base64 alone or `key "name" { algorithm …; secret "…"; };`, of which there may be
/// several.
fn read_key(text: &str, name: &str) -> Result<(Option<TsigAlgorithm>, TsigSecret), String> {
    let lines = text.lines().map(|line| line.split("//").next().filter(|_| !line.trim_start().starts_with('#')).unwrap_or(""));
    let plain: String = lines.flat_map(|line| [line, "\n"]).collect();
    let words = words(&plain);
    if !words.contains(&"{") {
        // The text after `//` may be a part of the secret.
        return kind::secret(text).map(|secret| (None, secret)).map_err(|(why, _)| why);
    }
    let mut others = Vec::new();
    for (start, word) in words.iter().enumerate().filter(|(_, word)| **word == "key") {
        let Some(&[found, "{"]) = words.get(start + 1..start + 3) else { return Err(format!("`{word}` without a name and `{{`")) };
        let body = &words[start + 3..];
        let body = &body[..body.iter().position(|word| *word == "}").ok_or("`}` is missing")?];
        if !found.trim_end_matches('.').eq_ignore_ascii_case(name) {
            others.push(found);
            continue;
        }
        let value = |wanted: &str| body.windows(3).find(|words| words[0] == wanted && words[2] == ";").map(|words| words[1]);
        let algorithm = value("algorithm").ok_or("it has no `algorithm`")?;
        let algorithm = TsigAlgorithm::of_word(algorithm).ok_or_else(|| format!("`{algorithm}` is not a known algorithm"))?;
        let secret = kind::secret(value("secret").ok_or("it has no `secret`")?).map_err(|(why, _)| why)?;
        return Ok((Some(algorithm), secret));
    }
    Err(format!("it has no key `{name}`, but {}", others.join(", ")))
}

/// Splits a text into words, quoted or not, and the punctuation between them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' => rest[1..].split_once('"').unwrap_or((&rest[1..], "")),
            '{' | '}' | ';' => rest.split_at(1),
            _ => rest.split_at(rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len())),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_key_files_as_bind_writes_them() {
        let tsig_keygen = "key \"acme\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n";
        let several = format!("# keys\n// more\nkey other {{ algorithm hmac-md5; secret c2VjcmV0; }};\n{tsig_keygen}");
        let upper = tsig_keygen.replace("acme", "ACME.").replace("hmac-sha256", "HMAC-MD5.SIG-ALG.REG.INT.");
        for (text, want) in [
            ("c2VjcmV0\n", Ok(None)),
            ("c2Vj\ncmV0", Ok(None)),
            (tsig_keygen, Ok(Some(TsigAlgorithm::Sha256))),
            (&several, Ok(Some(TsigAlgorithm::Sha256))),
            (&upper, Ok(Some(TsigAlgorithm::Md5))),
            ("", Err("the secret is empty")),
            ("no secret!", Err("the secret is not Base64")),
            ("key b { algorithm hmac-sha256; secret c2VjcmV0; };", Err("it has no key `acme`, but b")),
            ("key acme { secret c2VjcmV0; };", Err("it has no `algorithm`")),
            ("key acme { algorithm rot13; secret c2VjcmV0; };", Err("`rot13` is not a known algorithm")),
            ("key acme { algorithm hmac-sha1; };", Err("it has no `secret`")),
            ("key acme { algorithm hmac-sha1; secret", Err("`}` is missing")),
            ("key { acme", Err("`key` without a name and `{`")),
        ] {
            let read = read_key(text, "acme").map(|(algorithm, secret)| {
                assert_eq!(secret.as_octets(), b"secret", "{text}");
                algorithm
            });
            assert_eq!(read, want.map_err(String::from), "{text}");
        }
        assert_eq!(read_key("Pz8/Lz8v/y//", "acme").unwrap().1.as_octets().len(), 9, "// in Base64 is no comment");
    }
}
