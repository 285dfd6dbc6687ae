//! ISO 8601 dates and times: all of the standard's forms that name a day, in its basic and its extended format.
//!
//! Beyond the standard stand what ECMAScript, Python and Java write: a space or `t` for `T`, `z` for `Z`, offsets with
//! seconds or after a date alone, years alone, and names of time zones in brackets behind the offset (RFC 9557).

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Milliseconds since 1970, rounded down. A week, month or year alone is its first day, a day alone its midnight, and
/// without an offset it is UTC. A leap second counts as in POSIX: it is the first of the next day.
pub(super) fn parse_iso(text: &str) -> Option<i64> {
    // The standard's minus sign is U+2212 where the character set has it.
    let text = text.replace('\u{2212}', "-").to_ascii_uppercase();
    let mut rest = Rest(text.as_bytes());
    let (day, is_complete) = rest.date()?;
    let has_time = rest.skip(b'T') || rest.skip(b' ');
    let time = if has_time { rest.time()? } else { Time::MIDNIGHT };
    // After less than a day, "-05" would be its next part.
    let offset = if has_time || is_complete { rest.offset()? } else { None };
    if offset.is_some() {
        while rest.skip(b'[') {
            rest.zone_name()?;
        }
    }
    let ms = i128::from(day) * i128::from(DAY_MS) + i128::from(time.ms - offset.unwrap_or(0));
    let ms = i64::try_from(ms).ok()?;
    let is_misplaced = time.is_leap_second && ms.rem_euclid(DAY_MS) >= SECOND_MS;
    if rest.0.is_empty() && !is_misplaced { Some(ms) } else { None }
}

struct Time {
    /// Since midnight.
    ms: i64,
    is_leap_second: bool,
}

impl Time {
    const MIDNIGHT: Time = Time { ms: 0, is_leap_second: false };
}

/// Hours, minutes and seconds, and how long the last of them that was written is.
struct Clock {
    hours: i64,
    minutes: i64,
    seconds: i64,
    unit_ms: i64,
}

impl Clock {
    fn ms(&self) -> i64 {
        self.hours * HOUR_MS + self.minutes * MINUTE_MS + self.seconds * SECOND_MS
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// The day, counted from 1970-01-01, and whether the text names it, not only its week, month or year.
    fn date(&mut self) -> Option<(i64, bool)> {
        let year = self.year()?;
        let (day, is_complete) = if self.skip(b'-') {
            if self.skip(b'W') {
                let week = self.number(2)?;
                let day = if self.skip(b'-') { Some(self.number(1)?) } else { None };
                (day_of_week_date(year, week, day.unwrap_or(1))?, day.is_some())
            } else if self.digits() == 3 {
                (day_of_ordinal(year, self.number(3)?)?, true)
            } else {
                let month = self.number(2)?;
                let day = if self.skip(b'-') { Some(self.number(2)?) } else { None };
                (day_of_date(year, month, day.unwrap_or(1))?, day.is_some())
            }
        } else if self.skip(b'W') {
            let week = self.number(2)?;
            let day = if self.digits() > 0 { Some(self.number(1)?) } else { None };
            (day_of_week_date(year, week, day.unwrap_or(1))?, day.is_some())
        } else {
            match self.digits() {
                0 => (day_of_date(year, 1, 1)?, false),
                3 => (day_of_ordinal(year, self.number(3)?)?, true),
                _ => (day_of_date(year, self.number(2)?, self.number(2)?)?, true),
            }
        };
        Some((day, is_complete))
    }

    /// Four digits; after a sign six as in ECMAScript, or as many as stand before the next part, as in Java.
    fn year(&mut self) -> Option<i64> {
        let sign = self.sign();
        let digits = self.digits();
        let year = match (sign, self.0.get(digits)) {
            (None, _) => self.number(4)?,
            (Some(_), Some(b'-' | b'W')) if (4..=9).contains(&digits) => self.number(digits)?,
            (Some(_), _) => self.number(6)?,
        };
        // There is a year 0, and only one.
        if sign == Some(-1) && year == 0 { None } else { Some(sign.unwrap_or(1) * year) }
    }

    fn time(&mut self) -> Option<Time> {
        let clock = self.clock()?;
        let ms = clock.ms() + self.fraction(clock.unit_ms)?;
        let in_range = clock.minutes < 60 && clock.seconds <= 60 && (clock.hours < 24 || ms == DAY_MS);
        if in_range { Some(Time { ms, is_leap_second: clock.seconds == 60 }) } else { None }
    }

    /// `Some(None)` where there is none.
    fn offset(&mut self) -> Option<Option<i64>> {
        if self.skip(b'Z') {
            return Some(Some(0));
        }
        let Some(sign) = self.sign() else { return Some(None) };
        let clock = self.clock()?;
        // Python has offsets of microseconds.
        let fraction = if clock.unit_ms == SECOND_MS { self.fraction(SECOND_MS)? } else { 0 };
        let in_range = clock.hours < 24 && clock.minutes < 60 && clock.seconds < 60;
        if in_range { Some(Some(sign * (clock.ms() + fraction))) } else { None }
    }

    /// `hh`, `hh:mm`, `hh:mm:ss`, or without the colons.
    fn clock(&mut self) -> Option<Clock> {
        let mut clock = Clock { hours: self.number(2)?, minutes: 0, seconds: 0, unit_ms: HOUR_MS };
        let is_extended = self.0.first() == Some(&b':');
        let has_more = |rest: &mut Self| if is_extended { rest.skip(b':') } else { rest.digits() > 0 };
        if has_more(self) {
            (clock.minutes, clock.unit_ms) = (self.number(2)?, MINUTE_MS);
            if has_more(self) {
                (clock.seconds, clock.unit_ms) = (self.number(2)?, SECOND_MS);
            }
        }
        Some(clock)
    }

    /// The decimal fraction of a unit in milliseconds, 0 where there is none. What is less than a millisecond is cut off.
    fn fraction(&mut self, unit_ms: i64) -> Option<i64> {
        if !self.skip(b'.') && !self.skip(b',') {
            return Some(0);
        }
        let digits = self.digits();
        // Twelve digits of an hour are nanoseconds, and multiply without overflow.
        let used = digits.clamp(1, 12);
        let (value, scale) = (self.number(used)?, 10_i64.pow(used as u32));
        self.0 = &self.0[digits - used..];
        Some(value * unit_ms / scale)
    }

    /// The name of a time zone, or a suffix of RFC 9557; the bracket before it has been read. The offset says all.
    fn zone_name(&mut self) -> Option<()> {
        let end = self.0.iter().position(|byte| *byte == b']').filter(|end| *end > 0)?;
        let (name, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-.:=!~".contains(byte));
        if is_name { Some(()) } else { None }
    }

    /// How many digits stand here.
    fn digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// A number of exactly so many digits, at most 18.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(
            0,
            |value, byte| {
                if byte.is_ascii_digit() { Some(value * 10 + i64::from(byte - b'0')) } else { None }
            },
        )
    }

