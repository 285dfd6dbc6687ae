//! A slow link is not a dead one, and a broker through which nothing gets is left.

use crate::support::{
    DEADLINE, DEVICE_ID, FakeBroker, KEY, SECRET, command_topic,
    fake_broker::{answer, message, read_packet},
    slow_link::{SlowLink, WebSocketBytes},
    state_topic,
};
use losant::{Device, Error, Event, EventType, Stage::*, Status::*, Transport::*};
use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// More than a keep-alive period of one second lasts twice, on a busy machine, and far less than for ever.
const SOON: Duration = Duration::from_secs(15);

/// What a test hears of.
#[derive(Debug, PartialEq)]
enum Told {
    Connected,
    Delivered(u64),
    Command(usize),
    Error(Error),
}

struct Client {
    device: Device,
    told: Receiver<Told>,
}

impl Client {
    /// A device with a keep-alive of one second.
    fn new(port: u16, websocket: bool) -> Client {
        let device = Device::new(DEVICE_ID, Some((KEY, SECRET))).unwrap();
        device.set_host("127.0.0.1").unwrap();
        device.set_port(port).unwrap();
        device.set_secure(false).unwrap();
        device.set_keep_alive_seconds(1).unwrap();
        device.set_reconnect_delay(10, 50).unwrap();
        if websocket {
            device.set_transport(LOSANT_TRANSPORT_WEBSOCKETS).unwrap();
        }
        let (tell, told) = channel();
        for kind in EventType::ALL {
            let tell = tell.clone();
            device.add_observer(*kind, move |_, event| {
                let _ = match event {
                    Event::Connect | Event::Reconnect => tell.send(Told::Connected),
                    Event::Delivered { id } => tell.send(Told::Delivered(*id)),
                    Event::Command { command, .. } => tell.send(Told::Command(command.payload.len())),
                    Event::Error(error) => tell.send(Told::Error(error.clone())),
                    _ => Ok(()),
                };
            });
        }
        Client { device, told }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("something happens")
    }

    fn error(&self) -> Error {
        loop {
            if let Told::Error(error) = self.next() {
                return error;
            }
        }
    }

    fn delivers(&self, id: u64) {
        while self.next() != Told::Delivered(id) {}
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.device.shut_down().unwrap();
    }
}

/// Answers as a broker does until `last` says so.
fn serve(stream: &mut (impl Read + Write), mut last: impl FnMut(u8) -> bool) -> io::Result<()> {
    loop {
        let (first, body) = read_packet(stream)?;
        if last(first >> 4) {
            return Ok(());
        }
        if let Some(answer) = answer(first, &body) {
            stream.write_all(&answer)?;
        }
    }
}

fn ignore(stream: &mut impl Read) {
    while read_packet(stream).is_ok() {}
}

/// Answers a state with this, and then nothing; content on the next connection.
fn broker_that_once_sends(begin: &'static [u8], then: &'static [u8]) -> FakeBroker {
    let connections = Arc::new(AtomicUsize::new(0));
    FakeBroker::serving(move |mut stream| {
        if connections.fetch_add(1, SeqCst) > 0 {
            return serve(&mut stream, |_| false);
        }
        serve(&mut stream, |kind| kind == 3)?;
        stream.write_all(begin)?;
        if then.is_empty() {
            ignore(&mut stream);
        }
        loop {
            stream.write_all(then)?;
            thread::sleep(Duration::from_millis(100));
        }
    })
}

#[test]
fn a_broker_that_begins_a_packet_and_never_ends_it_is_left() {
    for (begin, then, status) in [
        (&b"\x30\xff\xff\x3f"[..], &b""[..], LOSANT_ERR_KEEP_ALIVE),
        (b"\x30\xff\xff\x3f\0\x01t", b"x", LOSANT_ERR_KEEP_ALIVE),
        (b"\x40\x02\0", b"", LOSANT_ERR_KEEP_ALIVE),
        // Whole ones, and never a PINGRESP or a PUBACK.
        (b"", b"\x30\x04\0\x01tx", LOSANT_ERR_KEEP_ALIVE),
        (b"", b"\x40\x02\x0f\xff", LOSANT_ERR_KEEP_ALIVE),
        (b"\x40\xa0\xf6\x36", b"", LOSANT_ERR_PROTOCOL),
        (b"\x90\xff\xff\x03", b"", LOSANT_ERR_PROTOCOL),
        (b"\x40\x06\0\x02", b"", LOSANT_ERR_PROTOCOL),
    ] {
        let broker = broker_that_once_sends(begin, then);
        let client = Client::new(broker.port(), false);
        client.device.start().unwrap();
        assert_eq!(client.next(), Told::Connected);
        let begun = Instant::now();
        let id = client.device.send_state("{\"n\":1}", 0).unwrap();
        let error = client.error();
        assert_eq!((error.status, error.stage), (status, LOSANT_STAGE_ONLINE), "{begin:?} {then:?}: {error}");
        client.delivers(id);
        assert!(begun.elapsed() < SOON, "{begin:?} {then:?}: {:?}", begun.elapsed());
    }
}

