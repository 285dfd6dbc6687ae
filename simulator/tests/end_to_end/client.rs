//! A client that says exactly what a test wants said.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use losant_simulator::{Config, DeviceConfig, Records, Simulator};

/// Longer than anything takes; what takes longer has failed.
pub const LIMIT: Duration = Duration::from_secs(30);

pub const STATE: &[u8] = br#"{"data":{"a":1}}"#;

pub fn config() -> Config {
    let mut gateway = DeviceConfig::new("g", "key", "secret");
    gateway.peripherals.push("p".into());
    Config::new(vec![DeviceConfig::new("d", "key", "secret"), gateway])
}

pub fn start(config: Config) -> Simulator {
    Simulator::start(config).expect("the simulator starts")
}

pub fn wait(simulator: &Simulator, predicate: impl FnMut(&Records) -> bool) {
    if !simulator.wait_until(predicate, LIMIT) {
        panic!("it has not happened: {:#?}", simulator.read(Clone::clone));
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// A packet from its first byte and what follows the length.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    while length > 127 {
        bytes.push((length % 128) as u8 | 0x80);
        length /= 128;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

pub fn connect(flags: u8, id: &str, key: &str, secret: &str) -> Vec<u8> {
    packet(0x10, &[text("MQTT"), vec![4, flags, 0, 60], text(id), text(key), text(secret)].concat())
}

/// A publish of QoS 1 when it has an id, else of QoS 0.
pub fn publish(topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let (first, id) = id.map_or((0x30, Vec::new()), |id| (0x32, id.to_be_bytes().to_vec()));
    packet(first, &[&text(topic), &id[..], payload].concat())
}

pub fn subscribe(topic: &str) -> Vec<u8> {
    packet(0x82, &[vec![0, 7], text(topic), vec![1]].concat())
}

pub fn puback(id: u16) -> Option<Vec<u8>> {
    Some(packet(0x40, &id.to_be_bytes()))
}

pub const PINGREQ: [u8; 2] = [0xc0, 0];
pub const PINGRESP: [u8; 2] = [0xd0, 0];

pub struct Client<S> {
    pub stream: S,
}

pub fn socket(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
    stream
}

impl Client<TcpStream> {
    pub fn open(simulator: &Simulator) -> Self {
        Self { stream: socket(simulator.port()) }
    }

    /// A client that has been accepted as this device.
    pub fn accepted(simulator: &Simulator, id: &str) -> Self {
        let mut client = Self::open(simulator);
        client.log_in(id);
        client
    }

    /// Like `accepted`, and subscribed to the device's commands.
    pub fn subscribed(simulator: &Simulator, id: &str) -> Self {
        let mut client = Self::accepted(simulator, id);
        client.send(&subscribe(&format!("losant/{id}/command")));
        assert_eq!(client.receive(), Some(vec![0x90, 3, 0, 7, 0]));
        client
    }
}

impl<S: Read + Write> Client<S> {
    pub fn log_in(&mut self, id: &str) {
        self.send(&connect(0xc2, id, "key", "secret"));
        assert_eq!(self.receive(), Some(vec![0x20, 2, 0, 0]));
    }

    /// Sends bytes; that the connection has ended shows in what is received.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Fills the buffer; `None` when the connection ends before.
    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.fill(&mut byte).map(|()| byte[0])
    }

    /// The next packet; `None` when the connection ends before it is complete.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![self.byte()?];
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            bytes.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let header = bytes.len();
        bytes.resize(header + length, 0);
        self.fill(&mut bytes[header..])?;
        Some(bytes)
    }

    /// The topic and the payload of the QoS 0 message that comes next.
    pub fn message(&mut self) -> (String, Vec<u8>) {
        let bytes = self.receive().expect("a message");
        assert_eq!(bytes[0], 0x30);
        let header = 1 + bytes[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
        let length = usize::from(u16::from_be_bytes([bytes[header], bytes[header + 1]]));
        let (topic, payload) = bytes[header + 2..].split_at(length);
        (String::from_utf8_lossy(topic).into_owned(), payload.to_vec())
    }
}
