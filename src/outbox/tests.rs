//! The outbox by example; [`super::properties`] has the rules for any course of events.

use super::*;
use crate::pacer::Rate;
use std::sync::OnceLock;

pub(super) const STAMP: Stamp = Stamp::Wall(1);
const NO_LIMIT: Rate = Rate { messages: 0, window: WINDOW };

pub(super) fn limits(states: usize, in_flight: usize) -> Limits {
    Limits {
        states,
        bytes: 1 << 20,
        when_full: WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST,
        in_flight,
        merge: MAX_PAYLOAD,
        strict: false,
        per_topic: NO_LIMIT,
        per_connection: NO_LIMIT,
    }
}

fn outbox(states: usize, in_flight: usize) -> Outbox {
    let mut outbox = Outbox::new("d", limits(states, in_flight));
    outbox.want_outcomes();
    outbox
}

fn paced(per_topic: usize, per_connection: usize) -> Outbox {
    let per_topic = Rate { messages: per_topic, window: WINDOW };
    let per_connection = Rate { messages: per_connection, window: WINDOW };
    let mut outbox = Outbox::new("d", Limits { per_topic, per_connection, ..limits(100_000, 1000) });
    outbox.want_outcomes();
    outbox
}

/// A state of a peripheral or of the device.
pub(super) fn state_of<'a>(peripheral: Option<&'a str>, json: &'a str) -> NewState<'a> {
    NewState { peripheral, json, extra: None, stamp: STAMP, breach: None }
}

fn taken(id: u64, dropped: usize) -> Taken {
    Taken { id, dropped, warn: false }
}

fn push(outbox: &mut Outbox, names: &[&str]) {
    for name in names {
        outbox.push(state_of(None, name), Instant::now()).unwrap();
    }
}

/// One message as it went: its topic, its states, and whether each went before.
type Sent = (String, Vec<(String, bool)>);

/// Sends all that may be sent now, with packet ids from `id`.
fn send_at(outbox: &mut Outbox, mut id: u16, now: Instant) -> Vec<Sent> {
    let mut sent = Vec::new();
    while let Ok(load) = outbox.next(now) {
        let states = outbox.states(load).map(|entry| (entry.json.to_string(), entry.resend)).collect();
        sent.push((outbox.topic(load).to_owned(), states));
        outbox.sent(load, Awaits::Ack(id), 100, now);
        id += 1;
    }
    sent
}

/// The same for states that go alone.
fn send(outbox: &mut Outbox, id: u16) -> Vec<(String, bool)> {
    let messages = send_at(outbox, id, Instant::now());
    assert!(messages.iter().all(|(_, states)| states.len() == 1));
    messages.into_iter().flat_map(|(_, states)| states).collect()
}

fn names(sent: &[(String, bool)]) -> Vec<&str> {
    sent.iter().map(|(name, _)| name.as_str()).collect()
}

fn ack(outbox: &mut Outbox, ids: impl IntoIterator<Item = u16>) {
    for id in ids {
        outbox.acked(id, Instant::now());
    }
}

fn outcome(first: u64, last: u64, verdict: Verdict) -> Outcome {
    Outcome { first, last, verdict }
}

#[test]
fn sends_in_order_and_waits_for_acks() {
    let mut outbox = outbox(10, 2);
    push(&mut outbox, &["a", "b", "c", "d"]);
    assert_eq!(names(&send(&mut outbox, 1)), ["a", "b"]);
    ack(&mut outbox, [1]);
    assert_eq!(names(&send(&mut outbox, 3)), ["c"]);
    ack(&mut outbox, [2, 3]);
    assert_eq!(names(&send(&mut outbox, 4)), ["d"]);
    ack(&mut outbox, [4]);
    assert!(outbox.is_empty());
    let expected = Counters { accepted: 4, sent: 4, messages: 4, delivered: 4, ..Counters::default() };
    assert_eq!(outbox.counters(), expected);
    assert_eq!(outbox.bytes, 0);
    assert_eq!(outbox.take_outcomes(), [outcome(1, 4, Verdict::Delivered)]);
    assert!(outbox.take_outcomes().is_empty());
}

