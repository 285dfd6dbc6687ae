//! What holds for the outbox whatever happens, on a clock of the test's own.

use super::{
    tests::{breach, limits, state_of},
    *,
};
use crate::pacer::Rate;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a state is to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    /// Outside the schema.
    Bad,
    /// The connection ends when it comes.
    Poison,
}

/// What may happen to an outbox.
#[derive(Clone, Debug)]
enum Step {
    /// States come in, of these lengths, for the device (0) or a peripheral.
    Push { lane: usize, states: Vec<(usize, Kind)> },
    /// Time goes by.
    Wait { ms: u64 },
    /// The connection sends what it may.
    Send,
    /// Some PUBACKs come: those of these messages under way, counted from the oldest; some of them twice.
    Ack { which: Vec<usize> },
    /// A PUBACK comes that nobody waits for.
    Stray { id: u16 },
    /// The connection goes, and another one stands some time later.
    Reconnect { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    step_with(Just(Kind::Good).boxed())
}

fn step_with(kind: BoxedStrategy<Kind>) -> impl Strategy<Value = Step> {
    let states = prop::collection::vec((2usize..3_000, kind), 1..40);
    prop_oneof![
        4 => (0usize..3, states).prop_map(|(lane, states)| Step::Push { lane, states }),
        3 => (0u64..8_000).prop_map(|ms| Step::Wait { ms }),
        4 => Just(Step::Send),
        3 => prop::collection::vec(0usize..20, 1..12).prop_map(|which| Step::Ack { which }),
        1 => any::<u16>().prop_map(|id| Step::Stray { id }),
        1 => (0u64..20_000).prop_map(|ms| Step::Reconnect { ms }),
    ]
}

const NAMES: [&str; 3] = ["own", "first", "second"];

/// The world around one outbox: a clock, and the platform that counts what arrives.
struct World {
    outbox: Outbox,
    limits: Limits,
    now: Instant,
    /// Messages under way: packet id, topic, ids of its states.
    under_way: Vec<(u16, String, Vec<u64>)>,
    next_packet_id: u16,
    /// When which topic got a message, counted at the latest moment at which it can have arrived.
    arrivals: Vec<(Instant, String)>,
    /// The states that arrived, by topic, in order.
    arrived: BTreeMap<String, Vec<u64>>,
    accepted: BTreeSet<u64>,
    kinds: BTreeMap<u64, Kind>,
    /// How often the connection was closed for a state.
    closed: usize,
    ended: BTreeMap<u64, Verdict>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let mut outbox = Outbox::new(NAMES[0], limits);
        outbox.want_outcomes();
        World {
            outbox,
            limits,
            now: Instant::now(),
            under_way: Vec::new(),
            next_packet_id: 2,
            arrivals: Vec::new(),
            arrived: BTreeMap::new(),
            accepted: BTreeSet::new(),
            kinds: BTreeMap::new(),
            closed: 0,
            ended: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Push { lane, states } => {
                for (length, kind) in states {
                    let json = "x".repeat(*length);
                    let peripheral = (*lane > 0).then(|| NAMES[*lane]);
                    let breach = (*kind == Kind::Bad).then(breach);
                    let state = NewState { breach, ..state_of(peripheral, &json) };
                    if let Ok(Taken { id, .. }) = self.outbox.push(state, self.now) {
                        self.kinds.insert(id, *kind);
                        assert!(self.accepted.insert(id), "an id given twice");
                    }
                }
            }
            Step::Wait { ms } => self.now += Duration::from_millis(*ms),
            Step::Send => self.send(),
            Step::Ack { which } => {
                // Places are of those under way now, whatever is acknowledged first.
                let ids: Vec<u16> = self.under_way.iter().map(|(id, _, _)| *id).collect();
                for place in which {
                    if let Some(id) = ids.get(*place) {
                        self.ack(*id);
                    }
                }
            }
            Step::Stray { id } => {
                if self.under_way.iter().all(|(known, _, _)| known != id) {
                    self.outbox.acked(*id, self.now);
                }
            }
            Step::Reconnect { ms } => {
                self.outbox.connection_lost(Blame::Nobody, self.now);
                self.now += Duration::from_millis(*ms);
                // The platform may have read all that was under way, until the very moment of the new connection.
                for (_, topic, ids) in std::mem::take(&mut self.under_way) {
                    self.arrive(topic, ids);
                }
                self.outbox.connected(self.now);
            }
        }
        self.hear();
        self.check();
    }

