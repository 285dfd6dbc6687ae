//! JSON text, read where it lies: no tree is built.
//!
//! What a usual JSON library takes is taken: names twice, numbers of any size, and escapes that name half a surrogate
//! pair, which have no place in UTF-8 and become U+FFFD.

use serde::{
    Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Passes each field of the JSON object `json` on: its name, and the text of its value. Those of before an error too.
pub(crate) fn for_each_field<'a>(
    json: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), serde_json::Error> {
    struct Fields<F>(F);

    impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Fields<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                let name =
                    json_string(name.get()).ok_or_else(|| de::Error::custom("a field's name is not a string"))?;
                (self.0)(name, value.get());
            }
            Ok(())
        }
    }

    let mut json = serde_json::Deserializer::from_str(json);
    json.deserialize_map(Fields(each))?;
    json.end()
}

/// The content of a JSON string, if it is one. Control characters in it, which JSON does not allow, are let through.
pub(crate) fn json_string(json: &str) -> Option<Cow<'_, str>> {
    let mut bytes = string_bytes(json)?;
    if let Cow::Owned(bytes) = &mut bytes {
        for at in 0..bytes.len() {
            if is_surrogate(&bytes[at..]) {
                bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    // Nothing is left to be replaced.
    Some(match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    })
}

/// The content of a JSON string in WTF-8, which is UTF-8 with [surrogates](is_surrogate).
pub(crate) fn string_bytes(json: &str) -> Option<Cow<'_, [u8]>> {
    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Cow<'de, [u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON string")
        }

        fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(bytes.into())
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(bytes.to_vec().into())
        }
    }

    if !json.starts_with('"') {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(json);
    let bytes = json.deserialize_bytes(Bytes).ok()?;
    json.end().ok().map(|()| bytes)
}

/// Whether WTF-8 text begins with half a surrogate pair: three bytes that UTF-8 does not have.
pub(crate) fn is_surrogate(wtf8: &[u8]) -> bool {
    matches!(wtf8, [0xed, 0xa0..=0xff, _, ..])
}

/// The beginning of a text from outside, for an error or the log: enough to recognise it, and no flood.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_its_content_whatever_it_holds() {
        for (json, content) in [
            (r#""""#, ""),
            (r#""aé\n\u0000""#, "aé\n\0"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\udc00\ud800\ud83d\ude00\ud800\ud7ff\ud800\n""#, "\u{fffd}\u{fffd}😀\u{fffd}\u{d7ff}\u{fffd}\n"),
            (r#""\ud7ff\ue000퟿""#, "\u{d7ff}\u{e000}\u{d7ff}"),
        ] {
            assert_eq!(json_string(json).as_deref(), Some(content), "{json}");
        }
        for json in ["", "\"", "1", "\"a\"b", r#""\ud8""#, r#""\x""#, " \"a\""] {
            assert_eq!(json_string(json), None, "{json}");
        }
    }

    #[test]
    fn the_fields_of_an_object_in_their_order() {
        let mut fields = Vec::new();
        let json = r#" {"a" : 1e400,"\u0061":[{ }], "\ud800":null}"#;
        for_each_field(json, |name, value| fields.push((name.into_owned(), value))).unwrap();
        assert_eq!(fields, [("a", "1e400"), ("a", "[{ }]"), ("\u{fffd}", "null")].map(|(n, v)| (n.to_owned(), v)));
        for json in ["", "[]", "{", "{}{", "{1:2}", "{\"a\"}", "null"] {
            assert!(for_each_field(json, |_, _| {}).is_err(), "{json}");
        }
    }
}
