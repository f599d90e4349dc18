//! Text as a part of a path or of what follows it, as it is sent: in a `Location`, and by the commands that ask this API.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand there as it is (RFC 3986 section 2.3); `@` parts a zone from its network.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A part, whatever stands in it.
pub fn part(text: &str) -> String {
    // A path of dots alone would be taken as a step up.
    if text.bytes().all(|octet| octet == b'.') { text.replace('.', "%2E") } else { utf8_percent_encode(text, PLAIN).to_string() }
}
