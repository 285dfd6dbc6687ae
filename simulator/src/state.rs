//! What the platform takes as a device's state, and when it says that the state was measured.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::iso;

/// A string attribute holds at most this many bytes.
const LONGEST_STRING: usize = 65_536;
const DAY_MS: i64 = 86_400_000;
/// Numbers below this are seconds: as milliseconds they would be before March 1973.
const SECONDS_BELOW: f64 = 1e11;

/// Where a state's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// The device gave a point in time.
    Given,
    /// The device gave a negative number: how long ago.
    Ago,
    /// The device gave none: the time of arrival.
    Arrival,
    /// The device gave one that cannot be read: the time of arrival.
    Unreadable,
}

/// One state, as the platform understands it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The attributes.
    pub data: Map<String, Value>,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// What `time_ms` was made from.
    pub time_source: TimeSource,
    /// The flow version, when there is one.
    pub flow_version: Option<String>,
    /// What came with it, when there is something.
    pub meta: Option<Value>,
}

/// Reads a payload of the state topic: an object, or an array of them, each of which is judged on its own.
///
/// # Errors
/// The reason, for a person to read. The outer one is for an array that cannot be split.
pub fn read(payload: &[u8], arrival_ms: i64) -> Result<Vec<Result<State, String>>, String> {
    if payload.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return Ok(vec![one(payload, arrival_ms)]);
    }
    // Only split here: a number, an escape or a depth that cannot be read is the fault of its element alone.
    let elements: Vec<&RawValue> = serde_json::from_slice(payload).map_err(not_json)?;
    if elements.is_empty() {
        return Err("an empty array".into());
    }
    let judge = |(index, element): (usize, &RawValue)| {
        one(element.get().as_bytes(), arrival_ms).map_err(|reason| format!("element {index}: {reason}"))
    };
    Ok(elements.into_iter().enumerate().map(judge).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_json(error: serde_json::Error) -> String {
    format!("not JSON: {error}")
}

fn one(object: &[u8], arrival_ms: i64) -> Result<State, String> {
    let value = serde_json::from_slice(object).map_err(not_json)?;
    let Value::Object(fields) = value else { return Err("not an object".into()) };
    let (mut data, mut time, mut flow_version, mut meta) = (None, None, None, None);
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("data", Value::Object(attributes)) => data = Some(attributes),
            ("data", _) => return Err("data is not an object".into()),
            ("time", value) => time = Some(value),
            ("flowVersion", Value::String(version)) => flow_version = Some(version),
            ("flowVersion", _) => return Err("flowVersion is not a string".into()),
            ("meta", value) => meta = Some(value),
            (name, _) => return Err(format!("unknown field {name:?}")),
        }
    }
    let data = data.ok_or("no data")?;
    for (name, value) in &data {
        attribute(name, value)?;
    }
    let (time_ms, time_source) = resolve(time.as_ref(), arrival_ms);
    Ok(State { data, time_ms, time_source, flow_version, meta })
}

fn attribute(name: &str, value: &Value) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !(1..=255).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(format!("bad attribute name {name:?}"));
    }
    match value {
        Value::String(text) if text.len() > LONGEST_STRING => Err(format!("attribute {name}: longer than 64 KiB")),
        Value::Number(number) if !number.as_f64().is_some_and(f64::is_finite) => {
            Err(format!("attribute {name}: not a finite number"))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(()),
        _ => Err(format!("attribute {name}: not a string, number or boolean")),
    }
}

fn resolve(time: Option<&Value>, arrival_ms: i64) -> (i64, TimeSource) {
    let Some(time) = time else { return (arrival_ms, TimeSource::Arrival) };
    match time.as_f64() {
        Some(number) if number < 0.0 => (arrival_ms.saturating_add(number.round() as i64), TimeSource::Ago),
        _ => match point(time) {
            Some(ms) => (ms, TimeSource::Given),
            None => (arrival_ms, TimeSource::Unreadable),
        },
    }
}

