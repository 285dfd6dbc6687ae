//! What a simulator is told before it starts.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::rate::Rate;
use crate::record::Offence;
use crate::throttle::Limits;

/// One device of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// The MQTT client id.
    pub id: String,
    /// The user name.
    pub key: String,
    /// The password.
    pub secret: String,
    /// Other devices that it may report states and receive commands for: it is a gateway.
    pub peripherals: Vec<String>,
    /// More topics that it may publish and subscribe to.
    pub topics: Vec<String>,
    /// Topics that it has no right to, before all others; wildcards count. The access key or the certificate of the
    /// device may be limited so: `#` denies everything.
    pub denied_topics: Vec<String>,
}

impl DeviceConfig {
    /// A device on its own.
    pub fn new(id: &str, key: &str, secret: &str) -> Self {
        let (id, key, secret) = (id.to_owned(), key.to_owned(), secret.to_owned());
        Self { id, key, secret, peripherals: Vec::new(), topics: Vec::new(), denied_topics: Vec::new() }
    }

    /// Whether the device is, or speaks for, the device of this id.
    pub(crate) fn is_or_has(&self, id: &str) -> bool {
        self.id == id || self.peripherals.iter().any(|peripheral| peripheral == id)
    }

    /// The error is what it would be to publish there.
    pub(crate) fn may_publish(&self, topic: &str) -> Result<(), Offence> {
        self.may_use(topic, "/state")
    }

    /// The error is what it would be to subscribe there.
    pub(crate) fn may_subscribe(&self, topic: &str) -> Result<(), Offence> {
        self.may_use(topic, "/command")
    }

    fn may_use(&self, topic: &str, suffix: &str) -> Result<(), Offence> {
        if self.denied_topics.iter().any(|denied| covers(denied, topic)) {
            return Err(Offence::Denied(topic.to_owned()));
        }
        let own = device_of(topic, suffix).is_some_and(|id| self.is_or_has(id));
        if own || self.topics.iter().any(|more| more == topic) { Ok(()) } else { Err(Offence::Topic(topic.to_owned())) }
    }
}

/// The id in `losant/ID/state` and the like.
pub(crate) fn device_of<'a>(topic: &'a str, suffix: &str) -> Option<&'a str> {
    topic.strip_prefix("losant/")?.strip_suffix(suffix)
}

/// Whether a topic filter, with `+` for a level and `#` for the rest, covers a topic.
fn covers(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// How a listener's connections carry MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// MQTT on TCP.
    Tcp,
    /// MQTT on TLS; needs [`Config::identity`].
    Tls,
    /// MQTT in binary WebSocket messages.
    WebSocket,
    /// The same on TLS; needs [`Config::identity`].
    SecureWebSocket,
}

impl Transport {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    pub(crate) fn secure(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }
}

/// The certificate that a TLS listener shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those that lead to its root.
    pub certificate_pem: Vec<u8>,
    /// Its private key in PKCS #8.
    pub key_pem: Vec<u8>,
}

impl Identity {
    /// A new one for these host names and addresses, signed by itself: a client that trusts the certificate as a root
    /// trusts the listener.
    ///
    /// # Errors
    /// A name is none, or no key can be made.
    pub fn self_signed(names: Vec<String>) -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        Ok(Self { certificate_pem: made.cert.pem().into_bytes(), key_pem: made.key_pair.serialize_pem().into_bytes() })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Identity")
    }
}

/// Takes one line for each thing that is recorded.
pub type Printer = Arc<dyn Fn(&str) + Send + Sync>;

/// What a simulator is told before it starts.
#[derive(Clone)]
pub struct Config {
    /// The devices of the application.
    pub devices: Vec<DeviceConfig>,
    /// The address to listen on.
    pub host: IpAddr,
    /// The transports and their ports; 0 takes a free one.
    pub listeners: Vec<(Transport, u16)>,
    /// Needed for TLS.
    pub identity: Option<Identity>,
    /// The rates and bans.
    pub limits: Limits,
    /// The windows and bans run this many times faster than the clock.
    pub time_scale: f64,
    /// How a banned device is refused: with this CONNACK code, or without an answer. The platform's way is not known.
    pub ban_connack: Option<u8>,
    /// Whether a state older than 30 days or more than a day ahead is ignored, as on the platform.
    pub ignore_out_of_range: bool,
    /// Whether a bad element of an array of states is dropped alone. Otherwise it rejects the whole array. The platform's
    /// way is not known, and this is the harsher one.
    pub drop_bad_elements: bool,
    /// A PUBLISH whose length field says more than this closes the connection before it has come, as with
    /// `max_packet_size` of the broker mosquitto. The platform has no such limit.
    pub max_packet: Option<usize>,
    /// How fast the links are in the beginning; see also [`Simulator::set_rate`](crate::Simulator::set_rate).
    pub rate: Rate,
    /// Called with each record as a line of text. It must not call the simulator.
    pub printer: Option<Printer>,
}

impl Config {
    /// A simulator of these devices, on a free TCP port of this machine, at the platform's own pace.
    pub fn new(devices: Vec<DeviceConfig>) -> Self {
        Self {
            devices,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listeners: vec![(Transport::Tcp, 0)],
            identity: None,
            limits: Limits::default(),
            time_scale: 1.0,
            ban_connack: None,
            ignore_out_of_range: true,
            drop_bad_elements: false,
            max_packet: None,
            rate: Rate::default(),
            printer: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_cover_topics() {
        let table = [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+/c", "a/b/c", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "é/b", true),
            ("#", "", true),
            ("+", "", true),
        ];
        for (filter, topic, expected) in table {
            assert_eq!(covers(filter, topic), expected, "{filter} {topic}");
        }
    }
}
