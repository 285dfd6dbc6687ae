//! What the platform takes and what it does not.

use std::time::{Duration, Instant};

use losant_simulator::{Excess, Fault, Offence, TimeSource};
use serde_json::json;

use crate::client::*;

#[test]
fn a_state_is_recorded_and_acknowledged() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    client.send(&publish("losant/d/state", Some(9), br#"{"data":{"a":1.5,"b":"x"},"time":-1000}"#));
    assert_eq!(client.receive(), puback(9));
    let states = simulator.states();
    assert_eq!(states.len(), 1);
    assert_eq!((states[0].device.as_str(), states[0].packet_id, states[0].qos), ("d", 9, 1));
    assert!(!states[0].dup);
    assert_eq!(states[0].state.time_ms, states[0].arrival_ms - 1000);
    assert_eq!(states[0].state.time_source, TimeSource::Ago);
    assert_eq!(json!(states[0].state.data), json!({"a": 1.5, "b": "x"}));

    let mut again = publish("losant/d/state", Some(9), br#"[{"data":{"a":1}},{"data":{"a":2}}]"#);
    again[0] |= 0x08;
    client.send(&again);
    assert_eq!(client.receive(), puback(9));
    assert_eq!(simulator.read(|records| records.states.iter().filter(|state| state.dup).count()), 2);
}

#[test]
fn a_bad_state_is_rejected_and_the_connection_lasts() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    for payload in ["", "{", r#"{"data":{"a":[]}}"#, r#"{"data":{"a":1},"time":1}"#] {
        client.send(&publish("losant/d/state", Some(1), payload.as_bytes()));
        assert_eq!(client.receive(), puback(1));
    }
    assert_eq!((simulator.rejected().len(), simulator.ignored().len()), (3, 1));
    assert!(simulator.states().is_empty() && simulator.violations().is_empty());
}

#[test]
fn who_may_connect() {
    let simulator = start(config());
    let refused = [
        (connect(0xc2, "unknown", "key", "secret"), vec![0x20, 2, 0, 5]),
        (connect(0xc2, "d", "wrong", "secret"), vec![0x20, 2, 0, 4]),
        (connect(0xc2, "d", "key", "wrong"), vec![0x20, 2, 0, 4]),
    ];
    for (connect, answer) in refused {
        let mut client = Client::open(&simulator);
        client.send(&connect);
        assert_eq!(client.receive(), Some(answer));
        assert_eq!(client.receive(), None);
    }
    assert!(simulator.violations().is_empty());
    assert_eq!(simulator.read(|records| records.connected()), 0);
}

#[test]
fn what_ends_a_connection() {
    let topic = "losant/d/state";
    let with_flags = |flags| {
        let mut bytes = publish(topic, Some(1), STATE);
        bytes[0] |= flags;
        bytes
    };
    let mut qos_2 = publish(topic, Some(1), STATE);
    qos_2[0] = 0x34;
    let protocol = || Offence::Protocol(String::new());
    let table = [
        (qos_2, Offence::Qos2),
        (with_flags(1), Offence::Retained),
        (publish(topic, None, &vec![b'x'; 262_145]), Offence::Oversize),
        (vec![0x30, 0xff, 0xff, 0xff, 0x7f], Offence::Oversize),
        (publish("losant/p/state", None, STATE), Offence::Topic("losant/p/state".into())),
        (publish("losant/d/command", None, STATE), Offence::Topic("losant/d/command".into())),
        (subscribe("losant/p/command"), Offence::Topic("losant/p/command".into())),
        (subscribe("#"), Offence::Topic("#".into())),
        (connect(0xc2, "d", "key", "secret"), protocol()),
        (vec![0x30, 0xff, 0xff, 0xff, 0xff, 1], protocol()),
        (vec![0xf0, 0], protocol()),
        (vec![0x20, 2, 0, 0], protocol()),
        (vec![0x82, 2, 0, 1], protocol()),
        (vec![0x32, 2, 0, 9], protocol()),
    ];
    for (bytes, expected) in table {
        let simulator = start(config());
        let mut client = Client::accepted(&simulator, "d");
        client.send(&bytes);
        assert_eq!(client.receive(), None);
        let violations = simulator.violations();
        assert_eq!(violations.len(), 1, "{expected:?}: {violations:?}");
        match (&violations[0].offence, &expected) {
            (Offence::Protocol(_), Offence::Protocol(_)) => {}
            (offence, expected) => assert_eq!(offence, expected),
        }
        assert_eq!(violations[0].device.as_deref(), Some("d"));
    }
}

#[test]
fn a_topic_without_rights_ends_the_connection_and_bans_nobody() {
    let table = [
        ("losant/p/state", publish("losant/p/state", Some(1), STATE), "losant/p/state"),
        ("losant/+/state", publish("losant/p/state", None, STATE), "losant/p/state"),
        ("losant/g/command", subscribe("losant/g/command"), "losant/g/command"),
        ("#", subscribe("losant/g/command"), "losant/g/command"),
        ("#", publish("losant/other/state", None, STATE), "losant/other/state"),
    ];
    for (denied, bytes, topic) in table {
        let mut config = config();
        config.devices[1].denied_topics.push(denied.into());
        let simulator = start(config);
        // What is denied closes each connection, and the next one is let in.
        for times in 1..=3 {
            let mut client = Client::accepted(&simulator, "g");
            client.send(&bytes);
            assert_eq!(client.receive(), None);
            let violations = simulator.violations();
            assert_eq!(violations.len(), times);
            assert!(violations.iter().all(|violation| violation.offence == Offence::Denied(topic.into())));
        }
        assert!(simulator.bans().is_empty() && simulator.states().is_empty());
        let mut other = Client::subscribed(&simulator, "d");
        other.send(&publish("losant/d/state", Some(1), STATE));
        assert_eq!(other.receive(), puback(1));
    }
}

#[test]
fn what_is_not_denied_is_allowed() {
    let mut config = config();
    config.devices[1].denied_topics.push("losant/p/#".into());
    let simulator = start(config);
    let mut client = Client::subscribed(&simulator, "g");
    client.send(&publish("losant/g/state", Some(1), STATE));
    assert_eq!(client.receive(), puback(1));
}

#[test]
fn a_broker_may_take_only_small_packets() {
    let mut config = config();
    config.max_packet = Some(1_000);
    let simulator = start(config);
    let body = |length: usize| {
        let mut payload = STATE.to_vec();
        payload.resize(length - "00losant/d/state00".len(), b' ');
        publish("losant/d/state", Some(1), &payload)
    };
    let mut client = Client::accepted(&simulator, "d");
    client.send(&body(1_000));
    assert_eq!(client.receive(), puback(1));
    // The beginning is enough.
    client.send(&body(1_001)[..100]);
    assert_eq!(client.receive(), None);
    assert_eq!(simulator.violations().iter().map(|v| &v.offence).collect::<Vec<_>>(), [&Offence::MaxPacket]);
    assert_eq!((simulator.states().len(), simulator.bans().len()), (1, 0));
    Client::accepted(&simulator, "d");
}

#[test]
fn a_session_cannot_be_kept() {
    let simulator = start(config());
    let mut client = Client::open(&simulator);
    client.send(&connect(0xc0, "d", "key", "secret"));
    assert_eq!(client.receive(), None);
    assert_eq!(simulator.violations()[0].offence, Offence::KeptSession);
}

#[test]
fn the_largest_message_is_taken() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    let mut payload = STATE.to_vec();
    payload.resize(262_144, b' ');
    client.send(&publish("losant/d/state", Some(1), &payload));
    assert_eq!(client.receive(), puback(1));
    assert_eq!(simulator.states().len(), 1);
}