/// A broker at the end of a link of 25 KB/s. How many connections it has had, and how many states came.
struct SlowBroker {
    broker: FakeBroker,
    connections: Arc<AtomicUsize>,
    states: Arc<AtomicUsize>,
}

impl SlowBroker {
    /// Sends this as soon as the device has subscribed.
    fn start(websocket: bool, holds_little: bool, command: Vec<u8>) -> SlowBroker {
        let (connections, states): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (count, came) = (connections.clone(), states.clone());
        let broker = FakeBroker::serving(move |stream| {
            count.fetch_add(1, SeqCst);
            let mut link = SlowLink::new(stream, 25_000, holds_little)?;
            if websocket {
                let mut link = WebSocketBytes::accept(link)?;
                converse(&mut link, &came, &command)
            } else {
                converse(&mut link, &came, &command)
            }
        });
        SlowBroker { broker, connections, states }
    }
}

fn converse(stream: &mut (impl Read + Write), states: &AtomicUsize, command: &[u8]) -> io::Result<()> {
    loop {
        let (first, body) = read_packet(stream)?;
        states.fetch_add(usize::from(first >> 4 == 3), SeqCst);
        if let Some(answer) = answer(first, &body) {
            stream.write_all(&answer)?;
        }
        if first >> 4 == 8 && !command.is_empty() {
            stream.write_all(command)?;
        }
    }
}

fn goes_once(websocket: bool, holds_little: bool) {
    let slow = SlowBroker::start(websocket, holds_little, Vec::new());
    let client = Client::new(slow.broker.port(), websocket);
    let id = client.device.send_state(&format!("{{\"s\":\"{}\"}}", "x".repeat(100_000)), 0).unwrap();
    client.device.start().unwrap();
    assert_eq!(client.next(), Told::Connected);
    assert_eq!(client.next(), Told::Delivered(id));
    assert_eq!((slow.connections.load(SeqCst), slow.states.load(SeqCst)), (1, 1));
}

/// Over a link that takes a large state as it goes, and over one that takes it at once and is silent for as long as it needs.
#[test]
fn a_large_state_goes_once_over_a_slow_link() {
    thread::scope(|scope| {
        for (websocket, holds_little) in [(false, true), (false, false), (true, true), (true, false)] {
            scope.spawn(move || goes_once(websocket, holds_little));
        }
    });
}

fn comes(websocket: bool) {
    let payload = format!("\"{}\"", "x".repeat(100_000));
    let command = format!("{{\"name\":\"large\",\"payload\":{payload}}}");
    let slow = SlowBroker::start(websocket, true, message(&command_topic(), command.as_bytes()));
    let client = Client::new(slow.broker.port(), websocket);
    client.device.start().unwrap();
    assert_eq!(client.next(), Told::Connected);
    assert_eq!(client.next(), Told::Command(payload.len()));
    assert_eq!(slow.connections.load(SeqCst), 1);
}

#[test]
fn a_large_command_comes_over_a_slow_link() {
    comes(false);
}

/// In one frame, of which nothing can be read before its end.
#[test]
fn a_large_command_comes_over_a_slow_websocket() {
    comes(true);
}

#[test]
fn the_packet_that_the_broker_closed_on_is_told() {
    for (kind, after) in [
        (1, "CONNECT".to_owned()),
        (8, format!("SUBSCRIBE to {}", command_topic())),
        (3, format!("PUBLISH to {}", state_topic())),
    ] {
        // What is unread when it closes makes the difference between an end and a reset.
        for unread in [false, true] {
            let broker = FakeBroker::serving(move |mut stream| {
                let mut byte = [0];
                loop {
                    if unread && stream.peek(&mut byte).is_ok() && byte[0] >> 4 == kind {
                        return Ok(());
                    }
                    let (first, body) = read_packet(&mut stream)?;
                    if first >> 4 == kind {
                        return Ok(());
                    }
                    answer(first, &body).map_or(Ok(()), |answer| stream.write_all(&answer))?;
                }
            });
            let client = Client::new(broker.port(), false);
            if kind == 3 {
                client.device.send_state("{}", 0).unwrap();
            }
            client.device.start().unwrap();
            let error = client.error();
            assert_eq!(error.status, LOSANT_ERR_CONNECTION_LOST, "{error}");
            assert!(error.text.ends_with(&format!(" after {after}")), "{}", error.text);
        }
    }
}
