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

/// A broker that sends QoS 1 messages and takes no acknowledgements would otherwise make us keep them without end.
const MAX_OUTPUT: usize = 1 << 20;

/// The one packet id of the SUBSCRIBE; publishes use the others.
const SUBSCRIBE_ID: u16 = 1;

/// Access key and secret. Not printable.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub key: Zeroizing<String>,
    pub secret: Zeroizing<String>,
}

/// What a session needs to know of its device. Not printable: it holds the secret.
pub(crate) struct Identity {
    pub client_id: String,
    /// None for devices that only their certificate names.
    pub credentials: Option<Credentials>,
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
    /// PINGRESP: the broker has read everything up to the PINGREQ.
    PingAnswered,
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
    /// CONNECT until it is written, and how much of it is. It holds the secret, so it has a buffer that never grows, which
    /// would leave copies behind, and that is wiped.
    connect: Zeroizing<Vec<u8>>,
    connect_taken: usize,
    /// What follows CONNECT.
    output: BytesMut,
    /// Bytes taken from both so far.
    taken: u64,
}

impl Session {
    /// Begins with CONNECT in the output. `answer_by` is the connect deadline, `answer_within` its length, which the
    /// SUBSCRIBE gets anew.
    pub fn new(identity: &Identity, now: Instant, answer_by: Instant, answer_within: Duration) -> Self {
        let mut connect = Connect::new(identity.client_id.as_str());
        connect.keep_alive = u16::try_from(identity.keep_alive.as_secs()).unwrap_or(u16::MAX);
        connect.login = identity
            .credentials
            .as_ref()
            .map(|Credentials { key, secret }| Login { username: key.to_string(), password: secret.to_string() });
        let mut packet = BytesMut::with_capacity(connect.size());
        written(connect.write(&mut packet));
        if let Some(login) = &mut connect.login {
            login.username.zeroize();
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
            // The same memory, not a copy.
            connect: Zeroizing::new(Vec::from(packet)),
            connect_taken: 0,
            output: BytesMut::new(),
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
            PacketType::PingResp => happened.push(Incoming::PingAnswered),
            // [`known_type`] lets nothing else pass but UNSUBACK, which was not asked for.
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, publish: Publish, happened: &mut Vec<Incoming>) -> Result<(), Error> {
        match publish.qos {
            QoS::AtMostOnce => {}
            // Subscribed at QoS 0, yet an acknowledgement costs less than the argument.
            QoS::AtLeastOnce if self.output.len() < MAX_OUTPUT => {
                written(PubAck::new(publish.pkid).write(&mut self.output));
            }
            QoS::AtLeastOnce => {
                return Err(Error::new(LOSANT_ERR_PROTOCOL, "the broker sends messages and takes no acknowledgements"));
            }
            QoS::ExactlyOnce => return Err(Error::new(LOSANT_ERR_PROTOCOL, "the broker sent a QoS 2 message")),
        }
        happened.push(Incoming::Message { topic: publish.topic, payload: publish.payload });
        Ok(())
    }

    /// Whether states may be sent: the broker has accepted the connection, and not before it can have read CONNECT.
    pub fn may_publish(&self) -> bool {
        self.state != State::AwaitsConnack && self.connect.is_empty()
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

    /// Does what is due: PINGREQ (then true), or giving up on a broker that does not answer.
    pub fn on_time(&mut self, now: Instant) -> Result<bool, Error> {
        if now < self.deadline() {
            return Ok(false);
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
                return Ok(true);
            }
            None => {}
        }
        Ok(false)
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

    /// What waits to be written to the network next.
    pub fn output(&self) -> &[u8] {
        if self.connect.is_empty() { &self.output } else { &self.connect[self.connect_taken..] }
    }

    /// The network has taken this many bytes of the output.
    pub fn take(&mut self, count: usize) {
        self.taken += count as u64;
        if !self.connect.is_empty() {
            self.connect_taken += count;
            if self.connect_taken >= self.connect.len() {
                // Wipes it.
                self.connect = Zeroizing::default();
                self.connect_taken = 0;
            }
        } else if count >= self.output.len() {
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
        let connect = self.connect.len().saturating_sub(self.connect_taken);
        self.taken + connect as u64 + self.output.len() as u64
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
mod tests;