    /// The same with a broker that acknowledges in the order of arrival.
    fn take_in_order(&mut self, step: &Step) {
        match step {
            Step::Ack { which } => self.take(&Step::Ack { which: vec![0; which.len()] }),
            step => self.take(step),
        }
    }

    fn send(&mut self) {
        while let Ok(load) = self.outbox.next(self.now) {
            let ids: Vec<u64> = self.outbox.states(load).map(|entry| entry.id).collect();
            let bytes: usize = self.outbox.states(load).map(|entry| entry.json.len() + 39).sum();
            assert!(ids.len() == 1 || bytes < self.limits.merge, "{bytes} merged");
            assert!(ids.is_sorted());
            assert!(ids.len() == 1 || ids.iter().all(|id| self.kinds[id] != Kind::Bad), "a bad one among others");
            let is_poisoned = ids.iter().any(|id| self.kinds[id] == Kind::Poison);
            let topic = self.outbox.topic(load).to_owned();
            self.outbox.sent(load, Awaits::Ack(self.next_packet_id), bytes, self.now);
            if is_poisoned {
                // The broker has read what came before.
                for (_, topic, ids) in std::mem::take(&mut self.under_way) {
                    self.arrive(topic, ids);
                }
                self.closed += 1;
                self.outbox.connection_lost(Blame::Anybody, self.now);
                self.now += Duration::from_millis(200);
                self.outbox.connected(self.now);
                continue;
            }
            self.under_way.push((self.next_packet_id, topic, ids));
            self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(2);
        }
    }

    fn ack(&mut self, id: u16) {
        if let Some(place) = self.under_way.iter().position(|(known, _, _)| *known == id) {
            let (_, topic, ids) = self.under_way.remove(place);
            self.arrive(topic, ids);
        }
        self.outbox.acked(id, self.now);
    }

    fn arrive(&mut self, topic: String, ids: Vec<u64>) {
        self.arrived.entry(topic.clone()).or_default().extend(ids);
        self.arrivals.push((self.now, topic));
    }

    /// Takes the verdicts: one for each state.
    fn hear(&mut self) {
        for outcome in self.outbox.take_outcomes() {
            for id in outcome.first..=outcome.last {
                assert!(self.accepted.contains(&id), "a verdict about a state that was not accepted");
                assert_eq!(self.ended.insert(id, outcome.verdict), None, "two verdicts about one state");
            }
        }
    }

    fn check(&self) {
        let counters = self.outbox.counters();
        assert!(self.outbox.bytes <= self.limits.bytes && counters.queued <= self.limits.states as u64);
        assert_eq!(counters.accepted, self.accepted.len() as u64);
        let ended = counters.delivered + counters.dropped + counters.dropped_undeliverable;
        assert_eq!(counters.accepted, ended + counters.queued);
        assert_eq!(ended, self.ended.len() as u64);
        let waiting = self.under_way.len();
        assert!(waiting <= self.limits.in_flight, "{waiting} in flight");
    }

    /// Brings everything to its end: whatever waits is delivered in finite time.
    fn finish(&mut self) {
        for _ in 0..100_000 {
            self.send();
            for (id, _, _) in self.under_way.clone() {
                self.ack(id);
            }
            self.hear();
            if self.outbox.is_empty() || self.only_poison_is_left() {
                break;
            }
            if let Err(when) = self.outbox.next(self.now) {
                let when = when.expect("nothing is under way, so only time can help");
                assert!(when > self.now, "asked to come again at once");
                self.now = when;
            }
        }
        self.check();
        if !self.only_poison_is_left() {
            assert!(self.outbox.is_empty());
            assert_eq!(self.outbox.bytes, 0);
            assert_eq!(self.ended.len(), self.accepted.len(), "a state without an end");
        }
    }

