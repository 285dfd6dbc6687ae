//! TLS and WebSocket carry the same as TCP, large messages too.

use std::io::{self, Cursor, Read, Write};

use losant_simulator::{Config, Fault, Identity, Simulator, Transport};
use native_tls::{Certificate, TlsConnector};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::client::*;

/// A WebSocket as a stream of bytes.
struct Bytes<S> {
    socket: WebSocket<S>,
    rest: Cursor<Vec<u8>>,
}

impl<S: Read + Write> Read for Bytes<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.rest.read(buffer)? {
                0 => match self.socket.read() {
                    Ok(message) => self.rest = Cursor::new(message.into_data().to_vec()),
                    Err(_) => return Ok(0),
                },
                length => return Ok(length),
            }
        }
    }
}

impl<S: Read + Write> Write for Bytes<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(Message::binary(bytes.to_vec())).map(|()| bytes.len()).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn upgrade<S: Read + Write>(stream: S) -> Bytes<S> {
    let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().expect("a value"));
    let Ok((socket, _)) = tungstenite::client(request, stream) else { panic!("no WebSocket") };
    Bytes { socket, rest: Cursor::default() }
}

/// Bytes in both directions.
pub trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}
pub type Pipe = Box<dyn Duplex>;

/// A certificate for simulators, and clients that trust it.
pub struct Network {
    identity: Identity,
    connector: TlsConnector,
}

impl Network {
    pub fn new() -> Self {
        let identity = Identity::self_signed(vec!["localhost".into()]).expect("a certificate");
        let root = Certificate::from_pem(&identity.certificate_pem).expect("a certificate");
        let connector = TlsConnector::builder().add_root_certificate(root).build().expect("a connector");
        Self { identity, connector }
    }

    pub fn config(&self, transports: &[Transport]) -> Config {
        let listeners = transports.iter().map(|transport| (*transport, 0)).collect();
        Config { listeners, identity: Some(self.identity.clone()), ..config() }
    }

    pub fn connect(&self, transport: Transport, port: u16) -> Pipe {
        let secure = |socket| self.connector.connect("localhost", socket).expect("a TLS connection");
        match transport {
            Transport::Tcp => Box::new(socket(port)),
            Transport::Tls => Box::new(secure(socket(port))),
            Transport::WebSocket => Box::new(upgrade(socket(port))),
            Transport::SecureWebSocket => Box::new(upgrade(secure(socket(port)))),
        }
    }
}

fn talk(simulator: &Simulator, stream: impl Read + Write) {
    let mut client = Client { stream };
    client.log_in("d");
    client.send(&subscribe("losant/d/command"));
    assert_eq!(client.receive(), Some(vec![0x90, 3, 0, 7, 0]));
    let mut payload = STATE.to_vec();
    payload.resize(200_000, b' ');
    client.send(&publish("losant/d/state", Some(1), &payload));
    assert_eq!(client.receive(), puback(1));
    simulator.set_fault("d", Fault::HugeCommand { bytes: 5_000_000 });
    assert!(client.message().1.len() > 5_000_000);
    simulator.set_fault("d", Fault::Truncated { close: true });
    assert_eq!(client.receive(), None);
}

#[test]
fn every_transport_carries_the_same() {
    let network = Network::new();
    let all = [Transport::Tcp, Transport::Tls, Transport::WebSocket, Transport::SecureWebSocket];
    let simulator = start(network.config(&all));
    for (transport, port) in simulator.ports() {
        talk(&simulator, network.connect(transport, port));
    }
    assert_eq!(simulator.states().len(), 4);
}

#[test]
fn a_websocket_is_closed_with_a_code_and_a_reason() {
    let mut config = config();
    config.listeners = vec![(Transport::WebSocket, 0), (Transport::Tcp, 0)];
    let simulator = start(config);
    let close = Fault::CloseWebSocket { code: 1008, reason: "quota exceeded".into() };
    simulator.set_fault("d", close.clone());
    let mut client = Client { stream: upgrade(socket(simulator.port())) };
    // What is on its way comes before.
    client.log_in("d");
    let frame = match client.stream.socket.read() {
        Ok(Message::Close(Some(frame))) => frame,
        other => panic!("{other:?}"),
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "quota exceeded"));
    assert!(client.stream.socket.read().is_err());
    wait(&simulator, |records| records.connections[0].closed.as_deref() == Some("closed on request"));

    simulator.set_fault("d", close);
    let mut client = Client { stream: socket(simulator.ports()[1].1) };
    client.log_in("d");
    assert_eq!(client.receive(), None);
}

#[test]
fn what_is_no_handshake_ends_the_connection() {
    let mut config = config();
    config.listeners = vec![(Transport::WebSocket, 0)];
    let simulator = start(config);
    let mut client = Client::open(&simulator);
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    while client.byte().is_some() {}
    wait(&simulator, |records| records.connections[0].closed.is_some());
}
