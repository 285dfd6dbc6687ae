//! Every way an operation can fail, one number per cause.
//!
//! The names are the C names: one spelling in Rust, in the header and in the documentation, so that a search finds
//! every use. Numbers are never reused.

use crate::text::CText;
use std::{ffi::CStr, fmt};

/// What a function answers. 0 is success, every error is negative, and each cause has its own number, which is
/// never reused in a later version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum Status {
    /// Success.
    LOSANT_OK = 0,
    /// A pointer argument that must not be NULL is NULL.
    LOSANT_ERR_NULL_ARGUMENT = -1,
    /// The device handle is NULL, was never issued, or has been freed.
    LOSANT_ERR_INVALID_HANDLE = -2,
    /// A text argument is not valid UTF-8.
    LOSANT_ERR_INVALID_UTF8 = -3,
    /// An argument is outside the documented range; the log names the argument and the reason.
    LOSANT_ERR_INVALID_ARGUMENT = -4,
    /// The state is not JSON; the log says where it stops being JSON.
    LOSANT_ERR_INVALID_JSON = -5,
    /// The state is JSON but not a JSON object.
    LOSANT_ERR_NOT_AN_OBJECT = -6,
    /// The state would make a message over the platform's limit of 256 KB (262,144 bytes).
    LOSANT_ERR_TOO_LARGE = -7,
    // -8 is not used any more.
    /// The device is already connecting or connected; close it first.
    LOSANT_ERR_ALREADY_RUNNING = -9,
    /// The device is not connecting or connected, or not in the mode that this function needs.
    LOSANT_ERR_NOT_RUNNING = -10,
    /// Another thread is turning this device's loop.
    LOSANT_ERR_BUSY = -11,
    /// A call that would have to wait for the callback it is made from.
    LOSANT_ERR_IN_CALLBACK = -12,
    /// No observer was added with these arguments, or it has been removed already.
    LOSANT_ERR_NO_SUCH_OBSERVER = -13,
    /// The text is not a time in any accepted form.
    LOSANT_ERR_INVALID_TIME = -14,
    /// The operating system refused a resource (descriptors, memory, threads); the log, or the text of the event, has its
    /// words.
    LOSANT_ERR_SYSTEM = -15,
    /// A defect in the library; it was contained and the device is closed. Please report it.
    LOSANT_ERR_INTERNAL = -16,
    /// The outbox is full: the state was not accepted, or, in a dropped event, had to make room for newer ones.
    LOSANT_ERR_OUTBOX_FULL = -17,
    /// losant_device_drain has been called: no states are accepted until the device is connected again.
    LOSANT_ERR_CLOSING = -18,
    /// Not everything was delivered within the time given.
    LOSANT_ERR_NOT_DELIVERED = -19,
    /// The host name could not be resolved.
    LOSANT_ERR_RESOLVE = -20,
    /// The broker's host refused the TCP connection.
    LOSANT_ERR_REFUSED = -21,
    /// The connection was not complete within the connect deadline; the text names the stage.
    LOSANT_ERR_TIMED_OUT = -22,
    /// The network failed, for example no route to the broker.
    LOSANT_ERR_NETWORK = -23,
    /// The broker closed the connection. Over WebSocket the text has the code and the reason that it gave.
    LOSANT_ERR_CONNECTION_LOST = -24,
    /// The broker answers nothing any more, or does not end what it has begun to send: the link is dead. One that is slow
    /// but moves is not.
    LOSANT_ERR_KEEP_ALIVE = -25,
    /// The broker sent something that is not MQTT 3.1.1.
    LOSANT_ERR_PROTOCOL = -26,
    /// The broker refused the subscription to the command topic; states still flow.
    LOSANT_ERR_SUBSCRIBE_REFUSED = -27,
    /// The broker went on answering, but never acknowledged a state: it goes out again on the next connection.
    LOSANT_ERR_NOT_ACKNOWLEDGED = -28,
    /// The state is outside the platform's schema, and losant_device_set_strict refuses such.
    LOSANT_ERR_INVALID_STATE = -29,
    /// CONNACK return code 1: the broker does not speak MQTT 3.1.1.
    LOSANT_ERR_PROTOCOL_VERSION = -30,
    /// CONNACK return code 2: the broker does not accept this device id.
    LOSANT_ERR_DEVICE_ID = -31,
    /// CONNACK return code 3: the broker is not available at the moment.
    LOSANT_ERR_SERVER_UNAVAILABLE = -32,
    /// CONNACK return code 4: wrong access key or secret.
    LOSANT_ERR_CREDENTIALS = -33,
    /// CONNACK return code 5: the access key may not connect this device.
    LOSANT_ERR_NOT_AUTHORIZED = -34,
    /// The connection ends whenever this state, or any of its topic, is sent. In an error event: it is kept back, for a
    /// minute at first and an hour at last, and tried again. In a dropped event: it was tried again five times.
    LOSANT_ERR_UNDELIVERABLE = -35,
    /// TLS failed for another reason than those below; the text has the words of the TLS library.
    LOSANT_ERR_TLS = -40,
    /// The broker's certificate comes from none of the trusted roots, or the broker did not send an intermediate
    /// certificate that is needed: set the CA that signed it.
    LOSANT_ERR_CERTIFICATE_UNKNOWN = -41,
    /// The broker's certificate is signed by itself and not trusted.
    LOSANT_ERR_CERTIFICATE_SELF_SIGNED = -42,
    /// The broker's certificate has expired, or the device's clock is wrong.
    LOSANT_ERR_CERTIFICATE_EXPIRED = -43,
    /// The broker's certificate is not valid yet: most often the device's clock is wrong.
    LOSANT_ERR_CERTIFICATE_NOT_YET_VALID = -44,
    /// The broker's certificate is for another host name.
    LOSANT_ERR_CERTIFICATE_WRONG_HOST = -45,
    /// The broker speaks no TLS version that is allowed: 1.2 and 1.3 are.
    LOSANT_ERR_TLS_VERSION = -46,
    /// The broker demands a client certificate and none is set.
    LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED = -47,
    /// The broker refused the client certificate.
    LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED = -48,
    /// A certificate or key that was set, as text or file, cannot be read or is not PEM of the right kind, or they do not
    /// belong together; the text says which and why.
    LOSANT_ERR_CERTIFICATE_FILE = -49,
    /// The server answered the WebSocket request with an HTTP status that refuses it; the text has the status, and
    /// where a redirect leads, which is not followed.
    LOSANT_ERR_WEBSOCKET_REFUSED = -50,
    /// The server did not choose the WebSocket sub-protocol "mqtt".
    LOSANT_ERR_WEBSOCKET_PROTOCOL = -51,
    /// The server violated the WebSocket protocol, for example with a text frame.
    LOSANT_ERR_WEBSOCKET = -52,
    /// The device was made before this process was forked: it belongs to the parent.
    LOSANT_ERR_FORKED = -60,
}

