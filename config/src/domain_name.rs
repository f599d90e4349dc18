//! Domain names as the operator writes them.

/// Parses a domain name into lower case without its final dot. `.` is the root. The error is the
/// message and the help.
pub(crate) fn domain(text: &str) -> Result<String, (String, String)> {
    let wrong = |why: &str, help: String| Err((format!("`{text}` is not a domain name: {why}"), help));
    if text == "." {
        return Ok(text.into());
    }
    let lower = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if lower.is_empty() {
        return wrong("it is empty", String::new());
    }
    if let Some(rest) = lower.strip_prefix("*.") {
        return wrong("it has a wildcard", format!("write `{rest}`: it stands for all names below it"));
    }
    if lower.len() > 253 {
        return wrong("it is longer than 253 characters", String::new());
    }
    for label in lower.split('.') {
        // `*` after the first label is an ordinary octet (RFC 4592, section 2.1.1).
        if label == "*" && lower != "*" {
            continue;
        }
        if label.is_empty() {
            return wrong("it has an empty label", String::new());
        }
        if label.len() > 63 {
            return wrong("it has a label longer than 63 characters", String::new());
        }
        // `/` occurs in classless reverse zones (RFC 2317), and `_` in service names.
        if let Some(bad) = label.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_/".contains(*c))) {
            let help = if bad.is_ascii() { String::new() } else { "write its `xn--` form".into() };
            return wrong(&format!("it has the character {bad:?}"), help);
        }
    }
    Ok(lower)
}
