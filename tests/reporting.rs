//! States that a C program reports arrive byte for byte, however the device is run.

use crate::support::{Broker, CProgram, Lane, over_every_transport, recent_ms, state_topic};
use std::fs;
use tempfile::TempDir;

/// States whose text must not be touched on the way. The last two are outside the platform's schema, and so go behind the
/// others.
fn states() -> Vec<String> {
    let big = format!("{{\"log\":\"{}\"}}", "0123456789".repeat(20_000));
    [
        r#"{"temperature":21.5}"#,
        "{ \"a\" :\n\t1.50 ,\r\n \"b\":-0E+2 }",
        r#"{"unicode":"Grüße, 世界 🌡","escaped":"\u00e9\/\\\"\ud83c\udf21"}"#,
        "{}",
        r#"{"b":1,"a":2,"b":3,"precise":0.1000000000000000055511151231257827,"huge":1e400}"#,
        &big,
    ]
    .map(str::to_owned)
    .to_vec()
}

fn report(lane: Lane, way: &str, qos: u8, when: &str) {
    let broker = Broker::start(lane);
    let mut observer = broker.subscriber();
    let (states, time_ms) = (states(), recent_ms());
    let dir = TempDir::new().unwrap();
    let mut arguments = vec![
        "127.0.0.1".to_owned(),
        broker.device_port(lane).to_string(),
        way.to_owned(),
        qos.to_string(),
        when.to_owned(),
        time_ms.to_string(),
    ];
    for (number, state) in states.iter().enumerate() {
        let path = dir.path().join(format!("state-{number}"));
        fs::write(&path, state).unwrap();
        arguments.push(path.to_str().unwrap().to_owned());
    }

    let mut program = CProgram::start("report", lane, &arguments);
    program.expect("connect");
    // Only the background way has a thread of the library, and just one.
    assert_eq!(program.threads(), if way == "start" { 2 } else { 1 });
    for (number, state) in states.iter().enumerate() {
        let message = observer.next();
        assert_eq!(message.topic, state_topic());
        assert_eq!(message.qos, qos);
        let time = time_ms + number as i64;
        assert_eq!(message.text(), format!("{{\"time\":{time},\"data\":{state}}}"));
    }
    broker.command(r#"{"name":"stop"}"#);
    assert!(program.finish().last().unwrap().starts_with("close\t0\t"));
}

fn once_connected(lane: Lane) {
    for way in lane.ways() {
        report(lane, way, 1, "connected");
    }
}

fn before_connecting(lane: Lane) {
    for way in lane.ways() {
        report(lane, way, 1, "before");
    }
}

fn at_qos_0(lane: Lane) {
    report(lane, "blocking", 0, "before");
    report(lane, "start", 0, "connected");
}

/// Everything that a state can have, and what the stats say meanwhile.
fn with_all_that_a_state_can_have(lane: Lane) {
    let broker = Broker::start(lane);
    let mut observer = broker.subscriber();
    for way in lane.ways() {
        let port = broker.device_port(lane).to_string();
        let time_ms = recent_ms();
        let program = CProgram::start("whole_state", lane, &["127.0.0.1", &port, way, &time_ms.to_string()]);
        assert_eq!(program.finish(), [] as [&str; 0]);
        let mut messages = [(); 3].map(|()| observer.next());
        messages.sort_by_key(|message| message.payload.clone());
        let extra = "\"flowVersion\":\"a \\\"version\\\"\",\"meta\":{\"any\": [1, null]},";
        let expected = [("", "data\":{\"n\":2}}"), (extra, "data\":{\"n\":1}}"), (extra, "data\":{\"n\":2}}")];
        for (message, (extra, data)) in messages.iter().zip(expected) {
            assert_eq!(message.text(), format!("{{\"time\":{time_ms},{extra}\"{data}"));
            let whose = if data.contains('1') { state_topic() } else { "losant/peripheral/state".to_owned() };
            assert_eq!(message.topic, whose);
        }
    }
}

/// The example of the Python client, with its `loop()` and its sleep.
fn by_a_loop_that_sleeps(lane: Lane) {
    let broker = Broker::start(lane);
    let mut observer = broker.subscriber();
    let mut program = CProgram::start("seed_loop", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]);
    program.expect("connected by the first call");
    assert!(observer.next().text().ends_with("\"data\":{\"temperature\":21.5}}"));
    broker.command(r#"{"name":"stop"}"#);
    assert_eq!(program.finish(), ["connected by the first call", "stop"]);
}

over_every_transport!(
    once_connected,
    before_connecting,
    at_qos_0,
    with_all_that_a_state_can_have,
    by_a_loop_that_sleeps,
);
