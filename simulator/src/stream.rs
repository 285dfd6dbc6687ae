//! The byte stream of a connection, whatever carries it.

use std::io::{self, ErrorKind, Read, Write};

use native_tls::{Identity, TlsAcceptor, TlsStream};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

use crate::config::{self, Transport};
use crate::rate::PacedSocket;

/// The MQTT bytes of a connection, as a stream.
pub(crate) trait Stream: Read + Write {
    /// Says why it ends, if it has the words; what does not go out now goes with a later flush.
    fn close(&mut self, _frame: CloseFrame) -> io::Result<()> {
        Ok(())
    }
}
impl Stream for PacedSocket {}
impl Stream for TlsStream<PacedSocket> {}

/// What a listener needs to accept TLS.
pub(crate) fn acceptor(identity: Option<&config::Identity>) -> io::Result<TlsAcceptor> {
    let missing = || io::Error::new(ErrorKind::InvalidInput, "TLS needs a certificate and a key");
    let identity = identity.ok_or_else(missing)?;
    Identity::from_pkcs8(&identity.certificate_pem, &identity.key_pem)
        .and_then(TlsAcceptor::new)
        .map_err(io::Error::other)
}

/// Shakes hands on a blocking socket.
pub(crate) fn open(
    socket: PacedSocket,
    transport: Transport,
    acceptor: Option<&TlsAcceptor>,
) -> io::Result<Box<dyn Stream>> {
    let stream: Box<dyn Stream> = match acceptor {
        Some(acceptor) => match acceptor.accept(socket) {
            Ok(stream) => Box::new(stream),
            Err(native_tls::HandshakeError::Failure(error)) => return Err(io::Error::other(error)),
            Err(native_tls::HandshakeError::WouldBlock(_)) => return Err(ErrorKind::TimedOut.into()),
        },
        None => Box::new(socket),
    };
    match transport {
        Transport::Tcp | Transport::Tls => Ok(stream),
        Transport::WebSocket | Transport::SecureWebSocket => match tungstenite::accept_hdr(stream, choose_mqtt) {
            Ok(socket) => Ok(Box::new(Messages { socket, rest: Vec::new() })),
            Err(HandshakeError::Failure(error)) => Err(io::Error::other(error)),
            Err(HandshakeError::Interrupted(_)) => Err(ErrorKind::TimedOut.into()),
        },
    }
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn choose_mqtt(
    request: &Request,
    mut response: Response,
) -> Result<Response, tungstenite::handshake::server::ErrorResponse> {
    let offered = request.headers().get_all("Sec-WebSocket-Protocol").iter();
    let mut names = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if names.any(|name| name.trim() == "mqtt") {
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("mqtt"));
    }
    Ok(response)
}

/// The contents of binary WebSocket messages as a stream.
struct Messages {
    socket: WebSocket<Box<dyn Stream>>,
    rest: Vec<u8>,
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl Read for Messages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes.to_vec(),
                Ok(Message::Text(_)) => return Err(io::Error::new(ErrorKind::InvalidData, "a text message")),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(0),
                Ok(_) => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        Ok(length)
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.write(Message::binary(bytes.to_vec())) {
            Ok(()) => Ok(bytes.len()),
            // It is kept, and goes out with a later flush.
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(bytes.len()),
            Err(error) => Err(io_error(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(io_error)
    }
}

impl Stream for Messages {
    fn close(&mut self, frame: CloseFrame) -> io::Result<()> {
        self.socket.close(Some(frame)).map_err(io_error)
    }
}
