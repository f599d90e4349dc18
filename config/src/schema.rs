//! JSON Schema of the configuration file, for editors.

use serde_json::{Map, Value, json};

use crate::key::{SectionForm, table_schema};
use crate::keys;

/// Returns the schema in draft 7, which every TOML language server reads.
pub fn json_schema() -> Value {
    let mut properties = Map::new();
    for known in keys::SECTIONS {
        let table = table_schema(known);
        properties
            .insert(known.name.into(), if known.form == SectionForm::List { json!({"type": "array", "items": table}) } else { table });
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Postern configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}
