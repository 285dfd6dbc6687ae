//! Slow links, whatever they carry.

use std::io::Write;
use std::time::{Duration, Instant};

use losant_simulator::{Config, Rate, Simulator, Transport};
use socket2::SockRef;

use crate::client::*;
use crate::transports::{Network, Pipe};

const RATE: u64 = 40_000;
const COMMAND: usize = 20_000;
/// It takes longer than a device with a keep-alive of one second may be silent.
const BIG: usize = 80_000;

fn log_in(client: &mut Client<Pipe>) {
    let mut connect = connect(0xc2, "d", "key", "secret");
    // The keep-alive.
    connect[11] = 1;
    client.send(&connect);
    assert_eq!(client.receive(), Some(vec![0x20, 2, 0, 0]));
    client.send(&subscribe("losant/d/command"));
    assert_eq!(client.receive(), Some(vec![0x90, 3, 0, 7, 0]));
}

/// A little less than so many bytes take.
fn time(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / RATE as f64 * 0.8)
}

fn talk(simulator: &Simulator, mut client: Client<Pipe>) {
    log_in(&mut client);
    let mut payload = STATE.to_vec();
    payload.resize(BIG, b' ');
    let begin = Instant::now();
    client.send(&publish("losant/d/state", Some(1), &payload));
    assert_eq!(client.receive(), puback(1));
    assert!(begin.elapsed() >= time(BIG), "up: {:?}", begin.elapsed());

    let begin = Instant::now();
    simulator.send("losant/d/command", &vec![b' '; COMMAND]);
    assert_eq!(client.message().1.len(), COMMAND);
    assert!(begin.elapsed() >= time(COMMAND), "down: {:?}", begin.elapsed());

    // A rate can be taken back while the connection stands.
    simulator.set_rate(Rate::default());
    let begin = Instant::now();
    simulator.send("losant/d/command", &vec![b' '; 100 * RATE as usize]);
    assert_eq!(client.message().1.len(), 100 * RATE as usize);
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert!(simulator.violations().is_empty());
}

fn slow(transport: Transport) {
    let network = Network::new();
    let config = network.config(&[transport]);
    let simulator = start(Config { rate: Rate { up: Some(RATE), down: Some(RATE) }, ..config });
    talk(&simulator, Client { stream: network.connect(transport, simulator.port()) });
}

#[test]
fn a_slow_link_carries_mqtt() {
    slow(Transport::Tcp);
}

#[test]
fn a_slow_link_carries_tls() {
    slow(Transport::Tls);
}

#[test]
fn a_slow_link_carries_websocket() {
    slow(Transport::WebSocket);
}

#[test]
fn a_slow_link_carries_secure_websocket() {
    slow(Transport::SecureWebSocket);
}

/// What a device with a small buffer can write before it has to wait.
fn writable(simulator: &Simulator) -> usize {
    let mut client = Client::accepted(simulator, "d");
    SockRef::from(&client.stream).set_send_buffer_size(8_192).expect("a buffer");
    client.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let message = publish("losant/d/state", None, &[b' '; 250_000]);
    let mut written = 0;
    while let Ok(length) = client.stream.write(&message[written..]) {
        written += length;
        if written == message.len() {
            break;
        }
    }
    written
}

#[test]
fn what_the_link_does_not_carry_stays_with_the_device() {
    let simulator = start(Config { rate: Rate { up: Some(1_000), down: None }, ..config() });
    let written = writable(&simulator);
    assert!(written < 100_000, "{written}");
    drop(simulator);

    let simulator = start(config());
    assert!(writable(&simulator) > 250_000);
    simulator.set_rate(Rate { up: Some(1_000), down: None });
    let written = writable(&simulator);
    assert!(written < 100_000, "{written}");
}

#[test]
fn one_direction_is_slow_alone() {
    let simulator = start(Config { rate: Rate { up: None, down: Some(RATE) }, ..config() });
    let mut client = Client::subscribed(&simulator, "d");
    let begin = Instant::now();
    client.send(&publish("losant/d/state", None, &[b' '; 250_000]));
    wait(&simulator, |records| records.publishes.len() == 1);
    assert!(begin.elapsed() < time(250_000), "{:?}", begin.elapsed());
    let begin = Instant::now();
    simulator.send("losant/d/command", &[b' '; COMMAND]);
    client.message();
    assert!(begin.elapsed() >= time(COMMAND), "{:?}", begin.elapsed());
}
