//! The JSON Schema of `report.json`, made from the types that it is written from.
//!
//! A key's description is the comment beside its field, so that neither can be forgotten. Deliberately absent:
//! validation; what is read back is held to the same types.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::{Report, SCHEMA};

/// The schema, in the draft of 2020-12.
pub fn schema() -> Schema {
    let mut schema =
        SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Report>();
    schema.insert("title".to_owned(), format!("report.json of temper audit, form {SCHEMA}").into());
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::example::report;

    fn document() -> Value {
        serde_json::to_value(schema()).unwrap()
    }

    /// The schemas that a reference, or one of several choices, leads to.
    fn followed<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a Value> {
        let mut all = vec![schema];
        if let Some(path) = schema["$ref"].as_str() {
            all.extend(followed(root.pointer(&path[1..]).expect("the reference leads somewhere"), root));
        }
        for choices in ["anyOf", "oneOf", "allOf"] {
            all.extend(
                schema[choices].as_array().into_iter().flatten().flat_map(|choice| followed(choice, root)),
            );
        }
        all
    }

    /// The paths of keys that the schema does not know.
    fn unknown(path: &str, value: &Value, schema: &Value, root: &Value, found: &mut Vec<String>) {
        let schemas = followed(schema, root);
        // What a model's metadata hold is theirs to say.
        if schemas.contains(&&Value::Bool(true)) {
            return;
        }
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    let path = format!("{path}.{key}");
                    let known = schemas.iter().find_map(|schema| schema["properties"].get(key));
                    let open = schemas.iter().find_map(|schema| schema.get("additionalProperties"));
                    match known.or(open) {
                        Some(schema) => unknown(&path, value, schema, root, found),
                        None => found.push(path),
                    }
                }
            }
            Value::Array(values) => {
                let items = schemas.iter().find_map(|schema| schema.get("items"));
                let Some(items) = items else { return };
                for value in values {
                    unknown(path, value, items, root, found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn every_key_of_a_report_is_in_the_schema() {
        let root = document();
        let mut found = Vec::new();
        unknown("", &serde_json::to_value(report()).unwrap(), &root, &root, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn every_key_is_described() {
        let root = document();
        let types = root["$defs"].as_object().unwrap().iter().map(|(name, schema)| (name.as_str(), schema));
        for (name, schema) in types.chain([("Report", &root)]) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{name}.{key} has no comment");
            }
        }
    }

    /// After a wanted change `temper report schema > docs/report.schema.json` writes it anew.
    #[test]
    fn the_documented_schema_is_that_of_the_types() {
        let written: Value = serde_json::from_str(include_str!("../../docs/report.schema.json")).unwrap();
        assert_eq!(written, document(), "write it anew: temper report schema > docs/report.schema.json");
    }
}
