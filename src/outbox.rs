//! Accepted states until they are delivered: order, limits, pace, redelivery. No I/O and no clock.
//!
//! Each topic has a lane of states that wait, in the order of acceptance. A message takes one or more of them out and is
//! under way until it is acknowledged; when the connection goes, the states of the messages under way return to the front
//! of their lanes. So order and completeness across connections need no further rule, and states are grouped anew.

mod flight;
mod lane;
mod limits;
mod outcome;

pub(crate) use flight::Awaits;
pub(crate) use limits::Limits;
pub use limits::WhenFull;
pub(crate) use outcome::{Outcome, Verdict};

use crate::{
    pacer::Permit,
    payload::{FRAME, MAX_PAYLOAD},
    stats::{Stats, milliseconds},
    status::{Error, Status::*},
    sync::Mutex,
    throttle::Throttle,
    time::Stamp,
};
use flight::{Flight, Unit};
use lane::Lane;
use outcome::Outcomes;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// How many states took which way, since the device was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Accepted by `send_state` and its like.
    pub accepted: u64,
    /// Written to a connection, resends included.
    pub sent: u64,
    /// Written again because the connection went before the acknowledgement came.
    pub resent: u64,
    /// Acknowledged by the broker (QoS 1), or wholly written (QoS 0).
    pub delivered: u64,
    /// Dropped, the oldest first, because the outbox was full.
    pub dropped: u64,
    /// Not accepted, because the outbox was full and was told to refuse the newest.
    pub refused_full: u64,
    /// Not accepted, because the device was being closed.
    pub refused_closing: u64,
    /// Not accepted for what they are.
    pub refused_invalid: u64,
    /// MQTT messages that states went out in, resends included.
    pub messages: u64,
    /// In the outbox now.
    pub queued: u64,
}

/// A state that is handed in: checked, and stamped with its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewState<'a> {
    /// Whose it is, if not the device's own.
    pub peripheral: Option<&'a str>,
    pub json: &'a str,
    /// What else its message says of it, as [`crate::payload::extra_fields`] makes it.
    pub extra: Option<&'a str>,
    pub stamp: Stamp,
}

/// One accepted state.
#[derive(Debug)]
pub(crate) struct Entry {
    pub id: u64,
    pub json: Box<str>,
    pub extra: Option<Box<str>>,
    pub stamp: Stamp,
    pub accepted: Instant,
    /// Whether an earlier connection carried it already.
    pub resend: bool,
}

/// What a state counts against the bound in bytes: its texts, its place in the queue, and what the allocator keeps of both.
fn cost(json: &str, extra: Option<&str>) -> usize {
    json.len() + extra.map_or(0, |extra| extra.len() + 16) + size_of::<Entry>() + 16
}

impl Entry {
    fn cost(&self) -> usize {
        cost(&self.json, self.extra.as_deref())
    }

    /// The length of its element in an array.
    fn element_len(&self) -> usize {
        self.json.len() + self.extra.as_deref().map_or(0, str::len) + FRAME
    }
}

/// The next message: so many states from the front of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    lane: usize,
    states: usize,
}

/// A connection that breaks under large messages gets smaller ones, down to this, so that a bad link still moves.
const SMALLEST_BATCH: usize = 4 * 1024;
/// And begins with this.
const FIRST_BATCH: usize = 128 * 1024;

/// A queue for so many states is kept when it is empty.
const KEPT_CAPACITY: usize = 64;