    /// With nothing else that gets through it is tried for ever.
    fn only_poison_is_left(&self) -> bool {
        let is_poison = |id: &&u64| self.kinds[id] == Kind::Poison && !self.ended.contains_key(id);
        let left = self.accepted.iter().filter(is_poison).count();
        left > 0 && left as u64 == self.outbox.counters().queued
    }

    fn delivered_arrived(&self) {
        let arrived: BTreeSet<u64> = self.arrived.values().flatten().copied().collect();
        for (id, verdict) in &self.ended {
            assert!(*verdict != Verdict::Delivered || arrived.contains(id), "{id} was called delivered");
        }
    }

    /// On each topic what comes late has come before. States outside the schema go behind the others.
    fn order_holds(&self) {
        for ids in self.arrived.values() {
            let mut last = [0; 2];
            let mut seen = BTreeSet::new();
            for id in ids {
                let last = &mut last[usize::from(self.kinds[id] == Kind::Bad)];
                assert!(seen.contains(id) || id > last, "{id} came for the first time after {last}");
                *last = (*last).max(*id);
                seen.insert(*id);
            }
        }
    }

    /// No window holds too many messages, on any topic or in all.
    fn windows_hold(&self) {
        for (at, (begin, topic)) in self.arrivals.iter().enumerate() {
            let within = || self.arrivals[at..].iter().take_while(|(time, _)| *time < *begin + WINDOW);
            let on_topic = within().filter(|(_, other)| other == topic).count();
            assert!(on_topic <= self.limits.per_topic.messages, "{on_topic} on {topic}");
            assert!(within().count() <= self.limits.per_connection.messages);
        }
    }
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let rate = |range: std::ops::Range<usize>| range.prop_map(|messages| Rate { messages, window: WINDOW });
    (
        1usize..200,
        3_200usize..200_000,
        any::<bool>(),
        1usize..20,
        prop_oneof![Just(0usize), 1024usize..MAX_PAYLOAD],
        rate(1..31),
        rate(1..61),
    )
        .prop_map(|(states, bytes, drop, in_flight, merge, per_topic, per_connection)| Limits {
            bytes,
            when_full: if drop {
                WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST
            } else {
                WhenFull::LOSANT_WHEN_FULL_REFUSE_NEWEST
            },
            merge,
            per_topic,
            per_connection,
            ..limits(states, in_flight)
        })
}

proptest! {
    /// For any course of sends, disconnects and acknowledgements: the window is never exceeded, every accepted id ends
    /// exactly once, memory stays within its bound, and everything gets out in the end.
    #[test]
    fn nothing_is_lost_and_nobody_is_banned(limits in any_limits(), steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new(limits);
        for step in &steps {
            world.take(step);
        }
        world.finish();
        world.delivered_arrived();
        world.windows_hold();
    }

    /// Whatever the mix of good states, such as are outside the schema, and such as end the connection: only the last are
    /// given up, and what is good arrives in order.
    #[test]
    fn bad_and_poisonous_states_harm_only_themselves(
        limits in any_limits(),
        steps in prop::collection::vec(step_with(prop_oneof![
            90 => Just(Kind::Good), 7 => Just(Kind::Bad), 3 => Just(Kind::Poison)
        ].boxed()), 1..40),
    ) {
        let mut world = World::new(limits);
        steps.iter().for_each(|step| world.take_in_order(step));
        world.finish();
        world.delivered_arrived();
        world.windows_hold();
        for (id, verdict) in &world.ended {
            let kind = world.kinds[id];
            assert!((*verdict == Verdict::Undeliverable) <= (kind == Kind::Poison), "{id} is {kind:?} and was given up");
            assert!((*verdict == Verdict::Delivered) <= (kind != Kind::Poison), "{id} was called delivered");
        }
        world.order_holds();
        let poison = world.kinds.values().filter(|kind| **kind == Kind::Poison).count();
        assert!(world.closed <= 30 * poison, "{} connections lost for {poison} states", world.closed);
    }

    /// On each topic no state overtakes an older one: what comes late has come before.
    #[test]
    fn order_holds(limits in any_limits(), steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new(limits);
        steps.iter().for_each(|step| world.take_in_order(step));
        world.finish();
        world.order_holds();
    }
}
