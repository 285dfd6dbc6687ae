//! What ends connections: a state that the broker will not take, or a topic that the device has no right to. The platform
//! does not say which message it closed a connection for, so it is found out by what was under way.

use std::time::{Duration, Instant};

/// Once a state has been under way this often when a connection ended, it goes with nothing else under way.
pub(super) const SHARED_LOSSES: u8 = 2;

/// Once it has been under way this often, the last time alone, it is kept back.
const LOSSES: u8 = 3;

/// The same on a topic where another state is kept back already.
const LOSSES_BESIDE_ANOTHER: u8 = 2;

/// Once so many states in a row are kept back on one topic while others get through on others, it is the topic.
pub(super) const STATES_OF_A_TOPIC: u32 = 3;

/// Once so many have been kept back with nothing delivered in between, it may have been the broker.
pub(super) const DOUBTFUL: u32 = 2;

/// So many losses in a row are put down to culprits rather than to the network, while nothing is delivered.
pub(super) const EXCUSED: u32 = 10;

/// As often is tried what is kept back.
const TRIES: u32 = 5;

/// Of the platform's 15 s: a minute at first, an hour at last.
const FIRST_PAUSE: u32 = 4;
const LONGEST_PAUSE: u32 = 240;

/// Who is to blame for the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Nothing that was under way.
    Nobody,
    /// The oldest message: the broker goes on answering, but does not acknowledge it.
    Oldest,
    /// Any message: the broker has closed the connection.
    Anybody,
}

/// What the end of a connection was put down to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Whether the search for a culprit, or a culprit, has ended it, and so not the network.
    pub excused: bool,
    /// Who it was and what follows, where that is known.
    pub culprit: Option<String>,
}

/// How many losses, the last of them alone, are enough to keep a state back. `in_a_row`: of how many states of its topic
/// that has just been done; `another`: whether one is kept back.
pub(super) fn losses_enough(in_a_row: u32, another: bool) -> u8 {
    match (in_a_row, another) {
        (1.., _) => 1,
        (0, true) => LOSSES_BESIDE_ANOTHER,
        (0, false) => LOSSES,
    }
}

/// How long a state or a topic is kept back: twice as long after each try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    pub until: Instant,
    pub length: Duration,
    /// How often it was tried in vain while other messages got through.
    tries: u32,
    /// How many messages had been delivered when it was last tried.
    delivered: u64,
}

impl Pause {
    /// The first one. `window` is the throttle's, `delivered` how many messages have been delivered so far.
    pub fn new(window: Duration, now: Instant, delivered: u64) -> Self {
        let length = window * FIRST_PAUSE;
        Pause { until: now + length, length, tries: 0, delivered }
    }

    /// It has been tried in vain. Whether that was often enough: it counts only where something else was delivered since
    /// the last time, as else it may be the broker that takes nothing.
    pub fn failed(&mut self, window: Duration, now: Instant, delivered: u64) -> bool {
        self.tries += u32::from(delivered > self.delivered);
        self.delivered = delivered;
        self.length = (self.length * 2).min(window * LONGEST_PAUSE);
        self.until = now + self.length;
        self.is_hopeless()
    }

    /// Whether it was tried often enough.
    pub fn is_hopeless(&self) -> bool {
        self.tries >= TRIES
    }

    /// Whether it was never tried.
    pub fn is_first(&self) -> bool {
        self.tries == 0
    }
}