#[derive(Debug)]
pub(crate) struct Outbox {
    limits: Limits,
    /// The first is the device's own. Others are made for peripherals when needed, and given to others when unused.
    lanes: Vec<Lane>,
    /// The places of those that peripherals have.
    places: BTreeMap<Arc<str>, usize>,
    /// The places of those that nobody has.
    unused: Vec<usize>,
    /// Those in which states wait, by the id of the oldest; and by their places.
    oldest: BTreeSet<(u64, usize)>,
    waiting: BTreeSet<usize>,
    /// Until when all of those must wait, unless something happens before.
    blocked_until: Option<Instant>,
    /// The lane that the last message was of: the next one may be of the lanes behind it.
    served: usize,
    flight: Flight,
    throttle: Arc<Mutex<Throttle>>,
    /// Whether no connection has been accepted yet.
    is_first_connection: bool,
    outcomes: Outcomes,
    /// The largest batch that the link is trusted with.
    batch: usize,
    /// The largest that it carries in good time, if that is known.
    link_batch: usize,
    bytes: usize,
    /// Whether states are refused, as the device is being closed.
    closing: bool,
    last_id: u64,
    counters: Counters,
}

impl Outbox {
    pub fn new(device_id: &str, limits: Limits) -> Self {
        Outbox {
            lanes: vec![Lane::new(device_id)],
            places: BTreeMap::new(),
            unused: Vec::new(),
            oldest: BTreeSet::new(),
            waiting: BTreeSet::new(),
            blocked_until: None,
            served: 0,
            flight: Flight::new(limits.in_flight),
            throttle: Arc::new(Mutex::new(Throttle::new(limits.per_topic, limits.per_connection))),
            is_first_connection: true,
            outcomes: Outcomes::default(),
            batch: FIRST_BATCH,
            link_batch: MAX_PAYLOAD,
            bytes: 0,
            closing: false,
            last_id: 0,
            counters: Counters::default(),
            limits,
        }
    }

    /// Changes the limits; what is over them goes, the oldest first.
    pub fn set_limits(&mut self, limits: Limits) {
        self.flight.set_limit(limits.in_flight);
        self.throttle.lock().set_rates(limits.per_topic, limits.per_connection);
        self.limits = limits;
        self.blocked_until = None;
        while !self.has_room(0, 0) && self.drop_oldest() {}
    }

    /// The throttle of the broker that the device is going to be connected to.
    pub fn set_throttle(&mut self, throttle: Arc<Mutex<Throttle>>) {
        self.throttle = throttle;
        self.blocked_until = None;
    }

    /// How large a message of several states may be for the link, if that is known.
    pub fn set_link_batch(&mut self, bytes: Option<usize>) {
        self.link_batch = bytes.unwrap_or(MAX_PAYLOAD);
    }

    /// Whether states are refused from now on.
    pub fn set_closing(&mut self, closing: bool) {
        self.closing = closing;
    }

    /// Whether verdicts are to be kept for [`Self::take_outcomes`].
    pub fn want_outcomes(&mut self) {
        self.outcomes.wanted = true;
    }

    /// The verdicts since the last time; to be followed by [`Self::outcomes_told`].
    pub fn take_outcomes(&mut self) -> VecDeque<Outcome> {
        self.outcomes.take()
    }

    /// The observers have heard of all verdicts that were taken.
    pub fn outcomes_told(&mut self) {
        self.outcomes.telling = false;
    }

    /// Whether observers have still to hear of a verdict.
    pub fn has_untold_outcomes(&self) -> bool {
        self.outcomes.are_untold()
    }

    /// Counts a state that was not handed in for what it is.
    pub fn count_invalid(&mut self) {
        self.counters.refused_invalid += 1;
    }