#[test]
fn repeated_unknown_and_disordered_acks() {
    let mut outbox = outbox(10, 3);
    push(&mut outbox, &["a", "b", "c", "d"]);
    send(&mut outbox, 1);
    ack(&mut outbox, [3, 3, 99]);
    assert_eq!(outbox.take_outcomes(), [outcome(3, 3, Verdict::Delivered)]);
    assert!(outbox.next(Instant::now()).is_err(), "not half of the flight has landed");
    ack(&mut outbox, [1, 1]);
    assert_eq!(names(&send(&mut outbox, 4)), ["d"]);
    ack(&mut outbox, [2]);
    assert_eq!(outbox.counters().delivered, 3);
}

#[test]
fn what_was_not_acknowledged_goes_again_first_and_in_order() {
    let mut outbox = outbox(10, 3);
    push(&mut outbox, &["a", "b", "c", "d"]);
    send(&mut outbox, 1);
    ack(&mut outbox, [2]);
    outbox.connection_lost(Blame::Nobody, Instant::now());
    let again = send(&mut outbox, 1);
    assert_eq!(again, [("a".into(), true), ("c".into(), true), ("d".into(), false)]);
    assert_eq!(outbox.counters().resent, 2);
    // Those of the new connection.
    ack(&mut outbox, [1, 2, 3]);
    assert!(outbox.is_empty());
}

#[test]
fn a_qos_0_state_stays_until_its_last_byte_is_taken() {
    let mut outbox = outbox(10, 1);
    push(&mut outbox, &["a", "b", "c"]);
    for end in [10, 20, 30] {
        let load = outbox.next(Instant::now()).expect("the in-flight limit is for acknowledgements");
        outbox.sent(load, Awaits::Written(end), 10, Instant::now());
    }
    outbox.written(9, Instant::now());
    assert_eq!(outbox.counters().delivered, 0);
    outbox.written(20, Instant::now());
    assert_eq!(outbox.counters().delivered, 2);
    outbox.connection_lost(Blame::Nobody, Instant::now());
    assert_eq!(names(&send(&mut outbox, 1)), ["c"]);
}

#[test]
fn when_full_the_oldest_that_is_not_in_flight_goes() {
    let mut outbox = outbox(3, 2);
    push(&mut outbox, &["a", "b", "c"]);
    send(&mut outbox, 1);
    assert_eq!(outbox.push(state_of(None, "d"), Instant::now()), Ok(taken(4, 1)));
    ack(&mut outbox, [1, 2]);
    assert_eq!(names(&send(&mut outbox, 3)), ["d"]);
    assert_eq!(outbox.counters().dropped, 1);
    let ends = [outcome(3, 3, Verdict::Dropped), outcome(1, 2, Verdict::Delivered)];
    assert_eq!(outbox.take_outcomes(), ends);
}

#[test]
fn when_told_so_a_full_outbox_refuses_the_newest() {
    let when_full = WhenFull::LOSANT_WHEN_FULL_REFUSE_NEWEST;
    let mut outbox = Outbox::new("d", Limits { when_full, ..limits(2, 2) });
    push(&mut outbox, &["a", "b"]);
    let refused = outbox.push(state_of(None, "c"), Instant::now()).unwrap_err();
    assert_eq!(refused.status, LOSANT_ERR_OUTBOX_FULL);
    assert_eq!(names(&send(&mut outbox, 1)), ["a", "b"]);
    ack(&mut outbox, [1]);
    // The refused one has used up no id.
    assert_eq!(outbox.push(state_of(None, "d"), Instant::now()), Ok(taken(3, 0)));
    let counters = outbox.counters();
    assert_eq!((counters.accepted, counters.refused_full, counters.dropped), (3, 1, 0));
}

#[test]
fn an_outbox_smaller_than_the_flight_still_takes_the_newest() {
    let mut outbox = outbox(1, 5);
    push(&mut outbox, &["a"]);
    send(&mut outbox, 1);
    push(&mut outbox, &["b"]);
    assert_eq!(names(&send(&mut outbox, 2)), ["b"]);
    ack(&mut outbox, [1]);
    assert_eq!(outbox.counters().queued, 1);
    ack(&mut outbox, [2]);
    assert!(outbox.is_empty());
    assert_eq!(outbox.take_outcomes(), [outcome(1, 1, Verdict::Dropped), outcome(2, 2, Verdict::Delivered)]);
}

