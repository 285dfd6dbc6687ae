//! Wall time, monotonic time, and the texts that stand for them.
//!
//! Everything that depends on time takes a [`Now`], so that tests can pass any they like.

use crate::{
    json::{excerpt, json_string, object_fields},
    status::{Error, Status::LOSANT_ERR_INVALID_TIME},
};
use ::time::{OffsetDateTime, format_description::well_known::Rfc3339};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// No state was ever taken before this library was built, so a wall clock that says so is wrong. A day is forgiven to
/// the clock of the machine that built it.
const BUILT_MS: i64 = parse_decimal(env!("LOSANT_BUILT_MS")) - 86_400_000;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For timers and ages.
    pub instant: Instant,
    /// Milliseconds since 1970, for timestamps; wrong on a device whose clock has not been set yet.
    pub wall_ms: i64,
}

impl Now {
    pub fn read() -> Self {
        Now { instant: Instant::now(), wall_ms: wall_ms() }
    }

    /// Whether the wall clock can be right.
    pub fn wall_is_plausible(&self) -> bool {
        self.wall_ms >= BUILT_MS
    }
}

fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

/// When a state was taken, kept in the form that stays true while the state waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stamp {
    /// Milliseconds since 1970.
    Wall(i64),
    /// This long before that moment of the monotonic clock: the wall clock was wrong when the state came.
    Before(Instant, Duration),
}

impl Stamp {
    /// `time_ms` as in `losant_device_send_state`: 0 now, positive since 1970, negative that long ago.
    pub fn new(time_ms: i64, now: Now) -> Self {
        if time_ms > 0 {
            Stamp::Wall(time_ms)
        } else if now.wall_is_plausible() {
            Stamp::Wall(now.wall_ms.saturating_add(time_ms))
        } else {
            Stamp::Before(now.instant, Duration::from_millis(time_ms.unsigned_abs()))
        }
    }

    /// The `time` of the state payload: milliseconds since 1970, or negative, that many milliseconds ago, where the
    /// device still has no right clock (a form that the platform documents).
    pub fn resolve(self, now: Now) -> i64 {
        match self {
            Stamp::Wall(ms) => ms,
            Stamp::Before(instant, earlier) => {
                let age = now.instant.saturating_duration_since(instant).saturating_add(earlier);
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                // 0 would mean 1970 to the platform, so the youngest age is one millisecond.
                if now.wall_is_plausible() { now.wall_ms.saturating_sub(age) } else { -age.max(1) }
            }
        }
    }
}

/// Milliseconds since 1970 of a time in any form that the platform uses: ISO 8601 text with `Z`, `±HH:MM`, `±HHMM`,
/// `±HH` or no offset (then UTC), a number of milliseconds, or the extended JSON `{"$date": …}` of either or of
/// `{"$numberLong": "…"}`. Text may stand in JSON quotes or not.
pub fn parse_time(text: &str) -> Result<i64, Error> {
    let text = text.trim();
    let parsed = match text.as_bytes().first() {
        Some(b'{') => parse_extended(text, true),
        Some(b'"') => json_string(text).and_then(|inner| parse_plain(inner.trim())),
        _ => parse_plain(text),
    };
    parsed.ok_or_else(|| {
        let shown = excerpt(text);
        Error::new(LOSANT_ERR_INVALID_TIME, format!("time is not ISO 8601, a number or extended JSON: {shown:?}"))
    })
}

/// `{"$date": X}`, and `{"$numberLong": "N"}` both as X and alone. A date in a date is none, however its name is escaped:
/// hostile text could nest them without end.
fn parse_extended(text: &str, date_allowed: bool) -> Option<i64> {
    let fields = object_fields(text).ok()?;
    let [(key, value)] = fields.as_slice() else { return None };
    match (key.as_str(), value.as_bytes().first()?) {
        ("$numberLong", b'"') => json_string(value)?.trim().parse().ok(),
        ("$date", b'{') if date_allowed => parse_extended(value, false),
        ("$date", b'"') if date_allowed => parse_plain(json_string(value)?.trim()),
        ("$date", _) if date_allowed => parse_number(value),
        _ => None,
    }
}

fn parse_plain(text: &str) -> Option<i64> {
    parse_number(text).or_else(|| parse_iso(text))
}

/// A JSON number; what is less than a millisecond is cut off.
fn parse_number(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if digits { whole.parse().ok() } else { None }
}

/// Completes ISO 8601 to the strict RFC 3339 that the date library reads: midnight, seconds and UTC where they are left
/// out, `T` for a space, minutes and colon in the offset.
fn parse_iso(text: &str) -> Option<i64> {
    // Also keeps byte positions and characters the same.
    if !text.is_ascii() || text.len() > 64 {
        return None;
    }
    let mut text = text.to_ascii_uppercase();
    if text.len() == 10 {
        text.push_str("T00:00");
    }
    match text.as_bytes().get(10)? {
        b'T' => {}
        b' ' => text.replace_range(10..11, "T"),
        // The date library takes any byte.
        _ => return None,
    }
    let zone_at = text.rfind(['Z', '+', '-']).filter(|at| *at > 10).unwrap_or(text.len());
    let zone = match text.split_off(zone_at) {
        none if none.is_empty() => "Z".to_owned(),
        hours if hours.len() == 3 => hours + ":00",
        mut joined if joined.len() == 5 => {
            joined.insert(3, ':');
            joined
        }
        other => other,
    };
    if text.len() == 16 {
        text.push_str(":00");
    }
    let time = OffsetDateTime::parse(&(text + &zone), &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

const fn parse_decimal(text: &str) -> i64 {
    let bytes = text.as_bytes();
    let mut value = 0;
    let mut i = 0;
    while i < bytes.len() {
        value = value * 10 + (bytes[i] - b'0') as i64;
        i += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_464_743_391_145;

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
            ("2016-06-01", 1_464_739_200_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("1464743391145", MS),
            ("-5", -5),
            ("1464743391145.9", MS),
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
            "1e12",
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

    #[test]
    fn a_state_keeps_its_time_whatever_the_wall_clock_does() {
        let start = Instant::now();
        let right = Now { instant: start, wall_ms: BUILT_MS + 1_000 };
        let wrong = Now { instant: start, wall_ms: 5_000 };
        let later = |now: Now, ms| Now { instant: now.instant + Duration::from_millis(ms), ..now };

        assert_eq!(Stamp::new(0, right).resolve(later(right, 500)), BUILT_MS + 1_000);
        assert_eq!(Stamp::new(-300, right).resolve(later(right, 500)), BUILT_MS + 700);
        assert_eq!(Stamp::new(77, wrong).resolve(later(wrong, 500)), 77);
        // No clock at either moment: relative, and older at every resend.
        assert_eq!(Stamp::new(0, wrong).resolve(wrong), -1);
        assert_eq!(Stamp::new(-300, wrong).resolve(later(wrong, 500)), -800);
        // The clock was set while the state waited.
        let set = Now { instant: start + Duration::from_millis(500), wall_ms: BUILT_MS + 9_000 };
        assert_eq!(Stamp::new(-300, wrong).resolve(set), BUILT_MS + 8_200);
        assert_eq!(Stamp::new(i64::MIN, right).resolve(right), i64::MIN + BUILT_MS + 1_000);
    }
}
