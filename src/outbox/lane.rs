//! What waits for one topic, in order.

use super::{
    Entry, From,
    suspicion::{Pause, SHARED_LOSSES},
};
use crate::throttle::TopicKey;
use std::{collections::VecDeque, sync::Arc, time::Instant};

/// One topic's states that are not under way.
#[derive(Debug)]
pub(super) struct Lane {
    /// Whose states these are: the device's own or a peripheral's.
    pub id: Arc<str>,
    pub topic: Box<str>,
    pub key: TopicKey,
    /// Whether its states are such as the platform's schema allows. Those that are not have a lane of their own, so that
    /// they share no message with others and hold none up.
    pub conforms: bool,
    pub waiting: VecDeque<Entry>,
    /// Those that are kept back because connections end when they are sent; by their ids.
    pub parked: VecDeque<Entry>,
    /// Where that is true of all states of the topic: how long none is sent.
    pub rest: Option<Pause>,
    /// How many states have been kept back since the topic's last delivery.
    pub parked_in_a_row: u32,
    /// How many messages of all topics had been delivered when a state was first lost since then.
    pub delivered_before: Option<u64>,
    /// How many states go into a message at most while a culprit among them is searched for.
    pub group: usize,
    /// The id that it stands by in the order of lanes by age: that of its oldest state, or a lower one.
    pub ordered_by: Option<u64>,
    /// How many messages are under way.
    pub under_way: usize,
    /// Whether the next message takes as many states as it can, though they might go alone.
    pub merges_next: bool,
    /// When the last message set out.
    pub last_sent: Option<Instant>,
    /// The newest times that the library gave to states: of the clock that never stands still or jumps, and of the wall clock.
    pub newest: Newest,
}

/// The newest times that the library gave to states of a topic.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    pub boot_us: Option<i64>,
    pub wall_ms: Option<i64>,
}

impl Lane {
    pub fn new(id: &str, conforms: bool) -> Self {
        let topic = format!("losant/{id}/state");
        Lane {
            id: id.into(),
            key: TopicKey::new(&topic),
            topic: topic.into(),
            conforms,
            waiting: VecDeque::new(),
            parked: VecDeque::new(),
            rest: None,
            parked_in_a_row: 0,
            delivered_before: None,
            group: usize::MAX,
            ordered_by: None,
            under_way: 0,
            merges_next: false,
            last_sent: None,
            newest: Newest::default(),
        }
    }

    /// What a lane counts against the bound in bytes: its id, its topic, its places in the orders of lanes, itself.
    pub fn cost(id: &str) -> usize {
        2 * id.len() + size_of::<Lane>() + 200
    }

    /// The oldest state that is not under way.
    pub fn oldest(&self) -> Option<&Entry> {
        let (parked, waiting) = (self.parked.front(), self.waiting.front());
        parked.into_iter().chain(waiting).min_by_key(|entry| entry.id)
    }

    /// Takes it out.
    pub fn pop_oldest(&mut self) -> Option<Entry> {
        let oldest = self.oldest()?.id;
        if self.parked.front().is_some_and(|entry| entry.id == oldest) {
            self.parked.pop_front()
        } else {
            self.waiting.pop_front()
        }
    }

    /// Takes the states of a message out.
    pub fn take(&mut self, from: From, states: usize) -> Vec<Entry> {
        match from {
            From::Front => self.waiting.drain(..states).collect(),
            From::Parked(at) => self.parked.remove(at).into_iter().collect(),
        }
    }

    /// A state that was under way, or is to be, comes back to its place.
    pub fn put_back(&mut self, entry: Entry) {
        if entry.parked.is_some() {
            let at = self.parked.partition_point(|other| other.id < entry.id);
            self.parked.insert(at, entry);
        } else {
            self.waiting.push_front(entry);
        }
    }

    /// Whether its next state goes only with nothing else under way.
    pub fn front_is_suspect(&self) -> bool {
        let has_losses = |front: &Entry| front.losses >= SHARED_LOSSES;
        self.rest.is_some() || self.parked_in_a_row > 0 || self.waiting.front().is_some_and(has_losses)
    }

    /// Whether anything of it may end a connection.
    pub fn has_suspects(&self) -> bool {
        !self.parked.is_empty() || !self.waiting.is_empty() && self.front_is_suspect()
    }

    /// A message of it was delivered, so the topic is not to blame.
    pub fn clear_topic(&mut self, now: Instant) {
        self.parked_in_a_row = 0;
        self.delivered_before = None;
        if self.rest.take().is_some() {
            self.try_parked(now);
        }
        if self.waiting.front().is_none_or(|front| front.losses < SHARED_LOSSES) {
            self.group = usize::MAX;
        }
    }

    /// What is kept back and was never tried since is tried soon.
    pub fn try_parked(&mut self, now: Instant) {
        for pause in self.parked.iter_mut().filter_map(|entry| entry.parked.as_mut()) {
            if pause.is_first() {
                pause.until = pause.until.min(now);
            }
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.parked.is_empty() && self.under_way == 0
    }

    /// How many of the waiting states, at least one, fit into an array of this many bytes.
    pub fn fitting(&self, bytes: usize) -> usize {
        // The brackets, and one comma fewer than counted below.
        let mut size = 1;
        let fits = |entry: &&Entry| {
            size += entry.element_len() + 1;
            size <= bytes
        };
        self.waiting.iter().take_while(fits).count().max(1)
    }
}
