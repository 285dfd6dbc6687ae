//! One MQTT 3.1.1 connection without its I/O: bytes and time go in, bytes, happenings and the next deadline come out.
//!
//! The rules are those of MQTT 3.1.1 (the section numbers below) as the Losant platform uses it: clean sessions only, no
//! QoS 2, no retained messages, subscriptions at QoS 0.

use crate::status::{
    Error,
    Status::{self, *},
};
use bytes::{Bytes, BytesMut};
use rumqttc::{
    ConnAck, Connect, ConnectReturnCode, Disconnect, FixedHeader, Login, PacketType, PingReq, PubAck, Publish, QoS,
    SubAck, Subscribe, SubscribeReasonCode, mqttbytes,
};
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// Packets longer than this end the connection before their bytes are stored: four times what the platform sends.
const MAX_INCOMING: usize = 1 << 20;

/// The one packet id of the SUBSCRIBE; publishes use the others.
const SUBSCRIBE_ID: u16 = 1;

/// What a session needs to know of its device. Not printable: it holds the secret.
pub(crate) struct Identity {
    pub client_id: String,
    /// Access key and secret.
    pub login: Option<(String, Zeroizing<String>)>,
    pub command_topic: String,
    pub keep_alive: Duration,
}

/// What the broker's bytes meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// CONNACK 0: states may flow.
    Accepted,
    /// SUBACK: commands will come, unless refused.
    Subscribed {
        refused: bool,
    },
    Acked(u16),
    Message {
        topic: String,
        payload: Bytes,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitsConnack,
    AwaitsSuback,
    Open,
}

pub(crate) struct Session {
    state: State,
    command_topic: String,
    keep_alive: Duration,
    /// When the broker's answer to CONNECT or SUBSCRIBE must have come.
    answer_by: Instant,
    answer_within: Duration,
    last_sent: Instant,
    last_received: Instant,
    /// When the PINGREQ that still waits for any packet was sent.
    pinged: Option<Instant>,
    last_packet_id: u16,
    input: BytesMut,
    output: BytesMut,
    /// Bytes taken from `output` so far.
    taken: u64,
}

impl Session {
    /// Begins with CONNECT in the output. `answer_by` is the connect deadline, `answer_within` its length, which the
    /// SUBSCRIBE gets anew.
    pub fn new(identity: &Identity, now: Instant, answer_by: Instant, answer_within: Duration) -> Self {
        let mut connect = Connect::new(identity.client_id.as_str());
        connect.keep_alive = u16::try_from(identity.keep_alive.as_secs()).unwrap_or(u16::MAX);
        connect.login =
            identity.login.as_ref().map(|(key, secret)| Login { username: key.clone(), password: secret.to_string() });
        let mut output = BytesMut::new();
        written(connect.write(&mut output));
        if let Some(login) = &mut connect.login {
            login.password.zeroize();
        }
        Session {
            state: State::AwaitsConnack,
            command_topic: identity.command_topic.clone(),
            keep_alive: identity.keep_alive,
            answer_by,
            answer_within,
            last_sent: now,
            last_received: now,
            pinged: None,
            last_packet_id: SUBSCRIBE_ID,
            input: BytesMut::new(),
            output,
            taken: 0,
        }
    }

