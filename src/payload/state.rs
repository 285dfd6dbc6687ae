//! States: what the caller gives, and the messages made of it.

use super::{FRAME, MAX_PAYLOAD};
use crate::status::{Error, Status::*};
use bytes::{BufMut, BytesMut};
use serde::de::IgnoredAny;
use std::io::Write;

/// Checks that `json` can be the `data` of a state: one JSON object, small enough for one message.
pub(crate) fn validate_state(json: &str) -> Result<&str, Error> {
    let json = json.trim_matches([' ', '\t', '\r', '\n']);
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
    Ok(json)
}

/// Appends the message for validated states: one goes as an object, several as an array. Each brings its own time.
pub(crate) fn encode_states<'a>(out: &mut BytesMut, states: impl ExactSizeIterator<Item = (&'a str, i64)>) {
    let merged = states.len() > 1;
    for (index, (json, time_ms)) in states.enumerate() {
        out.reserve(json.len() + FRAME + 1);
        if merged {
            out.put_u8(if index == 0 { b'[' } else { b',' });
        }
        // Writing to memory that grows cannot fail.
        let _ = write!(out.writer(), "{{\"time\":{time_ms},\"data\":");
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
            assert_eq!(validate_state(json), Ok(json.trim()), "{json}");
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
        encode_states(&mut message, [(validate_state(&largest).unwrap(), i64::MIN)].into_iter());
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
        encode_states(&mut out, [(state, 1_464_743_391_145)].into_iter());
        assert_eq!(out, "{\"time\":1464743391145,\"data\":{\"b\" : 1.10, \"a\":\"\u{e9}\"}}".as_bytes());
        out.clear();
        encode_states(&mut out, [("{}", 1), (state, -2), ("{}", 3)].into_iter());
        assert_eq!(
            out,
            "[{\"time\":1,\"data\":{}},{\"time\":-2,\"data\":{\"b\" : 1.10, \"a\":\"\u{e9}\"}},{\"time\":3,\"data\":{}}]".as_bytes()
        );
    }
}
