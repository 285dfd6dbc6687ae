//! What travels in MQTT payloads: states out, commands in.
//!
//! Losant's format: a state is `{"time": ms, "data": {…}}` on `losant/ID/state`, a command is
//! `{"name": "…", "payload": any, "time": {"$date": …}}` on `losant/ID/command`, in extended JSON.

use crate::{
    json::{excerpt, json_string, object_fields},
    status::{Error, Status::*},
    time::json_time,
};
use bytes::{BufMut, BytesMut};
use serde::de::IgnoredAny;
use std::io::Write;

/// Largest message payload that the platform takes.
pub(crate) const MAX_PAYLOAD: usize = 262_144;

/// The longest frame that can stand around a state's JSON: `{"time":-9223372036854775808,"data":}`.
pub(crate) const FRAME: usize = 38;

/// A command nested deeper is malformed: many a JSON parser of a host would overrun its stack on it.
const MAX_DEPTH: usize = 1000;

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

/// A command from Losant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub name: String,
    /// JSON text; `null` when the command has none. `{"$undefined": …}` has become `null`, `{"$date": …}` stays.
    pub payload: String,
    /// The command's time as sent, JSON text; empty when it has none.
    pub time: String,
    /// The same in milliseconds since 1970; the time of arrival when it has none or none that can be read.
    pub time_ms: i64,
}

/// Reads a command; the error text says why it is malformed.
pub(crate) fn decode_command(message: &[u8], arrived_ms: i64) -> Result<Command, String> {
    let text = std::str::from_utf8(message).map_err(|e| format!("not UTF-8: {e}"))?;
    // The error may repeat the text.
    let fields = object_fields(text).map_err(|e| excerpt(&e.to_string()))?;
    // As in JavaScript, the last of several of one name counts.
    let field = |name| fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value);
    let name = field("name").ok_or("it has no name")?;
    let name = json_string(name).ok_or("its name is not a string")?;
    let payload = match field("payload") {
        Some(json) => replace_undefined(json).ok_or_else(|| format!("it is nested deeper than {MAX_DEPTH} levels"))?,
        None => "null".to_owned(),
    };
    let time = field("time").filter(|time| *time != "null").unwrap_or_default();
    let time_ms = json_time(time).unwrap_or(arrived_ms);
    // A bare ISO string is handed on as the text that it is.
    let time = json_string(time).unwrap_or_else(|| time.to_owned());
    Ok(Command { name, payload, time, time_ms })
}

/// Turns every `{"$undefined": …}` at any depth into `null` and leaves all other bytes as they are. `json` is valid, so
/// brackets match and need no names. `None` if it is nested deeper than [`MAX_DEPTH`].
fn replace_undefined(json: &str) -> Option<String> {
    /// An open array or object.
    struct Open {
        start: usize,
        only_undefined: bool,
    }
    let mut out = String::with_capacity(json.len());
    let mut open: Vec<Open> = Vec::new();
    let mut rest = json;
    while let Some(&byte) = rest.as_bytes().first() {
        let len =
            if byte == b'"' { string_len(rest) } else { rest.find(is_structural).map_or(rest.len(), |at| at.max(1)) };
        let (token, after) = rest.split_at(len);
        match byte {
            b'{' | b'[' if open.len() == MAX_DEPTH => return None,
            b'{' | b'[' => {
                let only_undefined = byte == b'{' && json_trim_start(after).starts_with("\"$undefined\"");
                open.push(Open { start: out.len(), only_undefined });
            }
            b',' => {
                if let Some(object) = open.last_mut() {
                    object.only_undefined = false;
                }
            }
            _ => {}
        }
        out.push_str(token);
        if matches!(byte, b'}' | b']') {
            if let Some(closed) = open.pop().filter(|closed| closed.only_undefined) {
                out.truncate(closed.start);
                out.push_str("null");
            }
        }
        rest = after;
    }
    Some(out)
}

fn is_structural(c: char) -> bool {
    matches!(c, '"' | '{' | '}' | '[' | ']' | ',')
}

