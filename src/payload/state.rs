//! States: what the caller gives, and the messages made of it.

use super::{
    FRAME, MAX_PAYLOAD,
    schema::{Breach, check_attributes, check_meta},
};
use crate::status::{Error, Status::*};
use bytes::{BufMut, BytesMut};
use serde::de::IgnoredAny;

/// JSON text without the white space around it, of which there is seldom any.
fn trim(json: &str) -> &str {
    let is_bare = |end: Option<&u8>| end.is_some_and(|byte| *byte > b' ');
    let bytes = json.as_bytes();
    if is_bare(bytes.first()) && is_bare(bytes.last()) {
        return json;
    }
    json.trim_matches([' ', '\t', '\r', '\n'])
}

/// Checks that `json` can be the `data` of a state: one JSON object, small enough for one message. Also tells what the
/// platform's schema does not allow in it.
pub(crate) fn validate_state(json: &str) -> Result<(&str, Option<Breach<'_>>), Error> {
    let json = trim(json);
    if json.len() > MAX_PAYLOAD - FRAME {
        let size = json.len();
        return Err(Error::new(
            LOSANT_ERR_TOO_LARGE,
            format!("state is too large: {size} bytes; a message holds at most 262,144, 38 of them for its frame"),
        ));
    }
    serde_json::from_str::<IgnoredAny>(json)
        .map_err(|e| Error::new(LOSANT_ERR_INVALID_JSON, format!("state is not JSON: {e}")))?;
    if !json.starts_with('{') {
        return Err(Error::new(LOSANT_ERR_NOT_AN_OBJECT, "state is JSON, but not an object: it must look like {…}"));
    }
    Ok((json, check_attributes(json)))
}

/// What a message says of a state beside its time and its data: `"flowVersion":"…","meta":…,`. Checks that `meta` is JSON,
/// and that all fits into one message with data of this length; also tells what some JSON parsers do not read in `meta`.
pub(crate) fn extra_fields(
    flow_version: Option<&str>,
    meta: Option<&str>,
    data_len: usize,
) -> Result<(Option<String>, Option<Breach<'static>>), Error> {
    let mut fields = String::new();
    if let Some(version) = flow_version {
        let text = serde_json::to_string(version)
            .map_err(|e| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("flow_version cannot be written: {e}")))?;
        fields.push_str(&format!("\"flowVersion\":{text},"));
    }
    if let Some(meta) = meta {
        serde_json::from_str::<IgnoredAny>(meta)
            .map_err(|e| Error::new(LOSANT_ERR_INVALID_JSON, format!("meta is not JSON: {e}")))?;
        fields.push_str(&format!("\"meta\":{},", trim(meta)));
    }
    if fields.len() + data_len > MAX_PAYLOAD - FRAME {
        let size = fields.len() + data_len;
        return Err(Error::new(
            LOSANT_ERR_TOO_LARGE,
            format!(
                "state with its flow version and meta is too large: {size} bytes; a message holds at most 262,144, 38 of them for its frame"
            ),
        ));
    }
    Ok(((!fields.is_empty()).then_some(fields), meta.and_then(check_meta)))
}

/// A state as a message holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub time_ms: i64,
    /// Of [`extra_fields`].
    pub extra: Option<&'a str>,
    pub json: &'a str,
}

impl<'a> From<(&'a str, i64)> for Element<'a> {
    fn from((json, time_ms): (&'a str, i64)) -> Self {
        Element { time_ms, extra: None, json }
    }
}

/// Appends the message for validated states: one goes as an object, several as an array. Each brings its own time.
pub(crate) fn encode_states<'a>(out: &mut BytesMut, states: impl ExactSizeIterator<Item = Element<'a>>) {
    let merged = states.len() > 1;
    for (index, Element { time_ms, extra, json }) in states.enumerate() {
        let extra = extra.unwrap_or_default();
        out.reserve(extra.len() + json.len() + FRAME + 1);
        if merged {
            out.put_u8(if index == 0 { b'[' } else { b',' });
        }
        // Writing to memory that grows cannot fail.
        out.extend_from_slice(b"{\"time\":");
        let _ = serde_json::to_writer(out.writer(), &time_ms);
        out.put_u8(b',');
        out.extend_from_slice(extra.as_bytes());
        out.extend_from_slice(b"\"data\":");
        out.extend_from_slice(json.as_bytes());
        out.put_u8(b'}');
    }
    if merged {
        out.put_u8(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_any_json_object() {
        for json in [r#"{}"#, r#" {"a":1} "#, "{\"a\":\n[1,{\"b\":\"\\u00e9\"}]}", r#"{"a":1e400,"a":2}"#] {
            assert_eq!(validate_state(json).map(|(json, _)| json), Ok(json.trim()), "{json}");
        }
        for (json, status) in [
            ("", LOSANT_ERR_INVALID_JSON),
            ("{", LOSANT_ERR_INVALID_JSON),
            ("{'a':1}", LOSANT_ERR_INVALID_JSON),
            ("{\"a\":1}{", LOSANT_ERR_INVALID_JSON),
            ("{\"a\":01}", LOSANT_ERR_INVALID_JSON),
            ("{\"a\":NaN}", LOSANT_ERR_INVALID_JSON),
            ("{\"a\":\"\n\"}", LOSANT_ERR_INVALID_JSON),
            ("[]", LOSANT_ERR_NOT_AN_OBJECT),
            ("null", LOSANT_ERR_NOT_AN_OBJECT),
            ("7", LOSANT_ERR_NOT_AN_OBJECT),
        ] {
            assert_eq!(validate_state(json).map_err(|e| e.status), Err(status), "{json}");
        }
        let detail = validate_state("{\"a\":1").map_err(|e| e.text).unwrap_err();
        assert!(detail.starts_with("state is not JSON: EOF while parsing an object at line 1"), "{detail}");
    }

    #[test]
    fn the_largest_state_fills_one_message_and_not_a_byte_more() {
        let fill = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len - 8));
        let largest = fill(MAX_PAYLOAD - FRAME);
        let mut message = BytesMut::new();
        encode_states(&mut message, [(validate_state(&largest).unwrap().0, i64::MIN)].map(Element::from).into_iter());
        assert!(message.len() <= MAX_PAYLOAD && message.len() > MAX_PAYLOAD - 4);
        let over = fill(MAX_PAYLOAD - FRAME + 1);
        assert_eq!(validate_state(&over).map_err(|e| e.status), Err(LOSANT_ERR_TOO_LARGE));
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(validate_state(&deep).is_ok());
    }

    #[test]
    fn a_state_message_holds_the_callers_bytes() {
        let mut out = BytesMut::new();
        let state = "{\"b\" : 1.10, \"a\":\"\u{e9}\"}";
        encode_states(&mut out, [(state, 1_464_743_391_145)].map(Element::from).into_iter());
        assert_eq!(out, "{\"time\":1464743391145,\"data\":{\"b\" : 1.10, \"a\":\"\u{e9}\"}}".as_bytes());
        out.clear();
        encode_states(&mut out, [("{}", 1), (state, -2), ("{}", 3)].map(Element::from).into_iter());
        assert_eq!(
            out,
            "[{\"time\":1,\"data\":{}},{\"time\":-2,\"data\":{\"b\" : 1.10, \"a\":\"\u{e9}\"}},{\"time\":3,\"data\":{}}]".as_bytes()
        );
    }
}
