//! The time of a state, from the call to the message.

use super::{
    Now,
    judge::{self, OLDEST_MS},
};

/// By how much a time that the library gives is moved at most, so that no two states of a topic have the same: the platform
/// keeps one value for an attribute and a millisecond. A second is as many states as it has milliseconds.
const MAX_SHIFT: i64 = 1_000;

/// When a state was taken, kept in the form that stays true while the state waits, whatever the wall clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Milliseconds since 1970: by the caller, or by the clock as it was when the state was first sent.
    Wall(i64),
    /// At that time of the clock that runs from boot, through suspend, and cannot be set; in microseconds. `free`: the caller
    /// gave no time, so the library may make it distinct from others.
    Boot { us: i64, free: bool },
}

impl Stamp {
    /// `time_ms` as in `losant_device_send_state`: 0 now, positive since 1970, negative that long ago.
    pub fn new(time_ms: i64, now: Now) -> Self {
        if time_ms > 0 {
            Stamp::Wall(time_ms)
        } else {
            Stamp::Boot { us: now.boot_us.saturating_add(time_ms.saturating_mul(1000)), free: time_ms == 0 }
        }
    }

    /// The same, at least a millisecond later than the one before where the library is free to choose. `newest`: of the
    /// topic, in microseconds.
    pub fn after(self, newest: &mut Option<i64>) -> Self {
        match self {
            Stamp::Boot { us, free: true } => Stamp::Boot { us: grow(us, newest, 1000), free: true },
            stamp => stamp,
        }
    }

    /// Becomes wall time, if the clock can be right by now. `newest`: of the topic, in milliseconds.
    pub fn settle(self, newest: &mut Option<i64>, now: Now) -> Self {
        match self {
            Stamp::Boot { us, free } if now.wall_is_plausible() => {
                let wall_ms = now.wall_us.saturating_sub(now.boot_us.saturating_sub(us)).div_euclid(1000);
                Stamp::Wall(if free { grow(wall_ms, newest, 1) } else { wall_ms })
            }
            stamp => stamp,
        }
    }

    /// The `time` of the state payload: milliseconds since 1970, or negative, that many milliseconds ago, where the
    /// device still has no right clock (a form that the platform documents).
    pub fn time_ms(self, now: Now) -> i64 {
        match self {
            Stamp::Wall(ms) => ms,
            // 0 would mean 1970 to the platform, so the youngest age is one millisecond.
            Stamp::Boot { us, .. } => age_ms(us, now).max(1).saturating_neg(),
        }
    }

    /// Whether the platform would ignore a state of this time, as far as that is known.
    pub fn is_ignored(self, now: Now) -> bool {
        match self {
            Stamp::Wall(ms) => now.wall_is_plausible() && judge::is_ignored(ms, now),
            Stamp::Boot { us, .. } => age_ms(us, now) > OLDEST_MS,
        }
    }
}

fn age_ms(boot_us: i64, now: Now) -> i64 {
    now.boot_us.saturating_sub(boot_us) / 1000
}

/// A step later than the newest one, but by [`MAX_SHIFT`] steps at most. Where the newest is further ahead, the clock has
/// been set back.
fn grow(time: i64, newest: &mut Option<i64>, step: i64) -> i64 {
    let limit = time.saturating_add(MAX_SHIFT * step);
    let grown = match *newest {
        Some(newest) if newest <= limit => time.max(newest.saturating_add(step).min(limit)),
        _ => time,
    };
    *newest = Some(grown);
    grown
}

#[cfg(test)]
mod tests {
    use super::{super::BUILT_MS, *};

    const HOUR_MS: i64 = 3_600_000;

    /// What a state is recorded with that is handed in, first sent, and sent again at these moments.
    fn recorded(time_ms: i64, moments: [Now; 3]) -> [i64; 2] {
        let [call, first, again] = moments;
        let (mut boot, mut wall) = (None, None);
        let stamp = Stamp::new(time_ms, call).after(&mut boot).settle(&mut wall, first);
        // The platform takes a negative time from its own clock, which is right.
        let record = |stamp: Stamp, now: Now| match stamp.time_ms(now) {
            relative if relative < 0 => now.boot_us / 1000 + TRUE_OFFSET + relative,
            time => time,
        };
        [record(stamp, first), record(stamp.settle(&mut wall, again), again)]
    }

    /// True time is this much ahead of the time since boot.
    const TRUE_OFFSET: i64 = BUILT_MS + 50 * 86_400_000;