/// Length of the JSON string at the start of `json`, quotes included.
fn string_len(json: &str) -> usize {
    let bytes = json.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn json_trim_start(json: &str) -> &str {
    json.trim_start_matches([' ', '\t', '\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MAX_FIELDS;

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
        let decoded = |depth| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            let command = format!("{{\"name\":\"n\",\"payload\":{open}{{\"$undefined\":true}}{close}}}");
            decode_command(command.as_bytes(), 0)
        };
        assert!(decoded(MAX_DEPTH).unwrap().payload.contains("[null]"));
        for depth in [MAX_DEPTH + 1, 100_000] {
            assert_eq!(decoded(depth), Err("it is nested deeper than 1000 levels".to_owned()));
        }
        let beside = format!("{{\"name\":\"n\",\"more\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(decode_command(beside.as_bytes(), 0).unwrap().payload, "null");
    }

    #[test]
    fn a_command_with_countless_fields_takes_no_memory_for_them() {
        let decoded = |count| {
            let command = format!("{{\"name\":\"n\"{}}}", ",\"\":0".repeat(count - 1));
            decode_command(command.as_bytes(), 0)
        };
        assert!(decoded(MAX_FIELDS).is_ok());
        let why = decoded(MAX_FIELDS + 1).unwrap_err();
        assert!(why.starts_with("more than 100 fields"), "{why}");
    }

    #[test]
    fn a_refusal_does_not_repeat_the_whole_message() {
        for message in [format!("\"{}\"", "x".repeat(300_000)), format!("{{\"{}\"}}", "x".repeat(300_000))] {
            let why = decode_command(message.as_bytes(), 0).unwrap_err();
            assert!(why.len() < 500, "{} bytes", why.len());
        }
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

    fn command(text: &str) -> Command {
        decode_command(text.as_bytes(), 42).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn commands_in_every_form() {
        let full = command(
            r#"{"name":"go","payload":{"at":{"$date":"2016-06-01T01:09:51.145Z"},"n":12345678901234567890.10},
                "time":{"$date":"2016-06-01T01:09:51.145Z"}}"#,
        );
        assert_eq!(full.name, "go");
        assert_eq!(full.payload, r#"{"at":{"$date":"2016-06-01T01:09:51.145Z"},"n":12345678901234567890.10}"#);
        assert_eq!(full.time, r#"{"$date":"2016-06-01T01:09:51.145Z"}"#);
        assert_eq!(full.time_ms, 1_464_743_391_145);

        let bare = command(r#"{"name":"go"}"#);
        assert_eq!((bare.payload.as_str(), bare.time.as_str(), bare.time_ms), ("null", "", 42));
        let text = command(r#"{"name":"go","payload":null,"time":"2016-06-01T01:09:51.145Z","more":[1]}"#);
        assert_eq!((text.time.as_str(), text.time_ms), ("2016-06-01T01:09:51.145Z", 1_464_743_391_145));
        assert_eq!(command(r#"{"name":"go","time":{"$date":{"$numberLong":"7"}}}"#).time_ms, 7);
        assert_eq!(command(r#"{"name":"go","time":{"$date":"soon"}}"#).time_ms, 42);
    }

    #[test]
    fn undefined_becomes_null_at_any_depth() {
        for (payload, expected) in [
            (r#"{"$undefined":true}"#, "null"),
            (r#"[{"a":{ "$undefined" : true }},{"$undefined":{"x":[1]}}]"#, r#"[{"a":null},null]"#),
            (r#"{"a":"{\"$undefined\":true}"}"#, r#"{"a":"{\"$undefined\":true}"}"#),
            (r#"{"$undefined":true,"b":1}"#, r#"{"$undefined":true,"b":1}"#),
            (r#"{"undefined":true}"#, r#"{"undefined":true}"#),
            (r#""$undefined""#, r#""$undefined""#),
            (r#"{"$undefined":[1,{"a":2,"b":3}]}"#, "null"),
            (r#"{"$undefined":{"$undefined":true},"b":{"$undefined":true}}"#, r#"{"$undefined":null,"b":null}"#),
            (r#"["\\",{"$undefined":1}]"#, r#"["\\",null]"#),
        ] {
            assert_eq!(command(&format!(r#"{{"name":"n","payload":{payload}}}"#)).payload, expected);
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for message in [
            r#"["name",{},null]"#,
            "",
            "{",
            "[]",
            "{}",
            r#"{"name":1}"#,
            r#"{"payload":1}"#,
            r#"{"name":"a","payload":}"#,
            "\u{0}",
        ] {
            assert!(decode_command(message.as_bytes(), 0).is_err(), "{message:?}");
        }
        assert!(decode_command(b"{\"name\":\"\xff\"}", 0).is_err());
    }
}