    /// Reads what the broker sent. An error ends the connection; what came before it is in `happened`.
    pub fn receive(&mut self, bytes: &[u8], now: Instant, happened: &mut Vec<Incoming>) -> Result<(), Error> {
        self.last_received = now;
        self.pinged = None;
        self.input.extend_from_slice(bytes);
        loop {
            self.input.first().map_or(Ok(()), |first| known_type(*first))?;
            match mqttbytes::check(self.input.iter(), MAX_INCOMING) {
                Ok(header) => {
                    let packet = self.input.split_to(header.frame_length()).freeze();
                    self.handle(header, packet, now, happened)?;
                }
                Err(mqttbytes::Error::InsufficientBytes(_)) => break,
                Err(e) => return Err(malformed(e)),
            }
        }
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = BytesMut::new();
        }
        Ok(())
    }

    fn handle(
        &mut self,
        header: FixedHeader,
        packet: Bytes,
        now: Instant,
        happened: &mut Vec<Incoming>,
    ) -> Result<(), Error> {
        let kind = header.packet_type().map_err(malformed)?;
        // 3.2.0: the first packet of the broker must be CONNACK, and it comes once.
        if (self.state == State::AwaitsConnack) != (kind == PacketType::ConnAck) {
            let detail = format!("the broker sent a packet that has no place here: {kind:?}");
            return Err(Error::new(LOSANT_ERR_PROTOCOL, detail));
        }
        match kind {
            PacketType::ConnAck => {
                accepted(ConnAck::read(header, packet).map_err(malformed)?.code)?;
                self.state = State::AwaitsSuback;
                self.answer_by = now + self.answer_within;
                let mut subscribe = Subscribe::new(self.command_topic.as_str(), QoS::AtMostOnce);
                subscribe.pkid = SUBSCRIBE_ID;
                written(subscribe.write(&mut self.output));
                happened.push(Incoming::Accepted);
            }
            PacketType::SubAck => {
                let ack = SubAck::read(header, packet).map_err(malformed)?;
                // One that was not asked for does no harm.
                if self.state == State::AwaitsSuback && ack.pkid == SUBSCRIBE_ID {
                    self.state = State::Open;
                    let refused = !matches!(ack.return_codes.as_slice(), [SubscribeReasonCode::Success(_)]);
                    happened.push(Incoming::Subscribed { refused });
                }
            }
            PacketType::PubAck => happened.push(Incoming::Acked(PubAck::read(header, packet).map_err(malformed)?.pkid)),
            PacketType::Publish => self.message(Publish::read(header, packet).map_err(malformed)?, happened)?,
            // PINGRESP has done its work by arriving; [`known_type`] lets nothing else pass but UNSUBACK.
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, publish: Publish, happened: &mut Vec<Incoming>) -> Result<(), Error> {
        match publish.qos {
            QoS::AtMostOnce => {}
            // Subscribed at QoS 0, yet an acknowledgement costs less than the argument.
            QoS::AtLeastOnce => written(PubAck::new(publish.pkid).write(&mut self.output)),
            QoS::ExactlyOnce => return Err(Error::new(LOSANT_ERR_PROTOCOL, "the broker sent a QoS 2 message")),
        }
        happened.push(Incoming::Message { topic: publish.topic, payload: publish.payload });
        Ok(())
    }

    /// Whether states may be sent: the broker has accepted the connection.
    pub fn may_publish(&self) -> bool {
        self.state != State::AwaitsConnack
    }

    /// Whether the broker has answered the subscription too.
    #[cfg(test)]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// A packet id that no unacknowledged publish can have: ids run round, and far fewer than 65,000 are in flight.
    pub fn next_packet_id(&mut self) -> u16 {
        // 0 is not an id (2.3.1).
        self.last_packet_id = match self.last_packet_id {
            u16::MAX => SUBSCRIBE_ID + 1,
            last => last + 1,
        };
        self.last_packet_id
    }

    /// Puts a message in the output.
    pub fn publish(&mut self, publish: &Publish, now: Instant) {
        written(publish.write(&mut self.output));
        self.last_sent = now;
    }

    /// Puts DISCONNECT in the output (3.14).
    pub fn disconnect(&mut self) {
        written(Disconnect.write(&mut self.output));
    }

    /// Does what is due: PINGREQ, or giving up on a broker that does not answer.
    pub fn on_time(&mut self, now: Instant) -> Result<(), Error> {
        if now < self.deadline() {
            return Ok(());
        }
        if self.state != State::Open && now >= self.answer_by {
            let missing = if self.state == State::AwaitsConnack { "CONNACK" } else { "SUBACK" };
            return Err(Error::new(LOSANT_ERR_TIMED_OUT, format!("the broker sent no {missing} in time")));
        }
        match self.pinged {
            Some(at) if now >= at + self.keep_alive => {
                return Err(Error::new(
                    LOSANT_ERR_KEEP_ALIVE,
                    "the broker did not answer within the keep-alive period",
                ));
            }
            Some(_) => {}
            None if self.state != State::AwaitsConnack && now >= self.ping_at() => {
                written(PingReq.write(&mut self.output));
                self.pinged = Some(now);
                self.last_sent = now;
            }
            None => {}
        }
        Ok(())
    }

    /// When a PINGREQ is due: after a keep-alive period without sending, as 3.1.2.10 demands, and after one without
    /// receiving, or else a link that is dead in one direction would go unnoticed while states are sent into it.
    fn ping_at(&self) -> Instant {
        self.last_sent.min(self.last_received) + self.keep_alive
    }

    /// When [`Self::on_time`] must be called.
    pub fn deadline(&self) -> Instant {
        let alive = self.pinged.map_or_else(|| self.ping_at(), |at| at + self.keep_alive);
        match self.state {
            State::AwaitsConnack => self.answer_by,
            State::AwaitsSuback => alive.min(self.answer_by),
            State::Open => alive,
        }
    }

    /// What waits to be written to the network.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The network has taken this many bytes of the output.
    pub fn take(&mut self, count: usize) {
        self.taken += count as u64;
        if count >= self.output.len() {
            // An idle connection holds no buffer.
            self.output = BytesMut::new();
        } else {
            let _ = self.output.split_to(count);
        }
    }

    /// Bytes taken since the connection began.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What [`Self::taken`] will be when all output of now has gone.
    pub fn output_end(&self) -> u64 {
        self.taken + self.output.len() as u64
    }
}