    /// For 200 times of a caller's and every way in which a clock is wrong: once it is right, or as long as it says that it
    /// cannot be, what is recorded is within 50 ms of the truth.
    #[test]
    fn the_recorded_time_is_right_whatever_the_clock_does() {
        // How far the wall clock is from the truth at the call.
        let wrong_by = [0, -6 * HOUR_MS, 6 * HOUR_MS, -400 * 24 * HOUR_MS, 400 * 24 * HOUR_MS, 500, -TRUE_OFFSET];
        // How long the state waits, suspend included; the clock is right when it is sent.
        let waits = [0, 1, 40, 999, 60_000, HOUR_MS, 8 * HOUR_MS, 29 * 24 * HOUR_MS];
        let times = (0..200).map(|step: i64| if step == 0 { 0 } else { -(step * step * step / 3 + step) });
        let boot = 10 * 86_400_000;
        for time_ms in times {
            for wrong in wrong_by {
                for wait in waits {
                    let call = Now::at(boot + TRUE_OFFSET + wrong, boot);
                    let truth = boot + TRUE_OFFSET + time_ms;
                    let first = Now::at(boot + wait + TRUE_OFFSET, boot + wait);
                    // A day later, with a clock that is wrong again.
                    let again = Now::at(first.wall_ms() + 24 * HOUR_MS + wrong, boot + wait + 24 * HOUR_MS);
                    for record in recorded(time_ms, [call, first, again]) {
                        assert!((record - truth).abs() <= 50, "{time_ms}, wrong by {wrong}, after {wait}: {record}");
                    }
                    // Never set: the age is told.
                    let unset = Now::at(7_000, boot + wait);
                    let [record, later] = recorded(time_ms, [call, unset, again]);
                    assert!((record - truth).abs() <= 50, "{time_ms}, unset, after {wait}: {record}");
                    let right_later = wrong == 0 || !again.wall_is_plausible();
                    assert!(!right_later || (later - truth).abs() <= 50, "{time_ms}, unset, then set: {later}");
                }
            }
        }
    }

    #[test]
    fn a_callers_time_is_never_touched() {
        let now = Now::at(TRUE_OFFSET, 5);
        let (mut boot, mut wall) = (Some(5_000), Some(TRUE_OFFSET + 5));
        for time_ms in [1, TRUE_OFFSET, i64::MAX] {
            let stamp = Stamp::new(time_ms, now).after(&mut boot).settle(&mut wall, now);
            assert_eq!(stamp, Stamp::Wall(time_ms));
        }
        let stamp = Stamp::new(-300, now).after(&mut boot).settle(&mut wall, now);
        assert_eq!(stamp, Stamp::Wall(TRUE_OFFSET - 300));
    }

    /// Case: 200 states of one attribute in a row.
    #[test]
    fn times_that_the_library_gives_are_distinct_and_grow() {
        for clock in [TRUE_OFFSET, 5] {
            let (mut boot, mut wall) = (None, None);
            let mut times = Vec::new();
            for number in 0..900 {
                let now = Now::at(clock + number / 100, number / 100);
                let stamp = Stamp::new(0, now).after(&mut boot);
                let sent = Now::at(clock + 10, 10);
                let time = stamp.settle(&mut wall, sent).time_ms(Now::at(clock + 2_000, 2_000));
                times.push(time);
            }
            assert!(times.is_sorted_by(|a, b| a < b));
            assert!(times[899] - times[0] <= 9 + MAX_SHIFT);
        }
    }

    #[test]
    fn the_shift_is_bounded_and_a_clock_that_is_set_back_is_followed() {
        let mut newest = None;
        let times: Vec<i64> = (0..3_000).map(|_| grow(10_000, &mut newest, 1)).collect();
        assert!(times.is_sorted() && times[2_999] == 10_000 + MAX_SHIFT);
        assert_eq!(grow(5_000, &mut newest, 1), 5_000);
        assert_eq!(grow(5_000, &mut newest, 1), 5_001);
    }

    #[test]
    fn what_grows_too_old_while_it_waits_is_known() {
        let now = Now::at(TRUE_OFFSET, 5);
        let later = |ms: i64| Now::at(TRUE_OFFSET + ms, 5 + ms);
        let stamp = Stamp::new(0, now);
        assert!(!stamp.is_ignored(later(OLDEST_MS)) && stamp.is_ignored(later(OLDEST_MS + 1)));
        let settled = stamp.settle(&mut None, now);
        assert!(!settled.is_ignored(later(OLDEST_MS)) && settled.is_ignored(later(OLDEST_MS + 1)));
        // A clock that cannot be right says nothing.
        assert!(!settled.is_ignored(Now::at(7, 7)));
        assert!(Stamp::new(1_464_743_391_145, now).is_ignored(now));
    }
}
