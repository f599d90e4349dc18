//! Files of formats that are not read, recognized by their first lines: one error instead of one for each line.

use super::BOM;
use super::report::{TextError, TextSpot};

/// Bytes at the start of a file that are looked at.
const HEADER: usize = 4096;

/// Returns the error for a file that is no zone file and no hosts file. `None`: it may be one.
pub(super) fn recognize(text: &[u8]) -> Option<TextError> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    // The version of a raw file (BIND 9 `masterfile-format raw`), and a format of 2 in network order.
    if text.starts_with(&[0, 0, 0, 2]) {
        return Some(error("a raw zone file of BIND", "`named-compilezone -f raw -F text -o OUT ZONE FILE` converts it"));
    }
    let header = String::from_utf8_lossy(&text[..text.len().min(HEADER)]);
    let lines: Vec<&str> = header.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).take(20).collect();
    let first = *lines.first()?;
    if first.trim_start().starts_with('<') {
        return Some(error("HTML or XML", "an error page may have been saved in place of the data"));
    }
    if first.starts_with("#TYPE ") || is_csv(&lines) {
        return Some(error("CSV", "export JSON (`ConvertTo-Json -Depth 20`, `az … -o json`) or a zone file"));
    }
    if lines.get(1).is_some_and(|line| line.contains("---") && line.chars().all(|c| matches!(c, '-' | ' ' | '+' | '|'))) {
        return Some(error("a table for people", "export JSON (`-o json`, `ConvertTo-Json -Depth 20`)"));
    }
    let content: Vec<&str> = lines.iter().copied().filter(|line| !line.starts_with('#')).collect();
    if content.len() > 1 && content.iter().all(|line| line.split_once(" : ").is_some_and(|(key, _)| is_word(key.trim()))) {
        return Some(error("a list of PowerShell", "pipe the objects into `ConvertTo-Json -Depth 20`"));
    }
    is_yaml(&content).then(|| error("YAML", "export JSON (`-o json`) or a zone file"))
}

fn error(what: &str, help: &str) -> TextError {
    *TextError::new(TextSpot { line: 1, ..TextSpot::default() }, format!("the file looks like {what}, which is not read"), help)
}

/// Two commas or more in the first line and as many in the second.
fn is_csv(lines: &[&str]) -> bool {
    let commas = |line: &str| line.matches(',').count();
    let [first, second, ..] = lines else { return false };
    let words_of = |line: &str| line.split(',').all(|cell| !cell.trim().contains(' ') || cell.trim().starts_with('"'));
    commas(first) >= 2 && commas(first) == commas(second) && words_of(first)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// `---`, or lines of `key:`, `key: value`, and `- item` alone.
fn is_yaml(lines: &[&str]) -> bool {
    let is_line = |line: &&str| {
        let line = line.trim_start();
        let line = line.strip_prefix("- ").unwrap_or(line);
        line.split_once(':')
            .is_some_and(|(key, rest)| is_word(key.trim_matches(['\'', '"', '*'])) && (rest.is_empty() || rest.starts_with(' ')))
    };
    match lines {
        ["---", ..] => true,
        [first, ..] => is_line(first) && lines.iter().filter(|line| is_line(line)).count() * 2 > lines.len(),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::recognize;

    #[test]
    fn formats_that_are_not_read_are_named() {
        for (text, want) in [
            ("#TYPE Microsoft.Management\n\"a\",\"b\"\n", Some("CSV")),
            ("\"Name\",\"Type\",\"Value\"\n\"www\",\"A\",\"10.0.0.1\"\n", Some("CSV")),
            ("Name,Type,TTL,Value\nwww,A,10,10.0.0.1\n", Some("CSV")),
            ("Fqdn            Ttl\n--------------  ---\nwww.contoso.test.  10\n", Some("a table for people")),
            ("---\nwww:\n  type: A\n", Some("YAML")),
            ("# records\nwww:\n  ttl: 60\n  type: A\n  value: 10.0.0.1\n", Some("YAML")),
            ("- name: www\n  type: A\n", Some("YAML")),
            ("Name : www\nType : A\n", Some("a list of PowerShell")),
            ("<!DOCTYPE html>\n<html>", Some("HTML or XML")),
            ("\u{0}\u{0}\u{0}\u{2}\u{0}\u{0}", Some("a raw zone file of BIND")),
            ("www 10 IN A 10.0.0.1\nmail 10 IN MX 10 mx\n", None),
            ("$ORIGIN contoso.test.\n@ SOA a b 1 2 3 4 5\n", None),
            ("10.0.0.1 www.contoso.test\n", None),
            ("; only a comment\n", None),
            ("", None),
        ] {
            let got = recognize(text.as_bytes()).map(|bad| bad.message);
            assert_eq!(got, want.map(|what| format!("the file looks like {what}, which is not read")), "{text:?}");
        }
    }
}
