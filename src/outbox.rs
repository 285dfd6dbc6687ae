//! Accepted states until they are delivered: order, limits, pace, redelivery. No I/O and no clock.
//!
//! Each topic has a lane of states that wait, in the order of acceptance. A message takes one or more of them out and is
//! under way until it is acknowledged; when the connection goes, the states of the messages under way return to the front
//! of their lanes. So order and completeness across connections need no further rule, and states are grouped anew.

mod culprits;
mod flight;
mod lane;
mod limits;
mod outcome;
mod suspicion;
mod warned;

pub(crate) use flight::Awaits;
pub(crate) use limits::Limits;
pub use limits::WhenFull;
pub(crate) use outcome::{Outcome, Verdict};
pub(crate) use suspicion::{Blame, Loss};

use crate::{
    pacer::Permit,
    payload::{Breach, FRAME, MAX_PAYLOAD},
    stats::{Stats, milliseconds},
    status::{Error, Status::*},
    sync::Mutex,
    throttle::Throttle,
    time::{Now, Stamp},
};
use flight::{Flight, Unit};
use lane::{Lane, Newest};
use outcome::Outcomes;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use suspicion::{DOUBTFUL, Pause};
use warned::Warned;

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
    /// Dropped because the connection ended whenever they were sent.
    pub dropped_undeliverable: u64,
    /// Dropped because the platform ignores states of their time.
    pub dropped_out_of_time: u64,
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
    /// What the platform's schema does not allow in it.
    pub breach: Option<&'a Breach<'a>>,
}

/// A state that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub id: u64,
    /// How many older ones had to go.
    pub dropped: usize,
    /// Whether to warn of what the schema does not allow in it: once for each attribute.
    pub warn: bool,
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
    /// With how many connections it was lost that ended because of what was under way.
    losses: u8,
    /// How long it is kept back, if that is why.
    parked: Option<Box<Pause>>,
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

/// The next message: so many states of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    lane: usize,
    from: From,
    states: usize,
    /// Whether nothing else may be under way with it.
    alone: bool,
}

/// Where the states of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// First of those that wait.
    Front,
    /// At this place of those that are kept back.
    Parked(usize),
}

