//! What an I/O error means.

use super::tls;
use crate::status::{
    Error,
    Status::{self, *},
};
use std::io::{self, ErrorKind::*};

/// The cause of an error on a stream and a sentence that begins with `what`.
pub(super) fn from_io(what: &str, e: &io::Error) -> Error {
    let words = e.to_string();
    let status = match e.kind() {
        ConnectionRefused => LOSANT_ERR_REFUSED,
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected => LOSANT_ERR_CONNECTION_LOST,
        TimedOut => LOSANT_ERR_TIMED_OUT,
        InvalidData => LOSANT_ERR_WEBSOCKET,
        // TLS reports what is not the socket's error as "other".
        _ if words.contains("unexpected eof") => LOSANT_ERR_CONNECTION_LOST,
        _ => tls::cause(&words).unwrap_or(LOSANT_ERR_NETWORK),
    };
    Error::new(status, format!("{what}: {}{words}", status_words(status)))
}

/// The meaning in front of the words of TLS, which few can read.
fn status_words(status: Status) -> String {
    if status.code() <= LOSANT_ERR_TLS.code() && status != LOSANT_ERR_WEBSOCKET {
        format!("{status}: ")
    } else {
        String::new()
    }
}

/// Why an established connection has gone.
pub(crate) fn lost(e: &io::Error) -> Error {
    let mut error = from_io("the connection was lost", e);
    if error.status == LOSANT_ERR_TIMED_OUT {
        // The kernel's word for data that nobody acknowledged.
        error.status = LOSANT_ERR_KEEP_ALIVE;
    }
    error
}

/// A failed TLS handshake.
pub(super) fn handshake(e: &native_tls::Error) -> Error {
    let words = e.to_string();
    let status = if words.contains("unexpected EOF") || words.contains("unexpected eof") || words.contains("os error") {
        LOSANT_ERR_CONNECTION_LOST
    } else {
        tls::cause(&words).unwrap_or(LOSANT_ERR_TLS)
    };
    Error::new(status, format!("{status}: {words}"))
}