#[test]
fn one_too_many_is_a_ban_and_the_window_outlives_the_connection() {
    let simulator = start(config());
    for (from, to) in [(1, 20), (21, 30)] {
        let mut client = Client::accepted(&simulator, "d");
        for id in from..=to {
            client.send(&publish("losant/d/state", Some(id), STATE));
            assert_eq!(client.receive(), puback(id));
        }
    }
    let mut client = Client::accepted(&simulator, "d");
    client.send(&publish("losant/d/state", Some(31), STATE));
    assert_eq!(client.receive(), None);
    assert_eq!(simulator.states().len(), 30);
    let excess = Excess::Topic("losant/d/state".into());
    assert_eq!(simulator.violations()[0].offence, Offence::Rate(excess));

    for refused in 1..=3 {
        let mut client = Client::open(&simulator);
        client.send(&connect(0xc2, "d", "key", "secret"));
        assert_eq!(client.receive(), None);
        let bans = simulator.bans();
        assert_eq!((bans.len(), bans[0].refused), (1, refused));
        assert_eq!((bans[0].device.as_deref(), bans[0].length), (Some("d"), Duration::from_secs(30)));
    }
    Client::accepted(&simulator, "g");
}

#[test]
fn a_ban_ends_and_the_next_one_is_longer() {
    let mut config = config();
    config.time_scale = 100.0;
    config.ban_connack = Some(3);
    config.limits.connects = usize::MAX;
    let simulator = start(config);
    for length in [30, 60] {
        let mut client = Client::accepted(&simulator, "d");
        let begin = Instant::now();
        while simulator.read(|records| records.bans.last().is_none_or(|ban| ban.length.as_secs() != length)) {
            client.send(&publish("losant/d/state", None, STATE).repeat(31));
            assert!(begin.elapsed() < LIMIT);
        }
        let banned = Instant::now();
        loop {
            let mut client = Client::open(&simulator);
            client.send(&connect(0xc2, "d", "key", "secret"));
            match client.receive().as_deref() {
                Some([0x20, 2, 0, 0]) => break,
                Some([0x20, 2, 0, 3]) => assert!(banned.elapsed() < LIMIT),
                other => panic!("{other:?}"),
            }
        }
        assert!(begin.elapsed() >= Duration::from_secs(length) / 100);
    }
    assert_eq!(simulator.bans().len(), 2);
}

