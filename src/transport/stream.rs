//! The established byte stream.

use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// Reads and writes without blocking; `WouldBlock` means wait for readiness of the socket beneath.
///
/// Only `write` is ever called on sockets: std sends it with MSG_NOSIGNAL, so that a vanished broker cannot kill a host
/// that leaves SIGPIPE at its default. `write_vectored` would be writev(2), which cannot ask for that.
pub(crate) enum Stream {
    Tcp(TcpStream),
}

impl Stream {
    /// Whether a read that did not fill its buffer has taken all there was, so that a second one is not needed to learn
    /// that (epoll(7) says so of stream sockets). A layer above the socket may hold back more.
    pub fn short_read_means_empty(&self) -> bool {
        match self {
            Stream::Tcp(_) => true,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(_) => Ok(()),
        }
    }
}
