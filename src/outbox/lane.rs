//! What waits for one topic, in order.

use super::Entry;
use crate::throttle::TopicKey;
use std::{collections::VecDeque, sync::Arc};

/// One topic's states that are not under way.
#[derive(Debug)]
pub(super) struct Lane {
    /// Whose states these are: the device's own or a peripheral's.
    pub id: Arc<str>,
    pub topic: Box<str>,
    pub key: TopicKey,
    pub waiting: VecDeque<Entry>,
    /// The id that it stands by in the order of lanes by age: that of its oldest state, or a lower one.
    pub ordered_by: Option<u64>,
    /// How many messages are under way.
    pub under_way: usize,
    /// Whether the next message takes as many states as it can, though they might go alone.
    pub merges_next: bool,
    /// How often a connection has been lost while this lane had the oldest message under way, since one was delivered.
    pub losses: u32,
}

/// As many losses may be the network's.
const INNOCENT: u32 = 2;

impl Lane {
    pub fn new(id: &str) -> Self {
        let topic = format!("losant/{id}/state");
        Lane {
            id: id.into(),
            key: TopicKey::new(&topic),
            topic: topic.into(),
            waiting: VecDeque::new(),
            ordered_by: None,
            under_way: 0,
            merges_next: false,
            losses: 0,
        }
    }

    /// What a lane counts against the bound in bytes: its id, its topic, its places in the orders of lanes, itself.
    pub fn cost(id: &str) -> usize {
        2 * id.len() + size_of::<Lane>() + 200
    }

    /// Whether it seems that the broker closes the connection because of these states: the platform does so when a gateway
    /// reports for a device that is not its peripheral.
    pub fn is_suspect(&self) -> bool {
        self.losses > INNOCENT
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
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