#[test]
fn bytes_are_bounded_too() {
    let mut outbox = Outbox::new("d", Limits { bytes: 2000, ..limits(1000, 1) });
    let big = "x".repeat(700);
    for _ in 0..10 {
        push(&mut outbox, &[&big]);
        assert!(outbox.bytes <= 2000);
    }
    assert_eq!(outbox.counters().queued, 2);
    let never = outbox.push(state_of(None, &"x".repeat(2000)), Instant::now()).unwrap_err();
    assert_eq!(never.status, LOSANT_ERR_TOO_LARGE);
    assert_eq!(outbox.counters().queued, 2, "nothing made room for what cannot fit");
}

#[test]
fn a_lowered_limit_drops_the_oldest() {
    let mut outbox = outbox(10, 5);
    push(&mut outbox, &["a", "b", "c"]);
    outbox.set_limits(limits(1, 5));
    assert_eq!(outbox.take_outcomes(), [outcome(1, 2, Verdict::Dropped)]);
    assert_eq!(names(&send(&mut outbox, 1)), ["c"]);
}

#[test]
fn a_device_that_is_being_closed_takes_no_states() {
    let mut outbox = outbox(10, 5);
    push(&mut outbox, &["a"]);
    outbox.set_closing(true);
    assert_eq!(outbox.push(state_of(None, "b"), Instant::now()).unwrap_err().status, LOSANT_ERR_CLOSING);
    outbox.set_closing(false);
    push(&mut outbox, &["c"]);
    assert_eq!(names(&send(&mut outbox, 1)), ["a", "c"]);
}

#[test]
fn states_go_alone_as_long_as_nothing_must_wait_and_merged_when_they_would_have_to() {
    let mut outbox = paced(30, 300);
    let begin = Instant::now();
    // Two thirds of the window may go at once.
    push(&mut outbox, &["a"; 20]);
    let alone = send_at(&mut outbox, 1, begin);
    assert_eq!(alone.len(), 20);
    push(&mut outbox, &["b"; 50]);
    assert_eq!(outbox.next(begin), Err(Some(begin + WINDOW / 10)));
    let merged = send_at(&mut outbox, 21, begin + WINDOW / 10);
    assert_eq!(merged.iter().map(|(_, states)| states.len()).collect::<Vec<_>>(), [50]);
    // The whole of it is one unit, each state of it has its own end.
    outbox.acked(21, begin + WINDOW / 10);
    assert_eq!(outbox.take_outcomes(), [outcome(21, 70, Verdict::Delivered)]);
    let counters = outbox.counters();
    assert_eq!((counters.sent, counters.messages), (70, 21));
}

#[test]
fn a_backlog_is_merged_from_its_first_message_on() {
    let mut outbox = paced(30, 300);
    push(&mut outbox, &["a"; 21]);
    let sent = send_at(&mut outbox, 1, Instant::now());
    assert_eq!(sent.iter().map(|(_, states)| states.len()).collect::<Vec<_>>(), [21]);
}

#[test]
fn without_merging_each_state_goes_alone_and_the_whole_window_at_once() {
    let mut outbox = paced(30, 300);
    outbox.set_limits(Limits { merge: 0, ..outbox.limits });
    push(&mut outbox, &["a"; 40]);
    let begin = Instant::now();
    assert_eq!(send_at(&mut outbox, 1, begin).len(), 30);
    ack(&mut outbox, 1..=30);
    assert!(matches!(outbox.next(begin + WINDOW / 2), Err(Some(_))));
}

