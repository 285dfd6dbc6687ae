//! What a user is told when a connection does not come about.

use crate::support::{
    Answers, Broker, CProgram, FakeBroker, Lane, SECRET, broker::free_port, in_every_lane, over_every_transport,
};
use std::fs;
use tempfile::TempDir;

const CREDENTIALS: i32 = -33;
const NOT_AUTHORIZED: i32 = -34;

const STAGE_TCP: i32 = 2;
const STAGE_MQTT: i32 = 5;

/// Runs tests/c/connection/attempt.c and returns what it told.
fn attempt(lane: Lane, port: u16, way: &str, secret: &str, timeout_ms: u32, errors: u32) -> Vec<String> {
    let (port, timeout_ms, errors) = (port.to_string(), timeout_ms.to_string(), errors.to_string());
    CProgram::start("attempt", lane, &["127.0.0.1", &port, way, secret, &timeout_ms, &errors]).finish()
}

/// The kind, status and stage of each event that was told, without its text.
fn kinds(told: &[String]) -> Vec<String> {
    told.iter().map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" ")).collect()
}

/// The broker's refusal ends it, in every way to run, after one attempt.
fn wrong_secret(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let told = attempt(lane, broker.device_port(lane), way, "not-the-secret", 30_000, 0);
        let status = if told[0].contains(&NOT_AUTHORIZED.to_string()) { NOT_AUTHORIZED } else { CREDENTIALS };
        assert_eq!(
            kinds(&told),
            [
                format!("error {status} {STAGE_MQTT}"),
                format!("close {status} {STAGE_MQTT}"),
                format!("returned {status}")
            ],
            "{way}"
        );
    }
    assert_eq!(
        broker.log().matches("Sending CONNACK").count(),
        lane.ways().len(),
        "refused once, it does not try again"
    );
}

/// Not the certificates are to blame where OpenSSL cannot be set up: here for a system that allows nothing but a FIPS module,
/// and has none.
#[test]
fn a_system_whose_openssl_cannot_be_set_up() {
    let dir = TempDir::new().unwrap();
    let configuration = dir.path().join("openssl.cnf");
    let text = "openssl_conf = all\n[all]\nalg_section = algorithms\n[algorithms]\ndefault_properties = fips=yes\n";
    fs::write(&configuration, text).unwrap();
    let silent = FakeBroker::start(Answers::default());
    let arguments = ["127.0.0.1", &silent.port().to_string(), "blocking", SECRET, "30000", "0"];
    let variables = [("OPENSSL_CONF", configuration.as_path())];
    let told = CProgram::with_environment("attempt", Lane::Tls, &arguments, &variables).finish();
    assert!(told[0].starts_with("error\t-40\t3\t"), "{}", told[0]);
}

/// A blocking connect gives up at the first failure; the others try on.
fn nobody_listens(lane: Lane) {
    let port = free_port();
    let told = attempt(lane, port, "blocking", SECRET, 30_000, 0);
    let refused = format!("-21 {STAGE_TCP}");
    assert_eq!(kinds(&told), [format!("error {refused}"), format!("close {refused}"), "returned -21".to_owned()]);
    assert!(told[0].contains(&format!("127.0.0.1:{port}")), "{}", told[0]);
    for way in ["loop", "epoll", "start"] {
        let told = attempt(lane, port, way, SECRET, 30_000, 3);
        let error = format!("error {refused}");
        assert_eq!(kinds(&told), [&error, &error, &error, "close 0 0", "returned 0"], "{way}");
    }
}

/// Each return code has its status. All but 3 end the attempt, however the device is run.
fn refused_by_connack(lane: Lane) {
    for (code, status) in [(1, -30), (2, -31), (4, -33), (5, -34)] {
        let broker = FakeBroker::start(Answers { connack: Some(code), ..Answers::default() });
        for way in lane.ways() {
            let told = attempt(lane, broker.port(), way, SECRET, 30_000, 0);
            let end = format!("{status} {STAGE_MQTT}");
            let expected = [format!("error {end}"), format!("close {end}"), format!("returned {status}")];
            assert_eq!(kinds(&told), expected, "CONNACK {code}, {way}");
        }
    }
    let busy = FakeBroker::start(Answers { connack: Some(3), ..Answers::default() });
    let told = attempt(lane, busy.port(), "blocking", SECRET, 30_000, 0);
    assert_eq!(told.last().unwrap(), "returned\t-32");
    let told = attempt(lane, busy.port(), "loop", SECRET, 30_000, 2);
    let error = format!("error -32 {STAGE_MQTT}");
    assert_eq!(kinds(&told), [&error, &error, "close 0 0", "returned 0"]);
}

/// A broker that accepts and then says nothing is found out by the deadline, and the text says what was missing.
fn silent_brokers(lane: Lane) {
    let silent = FakeBroker::start(Answers::default());
    let mute = FakeBroker::start(Answers { connack: Some(0), ..Answers::default() });
    for (broker, missing) in [(&silent, "CONNACK"), (&mute, "SUBACK")] {
        for way in ["blocking", "start"] {
            let told = attempt(lane, broker.port(), way, SECRET, 1_000, 1);
            assert_eq!(kinds(&told)[0], format!("error -22 {STAGE_MQTT}"), "{way}");
            assert!(told[0].contains(missing), "{}", told[0]);
        }
    }
}

/// States flow without the subscription, and the user is told.
fn subscription_refused(lane: Lane) {
    let broker = FakeBroker::start(Answers { connack: Some(0), suback: Some(0x80), ..Answers::default() });
    let told = attempt(lane, broker.port(), "blocking", SECRET, 30_000, 1);
    assert_eq!(kinds(&told), ["connect", &format!("error -27 {STAGE_MQTT}"), "close 0 0", "returned 0"]);
    assert!(told[1].contains("/command"), "{}", told[1]);
}

/// What is no MQTT broker is told apart from one that is silent.
fn another_protocol(lane: Lane) {
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0x20, 0xff, 0xff, 0xff, 0xff, 0x01], &[0x30, 2, 0, 0]] {
        let broker = FakeBroker::start(Answers { garbage: Some(garbage), ..Answers::default() });
        let told = attempt(lane, broker.port(), "blocking", SECRET, 30_000, 0);
        assert_eq!(told.last().unwrap(), "returned\t-26", "{told:?}");
    }
}

/// A name server that does not answer holds up nothing.
fn no_name_server(lane: Lane) {
    let told = CProgram::start("resolving", lane, &["no-such-host.invalid", "1883"]).finish();
    let kinds = kinds(&told);
    assert_eq!(kinds, ["waits", "error -20 1", "close 0 0", "error -20 1", "close -20 1"]);
    assert!(told[1].contains("no-such-host.invalid"), "{}", told[1]);
}

/// A process without descriptors is told what is wrong, and its devices connect when there are some again.
fn no_descriptors(lane: Lane) {
    let broker = Broker::start(lane);
    CProgram::start("starved", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]).finish();
}

over_every_transport!(wrong_secret);

in_every_lane!(
    nobody_listens,
    refused_by_connack,
    silent_brokers,
    subscription_refused,
    another_protocol,
    no_name_server,
    no_descriptors,
);
