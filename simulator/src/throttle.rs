//! The platform's rates and bans, without I/O: the caller passes the time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The numbers of the throttle; the default is what the platform documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The length of the sliding window.
    pub window: Duration,
    /// Publishes on one topic of one device within a window.
    pub per_topic: usize,
    /// Publishes of one device within a window, over all its topics and connections.
    pub per_connection: usize,
    /// Connection attempts of the whole application within a window.
    pub connects: usize,
    /// The first ban.
    pub ban: Duration,
    /// No ban is longer.
    pub longest_ban: Duration,
    /// A ban within this time after the last one ended is twice as long as that one.
    pub clean: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            window: seconds(15),
            per_topic: 30,
            per_connection: 300,
            connects: 300,
            ban: seconds(30),
            longest_ban: seconds(3600),
            clean: seconds(900),
        }
    }
}

/// What was exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// The rate of this topic.
    Topic(String),
    /// The rate of the device over all topics.
    Connection,
    /// The application's rate of connection attempts.
    Connects,
}

/// Why a publish or a connection attempt is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It exceeded a rate: a ban of this length begins.
    Exceeded(Excess, Duration),
    /// A ban stands, for this much longer.
    Banned(Duration),
}

/// The times of what happened within the last window. Each counts from its time until, and not including, one window
/// later.
#[derive(Debug, Default)]
struct Log(VecDeque<Duration>);

impl Log {
    fn full(&mut self, limit: usize, window: Duration, now: Duration) -> bool {
        while self.0.front().is_some_and(|&at| at + window <= now) {
            self.0.pop_front();
        }
        self.0.len() >= limit
    }

    fn add(&mut self, now: Duration) {
        self.0.push_back(now);
    }
}

/// The last ban of a device or of the application; there may have been none.
#[derive(Debug, Default)]
struct Bans {
    length: Duration,
    until: Option<Duration>,
}

impl Bans {
    fn left(&self, now: Duration) -> Option<Duration> {
        self.until.and_then(|until| until.checked_sub(now)).filter(|left| !left.is_zero())
    }

    fn begin(&mut self, limits: &Limits, now: Duration) -> Duration {
        let repeated = self.until.is_some_and(|until| now < until + limits.clean);
        self.length = if repeated { self.length * 2 } else { limits.ban }.min(limits.longest_ban);
        self.until = Some(now + self.length);
        self.length
    }
}

#[derive(Debug, Default)]
struct Device {
    topics: HashMap<String, Log>,
    all: Log,
    bans: Bans,
}

/// Sliding logs and bans of one application. They are kept by device id, so a new connection does not clear them.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    devices: HashMap<String, Device>,
    connects: Log,
    bans: Bans,
}

