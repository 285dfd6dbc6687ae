//! JSON text, read where it lies: no tree is built.

use serde::{
    Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// A command has three fields. More are passed over, but not without end: each takes 40 bytes of memory for as few as 5.
pub(crate) const MAX_FIELDS: usize = 100;

/// The fields of the JSON object `json`, each with the text of its value.
pub(crate) fn object_fields(json: &str) -> Result<Vec<(String, &str)>, serde_json::Error> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                if fields.len() == MAX_FIELDS {
                    return Err(de::Error::custom(format_args!("more than {MAX_FIELDS} fields")));
                }
                fields.push((key, value.get()));
            }
            Ok(fields)
        }
    }

    let mut json = serde_json::Deserializer::from_str(json);
    let fields = json.deserialize_map(Fields)?;
    json.end()?;
    Ok(fields)
}

/// The content of a JSON string, if it is one.
pub(crate) fn json_string(json: &str) -> Option<String> {
    if json.starts_with('"') { serde_json::from_str(json).ok() } else { None }
}

/// The beginning of a text from outside, for an error or the log: enough to recognise it, and no flood.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}
