//! Which times the platform takes: a state older than 30 days or more than a day ahead is silently ignored.

use super::Now;
use crate::status::{Error, Status::LOSANT_ERR_INVALID_TIME};

const DAY_MS: i64 = 86_400_000;
pub(super) const OLDEST_MS: i64 = 30 * DAY_MS;
pub(super) const AHEAD_MS: i64 = DAY_MS;

/// No state was measured before 2000 or will be in the year 10000: such a number is not milliseconds.
const YEAR_2000_MS: i64 = 946_684_800_000;
const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// Checks a time as a caller gives it: 0 for now, positive for milliseconds since 1970, negative for that many milliseconds
/// ago. Where the clock cannot be right, a time in milliseconds is only checked to be one.
pub(crate) fn check_time(time_ms: i64, now: Now) -> Result<(), Error> {
    let why = if time_ms < -OLDEST_MS {
        Some("is more than 30 days ago".to_owned())
    } else if (1..YEAR_2000_MS).contains(&time_ms) {
        Some(match time_ms.checked_mul(1000) {
            // Seconds since 1970.
            Some(ms) if (YEAR_2000_MS..YEAR_10000_MS).contains(&ms) => {
                "is before the year 2000: it seems to be in seconds, not milliseconds".to_owned()
            }
            _ => "is before the year 2000".to_owned(),
        })
    } else if time_ms >= YEAR_10000_MS {
        Some("is behind the year 9999: it seems to be in micro- or nanoseconds, not milliseconds".to_owned())
    } else if time_ms > 0 && now.wall_is_plausible() && is_ignored(time_ms, now) {
        let difference = time_ms.saturating_sub(now.wall_ms());
        let days = difference.unsigned_abs() / DAY_MS.unsigned_abs();
        Some(format!("is {days} days {} the clock", if difference < 0 { "behind" } else { "ahead of" }))
    } else {
        None
    };
    let rule = "Losant ignores states older than 30 days or more than a day ahead";
    why.map_or(Ok(()), |why| Err(Error::new(LOSANT_ERR_INVALID_TIME, format!("time_ms {time_ms} {why}; {rule}"))))
}

/// Whether the platform ignores a state of this time, milliseconds since 1970, if the clock is right.
pub(super) fn is_ignored(wall_ms: i64, now: Now) -> bool {
    wall_ms < now.wall_ms().saturating_sub(OLDEST_MS) || wall_ms > now.wall_ms().saturating_add(AHEAD_MS)
}

#[cfg(test)]
mod tests {
    use super::{super::BUILT_MS, *};

    #[test]
    fn what_the_platform_would_ignore_is_refused() {
        let wall_ms = BUILT_MS + 100 * DAY_MS;
        let (right, wrong) = (Now::at(wall_ms, 5_000), Now::at(5_000, 5_000));
        let status = |time, now| check_time(time, now).map_err(|e| e.status);
        for good in [0, -1, -OLDEST_MS, wall_ms, wall_ms - OLDEST_MS, wall_ms + AHEAD_MS] {
            assert_eq!(status(good, right), Ok(()), "{good}");
        }
        for bad in [wall_ms - OLDEST_MS - 1, wall_ms + AHEAD_MS + 1, 1_464_743_391_145] {
            assert_eq!(status(bad, right), Err(LOSANT_ERR_INVALID_TIME), "{bad}");
            // It may be the clock that is wrong.
            assert_eq!(status(bad, wrong), Ok(()), "{bad}");
        }
        let (seconds, micro, nano) = (wall_ms / 1000, wall_ms * 1000, wall_ms * 1_000_000);
        for nonsense in [1, seconds, micro, nano, i64::MAX, i64::MIN, -wall_ms - 5_000, -OLDEST_MS - 1, 946_684_799_999]
        {
            for now in [right, wrong] {
                assert_eq!(status(nonsense, now), Err(LOSANT_ERR_INVALID_TIME), "{nonsense}");
            }
        }
        let text = check_time(1_464_743_391, right).unwrap_err().text;
        assert!(text.contains("time_ms 1464743391 is before the year 2000: it seems to be in seconds"), "{text}");
    }
}
