//! Connection attempts of the whole process, kept below the platform's limit: more than 300 new connections of one
//! application within 15 s get all of its devices refused. A gateway host with a thousand devices would do that after
//! every outage.

use crate::{
    pacer::{Rate, Window},
    process::PerProcess,
    sync::{Mutex, Rank, Ranked},
};
use std::time::{Duration, Instant};

/// One attempt. It counts from its beginning until a window after its end, which is when this is dropped: sometime in
/// between the platform has counted it.
#[derive(Debug)]
pub(crate) struct Attempt {
    limit: &'static Limit,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.limit.window.lock().arrived(Instant::now());
    }
}

#[derive(Debug)]
struct Limit {
    window: Mutex<Window>,
}

impl Ranked for Window {
    const RANK: Rank = Rank::Last;
}

const PLATFORM: Rate = Rate { messages: 300, window: Duration::from_secs(15) };

static LIMIT: PerProcess<Limit> = PerProcess::new(Limit::new(PLATFORM));

/// Sets how many connections the whole process may begin in any window.
pub(crate) fn set_rate(rate: Rate) {
    LIMIT.get().window.lock().set_rate(rate);
}

/// Begins an attempt, or tells when to ask again. `random` is uniform in 0..1: those who wait do not all ask at once.
pub(crate) fn begin(now: Instant, random: f64) -> Result<Attempt, Instant> {
    LIMIT.get().begin(now, random)
}

impl Default for Limit {
    fn default() -> Self {
        Limit::new(PLATFORM)
    }
}

impl Limit {
    const fn new(rate: Rate) -> Self {
        Limit { window: Mutex::new(Window::new(rate)) }
    }

    fn begin(&'static self, now: Instant, random: f64) -> Result<Attempt, Instant> {
        let mut window = self.window.lock();
        match window.ask(now) {
            Ok(()) => {
                window.set_out();
                Ok(Attempt { limit: self })
            }
            Err(when) => {
                let step = window.length() / 10;
                Err(when.unwrap_or(now + step).max(now) + step.mul_f64(random))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_holds_more_attempts_than_the_limit() {
        let window = Duration::from_secs(15);
        let limit = Box::leak(Box::new(Limit::new(Rate { messages: 3, window })));
        let now = Instant::now();
        let mut attempts: Vec<_> = (0..3).map(|_| limit.begin(now, 0.0).unwrap()).collect();
        // While all are on their way nobody knows when there will be a place.
        assert_eq!(limit.begin(now, 0.5).unwrap_err(), now + window / 10 + window / 20);
        let ended = Instant::now();
        attempts.pop();
        let when = limit.begin(ended, 0.0).unwrap_err();
        assert!(when >= ended + window);
        assert!(limit.begin(when - Duration::from_millis(1), 0.0).is_err());
        let last = limit.begin(when, 0.0).unwrap();
        assert!(limit.begin(when, 0.0).is_err());
        drop(last);
        drop(attempts);
    }

    #[test]
    fn without_a_limit_everyone_may() {
        let limit = Box::leak(Box::new(Limit::new(Rate { messages: 0, window: Duration::ZERO })));
        let attempts: Vec<_> = (0..1000).map(|_| limit.begin(Instant::now(), 0.0).unwrap()).collect();
        drop(attempts);
        assert_eq!(limit.window.lock().used(Instant::now()), 0);
    }
}
