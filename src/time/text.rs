//! The texts that stand for a time.

use super::iso::parse_iso;
use crate::{
    json::{excerpt, for_each_field, json_string},
    status::{Error, Status::LOSANT_ERR_INVALID_TIME},
};

/// Milliseconds since 1970 of a time in any form that the platform or a sender of commands uses. With or without JSON
/// quotes:
///
/// - ISO 8601 text, rounded down to milliseconds. Dates: `2016-06-01`, `2016-W22-3` (week), `2016-153` (day of the year),
///   the same without hyphens, `2016-06`, `2016-W22` and `2016` for their first day, and years with a sign
///   (`+002016-06-01`). Times, after `T` or a space: `01:09:51`, `01:09`, `01`, `010951`, `0109`, with a fraction of any
///   length after `.` or `,`, and `24:00` for the end of the day; without one it is midnight. Offsets: `Z`, `±hh`,
///   `±hh:mm`, `±hhmm`, `±hh:mm:ss`; without one it is UTC. Behind the offset there may be a zone's name in brackets.
///   A leap second (`23:59:60` UTC) is the first second of the next day, as in POSIX.
/// - A number of milliseconds. But 4, 7 or 8 digits alone are the dates `YYYY`, `YYYYDDD` and `YYYYMMDD`, and 6 after a
///   plus sign are a year: as numbers, they would be times in the first hours of 1970.
///
/// And the extended JSON objects `{"$date": …}` with such a text in quotes, with a JSON number, which is milliseconds
/// however many digits it has, or with `{"$numberLong": "…"}`; and `{"$numberLong": "…"}` alone.
pub fn parse_time(text: &str) -> Result<i64, Error> {
    let text = text.trim();
    let parsed = if text.starts_with(['{', '"']) { json_time(text) } else { parse_plain(text) };
    parsed.ok_or_else(|| {
        let shown = excerpt(text);
        Error::new(LOSANT_ERR_INVALID_TIME, format!("time is not ISO 8601, a number or extended JSON: {shown:?}"))
    })
}

/// As [`parse_time`], of a JSON value: its numbers are always milliseconds.
pub(crate) fn json_time(json: &str) -> Option<i64> {
    match json.as_bytes().first()? {
        b'{' => parse_extended(json, true),
        b'"' => parse_plain(json_string(json)?.trim()),
        _ => parse_number(json),
    }
}

/// `{"$date": X}`, and `{"$numberLong": "N"}` both as X and alone. A date in a date is none, however its name is escaped:
/// hostile text could nest them without end.
fn parse_extended(text: &str, date_allowed: bool) -> Option<i64> {
    let (mut count, mut field) = (0, None);
    for_each_field(text, |name, value| (count, field) = (count + 1, Some((name, value)))).ok()?;
    let (name, value) = field.filter(|_| count == 1)?;
    match (&*name, value.as_bytes().first()?) {
        ("$numberLong", b'"') => json_string(value)?.trim().parse().ok(),
        ("$date", b'{') if date_allowed => parse_extended(value, false),
        ("$date", _) if date_allowed => json_time(value),
        _ => None,
    }
}

fn parse_plain(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let date_lengths: &[usize] = if digits.len() < text.len() { &[6] } else { &[4, 7, 8] };
    let is_date = date_lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_date { parse_iso(text) } else { parse_number(text).or_else(|| parse_iso(text)) }
}

/// A JSON number; what is less than a millisecond is cut off.
fn parse_number(text: &str) -> Option<i64> {
    if text.contains(['e', 'E']) {
        // Beyond this, a double does not hold every millisecond.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let number: f64 = serde_json::from_str(text).ok()?;
        return if number.abs() <= EXACT { Some(number as i64) } else { None };
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if digits { whole.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_464_743_391_145;
    const MIDNIGHT: i64 = 1_464_739_200_000;

    #[test]
    fn every_accepted_form_of_a_time() {
        for (text, expected) in [
            ("2016-06-01T01:09:51.145Z", MS),
            ("2016-06-01T01:09:51.145z", MS),
            ("2016-06-01t01:09:51.145", MS),
            ("2016-06-01 01:09:51.145", MS),
            ("2016-06-01T03:09:51.145+02:00", MS),
            ("2016-06-01T03:09:51.145+0200", MS),
            ("2016-06-01T03:09:51.145+02", MS),
            ("2016-05-31T19:39:51.145-05:30", MS),
            ("2016-06-01T01:09:51Z", MS - 145),
            ("2016-06-01T01:09Z", MS - 51_145),
            ("2016-06-01", MIDNIGHT),
            ("1969-12-31T23:59:59.999Z", -1),
            ("1464743391145", MS),
            ("-5", -5),
            ("1464743391145.9", MS),
            ("1.464743391145e12", MS),
            ("0", 0),
            ("+5", 5),
            ("-0.5", 0),
            ("20160601", MIDNIGHT),
            ("2016153", MIDNIGHT),
            ("2016", 1_451_606_400_000),
            ("+002016", 1_451_606_400_000),
            ("\"20160601\"", MIDNIGHT),
            ("{\"$date\":\"20160601\"}", MIDNIGHT),
            ("{\"$date\":20160601}", 20_160_601),
            ("{\"$date\":2016}", 2_016),
            ("{\"$date\":{\"$numberLong\":\"2016\"}}", 2_016),
            ("-2016", -2_016),
            ("-002016", -2_016),
            ("201606", 201_606),
            ("\"2016-06-01T01:09:51.145Z\"", MS),
            ("\"1464743391145\"", MS),
            (" {\"$date\": \"2016-06-01T01:09:51.145Z\"} ", MS),
            ("{\"$date\":\"2016-06-01T03:09:51.145+02\"}", MS),
            ("{\"$date\":1464743391145}", MS),
            ("{\"$date\":{\"$numberLong\":\"1464743391145\"}}", MS),
            ("{\"$numberLong\":\"1464743391145\"}", MS),
        ] {
            assert_eq!(parse_time(text).ok(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2016-13-01T00:00:00Z",
            "2016-06-01T25:00:00Z",
            "2016-06-01T01:09:51.145+99:99x",
            "{\"$date\":null}",
            "{\"$date\":{}}",
            "{\"$date\":\"x\"}",
            "{\"$undefined\":true}",
            "{\"$date\":{\"$date\":1}}",
            "{\"$date\":{\"\\u0024date\":1}}",
            "{\"$date\":1,\"$date\":2}",
            "\"",
            "{",
            "1e16",
            "1e400",
            "1e",
            "infinite",
            "12345678",
            "2015366",
            "0000000",
            "{\"$date\":1e400}",
            "{\"$date\":true}",
            "1.",
            "1.x",
            "2016-06-01T01:09:51.145+",
            "2016-06-01T01:09:51.145+2",
            "2016-06-01T",
            "2016-06-01_01:09:51Z",
            "2016-06-01\u{8}01:09:51Z",
            "-",
            "NaN",
            "½016-06-01T01:09:51Z",
        ] {
            assert_eq!(parse_time(text).map_err(|e| e.status), Err(LOSANT_ERR_INVALID_TIME), "{text}");
        }
    }

    #[test]
    fn a_date_in_a_date_costs_no_stack() {
        // The background thread, on which the times of commands are read, has no more.
        let small = std::thread::Builder::new().stack_size(64 * 1024).spawn(|| {
            let depth = 10_000;
            let text = format!("{}1{}", "{\"\\u0024date\":".repeat(depth), "}".repeat(depth));
            assert!(parse_time(&text).is_err());
        });
        small.unwrap().join().unwrap();
    }
}
