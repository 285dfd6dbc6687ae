//! The library is a guest in its host's process: its threads, its descriptors, its signals.

use crate::support::{
    Broker, CProgram, FakeBroker, Lane, Manner, Proxy,
    c_program::{dynamic_section, shared_library},
    eventually,
    fake_broker::read_packet,
    in_every_lane, over_every_transport, state_topic,
};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::Shutdown,
};

/// Ten started devices share one thread, which goes with the last of them, and comes again.
fn ten_devices_on_one_thread(lane: Lane) {
    let broker = Broker::start(lane);
    let mut observer = broker.subscriber();
    let mut program = CProgram::start("ten", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]);
    program.expect("made");
    assert_eq!(program.threads(), 1, "a device that is not connected needs no thread");

    program.say("start");
    let mut reports: BTreeSet<(String, String)> = BTreeSet::new();
    for _ in 0..10 {
        let message = observer.next();
        let (_, data) = message.text().split_once(",\"data\":").unwrap();
        reports.insert((message.topic.clone(), data.to_owned()));
    }
    let expected = (0..10).map(|n| (format!("losant/device-{n}/state"), format!("{{\"number\":{n}}}}}"))).collect();
    assert_eq!(reports, expected);
    assert_eq!((program.threads_named("losant"), program.threads()), (1, 2));

    for number in 0..10 {
        broker.publish(&format!("losant/device-{number}/command"), format!("{{\"name\":\"for {number}\"}}"));
        let answer = observer.next_on(&format!("losant/device-{number}/state"));
        assert!(answer.text().ends_with(&format!("\"data\":{{\"heard\":\"for {number}\"}}}}")), "{}", answer.text());
    }

    for number in 0..9 {
        program.say(&format!("close {number}"));
        program.expect("close ");
    }
    assert_eq!(program.threads_named("losant"), 1, "one device is still connected");
    program.say("close 9");
    program.expect("close device-9");
    eventually("the thread ends with the last device", || program.threads() == 1);

    program.say("start");
    for _ in 0..10 {
        program.expect("connect ");
    }
    assert_eq!((program.threads_named("losant"), program.threads()), (1, 2));
    for number in 0..10 {
        program.say(&format!("free {number}"));
        program.expect("did free");
    }
    eventually("the thread ends with the last device", || program.threads() == 1);
    program.end_input();
    program.finish();
}

fn keeps_to_itself(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        CProgram::start("guest", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]).finish();
    }
}

/// A broker that vanishes while the device writes does not kill a host that leaves SIGPIPE as it is.
fn survives_writing_to_a_broker_that_is_gone(lane: Lane) {
    let broker = FakeBroker::serving(|mut stream| {
        let _ = read_packet(&mut stream)?;
        stream.write_all(&[0x20, 2, 0, 0])?;
        let (_, subscribe) = read_packet(&mut stream)?;
        stream.write_all(&[0x90, 3, subscribe[0], subscribe[1], 0])?;
        // Ends its side, then goes with bytes unread: the next write but one of the device would be a SIGPIPE.
        stream.read_exact(&mut [0])?;
        stream.shutdown(Shutdown::Write)
    });
    let losses = if lane == Lane::Valgrind { "2" } else { "50" };
    for way in ["blocking", "start"] {
        CProgram::start("sigpipe", lane, &["127.0.0.1", &broker.port().to_string(), way, losses]).finish();
    }
}

/// A wake-up that fails is logged with no lock held.
fn tells_of_wake_ups_that_fail(lane: Lane) {
    let broker = Broker::start(lane);
    for way in ["start", "epoll"] {
        CProgram::start("unwakeable", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]).finish();
    }
}