/// Encoding fails only for packets over 256 MB and for packet id 0; neither is ever made here.
fn written(result: Result<usize, mqttbytes::Error>) {
    debug_assert!(result.is_ok(), "{result:?}");
}

/// CONNACK return codes (3.2.2.3).
fn accepted(code: ConnectReturnCode) -> Result<(), Error> {
    let status: Status = match code {
        ConnectReturnCode::Success => return Ok(()),
        ConnectReturnCode::RefusedProtocolVersion => LOSANT_ERR_PROTOCOL_VERSION,
        ConnectReturnCode::BadClientId => LOSANT_ERR_DEVICE_ID,
        ConnectReturnCode::ServiceUnavailable => LOSANT_ERR_SERVER_UNAVAILABLE,
        ConnectReturnCode::BadUserNamePassword => LOSANT_ERR_CREDENTIALS,
        ConnectReturnCode::NotAuthorized => LOSANT_ERR_NOT_AUTHORIZED,
    };
    Err(Error::new(status, status.to_string()))
}

/// The packets that a broker sends this client, with their reserved flags (2.2.2). Looked at before the length, so that a
/// server of another protocol is found out by its first byte.
fn known_type(first: u8) -> Result<(), Error> {
    match first {
        // CONNACK, PUBLISH at QoS 0 to 2, PUBACK, SUBACK, UNSUBACK, PINGRESP
        0x20 | 0x30..=0x35 | 0x38..=0x3d | 0x40 | 0x90 | 0xb0 | 0xd0 => Ok(()),
        _ => Err(Error::new(
            LOSANT_ERR_PROTOCOL,
            format!("the broker sent what is no MQTT packet for a client: {first:#04x}"),
        )),
    }
}

