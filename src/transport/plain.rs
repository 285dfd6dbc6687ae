//! TCP with or without TLS: what a WebSocket stands on, or MQTT itself.

use super::{socket::Socket, tls::Encrypted};
use std::io::{self, Read, Write};

/// TCP with or without TLS.
pub(crate) enum Plain {
    Tcp(Socket),
    Tls(Box<Encrypted>),
}

impl Plain {
    pub fn ready(&mut self, hung_up: bool) {
        match self {
            Plain::Tcp(socket) => socket.ready(hung_up),
            Plain::Tls(tls) => tls.socket_mut().ready(hung_up),
        }
    }

    pub fn socket(&self) -> &Socket {
        match self {
            Plain::Tcp(socket) => socket,
            Plain::Tls(tls) => tls.socket(),
        }
    }

    pub fn close(&mut self) {
        if let Plain::Tls(tls) = self {
            tls.close();
        }
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Plain::Tcp(socket) => socket.read(buffer),
            Plain::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Plain::Tcp(socket) => socket.write(bytes),
            Plain::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Plain::Tcp(socket) => socket.flush(),
            Plain::Tls(tls) => tls.flush(),
        }
    }
}
