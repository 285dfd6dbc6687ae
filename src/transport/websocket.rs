//! MQTT over WebSocket (MQTT 3.1.1 section 6): binary frames of the sub-protocol "mqtt", whose bounds mean nothing, as one
//! byte stream.

use super::{fault, stream::Plain, upgrade::Upgrade};
use crate::status::{Error, Status::*};
use std::{
    io::{self, Read, Write},
    mem,
};
use tungstenite::{
    Bytes, Message, WebSocket,
    error::{CapacityError, ProtocolError},
    protocol::{Role, WebSocketConfig},
};

/// As much as one MQTT packet may hold, and the frame's surplus.
const MAX_MESSAGE: usize = 2 << 20;

/// A handshake on its way.
pub(super) struct Opening {
    stream: Plain,
    upgrade: Upgrade,
    request: Vec<u8>,
    sent: usize,
}

pub(super) enum Opened {
    Yes(Box<WsStream>),
    NotYet(Box<Opening>),
}

/// Asks for a WebSocket. `authority` is host and port as in a URL.
pub(super) fn open(stream: Plain, authority: &str, path: &str) -> Result<Opened, Error> {
    let (upgrade, request) = Upgrade::new(authority, path)?;
    Opening { stream, upgrade, request, sent: 0 }.advance()
}

impl Opening {
    /// Goes as far as it can without waiting.
    pub fn advance(mut self) -> Result<Opened, Error> {
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

pub(super) struct WsStream {
    socket: WebSocket<Plain>,
    /// What has come of a message and was not read yet.
    incoming: Bytes,
    /// How many bytes of the caller's next write are in a frame that the network has not wholly taken yet.
    framed: usize,
}

impl WsStream {
    fn new(stream: Plain, early_frames: Vec<u8>) -> Self {
        // Small buffers: they are held for the life of the connection. Nothing is held back on writing.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocket::from_partially_read(stream, early_frames, Role::Client, Some(config));
        WsStream { socket, incoming: Bytes::new(), framed: 0 }
    }

    pub fn get_mut(&mut self) -> &mut Plain {
        self.socket.get_mut()
    }

    pub fn close(&mut self) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
    }
}

impl Read for WsStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.incoming.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.incoming = bytes,
                // Answered by tungstenite; the answer goes out with the next read or write.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => return Ok(0),
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

impl Write for WsStream {
    /// Puts `bytes` into one frame. After `WouldBlock` the frame stays on its way, and the caller must come back with the
    /// same bytes at the front; they count as written when the network has taken the whole frame.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.framed == 0 {
            self.framed = bytes.len();
            let frame = Message::Binary(Bytes::copy_from_slice(bytes));
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