fn malformed(e: mqttbytes::Error) -> Error {
    Error::new(LOSANT_ERR_PROTOCOL, format!("malformed MQTT packet: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(15);
    const DEADLINE: Duration = Duration::from_secs(30);
    const CONNACK: &[u8] = &[0x20, 2, 0, 0];
    const SUBACK: &[u8] = &[0x90, 3, 0, 1, 0];
    const PINGREQ: &[u8] = &[0xc0, 0];
    const PINGRESP: &[u8] = &[0xd0, 0];

    struct Bench {
        session: Session,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            let identity = Identity {
                client_id: "d1".into(),
                login: Some(("key".into(), Zeroizing::new("secret".into()))),
                command_topic: "losant/d1/command".into(),
                keep_alive: KEEP_ALIVE,
            };
            Bench { session: Session::new(&identity, now, now + DEADLINE, DEADLINE), now }
        }

        fn open() -> Self {
            let mut bench = Bench::new();
            bench.receive(CONNACK).unwrap();
            bench.receive(SUBACK).unwrap();
            bench.sent();
            bench
        }

        fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Incoming>, Error> {
            let mut happened = Vec::new();
            self.session.receive(bytes, self.now, &mut happened).map(|()| happened)
        }

        fn sent(&mut self) -> Vec<u8> {
            let bytes = self.session.output().to_vec();
            self.session.take(bytes.len());
            bytes
        }

        fn wait(&mut self, duration: Duration) -> Result<(), Status> {
            self.now += duration;
            self.session.on_time(self.now).map_err(|e| e.status)
        }
    }

    #[test]
    fn the_connection_opens_with_connect_and_then_subscribe() {
        let mut bench = Bench::new();
        let connect = b"\x10\x1b\0\x04MQTT\x04\xc2\0\x0f\0\x02d1\0\x03key\0\x06secret";
        assert_eq!(bench.sent(), connect);
        assert!(!bench.session.may_publish());
        assert_eq!(bench.receive(CONNACK), Ok(vec![Incoming::Accepted]));
        assert_eq!(bench.sent(), b"\x82\x16\0\x01\0\x11losant/d1/command\0");
        assert!(bench.session.may_publish() && !bench.session.is_open());
        assert_eq!(bench.receive(SUBACK), Ok(vec![Incoming::Subscribed { refused: false }]));
        assert!(bench.session.is_open());
    }

    #[test]
    fn every_refusal_has_its_status() {
        for (code, status) in [
            (1, LOSANT_ERR_PROTOCOL_VERSION),
            (2, LOSANT_ERR_DEVICE_ID),
            (3, LOSANT_ERR_SERVER_UNAVAILABLE),
            (4, LOSANT_ERR_CREDENTIALS),
            (5, LOSANT_ERR_NOT_AUTHORIZED),
            (6, LOSANT_ERR_PROTOCOL),
        ] {
            let answer = Bench::new().receive(&[0x20, 2, 0, code]).map_err(|e| e.status);
            assert_eq!(answer, Err(status), "return code {code}");
        }
    }

    #[test]
    fn a_refused_subscription_is_told_and_the_connection_goes_on() {
        let mut bench = Bench::new();
        bench.receive(CONNACK).unwrap();
        assert_eq!(bench.receive(&[0x90, 3, 0, 1, 0x80]), Ok(vec![Incoming::Subscribed { refused: true }]));
        assert!(bench.session.is_open());
    }

    #[test]
    fn a_silent_broker_is_given_up() {
        let mut bench = Bench::new();
        assert_eq!(bench.wait(DEADLINE - Duration::from_millis(1)), Ok(()));
        assert_eq!(bench.wait(Duration::from_millis(1)), Err(LOSANT_ERR_TIMED_OUT));

        let mut bench = Bench::new();
        bench.receive(CONNACK).unwrap();
        bench.wait(KEEP_ALIVE).unwrap();
        bench.receive(PINGRESP).unwrap();
        assert_eq!(bench.wait(DEADLINE - KEEP_ALIVE), Err(LOSANT_ERR_TIMED_OUT), "no SUBACK");
    }

    #[test]
    fn an_idle_link_is_pinged_and_a_dead_one_found_within_two_periods() {
        let mut bench = Bench::open();
        assert_eq!(bench.wait(KEEP_ALIVE - Duration::from_millis(1)), Ok(()));
        assert_eq!(bench.sent(), b"");
        assert_eq!(bench.wait(Duration::from_millis(1)), Ok(()));
        assert_eq!(bench.sent(), PINGREQ);
        bench.receive(PINGRESP).unwrap();
        assert_eq!(bench.wait(KEEP_ALIVE), Ok(()));
        assert_eq!(bench.sent(), PINGREQ);
        assert_eq!(bench.session.deadline(), bench.now + KEEP_ALIVE);
        assert_eq!(bench.wait(KEEP_ALIVE), Err(LOSANT_ERR_KEEP_ALIVE));
    }

    #[test]
    fn a_link_that_only_swallows_is_found_while_states_are_sent() {
        let mut bench = Bench::open();
        let state = Publish::new("t", QoS::AtMostOnce, "x");
        let mut waited = Duration::ZERO;
        let error = loop {
            bench.session.publish(&state, bench.now);
            waited += Duration::from_secs(1);
            if let Err(status) = bench.wait(Duration::from_secs(1)) {
                break status;
            }
        };
        assert_eq!((error, waited), (LOSANT_ERR_KEEP_ALIVE, 2 * KEEP_ALIVE));
    }

    #[test]
    fn a_device_that_only_listens_is_pinged_for_the_broker() {
        let mut bench = Bench::open();
        for _ in 0..KEEP_ALIVE.as_secs() {
            bench.wait(Duration::from_secs(1)).unwrap();
            bench.receive(b"\x30\x04\0\x01tx").unwrap();
        }
        assert_eq!(bench.sent(), PINGREQ, "the broker counts what the device sends");
    }

    #[test]
    fn messages_and_acks_arrive_however_the_bytes_are_cut() {
        let stream: Vec<u8> = [CONNACK, SUBACK, b"\x30\x04\0\x01tx", b"\x40\x02\0\x07", PINGRESP].concat();
        let expected = [
            Incoming::Accepted,
            Incoming::Subscribed { refused: false },
            Incoming::Message { topic: "t".into(), payload: Bytes::from_static(b"x") },
            Incoming::Acked(7),
        ];
        for size in 1..=stream.len() {
            let mut bench = Bench::new();
            let happened: Vec<_> = stream.chunks(size).flat_map(|chunk| bench.receive(chunk).unwrap()).collect();
            assert_eq!(happened, expected, "chunks of {size}");
        }
    }

    #[test]
    fn a_qos_1_message_is_acknowledged() {
        let mut bench = Bench::open();
        assert_eq!(bench.receive(b"\x32\x06\0\x01t\0\x09x").unwrap().len(), 1);
        assert_eq!(bench.sent(), [0x40, 2, 0, 9]);
    }

    #[test]
    fn what_is_not_mqtt_ends_the_connection() {
        for bytes in [
            &b"HTTP/1.1 200 OK"[..],
            b"\x30\xff\xff\xff\x7f",     // a length of 256 MB
            b"\x30\xff\xff\xff\xff\x01", // a length that does not end
            b"\x34\x06\0\x01t\0\x09x",   // QoS 2
            b"\x36\x06\0\x01t\0\x09x",   // QoS 3
            b"\x30\x03\0\x09t",          // a topic longer than its packet
            b"\x30\x03\0\x01\xff",       // a topic that is not UTF-8
            b"\x20\x02\0\0",             // a second CONNACK
            b"\x10\0",                   // CONNECT from the broker
            b"\xf0\0",
            b"\0\0",
        ] {
            let answer = Bench::open().receive(bytes).map_err(|e| e.status);
            assert_eq!(answer, Err(LOSANT_ERR_PROTOCOL), "{bytes:?}");
        }
        assert_eq!(Bench::new().receive(SUBACK).map_err(|e| e.status), Err(LOSANT_ERR_PROTOCOL), "before CONNACK");
    }

    #[test]
    fn packet_ids_go_round_without_zero_or_the_subscription() {
        let mut session = Bench::open().session;
        let first: Vec<_> = (0..65_534).map(|_| session.next_packet_id()).collect();
        assert_eq!((first[0], first[65_533]), (2, u16::MAX));
        assert_eq!(session.next_packet_id(), 2);
    }
}
