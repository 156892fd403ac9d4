//! JSON Schemas of the outputs for programs, from the types that are written. Pure.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::progress::events_json::EventLine;
use super::summary::Summary;
use super::text::diff::DiffObject;
use super::text::error::FailureObject;
use super::versioned::Versioned;

/// Returns the JSON Schema (2020-12) of what is written of a type. `title` names the output.
#[must_use]
pub fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// Returns the JSON Schema of a command's result, an object with its version.
#[must_use]
pub fn result_schema_of<T: JsonSchema>(title: &str) -> Value {
    schema_of::<Versioned<T>>(title)
}

/// Returns the JSON Schema of a result that is a list of objects, each with its version.
#[must_use]
pub fn list_schema_of<T: JsonSchema>(title: &str) -> Value {
    schema_of::<Vec<Versioned<T>>>(title)
}

/// Returns the schema of a line of `--events`.
#[must_use]
pub fn events_schema() -> Value {
    schema_of::<EventLine<'static>>("a line of handsctl's --events")
}

/// Returns the schema of the summary that every command writes that changes something.
#[must_use]
pub fn summary_schema() -> Value {
    schema_of::<Summary<'static>>("handsctl deploy, up, rollback, restart, teardown, image with -o json")
}

/// Returns the schema of the failure of a command that has no other result.
#[must_use]
pub fn failure_schema() -> Value {
    schema_of::<FailureObject<'static>>("a failed command of handsctl with -o json")
}

/// Returns the schema of a comparison.
#[must_use]
pub fn diff_schema() -> Value {
    schema_of::<DiffObject<'static>>("handsctl diff -o json")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Panics with the mistakes if the value does not match the schema.
    pub(crate) fn assert_matches(schema: &Value, value: &Value) {
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let mistakes: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(mistakes.is_empty(), "{mistakes:?} in {value}");
    }

    #[test]
    fn schema_rejects_a_missing_field_and_a_wrong_type() {
        let schema = failure_schema();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let error = crate::error::Error::internal("m").caused_by("c").hint("h");
        let valid = serde_json::to_value(FailureObject::new(&error)).unwrap();
        assert_matches(&schema, &valid);
        let mut without = valid.clone();
        without["error"].as_object_mut().unwrap().remove("location");
        let mut wrong = valid;
        wrong["error"]["exit"] = "seventy".into();
        assert!(!validator.is_valid(&without) && !validator.is_valid(&wrong), "{schema}");
    }
}
