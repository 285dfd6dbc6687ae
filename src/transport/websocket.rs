//! MQTT over WebSocket (MQTT 3.1.1 section 6): binary frames of the sub-protocol "mqtt", whose bounds mean nothing, as one
//! byte stream.

use super::{Headers, fault, plain::Plain, upgrade::Upgrade};
use crate::{
    json::excerpt,
    status::{Error, Status::*},
};
use std::{
    io::{self, Read, Write},
    mem,
};
use tungstenite::{
    Bytes, Message, WebSocket,
    error::{CapacityError, ProtocolError},
    protocol::{CloseFrame, Role, WebSocketConfig},
};
use zeroize::Zeroizing;

/// As much as one MQTT packet may hold, and the frame's surplus.
const MAX_MESSAGE: usize = 2 << 20;

/// Frames without data, such as pings, that one read passes over: a server that sends nothing else must not hold up the
/// other devices of a thread.
const IDLE_FRAMES: usize = 100;

/// A handshake on its way.
pub(crate) struct Opening<S = Plain> {
    stream: S,
    upgrade: Upgrade,
    /// Its headers may hold secrets.
    request: Zeroizing<Vec<u8>>,
    sent: usize,
}

pub(crate) enum Opened<S = Plain> {
    Yes(Box<WsStream<S>>),
    NotYet(Box<Opening<S>>),
}

/// Asks for a WebSocket. `host` is the value of the header Host.
pub(crate) fn open<S: Read + Write>(stream: S, host: &str, path: &str, headers: &Headers) -> Result<Opened<S>, Error> {
    let (upgrade, request) = Upgrade::new(host, path, headers)?;
    Opening { stream, upgrade, request, sent: 0 }.advance()
}

impl<S: Read + Write> Opening<S> {
    /// Goes as far as it can without waiting.
    pub fn advance(mut self) -> Result<Opened<S>, Error> {
        match self.exchange() {
            Ok(early_frames) => Ok(Opened::Yes(Box::new(WsStream::new(self.stream, early_frames?)))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Opened::NotYet(Box::new(self))),
            Err(e) => Err(fault::from_io("the WebSocket handshake failed", &e)),
        }
    }

    fn exchange(&mut self) -> io::Result<Result<Vec<u8>, Error>> {
        while self.sent < self.request.len() {
            self.sent += self.stream.write(&self.request[self.sent..])?;
        }
        let mut chunk = [0; 1024];
        loop {
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                let why = "the server closed the connection during the WebSocket handshake";
                return Ok(Err(Error::new(LOSANT_ERR_CONNECTION_LOST, why)));
            }
            if let Some(outcome) = self.upgrade.receive(&chunk[..count]).transpose() {
                return Ok(outcome);
            }
        }
    }
}

pub(crate) struct WsStream<S = Plain> {
    socket: WebSocket<S>,
    /// What has come of a message and was not read yet.
    incoming: Bytes,
    /// How many bytes of the caller's next write are in a frame that the network has not wholly taken yet.
    framed: usize,
    /// What the server's close frame said.
    farewell: Option<Box<str>>,
}

impl<S: Read + Write> WsStream<S> {
    fn new(stream: S, early_frames: Vec<u8>) -> Self {
        // Small buffers: they are held for the life of the connection. Nothing is held back on writing.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocket::from_partially_read(stream, early_frames, Role::Client, Some(config));
        WsStream { socket, incoming: Bytes::new(), framed: 0, farewell: None }
    }

    pub fn get_ref(&self) -> &S {
        self.socket.get_ref()
    }

    pub fn get_mut(&mut self) -> &mut S {
        self.socket.get_mut()
    }

    /// The code and the reason of the server's close frame, once it has been read.
    pub fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref()
    }

    pub fn close(&mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}

impl<S: Read + Write> Read for WsStream<S> {
    /// `Interrupted` means that there may be more to read already.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut frames = 0;
        while self.incoming.is_empty() {
            if frames == IDLE_FRAMES {
                return Err(io::ErrorKind::Interrupted.into());
            }
            frames += 1;
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.incoming = bytes,
                // Answered by tungstenite; the answer goes out with the next read or write.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(frame)) => {
                    self.farewell = Some(farewell(frame.as_ref()).into());
                    // The server waits for the answer; if it does not go out, that changes nothing.
                    let _ = self.socket.flush();
                    return Ok(0);
                }
                Ok(Message::Text(_)) => {
                    let wrong = "the server sent a text frame, which MQTT forbids (6.0.0)";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, wrong));
                }
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => return Ok(0),
                Err(e) => return Err(into_io(e)),
            }
        }
        let count = self.incoming.len().min(out.len());
        out[..count].copy_from_slice(&self.incoming[..count]);
        self.incoming = if count == self.incoming.len() { Bytes::new() } else { self.incoming.split_off(count) };
        Ok(count)
    }
}

