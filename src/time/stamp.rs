//! The time of a state, from the call to the message.

use super::Now;
use std::time::{Duration, Instant};

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

#[cfg(test)]
mod tests {
    use super::{super::BUILT_MS, *};

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
