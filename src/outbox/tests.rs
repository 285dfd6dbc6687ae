//! The outbox by example; [`super::properties`] has the rules for any course of events.

use super::*;
use crate::pacer::Rate;

pub(super) const STAMP: Stamp = Stamp::Wall(1);
const WINDOW: Duration = Duration::from_secs(15);
const NO_LIMIT: Rate = Rate { messages: 0, window: WINDOW };

pub(super) fn limits(states: usize, in_flight: usize) -> Limits {
    Limits {
        states,
        bytes: 1 << 20,
        when_full: WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST,
        in_flight,
        merge: MAX_PAYLOAD,
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
    NewState { peripheral, json, extra: None, stamp: STAMP }
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
    outbox.connection_lost();
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
    outbox.connection_lost();
    assert_eq!(names(&send(&mut outbox, 1)), ["c"]);
}

#[test]
fn when_full_the_oldest_that_is_not_in_flight_goes() {
    let mut outbox = outbox(3, 2);
    push(&mut outbox, &["a", "b", "c"]);
    send(&mut outbox, 1);
    assert_eq!(outbox.push(state_of(None, "d"), Instant::now()), Ok((4, 1)));
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
    assert_eq!(outbox.push(state_of(None, "d"), Instant::now()), Ok((3, 0)));
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
        outbox.connection_lost();
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
    assert_eq!((outbox.lanes.len(), outbox.places.len()), (2, 0));
}

#[test]
fn what_is_under_way_counts_until_the_next_connection_stands() {
    let mut outbox = paced(3, 0);
    let begin = Instant::now();
    outbox.set_limits(Limits { merge: 0, ..outbox.limits });
    push(&mut outbox, &["a", "b", "c"]);
    assert_eq!(send_at(&mut outbox, 1, begin).len(), 3);
    outbox.connection_lost();
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
    outbox.connection_lost();
    assert_eq!(outbox.patience_ends(patience), None);
    assert_eq!(names(&send(&mut outbox, 1)), ["c"]);
}

#[test]
fn nobody_to_tell_costs_nothing() {
    let mut outbox = Outbox::new("d", limits(1, 1));
    push(&mut outbox, &["a", "b", "c"]);
    assert!(outbox.take_outcomes().is_empty());
}

#[test]
fn a_peripheral_that_seems_to_end_connections_goes_last_and_alone() {
    let mut outbox = outbox(100, 10);
    let now = Instant::now();
    let topics = |outbox: &mut Outbox, id| -> Vec<String> {
        let sent = send_at(outbox, id, now);
        sent.into_iter().map(|(topic, _)| topic).collect()
    };
    let (own, stranger) = ("losant/d/state", "losant/stranger/state");
    outbox.push(state_of(Some("stranger"), "s"), now).unwrap();
    for _ in 0..3 {
        assert_eq!(outbox.suspect(), None, "it may be the network's fault");
        push(&mut outbox, &["x"]);
        assert_eq!(topics(&mut outbox, 1)[0], stranger);
        ack(&mut outbox, 2..10);
        outbox.connection_lost();
    }
    assert_eq!(outbox.suspect(), Some("stranger"));
    push(&mut outbox, &["x", "y"]);
    assert_eq!(topics(&mut outbox, 1), [own, own]);
    ack(&mut outbox, [1]);
    assert_eq!(topics(&mut outbox, 3), [] as [&str; 0], "something is under way");
    ack(&mut outbox, [2]);
    assert_eq!(topics(&mut outbox, 3), [stranger]);
    outbox.connection_lost();
    assert_eq!(topics(&mut outbox, 1), [stranger]);
    // It was the network's fault.
    ack(&mut outbox, [1]);
    assert_eq!(outbox.suspect(), None);
    assert!(outbox.is_empty());
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
