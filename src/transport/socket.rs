//! The TCP socket at the bottom, with what spares system calls: a read that left its buffer unfilled has emptied the
//! socket (epoll(7)), so no second one is made to learn that; and TLS, which reads a few bytes at a time, is served from a
//! buffer.

use mio::net::TcpStream;
use socket2::SockRef;
use std::{
    io::{self, Read, Write},
    time::Duration,
};

const BUFFER: usize = 4096;

/// Only `write` is ever called on the socket: std sends it with MSG_NOSIGNAL, so that a vanished broker cannot kill a host
/// that leaves SIGPIPE at its default. `write_vectored` would be writev(2), which cannot ask for that.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    /// Serve small reads from a buffer.
    buffered: bool,
    buffer: Vec<u8>,
    start: usize,
    /// Whether readiness is told by [`Self::ready`], so that an emptied socket need not be asked.
    told: bool,
    emptied: bool,
    hung_up: bool,
    received_bytes: u64,
    sent_bytes: u64,
}

impl Socket {
    pub fn new(tcp: TcpStream, buffered: bool) -> Self {
        Socket {
            tcp,
            buffered,
            buffer: Vec::new(),
            start: 0,
            told: false,
            emptied: false,
            hung_up: false,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// The poll says that the socket is ready. Once this has been called it must be, at every edge.
    pub fn ready(&mut self, hung_up: bool) {
        self.told = true;
        self.emptied = false;
        // After this edge none will tell of the end, so it must be read for.
        self.hung_up |= hung_up;
    }

    /// How many bytes have come from the network since it was opened.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// How many bytes the kernel has taken since it was opened.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// How long written bytes may stay unacknowledged, or the other side take none, before the kernel gives the link up
    /// (TCP_USER_TIMEOUT).
    pub fn set_user_timeout(&self, timeout: Duration) {
        // Not every kernel of interest has it, and the keep-alive finds a dead link too.
        let _ = SockRef::from(&self.tcp).set_tcp_user_timeout(Some(timeout));
    }

    fn read_socket(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.emptied {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.tcp.read(out)?;
        self.received_bytes += count as u64;
        self.emptied = self.told && count > 0 && count < out.len() && !self.hung_up;
        Ok(count)
    }
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.buffered || self.buffer.is_empty() && out.len() >= BUFFER {
            return self.read_socket(out);
        }
        if self.buffer.is_empty() {
            let mut chunk = [0; BUFFER];
            let count = self.read_socket(&mut chunk)?;
            self.buffer.extend_from_slice(&chunk[..count]);
        }
        let rest = &self.buffer[self.start..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.start += count;
        if self.start == self.buffer.len() {
            // An idle connection holds no buffer.
            (self.buffer, self.start) = (Vec::new(), 0);
        }
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.tcp.write(bytes)?;
        self.sent_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
