//! What a simulator remembers, for tests to read and for people to see.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::iso;
use crate::state::State;
use crate::throttle::Excess;

/// A state that the platform has taken.
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

/// A payload on a state topic that the platform has not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// The device of the topic.
    pub device: String,
    /// Why, for a person to read.
    pub reason: String,
    /// The payload as it came.
    pub payload: Vec<u8>,
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
    /// States taken.
    pub states: Vec<StateRecord>,
    /// Payloads not taken.
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
}

impl fmt::Display for StateRecord {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let dup = if self.dup { " dup" } else { "" };
        let data = Value::Object(self.state.data.clone());
        write!(out, "state {} {}{dup} {data}", self.device, iso::format(self.state.time_ms))
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
