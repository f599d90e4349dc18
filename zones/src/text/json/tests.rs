use proptest::prelude::*;

use super::{JsonKind, JsonValue, Lines, read_documents};

fn parse(text: &[u8]) -> Result<serde_json::Value, String> {
    let lines = Lines::new(text);
    let documents = read_documents(text, &lines);
    if let Some(bad) = documents.error {
        let at = bad.spot.position(text);
        return Err(format!("{}:{}: {}", at.line, at.column, bad.message));
    }
    match &documents.values[..] {
        [value] if documents.messages.is_none() => Ok(plain(value, text)),
        values => Err(format!("{} values and {} lines", values.len(), documents.messages.map_or(0, |(_, count)| count))),
    }
}

/// The same value for the other parser; every value must stand where it says.
fn plain(value: &JsonValue<'_>, text: &[u8]) -> serde_json::Value {
    let first = text[value.at as usize];
    match &value.kind {
        JsonKind::Null => serde_json::Value::Null,
        JsonKind::Bool => serde_json::Value::Bool(first == b't'),
        JsonKind::Number(number) => serde_json::from_str(number).unwrap_or(serde_json::Value::Null),
        JsonKind::String(string) => {
            assert_eq!(first, b'"');
            serde_json::Value::String(string.to_string())
        }
        JsonKind::Array(items) => {
            assert_eq!(first, b'[');
            items.iter().map(|item| plain(item, text)).collect()
        }
        JsonKind::Object(members) => {
            assert_eq!(first, b'{');
            members.iter().map(|member| (member.name.to_string(), plain(&member.value, text))).collect::<serde_json::Map<_, _>>().into()
        }
    }
}

#[test]
fn places_are_lines_and_characters() {
    for (text, want) in [
        ("[1,\r\n  \"é\", x]", "2:8: `x` where a value is expected"),
        ("\u{feff}x", "1:1: `x` where a value is expected"),
        ("\n\n", "3:1: the file ends where a value is expected"),
        ("{\"a\":1 \"b\"", "1:8: `\"` where `,` or `}` is expected"),
        ("[\"\t\"]", "1:3: a control character in a string"),
        ("['a']", "1:2: `'` where a value is expected"),
        ("[\"\\ud800\"]", "1:3: bad escape in a string"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), want, "{text:?}");
    }
    assert_eq!(parse(b"\"\xff\"").unwrap_err(), "1:1: the string is not UTF-8");
}

#[test]
fn a_file_holds_several_values_and_messages_of_programs() {
    for (text, want) in [
        ("{} {}", "2 values and 0 lines"),
        ("{}\n[1]\r\n\n{\n}\n", "3 values and 0 lines"),
        ("{}{}", "2 values and 0 lines"),
        ("WARNING: it is in preview\n{}\nWARNING: again\n{}\n", "2 values and 2 lines"),
        ("\u{feff}This command is in preview\n\n{}", "1 values and 1 lines"),
        ("\u{1b}[33mWARNING: it is in preview\u{1b}[0m\n[]\n  INFO: done", "1 values and 2 lines"),
        ("{}\nERROR: (NotFound) no such endpoint\nCode: NotFound\n{}", "2:1: a program reported `ERROR: (NotFound) no such endpoint`"),
        ("{}\nError: no outputs found\n{}", "2:1: a program reported `Error: no outputs found`"),
        (
            "{}\nAn error occurred (AccessDenied) when calling\n{}",
            "2:1: a program reported `An error occurred (AccessDenied) when calling`",
        ),
        ("WARNING: nothing else", "1:22: the file ends where a value is expected"),
        ("{}\nnothing else", "2:1: `nothing` where a value is expected"),
        ("{} nothing\n{}", "1:4: `nothing` where a value is expected"),
        ("{},\n{}", "1:3: `,` where another value or the end of the file is expected"),
        ("{}\n{\"a\": 1,\n}", "3:1: `}` where a name between `\"` is expected"),
        ("trouble\n1", "1:1: `trouble` where a value is expected"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), want, "{text:?}");
    }
    let many = "word\n".repeat(1000) + "{}";
    assert_eq!(parse(many.as_bytes()).unwrap_err(), "101:1: `word` where a value is expected");
}

fn agree(text: &[u8]) -> Result<(), TestCaseError> {
    let (ours, theirs) = (parse(text), serde_json::from_slice::<serde_json::Value>(text));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
        (Err(_), Err(_)) => {}
        // Values that follow one another, and messages before them, are a file and no single JSON text.
        (Err(said), Ok(_)) if said.ends_with(" lines") => {}
        // Numbers are kept as they are written here: one that no float can hold is nobody's TTL.
        (Ok(_), Err(theirs)) if theirs.to_string().starts_with("number out of range") => {}
        (ours, theirs) => prop_assert!(false, "{:?}: {:?} or {:?}", String::from_utf8_lossy(text), ours, theirs),
    }
    Ok(())
}

proptest! {
    /// The two parsers agree on what is JSON and on what it says, around real texts.
    #[test]
    fn agrees_with_serde_json(at in 0usize..2000, cut in 0usize..4, junk in prop::sample::select(vec![
        "", "\"", "\\", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "{", "}", "[", "]", ",", ":", "null", "true", "-", "0", "1e5", "1.5", "1.", ".5", "01", "\n", "\t", "é", "\u{0}", " ",
    ])) {
        let mut text = include_bytes!("../../../tests/data/azure/record_set_list.json").to_vec();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, junk.bytes());
        agree(&text)?;
    }

    #[test]
    fn agrees_with_serde_json_on_soup(text in "[\\[\\]{}\":,0-9eE.+a \\\\untrfls\n-]{0,12}") {
        agree(text.as_bytes())?;
    }
}
