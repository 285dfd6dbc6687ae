//! What a simulator remembers, for tests to read and for people to see.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::iso;
use crate::state::State;
use crate::throttle::Excess;

/// A message that a device has published, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRecord {
    /// The device that has sent it; behind a gateway, the gateway.
    pub device: String,
    /// The topic.
    pub topic: String,
    /// How large the payload is.
    pub bytes: usize,
    /// Whether it was marked as sent before.
    pub dup: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The connection it came over.
    pub connection: u64,
    /// When it came.
    pub arrival: Instant,
}

/// A state that the platform has taken, or ignored for its time.
#[derive(Debug, Clone, PartialEq)]
pub struct StateRecord {
    /// The device that the state is of; behind a gateway, the peripheral.
    pub device: String,
    /// The state with its resolved time.
    pub state: State,
    /// Which state of its packet, from 0.
    pub index: usize,
    /// Whether the packet was marked as sent before.
    pub dup: bool,
    /// 0 or 1.
    pub qos: u8,
    /// The packet id; 0 with QoS 0.
    pub packet_id: u16,
    /// The connection it came over.
    pub connection: u64,
    /// When it came, in milliseconds since 1970.
    pub arrival_ms: i64,
    /// When it came.
    pub arrival: Instant,
}

/// Whose fault it is that a state has been rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The payload is an array, but an empty one, or one that cannot be split into elements.
    Payload,
    /// The state is not as the platform wants it.
    State,
    /// Another element of the array is not.
    Neighbour,
}

/// A state that the platform has not taken; each element of an array is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The device of the topic.
    pub device: String,
    /// Which state of its packet, from 0.
    pub index: usize,
    /// Whose fault it is.
    pub cause: Cause,
    /// Why, for a person to read.
    pub reason: String,
    /// The whole payload as it came.
    pub payload: Arc<[u8]>,
    /// The connection it came over.
    pub connection: u64,
}

/// What a device did that the platform does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offence {
    /// It asked for a session that is kept.
    KeptSession,
    /// It published with QoS 2.
    Qos2,
    /// It published a retained message.
    Retained,
    /// A message of more than 256 KB.
    Oversize,
    /// It used this topic, which it may not use.
    Topic(String),
    /// It used this topic, which [`DeviceConfig::denied_topics`](crate::DeviceConfig::denied_topics) takes from it.
    Denied(String),
    /// It published more than [`Config::max_packet`](crate::Config::max_packet).
    MaxPacket,
    /// It broke MQTT.
    Protocol(String),
    /// It exceeded a rate.
    Rate(Excess),
}

/// An offence and who committed it. Each has closed its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The device, when it had said who it is.
    pub device: Option<String>,
    /// The connection.
    pub connection: u64,
    /// What it did.
    pub offence: Offence,
}

/// A ban that the throttle has put on a device or on the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The device; `None` is the whole application.
    pub device: Option<String>,
    /// When it began, on the simulator's scaled clock.
    pub begin: Duration,
    /// How long it lasts on that clock.
    pub length: Duration,
    /// Connection attempts refused during it.
    pub refused: u32,
}

/// One connection, from its being accepted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// Counts from 1.
    pub id: u64,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The client id of its CONNECT.
    pub device: Option<String>,
    /// The code it was answered with; `None` while it has not been answered.
    pub connack: Option<u8>,
    /// Topics subscribed to.
    pub topics: Vec<String>,
    /// Messages it has published, allowed or not.
    pub publishes: u64,
    /// PINGREQs it has sent.
    pub pings: u64,
    /// Why it ended; `None` while it lasts.
    pub closed: Option<String>,
}

/// A fault that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRecord {
    /// To whom.
    pub device: String,
    /// On which connection.
    pub connection: u64,
    /// The name as on the terminal.
    pub name: &'static str,
}