#[test]
fn an_application_that_connects_too_often_is_banned() {
    let simulator = start(config());
    for _ in 0..300 {
        let mut client = Client::open(&simulator);
        client.send(&connect(0xc2, "unknown", "key", "secret"));
        assert_eq!(client.receive(), Some(vec![0x20, 2, 0, 5]));
    }
    for _ in 0..2 {
        let mut client = Client::open(&simulator);
        client.send(&connect(0xc2, "d", "key", "secret"));
        assert_eq!(client.receive(), None);
    }
    let bans = simulator.bans();
    assert_eq!((bans.len(), bans[0].refused, bans[0].device.as_deref()), (1, 1, None));
}

#[test]
fn commands_go_to_those_who_have_subscribed() {
    let simulator = start(config());
    assert!(!simulator.send_command("d", "early", None));
    let mut device = Client::subscribed(&simulator, "d");
    assert!(simulator.send_command("d", "go", Some(&json!({"a": [1]}))));
    let (topic, payload) = device.message();
    assert_eq!(topic, "losant/d/command");
    let command: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!((&command["name"], &command["payload"]), (&json!("go"), &json!({"a": [1]})));
    assert!(command["time"]["$date"].as_str().is_some_and(|date| date.ends_with('Z')));

    let mut gateway = Client::accepted(&simulator, "g");
    gateway.send(&subscribe("losant/p/command"));
    assert_eq!(gateway.receive(), Some(vec![0x90, 3, 0, 7, 0]));
    assert!(simulator.send_command("p", "go", None));
    assert_eq!(gateway.message().0, "losant/p/command");
    gateway.send(&publish("losant/p/state", Some(1), STATE));
    assert_eq!(gateway.receive(), puback(1));
    assert_eq!(simulator.states()[0].device, "p");

    gateway.send(&packet(0xa2, b"\0\x07\0\x10losant/p/command"));
    assert_eq!(gateway.receive(), Some(vec![0xb0, 2, 0, 7]));
    assert!(!simulator.send_command("p", "go", None));
}

#[test]
fn a_device_that_connects_again_ends_its_first_connection() {
    let simulator = start(config());
    let mut first = Client::accepted(&simulator, "d");
    let mut second = Client::accepted(&simulator, "d");
    assert_eq!(first.receive(), None);
    second.send(&PINGREQ);
    assert_eq!(second.receive(), Some(PINGRESP.to_vec()));
    assert_eq!(simulator.read(|records| records.connected()), 1);
}

#[test]
fn an_attempt_that_is_refused_leaves_the_connection_that_stands() {
    let simulator = start(config());
    let mut first = Client::accepted(&simulator, "d");
    simulator.set_fault_times("d", Fault::RefuseConnack(3), 1);
    let attempts = [
        (connect(0xc2, "d", "key", "wrong"), Some(vec![0x20, 2, 0, 4])),
        (connect(0xc0, "d", "key", "secret"), None),
        (connect(0xc2, "d", "key", "secret"), Some(vec![0x20, 2, 0, 3])),
    ];
    for (attempt, answer) in attempts {
        let mut client = Client::open(&simulator);
        client.send(&attempt);
        assert_eq!(client.receive(), answer);
        first.send(&PINGREQ);
        assert_eq!(first.receive(), Some(PINGRESP.to_vec()));
    }
}

#[test]
fn dropping_the_simulator_ends_connections() {
    let simulator = start(config());
    let mut client = Client::accepted(&simulator, "d");
    let mut silent = Client::open(&simulator);
    wait(&simulator, |records| records.connections.len() == 2);
    drop(simulator);
    assert_eq!((client.receive(), silent.receive()), (None, None));
}
