//! Connections are lost; states are not.

use crate::support::{Broker, CProgram, Lane, Listener, Process, Proxy, Subscriber, over_every_transport, state_topic};

/// A broker whose observers miss nothing while it restarts.
fn lasting_broker(lane: Lane) -> Broker {
    Broker::start_with(lane, "persistence true\nqueue_qos0_messages true\nmax_queued_messages 0\n")
}

/// Starts tests/c/delivery/steady.c and waits until it is connected.
fn steady(lane: Lane, port: u16, way: &str, keep_alive_s: &str) -> Process {
    let mut program = CProgram::start("steady", lane, &["127.0.0.1", &port.to_string(), way, "1", keep_alive_s]);
    program.expect("connect");
    program
}

/// The states that an observer has seen.
#[derive(Default)]
struct Arrivals {
    last: usize,
    /// Those that came again.
    repeated: usize,
}

impl Arrivals {
    /// Waits for all up to `last`: none missing and in order. Some may come again, and those after them, if their
    /// acknowledgements were lost.
    fn wait_for(&mut self, last: usize, observer: &mut Subscriber) {
        while self.last < last {
            let message = observer.next_on(&state_topic());
            let (_, data) = message.text().split_once(",\"data\":{\"n\":").expect("a state of this test");
            let number: usize = data.trim_end_matches('}').parse().expect("its number");
            assert!(number <= self.last + 1, "after {} came {number}", self.last);
            self.repeated += usize::from(number <= self.last);
            self.last = self.last.max(number);
        }
    }
}

fn closes_with_everything_delivered(mut program: Process, states: usize, arrivals: &Arrivals) {
    program.end_input();
    let told = program.finish();
    let counters = told.last().unwrap();
    println!("{counters}, came again {}", arrivals.repeated);
    assert!(
        counters.starts_with(&format!("accepted {states}, delivered {states}, dropped 0, queued 0, resent ")),
        "{counters}"
    );
    assert_eq!(told.iter().filter(|line| *line == "connect").count(), 1, "all later ones are reconnects");
}

/// The broker is killed while states flow, and comes back while they flow.
fn restart(lane: Lane, way: &str) {
    let mut broker = lasting_broker(lane);
    let mut observer = broker.lasting_subscriber();
    let mut program = steady(lane, broker.device_port(lane), way, "15");
    let mut arrivals = Arrivals::default();
    // Somewhere among these it is killed.
    program.say("send 2000");
    arrivals.wait_for(1, &mut observer);
    broker.kill();
    program.say("send 40");
    program.expect("error\t");
    program.say("send 20");
    broker.restart();
    program.say("send 40");
    program.expect("reconnect");
    arrivals.wait_for(2100, &mut observer);
    closes_with_everything_delivered(program, 2100, &arrivals);
}

fn broker_killed_and_restarted(lane: Lane) {
    let rounds = std::env::var("LOSANT_RESTART_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    for _ in 0..rounds {
        for way in lane.ways() {
            restart(lane, way);
        }
    }
}

/// A link that dies without a word is found by the keep-alive, and the device comes back when it works again.
fn link_gone_silent(lane: Lane) {
    for way in lane.ways() {
        let broker = lasting_broker(lane);
        let mut observer = broker.lasting_subscriber();
        let proxy = Proxy::to(broker.device_port(lane));
        let mut program = steady(lane, proxy.port(), way, "1");
        let mut arrivals = Arrivals::default();
        program.say("send 10");
        arrivals.wait_for(10, &mut observer);
        proxy.fall_silent();
        program.say("send 10");
        program.expect("error\t-25\t6\t");
        // Meanwhile it tries again, and tells what is missing.
        let (stage, missing) = match lane.listener() {
            Listener::Tcp => (5, "CONNACK"),
            Listener::Ws => (4, "WebSocket handshake"),
            _ => (3, "TLS handshake"),
        };
        let attempt = program.expect(&format!("error\t-22\t{stage}\t"));
        assert!(attempt.contains(missing), "{attempt}");
        program.say("send 10");
        proxy.recover();
        program.expect("reconnect");
        arrivals.wait_for(30, &mut observer);
        closes_with_everything_delivered(program, 30, &arrivals);
    }
}

over_every_transport!(broker_killed_and_restarted, link_gone_silent);
