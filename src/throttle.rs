//! What one device may send to one broker, whatever handles and connections come and go in this process: the platform
//! counts by device id and topic, not by handle. The clock is passed in.

use crate::{
    pacer::{Pace, Permit, Rate},
    process::PerProcess,
    sync::{Mutex, Rank, Ranked},
};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Instant,
};

/// Names a topic in a few bytes. Two that were taken for one would share a window, which is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicKey(u64);

impl TopicKey {
    pub fn new(topic: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        TopicKey(hasher.finish())
    }
}

/// Goes with a message under way: which connections it may have been sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// The windows of a device's topics and of its connection.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_topic: Rate,
    connection: Pace,
    /// Those that the platform may still count something on.
    topics: BTreeMap<TopicKey, Pace>,
    /// When topics that nothing counts on any more were last forgotten.
    swept: Option<Instant>,
    /// How often all that was under way has been known to have arrived.
    epoch: u64,
}

impl Ranked for Throttle {
    const RANK: Rank = Rank::Throttle;
}

/// Of the connection's messages so many may set out in a rush: a tenth. Beyond it, topics share the rest evenly.
const RUSH: usize = 10;

impl Throttle {
    pub fn new(per_topic: Rate, per_connection: Rate) -> Self {
        Throttle { per_topic, connection: Pace::new(per_connection), topics: BTreeMap::new(), swept: None, epoch: 0 }
    }

    /// Changes the limits; what has been counted stays.
    pub fn set_rates(&mut self, per_topic: Rate, per_connection: Rate) {
        self.per_topic = per_topic;
        self.connection.window().set_rate(per_connection);
        for pace in self.topics.values_mut() {
            pace.window().set_rate(per_topic);
        }
    }

    /// Whether any message may set out. `spread`: what has to wait is merged, so nothing is gained by haste.
    pub fn connection_permit(&mut self, now: Instant, spread: bool) -> Permit {
        // Where several topics share the connection, that spreads them.
        self.connection.permit(now, spread && self.topics.len() <= 1)
    }

    /// Whether a message may set out on this topic, once [`Self::connection_permit`] lets one go.
    pub fn topic_permit(&mut self, topic: TopicKey, now: Instant, spread: bool) -> Permit {
        if self.is_off() {
            return Permit::Now(usize::MAX);
        }
        let share = self.share(now);
        let rate = self.per_topic;
        let mut fresh = Pace::new(rate);
        let pace = self.topics.get_mut(&topic).unwrap_or(&mut fresh);
        match (pace.permit(now, spread), share.filter(|_| spread)) {
            (Permit::Now(_), Some(share)) => match pace.last().map(|last| last + share) {
                Some(due) if due > now => Permit::At(due),
                _ => Permit::Now(1),
            },
            (permit, _) => permit,
        }
    }

    /// The same for messages that must not cost others their turn: half of the window is left to those.
    pub fn leftover_permit(&mut self, topic: TopicKey, now: Instant, spread: bool) -> Permit {
        let limit = self.per_topic.messages;
        let permit = self.topic_permit(topic, now, spread);
        if limit < 2 || !matches!(permit, Permit::Now(_)) {
            return permit;
        }
        let Some(window) = self.topics.get_mut(&topic).map(Pace::window) else { return permit };
        if window.used(now) < limit / 2 {
            return permit;
        }
        window.falls_below(limit / 2).map_or(Permit::Later, Permit::At)
    }

    /// How long a topic pauses after each message, so that all have an even share of what the connection may still send;
    /// `None` while there is enough for all.
    fn share(&mut self, now: Instant) -> Option<std::time::Duration> {
        let rate = self.connection.window().rate();
        if rate.messages == 0 || self.topics.len() <= 1 || self.connection.window().used(now) < rate.messages / RUSH {
            return None;
        }
        let rest = (rate.messages - rate.messages / RUSH).max(1);
        Some(rate.window.mul_f64(self.topics.len() as f64 / rest as f64))
    }

    /// A message sets out.
    pub fn set_out(&mut self, topic: TopicKey, now: Instant) -> Epoch {
        if self.is_off() {
            return Epoch(self.epoch);
        }
        self.sweep(now);
        self.connection.set_out(now);
        let rate = self.per_topic;
        self.topics.entry(topic).or_insert_with(|| Pace::new(rate)).set_out(now);
        Epoch(self.epoch)
    }

    /// A message has arrived by this time.
    pub fn arrived(&mut self, topic: TopicKey, epoch: Epoch, by: Instant) {
        // Else it is known already.
        if epoch == Epoch(self.epoch) && !self.is_off() {
            self.connection.window().arrived(by);
            if let Some(pace) = self.topics.get_mut(&topic) {
                pace.window().arrived(by);
            }
        }
    }

    /// The broker has accepted a new connection, and so ended the one before (MQTT 3.1.4): nothing of that can arrive any
    /// more.
    pub fn all_arrived(&mut self, by: Instant) {
        self.epoch += 1;
        self.connection.window().all_arrived(by);
        for pace in self.topics.values_mut() {
            pace.window().all_arrived(by);
        }
    }

