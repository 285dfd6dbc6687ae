//! Which states are taken, ignored and rejected, and what is counted.

use std::net::TcpStream;
use std::time::Duration;

use losant_simulator::{Cause, Config, Simulator};

use crate::client::*;

const TOPIC: &str = "losant/d/state";

/// States that the platform's schema does not allow.
const BAD: [&str; 7] = [
    r#"{"data":{"a":null}}"#,
    r#"{"data":{"a":{"lat":1}}}"#,
    r#"{"data":{"a.b":1}}"#,
    r#"{"data":{"a":1e400}}"#,
    r#"{"data":{"a":"\ud83d"}}"#,
    r#"{"data":{"a":1},"more":1}"#,
    r#"{"time":1}"#,
];

/// A simulator that has been sent these payloads, each of which has been acknowledged.
fn after(config: Config, payloads: &[&str]) -> Simulator {
    let simulator = start(config);
    let mut client = Client::accepted(&simulator, "d");
    for payload in payloads {
        client.send(&publish(TOPIC, Some(1), payload.as_bytes()));
        assert_eq!(client.receive(), puback(1), "{payload}");
    }
    assert_eq!((simulator.violations(), simulator.bans()), (vec![], vec![]));
    simulator
}

#[test]
fn one_bad_element_rejects_the_array() {
    for bad in BAD {
        let simulator = after(config(), &[&format!(r#"[{{"data":{{"a":1}}}},{bad},{{"data":{{"a":2}}}}]"#)]);
        assert!(simulator.states().is_empty(), "{bad}");
        let causes: Vec<_> = simulator.rejected().iter().map(|rejected| (rejected.index, rejected.cause)).collect();
        assert_eq!(causes, [(0, Cause::Neighbour), (1, Cause::State), (2, Cause::Neighbour)], "{bad}");
    }
}

#[test]
fn one_bad_element_is_dropped_alone_when_that_is_configured() {
    let config = || Config { drop_bad_elements: true, ..config() };
    for bad in BAD {
        let simulator = after(config(), &[&format!(r#"[{{"data":{{"a":1}}}},{bad},{{"data":{{"a":2}}}}]"#)]);
        assert_eq!(simulator.states().iter().map(|state| state.index).collect::<Vec<_>>(), [0, 2], "{bad}");
        let causes: Vec<_> = simulator.rejected().iter().map(|rejected| (rejected.index, rejected.cause)).collect();
        assert_eq!(causes, [(1, Cause::State)], "{bad}");
    }
}

#[test]
fn what_cannot_be_split_is_rejected_once() {
    let simulator = after(config(), &["[", "[]", "[1 2]", "7"]);
    let causes: Vec<_> = simulator.rejected().iter().map(|rejected| rejected.cause).collect();
    assert_eq!(causes, [Cause::Payload, Cause::Payload, Cause::Payload, Cause::State]);
    assert_eq!(&simulator.rejected()[1].payload[..], b"[]");
}

#[test]
fn a_state_from_too_long_ago_or_too_far_ahead_is_ignored() {
    let (day, minute) = (86_400_000, 60_000);
    let now = now_ms;
    let offsets = [-30 * day + minute, -30 * day - minute, day - minute, day + minute, 0];
    let array: Vec<_> = offsets.iter().map(|offset| format!(r#"{{"data":{{}},"time":{}}}"#, now() + offset)).collect();
    let simulator = after(
        config(),
        &[
            &format!("[{}]", array.join(",")),
            r#"{"data":{},"time":1464743391}"#,
            &format!(r#"{{"data":{{}},"time":{}}}"#, i64::MIN),
            &format!(r#"{{"data":{{}},"time":{}}}"#, i64::MAX),
            &format!(r#"{{"data":{{}},"time":{}}}"#, -(now() + 5_000)),
        ],
    );
    assert_eq!(simulator.states().iter().map(|state| state.index).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(simulator.ignored().iter().map(|state| state.index).collect::<Vec<_>>(), [1, 3, 0, 0, 0, 0]);
    assert!(simulator.rejected().is_empty());
}

#[test]
fn publishes_are_counted_by_topic_and_device() {
    let simulator = start(config());
    let mut device = Client::accepted(&simulator, "d");
    let mut gateway = Client::accepted(&simulator, "g");
    let send = |client: &mut Client<TcpStream>, topic, count| {
        for id in 1..=count {
            client.send(&publish(topic, Some(id), STATE));
            assert_eq!(client.receive(), puback(id));
        }
    };
    send(&mut device, TOPIC, 3);
    send(&mut gateway, "losant/g/state", 4);
    send(&mut gateway, "losant/p/state", 5);
    simulator.read(|records| {
        let most = |topic| records.most_publishes(LIMIT, |publish| publish.topic == topic);
        assert_eq!([TOPIC, "losant/g/state", "losant/p/state"].map(most), [3, 4, 5]);
        assert_eq!(records.most_publishes(LIMIT, |publish| publish.device == "g"), 9);
        assert_eq!(records.most_publishes(Duration::from_nanos(1), |publish| publish.device == "g"), 1);
        assert!(records.publishes.iter().all(|publish| (publish.bytes, publish.qos, publish.dup) == (16, 1, false)));
    });
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_millis()).expect("a time")
}
