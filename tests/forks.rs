//! A program that forks: what is its own stays so, and what the child may do with its copy.

use crate::support::{Broker, CProgram, DEVICE_ID, Lane, eventually, over_every_transport, state_topic};

/// How often a client connected, and how often it took leave.
fn visits(broker: &Broker, client: &str) -> (usize, usize) {
    let log = broker.log();
    let came = log.matches(&format!(" as {client} (")).count();
    (came, log.matches(&format!("Received DISCONNECT from {client}")).count())
}

/// Whatever a child does, its parent's device has one connection, on which everything arrives once and in order.
fn a_busy_device_and_its_children(lane: Lane) {
    let broker = Broker::start_with(lane, "max_queued_messages 0");
    let children = match lane {
        Lane::Valgrind => "4",
        // Mosquitto takes a third of a second for each connection over WebSocket.
        Lane::Ws | Lane::Wss => "60",
        _ => "200",
    };
    for way in ["start", "epoll"] {
        let mut observer = broker.subscriber();
        let before = visits(&broker, DEVICE_ID);
        let port = broker.device_port(lane).to_string();
        let mut program = CProgram::start("forking", lane, &["127.0.0.1", &port, way, children]);
        program.expect("connected");
        let mut commands = 0;
        loop {
            broker.command("{\"name\":\"busy\"}");
            commands += 1;
            if program.has_said("forked") {
                break;
            }
        }
        assert_eq!(visits(&broker, DEVICE_ID), (before.0 + 1, before.1), "{way}: one connection");
        program.say("end");
        let sum = program.expect(&format!("{commands} heard, "));
        assert!(sum.ends_with(" delivered, 0 resent"), "{sum}");
        assert!(program.finish().iter().all(|line| !line.contains("connect\t") && !line.starts_with("error")));
        let gone = (before.0 + 1, before.1 + 1);
        eventually("one farewell", || visits(&broker, DEVICE_ID) == gone);

        let delivered: usize = sum.split(' ').nth(2).and_then(|number| number.parse().ok()).expect("a number");
        let (mut numbers, mut answers) = (0, 0);
        while numbers + answers < delivered {
            let message = observer.next_on(&state_topic());
            if message.text().contains("\"heard\"") {
                answers += 1;
            } else {
                assert!(message.text().ends_with(&format!("{{\"n\":{numbers}}}}}")), "{way}: {}", message.text());
                numbers += 1;
            }
        }
        assert_eq!(answers, commands);
    }
}

fn a_child_that_returns_from_a_callback(lane: Lane) {
    let broker = Broker::start(lane);
    for way in lane.ways() {
        let before = visits(&broker, DEVICE_ID);
        let port = broker.device_port(lane).to_string();
        let said = CProgram::start("forking_inside", lane, &["127.0.0.1", &port, way]).finish();
        assert_eq!(said, ["closed"], "{way}");
        let gone = (before.0 + 1, before.1 + 1);
        eventually("one farewell", || visits(&broker, DEVICE_ID) == gone);
    }
}

over_every_transport!(a_busy_device_and_its_children, a_child_that_returns_from_a_callback);