    /// Forgets topics on which nothing counts any more, now and then.
    fn sweep(&mut self, now: Instant) {
        let pause = self.per_topic.window / 4;
        if self.swept.is_none_or(|swept| now >= swept + pause) {
            self.swept = Some(now);
            self.topics.retain(|_, pace| pace.window().used(now) > 0);
        }
    }

    /// Whether there is no limit to keep to.
    fn is_off(&mut self) -> bool {
        self.per_topic.messages == 0 && self.connection.window().rate().messages == 0
    }

    fn is_unused(&mut self, now: Instant) -> bool {
        self.connection.window().used(now) == 0
    }
}

/// Which device, on which broker.
type Key = (String, String, u16);

#[derive(Debug, Default)]
struct Throttles(BTreeMap<Key, Arc<Mutex<Throttle>>>);

impl Ranked for Throttles {
    const RANK: Rank = Rank::Throttles;
}

static THROTTLES: PerProcess<Mutex<Throttles>> = PerProcess::new(Mutex::new(Throttles(BTreeMap::new())));

/// The throttle of a device id on a broker, with these limits from now on.
pub(crate) fn of(
    device_id: &str,
    host: &str,
    port: u16,
    per_topic: Rate,
    per_connection: Rate,
    now: Instant,
) -> Arc<Mutex<Throttle>> {
    let mut throttles = THROTTLES.get().lock();
    // Whoever still has one may use it; the others are kept as long as the platform counts.
    throttles.0.retain(|_, throttle| Arc::strong_count(throttle) > 1 || !throttle.lock().is_unused(now));
    let key = (device_id.to_owned(), host.to_ascii_lowercase(), port);
    let made = throttles.0.entry(key).or_insert_with(|| Arc::new(Mutex::new(Throttle::new(per_topic, per_connection))));
    made.lock().set_rates(per_topic, per_connection);
    made.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const WINDOW: Duration = Duration::from_secs(15);
    const PER_TOPIC: Rate = Rate { messages: 30, window: WINDOW };
    const PER_CONNECTION: Rate = Rate { messages: 300, window: WINDOW };

    /// Case: a gateway with many peripherals that all report once a second.
    #[test]
    fn fifty_topics_at_a_state_a_second_wait_three_seconds_at_most() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(PER_TOPIC, PER_CONNECTION);
        let topics: Vec<TopicKey> = (0..50).map(|number| TopicKey::new(&format!("p{number}"))).collect();
        // Since when each topic has something to send.
        let mut waiting: Vec<Option<Duration>> = vec![None; topics.len()];
        let (mut longest, mut sent) = (Duration::ZERO, Vec::new());
        for step in 0..12_000 {
            let at = Duration::from_millis(10 * step);
            for (number, since) in waiting.iter_mut().enumerate() {
                if step % 100 == (number as u64 * 2) % 100 {
                    since.get_or_insert(at);
                }
            }
            for (number, since) in waiting.iter_mut().enumerate() {
                let Some(began) = *since else { continue };
                let now = begin + at;
                if !matches!(throttle.connection_permit(now, true), Permit::Now(_)) {
                    break;
                }
                if let Permit::Now(_) = throttle.topic_permit(topics[number], now, true) {
                    let epoch = throttle.set_out(topics[number], now);
                    throttle.arrived(topics[number], epoch, now + Duration::from_millis(20));
                    longest = longest.max(at - began);
                    sent.push(at);
                    *since = None;
                }
            }
        }
        assert!(longest <= Duration::from_secs(3), "{longest:?}");
        for (index, first) in sent.iter().enumerate() {
            let within = sent[index..].iter().take_while(|at| **at < *first + WINDOW).count();
            assert!(within <= PER_CONNECTION.messages, "{within}");
        }
    }

    #[test]
    fn many_topics_that_speak_seldom_may_all_speak_at_once() {
        let now = Instant::now();
        let mut throttle = Throttle::new(PER_TOPIC, PER_CONNECTION);
        for number in 0..250 {
            let topic = TopicKey::new(&format!("p{number}"));
            assert!(matches!(throttle.connection_permit(now, true), Permit::Now(_)), "{number}");
            assert!(matches!(throttle.topic_permit(topic, now, true), Permit::Now(_)), "{number}");
            throttle.set_out(topic, now);
        }
    }

    #[test]
    fn a_device_id_has_one_throttle_a_broker_in_the_process() {
        let now = Instant::now();
        let of = |id, host, port, now| of(id, host, port, PER_TOPIC, PER_CONNECTION, now);
        let (first, topic) = (of("throttle-test", "Broker", 1, now), TopicKey::new("t"));
        first.lock().set_out(topic, now);
        assert!(Arc::ptr_eq(&first, &of("throttle-test", "broker", 1, now)));
        assert!(!Arc::ptr_eq(&first, &of("throttle-test", "broker", 2, now)));
        assert!(!Arc::ptr_eq(&first, &of("another-test", "broker", 1, now)));
        first.lock().all_arrived(now);
        let address = Arc::as_ptr(&first);
        drop(first);
        // Handles go, what the platform counts stays.
        assert_eq!(Arc::as_ptr(&of("throttle-test", "broker", 1, now + WINDOW / 2)), address);
    }
}
