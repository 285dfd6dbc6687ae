//! One MQTT 3.1.1 connection without its I/O: bytes and time go in, bytes, happenings and the next deadline come out.
//!
//! The rules are those of MQTT 3.1.1 (the section numbers below) as the Losant platform uses it: clean sessions only, no
//! QoS 2, no retained messages, subscriptions at QoS 0.

mod alive;
mod header;
mod link_rate;
mod output;
mod unanswered;

pub(crate) use alive::Traffic;

use alive::Alive;
use link_rate::LinkRate;
use output::Output;
use unanswered::Unanswered;

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
    /// Whether to subscribe to the command topic.
    pub subscribe: bool,
    pub keep_alive: Duration,
}

/// What the broker's bytes meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// CONNACK 0: states may flow.
    Accepted,
    /// SUBACK: commands will come, unless refused. Follows at once where there is nothing to subscribe to.
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
    /// None where there is nothing to subscribe to.
    command_topic: Option<String>,
    keep_alive: Duration,
    /// When the broker's answer to CONNECT or SUBSCRIBE must have come.
    answer_by: Instant,
    answer_within: Duration,
    alive: Alive,
    link_rate: LinkRate,
    unanswered: Unanswered,
    last_packet_id: u16,
    input: BytesMut,
    /// Whether bytes of MQTT have come since the traffic was counted.
    received: bool,
    output: Output,
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
            command_topic: identity.subscribe.then(|| identity.command_topic.clone()),
            keep_alive: identity.keep_alive,
            answer_by,
            answer_within,
            alive: Alive::new(identity.keep_alive, now),
            link_rate: LinkRate::default(),
            unanswered: Unanswered::new(packet.len() as u64),
            last_packet_id: SUBSCRIBE_ID,
            input: BytesMut::new(),
            received: false,
            output: Output::new(packet),
        }
    }

    /// Reads what the broker sent. An error ends the connection; what came before it is in `happened`.
    pub fn receive(&mut self, bytes: &[u8], now: Instant, happened: &mut Vec<Incoming>) -> Result<(), Error> {
        self.received = true;
        self.input.extend_from_slice(bytes);
        while let Some(first) = self.input.first() {
            let kind = header::kind(*first)?;
            // 3.2.0: the first packet of the broker must be CONNACK, and it comes once.
            if (self.state == State::AwaitsConnack) != (kind == PacketType::ConnAck) {
                let detail = format!("the broker sent a packet that has no place here: {kind:?}");
                return Err(Error::new(LOSANT_ERR_PROTOCOL, detail));
            }
            header::check_length(kind, &self.input)?;
            match mqttbytes::check(self.input.iter(), MAX_INCOMING) {
                Ok(header) => {
                    let packet = self.input.split_to(header.frame_length()).freeze();
                    self.handle(kind, header, packet, now, happened)?;
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

    /// So many bytes have passed the socket; to be told after what came of them. So a large frame counts before it is whole.
    pub fn passed(&mut self, traffic: Traffic, now: Instant) {
        let unfinished = !self.received || !self.input.is_empty();
        self.received = false;
        self.alive.passed(traffic, unfinished, now);
    }

    fn handle(
        &mut self,
        kind: PacketType,
        header: FixedHeader,
        packet: Bytes,
        now: Instant,
        happened: &mut Vec<Incoming>,
    ) -> Result<(), Error> {
        match kind {
            PacketType::ConnAck => {
                accepted(ConnAck::read(header, packet).map_err(malformed)?.code)?;
                self.accepted(now, happened);
            }
            PacketType::SubAck => {
                let ack = SubAck::read(header, packet).map_err(malformed)?;
                // One that was not asked for does no harm.
                if self.state == State::AwaitsSuback && ack.pkid == SUBSCRIBE_ID {
                    self.state = State::Open;
                    let end = self.unanswered.subscribed();
                    self.answered(end, now);
                    let refused = !matches!(ack.return_codes.as_slice(), [SubscribeReasonCode::Success(_)]);
                    happened.push(Incoming::Subscribed { refused });
                }
            }
            PacketType::PubAck => {
                let id = PubAck::read(header, packet).map_err(malformed)?.pkid;
                let end = self.unanswered.acked(id);
                self.answered(end, now);
                happened.push(Incoming::Acked(id));
            }
            PacketType::Publish => self.message(Publish::read(header, packet).map_err(malformed)?, happened)?,
            PacketType::PingResp => {
                if let Some(end) = self.alive.ping_answered(self.output_end(), now) {
                    self.unanswered.read_up_to(end);
                    happened.push(Incoming::PingAnswered);
                }
            }
            // [`header::kind`] lets nothing else pass but UNSUBACK, which was not asked for.
            _ => {}
        }
        Ok(())
    }

    fn accepted(&mut self, now: Instant, happened: &mut Vec<Incoming>) {
        let end = self.unanswered.connected();
        self.answered(end, now);
        happened.push(Incoming::Accepted);
        match &self.command_topic {
            Some(topic) => {
                let mut subscribe = Subscribe::new(topic.as_str(), QoS::AtMostOnce);
                subscribe.pkid = SUBSCRIBE_ID;
                written(subscribe.write(self.output.rest()));
                self.unanswered.subscribe(self.output_end());
                self.state = State::AwaitsSuback;
                self.answer_by = now + self.answer_within;
            }
            None => {
                self.state = State::Open;
                happened.push(Incoming::Subscribed { refused: false });
            }
        }
    }

    /// The broker has answered what ends here in the output, if that was something.
    fn answered(&mut self, end: Option<u64>, now: Instant) {
        if let Some(end) = end {
            self.alive.answered(end, self.output_end(), now);
            self.link_rate.arrived(end, now);
        }
    }

    fn message(&mut self, publish: Publish, happened: &mut Vec<Incoming>) -> Result<(), Error> {
        match publish.qos {
            QoS::AtMostOnce => {}
            // Subscribed at QoS 0, yet an acknowledgement costs less than the argument.
            QoS::AtLeastOnce if self.output().len() < MAX_OUTPUT => {
                written(PubAck::new(publish.pkid).write(self.output.rest()));
            }
            QoS::AtLeastOnce => {
                return Err(Error::new(LOSANT_ERR_PROTOCOL, "the broker sends messages and takes no acknowledgements"));
            }
            // [`header::kind`] lets none pass.
            QoS::ExactlyOnce => {}
        }
        happened.push(Incoming::Message { topic: publish.topic, payload: publish.payload });
        Ok(())
    }

    /// Whether states may be sent: the broker has accepted the connection, and not before it can have read CONNECT.
    pub fn may_publish(&self) -> bool {
        self.state != State::AwaitsConnack && self.output.is_past_connect()
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
        written(publish.write(self.output.rest()));
        let end = self.output_end();
        self.unanswered.publish(publish, end);
        self.link_rate.sent(end, now);
        self.alive.sent(now);
    }

    /// Puts DISCONNECT in the output (3.14).
    pub fn disconnect(&mut self) {
        written(Disconnect.write(self.output.rest()));
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
        if self.state == State::AwaitsConnack {
            return Ok(false);
        }
        if self.alive.awaits_ping() {
            return Err(Error::new(LOSANT_ERR_KEEP_ALIVE, self.cause_of_death()));
        }
        if now < self.alive.deadline() {
            return Ok(false);
        }
        written(PingReq.write(self.output.rest()));
        self.alive.pinged(self.output_end(), now);
        Ok(true)
    }

    /// How long what is on its way may stay there before the link is dead.
    pub fn patience(&self, now: Instant) -> Duration {
        self.alive.patience(now)
    }

    fn cause_of_death(&self) -> &'static str {
        if self.alive.ping_is_stuck() {
            "the network takes nothing any more"
        } else if self.input.is_empty() {
            "the broker did not answer within the keep-alive period"
        } else {
            "the broker began a packet and does not end it"
        }
    }

    /// When [`Self::on_time`] must be called.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::AwaitsConnack => self.answer_by,
            State::AwaitsSuback => self.alive.deadline().min(self.answer_by),
            State::Open => self.alive.deadline(),
        }
    }

    /// How large a message of several states may be to take a third of the keep-alive period at most, as fast as the link
    /// has been; `None` while nothing is known of it.
    pub fn batch_limit(&self) -> Option<usize> {
        self.link_rate.batch_limit(self.keep_alive)
    }

    /// What the broker has been sent and has not answered, for the text of an error: " after SUBSCRIBE to ...", or nothing.
    pub fn unanswered(&self) -> String {
        self.unanswered.text(self.taken(), self.command_topic.as_deref().unwrap_or_default())
    }

    /// What waits to be written to the network next.
    pub fn output(&self) -> &[u8] {
        self.output.next()
    }

    /// The network has taken this many bytes of the output.
    pub fn take(&mut self, count: usize, now: Instant) {
        self.output.take(count);
        let taken = self.output.taken();
        self.alive.taken(taken, now);
        if !self.unanswered.awaits_acks() {
            // At QoS 0 nothing tells more.
            self.link_rate.arrived(taken, now);
        }
    }

    /// Bytes taken since the connection began.
    pub fn taken(&self) -> u64 {
        self.output.taken()
    }

    /// What [`Self::taken`] will be when all output of now has gone.
    pub fn output_end(&self) -> u64 {
        self.output.end()
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

fn malformed(e: mqttbytes::Error) -> Error {
    Error::new(LOSANT_ERR_PROTOCOL, format!("malformed MQTT packet: {e}"))
}

#[cfg(test)]
mod tests;
