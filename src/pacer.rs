//! The platform's throttle, kept from this side: how many messages may set out now. No I/O and no clock.
//!
//! The platform counts what arrives within any window of 15 s, so a token bucket will not do (30 tokens and 2 a second
//! let 59 through), and neither will counting from the moment of sending: a link that stalls delivers old and new
//! messages together. Here a message counts from the moment it sets out until a window after it is known to have
//! arrived. So whatever the network does, no window of the platform's holds more than the limit.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many messages in any window of this length; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub messages: usize,
    pub window: Duration,
}

/// A sliding log of messages.
#[derive(Debug)]
pub(crate) struct Window {
    rate: Rate,
    /// Set out, and not known to have arrived.
    under_way: usize,
    /// By when the others had arrived, oldest first.
    arrived: VecDeque<Instant>,
}

impl Window {
    pub const fn new(rate: Rate) -> Self {
        Window { rate, under_way: 0, arrived: VecDeque::new() }
    }

    /// Changes the limit; what has been counted stays.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// The limit.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The length of the window.
    pub fn length(&self) -> Duration {
        self.rate.window
    }

    fn is_off(&self) -> bool {
        self.rate.messages == 0
    }

    /// How many messages the platform may still count.
    pub fn used(&mut self, now: Instant) -> usize {
        while self.arrived.front().is_some_and(|at| *at + self.rate.window <= now) {
            self.arrived.pop_front();
        }
        self.under_way + self.arrived.len()
    }

    /// When fewer than `limit` are counted, if nothing sets out; `None` where that depends on what is under way.
    pub fn falls_below(&self, limit: usize) -> Option<Instant> {
        let used = self.under_way + self.arrived.len();
        let last = used.checked_sub(limit)?;
        self.arrived.get(last).map(|at| *at + self.rate.window)
    }

    /// A message sets out.
    pub fn set_out(&mut self) {
        if !self.is_off() {
            self.under_way += 1;
        }
    }

    /// One of those under way has arrived by this time. Times come in order.
    pub fn arrived(&mut self, by: Instant) {
        // The limit may have been switched off, or on, meanwhile.
        if let Some(left) = self.under_way.checked_sub(1) {
            self.under_way = left;
            let by = self.arrived.back().map_or(by, |last| by.max(*last));
            self.arrived.push_back(by);
        }
    }

    /// All under way have arrived by this time, or never will.
    pub fn all_arrived(&mut self, by: Instant) {
        for _ in 0..self.under_way {
            self.arrived(by);
        }
    }

    /// For those who wait for a place of a kind that is not queued: one at once, or when to ask again at the earliest
    /// (`None`: when something has arrived).
    pub fn ask(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if self.is_off() || self.used(now) < self.rate.messages {
            Ok(())
        } else {
            Err(self.falls_below(self.rate.messages))
        }
    }
}

/// Whether a message may set out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// This many may, at once, one by one.
    Now(usize),
    /// At this time at the latest.
    At(Instant),
    /// When one that is under way has arrived.
    Later,
}

/// A window that does not spend its last third in a rush. Two thirds of it may be used at once; the rest is spread
/// evenly over the window's length. So under a lasting overload one message goes out every 1.5 s (for 30 in 15 s), rather
/// than 30 at once and then none for 15 s. Where states are merged, nothing is gained by haste.
#[derive(Debug)]
pub(crate) struct Pace {
    window: Window,
    last: Option<Instant>,
}

impl Pace {
    pub fn new(rate: Rate) -> Self {
        Pace { window: Window::new(rate), last: None }
    }

    /// The window itself.
    pub fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// When the last message set out.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Whether a message may set out. `spread`: hold back the last third.
    pub fn permit(&mut self, now: Instant, spread: bool) -> Permit {
        let limit = self.window.rate.messages;
        if limit == 0 {
            return Permit::Now(usize::MAX);
        }
        let used = self.window.used(now);
        // Of a very small limit, the rush is all.
        let rush = if spread { limit - limit / 3 } else { limit };
        if used < rush {
            return Permit::Now(rush - used);
        }
        let rush_again = self.window.falls_below(rush);
        let next = if used < limit {
            let gap = self.window.rate.window / u32::try_from(limit - rush).unwrap_or(u32::MAX);
            let due = self.last.map_or(now, |last| last + gap);
            if due <= now {
                return Permit::Now(1);
            }
            Some(rush_again.map_or(due, |again| again.min(due)))
        } else {
            // With an evenly spread rest, one falls out of the window when the next is due.
            self.window.falls_below(limit)
        };
        next.map_or(Permit::Later, Permit::At)
    }

