//! The established byte stream, whatever carries it.

use super::{plain::Plain, socket::Socket, websocket::WsStream};
use std::{
    io::{self, Read, Write},
    time::Duration,
};

/// Reads and writes without blocking; `WouldBlock` means wait for readiness of the socket beneath. After a `WouldBlock`
/// of `write`, the same bytes must come first in the next one, for TLS and WebSocket have begun to send them.
pub(crate) struct Stream(Carrier);

enum Carrier {
    Plain(Plain),
    WebSocket(Box<WsStream>),
}

impl From<Plain> for Stream {
    fn from(plain: Plain) -> Self {
        Stream(Carrier::Plain(plain))
    }
}

impl From<Box<WsStream>> for Stream {
    fn from(ws: Box<WsStream>) -> Self {
        Stream(Carrier::WebSocket(ws))
    }
}

impl Stream {
    /// The poll says that the socket is ready; to be told at every edge.
    pub fn ready(&mut self, hung_up: bool) {
        match &mut self.0 {
            Carrier::Plain(plain) => plain.ready(hung_up),
            Carrier::WebSocket(ws) => ws.get_mut().ready(hung_up),
        }
    }

    /// How many bytes have come from the network since the socket was opened, those of handshakes and of frames that are not
    /// whole yet included.
    pub fn received_bytes(&self) -> u64 {
        self.socket().received_bytes()
    }

    /// How many bytes the kernel has taken since the socket was opened.
    pub fn sent_bytes(&self) -> u64 {
        self.socket().sent_bytes()
    }

    /// How long written bytes may stay unacknowledged, or the other side take none, before the kernel gives the link up.
    pub fn set_user_timeout(&self, timeout: Duration) {
        self.socket().set_user_timeout(timeout);
    }

    fn socket(&self) -> &Socket {
        match &self.0 {
            Carrier::Plain(plain) => plain.socket(),
            Carrier::WebSocket(ws) => ws.get_ref().socket(),
        }
    }

    /// What the other side has said of its reason to close, where the carrier has words for that.
    pub fn farewell(&self) -> Option<&str> {
        match &self.0 {
            Carrier::Plain(_) => None,
            Carrier::WebSocket(ws) => ws.farewell(),
        }
    }

    /// Ends each layer as its protocol asks: a WebSocket close frame, then TLS close_notify. Nobody waits for an answer.
    pub fn close(&mut self) {
        match &mut self.0 {
            Carrier::Plain(plain) => plain.close(),
            Carrier::WebSocket(ws) => {
                ws.close();
                ws.get_mut().close();
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Carrier::Plain(plain) => plain.read(buffer),
            Carrier::WebSocket(ws) => ws.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Carrier::Plain(plain) => plain.write(bytes),
            Carrier::WebSocket(ws) => ws.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Carrier::Plain(plain) => plain.flush(),
            Carrier::WebSocket(ws) => ws.flush(),
        }
    }
}
