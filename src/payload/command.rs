//! Commands, as senders write them.

use super::MAX_DEPTH;
use crate::{
    json::{excerpt, for_each_field, json_string},
    text::CText,
    time::json_time,
};
use std::borrow::Cow;

/// A command from Losant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub name: CText,
    /// JSON text; `null` when the command has none. `{"$undefined": …}` has become `null`, `{"$date": …}` stays.
    pub payload: CText,
    /// The command's time as sent, JSON text; empty when it has none.
    pub time: CText,
    /// The same in milliseconds since 1970; the time of arrival when it has none or none that can be read.
    pub time_ms: i64,
}

/// Reads a command; the error text says why it is malformed. What a usual JSON library reads is no reason: a byte-order
/// mark in front, a C string's NUL behind, fields twice (the last counts, as in JavaScript) or unknown. Bytes that are
/// not UTF-8 become U+FFFD (only a name of them would name nothing), and a time that is none counts as missing.
pub(crate) fn decode_command(message: &[u8], arrived_ms: i64) -> Result<Command, String> {
    let decoded = String::from_utf8_lossy(message);
    let text = decoded.trim_start_matches('\u{feff}').trim_end_matches(['\0', ' ', '\t', '\r', '\n']);
    let (mut name, mut payload, mut time) = (None, None, None);
    let fields = for_each_field(text, |field, value| match &*field {
        "name" => name = Some(value),
        "payload" => payload = Some(value),
        "time" => time = Some(value),
        _ => {}
    });
    // The error may repeat the text.
    fields.map_err(|e| excerpt(&e.to_string()))?;
    let name = json_string(name.ok_or("it has no name")?).ok_or("its name is not a string")?.into_owned();
    if matches!(decoded, Cow::Owned(_)) && name.contains(char::REPLACEMENT_CHARACTER) {
        return Err("its name is not UTF-8".to_owned());
    }
    let payload = replace_undefined(payload.unwrap_or("null"))
        .ok_or_else(|| format!("it is nested deeper than {MAX_DEPTH} levels"))?;
    let time = time.and_then(replace_undefined).filter(|time| time != "null").unwrap_or_default();
    let time_ms = json_time(&time).unwrap_or(arrived_ms);
    // A bare ISO string is handed on as the text that it is.
    let time = json_string(&time).map(|text| text.into_owned()).unwrap_or(time);
    Ok(Command { name: name.into(), payload: payload.into(), time: time.into(), time_ms })
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
                open.push(Open { start: out.len(), only_undefined: byte == b'{' && is_undefined(after) });
            }
            b',' => {
                if let Some(object) = open.last_mut() {
                    object.only_undefined &= is_undefined(after);
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

/// Whether the field that begins here is named `$undefined`, in whatever escapes.
fn is_undefined(json: &str) -> bool {
    let json = json.trim_start_matches([' ', '\t', '\r', '\n']);
    json.starts_with('"') && json_string(&json[..string_len(json)]).as_deref() == Some("$undefined")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_costs_no_stack() {
        let decoded = |depth| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            let command = format!("{{\"name\":\"n\",\"payload\":{open}{{\"$undefined\":true}}{close}}}");
            decode_command(command.as_bytes(), 0)
        };
        assert!(decoded(MAX_DEPTH).unwrap().payload.contains("[null]"));
        for depth in [MAX_DEPTH + 1, 1000, 100_000] {
            assert_eq!(decoded(depth), Err("it is nested deeper than 128 levels".to_owned()));
        }
        for field in ["more", "time"] {
            let beside = format!("{{\"name\":\"n\",\"{field}\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
            let command = decode_command(beside.as_bytes(), 42).unwrap();
            assert_eq!((command.payload.as_str(), command.time.as_str(), command.time_ms), ("null", "", 42));
        }
    }

    #[test]
    fn fields_that_nobody_knows_are_passed_over() {
        let command = format!("{{\"name\":\"n\"{},\"payload\":7}}", ",\"\":0".repeat(50_000));
        assert_eq!(decode_command(command.as_bytes(), 0).unwrap().payload, "7");
    }

    #[test]
    fn a_refusal_does_not_repeat_the_whole_message() {
        for message in [format!("\"{}\"", "x".repeat(300_000)), format!("{{\"{}\"}}", "x".repeat(300_000))] {
            let why = decode_command(message.as_bytes(), 0).unwrap_err();
            assert!(why.len() < 500, "{} bytes", why.len());
        }
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
    fn what_a_json_library_reads_is_read() {
        let go = |payload: &str| Command { name: "go".into(), payload: payload.into(), time: "".into(), time_ms: 42 };
        for (message, payload) in [
            (&b"\xef\xbb\xbf{\"name\":\"go\"}"[..], "null"),
            (b" \t\r\n{ \"name\" : \"go\" , \"payload\" : [ 1 ] } \n", "[ 1 ]"),
            (b"{\"name\":\"go\"}\0", "null"),
            (b"{\"name\":\"go\"}\r\n\0", "null"),
            (br#"{"name":1,"name":"go","payload":1,"payload":2}"#, "2"),
            (br#"{"\u006eame":"\u0067o","pay\u006coad":3}"#, "3"),
            (br#"{"name":"go","\ud800":1,"payload":{"\udc00":"\ud800"}}"#, r#"{"\udc00":"\ud800"}"#),
            (
                br#"{"name":"go","payload":[1e400,-0,-1E-400,123456789012345678901234567890]}"#,
                "[1e400,-0,-1E-400,123456789012345678901234567890]",
            ),
            (b"{\"name\":\"go\",\"payload\":\"\xff\xe2\x82\"}", "\"\u{fffd}\u{fffd}\""),
            (b"{\"name\":\"go\",\"\xc0\":1}", "null"),
            (b"{\"name\":\"go\",\"payload\":\"\\u0000\x7f\"}", "\"\\u0000\x7f\""),
            (br#"{"name":"go","time":{"$undefined":true}}"#, "null"),
            (br#"{"name":"go","time":null,"":{}}"#, "null"),
        ] {
            assert_eq!(decode_command(message, 42), Ok(go(payload)), "{}", message.escape_ascii());
        }
        assert_eq!(command(r#"{"name":"a\ud800\u0000b"}"#).name, "a\u{fffd}\0b");
        assert_eq!(command("{\"name\":\"\u{fffd}\"}").name, "\u{fffd}");
        for time in ["true", "[1]", "{}", "{\"$date\":[]}", "\"\"", "\"soon\"", "1e400", "{\"$date\":\"\\ud800\"}"] {
            assert_eq!(command(&format!("{{\"name\":\"go\",\"time\":{time}}}")).time_ms, 42, "{time}");
        }
        assert_eq!(command(r#"{"name":"go","time":{"\u0024date":1.5e3}}"#).time_ms, 1500);
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
            (r#"{"\u0024undefined":1}"#, "null"),
            (r#"[{ "$\u0075ndefined":{}}]"#, "[null]"),
            (r#"{"$undefined":1,"$undefined":[2]}"#, "null"),
            (r#"{"$undefined":1,"$undefined":2,"a":3}"#, r#"{"$undefined":1,"$undefined":2,"a":3}"#),
            (r#"{"a":1,"$undefined":2}"#, r#"{"a":1,"$undefined":2}"#),
            (r#"["$undefined","$undefined"]"#, r#"["$undefined","$undefined"]"#),
            (r#"{"\ud800undefined":1}"#, r#"{"\ud800undefined":1}"#),
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
            "\u{feff}",
            "{\"name\":\"a\"}x",
            "{\"name\":\"a\",}",
            "{\"name\":null}",
            "{\"name\":\"a\",\"name\":{}}",
            "{\"name\":\"\\ud8\"}",
        ] {
            assert!(decode_command(message.as_bytes(), 0).is_err(), "{message:?}");
        }
        assert_eq!(decode_command(b"{\"name\":\"\xff\"}", 0), Err("its name is not UTF-8".to_owned()));
    }
}
