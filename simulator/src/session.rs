//! One connection's side of the protocol, without I/O: bytes and the time in, bytes and the end out.

mod faults;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish, Subscribe};
use rumqttc::mqttbytes::{Error, Protocol, QoS};
use tungstenite::protocol::CloseFrame;

use crate::fault::{Drop, Fault, PubackFate};
use crate::packet;
use crate::platform::{Greeting, LARGEST, Platform};
use crate::record::Offence;

/// What a packet may have besides the largest payload: its topic and its id.
const OVERHEAD: usize = 65_535 + 4;
/// A PUBACK that is to come after the next one waits no longer.
const HOLD: Duration = Duration::from_millis(100);
/// A connection that sends no CONNECT is closed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct End {
    pub how: Drop,
    pub reason: String,
    /// What a WebSocket says before.
    pub frame: Option<CloseFrame>,
}

pub(crate) struct Session {
    platform: Arc<Platform>,
    id: u64,
    input: BytesMut,
    /// What is to be sent.
    pub out: Vec<u8>,
    /// Once it is set, nothing more is read; what is in `out` is still to be sent.
    pub end: Option<End>,
    device: Option<String>,
    /// The longest silence.
    patience: Option<Duration>,
    heard: Instant,
    paused: Option<Instant>,
    held: Vec<(u16, Instant)>,
    /// SUBACKs that wait for a PUBACK.
    subacks: Vec<u8>,
    /// Nothing more is answered, and what is read counts for nothing.
    silent: bool,
}

impl Session {
    pub fn new(platform: Arc<Platform>, id: u64, now: Instant) -> Self {
        let (input, out, held, subacks) = (BytesMut::new(), Vec::new(), Vec::new(), Vec::new());
        let (end, device, paused) = (None, None, None);
        let patience = Some(PATIENCE);
        Self { platform, id, input, out, end, device, patience, heard: now, paused, held, subacks, silent: false }
    }

