//! How long to wait before the next connection: exponential growth with full jitter, so that a fleet that lost its
//! broker at one moment does not come back at one moment.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    pub fn new(initial: Duration, max: Duration) -> Self {
        Backoff { initial, max, ceiling: initial.min(max) }
    }

    /// A delay between zero and the present ceiling, which doubles up to the maximum. `random` is uniform in 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let delay = self.ceiling.mul_f64(random.clamp(0.0, 1.0));
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        delay
    }

    /// A delay after a loss that is put down to one message. It says nothing about the network, so nothing grows.
    pub fn excused(&self, random: f64) -> Duration {
        self.initial.min(self.max).mul_f64(random.clamp(0.0, 1.0) / 2.0)
    }

    /// The losses so far were not the network's.
    pub fn forgive(&mut self) {
        self.ceiling = self.initial.min(self.max);
    }

    /// A delay for a refusal that will hardly change soon: between half the maximum and the maximum.
    pub fn slow(&mut self, random: f64) -> Duration {
        self.ceiling = self.max;
        self.max.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// To be told how long a connection lived. Only one that outlived the present ceiling starts the growth anew: a
    /// broker that accepts and drops at once must not be hammered.
    pub fn connection_lived(&mut self, lifetime: Duration) {
        if lifetime >= self.ceiling {
            self.forgive();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let mut backoff = Backoff::new(ms(100), ms(1000));
        let ceilings: Vec<_> = (0..6).map(|_| backoff.next(1.0)).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000].map(ms));
        assert_eq!(backoff.next(0.0), ms(0));
        assert_eq!(backoff.next(0.25), ms(250));
    }

    #[test]
    fn only_a_connection_that_lived_resets_it() {
        let mut backoff = Backoff::new(ms(100), ms(1000));
        backoff.next(1.0);
        backoff.next(1.0);
        backoff.connection_lived(ms(399));
        assert_eq!(backoff.next(1.0), ms(400));
        backoff.connection_lived(ms(800));
        assert_eq!(backoff.next(1.0), ms(100));
    }

    #[test]
    fn a_refusal_is_retried_slowly() {
        let mut backoff = Backoff::new(ms(100), ms(1000));
        assert_eq!(backoff.slow(0.0), ms(500));
        assert_eq!(backoff.slow(1.0), ms(1000));
    }

    #[test]
    fn bounds_in_any_order_and_size() {
        let mut backoff = Backoff::new(ms(500), ms(100));
        assert_eq!(backoff.next(1.0), ms(100));
        let mut forever = Backoff::new(Duration::MAX / 2, Duration::MAX / 2);
        forever.next(0.5);
        assert!(forever.next(0.5) < Duration::MAX);
    }
}