use Status::*;

impl Status {
    /// Every status, for lookups by number.
    pub const ALL: &'static [Status] = &[
        LOSANT_OK,
        LOSANT_ERR_NULL_ARGUMENT,
        LOSANT_ERR_INVALID_HANDLE,
        LOSANT_ERR_INVALID_UTF8,
        LOSANT_ERR_INVALID_ARGUMENT,
        LOSANT_ERR_INVALID_JSON,
        LOSANT_ERR_NOT_AN_OBJECT,
        LOSANT_ERR_TOO_LARGE,
        LOSANT_ERR_ALREADY_RUNNING,
        LOSANT_ERR_NOT_RUNNING,
        LOSANT_ERR_BUSY,
        LOSANT_ERR_IN_CALLBACK,
        LOSANT_ERR_NO_SUCH_OBSERVER,
        LOSANT_ERR_INVALID_TIME,
        LOSANT_ERR_SYSTEM,
        LOSANT_ERR_INTERNAL,
        LOSANT_ERR_OUTBOX_FULL,
        LOSANT_ERR_CLOSING,
        LOSANT_ERR_NOT_DELIVERED,
        LOSANT_ERR_RESOLVE,
        LOSANT_ERR_REFUSED,
        LOSANT_ERR_TIMED_OUT,
        LOSANT_ERR_NETWORK,
        LOSANT_ERR_CONNECTION_LOST,
        LOSANT_ERR_KEEP_ALIVE,
        LOSANT_ERR_PROTOCOL,
        LOSANT_ERR_SUBSCRIBE_REFUSED,
        LOSANT_ERR_NOT_ACKNOWLEDGED,
        LOSANT_ERR_INVALID_STATE,
        LOSANT_ERR_PROTOCOL_VERSION,
        LOSANT_ERR_DEVICE_ID,
        LOSANT_ERR_SERVER_UNAVAILABLE,
        LOSANT_ERR_CREDENTIALS,
        LOSANT_ERR_NOT_AUTHORIZED,
        LOSANT_ERR_UNDELIVERABLE,
        LOSANT_ERR_TLS,
        LOSANT_ERR_CERTIFICATE_UNKNOWN,
        LOSANT_ERR_CERTIFICATE_SELF_SIGNED,
        LOSANT_ERR_CERTIFICATE_EXPIRED,
        LOSANT_ERR_CERTIFICATE_NOT_YET_VALID,
        LOSANT_ERR_CERTIFICATE_WRONG_HOST,
        LOSANT_ERR_TLS_VERSION,
        LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED,
        LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED,
        LOSANT_ERR_CERTIFICATE_FILE,
        LOSANT_ERR_WEBSOCKET_REFUSED,
        LOSANT_ERR_WEBSOCKET_PROTOCOL,
        LOSANT_ERR_WEBSOCKET,
        LOSANT_ERR_FORKED,
    ];

    /// The number that C sees.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Status> {
        Self::ALL.iter().copied().find(|status| status.code() == code)
    }

    /// One fixed English phrase.
    pub const fn text(self) -> &'static CStr {
        match self {
            LOSANT_OK => c"success",
            LOSANT_ERR_NULL_ARGUMENT => c"an argument is NULL",
            LOSANT_ERR_INVALID_HANDLE => c"not a device handle, or the device has been freed",
            LOSANT_ERR_INVALID_UTF8 => c"a text argument is not UTF-8",
            LOSANT_ERR_INVALID_ARGUMENT => c"an argument is outside its range",
            LOSANT_ERR_INVALID_JSON => c"the state is not JSON",
            LOSANT_ERR_NOT_AN_OBJECT => c"the state is not a JSON object",
            LOSANT_ERR_TOO_LARGE => c"the message would be over 256 KB",
            LOSANT_ERR_ALREADY_RUNNING => c"the device is already connecting or connected",
            LOSANT_ERR_NOT_RUNNING => c"the device is not connecting or connected in the mode this needs",
            LOSANT_ERR_BUSY => c"another thread is at work on this device",
            LOSANT_ERR_IN_CALLBACK => c"not possible from inside this callback",
            LOSANT_ERR_NO_SUCH_OBSERVER => c"no such observer",
            LOSANT_ERR_INVALID_TIME => c"not a time in any accepted form, or one that the platform ignores",
            LOSANT_ERR_SYSTEM => c"the operating system refused a resource",
            LOSANT_ERR_INTERNAL => c"a defect in liblosant, contained",
            LOSANT_ERR_OUTBOX_FULL => c"the outbox is full",
            LOSANT_ERR_CLOSING => c"the device is being closed and accepts no states",
            LOSANT_ERR_NOT_DELIVERED => c"not everything was delivered in time",
            LOSANT_ERR_RESOLVE => c"the host name could not be resolved",
            LOSANT_ERR_REFUSED => c"the connection was refused",
            LOSANT_ERR_TIMED_OUT => c"the connection was not complete within its deadline",
            LOSANT_ERR_NETWORK => c"the network failed",
            LOSANT_ERR_CONNECTION_LOST => c"the broker closed the connection",
            LOSANT_ERR_KEEP_ALIVE => c"the broker no longer answers",
            LOSANT_ERR_PROTOCOL => c"the broker does not speak MQTT 3.1.1",
            LOSANT_ERR_SUBSCRIBE_REFUSED => c"the broker refused the command subscription",
            LOSANT_ERR_NOT_ACKNOWLEDGED => c"the broker did not acknowledge a state",
            LOSANT_ERR_INVALID_STATE => c"the state is outside the platform's schema",
            LOSANT_ERR_PROTOCOL_VERSION => c"the broker refused the protocol version (CONNACK 1)",
            LOSANT_ERR_DEVICE_ID => c"the broker refused the device id (CONNACK 2)",
            LOSANT_ERR_SERVER_UNAVAILABLE => c"the broker is unavailable (CONNACK 3)",
            LOSANT_ERR_CREDENTIALS => c"the broker refused the access key or secret (CONNACK 4)",
            LOSANT_ERR_NOT_AUTHORIZED => c"the broker did not authorize the device (CONNACK 5)",
            LOSANT_ERR_UNDELIVERABLE => c"the connection ends whenever this state is sent",
            LOSANT_ERR_TLS => c"the TLS handshake failed",
            LOSANT_ERR_CERTIFICATE_UNKNOWN => {
                c"the broker's certificate is not from a trusted root, or its chain is incomplete"
            }
            LOSANT_ERR_CERTIFICATE_SELF_SIGNED => c"the broker's certificate is self-signed",
            LOSANT_ERR_CERTIFICATE_EXPIRED => c"the broker's certificate has expired, or the device's clock is wrong",
            LOSANT_ERR_CERTIFICATE_NOT_YET_VALID => {
                c"the broker's certificate is not valid yet: the device's clock may be wrong"
            }
            LOSANT_ERR_CERTIFICATE_WRONG_HOST => c"the broker's certificate is for another host",
            LOSANT_ERR_TLS_VERSION => c"the broker speaks neither TLS 1.2 nor 1.3",
            LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED => c"the broker demands a client certificate",
            LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED => c"the broker refused the client certificate",
            LOSANT_ERR_CERTIFICATE_FILE => c"a certificate or key cannot be used",
            LOSANT_ERR_WEBSOCKET_REFUSED => c"the server refused the WebSocket",
            LOSANT_ERR_WEBSOCKET_PROTOCOL => c"the server does not speak MQTT over WebSocket",
            LOSANT_ERR_WEBSOCKET => c"the WebSocket failed",
            LOSANT_ERR_FORKED => c"the device belongs to the process that this one was forked from",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text().to_string_lossy())
    }
}

