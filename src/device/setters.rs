//! Options: to be set before connecting.

use super::Device;
use crate::{
    options::{self, DAY_MS, Options, Transport},
    outbox::{Limits, WhenFull},
    pacer::Rate,
    payload,
    status::Error,
    transport::{ClientCertificate, Host, IdentitySource, parse_roots},
};
use std::{path::Path, time::Duration};

impl Device {
    /// The broker's host: a DNS name in ASCII, an IPv4 address, or an IPv6 address, which may have a zone and brackets. The
    /// default is `broker.losant.com`.
    pub fn set_host(&self, host: &str) -> Result<(), Error> {
        let host = Host::parse(host)?;
        self.set(|options| options.host = host)
    }

    /// The broker's port; 0, the default, is the usual one for the transport.
    pub fn set_port(&self, port: u16) -> Result<(), Error> {
        self.set(|options| options.port = (port != 0).then_some(port))
    }

    /// Whether to use TLS; the default is true.
    pub fn set_secure(&self, secure: bool) -> Result<(), Error> {
        self.set(|options| options.secure = secure)
    }

    /// What carries MQTT; the default is TCP.
    pub fn set_transport(&self, transport: Transport) -> Result<(), Error> {
        self.set(|options| options.transport = transport)
    }

    /// The path that a WebSocket is asked for; the default is `/mqtt`.
    pub fn set_websocket_path(&self, path: &str) -> Result<(), Error> {
        options::check_websocket_path(path)?;
        self.set(|options| path.clone_into(&mut options.websocket_path))
    }

    /// A header that is sent with the request for a WebSocket, in the place of one with the same name; `None` takes it away
    /// again. At most 16, with 8,192 bytes of names and values together.
    pub fn add_http_header(&self, name: &str, value: Option<&str>) -> Result<(), Error> {
        let mut outcome = Ok(());
        self.set(|options| outcome = options.headers.set(name, value))?;
        outcome
    }

    /// The network interface that connections must use, for example `wwan0`; `None`, the default, lets the system choose.
    pub fn set_interface(&self, name: Option<&str>) -> Result<(), Error> {
        name.map_or(Ok(()), options::check_interface)?;
        self.set(|options| options.interface = name.map(str::to_owned))
    }

    /// Roots to trust, as PEM text, besides the bundled ones or, with `replace`, instead of them. `None` takes them back.
    pub fn set_ca_pem(&self, pem: Option<&str>, replace: bool) -> Result<(), Error> {
        let pem = pem.map(|text| parse_roots("pem", text.as_bytes())).transpose()?;
        self.set(|options| {
            options.trust.bundled = !(replace && pem.is_some());
            options.trust.ca_pem = pem;
        })
    }

    /// A file with roots to trust, PEM, besides the bundled ones or, with `replace`, instead of them. It is read again at
    /// each connection, so that it can be changed in the field. `None` takes it back.
    pub fn set_ca_file(&self, path: Option<&Path>, replace: bool) -> Result<(), Error> {
        self.set(|options| {
            options.trust.bundled = !(replace && path.is_some());
            options.trust.ca_file = path.map(Path::to_owned);
        })
    }

    /// Whether to trust the roots of the operating system too; the default is false.
    pub fn set_system_roots(&self, trusted: bool) -> Result<(), Error> {
        self.set(|options| options.trust.system = trusted)
    }

    /// The device's own certificate chain, leaf first, and its unencrypted key, as PEM texts.
    pub fn set_client_certificate_pem(&self, certificates: &str, key: &str) -> Result<(), Error> {
        let certificate = ClientCertificate::parse(certificates.as_bytes(), key.as_bytes())?;
        self.set(|options| options.trust.identity = Some(IdentitySource::Text(certificate)))
    }

    /// Files with the device's own certificate chain and key, PEM, as [`Self::set_client_certificate_pem`] takes them. They
    /// are read again at each connection, so that they can be renewed in the field.
    pub fn set_client_certificate_files(&self, certificates: &Path, key: &Path) -> Result<(), Error> {
        let identity = IdentitySource::Files { certificates: certificates.to_owned(), key: key.to_owned() };
        self.set(|options| options.trust.identity = Some(identity))
    }

    /// Whether to subscribe to commands; the default is true.
    pub fn set_receive_commands(&self, wanted: bool) -> Result<(), Error> {
        self.set(|options| options.receive_commands = wanted)
    }

    /// The MQTT keep-alive in seconds, 1 to 65,535; the default is 15. A dead link is found within twice this time.
    pub fn set_keep_alive_seconds(&self, seconds: u32) -> Result<(), Error> {
        options::check_range("keep-alive", "s", seconds.into(), 1..=u16::MAX.into())?;
        self.set(|options| options.keep_alive = Duration::from_secs(seconds.into()))
    }

