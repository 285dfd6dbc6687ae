//! Accepted states until they are delivered: order, limits, redelivery. No I/O and no clock.
//!
//! States stand in one queue in the order of acceptance. Those at its front may be in flight: sent, but not yet
//! acknowledged (QoS 1) or not yet wholly taken by the network (QoS 0). When the connection goes, they are simply the
//! front of the queue again, so order and completeness across connections need no further rule.

use crate::time::Stamp;
use std::collections::VecDeque;

/// Bounds of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub messages: usize,
    pub bytes: usize,
    /// How many QoS 1 messages may wait for their acknowledgement.
    pub in_flight: usize,
}

/// How many states took which way, since the device was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Accepted by `send_state`.
    pub accepted: u64,
    /// Written to a connection, resends included.
    pub sent: u64,
    /// Written again because the connection went before the acknowledgement came.
    pub resent: u64,
    /// Acknowledged by the broker (QoS 1), or wholly written (QoS 0).
    pub delivered: u64,
    /// Dropped, the oldest first, because the outbox was full.
    pub dropped: u64,
    /// In the outbox now.
    pub queued: u64,
}

/// One accepted state.
#[derive(Debug)]
pub(crate) struct Entry {
    pub json: Box<str>,
    pub stamp: Stamp,
    /// Whether an earlier connection carried it already.
    pub resend: bool,
}

impl Entry {
    /// What the entry counts against the bound in bytes.
    fn cost(&self) -> usize {
        self.json.len() + size_of::<Entry>()
    }
}

/// What ends the wait of a state in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// PUBACK with this packet id.
    Ack(u16),
    /// The connection has taken this many bytes in all.
    Written(u64),
}

#[derive(Debug)]
struct InFlight {
    awaits: Awaits,
    done: bool,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    limits: Limits,
    /// The first `in_flight.len()` of them are in flight.
    entries: VecDeque<Entry>,
    in_flight: VecDeque<InFlight>,
    /// The in-flight limit has been reached, and not half of it acknowledged since.
    saturated: bool,
    bytes: usize,
    counters: Counters,
}

impl Outbox {
    pub fn new(limits: Limits) -> Self {
        Outbox {
            limits,
            entries: VecDeque::new(),
            in_flight: VecDeque::new(),
            saturated: false,
            bytes: 0,
            counters: Counters::default(),
        }
    }

    /// Takes a state. Where that breaks a limit, drops the oldest ones and tells how many.
    pub fn push(&mut self, json: &str, stamp: Stamp) -> usize {
        let entry = Entry { json: json.into(), stamp, resend: false };
        let mut dropped = 0;
        while !self.entries.is_empty()
            && (self.entries.len() >= self.limits.messages || self.bytes + entry.cost() > self.limits.bytes)
        {
            self.drop_oldest();
            dropped += 1;
        }
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        self.counters.accepted += 1;
        dropped
    }

    /// Drops the oldest state that is not in flight: one that is has most likely arrived.
    fn drop_oldest(&mut self) {
        let at = if self.entries.len() > self.in_flight.len() { self.in_flight.len() } else { 0 };
        if at == 0 {
            self.in_flight.pop_front();
            self.drained();
        }
        if let Some(entry) = self.entries.remove(at) {
            self.bytes -= entry.cost();
            self.counters.dropped += 1;
        }
    }

    /// The state to send next, if there is one and the in-flight limit allows it.
    pub fn next(&self) -> Option<&Entry> {
        if self.saturated {
            return None;
        }
        self.entries.get(self.in_flight.len())
    }

    /// The state from [`Self::next`] has been handed to the connection.
    pub fn sent(&mut self, awaits: Awaits) {
        let Some(entry) = self.entries.get(self.in_flight.len()) else { return };
        self.counters.sent += 1;
        self.counters.resent += u64::from(entry.resend);
        self.in_flight.push_back(InFlight { awaits, done: false });
        // What waits to be written is bounded by the connection's buffer, not here.
        self.saturated = matches!(awaits, Awaits::Ack(_)) && self.in_flight.len() >= self.limits.in_flight;
    }

    /// A PUBACK came. Unknown and repeated ones change nothing: their state is gone or was dropped.
    pub fn acked(&mut self, packet_id: u16) {
        let awaited = Awaits::Ack(packet_id);
        // Brokers acknowledge in order, so the first place is the usual one.
        if let Some(found) = self.in_flight.iter_mut().find(|waiting| waiting.awaits == awaited && !waiting.done) {
            found.done = true;
            self.release();
        }
    }

    /// The connection has taken this many bytes in all since it began.
    pub fn written(&mut self, total: u64) {
        for waiting in &mut self.in_flight {
            match waiting.awaits {
                Awaits::Written(end) if end <= total => waiting.done = true,
                _ => break,
            }
        }
        self.release();
    }

    fn release(&mut self) {
        while self.in_flight.front().is_some_and(|first| first.done) {
            self.in_flight.pop_front();
            self.remove_delivered(0);
        }
        self.drained();
    }

    /// Under load, sending goes on when half the flight has landed: one write for many states costs a fraction of a write
    /// for each that an acknowledgement makes room for.
    fn drained(&mut self) {
        if self.in_flight.len() <= self.limits.in_flight / 2 {
            self.saturated = false;
        }
    }