impl Throttle {
    /// A throttle that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, devices: HashMap::new(), connects: Log::default(), bans: Bans::default() }
    }

    /// Counts a connection attempt of the application. What comes during its ban is not counted.
    pub fn attempt(&mut self, now: Duration) -> Result<(), Refused> {
        if let Some(left) = self.bans.left(now) {
            return Err(Refused::Banned(left));
        }
        if self.connects.full(self.limits.connects, self.limits.window, now) {
            return Err(Refused::Exceeded(Excess::Connects, self.bans.begin(&self.limits, now)));
        }
        self.connects.add(now);
        Ok(())
    }

    /// Whether this device may connect, its application's rate apart.
    pub fn admit(&self, device: &str, now: Duration) -> Result<(), Refused> {
        match self.devices.get(device).and_then(|device| device.bans.left(now)) {
            Some(left) => Err(Refused::Banned(left)),
            None => Ok(()),
        }
    }

    /// Counts a publish of `device`, or begins a ban when it is one too many.
    pub fn publish(&mut self, device: &str, topic: &str, now: Duration) -> Result<(), Refused> {
        let limits = &self.limits;
        let device = self.devices.entry(device.to_owned()).or_default();
        if let Some(left) = device.bans.left(now) {
            return Err(Refused::Banned(left));
        }
        let log = device.topics.entry(topic.to_owned()).or_default();
        let excess = if log.full(limits.per_topic, limits.window, now) {
            Excess::Topic(topic.to_owned())
        } else if device.all.full(limits.per_connection, limits.window, now) {
            Excess::Connection
        } else {
            log.add(now);
            device.all.add(now);
            return Ok(());
        };
        Err(Refused::Exceeded(excess, device.bans.begin(limits, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn burst(throttle: &mut Throttle, topic: &str, count: usize, now: f64) {
        for _ in 0..count {
            assert_eq!(throttle.publish("d", topic, at(now)), Ok(()));
        }
    }

    /// Exceeds the rate of one topic at `now`, and returns the length of the ban in seconds.
    fn offend(throttle: &mut Throttle, now: f64) -> u64 {
        burst(throttle, "t", 30, now);
        match throttle.publish("d", "t", at(now)) {
            Err(Refused::Exceeded(Excess::Topic(_), ban)) => ban.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_window_ends_exactly_15_seconds_after_each_publish() {
        let mut throttle = Throttle::new(Limits::default());
        burst(&mut throttle, "t", 1, 0.0);
        burst(&mut throttle, "t", 29, 1.0);
        burst(&mut throttle, "t", 1, 15.0);
        let refused = throttle.publish("d", "t", at(15.999));
        assert_eq!(refused, Err(Refused::Exceeded(Excess::Topic("t".into()), at(30.0))));
    }

    #[test]
    fn a_thirty_first_within_the_window_is_one_too_many() {
        let mut throttle = Throttle::new(Limits::default());
        burst(&mut throttle, "t", 30, 0.0);
        assert!(throttle.publish("d", "t", at(14.999)).is_err());
        assert_eq!(throttle.publish("other", "t", at(14.999)), Ok(()));
    }

    #[test]
    fn a_bucket_of_30_that_refills_by_2_a_second_breaks_the_window() {
        let mut throttle = Throttle::new(Limits::default());
        burst(&mut throttle, "t", 30, 0.0);
        assert!(throttle.publish("d", "t", at(0.5)).is_err());
    }

    #[test]
    fn all_topics_together_have_a_rate() {
        let mut throttle = Throttle::new(Limits::default());
        for topic in 0..10 {
            burst(&mut throttle, &topic.to_string(), 30, 0.0);
        }
        let refused = throttle.publish("d", "10", at(14.9));
        assert_eq!(refused, Err(Refused::Exceeded(Excess::Connection, at(30.0))));
    }

    #[test]
    fn a_ban_keeps_the_device_out_and_ends_on_time() {
        let mut throttle = Throttle::new(Limits::default());
        assert_eq!(offend(&mut throttle, 100.0), 30);
        assert_eq!(throttle.admit("d", at(100.0)), Err(Refused::Banned(at(30.0))));
        assert_eq!(throttle.admit("d", at(129.5)), Err(Refused::Banned(at(0.5))));
        assert_eq!(throttle.publish("d", "t", at(129.5)), Err(Refused::Banned(at(0.5))));
        assert_eq!(throttle.admit("d", at(130.0)), Ok(()));
        assert_eq!(throttle.admit("other", at(100.0)), Ok(()));
    }

    #[test]
    fn repeated_bans_double_up_to_an_hour() {
        let mut throttle = Throttle::new(Limits::default());
        let mut now = 0.0;
        for expected in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            assert_eq!(offend(&mut throttle, now), expected);
            now += expected as f64 + 899.0;
        }
    }

    #[test]
    fn fifteen_clean_minutes_after_a_ban_reset_it() {
        for (clean, expected) in [(899.999, 60), (900.0, 30)] {
            let mut throttle = Throttle::new(Limits::default());
            assert_eq!(offend(&mut throttle, 0.0), 30);
            assert_eq!(offend(&mut throttle, 30.0 + clean), expected, "{clean}");
        }
    }

    #[test]
    fn the_application_has_300_attempts_in_a_window() {
        let mut throttle = Throttle::new(Limits::default());
        for _ in 0..300 {
            assert_eq!(throttle.attempt(at(0.0)), Ok(()));
        }
        assert_eq!(throttle.attempt(at(14.0)), Err(Refused::Exceeded(Excess::Connects, at(30.0))));
        assert_eq!(throttle.attempt(at(43.0)), Err(Refused::Banned(at(1.0))));
        assert_eq!(throttle.attempt(at(44.0)), Ok(()));
    }
}