    /// A message sets out.
    pub fn set_out(&mut self, now: Instant) {
        self.window.set_out();
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(15);
    const RATE: Rate = Rate { messages: 30, window: WINDOW };

    /// Sends whenever allowed, each message arriving after `latency`, and tells when they were sent.
    fn sent_in(pace: &mut Pace, begin: Instant, length: Duration, latency: Duration, spread: bool) -> Vec<Duration> {
        let step = Duration::from_millis(10);
        let mut sent: Vec<Duration> = Vec::new();
        let mut arrived = 0;
        let mut at = Duration::ZERO;
        while at < length {
            while sent.get(arrived).is_some_and(|sent| *sent + latency <= at) {
                pace.window().arrived(begin + sent[arrived] + latency);
                arrived += 1;
            }
            while let Permit::Now(_) = pace.permit(begin + at, spread) {
                pace.set_out(begin + at);
                sent.push(at);
            }
            at += step;
        }
        sent
    }

    #[test]
    fn a_rush_then_an_even_rest_for_ever() {
        let begin = Instant::now();
        let sent = sent_in(&mut Pace::new(RATE), begin, 10 * WINDOW, Duration::from_millis(10), true);
        assert_eq!(sent.iter().filter(|at| at.is_zero()).count(), 20);
        let longest = sent.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest <= Duration::from_millis(1520), "{longest:?}");
    }

    #[test]
    fn without_spreading_all_may_go_at_once_and_again_a_window_later() {
        let begin = Instant::now();
        let sent = sent_in(&mut Pace::new(RATE), begin, 2 * WINDOW, Duration::ZERO, false);
        assert_eq!(sent.iter().filter(|at| at.is_zero()).count(), 30);
        assert_eq!(sent.len(), 60);
    }

    #[test]
    fn one_state_a_second_is_never_held_back() {
        let (begin, mut pace) = (Instant::now(), Pace::new(RATE));
        for second in 0..1000 {
            let now = begin + Duration::from_secs(second);
            assert!(matches!(pace.permit(now, true), Permit::Now(_)), "{second}");
            pace.set_out(now);
            pace.window().arrived(now + Duration::from_millis(200));
        }
    }

    #[test]
    fn what_is_under_way_counts_until_it_has_arrived() {
        let (begin, mut pace) = (Instant::now(), Pace::new(Rate { messages: 1, window: WINDOW }));
        pace.set_out(begin);
        assert_eq!(pace.permit(begin + 100 * WINDOW, true), Permit::Later);
        pace.window().all_arrived(begin + 100 * WINDOW);
        assert_eq!(pace.permit(begin + 100 * WINDOW, true), Permit::At(begin + 101 * WINDOW));
        assert_eq!(pace.permit(begin + 101 * WINDOW, true), Permit::Now(1));
    }

    #[test]
    fn no_limit_counts_nothing() {
        let (begin, mut pace) = (Instant::now(), Pace::new(Rate { messages: 0, window: WINDOW }));
        for _ in 0..1000 {
            assert_eq!(pace.permit(begin, true), Permit::Now(usize::MAX));
            pace.set_out(begin);
        }
        pace.window().arrived(begin);
        assert_eq!(pace.window().used(begin), 0);
    }

    proptest! {
        /// Whenever messages are wanted and however late they arrive, no window at the other end holds too many.
        #[test]
        fn the_platform_never_counts_more_than_the_limit(
            limit in 1usize..40,
            spread: bool,
            // How long until the next is wanted, and how long it takes to arrive, in ms.
            wanted in prop::collection::vec((0u64..2_000, 0u64..20_000), 1..300),
        ) {
            let begin = Instant::now();
            let mut pace = Pace::new(Rate { messages: limit, window: WINDOW });
            let (mut now, mut arrivals) = (begin, Vec::new());
            // Those under way, by when they will have been acknowledged; a stream keeps its order.
            let mut under_way: VecDeque<Instant> = VecDeque::new();
            for (pause, latency) in wanted {
                now += Duration::from_millis(pause);
                loop {
                    while under_way.front().is_some_and(|at| *at <= now) {
                        pace.window().arrived(under_way.pop_front().unwrap());
                    }
                    match pace.permit(now, spread) {
                        Permit::Now(_) => break,
                        Permit::At(when) => {
                            prop_assert!(when > now);
                            now = under_way.front().map_or(when, |at| when.min(*at));
                        }
                        Permit::Later => now = *under_way.front().expect("something is under way"),
                    }
                }
                pace.set_out(now);
                let arrival = (now + Duration::from_millis(latency)).max(arrivals.last().copied().unwrap_or(now));
                arrivals.push(arrival);
                under_way.push_back(arrival);
            }
            for (index, first) in arrivals.iter().enumerate() {
                let counted = arrivals[index..].iter().take_while(|at| **at < *first + WINDOW).count();
                prop_assert!(counted <= limit, "{counted} within a window");
            }
        }
    }
}