    /// The MQTT quality of service of states: 1, the default, or 0. The platform has no QoS 2.
    pub fn set_qos(&self, qos: u8) -> Result<(), Error> {
        options::check_range("QoS", "", qos.into(), 0..=1)?;
        self.set(|options| options.qos = qos)
    }

    /// Bounds of the random delay before a reconnect: at most `initial_ms` before the first, doubling up to `max_ms`.
    /// 1 ms to a day; the defaults are 1,000 and 60,000.
    pub fn set_reconnect_delay(&self, initial_ms: u64, max_ms: u64) -> Result<(), Error> {
        options::check_range("initial_ms", "ms", initial_ms, 1..=DAY_MS)?;
        options::check_range("max_ms", "ms", max_ms, initial_ms..=DAY_MS)?;
        self.set(|options| {
            options.reconnect_initial = Duration::from_millis(initial_ms);
            options.reconnect_max = Duration::from_millis(max_ms);
        })
    }

    /// How long one attempt to connect may take in all, from name resolution to the broker's acceptance: 1 ms to a day;
    /// the default is 30,000.
    pub fn set_connect_timeout(&self, timeout_ms: u64) -> Result<(), Error> {
        options::check_range("timeout_ms", "ms", timeout_ms, 1..=DAY_MS)?;
        self.set(|options| options.connect_timeout = Duration::from_millis(timeout_ms))
    }

    /// How much the outbox holds before it is full: 1 to 10,000,000 states and 1,024 bytes to 1 GB; the defaults are
    /// 50,000 and 8 MB. A state counts its JSON text and about 100 bytes. What is over a lowered limit is dropped.
    pub fn set_outbox_limits(&self, states: u64, bytes: u64) -> Result<(), Error> {
        let states = options::check_size("states", "", states, 1..=10_000_000)?;
        let bytes = options::check_size("bytes", "bytes", bytes, 1024..=1 << 30)?;
        self.set_limit(|limits| (limits.states, limits.bytes) = (states, bytes))
    }

    /// What happens to a state that finds the outbox full; the default is that the oldest make room.
    pub fn set_when_full(&self, policy: WhenFull) -> Result<(), Error> {
        self.set_limit(|limits| limits.when_full = policy)
    }

    /// How many QoS 1 messages may be sent before the first is acknowledged: 1 to 1,000; the default is 100.
    pub fn set_max_in_flight(&self, messages: u32) -> Result<(), Error> {
        let messages = options::check_size("messages", "", messages.into(), 1..=1_000)?;
        self.set_limit(|limits| limits.in_flight = messages)
    }

    /// The largest message that states which must wait are merged into, in bytes: 0 (never merge), or 1,024 to 262,144,
    /// which is the default and the platform's limit.
    pub fn set_merge_limit(&self, bytes: u32) -> Result<(), Error> {
        if bytes != 0 {
            options::check_range("bytes", "bytes", bytes.into(), 1024..=payload::MAX_PAYLOAD as u64)?;
        }
        self.set_limit(|limits| limits.merge = bytes as usize)
    }

    /// Whether states outside the platform's schema are refused with `LOSANT_ERR_INVALID_STATE`; by default they are accepted,
    /// warned of once for each attribute, and sent alone, behind others.
    pub fn set_strict(&self, strict: bool) -> Result<(), Error> {
        self.set_limit(|limits| limits.strict = strict)
    }

    /// The broker's throttle: at most so many messages on one topic, and on the whole connection, within any window of
    /// `window_ms`. Up to 100,000 messages, 0 for no limit; 1 ms to a day. The defaults are Losant's: 30, 300, 15,000.
    pub fn set_rate_limit(&self, per_topic: u32, per_connection: u32, window_ms: u64) -> Result<(), Error> {
        let per_topic = options::check_size("per_topic", "messages", per_topic.into(), 0..=100_000)?;
        let per_connection = options::check_size("per_connection", "messages", per_connection.into(), 0..=100_000)?;
        options::check_range("window_ms", "ms", window_ms, 1..=DAY_MS)?;
        let window = Duration::from_millis(window_ms);
        self.set_limit(|limits| {
            limits.per_topic = Rate { messages: per_topic, window };
            limits.per_connection = Rate { messages: per_connection, window };
        })
    }

    fn set_limit(&self, change: impl FnOnce(&mut Limits)) -> Result<(), Error> {
        self.set(|options| change(&mut options.limits))
    }

    fn set(&self, change: impl FnOnce(&mut Options)) -> Result<(), Error> {
        self.engine.change_options(change)
    }
}