    fn sign(&mut self) -> Option<i64> {
        match () {
            () if self.skip(b'+') => Some(1),
            () if self.skip(b'-') => Some(-1),
            () => None,
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The days from 1970-01-01 to the first of that year.
fn new_year(year: i64) -> i64 {
    let before = year - 1;
    365 * (year - 1970) + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 477
}

fn day_of_date(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month - 1).ok()?;
    let leap_day = i64::from(is_leap(year));
    let length = LENGTHS.get(index)? + if month == 2 { leap_day } else { 0 };
    let before = LENGTHS[..index].iter().sum::<i64>() + if month > 2 { leap_day } else { 0 };
    if (1..=length).contains(&day) { Some(new_year(year) + before + day - 1) } else { None }
}

fn day_of_ordinal(year: i64, day: i64) -> Option<i64> {
    let length = 365 + i64::from(is_leap(year));
    if (1..=length).contains(&day) { Some(new_year(year) + day - 1) } else { None }
}

fn day_of_week_date(year: i64, week: i64, day: i64) -> Option<i64> {
    let start = first_monday(year) + (week - 1) * 7;
    let in_range = week >= 1 && start < first_monday(year + 1) && (1..=7).contains(&day);
    if in_range { Some(start + day - 1) } else { None }
}

/// The Monday of week 1, which is the week with the fourth of January.
fn first_monday(year: i64) -> i64 {
    let fourth = new_year(year) + 3;
    // 1970-01-01 was a Thursday.
    fourth - (fourth + 3).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::time::{OffsetDateTime, UtcOffset};
    use proptest::prelude::*;

    const MS: i64 = 1_464_743_391_145;
    const MIDNIGHT: i64 = 1_464_739_200_000;

    #[test]
    fn dates_in_every_form() {
        for date in ["2016-06-01", "20160601", "2016-153", "2016153", "2016-W22-3", "2016W223", "2016-w22-3"] {
            assert_eq!(parse_iso(date), Some(MIDNIGHT), "{date}");
            for year in ["+00", "+", "+0"] {
                let expanded = format!("{year}{date}");
                let is_basic = !date[4..].starts_with(['-', 'W']);
                let expected = if is_basic && year != "+00" { None } else { Some(MIDNIGHT) };
                assert_eq!(parse_iso(&expanded), expected, "{expanded}");
            }
            // Java's dates have offsets.
            for (offset, hours) in [("Z", 0), ("+02:00", 2), ("-05", -5), ("+0000[UTC]", 0)] {
                let text = format!("{date}{offset}");
                assert_eq!(parse_iso(&text), Some(MIDNIGHT - hours * HOUR_MS), "{text}");
            }
        }
        for (text, expected) in [
            ("2016-06", MIDNIGHT),
            ("2016-06T01", MIDNIGHT + HOUR_MS),
            ("2016", 1_451_606_400_000),
            ("2016T24:00Z", 1_451_692_800_000),
            ("+002016", 1_451_606_400_000),
            ("2016-W22", MIDNIGHT - 2 * DAY_MS),
            ("2016W22", MIDNIGHT - 2 * DAY_MS),
            ("2015-W53-7", 1_451_779_200_000),
            ("2020-W53-5", 1_609_459_200_000),
            ("2009-W01-1", 1_230_508_800_000),
            ("2016-366", 1_483_142_400_000),
            ("2000-02-29", 951_782_400_000),
            ("0000-01-01", -62_167_219_200_000),
            ("0000-02-29", -62_162_121_600_000),
            ("-0001-12-31", -62_167_305_600_000),
            ("-000001-12-31T23:59:59.999Z", -62_167_219_200_001),
            // The ends of ECMAScript's and of Java's milliseconds.
            ("-271821-04-20T00:00:00.000Z", -8_640_000_000_000_000),
            ("+275760-09-13T00:00:00.000Z", 8_640_000_000_000_000),
            ("+292278994-08-17T07:12:55.807Z", i64::MAX),
            ("-292275055-05-16T16:47:04.193Z", i64::MIN + 1),
        ] {
            assert_eq!(parse_iso(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn times_in_every_form() {
        let cut = |unit_ms| (MS - MIDNIGHT) / unit_ms * unit_ms;
        for (time, expected) in [
            ("01:09:51.145", MS - MIDNIGHT),
            ("01:09:51,145", MS - MIDNIGHT),
            ("010951.145", MS - MIDNIGHT),
            ("010951,145999999", MS - MIDNIGHT),
            ("01:09:51.1", MS - MIDNIGHT - 45),
            ("01:09:51.14500000000000000000000000000000000000000000000000000000000000000000000009", MS - MIDNIGHT),
            ("01:09:51", cut(SECOND_MS)),
            ("010951", cut(SECOND_MS)),
            ("01:09", cut(MINUTE_MS)),
            ("0109", cut(MINUTE_MS)),
            ("01", cut(HOUR_MS)),
            ("01:09.5", cut(MINUTE_MS) + 30_000),
            ("0109,25", cut(MINUTE_MS) + 15_000),
            ("01.999999999999999", cut(HOUR_MS) + HOUR_MS - 1),
            ("00:00", 0),
            ("24:00", DAY_MS),
            ("24", DAY_MS),
            ("240000", DAY_MS),
            ("24:00:00.000", DAY_MS),
            ("23:59:60", DAY_MS),
            ("235960.5", DAY_MS + 500),
        ] {
            for date in ["2016-06-01T", "20160601T", "2016-06-01 ", "2016-W22-3t", "2016153T"] {
                for offset in ["", "Z", "z", "+00:00", "-00:00", "+00", "-0000", "+00:00:00", "Z[Etc/UTC]"] {
                    let text = format!("{date}{time}{offset}");
                    assert_eq!(parse_iso(&text), Some(MIDNIGHT + expected), "{text}");
                }
            }
        }
    }

    #[test]
    fn offsets_in_every_form() {
        for (text, expected) in [
            ("2016-06-01T03:09:51.145+02", MS),
            ("2016-06-01T03:09:51.145+0200", MS),
            ("2016-06-01T03:09:51.145+02:00", MS),
            ("2016-06-01T03:09:51.145+02:00:00", MS),
            ("2016-06-01T03:09:51.145+020000", MS),
            ("2016-06-01T03:09:51.145+02:00[Europe/Paris]", MS),
            ("2016-06-01T03:09:51.145+02:00[!Europe/Paris][u-ca=gregory]", MS),
            ("2016-06-01T03:09:51.145+02:00[+02:00]", MS),
            ("20160601T030951.145+0200", MS),
            ("2016-05-31T19:39:51.145-05:30", MS),
            ("2016-05-31T19:39:51.145\u{2212}05:30", MS),
            ("\u{2212}000001-12-31T23:59:59.999Z", -62_167_219_200_001),
            ("2016-06-01T01:19:12.145+00:09:21", MS),
            ("2016-06-01T01:09:52.145+00:00:01.000000", MS),
            ("2016-06-02T01:08:51.145+23:59", MS),
            // A leap second is everywhere at once.
            ("2017-01-01T05:29:60+05:30", 1_483_228_800_000),
            ("1969-12-31T23:59:59.9999999Z", -1),
        ] {
            assert_eq!(parse_iso(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_no_calendar_or_clock_shows_is_refused() {
        for date in [
            "2023-02-29",
            "1900-02-29",
            "2016-00-01",
            "2016-13-01",
            "2016-06-00",
            "2016-06-31",
            "20160631",
            "2016-000",
            "2015-366",
            "2016-367",
            "2016-W00-1",
            "2016-W54-1",
            "2014-W53-1",
            "2016-W22-0",
            "2016-W22-8",
            "-0000-01-01",
            "-000000-01-01",
            "+292278995-01-01",
            "16-06-01",
            "2016-6-1",
            "2016-0601",
            "201606-01",
            "2016W22-3",
            "2016-W223",
            "201606",
            "+2016",
            "--06-01",
            "2016-06-",
            "2016-",
            "2016-06-01T",
            "2016-06-01 ",
            "20160601Z01",
            "2016-06Z",
            "2016/06/01",
            "01:09",
            "T01:09",
            "",
            "W",
            "2016-W",
            "2016-06-01[Europe/Paris]",
            "½016-06-01",
        ] {
            assert_eq!(parse_iso(date), None, "{date}");
        }
        for time in [
            "25:00",
            "24:00:01",
            "24:01",
            "24:00:00.001",
            "01:60",
            "01:09:61",
            "01:09:60",
            "01:9",
            "1:09",
            "01:09:5",
            "0109:51",
            "01:0951",
            "01:",
            "01:09:",
            "010",
            "01:09:51.",
            "01:09:51.Z",
            "01:09.5:51",
            "01:09:51.-1",
            "01:09:51 ",
            "01:09:51+",
            "01:09:51+2",
            "01:09:51+24:00",
            "01:09:51+02:60",
            "01:09:51+02:00:60",
            "01:09:51+02.5",
            "01:09:51ZZ",
            "01:09:51Z+02",
            "01:09:51[Europe/Paris]",
            "01:09:51Z[]",
            "01:09:51Z[",
            "01:09:51Z]",
            "01:09:51Z[a b]",
            "01:09:51 Z",
        ] {
            let text = format!("2016-06-01T{time}");
            assert_eq!(parse_iso(&text), None, "{text}");
        }
    }

    /// The dates of a moment.
    fn dates(at: OffsetDateTime) -> Vec<String> {
        let sign = if at.year() < 0 { "-" } else { "+" };
        let years = match at.year() {
            year @ 0..=9999 => vec![format!("{year:04}"), format!("+{year:06}")],
            year => vec![format!("{sign}{:06}", year.abs())],
        };
        let (week_year, week, weekday) = at.to_iso_week_date();
        let (month, day, ordinal) = (u8::from(at.month()), at.day(), at.ordinal());
        let weekday = weekday.number_from_monday();
        let mut dates = Vec::new();
        for year in years {
            dates.extend(["-", ""].map(|sep| format!("{year}{sep}{month:02}{sep}{day:02}")));
            dates.extend(["-", ""].map(|sep| format!("{year}{sep}{ordinal:03}")));
        }
        if (0..=9999).contains(&week_year) {
            dates.extend(["-", ""].map(|sep| format!("{week_year:04}{sep}W{week:02}{sep}{weekday}")));
        }
        dates
    }

    proptest! {
        #[test]
        fn a_moment_is_read_back_from_all_its_forms(
            ms in -62_000_000_000_000_i64..253_000_000_000_000,
            before_the_era in any::<bool>(),
            offset in -86_399..86_400,
            nanos in 0..1_000_000,
        ) {
            let ms = if before_the_era { ms - 250_000_000_000_000 } else { ms };
            let utc = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000 + i128::from(nanos)).unwrap();
            let at = utc.to_offset(UtcOffset::from_whole_seconds(offset).unwrap());
            let (h, m, s, fraction) = (at.hour(), at.minute(), at.second(), at.nanosecond());
            let (zone_h, zone_m, zone_s) = at.offset().as_hms();
            let sign = if offset < 0 { '-' } else { '+' };
            let [zone_h, zone_m, zone_s] = [zone_h, zone_m, zone_s].map(i8::abs);
            for date in dates(at) {
                for clock in [format!("{h:02}:{m:02}:{s:02}"), format!("{h:02}{m:02}{s:02}")] {
                    for zone in [
                        format!("{sign}{zone_h:02}:{zone_m:02}:{zone_s:02}"),
                        format!("{sign}{zone_h:02}{zone_m:02}{zone_s:02}[Somewhere/Far]"),
                    ] {
                        let text = format!("{date}T{clock}.{fraction:09}{zone}");
                        prop_assert_eq!(parse_iso(&text), Some(ms), "{}", text);
                    }
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9:.,TZW\\[\\] \u{2212}]{0,40}") {
            parse_iso(&text);
        }
    }
}
