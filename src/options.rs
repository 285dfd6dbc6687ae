//! How a device connects and what it keeps, with the defaults.

use crate::{
    outbox::{Limits, WINDOW, WhenFull},
    pacer::Rate,
    payload::MAX_PAYLOAD,
    status::{Error, Status::*},
    transport::{Headers, Host, Target, Trust},
};
use std::time::Duration;

/// What carries MQTT.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum Transport {
    /// MQTT straight over TCP, or over TLS when secure.
    LOSANT_TRANSPORT_TCP = 0,
    /// MQTT over WebSocket, for networks that let only web traffic through.
    LOSANT_TRANSPORT_WEBSOCKETS = 1,
}

impl Transport {
    /// The transport with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Transport> {
        [Transport::LOSANT_TRANSPORT_TCP, Transport::LOSANT_TRANSPORT_WEBSOCKETS]
            .into_iter()
            .find(|transport| *transport as i32 == code)
    }
}

/// Not printable: it may hold a private key, and headers that are secret.
#[derive(Clone)]
pub(crate) struct Options {
    pub host: Host,
    /// `None`: the usual one for the transport.
    pub port: Option<u16>,
    pub secure: bool,
    pub transport: Transport,
    pub trust: Trust,
    pub websocket_path: String,
    pub headers: Headers,
    pub interface: Option<String>,
    pub keep_alive: Duration,
    /// Whether to subscribe to commands.
    pub receive_commands: bool,
    pub qos: u8,
    pub reconnect_initial: Duration,
    pub reconnect_max: Duration,
    pub connect_timeout: Duration,
    pub limits: Limits,
}

/// Longest time that a setter takes, in milliseconds: a day.
pub(crate) const DAY_MS: u64 = 86_400_000;

impl Default for Options {
    fn default() -> Self {
        Options {
            host: Host::default(),
            port: None,
            secure: true,
            transport: Transport::LOSANT_TRANSPORT_TCP,
            trust: Trust::default(),
            websocket_path: "/mqtt".to_owned(),
            headers: Headers::default(),
            interface: None,
            keep_alive: Duration::from_secs(15),
            receive_commands: true,
            qos: 1,
            reconnect_initial: Duration::from_secs(1),
            reconnect_max: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(30),
            // A night of one state a second, in a size that a device with 64 MB of memory can spare.
            limits: Limits {
                states: 50_000,
                bytes: 8 << 20,
                when_full: WhenFull::LOSANT_WHEN_FULL_DROP_OLDEST,
                in_flight: 100,
                merge: MAX_PAYLOAD,
                strict: false,
                // The platform's.
                per_topic: Rate { messages: 30, window: WINDOW },
                per_connection: Rate { messages: 300, window: WINDOW },
            },
        }
    }
}

impl Options {
    /// Where these options lead. The ports are those of the platform unless one is set.
    pub fn target(&self) -> Target {
        let websockets = self.transport == Transport::LOSANT_TRANSPORT_WEBSOCKETS;
        let usual_port = match (websockets, self.secure) {
            (false, false) => 1883,
            (false, true) => 8883,
            (true, false) => 80,
            (true, true) => 443,
        };
        Target {
            host: self.host.clone(),
            port: self.port.unwrap_or(usual_port),
            trust: self.secure.then(|| self.trust.clone()),
            websocket_path: websockets.then(|| self.websocket_path.clone()),
            headers: if websockets { self.headers.clone() } else { Headers::default() },
            interface: self.interface.clone(),
            preferred: None,
            user_timeout: 2 * self.keep_alive,
        }
    }
}

/// Checks that `text` can stand as one level of an MQTT topic and as a client id.
pub(crate) fn check_device_id(name: &str, text: &str) -> Result<(), Error> {
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() > 65_000 {
        "is longer than 65,000 bytes"
    } else if text.chars().any(|c| matches!(c, '/' | '+' | '#')) {
        "contains one of / + #, which have a meaning in MQTT topics"
    } else if text.chars().any(char::is_control) {
        "contains a control character"
    } else {
        return Ok(());
    };
    Err(Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("{name} {problem}")))
}

/// Checks the form of a text that goes into an MQTT packet. Its content is not repeated: it may be a secret.
pub(crate) fn check_mqtt_text(name: &str, text: &str) -> Result<(), Error> {
    let problem = if text.len() > usize::from(u16::MAX) {
        "is longer than 65,535 bytes"
    } else if text.contains('\0') {
        "contains NUL"
    } else {
        return Ok(());
    };
    Err(Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("{name} {problem}")))
}

pub(crate) fn check_websocket_path(path: &str) -> Result<(), Error> {
    let problem = if !path.starts_with('/') {
        "does not begin with /"
    } else if path.len() > 1024 {
        "is longer than 1,024 bytes"
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains('#') {
        "contains a character that must be percent-encoded"
    } else {
        return Ok(());
    };
    Err(Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("path {problem}")))
}

pub(crate) fn check_interface(name: &str) -> Result<(), Error> {
    // IFNAMSIZ is 16, its NUL included.
    if name.len() <= 15 && !name.contains(['/', '\0']) && !name.chars().any(char::is_whitespace) {
        return Ok(());
    }
    let why =
        "interface is not the name of a network interface, such as eth0: at most 15 bytes, no / and no white space";
    Err(Error::new(LOSANT_ERR_INVALID_ARGUMENT, why))
}

/// Checks that a number is within its documented range.
pub(crate) fn check_range(
    name: &str,
    unit: &str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    Err(Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("{name} is {value} {unit}; it must be {low} to {high} {unit}")))
}

/// Checks that a number of things in memory is within its documented range.
pub(crate) fn check_size(
    name: &str,
    unit: &str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<usize, Error> {
    check_range(name, unit, value, range)?;
    usize::try_from(value)
        .map_err(|_| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("{name} is more than this machine can address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_ids_that_topics_can_hold() {
        for id in ["507f191e810c19729de860ea", "a", "my device", "é"] {
            assert_eq!(check_device_id("device_id", id), Ok(()), "{id}");
        }
        for id in ["", "a/b", "a+", "#", "a\n", "\u{0}"] {
            let error = check_device_id("device_id", id).unwrap_err();
            assert_eq!(error.status, LOSANT_ERR_INVALID_ARGUMENT, "{id}");
            assert!(error.text.starts_with("device_id "), "{error}");
        }
    }

    #[test]
    fn the_port_follows_security_and_transport_unless_set() {
        use Transport::*;
        for (secure, transport, port) in [
            (false, LOSANT_TRANSPORT_TCP, 1883),
            (true, LOSANT_TRANSPORT_TCP, 8883),
            (false, LOSANT_TRANSPORT_WEBSOCKETS, 80),
            (true, LOSANT_TRANSPORT_WEBSOCKETS, 443),
        ] {
            let mut options = Options { secure, transport, ..Options::default() };
            assert_eq!(options.target().port, port);
            options.port = Some(7);
            assert_eq!(options.target().port, 7);
        }
    }
}
