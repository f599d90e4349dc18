//! Habits of exports of Azure CLI, Cloudflare, and cli53 beside RFC 1035.

use super::super::lexer::{Form, Token};
use super::super::report::TextError;
use super::{class_code, windows};

/// Bytes at the start of a file in which the header of an export is searched.
const HEADER: usize = 2048;
/// TTL that Cloudflare uses for its automatic TTL, which it exports as 1.
const AUTOMATIC_TTL: u32 = 300;

/// Habits of the program that wrote a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ExportDialect {
    /// Names of several labels in RDATA are absolute without a final dot. Azure CLI writes them so.
    pub has_bare_targets: bool,
    has_automatic_ttl: bool,
}

impl ExportDialect {
    /// Detects the program from the comments at the start of the file.
    pub fn of(text: &[u8]) -> Self {
        let header = String::from_utf8_lossy(&text[..text.len().min(HEADER)]).to_ascii_lowercase();
        Self {
            // The export of the portal has no resource group. Its targets are relative.
            has_bare_targets: header.contains("exported zone file from azure dns") && header.contains("resource group name:"),
            has_automatic_ttl: header.contains(";; domain:") && header.contains("cloudflare"),
        }
    }

    /// Returns the TTL that a written one means.
    pub fn ttl(self, written: u32) -> u32 {
        if self.has_automatic_ttl && written == 1 { AUTOMATIC_TTL } else { written }
    }
}

/// The warning for a row with an alias of Azure or Route 53, which is left out. None if the row, whose owner is not among `tokens`, is another.
pub(super) fn alias_row(text: &[u8], tokens: &[Token]) -> Option<Box<TextError>> {
    let before_type = |word: &[u8]| {
        word[0].is_ascii_digit()
            || windows::is_age(word)
            || class_code(word).is_some()
            || [&b"AZURE"[..], b"AWS"].iter().any(|class| class.eq_ignore_ascii_case(word))
    };
    let token = tokens.iter().find(|token| token.form != Form::Plain || !before_type(token.raw(text)))?;
    let name = ["ALIAS", "ANAME"].into_iter().find(|name| token.is(text, name))?;
    let message = format!("{name} is an alias of the exporting service, no record of DNS: this row is left out");
    Some(TextError::new(token.spot, message, "write the A and AAAA records that it stands for, or a CNAME below the apex"))
}

/// Returns true for a row with a SOA record.
pub(super) fn is_soa_row(text: &[u8], tokens: &[Token]) -> bool {
    tokens.iter().skip(1).take(3).any(|token| token.is(text, "SOA"))
}