/// The same where the bytes go through other hands first.
fn survives_writing_to_a_proxy_that_is_gone(lane: Lane) {
    let broker = Broker::start(lane);
    let proxy = Proxy::with(broker.device_port(lane), Manner::HangUpAfter(40_000));
    // Mosquitto takes a third of a second for each connection over WebSocket.
    let losses = match lane {
        Lane::Valgrind => "2",
        Lane::Ws | Lane::Wss => "10",
        _ => "50",
    };
    for way in ["blocking", "start"] {
        CProgram::start("sigpipe", lane, &["127.0.0.1", &proxy.port().to_string(), way, losses]).finish();
    }
}

fn registers_no_handlers_and_leaves_the_environment_alone(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        CProgram::start("handlers", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), way]).finish();
    }
}

/// The program's exit status is its own, whatever the library is doing at that moment.
fn ends_with_devices_connected(lane: Lane) {
    let broker = Broker::start(lane);
    let rounds = if matches!(lane, Lane::Valgrind | Lane::Ws | Lane::Wss) { 1 } else { 10 };
    for way in lane.ways() {
        for how in ["inside", "busy", "late"] {
            for _ in 0..rounds {
                let port = broker.device_port(lane).to_string();
                let mut program = CProgram::start("exiting", lane, &["127.0.0.1", &port, way, how]);
                let status = program.wait();
                assert_eq!((status.code(), program.errors().as_str()), (Some(7), ""), "{way} {how}: {status}");
            }
        }
    }
}

/// Every function works on a thread that is about to end, as from a destructor of the program's thread-local data.
#[test]
fn works_in_destructors_of_thread_data() {
    // Not under valgrind: what Rust's standard library registers for a thread that is ending already, nobody takes back.
    for lane in [Lane::Shared, Lane::Static, Lane::Tls] {
        let broker = Broker::start(lane);
        CProgram::start("thread_data", lane, &["127.0.0.1", &broker.device_port(lane).to_string()]).finish();
    }
}

/// System calls that signals interrupt are made again.
fn goes_on_when_interrupted(lane: Lane) {
    const STATES: usize = 2000;
    let broker = Broker::start_with(lane, "max_queued_messages 0");
    let mut observer = broker.subscriber();
    for way in lane.ways() {
        let states = if lane == Lane::Valgrind { STATES / 10 } else { STATES };
        let port = broker.device_port(lane).to_string();
        let program = CProgram::start("interrupted", lane, &["127.0.0.1", &port, way, &states.to_string()]);
        for number in 0..states {
            let message = observer.next_on(&state_topic());
            assert!(message.text().ends_with(&format!("\"data\":{{\"n\":{number}}}}}")), "{}", message.text());
        }
        for _ in 0..9 {
            broker.command("{\"name\":\"go on\"}");
        }
        broker.command("{\"name\":\"stop\"}");
        assert_eq!(program.finish(), ["10 commands"], "{way}");
    }
}

/// The library stays loaded for a background thread that is in it.
fn stays_loaded(lane: Lane) {
    // Not left to the C library, which may or may not hold what has thread-local data.
    assert!(dynamic_section().contains("NODELETE"));
    let broker = Broker::start(lane);
    let mut observer = broker.subscriber();
    let library = shared_library().display().to_string();
    let mut program =
        CProgram::start("unloaded", lane, &["127.0.0.1", &broker.device_port(lane).to_string(), &library]);
    observer.next_on(&state_topic());
    broker.command("{\"name\":\"unloaded\"}");
    program.expect("heard unloaded");
    program.say("free");
    program.finish();
}

mod stays_loaded_after_dlclose {
    crate::support::lane::lane_tests!(stays_loaded: shared Shared, over_tls Tls, under_valgrind Valgrind);
}

over_every_transport!(
    survives_writing_to_a_proxy_that_is_gone,
    registers_no_handlers_and_leaves_the_environment_alone,
    ends_with_devices_connected,
    goes_on_when_interrupted,
);

over_every_transport!(ten_devices_on_one_thread, keeps_to_itself);

in_every_lane!(survives_writing_to_a_broker_that_is_gone, tells_of_wake_ups_that_fail);