    /// Takes a state: its id, and how many older ones had to go.
    pub fn push(&mut self, state: NewState<'_>, now: Instant) -> Result<(u64, usize), Error> {
        let NewState { peripheral, json, extra, stamp } = state;
        if self.closing {
            self.counters.refused_closing += 1;
            let why = "the device is being drained and closed: no states until it is connected again";
            return Err(Error::new(LOSANT_ERR_CLOSING, why));
        }
        let cost = cost(json, extra);
        let whole_cost = cost + self.lane_cost(peripheral);
        if whole_cost > self.limits.bytes {
            self.count_invalid();
            let why = format!("state counts {whole_cost} bytes; the whole outbox holds {}", self.limits.bytes);
            return Err(Error::new(LOSANT_ERR_TOO_LARGE, why));
        }
        let mut dropped = 0;
        // Asked anew each time: the lane may go with the last state in it.
        while !self.has_room(1, cost + self.lane_cost(peripheral)) {
            let may_drop = self.limits.when_full == WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST;
            if !may_drop || !self.drop_oldest() {
                self.counters.refused_full += 1;
                let why = format!("the outbox is full: {} states, {} bytes", self.counters.queued, self.bytes);
                return Err(Error::new(LOSANT_ERR_OUTBOX_FULL, why));
            }
            dropped += 1;
        }
        let lane = peripheral.map_or(0, |id| self.lane_of(id));
        self.last_id += 1;
        let entry = Entry {
            id: self.last_id,
            json: json.into(),
            extra: extra.map(Into::into),
            stamp,
            accepted: now,
            resend: false,
        };
        self.change(lane, |lane| lane.waiting.push_back(entry));
        self.bytes += cost;
        self.counters.accepted += 1;
        self.counters.queued += 1;
        Ok((self.last_id, dropped))
    }

    fn has_room(&self, states: usize, bytes: usize) -> bool {
        self.counters.queued as usize + states <= self.limits.states && self.bytes + bytes <= self.limits.bytes
    }

    /// What the lane of a peripheral counts against the bound in bytes, if it has none yet: its id twice, and itself.
    fn lane_cost(&self, peripheral: Option<&str>) -> usize {
        match peripheral {
            Some(id) if *id != *self.lanes[0].id && !self.places.contains_key(id) => Lane::cost(id),
            _ => 0,
        }
    }

    /// The lane of a peripheral; a new one takes the place of one that is no longer used.
    fn lane_of(&mut self, id: &str) -> usize {
        if *id == *self.lanes[0].id {
            return 0;
        }
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let lane = Lane::new(id);
        self.bytes += Lane::cost(id);
        let place = match self.unused.pop() {
            Some(place) => place,
            None => {
                self.lanes.push(Lane::new(""));
                self.lanes.len() - 1
            }
        };
        self.places.insert(lane.id.clone(), place);
        self.lanes[place] = lane;
        place
    }

    /// Changes what waits in a lane, and keeps the orders of lanes true. A lane that nothing is left in is given up.
    fn change<T>(&mut self, place: usize, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = &mut self.lanes[place];
        let outcome = change(lane);
        let age = lane.waiting.front().map(|entry| entry.id);
        // A lane that has grown younger keeps its place in the order until somebody asks for the oldest.
        if age.is_some() != lane.ordered_by.is_some() || age < lane.ordered_by {
            lane.ordered_by.map(|id| self.oldest.remove(&(id, place)));
            age.map(|id| self.oldest.insert((id, place)));
            match age {
                Some(_) => self.waiting.insert(place),
                None => self.waiting.remove(&place),
            };
            lane.ordered_by = age;
        }
        self.blocked_until = None;
        if place > 0 && lane.is_unused() {
            self.places.remove(&lane.id);
            self.bytes -= Lane::cost(&lane.id);
            *lane = Lane::new("");
            self.unused.push(place);
        } else if lane.waiting.is_empty() && lane.waiting.capacity() > KEPT_CAPACITY {
            // Memory of a backlog is given back.
            lane.waiting = VecDeque::new();
        }
        outcome
    }

    /// The lane in which the oldest state waits.
    fn oldest_lane(&mut self) -> Option<usize> {
        loop {
            let (ordered_by, place) = self.oldest.first().copied()?;
            let age = self.lanes[place].waiting.front()?.id;
            if age == ordered_by {
                return Some(place);
            }
            self.oldest.remove(&(ordered_by, place));
            self.oldest.insert((age, place));
            self.lanes[place].ordered_by = Some(age);
        }
    }

