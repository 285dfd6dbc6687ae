//! The messages under way: sent, but not yet acknowledged (QoS 1) or not yet wholly taken by the network (QoS 0).

use super::Entry;
use crate::throttle::Epoch;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What ends the wait of a message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// PUBACK with this packet id.
    Ack(u16),
    /// The connection has taken this many bytes in all.
    Written(u64),
}

/// One message under way.
#[derive(Debug)]
pub(super) struct Unit {
    pub lane: usize,
    /// Its states, oldest first; none where all were dropped meanwhile.
    pub states: Vec<Entry>,
    pub awaits: Awaits,
    /// Its payload.
    pub bytes: usize,
    /// Whether it went out as an array.
    pub merged: bool,
    /// Whether nothing else may be under way with it.
    pub alone: bool,
    /// How many messages of the device went before it.
    pub serial: u64,
    pub epoch: Epoch,
}

#[derive(Debug)]
pub(super) struct Flight {
    units: VecDeque<Unit>,
    /// How many may wait for their acknowledgement.
    limit: usize,
    /// The limit has been reached, and not half of it acknowledged since.
    saturated: bool,
    sent: u64,
    /// How many had been sent when the last PINGREQ went.
    before_ping: u64,
    /// So many must have reached the broker: it has answered something that was sent after them.
    reached: u64,
    /// Since when the first unit has reached the broker without an acknowledgement.
    overtaken: Option<Instant>,
}

impl Flight {
    pub fn new(limit: usize) -> Self {
        Flight { units: VecDeque::new(), limit, saturated: false, sent: 0, before_ping: 0, reached: 0, overtaken: None }
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether one more may set out.
    pub fn may_send(&self) -> bool {
        !self.saturated
    }

    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// A message sets out, behind all others.
    pub fn push(&mut self, unit: Unit) {
        // What waits to be written is bounded by the connection's buffer, not here.
        let counts = matches!(unit.awaits, Awaits::Ack(_));
        self.units.push_back(Unit { serial: self.sent, ..unit });
        self.sent += 1;
        self.saturated = counts && self.units.len() >= self.limit;
    }

    /// Whether a message is under way that nothing else may be with.
    pub fn has_lone(&self) -> bool {
        self.units.front().is_some_and(|unit| unit.alone)
    }

    /// A PUBACK came: the message that it ends the wait of. Unknown and repeated ones change nothing.
    pub fn acked(&mut self, packet_id: u16, now: Instant) -> Option<Unit> {
        let awaited = Awaits::Ack(packet_id);
        // Brokers acknowledge in order, so the first place is the usual one.
        let at = self.units.iter().position(|unit| unit.awaits == awaited)?;
        let unit = self.units.remove(at)?;
        self.reached = self.reached.max(unit.serial + 1);
        self.landed(now, at == 0);
        Some(unit)
    }

    /// The first message, if the connection has taken it wholly with this many bytes since it began.
    pub fn written(&mut self, total: u64, now: Instant) -> Option<Unit> {
        if !matches!(self.units.front()?.awaits, Awaits::Written(end) if end <= total) {
            return None;
        }
        let unit = self.units.pop_front();
        self.landed(now, true);
        unit
    }

    fn landed(&mut self, now: Instant, first: bool) {
        // Under load, sending goes on when half the flight has landed: one write for many states costs a fraction of a
        // write for each that an acknowledgement makes room for.
        if self.units.len() <= self.limit / 2 {
            self.saturated = false;
        }
        if first {
            self.overtaken = None;
        }
        self.look(now);
    }

    /// A PINGREQ goes out behind all that was sent.
    pub fn pinged(&mut self) {
        self.before_ping = self.sent;
    }

    /// The broker has answered the PINGREQ, and so has read what was sent before it.
    pub fn ping_answered(&mut self, now: Instant) {
        self.reached = self.reached.max(self.before_ping);
        self.look(now);
    }

    fn look(&mut self, now: Instant) {
        let reached = self.units.front().is_some_and(|first| first.serial < self.reached);
        self.overtaken = reached.then(|| self.overtaken.unwrap_or(now));
    }

    /// When the acknowledgement of the first message must be taken for lost: so long after the broker has shown that the
    /// message reached it.
    pub fn patience_ends(&self, patience: Duration) -> Option<Instant> {
        self.overtaken.map(|since| since + patience)
    }

    /// Ends the flight; what was under way, in order.
    pub fn end(&mut self) -> VecDeque<Unit> {
        self.saturated = false;
        self.overtaken = None;
        std::mem::take(&mut self.units)
    }

    /// The oldest state under way.
    pub fn oldest(&self) -> Option<&Entry> {
        self.units.iter().filter_map(|unit| unit.states.first()).min_by_key(|entry| entry.id)
    }

    /// Takes the oldest state out of the oldest message that has one. The message stays: its acknowledgement will come.
    pub fn drop_oldest(&mut self) -> Option<Entry> {
        let unit = self.units.iter_mut().find(|unit| !unit.states.is_empty())?;
        Some(unit.states.remove(0))
    }
}
