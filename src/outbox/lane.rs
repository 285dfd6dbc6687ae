//! What waits for one topic, in order, and when the next message may go.

use super::Entry;
use crate::pacer::{Pace, Permit, Rate};
use std::{collections::VecDeque, time::Instant};

/// One topic's states that are not under way.
#[derive(Debug)]
pub(super) struct Lane {
    /// Whose states these are: the device's own or a peripheral's.
    pub id: Box<str>,
    pub topic: Box<str>,
    pub waiting: VecDeque<Entry>,
    pub pace: Pace,
    /// How often a connection has been lost while this lane had the oldest message under way, since one was delivered.
    pub losses: u32,
}

/// As many losses may be the network's.
const INNOCENT: u32 = 2;

impl Lane {
    pub fn new(id: &str, rate: Rate) -> Self {
        let mut lane =
            Lane { id: "".into(), topic: "".into(), waiting: VecDeque::new(), pace: Pace::new(rate), losses: 0 };
        lane.rename(id);
        lane
    }

    /// Gives the lane to another peripheral.
    pub fn rename(&mut self, id: &str) {
        self.id = id.into();
        self.topic = format!("losant/{id}/state").into();
        self.losses = 0;
    }

    /// Whether it seems that the broker closes the connection because of these states: the platform does so when a gateway
    /// reports for a device that is not its peripheral.
    pub fn is_suspect(&self) -> bool {
        self.losses > INNOCENT
    }

    /// Whether nothing waits and no window remembers anything.
    pub fn is_unused(&mut self, now: Instant) -> bool {
        self.waiting.is_empty() && self.pace.window().used(now) == 0
    }

    /// Whether a message may go out on this topic. Those of the last third of a window are spread only where merging
    /// makes up for it.
    pub fn permit(&mut self, now: Instant, merging: bool) -> Permit {
        self.pace.permit(now, merging)
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