    /// Drops the oldest state that waits. Only where none does, one that is under way: it has most likely arrived. Whether
    /// there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = match self.oldest_lane() {
            Some(place) => self.change(place, |lane| lane.waiting.pop_front()),
            None => self.flight.drop_oldest(),
        };
        if let Some(entry) = &oldest {
            self.counters.dropped += 1;
            self.leave(entry, Verdict::Dropped);
        }
        oldest.is_some()
    }

    fn leave(&mut self, entry: &Entry, verdict: Verdict) {
        self.bytes -= entry.cost();
        self.counters.queued -= 1;
        self.outcomes.add(entry.id, verdict);
    }

    /// The message that may go out now. Else when to ask again, unless something else happens before: a new state, an
    /// acknowledgement.
    ///
    /// As long as all that waits for a topic may go at once, each state goes alone. What would have to wait is merged,
    /// the oldest first. So no state overtakes another on its topic, and yet a fresh one waits for no more than the
    /// backlog in front of it at up to 256 KB a message.
    pub fn next(&mut self, now: Instant) -> Result<Load, Option<Instant>> {
        if !self.flight.may_send() || self.waiting.is_empty() {
            return Err(None);
        }
        let merging = self.limits.merge > 0;
        let mut throttle = self.throttle.lock();
        let connection = match throttle.connection_permit(now, merging) {
            Permit::Now(alone) => alone,
            Permit::At(when) => return Err(Some(when)),
            Permit::Later => return Err(None),
        };
        if let Some(when) = self.blocked_until.filter(|when| *when > now) {
            return Err(Some(when));
        }
        let mut soonest: Option<Instant> = None;
        // Suspects go last, and with nothing else under way: where one of them ends the connection, that is all it does.
        for suspects in [false, true] {
            if suspects && !self.flight.is_empty() {
                break;
            }
            let behind = self.waiting.range(self.served + 1..);
            for place in behind.chain(self.waiting.range(..=self.served)).copied() {
                let lane = &self.lanes[place];
                if lane.is_suspect() != suspects {
                    continue;
                }
                match throttle.topic_permit(lane.key, now, merging) {
                    Permit::Now(alone) => {
                        let alone = if lane.merges_next { 1 } else { alone.min(connection) };
                        let must_merge = merging && lane.waiting.len() > alone;
                        let states = if must_merge {
                            lane.fitting(self.batch.min(self.link_batch).min(self.limits.merge))
                        } else {
                            1
                        };
                        return Ok(Load { lane: place, states });
                    }
                    Permit::At(when) => soonest = Some(soonest.map_or(when, |soonest| soonest.min(when))),
                    Permit::Later => {}
                }
            }
        }
        drop(throttle);
        // With something under way, its arrival may change it.
        self.blocked_until = soonest.filter(|_| self.flight.is_empty());
        Err(soonest)
    }

    /// A peripheral for whose states the broker seems to close the connection.
    pub fn suspect(&self) -> Option<&str> {
        self.lanes.iter().find(|lane| lane.is_suspect()).map(|lane| &*lane.id)
    }

    /// The topic of a message.
    pub fn topic(&self, load: Load) -> &str {
        &self.lanes[load.lane].topic
    }

    /// The states of a message.
    pub fn states(&self, load: Load) -> impl ExactSizeIterator<Item = &Entry> {
        self.lanes[load.lane].waiting.range(..load.states)
    }

    /// The message has been handed to the connection.
    pub fn sent(&mut self, load: Load, awaits: Awaits, bytes: usize, now: Instant) {
        let states: Vec<Entry> = self.change(load.lane, |lane| {
            lane.merges_next = false;
            lane.under_way += 1;
            lane.waiting.drain(..load.states).collect()
        });
        let epoch = self.throttle.lock().set_out(self.lanes[load.lane].key, now);
        self.served = load.lane;
        self.counters.messages += 1;
        self.counters.sent += states.len() as u64;
        self.counters.resent += states.iter().filter(|entry| entry.resend).count() as u64;
        self.flight.push(load.lane, states, awaits, bytes, load.states > 1, epoch);
    }

    /// A PUBACK came. Unknown and repeated ones change nothing.
    pub fn acked(&mut self, packet_id: u16, now: Instant) {
        if let Some(unit) = self.flight.acked(packet_id, now) {
            self.delivered(unit, now);
        }
    }

    /// The connection has taken this many bytes in all since it began.
    pub fn written(&mut self, total: u64, now: Instant) {
        while let Some(unit) = self.flight.written(total, now) {
            // Nothing tells when it arrives. A second, of the platform's 15, is allowed for the way.
            let arrived = now + self.limits.per_topic.window.max(self.limits.per_connection.window) / 15;
            self.delivered(unit, arrived);
        }
    }

    fn delivered(&mut self, unit: Unit, arrived: Instant) {
        self.throttle.lock().arrived(self.lanes[unit.lane].key, unit.epoch, arrived);
        self.change(unit.lane, |lane| {
            lane.under_way -= 1;
            lane.losses = 0;
        });
        if unit.merged {
            self.batch = self.batch.max(unit.bytes.saturating_mul(2)).min(MAX_PAYLOAD);
        }
        self.counters.delivered += unit.states.len() as u64;
        for entry in &unit.states {
            self.leave(entry, Verdict::Delivered);
        }
    }

    /// A PINGREQ goes out behind all that was sent.
    pub fn pinged(&mut self) {
        self.flight.pinged();
    }

    /// The broker has answered the PINGREQ.
    pub fn ping_answered(&mut self, now: Instant) {
        self.flight.ping_answered(now);
    }

    /// When the connection must be given up: so long after the broker has shown that a message reached it, and never
    /// acknowledged it.
    pub fn patience_ends(&self, patience: Duration) -> Option<Instant> {
        self.flight.patience_ends(patience)
    }

    /// A new connection has been accepted. The broker has ended the one before (MQTT 3.1.4), so nothing of it can arrive
    /// any more.
    pub fn connected(&mut self, now: Instant) {
        self.throttle.lock().all_arrived(now);
        self.blocked_until = None;
        let is_limited = self.limits.per_topic.messages > 0;
        if std::mem::take(&mut self.is_first_connection) && is_limited {
            // A program that is started again and again has no memory of what it has sent: what waits goes in as few
            // messages as can be.
            self.lanes.iter_mut().for_each(|lane| lane.merges_next = lane.waiting.len() > 1);
        }
    }

    /// The connection is gone: what was under way goes out again, first and in order.
    pub fn connection_lost(&mut self) {
        let units = self.flight.end();
        // The device's own topic is beyond suspicion.
        if let Some(oldest) = units.front().filter(|unit| unit.lane > 0) {
            self.lanes[oldest.lane].losses += 1;
        }
        if let Some(largest) = units.iter().filter(|unit| unit.merged).map(|unit| unit.bytes).max() {
            self.batch = (largest / 2).max(SMALLEST_BATCH);
        }
        for unit in units.into_iter().rev() {
            self.change(unit.lane, |lane| {
                lane.under_way -= 1;
                for mut entry in unit.states.into_iter().rev() {
                    entry.resend = true;
                    lane.waiting.push_front(entry);
                }
            });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.counters.queued == 0
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Fills in what the outbox has to say.
    pub fn fill(&mut self, stats: &mut Stats, now: Instant) {
        let waiting = self.oldest_lane().and_then(|place| self.lanes[place].waiting.front());
        let oldest = waiting.into_iter().chain(self.flight.oldest()).map(|entry| entry.accepted).min();
        let Counters { accepted, sent, resent, delivered, dropped, queued, messages, .. } = self.counters;
        *stats = Stats {
            accepted,
            sent,
            resent,
            delivered,
            dropped_outbox_full: dropped,
            refused_outbox_full: self.counters.refused_full,
            refused_closing: self.counters.refused_closing,
            refused_invalid: self.counters.refused_invalid,
            queued,
            queued_bytes: self.bytes as u64,
            oldest_age_ms: oldest.map_or(0, |oldest| milliseconds(now.saturating_duration_since(oldest))),
            messages_sent: messages,
            ..*stats
        };
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