    fn remove_delivered(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            self.bytes -= entry.cost();
            self.counters.delivered += 1;
        }
    }

    /// The connection is gone: what was in flight and not acknowledged goes out again, first and in order.
    pub fn connection_lost(&mut self) {
        for at in (0..self.in_flight.len()).rev() {
            if self.in_flight[at].done {
                self.remove_delivered(at);
            } else if let Some(entry) = self.entries.get_mut(at) {
                entry.resend = true;
            }
        }
        self.in_flight.clear();
        self.saturated = false;
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn counters(&self) -> Counters {
        Counters { queued: self.entries.len() as u64, ..self.counters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp::Wall(1);

    fn outbox(messages: usize, in_flight: usize) -> Outbox {
        Outbox::new(Limits { messages, bytes: 1 << 20, in_flight })
    }

    fn push(outbox: &mut Outbox, names: &[&str]) {
        for name in names {
            outbox.push(name, STAMP);
        }
    }

    /// Sends all that may be sent, with packet ids from `id`, and tells what went.
    fn send(outbox: &mut Outbox, mut id: u16) -> Vec<(String, bool)> {
        let mut sent = Vec::new();
        while let Some(entry) = outbox.next() {
            sent.push((entry.json.to_string(), entry.resend));
            outbox.sent(Awaits::Ack(id));
            id += 1;
        }
        sent
    }

    fn names(sent: &[(String, bool)]) -> Vec<&str> {
        sent.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn sends_in_order_and_waits_for_acks() {
        let mut outbox = outbox(10, 2);
        push(&mut outbox, &["a", "b", "c", "d"]);
        assert_eq!(names(&send(&mut outbox, 1)), ["a", "b"]);
        outbox.acked(1);
        assert_eq!(names(&send(&mut outbox, 3)), ["c"]);
        outbox.acked(2);
        outbox.acked(3);
        assert_eq!(names(&send(&mut outbox, 4)), ["d"]);
        outbox.acked(4);
        assert!(outbox.is_empty());
        let expected = Counters { accepted: 4, sent: 4, resent: 0, delivered: 4, dropped: 0, queued: 0 };
        assert_eq!(outbox.counters(), expected);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn repeated_unknown_and_disordered_acks() {
        let mut outbox = outbox(10, 3);
        push(&mut outbox, &["a", "b", "c", "d"]);
        send(&mut outbox, 1);
        outbox.acked(3);
        outbox.acked(3);
        outbox.acked(99);
        assert!(outbox.next().is_none(), "a and b still wait, and c with them");
        outbox.acked(1);
        outbox.acked(1);
        assert!(outbox.next().is_none(), "not half of the flight has landed");
        outbox.acked(2);
        assert_eq!(names(&send(&mut outbox, 4)), ["d"]);
        assert_eq!(outbox.counters().delivered, 3);
    }

    #[test]
    fn what_was_not_acknowledged_goes_again_first_and_in_order() {
        let mut outbox = outbox(10, 3);
        push(&mut outbox, &["a", "b", "c", "d"]);
        send(&mut outbox, 1);
        outbox.acked(2);
        outbox.connection_lost();
        let again = send(&mut outbox, 1);
        assert_eq!(again, [("a".into(), true), ("c".into(), true), ("d".into(), false)]);
        assert_eq!(outbox.counters().resent, 2);
        // The ids of the lost connection mean nothing now.
        outbox.acked(1);
        outbox.acked(2);
        outbox.acked(3);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_qos_0_state_stays_until_its_last_byte_is_taken() {
        let mut outbox = outbox(10, 1);
        push(&mut outbox, &["a", "b", "c"]);
        for end in [10, 20, 30] {
            assert!(outbox.next().is_some(), "the in-flight limit is for acknowledgements");
            outbox.sent(Awaits::Written(end));
        }
        outbox.written(9);
        assert_eq!(outbox.counters().delivered, 0);
        outbox.written(20);
        assert_eq!(outbox.counters().delivered, 2);
        outbox.connection_lost();
        assert_eq!(names(&send(&mut outbox, 1)), ["c"]);
    }

    #[test]
    fn when_full_the_oldest_that_is_not_in_flight_goes() {
        let mut outbox = outbox(3, 2);
        push(&mut outbox, &["a", "b", "c"]);
        send(&mut outbox, 1);
        assert_eq!(outbox.push("d", STAMP), 1);
        outbox.acked(1);
        outbox.acked(2);
        assert_eq!(names(&send(&mut outbox, 3)), ["d"]);
        assert_eq!(outbox.counters().dropped, 1);
    }

    #[test]
    fn an_outbox_smaller_than_the_flight_still_takes_the_newest() {
        let mut outbox = outbox(1, 5);
        push(&mut outbox, &["a"]);
        send(&mut outbox, 1);
        push(&mut outbox, &["b"]);
        assert_eq!(names(&send(&mut outbox, 2)), ["b"]);
        outbox.acked(1);
        assert_eq!(outbox.counters().queued, 1);
        outbox.acked(2);
        assert!(outbox.is_empty());
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut outbox = Outbox::new(Limits { messages: 1000, bytes: 1000, in_flight: 1 });
        let big = "x".repeat(300);
        for _ in 0..10 {
            outbox.push(&big, STAMP);
            assert!(outbox.bytes <= 1000);
        }
        assert_eq!(outbox.counters().queued, 2);
        // One that is over the bound alone is still kept: accepted means kept.
        outbox.push(&"x".repeat(2000), STAMP);
        assert_eq!(outbox.counters().queued, 1);
    }
}