impl<S: Read + Write> Write for WsStream<S> {
    /// Puts `bytes` into one frame. After `WouldBlock` the frame stays on its way, and the caller must come back with the
    /// same bytes at the front; they count as written when the network has taken the whole frame.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.framed == 0 {
            self.framed = bytes.len();
            // Among them is CONNECT with the secret, so the copy is wiped when the frame, which is masked, has been made.
            let frame = Message::Binary(Bytes::from_owner(Zeroizing::new(bytes.to_vec())));
            // It is queued in any case but that of a broken connection.
            self.socket.write(frame).or_else(unless_blocked)?;
        }
        self.socket.flush().map_err(into_io)?;
        Ok(mem::take(&mut self.framed))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().map_err(into_io)
    }
}

/// What a close frame says, in one line: its reason is a text from outside.
fn farewell(frame: Option<&CloseFrame>) -> String {
    match frame {
        None => "WebSocket close frame without a code".to_owned(),
        Some(frame) if frame.reason.is_empty() => format!("WebSocket close code {}", u16::from(frame.code)),
        Some(frame) => format!("WebSocket close code {}, {:?}", u16::from(frame.code), excerpt(&frame.reason)),
    }
}

fn unless_blocked(e: tungstenite::Error) -> io::Result<()> {
    match into_io(e) {
        e if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
        e => Err(e),
    }
}

fn into_io(e: tungstenite::Error) -> io::Error {
    match e {
        tungstenite::Error::Io(e) => e,
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            io::ErrorKind::ConnectionReset.into()
        }
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            io::Error::new(io::ErrorKind::InvalidData, format!("a WebSocket message of {size} bytes is too long"))
        }
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends some bytes once and others for ever, or nearly: a test that fails ends too.
    struct Endless {
        first: Vec<u8>,
        then: Vec<u8>,
        at: usize,
    }

    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.at > 8 << 20 {
                return Ok(0);
            }
            for place in out.iter_mut() {
                let then = || self.then[(self.at - self.first.len()) % self.then.len()];
                *place = self.first.get(self.at).copied().unwrap_or_else(then);
                self.at += 1;
            }
            Ok(out.len())
        }
    }

    impl Write for Endless {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stream(first: &[u8], then: &[u8]) -> WsStream<Endless> {
        WsStream::new(Endless { first: first.to_vec(), then: then.to_vec(), at: 0 }, Vec::new())
    }

    #[test]
    fn a_server_that_only_pings_does_not_hold_up_the_thread() {
        // Pings, pongs, empty frames, and fragments without end.
        for bytes in [&b"\x89\0"[..], b"\x8a\x01x", b"\x82\0", b"\x89\x03abc\x02\0\x80\0"] {
            let mut stream = stream(b"", bytes);
            let answer = stream.read(&mut [0; 100]).map_err(|e| e.kind());
            assert_eq!(answer, Err(io::ErrorKind::Interrupted), "{bytes:?}");
            assert!(stream.get_mut().at <= 64 * 1024, "{} bytes read", stream.get_mut().at);
        }
    }

    #[test]
    fn what_a_close_frame_says_is_told_in_one_line() {
        let long = [&b"\x88\x7d\x0f\xa0"[..], &[b'x'; 123]].concat();
        for (bytes, words) in [
            (&b"\x88\x10\x03\xf0quota exceeded"[..], r#"WebSocket close code 1008, "quota exceeded""#),
            (b"\x88\x02\x03\xf0", "WebSocket close code 1008"),
            (b"\x88\0", "WebSocket close frame without a code"),
            (b"\x88\x09\x0f\xa0a\r\n\x1b[1m", r#"WebSocket close code 4000, "a\r\n\u{1b}[1m""#),
            (&long, &format!("WebSocket close code 4000, {:?}", "x".repeat(100))),
        ] {
            let mut stream = stream(bytes, b"\x82\x01x");
            assert_eq!(stream.read(&mut [0; 100]).map_err(|e| e.kind()), Ok(0), "{words}");
            assert_eq!(stream.farewell(), Some(words));
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
        for bytes in [
            &b"\x82\x7f\0\0\0\0\x10\0\0\0"[..],          // 256 MB
            b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", // as large as can be said
            b"\x82\x7f\0\0\0\0\0\x20\0\x01",             // one byte too many
        ] {
            let mut stream = stream(b"", bytes);
            let answer = stream.read(&mut [0; 100]).map_err(|e| e.kind());
            assert_eq!(answer, Err(io::ErrorKind::InvalidData), "{bytes:?}");
            assert!(stream.get_mut().at <= 8192, "{} bytes read", stream.get_mut().at);
        }
    }

    #[test]
    fn a_message_in_endless_fragments_is_refused_at_the_limit() {
        let fragment = [&b"\0\x7e\x40\0"[..], &[b'x'; 0x4000]].concat();
        let mut stream = stream(b"\x02\0", &fragment);
        let end = loop {
            match stream.read(&mut [0; 100]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                answer => break answer.map_err(|e| e.kind()),
            }
        };
        assert_eq!(end, Err(io::ErrorKind::InvalidData));
        assert!(stream.get_mut().at <= MAX_MESSAGE + 64 * 1024, "{} bytes read", stream.get_mut().at);
    }
}