    /// Whether nothing is to be read or written now.
    pub fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| now < until)
    }

    /// When to call `tick` again, if nothing else happens.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.is_paused(now) {
            return self.paused;
        }
        if self.end.is_some() {
            return None;
        }
        let silence = self.patience.map(|patience| self.heard + patience);
        self.held.iter().map(|&(_, until)| until).chain(silence).min()
    }

    /// Ends the connection; the first reason counts.
    pub fn finish(&mut self, how: Drop, reason: impl Into<String>) {
        let reason = reason.into();
        self.end.get_or_insert(End { how, reason, frame: None });
    }

    /// The device's silence is not counted meanwhile.
    fn pause(&mut self, until: Instant) {
        self.paused = Some(until);
        self.heard = until;
    }

    fn offend(&mut self, offence: Offence) {
        let reason = self.platform.offend(self.id, offence);
        self.finish(Drop::Fin, reason);
    }

    /// Something has come from the device, if no whole message yet.
    pub fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Takes a packet for the device.
    pub fn deliver(&mut self, packet: Vec<u8>) {
        if self.end.is_none() && !self.silent {
            self.out.extend(packet);
        }
    }

    /// Takes bytes from the device.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) {
        if self.end.is_some() {
            return;
        }
        self.heard = now;
        let due = self.device.as_deref().and_then(|device| self.platform.count_bytes(self.id, device, bytes.len()));
        let length = due.as_ref().map_or(bytes.len(), |(length, _)| bytes.len().min(*length));
        if !self.silent {
            self.input.extend_from_slice(&bytes[..length]);
        }
        if let Some((_, fault)) = due {
            self.packets(now);
            self.drop_on_request(fault);
        }
    }

    /// Handles the packets that are complete.
    pub fn packets(&mut self, now: Instant) {
        while self.end.is_none() && !self.is_paused(now) {
            let max_packet = self.max_packet();
            match Packet::read(&mut self.input, max_packet.unwrap_or(LARGEST + OVERHEAD)) {
                Ok(packet) => self.packet(packet, now),
                Err(Error::InsufficientBytes(_)) => break,
                Err(Error::PayloadSizeLimitExceeded(_)) if max_packet.is_some() => self.offend(Offence::MaxPacket),
                Err(Error::PayloadSizeLimitExceeded(_)) => self.offend(Offence::Oversize),
                Err(error) => {
                    if matches!(error, Error::InvalidProtocolLevel(_)) {
                        self.out.extend(packet::connack(1));
                    }
                    self.offend(Offence::Protocol(error.to_string()));
                }
            }
        }
    }

    /// The limit for the packet that comes next, when it is lower than the platform's.
    fn max_packet(&self) -> Option<usize> {
        let is_publish = self.input.first().is_some_and(|first| first >> 4 == 3);
        self.platform.config.max_packet.filter(|limit| is_publish && *limit < LARGEST + OVERHEAD)
    }

    fn packet(&mut self, packet: Packet, now: Instant) {
        let Some(device) = self.device.clone() else {
            return match packet {
                Packet::Connect(connect) => self.connect(&connect, now),
                _ => self.offend(Offence::Protocol("a packet before CONNECT".into())),
            };
        };
        match packet {
            Packet::Publish(message) => self.publish(&device, &message, now),
            Packet::Subscribe(subscribe) => self.subscribe(&device, &subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                self.platform.unsubscribe(self.id, &unsubscribe.topics);
                self.out.extend(packet::unsuback(unsubscribe.pkid));
            }
            Packet::PingReq => {
                self.platform.pinged(self.id);
                if self.take(|fault| matches!(fault, Fault::IgnorePings)).is_none() {
                    self.out.extend(packet::pingresp());
                }
            }
            Packet::Disconnect => self.finish(Drop::Fin, "disconnected by the device"),
            Packet::Connect(_) => self.offend(Offence::Protocol("a second CONNECT".into())),
            other => self.offend(Offence::Protocol(format!("not for a device to send: {other:?}"))),
        }
        if let Some(fault) = self.platform.count_packet(self.id, &device) {
            self.drop_on_request(fault);
        }
    }

    fn take(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        self.platform.take_fault(self.id, self.device.as_deref()?, wanted)
    }

    fn connect(&mut self, connect: &Connect, now: Instant) {
        if connect.protocol != Protocol::V4 {
            self.out.extend(packet::connack(1));
            return self.offend(Offence::Protocol("CONNECT for another version".into()));
        }
        let wanted = |fault: &Fault| matches!(fault, Fault::DelayConnack(_));
        if let Some(Fault::DelayConnack(delay)) = self.platform.take_fault(self.id, &connect.client_id, wanted) {
            self.pause(now + delay);
        }
        match self.platform.connect(self.id, connect) {
            Greeting::Accepted => {
                self.device = Some(connect.client_id.clone());
                let keep_alive = Duration::from_secs(connect.keep_alive.into());
                self.patience = (!keep_alive.is_zero()).then_some(keep_alive * 3 / 2);
                self.out.extend(packet::connack(0));
            }
            Greeting::Refused { code, reason } => {
                self.out.extend(code.into_iter().flat_map(packet::connack));
                self.finish(Drop::Fin, reason);
            }
        }
    }

    fn publish(&mut self, device: &str, message: &Publish, now: Instant) {
        if let Err(reason) = self.platform.publish(self.id, device, message) {
            return self.finish(Drop::Fin, reason);
        }
        if message.qos == QoS::AtMostOnce {
            return;
        }
        self.out.append(&mut self.subacks);
        let ack = packet::puback(message.pkid);
        match self.platform.puback_fate(self.id, device) {
            PubackFate::Lost => {}
            PubackFate::Held => return self.held.push((message.pkid, now + HOLD)),
            PubackFate::Sent => self.out.extend(ack),
            PubackFate::Doubled => {
                self.out.extend_from_slice(&ack);
                self.out.extend(ack);
            }
        }
        for (id, _) in self.held.drain(..) {
            self.out.extend(packet::puback(id));
        }
    }

    fn subscribe(&mut self, device: &str, subscribe: &Subscribe) {
        if self.take(|fault| matches!(fault, Fault::CloseAtSubscribe)).is_some() {
            return self.finish(Drop::Fin, "closed at SUBSCRIBE on request");
        }
        let topics: Vec<String> = subscribe.filters.iter().map(|filter| filter.path.clone()).collect();
        if let Err(reason) = self.platform.subscribe(self.id, device, &topics) {
            return self.finish(Drop::Fin, reason);
        }
        if self.take(|fault| matches!(fault, Fault::NoSuback)).is_some() {
            return;
        }
        let ack = packet::suback(subscribe.pkid, topics.len());
        match self.take(|fault| matches!(fault, Fault::JoinAcks)) {
            Some(_) => self.subacks.extend(ack),
            None => self.out.extend(ack),
        }
    }

    /// Does what is due at this time.
    pub fn tick(&mut self, now: Instant) {
        let silent = self.patience.is_some_and(|patience| now >= self.heard + patience);
        if self.end.is_none() && silent {
            self.finish(Drop::Fin, "nothing heard for one and a half keep-alives");
        }
        let out = &mut self.out;
        self.held.retain(|&(id, until)| {
            if now >= until {
                out.extend(packet::puback(id));
            }
            now < until
        });
        self.spontaneous(now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use super::*;
    use crate::config::{Config, DeviceConfig};
    use crate::fault::{After, Target};
    use crate::platform::Link;
    use crate::wake;

    const CONNECT: &[u8] = b"\x10\x1a\0\x04MQTT\x04\xc2\0\x3c\0\x01d\0\x03key\0\x06secret";
    const STATE: &[u8] = b"\x32\x22\0\x0elosant/d/state\0\x01{\"data\":{\"a\":1}}";
    const SUBSCRIBE: &[u8] = b"\x82\x15\0\x07\0\x10losant/d/command\0";
    const PINGREQ: &[u8] = b"\xc0\0";

    /// A session that nobody moves bytes for: what is fed to it is all that it reads.
    fn connected(platform: &Arc<Platform>) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let peer = listener.local_addr().expect("an address");
        let socket = TcpStream::connect(peer).expect("a connection");
        let link = Link { orders: mpsc::channel().0, waker: wake::pair().expect("a pair").0, socket, device: None };
        let now = Instant::now();
        let mut session = Session::new(platform.clone(), platform.opened(peer, link), now);
        read(&mut session, CONNECT);
        assert_eq!(std::mem::take(&mut session.out), packet::connack(0));
        session
    }

    fn read(session: &mut Session, bytes: &[u8]) {
        let now = Instant::now();
        session.feed(bytes, now);
        session.packets(now);
        session.tick(now);
    }

    fn platform() -> Arc<Platform> {
        Arc::new(Platform::new(Config::new(vec![DeviceConfig::new("d", "key", "secret")])))
    }

    #[test]
    fn nothing_counts_that_is_read_after_the_device_has_connected_again() {
        let ends = |reason: &End| reason.reason == "the device has connected again";
        let qos_2 = [&[0x34], &STATE[1..]].concat();
        let broken: &[u8] = b"\xf0\0";
        for late in [STATE, &qos_2, SUBSCRIBE, broken] {
            let platform = platform();
            let mut first = connected(&platform);
            read(&mut first, &[SUBSCRIBE, STATE].concat());
            let answers = std::mem::take(&mut first.out);
            assert_eq!(answers, [packet::suback(7, 1), packet::puback(1)].concat());

            let mut second = connected(&platform);
            assert_eq!(platform.deliver("losant/d/command", b"{}"), 0);
            read(&mut first, late);
            assert!(first.out.is_empty() && first.end.as_ref().is_some_and(ends), "{late:?}");
            read(&mut second, STATE);
            assert_eq!(second.out, packet::puback(1));
            platform.read(|records| {
                assert_eq!(records.states.iter().map(|state| state.connection).collect::<Vec<_>>(), [1, 2]);
                assert_eq!(records.connections[0].publishes, 1);
                assert!(records.violations.is_empty(), "{:?}", records.violations);
            });
        }
    }

    #[test]
    fn a_fault_comes_to_the_connection_that_stands() {
        let platform = platform();
        let mut first = connected(&platform);
        let mut second = connected(&platform);
        let drop = Fault::Drop(Drop::Rst, After::Now);
        platform.change_faults(&Target::All, |faults, device| faults.set(device, drop.clone(), None));
        read(&mut first, PINGREQ);
        assert!(first.end.is_none());
        read(&mut second, PINGREQ);
        assert!(second.end.is_some_and(|end| end.how == Drop::Rst));
    }
}
