//! A key and its section as JSON Schema and in words.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::{AnyKey, KeyPresence, KeyRule, KeySection, paragraphs};

/// Returns the schema of one table.
pub(crate) fn table_schema(section: &KeySection) -> Value {
    let mut properties = Map::new();
    for known in section.keys {
        properties.insert(known.name().into(), key_schema(*known));
    }
    let required: Vec<_> = section.keys.iter().filter(|key| key.presence() == KeyPresence::Required).map(|key| key.name()).collect();
    let mut schema = json!({
        "type": "object",
        "description": paragraphs(section.doc),
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !section.rules.is_empty() {
        schema["allOf"] = section.rules.iter().map(|rule| rule_schema(section, rule)).collect();
    }
    schema
}

/// Returns the schema of a rule about several keys.
fn rule_schema(section: &KeySection, rule: &KeyRule) -> Value {
    let given = |name: &str| match section.key(name).is_some_and(|key| key.is_switch()) {
        true => json!({"required": [name], "properties": {name: {"const": true}}}),
        false => json!({"required": [name]}),
    };
    match rule {
        KeyRule::OneOf { keys, .. } => json!({"oneOf": keys.iter().map(|key| given(key)).collect::<Vec<_>>()}),
        KeyRule::NotBoth { keys, .. } => json!({"not": {"allOf": keys.map(given)}}),
        KeyRule::Needs { key, needed } => json!({"if": given(key), "then": given(needed)}),
    }
}

fn key_schema(key: &dyn AnyKey) -> Value {
    let mut schema = key.schema();
    schema["description"] = words(key).into();
    if let KeyPresence::Default(default) = key.presence() {
        schema["default"] = toml_to_json(default);
    }
    schema
}

/// Returns the documentation of a key, its shape, and the meaning of its absence.
pub(crate) fn words(key: &dyn AnyKey) -> String {
    let mut words = format!("{}\n{}", key.doc(), sentence(&key.shape()));
    match key.presence() {
        KeyPresence::Default(_) => {}
        KeyPresence::Absent(absent) => write!(words, " Absent: {absent}.").unwrap_or_default(),
        KeyPresence::Required => words.push_str(" Required."),
    }
    words
}

/// Converts a value as TOML text to JSON.
pub(crate) fn toml_to_json(text: &str) -> Value {
    DeValue::parse(text).map_or(Value::Null, |value| json_value(value.get_ref()))
}

/// Converts a TOML value to JSON.
pub(crate) fn json_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(integer) => integer.as_str().parse::<i64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(on) => Value::from(*on),
        DeValue::Array(items) => items.iter().map(|item| json_value(item.get_ref())).collect(),
        _ => Value::Null, // no key has such a default
    }
}

/// Makes a sentence of a shape, with a capital letter at the start and a period at the end.
pub(crate) fn sentence(shape: &str) -> String {
    let mut letters = shape.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
