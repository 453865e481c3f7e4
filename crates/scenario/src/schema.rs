//! The format for editors.

use crate::file;

/// Where the schema is published.
const ID: &str =
    "https://raw.githubusercontent.com/callboard/callboard/main/docs/schema/scenario-v1.schema.json";

/// The JSON schema of a scenario file, as text.
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(file::Scenario);
    schema.insert("$id".into(), ID.into());
    schema.insert("title".into(), "A Callboard scenario".into());
    // In one order, whatever the programs that this is built into ask of the maps of JSON.
    let mut schema = schema.to_value();
    schema.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