/// Everything a simulator remembers, each list in the order of its happening.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Messages published, allowed or not.
    pub publishes: Vec<PublishRecord>,
    /// States taken.
    pub states: Vec<StateRecord>,
    /// States silently ignored, because their time is too far from now.
    pub ignored: Vec<StateRecord>,
    /// States not taken.
    pub rejected: Vec<Rejected>,
    /// Offences.
    pub violations: Vec<Violation>,
    /// Bans.
    pub bans: Vec<Ban>,
    /// Connections, the ended ones too.
    pub connections: Vec<ConnectionRecord>,
    /// Faults that have happened.
    pub faults: Vec<FaultRecord>,
}

impl Records {
    /// The connection of this id.
    pub fn connection(&self, id: u64) -> Option<&ConnectionRecord> {
        self.connections.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    pub(crate) fn connection_mut(&mut self, id: u64) -> Option<&mut ConnectionRecord> {
        self.connections.get_mut(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// How many connections are accepted and not yet ended.
    pub fn connected(&self) -> usize {
        self.connections
            .iter()
            .filter(|connection| connection.connack == Some(0) && connection.closed.is_none())
            .count()
    }

    /// The largest number of those publishes that `wanted` accepts in any window of this length, on the real clock.
    pub fn most_publishes(&self, window: Duration, wanted: impl Fn(&PublishRecord) -> bool) -> usize {
        let wanted = self.publishes.iter().filter(|publish| wanted(publish));
        let (mut most, mut inside) = (0, VecDeque::new());
        for arrival in wanted.map(|publish| publish.arrival) {
            while inside.front().is_some_and(|first| arrival.duration_since(*first) >= window) {
                inside.pop_front();
            }
            inside.push_back(arrival);
            most = most.max(inside.len());
        }
        most
    }
}

impl fmt::Display for StateRecord {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let dup = if self.dup { " dup" } else { "" };
        let data = Value::Object(self.state.data.clone());
        write!(out, "{} {}{dup} {data}", self.device, iso::format(self.state.time_ms))
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "rejected {} {}", self.device, self.reason)
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::KeptSession => out.write_str("CleanSession is 0"),
            Self::Qos2 => out.write_str("QoS 2"),
            Self::Retained => out.write_str("a retained message"),
            Self::Oversize => out.write_str("a message of more than 256 KB"),
            Self::Topic(topic) => write!(out, "topic {topic} is not allowed"),
            Self::Denied(topic) => write!(out, "no right to topic {topic}"),
            Self::MaxPacket => out.write_str("a packet of more than the broker's limit"),
            Self::Protocol(text) => write!(out, "not MQTT 3.1.1: {text}"),
            Self::Rate(Excess::Topic(topic)) => write!(out, "too many messages on {topic}"),
            Self::Rate(Excess::Connection) => out.write_str("too many messages"),
            Self::Rate(Excess::Connects) => out.write_str("too many connection attempts"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "violation {} {}", self.device.as_deref().unwrap_or("-"), self.offence)
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "ban {} {} s", self.device.as_deref().unwrap_or("application"), self.length.as_secs())
    }
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "fault {} {}", self.device, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_window_is_found() {
        let begin = Instant::now();
        let publish = |(topic, ms): (&str, u64)| PublishRecord {
            device: "d".into(),
            topic: topic.into(),
            bytes: 1,
            dup: false,
            qos: 1,
            connection: 1,
            arrival: begin + Duration::from_millis(ms),
        };
        let all = [("a", 0), ("b", 0), ("a", 10), ("a", 14), ("a", 19), ("b", 19), ("a", 20), ("a", 40)];
        let records = Records { publishes: all.map(publish).to_vec(), ..Records::default() };
        let most = |ms, topic| records.most_publishes(Duration::from_millis(ms), |publish| publish.topic == topic);
        assert_eq!((most(10, "a"), most(11, "a"), most(100, "a")), (3, 4, 6));
        assert_eq!((most(10, "b"), most(100, "b"), most(100, "c")), (1, 2, 0));
    }
}