/// A point in time; a number that says "ago" is none.
fn point(time: &Value) -> Option<i64> {
    match time {
        Value::Number(number) => {
            let number = number.as_f64().filter(|number| *number >= 0.0)?;
            Some(if number < SECONDS_BELOW { (number * 1000.0).round() } else { number.round() } as i64)
        }
        Value::String(text) => iso::parse(text),
        Value::Object(fields) if fields.len() == 1 => match fields.get("$date")? {
            Value::Object(long) => long.get("$numberLong")?.as_str()?.parse().ok(),
            Value::Number(number) => number.as_f64().map(|ms| ms.round() as i64),
            date => point(date),
        },
        _ => None,
    }
}

/// Whether the platform silently ignores a state of this time: older than 30 days, or more than a day ahead.
pub fn out_of_range(time_ms: i64, arrival_ms: i64) -> bool {
    time_ms < arrival_ms - 30 * DAY_MS || time_ms > arrival_ms + DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn payloads_are_taken_or_rejected() {
        let long = format!(r#"{{"data":{{"{}":1}}}}"#, "a".repeat(255));
        let too_long = format!(r#"{{"data":{{"{}":1}}}}"#, "a".repeat(256));
        let text = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(65_536));
        let too_much_text = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(65_537));
        let meta = format!(r#"{{"data":{{"a":1}},"meta":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        let too_deep = format!(r#"{{"data":{{"a":1}},"meta":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        let table: [(&str, Result<usize, &str>); 35] = [
            (r#"{"data":{"a":1}}"#, Ok(1)),
            (r#"{"data":{}}"#, Ok(1)),
            (r#"{"data":{"a":1.5,"b":"x","c":true,"_-9Z":-2}}"#, Ok(1)),
            (r#"{"data":{"a":1},"time":5,"flowVersion":"v","meta":[1,null]}"#, Ok(1)),
            (r#"[{"data":{"a":1}}]"#, Ok(1)),
            (r#"[{"data":{"a":1}},{"data":{"a":2},"time":-5}]"#, Ok(2)),
            (&long, Ok(1)),
            (&text, Ok(1)),
            (&meta, Ok(1)),
            (" \n[ {\"data\":{\"a\":1}} ] ", Ok(1)),
            (r#"{"data":{"a":"\ud83d\ude00"}}"#, Ok(1)),
            (r#"{"data":{"a":123456789012345678901234567890}}"#, Ok(1)),
            (&too_deep, Err("not JSON")),
            (r#"{"data":{"a":"\ud83d"}}"#, Err("not JSON")),
            (r#"{"data":{"a":"\ude00\ud83d"}}"#, Err("not JSON")),
            (&too_long, Err("bad attribute name")),
            (&too_much_text, Err("longer than 64 KiB")),
            ("[]", Err("an empty array")),
            (r#"[{"data":{"a":1}}"#, Err("not JSON")),
            ("[1 2]", Err("not JSON")),
            ("", Err("not JSON")),
            ("{", Err("not JSON")),
            ("\u{1}", Err("not JSON")),
            (r#"{"data":{"a":1}} x"#, Err("not JSON")),
            (r#"{"data":{"a":1e999}}"#, Err("not JSON")),
            ("7", Err("not an object")),
            ("{}", Err("no data")),
            (r#"{"data":[1]}"#, Err("data is not an object")),
            (r#"{"data":{"a":null}}"#, Err("not a string")),
            (r#"{"data":{"a":{"b":1}}}"#, Err("not a string")),
            (r#"{"data":{"":1}}"#, Err("bad attribute name")),
            (r#"{"data":{"a b":1}}"#, Err("bad attribute name")),
            (r#"{"data":{"é":1}}"#, Err("bad attribute name")),
            (r#"{"data":{"a":1},"more":1}"#, Err("unknown field")),
            (r#"{"data":{"a":1},"flowVersion":1}"#, Err("flowVersion")),
        ];
        for (payload, expected) in table {
            let elements = read(payload.as_bytes(), NOW).and_then(|elements| elements.into_iter().collect());
            match (elements, expected) {
                (Ok::<Vec<State>, String>(_), Err(_)) => panic!("{payload} is taken"),
                (Ok(states), Ok(count)) => assert_eq!(states.len(), count, "{payload}"),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{payload}: {reason}"),
                (Err(reason), Ok(_)) => panic!("{payload}: {reason}"),
            }
        }
    }

    #[test]
    fn what_is_no_utf_8_is_rejected() {
        assert!(one(b"{\"data\":{\"a\":\"\xff\"}}", NOW).is_err());
        assert!(read(b"[{\"data\":{\"a\":\"\xff\"}}]", NOW).is_err());
    }

    #[test]
    fn each_element_of_an_array_is_judged_on_its_own() {
        let deep = format!(r#"{{"data":{{"a":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200));
        let bad = [
            r#"{"data":{"a":null}}"#,
            r#"{"data":{"a":{"lat":1}}}"#,
            r#"{"data":{"a.b":1}}"#,
            r#"{"data":{"a":1e400}}"#,
            r#"{"data":{"a":"\ud83d"}}"#,
            r#"{"data":{"a":1},"more":1}"#,
            r#"{"time":1}"#,
            r#"[{"data":{"a":1}}]"#,
            "7",
            &deep,
        ];
        for bad in bad {
            let payload = format!(r#"[{{"data":{{"a":1}}}},{bad},{{"data":{{"a":2}}}}]"#);
            let elements = read(payload.as_bytes(), NOW).expect(bad);
            assert_eq!(elements.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{bad}");
            assert!(elements[1].as_ref().is_err_and(|reason| reason.starts_with("element 1: ")), "{elements:?}");
        }
    }

    #[test]
    fn times_are_resolved() {
        let table = [
            ("1465790400000", 1_465_790_400_000, TimeSource::Given),
            ("1465790400", 1_465_790_400_000, TimeSource::Given),
            ("1465790400.5", 1_465_790_400_500, TimeSource::Given),
            ("0", 0, TimeSource::Given),
            ("-1500", NOW - 1500, TimeSource::Ago),
            (r#""2016-06-01T01:09:51.145Z""#, 1_464_743_391_145, TimeSource::Given),
            (r#"{"$date":"2016-06-01T01:09:51.145Z"}"#, 1_464_743_391_145, TimeSource::Given),
            (r#"{"$date":1464743391145}"#, 1_464_743_391_145, TimeSource::Given),
            (r#"{"$date":{"$numberLong":"1464743391145"}}"#, 1_464_743_391_145, TimeSource::Given),
            (r#""yesterday""#, NOW, TimeSource::Unreadable),
            (r#"{"$date":"x"}"#, NOW, TimeSource::Unreadable),
            (r#"{"date":1}"#, NOW, TimeSource::Unreadable),
            ("true", NOW, TimeSource::Unreadable),
            ("null", NOW, TimeSource::Unreadable),
        ];
        for (time, ms, source) in table {
            let state = one(format!(r#"{{"data":{{}},"time":{time}}}"#).as_bytes(), NOW).expect(time);
            assert_eq!((state.time_ms, state.time_source), (ms, source), "{time}");
        }
        let state = one(br#"{"data":{}}"#, NOW).expect("no time");
        assert_eq!((state.time_ms, state.time_source), (NOW, TimeSource::Arrival));
    }

    #[test]
    fn the_range_is_30_days_back_and_one_ahead() {
        for (offset, ignored) in [(-30 * DAY_MS, false), (-30 * DAY_MS - 1, true), (DAY_MS, false), (DAY_MS + 1, true)]
        {
            assert_eq!(out_of_range(NOW + offset, NOW), ignored, "{offset}");
        }
    }
}