/// How far a connection had come when something happened to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the C names, so that one search finds every use")]
pub enum Stage {
    /// Not about a connection.
    LOSANT_STAGE_NONE = 0,
    /// Looking up the host name.
    LOSANT_STAGE_RESOLVE = 1,
    /// Opening the TCP connection.
    LOSANT_STAGE_TCP = 2,
    /// TLS handshake.
    LOSANT_STAGE_TLS = 3,
    /// WebSocket handshake.
    LOSANT_STAGE_WEBSOCKET = 4,
    /// MQTT CONNECT and SUBSCRIBE.
    LOSANT_STAGE_MQTT = 5,
    /// The connection was complete.
    LOSANT_STAGE_ONLINE = 6,
}

/// What went wrong: the one form of it, from the transport to the observers. In a close event with
/// [`Status::LOSANT_OK`] it is an end by request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The cause.
    pub status: Status,
    /// How far the connection had come; [`Stage::LOSANT_STAGE_NONE`] for what is not about a connection.
    pub stage: Stage,
    /// English text about this one case, for example which argument and why. Never holds a key or a secret.
    pub text: CText,
}

impl Error {
    pub(crate) fn new(status: Status, text: impl Into<CText>) -> Self {
        Error { status, stage: Stage::LOSANT_STAGE_NONE, text: text.into() }
    }

    /// Tells how far the connection had come.
    pub(crate) fn at(self, stage: Stage) -> Self {
        Error { stage, ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_found_by_its_number_and_has_its_own_text() {
        let mut texts = std::collections::HashSet::new();
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(*status));
            assert!(texts.insert(status.text()), "{status:?} shares its text");
        }
        assert_eq!(Status::from_code(1), None);
        assert_eq!(Status::from_code(i32::MIN), None);
    }
}
