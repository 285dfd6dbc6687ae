//! ISO 8601 dates, as far as the platform reads and writes them.

const DAY_MS: i64 = 86_400_000;

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Writes milliseconds since 1970 as `2016-06-01T01:09:51.145Z`.
pub fn format(ms: i64) -> String {
    let shifted = ms.div_euclid(DAY_MS) + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + shifted.div_euclid(146_097) * 400 + i64::from(month <= 2);
    let ms = ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

/// Takes `length` digits off the front.
fn digits(text: &mut &str, length: usize) -> Option<i64> {
    let (number, rest) = text.split_at_checked(length)?;
    *text = rest;
    if number.bytes().all(|byte| byte.is_ascii_digit()) { number.parse().ok() } else { None }
}

fn skip(text: &mut &str, any_of: &[char]) -> Option<()> {
    *text = text.strip_prefix(any_of)?;
    Some(())
}

/// Milliseconds since 1970; without an offset the time is UTC.
pub fn parse(text: &str) -> Option<i64> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    skip(&mut rest, &['-'])?;
    let month = digits(&mut rest, 2)?;
    skip(&mut rest, &['-'])?;
    let day = digits(&mut rest, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days(year + month / 12, month % 12 + 1, 1) - days(year, month, 1)
    {
        return None;
    }
    let mut ms = days(year, month, day) * DAY_MS;
    if rest.is_empty() {
        return Some(ms);
    }
    skip(&mut rest, &['T', 't', ' '])?;
    let hour = digits(&mut rest, 2)?;
    skip(&mut rest, &[':'])?;
    let minute = digits(&mut rest, 2)?;
    let mut second = 0;
    if skip(&mut rest, &[':']).is_some() {
        second = digits(&mut rest, 2)?;
        if skip(&mut rest, &['.', ',']).is_some() {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let fraction = rest.get(..length).filter(|fraction| !fraction.is_empty())?;
            rest = rest.get(length..)?;
            ms += format!("{fraction:0<3}").get(..3)?.parse::<i64>().ok()?;
        }
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    ms += ((hour * 60 + minute) * 60 + second) * 1000;
    Some(ms - offset_minutes(rest)? * 60_000)
}

fn offset_minutes(mut text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    skip(&mut text, &['+', '-'])?;
    let hours = digits(&mut text, 2)?;
    let _ = skip(&mut text, &[':']);
    let minutes = if text.is_empty() { 0 } else { digits(&mut text, 2)? };
    (text.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let table = [
            ("2016-06-01T01:09:51.145Z", Some(1_464_743_391_145)),
            ("2016-06-01T01:09:51Z", Some(1_464_743_391_000)),
            ("2016-06-01T01:09:51.1Z", Some(1_464_743_391_100)),
            ("2016-06-01T01:09:51.1459999Z", Some(1_464_743_391_145)),
            ("2016-06-01T03:09:51.145+02:00", Some(1_464_743_391_145)),
            ("2016-05-31T20:09:51.145-0500", Some(1_464_743_391_145)),
            ("2016-06-01T03:09:51.145+02", Some(1_464_743_391_145)),
            ("2016-06-01T01:09:51.145", Some(1_464_743_391_145)),
            ("2016-06-01", Some(1_464_739_200_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2024-12-31T23:59:59.999Z", Some(1_735_689_599_999)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T10:00:00+2", None),
            ("2024-01-01T10:00:00.Z", None),
            ("yesterday", None),
            ("", None),
            ("20é4-01-01", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(format(1_464_743_391_145), "2016-06-01T01:09:51.145Z");
        for ms in (-2_000_000_000_000..4_000_000_000_000).step_by(86_399_999_977) {
            assert_eq!(parse(&format(ms)), Some(ms));
        }
    }
}