/// The length of the platform's throttle window.
pub(crate) const WINDOW: Duration = Duration::from_secs(15);

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
    /// The places of the others by whose they are: for states that do not conform, and for those that do.
    places: [BTreeMap<Arc<str>, usize>; 2],
    /// The places of those that nobody has.
    unused: Vec<usize>,
    /// Those in which states wait, by the id of the oldest; and by their places.
    oldest: BTreeSet<(u64, usize)>,
    /// By whether they conform, as in `places`.
    waiting: [BTreeSet<usize>; 2],
    /// Until when all of those must wait, unless something happens before.
    blocked_until: Option<Instant>,
    /// Those with a state that may end the connection.
    suspects: BTreeSet<usize>,
    /// Since when one of those has waited for its turn with nothing else under way.
    suspect_due: Option<Instant>,
    /// How many messages have been delivered.
    deliveries: u64,
    /// How many states have been kept back since.
    parked_in_a_row: u32,
    /// How many losses were put down to culprits since.
    excused: u32,
    /// The newest times that the library gave to states of lanes that have gone.
    newest: Newest,
    warned: Warned,
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
            lanes: vec![Lane::new(device_id, true)],
            places: Default::default(),
            unused: Vec::new(),
            oldest: BTreeSet::new(),
            waiting: Default::default(),
            blocked_until: None,
            suspects: BTreeSet::new(),
            suspect_due: None,
            deliveries: 0,
            parked_in_a_row: 0,
            excused: 0,
            newest: Newest::default(),
            warned: Warned::default(),
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

    /// Takes a state.
    pub fn push(&mut self, state: NewState<'_>, now: Instant) -> Result<Taken, Error> {
        let NewState { peripheral, json, extra, stamp, breach } = state;
        let conforms = breach.is_none();
        if let Some(breach) = breach.filter(|_| self.limits.strict) {
            self.count_invalid();
            return Err(Error::new(LOSANT_ERR_INVALID_STATE, breach.to_string()));
        }
        if self.closing {
            self.counters.refused_closing += 1;
            let why = "the device is being drained and closed: no states until it is connected again";
            return Err(Error::new(LOSANT_ERR_CLOSING, why));
        }
        let cost = cost(json, extra);
        let whole_cost = cost + self.lane_cost(peripheral, conforms);
        if whole_cost > self.limits.bytes {
            self.count_invalid();
            let why = format!("state counts {whole_cost} bytes; the whole outbox holds {}", self.limits.bytes);
            return Err(Error::new(LOSANT_ERR_TOO_LARGE, why));
        }
        let mut dropped = 0;
        // Asked anew each time: the lane may go with the last state in it.
        while !self.has_room(1, cost + self.lane_cost(peripheral, conforms)) {
            let may_drop = self.limits.when_full == WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST;
            if !(self.drop_hopeless() || may_drop && self.drop_oldest()) {
                self.counters.refused_full += 1;
                let why = format!("the outbox is full: {} states, {} bytes", self.counters.queued, self.bytes);
                return Err(Error::new(LOSANT_ERR_OUTBOX_FULL, why));
            }
            dropped += 1;
        }
        let lane = self.lane_of(peripheral, conforms);
        self.last_id += 1;
        let entry = Entry {
            id: self.last_id,
            json: json.into(),
            extra: extra.map(Into::into),
            stamp: stamp.after(&mut self.lanes[lane].newest.boot_us),
            accepted: now,
            resend: false,
            losses: 0,
            parked: None,
        };
        self.change(lane, |lane| lane.waiting.push_back(entry));
        self.bytes += cost;
        self.counters.accepted += 1;
        self.counters.queued += 1;
        let warn = breach.is_some_and(|breach| self.warned.is_new(&breach.attribute));
        Ok(Taken { id: self.last_id, dropped, warn })
    }

    fn has_room(&self, states: usize, bytes: usize) -> bool {
        self.counters.queued as usize + states <= self.limits.states && self.bytes + bytes <= self.limits.bytes
    }

    /// The lane of a device's or peripheral's states, if there is one.
    fn find_lane(&self, peripheral: Option<&str>, conforms: bool) -> Option<usize> {
        let own = &self.lanes[0].id;
        match peripheral {
            None if conforms => Some(0),
            Some(id) if *id == **own && conforms => Some(0),
            id => self.places[usize::from(conforms)].get(id.unwrap_or(own)).copied(),
        }
    }

    /// What the lane counts against the bound in bytes, if there is none yet: its id twice, and itself.
    fn lane_cost(&self, peripheral: Option<&str>, conforms: bool) -> usize {
        match self.find_lane(peripheral, conforms) {
            Some(_) => 0,
            None => Lane::cost(peripheral.unwrap_or(&self.lanes[0].id)),
        }
    }

    /// The lane; a new one takes the place of one that is no longer used.
    fn lane_of(&mut self, peripheral: Option<&str>, conforms: bool) -> usize {
        if let Some(place) = self.find_lane(peripheral, conforms) {
            return place;
        }
        let mut lane = Lane::new(peripheral.unwrap_or(&self.lanes[0].id), conforms);
        lane.newest = self.newest;
        self.bytes += Lane::cost(&lane.id);
        let place = match self.unused.pop() {
            Some(place) => place,
            None => {
                self.lanes.push(Lane::new("", true));
                self.lanes.len() - 1
            }
        };
        self.places[usize::from(conforms)].insert(lane.id.clone(), place);
        self.lanes[place] = lane;
        place
    }

    /// Changes what waits in a lane, and keeps the orders of lanes true. A lane that nothing is left in is given up.
    fn change<T>(&mut self, place: usize, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = &mut self.lanes[place];
        let outcome = change(lane);
        let age = lane.oldest().map(|entry| entry.id);
        if lane.has_suspects() {
            self.suspects.insert(place);
        } else if !self.suspects.is_empty() {
            self.suspects.remove(&place);
        }
        // A lane that has grown younger keeps its place in the order until somebody asks for the oldest.
        if age.is_some() != lane.ordered_by.is_some() || age < lane.ordered_by {
            lane.ordered_by.map(|id| self.oldest.remove(&(id, place)));
            age.map(|id| self.oldest.insert((id, place)));
            let waiting = &mut self.waiting[usize::from(lane.conforms)];
            match age {
                Some(_) => waiting.insert(place),
                None => waiting.remove(&place),
            };
            lane.ordered_by = age;
        }
        self.blocked_until = None;
        if place > 0 && lane.is_unused() {
            self.places[usize::from(lane.conforms)].remove(&lane.id);
            self.bytes -= Lane::cost(&lane.id);
            self.newest.boot_us = self.newest.boot_us.max(lane.newest.boot_us);
            self.newest.wall_ms = self.newest.wall_ms.max(lane.newest.wall_ms);
            *lane = Lane::new("", true);
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
            let age = self.lanes[place].oldest()?.id;
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
            Some(place) => self.change(place, Lane::pop_oldest),
            None => self.flight.drop_oldest(),
        };
        if let Some(entry) = &oldest {
            self.leave(entry, Verdict::Dropped);
        }
        oldest.is_some()
    }

    fn leave(&mut self, entry: &Entry, verdict: Verdict) {
        self.bytes -= entry.cost();
        self.counters.queued -= 1;
        match verdict {
            Verdict::Delivered => self.counters.delivered += 1,
            Verdict::Dropped => self.counters.dropped += 1,
            Verdict::Undeliverable => self.counters.dropped_undeliverable += 1,
            Verdict::OutOfTime => self.counters.dropped_out_of_time += 1,
        }
        self.outcomes.add(entry.id, verdict);
    }

    /// The message that may go out now. Else when to ask again, unless something else happens before: a new state, an
    /// acknowledgement.
    ///
    /// As long as all that waits for a topic may go at once, each state goes alone. What would have to wait is merged,
    /// the oldest first. So no state overtakes another on its topic, and yet a fresh one waits for no more than the
    /// backlog in front of it at up to 256 KB a message. States that do not conform to the platform's schema always go
    /// alone, behind those that do; what may end the connection goes last, with nothing else under way.
    pub fn next(&mut self, now: Instant) -> Result<Load, Option<Instant>> {
        if !self.flight.may_send() || self.oldest.is_empty() || self.flight.has_lone() {
            return Err(None);
        }
        let merging = self.limits.merge > 0;
        let throttle = self.throttle.clone();
        let mut throttle = throttle.lock();
        let connection = match throttle.connection_permit(now, merging) {
            Permit::Now(alone) => alone,
            Permit::At(when) => return Err(Some(when)),
            Permit::Later => return Err(None),
        };
        if let Some(when) = self.blocked_until.filter(|when| *when > now) {
            return Err(Some(when));
        }
        let mut soonest = Soonest(None);
        // Under a lasting load there is always something under way: then the suspect's turn is made.
        let suspects_turn = self.suspect_due.is_some_and(|due| due + self.window() / 15 <= now);
        if !suspects_turn {
            for which in [Which::Overdue, Which::Conforming, Which::Others] {
                let found = self.usual(which, connection, &mut throttle, now, &mut soonest);
                if found.is_none() {
                    continue;
                }
                if self.suspect_due.is_none() && self.suspect(&mut throttle, now, &mut Soonest(None)).is_some() {
                    self.suspect_due = Some(now);
                }
                return found.ok_or(None);
            }
        }
        let suspect = self.suspect(&mut throttle, now, &mut soonest);
        if suspect.is_some() && self.flight.is_empty() {
            return suspect.ok_or(None);
        }
        if suspect.is_some() {
            self.suspect_due.get_or_insert(now);
        } else if suspects_turn {
            // It has been dropped meanwhile.
            self.suspect_due = None;
            soonest.at(now + Duration::from_millis(1));
        }
        // With something under way, its arrival may change it.
        self.blocked_until = soonest.0.filter(|_| self.flight.is_empty());
        Err(soonest.0)
    }

    /// The next message of the lanes that are beyond suspicion.
    fn usual(
        &self,
        which: Which,
        connection: usize,
        throttle: &mut Throttle,
        now: Instant,
        soonest: &mut Soonest,
    ) -> Option<Load> {
        let merging = self.limits.merge > 0;
        let lanes = &self.waiting[usize::from(which == Which::Conforming)];
        for place in lanes.range(self.served + 1..).chain(lanes.range(..=self.served)).copied() {
            let lane = &self.lanes[place];
            let waits_since = || lane.last_sent.max(lane.waiting.front().map(|front| front.accepted));
            let overdue = || waits_since().is_some_and(|since| since + self.window() / OVERDUE <= now);
            if lane.waiting.is_empty() || lane.front_is_suspect() || which == Which::Overdue && !overdue() {
                continue;
            }
            let permit = match which {
                Which::Others => throttle.leftover_permit(lane.key, now, merging),
                _ => throttle.topic_permit(lane.key, now, merging),
            };
            match permit {
                Permit::Now(alone) => {
                    let alone = if lane.merges_next { 1 } else { alone.min(connection) };
                    let must_merge = merging && lane.conforms && lane.waiting.len() > alone;
                    let states = if must_merge { lane.fitting(self.largest_batch()) } else { 1 };
                    return Some(Load { lane: place, from: From::Front, states, alone: false });
                }
                Permit::At(when) => soonest.at(when),
                Permit::Later => {}
            }
        }
        None
    }

    fn largest_batch(&self) -> usize {
        self.batch.min(self.link_batch).min(self.limits.merge)
    }

    /// The longer of the throttle's windows, or where there is no throttle, the platform's.
    fn window(&self) -> Duration {
        let rates = [self.limits.per_topic, self.limits.per_connection].into_iter();
        rates.filter(|rate| rate.messages > 0).map(|rate| rate.window).max().unwrap_or(WINDOW)
    }

    /// To be called before a message is made: settles the times of its states. `false` if some were dropped because the
    /// platform would ignore them, and [`Self::next`] must be asked again.
    pub fn settle_times(&mut self, load: Load, now: Now) -> bool {
        let lane = &mut self.lanes[load.lane];
        let mut any_ignored = false;
        let newest = &mut lane.newest.wall_ms;
        let settle = |entry: &mut Entry| {
            entry.stamp = entry.stamp.settle(newest, now);
            any_ignored |= entry.stamp.is_ignored(now);
        };
        match load.from {
            From::Front => lane.waiting.range_mut(..load.states).for_each(settle),
            From::Parked(at) => lane.parked.range_mut(at..=at).for_each(settle),
        }
        if any_ignored {
            // Taken out and put back in one go, so that the lane does not go in between.
            let ignored = self.change(load.lane, |lane| {
                let entries = lane.take(load.from, load.states).into_iter();
                let (ignored, kept): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.stamp.is_ignored(now));
                kept.into_iter().rev().for_each(|entry| lane.put_back(entry));
                ignored
            });
            for entry in &ignored {
                self.leave(entry, Verdict::OutOfTime);
            }
        }
        !any_ignored
    }

    /// The topic of a message.
    pub fn topic(&self, load: Load) -> &str {
        &self.lanes[load.lane].topic
    }

    /// The states of a message.
    pub fn states(&self, load: Load) -> impl ExactSizeIterator<Item = &Entry> {
        let lane = &self.lanes[load.lane];
        match load.from {
            From::Front => lane.waiting.range(..load.states),
            From::Parked(at) => lane.parked.range(at..=at),
        }
    }

    /// The message has been handed to the connection.
    pub fn sent(&mut self, load: Load, awaits: Awaits, bytes: usize, now: Instant) {
        if load.alone {
            self.suspect_due = None;
        }
        // Before the lane can go with the last state in it.
        self.lanes[load.lane].under_way += 1;
        let states = self.change(load.lane, |lane| {
            lane.merges_next = false;
            lane.take(load.from, load.states)
        });
        self.lanes[load.lane].last_sent = Some(now);
        let epoch = self.throttle.lock().set_out(self.lanes[load.lane].key, now);
        self.served = load.lane;
        self.counters.messages += 1;
        self.counters.sent += states.len() as u64;
        self.counters.resent += states.iter().filter(|entry| entry.resend).count() as u64;
        let Load { lane, states: count, alone, .. } = load;
        self.flight.push(Unit { lane, states, awaits, bytes, merged: count > 1, alone, serial: 0, epoch });
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
            let arrived = now + self.window() / 15;
            self.delivered(unit, arrived);
        }
    }

    fn delivered(&mut self, unit: Unit, arrived: Instant) {
        self.throttle.lock().arrived(self.lanes[unit.lane].key, unit.epoch, arrived);
        self.deliveries += 1;
        self.excused = 0;
        if std::mem::take(&mut self.parked_in_a_row) >= DOUBTFUL {
            for place in self.suspects.clone() {
                self.change(place, |lane| lane.try_parked(arrived));
            }
        }
        self.change(unit.lane, |lane| {
            lane.under_way -= 1;
            lane.clear_topic(arrived);
        });
        if unit.merged {
            self.batch = self.batch.max(unit.bytes.saturating_mul(2)).min(MAX_PAYLOAD);
        }
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

    pub fn is_empty(&self) -> bool {
        self.counters.queued == 0
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Fills in what the outbox has to say.
    pub fn fill(&mut self, stats: &mut Stats, now: Instant) {
        let waiting = self.oldest_lane().and_then(|place| self.lanes[place].oldest());
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
            dropped_undeliverable: self.counters.dropped_undeliverable,
            dropped_invalid_time: self.counters.dropped_out_of_time,
            parked: self.suspects.iter().map(|place| self.lanes[*place].parked.len() as u64).sum(),
            ..*stats
        };
    }
}

/// Lanes in the order in which they have their turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those of states that do not conform, of which none was sent for a while: under a lasting load they would never be.
    Overdue,
    Conforming,
    /// Those of states that do not conform: with what the others leave of the window.
    Others,
}

/// A while is this part of a window.
const OVERDUE: u32 = 3;

/// When to ask again at the latest.
struct Soonest(Option<Instant>);

impl Soonest {
    fn at(&mut self, when: Instant) {
        self.0 = Some(self.0.map_or(when, |soonest| soonest.min(when)));
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
