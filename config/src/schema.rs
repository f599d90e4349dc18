//! JSON Schema of the configuration file, for editors.

use serde_json::{Map, Value, json};

use crate::key::{AnyKey, Form, Presence, Section};
use crate::keys;

/// Returns the schema in draft 7, which every TOML language server reads.
pub fn json_schema() -> Value {
    let mut properties = Map::new();
    for known in keys::SECTIONS {
        let table = section(known);
        properties.insert(known.name.into(), if known.form == Form::List { json!({"type": "array", "items": table}) } else { table });
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Postern configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// Returns the schema of one table.
pub(crate) fn section(section: &Section) -> Value {
    let mut properties = Map::new();
    for known in section.keys {
        properties.insert(known.name().into(), key(*known));
    }
    let required: Vec<_> = section.keys.iter().filter(|key| key.presence() == Presence::Required).map(|key| key.name()).collect();
    let mut schema = json!({
        "type": "object",
        "description": crate::key::paragraphs(section.doc),
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !section.one_of.is_empty() {
        let one_of = |keys: &&[&str]| json!({"oneOf": keys.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>()});
        schema["allOf"] = section.one_of.iter().map(one_of).collect();
    }
    schema
}

fn key(key: &dyn AnyKey) -> Value {
    let mut schema = key.schema();
    schema["description"] = crate::sample::words(key).into();
    if let Presence::Default(default) = key.presence() {
        schema["default"] = crate::sample::toml_to_json(default);
    }
    schema
}