#[test]
fn a_night_of_states_is_a_few_messages() {
    let mut outbox = paced(30, 300);
    outbox.set_limits(Limits { bytes: 8 << 20, ..outbox.limits });
    let state = r#"{"temperature":21.5,"humidity":40,"battery":3.71,"door":false}"#;
    for _ in 0..28_800 {
        push(&mut outbox, &[state]);
    }
    let now = Instant::now();
    let (mut messages, mut states) = (0, 0);
    while let Ok(load) = outbox.next(now) {
        let mut payload = bytes::BytesMut::new();
        crate::payload::encode_states(&mut payload, outbox.states(load).map(|entry| (&*entry.json, 1).into()));
        assert!(payload.len() <= MAX_PAYLOAD);
        states += outbox.states(load).len();
        messages += 1;
        outbox.sent(load, Awaits::Ack(messages), payload.len(), now);
        outbox.acked(messages, now);
    }
    // All at once, and within what a window may hold.
    assert_eq!(states, 28_800);
    assert!(messages <= 20, "{messages}");
}

#[test]
fn a_link_that_breaks_under_large_messages_gets_smaller_ones_and_large_ones_again_when_it_holds() {
    let mut outbox = paced(30, 300);
    let state = "x".repeat(1000);
    for _ in 0..900 {
        push(&mut outbox, &[&state]);
    }
    let mut now = Instant::now();
    let message = |outbox: &mut Outbox, now: &mut Instant| {
        let load = loop {
            match outbox.next(*now) {
                Ok(load) => break load,
                Err(when) => *now = when.unwrap_or(*now + WINDOW),
            }
        };
        let bytes = outbox.states(load).map(|entry| entry.json.len()).sum();
        outbox.sent(load, Awaits::Ack(1), bytes, *now);
        bytes
    };
    let first = message(&mut outbox, &mut now);
    let mut last = first;
    for _ in 0..6 {
        outbox.connection_lost(Blame::Nobody, Instant::now());
        outbox.connected(now);
        let next = message(&mut outbox, &mut now);
        assert!(next < last || next <= SMALLEST_BATCH, "{next} after {last}");
        last = next;
    }
    assert!(last <= SMALLEST_BATCH);
    for _ in 0..4 {
        outbox.acked(1, now);
        let next = message(&mut outbox, &mut now);
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

#[test]
fn each_topic_has_its_turn_and_its_own_window() {
    let mut outbox = paced(3, 300);
    let now = Instant::now();
    outbox.set_limits(Limits { merge: 0, ..outbox.limits });
    push(&mut outbox, &["own"; 10]);
    for state in ["p", "q", "p"] {
        outbox.push(state_of(Some(state), state), now).unwrap();
    }
    // By its own id a gateway means itself.
    outbox.push(state_of(Some("d"), "own"), now).unwrap();
    let topics: Vec<String> = send_at(&mut outbox, 1, now).into_iter().map(|(topic, _)| topic).collect();
    let (d, p, q) = ("losant/d/state", "losant/p/state", "losant/q/state");
    assert_eq!(topics, [p, q, d, p, d, d]);
    assert_eq!(outbox.counters().queued, 14, "none acknowledged");
}

#[test]
fn the_connection_has_a_window_too() {
    let mut outbox = paced(30, 6);
    let now = Instant::now();
    outbox.set_limits(Limits { merge: 0, ..outbox.limits });
    for name in ["p", "q", "r", "s"] {
        for _ in 0..3 {
            outbox.push(state_of(Some(name), name), now).unwrap();
        }
    }
    assert_eq!(send_at(&mut outbox, 1, now).len(), 6);
    ack(&mut outbox, 1..=6);
    assert_eq!(send_at(&mut outbox, 1, now + 2 * WINDOW).len(), 6);
}

#[test]
fn peripherals_that_come_and_go_need_no_more_room_than_those_at_work() {
    let mut outbox = paced(30, 300);
    let mut now = Instant::now();
    for number in 0..100 {
        outbox.push(state_of(Some(&format!("p{number}")), "x"), now).unwrap();
        send_at(&mut outbox, 1, now);
        outbox.acked(1, now);
        now += 2 * WINDOW;
    }
    assert_eq!((outbox.lanes.len(), outbox.places[1].len()), (2, 0));
}

#[test]
fn what_is_under_way_counts_until_the_next_connection_stands() {
    let mut outbox = paced(3, 0);
    let begin = Instant::now();
    outbox.set_limits(Limits { merge: 0, ..outbox.limits });
    push(&mut outbox, &["a", "b", "c"]);
    assert_eq!(send_at(&mut outbox, 1, begin).len(), 3);
    outbox.connection_lost(Blame::Nobody, Instant::now());
    // A broker that has stalled may read them at any time until it hears of the new connection.
    assert_eq!(outbox.next(begin + 10 * WINDOW), Err(None));
    outbox.connected(begin + 10 * WINDOW);
    assert_eq!(outbox.next(begin + 10 * WINDOW), Err(Some(begin + 11 * WINDOW)));
    assert_eq!(send_at(&mut outbox, 1, begin + 11 * WINDOW).len(), 3);
}

#[test]
fn a_lost_acknowledgement_is_noticed_when_the_broker_has_shown_that_it_got_the_state() {
    let mut outbox = outbox(10, 5);
    let (begin, patience) = (Instant::now(), Duration::from_secs(7));
    push(&mut outbox, &["a", "b", "c"]);
    send(&mut outbox, 1);
    assert_eq!(outbox.patience_ends(patience), None, "it may be on its way");
    outbox.acked(2, begin);
    assert_eq!(outbox.patience_ends(patience), Some(begin + patience));
    outbox.acked(1, begin + patience / 2);
    assert_eq!(outbox.patience_ends(patience), None);
    // With nothing behind it, the answer to a ping shows it.
    outbox.pinged();
    outbox.ping_answered(begin + patience);
    assert_eq!(outbox.patience_ends(patience), Some(begin + 2 * patience));
    outbox.connection_lost(Blame::Nobody, Instant::now());
    assert_eq!(outbox.patience_ends(patience), None);
    assert_eq!(names(&send(&mut outbox, 1)), ["c"]);
}

#[test]
fn nobody_to_tell_costs_nothing() {
    let mut outbox = Outbox::new("d", limits(1, 1));
    push(&mut outbox, &["a", "b", "c"]);
    assert!(outbox.take_outcomes().is_empty());
}

/// Sends all that may be sent, and the broker closes the connection: the names of what it had sent, and what follows.
fn lose(outbox: &mut Outbox, now: Instant) -> (Vec<String>, Loss) {
    outbox.connected(now);
    let sent = send_at(outbox, 1, now).into_iter().flat_map(|(_, states)| states);
    (sent.map(|(name, _)| name).collect(), outbox.connection_lost(Blame::Anybody, now))
}

/// Sends all that may be sent, and the broker acknowledges it, for as long as there is something: the names.
fn deliver(outbox: &mut Outbox, now: Instant) -> Vec<String> {
    outbox.connected(now);
    let mut names = Vec::new();
    loop {
        let sent = send_at(outbox, 1, now);
        if sent.is_empty() {
            return names;
        }
        for id in 1..=sent.len() {
            outbox.acked(id as u16, now);
        }
        names.extend(sent.into_iter().flat_map(|(_, states)| states).map(|(name, _)| name));
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Case: one state over a private broker's limit, then small ones, all of the device's own.
#[test]
fn a_state_that_ends_connections_goes_alone_and_is_kept_back_and_tells() {
    let mut outbox = outbox(100, 10);
    let mut now = Instant::now();
    push(&mut outbox, &["large", "b", "c"]);
    assert_eq!(lose(&mut outbox, now), (vec!["large".into(), "b".into(), "c".into()], Loss::default()));
    assert_eq!(lose(&mut outbox, now).0, ["large", "b", "c"], "it may have been the network");
    let (sent, loss) = lose(&mut outbox, now);
    assert_eq!(sent, ["large", "b", "c"], "all that is suspect, in one message");
    assert_eq!(loss, Loss { excused: true, culprit: None });
    let (sent, loss) = lose(&mut outbox, now);
    assert_eq!(sent, ["large"]);
    assert!(loss.excused);
    let text = loss.culprit.unwrap();
    assert_eq!(
        text,
        "the connection ends whenever this is sent: state 1 of 100 bytes on losant/d/state; it is tried again in 60 s"
    );
    assert_eq!(deliver(&mut outbox, now), ["b", "c"]);
    // A minute, doubling up to an hour. Only tries beside others that get through count.
    let mut pauses = Vec::new();
    for number in 0..11 {
        let begin = now;
        let when = loop {
            match outbox.next(now) {
                Ok(_) => break now,
                Err(when) => now = when.unwrap(),
            }
        };
        pauses.push((when - begin).as_secs());
        if number >= 7 {
            push(&mut outbox, &["good"]);
            assert_eq!(deliver_first(&mut outbox, now), "good");
        }
        let (sent, loss) = lose(&mut outbox, now);
        assert_eq!(sent, ["large"]);
        assert!(loss.culprit.is_some());
    }
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600, 3600]);
    assert!(outbox.is_empty());
    let end = outbox.take_outcomes().into_iter().find(|end| end.first == 1);
    assert_eq!(end, Some(outcome(1, 1, Verdict::Undeliverable)));
    assert_eq!((outbox.counters().dropped_undeliverable, outbox.counters().dropped), (1, 0));
    assert_eq!(outbox.bytes, 0);
}

/// Sends and acknowledges the next message; its first state.
fn deliver_first(outbox: &mut Outbox, now: Instant) -> String {
    outbox.connected(now);
    let load = outbox.next(now).unwrap();
    let name = outbox.states(load).next().unwrap().json.to_string();
    outbox.sent(load, Awaits::Ack(1), 100, now);
    outbox.acked(1, now);
    name
}

/// A connection to a broker that closes it at the first message on a topic that the device has no right to, if there is
/// one.
fn closes_at_strangers(outbox: &mut Outbox, now: Instant) -> Option<Loss> {
    outbox.connected(now);
    loop {
        let sent = send_at(outbox, 1, now);
        if sent.is_empty() {
            return None;
        }
        for (at, (topic, _)) in sent.iter().enumerate() {
            if topic == "losant/stranger/state" {
                return Some(outbox.connection_lost(Blame::Anybody, now));
            }
            outbox.acked(at as u16 + 1, now);
        }
    }
}

/// Case: a gateway reports for a peripheral that is none any more.
#[test]
fn a_topic_without_rights_rests_as_a_whole_while_others_go_on() {
    let mut outbox = outbox(1000, 10);
    let begin = Instant::now();
    let mut losses = 0;
    // Once a second a state of each, for ten minutes.
    for second in 0..600 {
        let now = begin + Duration::from_secs(second);
        push(&mut outbox, &["own"]);
        outbox.push(state_of(Some("stranger"), "s"), now).unwrap();
        while closes_at_strangers(&mut outbox, now).is_some() {
            losses += 1;
        }
        let own = outbox.counters().delivered;
        assert_eq!(own, second + 1, "own states wait");
    }
    assert!(losses <= 9, "{losses} connections lost");
    // The right comes back.
    let later = begin + Duration::from_secs(3600);
    let names = deliver(&mut outbox, later);
    assert_eq!(names.len(), 600);
    assert!(outbox.is_empty());
}

#[test]
fn after_five_tries_a_topic_without_rights_loses_what_waits() {
    let mut outbox = outbox(1000, 10);
    let mut now = Instant::now();
    for _ in 0..10 {
        outbox.push(state_of(Some("stranger"), "s"), now).unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..30 {
        push(&mut outbox, &["own"]);
        while let Some(loss) = closes_at_strangers(&mut outbox, now) {
            told.extend(loss.culprit);
        }
        now += 60 * MINUTE;
    }
    assert!(outbox.is_empty());
    let end = "on losant/stranger/state: all that wait are dropped, and the next one is tried in 1920 s";
    assert!(told.last().unwrap().ends_with(end), "{told:#?}");
    assert_eq!(outbox.counters().dropped_undeliverable, 10);
    assert_eq!((outbox.places[1].len(), outbox.bytes), (0, 0));
}

#[test]
fn a_culprit_among_many_is_found_by_halves() {
    let mut outbox = outbox(1000, 1000);
    let now = Instant::now();
    let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    push(&mut outbox, &names);
    let (mut losses, mut arrived) = (0, Vec::new());
    while outbox.counters().delivered < 99 {
        outbox.connected(now);
        let sent = send_at(&mut outbox, 1, now);
        assert!(!sent.is_empty(), "{} delivered", outbox.counters().delivered);
        let mut culprit = false;
        for (index, (_, states)) in sent.iter().enumerate() {
            if states.iter().any(|(name, _)| name == "37") {
                culprit = true;
                break;
            }
            arrived.extend(states.iter().map(|(name, _)| name.clone()));
            outbox.acked(index as u16 + 1, now);
        }
        if culprit {
            losses += 1;
            outbox.connection_lost(Blame::Anybody, now);
        }
        assert!(losses <= 12, "{losses} connections lost");
    }
    let expected: Vec<&str> = names.iter().copied().filter(|name| *name != "37").collect();
    assert_eq!(arrived, expected, "each once and in order");
}

#[test]
fn when_a_broker_took_nothing_for_a_while_what_was_kept_back_is_tried_soon() {
    let mut outbox = outbox(1000, 10);
    let now = Instant::now();
    push(&mut outbox, &["a", "b", "c", "d", "e"]);
    for _ in 0..8 {
        lose(&mut outbox, now);
    }
    let parked: usize = outbox.lanes.iter().map(|lane| lane.parked.len()).sum();
    assert!(parked >= 2, "{parked}");
    let mut names = deliver(&mut outbox, now);
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    // Losses without an end are no longer put down to culprits.
    push(&mut outbox, &["f"; 50]);
    let excused = (0..50).filter(|_| lose(&mut outbox, now).1.excused).count();
    assert!(excused <= 10, "{excused}");
}

#[test]
fn a_suspect_gets_its_turn_under_a_lasting_load() {
    let mut outbox = outbox(1000, 10);
    let mut now = Instant::now();
    outbox.push(state_of(Some("p"), "suspect"), now).unwrap();
    for _ in 0..2 {
        lose(&mut outbox, now);
    }
    outbox.connected(now);
    let mut sent = Vec::new();
    for id in 1..200 {
        push(&mut outbox, &["own"]);
        let new = send_at(&mut outbox, id, now);
        sent.extend(new.into_iter().flat_map(|(_, states)| states).map(|(name, _)| name));
        // The acknowledgement of the one before comes: something is always under way.
        outbox.acked(id - 1, now);
        now += Duration::from_millis(20);
    }
    let turn = sent.iter().position(|name| name == "suspect").expect("it never had its turn");
    assert!((40..80).contains(&turn), "{turn}");
}

/// A state with something that the schema does not allow.
fn bad(name: &str) -> NewState<'_> {
    NewState { breach: Some(breach()), ..state_of(None, name) }
}

pub(super) fn breach() -> &'static Breach<'static> {
    static BREACH: OnceLock<Breach<'static>> = OnceLock::new();
    BREACH.get_or_init(|| crate::payload::validate_state(r#"{"t":null}"#).unwrap().1.unwrap())
}

/// Case: 100 good states and one that is not while offline.
#[test]
fn a_state_outside_the_schema_goes_alone_behind_the_others() {
    let mut outbox = paced(30, 300);
    let begin = Instant::now();
    for number in 0..5_000 {
        if number % 500 == 0 {
            outbox.push(bad("bad"), begin).unwrap();
        }
        push(&mut outbox, &["good"]);
    }
    let sent = send_at(&mut outbox, 1, begin);
    assert!(sent.iter().all(|(_, states)| states.len() == 1 || states.iter().all(|(name, _)| name == "good")));
    assert_eq!(sent.len(), 12, "the good ones in two messages");
}

/// Half of the states at 5 Hz are bad.
#[test]
fn states_outside_the_schema_leave_the_others_their_share_of_the_window() {
    let mut outbox = paced(30, 300);
    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    for step in 0..3_000 {
        let now = begin + Duration::from_millis(step * 100);
        if step % 4 == 0 {
            outbox.push(bad("bad"), now).unwrap();
        } else if step % 4 == 2 {
            push(&mut outbox, &["good"]);
            waiting.push_back(now);
        }
        for (at, (_, states)) in send_at(&mut outbox, 1, now).into_iter().enumerate() {
            for _ in states.iter().filter(|(name, _)| name == "good") {
                longest = longest.max(now - waiting.pop_front().unwrap());
            }
            outbox.acked(at as u16 + 1, now);
        }
    }
    assert!(longest <= Duration::from_secs(3), "{longest:?}");
    let delivered = outbox.counters().delivered;
    assert!(delivered > 750 + 50, "{delivered}");
}

#[test]
fn each_attribute_is_warned_of_once_and_strict_refuses() {
    let mut outbox = outbox(10_000, 10);
    let now = Instant::now();
    let warnings = (0..5).filter(|_| outbox.push(bad("bad"), now).unwrap().warn).count();
    assert_eq!(warnings, 1);
    outbox.set_limits(Limits { strict: true, ..outbox.limits });
    let refused = outbox.push(bad("bad"), now).unwrap_err();
    assert_eq!(refused.status, LOSANT_ERR_INVALID_STATE);
    assert_eq!(outbox.counters().refused_invalid, 1);
    push(&mut outbox, &["good"]);
}

#[test]
fn what_the_platform_would_ignore_for_its_time_is_dropped_before_a_message_is_spent() {
    let mut outbox = outbox(10, 10);
    let now = Now::at(4_000_000_000_000, 0);
    for (name, time) in [("a", 5), ("b", now.wall_ms()), ("c", 6), ("d", now.wall_ms() - 1)] {
        outbox.push(NewState { stamp: Stamp::Wall(time), ..state_of(None, name) }, now.instant).unwrap();
    }
    let mut sent = Vec::new();
    while let Ok(load) = outbox.next(now.instant) {
        if outbox.settle_times(load, now) {
            sent.extend(outbox.states(load).map(|entry| entry.json.to_string()));
            outbox.sent(load, Awaits::Ack(sent.len() as u16), 10, now.instant);
        }
    }
    assert_eq!(sent, ["b", "d"]);
    ack(&mut outbox, 1..=2);
    assert_eq!((outbox.counters().dropped_out_of_time, outbox.bytes), (2, 0));
    let ends: Vec<Verdict> = outbox.take_outcomes().into_iter().map(|end| end.verdict).collect();
    assert_eq!(ends, [Verdict::OutOfTime, Verdict::OutOfTime, Verdict::Delivered, Verdict::Delivered]);
}

/// Case: ids as long as states, thousands of them: all that a state makes the outbox keep counts.
#[test]
fn the_bound_in_bytes_counts_ids_of_peripherals() {
    let now = Instant::now();
    let mut outbox = Outbox::new("d", Limits { bytes: 8 << 20, ..limits(50_000, 10) });
    for number in 0..300 {
        let id = format!("{}{number}", "i".repeat(60_000));
        outbox.push(state_of(Some(&id), "{}"), now).unwrap();
        let kept: usize = outbox.lanes.iter().map(|lane| lane.id.len() + lane.topic.len()).sum();
        assert!(kept <= outbox.bytes && outbox.bytes <= 8 << 20, "{kept} bytes kept, {} counted", outbox.bytes);
    }
    assert!(outbox.counters().dropped > 200);
    // Where none may go, none is taken.
    let mut full = Outbox::new(
        "d",
        Limits { bytes: 100_000, when_full: WhenFull::LOSANT_WHEN_FULL_REFUSE_NEWEST, ..limits(50_000, 10) },
    );
    full.push(state_of(Some(&"a".repeat(40_000)), "{}"), now).unwrap();
    let refused = full.push(state_of(Some(&"b".repeat(40_000)), "{}"), now).unwrap_err();
    assert_eq!(refused.status, LOSANT_ERR_OUTBOX_FULL);
    let too_large = full.push(state_of(Some(&"c".repeat(60_000)), "{}"), now).unwrap_err();
    assert_eq!(too_large.status, LOSANT_ERR_TOO_LARGE);
    assert_eq!(full.counters().queued, 1);
}
