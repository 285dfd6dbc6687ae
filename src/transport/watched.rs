//! The socket below TLS, watched for whether the broker asks for a client certificate: with TLS 1.2, many brokers refuse a
//! client without one by the same alert as a client that shares no cipher with them.

use super::socket::Socket;
use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// What is known of the client certificate when TLS fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientSide {
    /// One is set.
    pub has_certificate: bool,
    /// The broker has asked for one.
    pub asked: bool,
}

#[derive(Debug)]
pub(super) struct Watched {
    socket: Socket,
    flight: Flight,
    has_certificate: bool,
    /// Shared with whoever makes the handshake: when that fails, native-tls keeps the stream to itself.
    asked: Arc<AtomicBool>,
}

impl Watched {
    pub fn new(socket: Socket, has_certificate: bool) -> Self {
        Watched { socket, flight: Flight::default(), has_certificate, asked: Arc::default() }
    }

    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    pub fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Whether the broker has asked for a certificate.
    pub fn asked(&self) -> Arc<AtomicBool> {
        self.asked.clone()
    }

    pub fn has_certificate(&self) -> bool {
        self.has_certificate
    }
}

impl Read for Watched {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(out)?;
        if self.flight.asks_for_certificate(&out[..count]) {
            self.asked.store(true, Relaxed);
        }
        Ok(count)
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The records that a server begins with (RFC 5246 sections 6.2.1 and 7.4). With TLS 1.2 all of its messages up to its
/// ChangeCipherSpec are in the clear; with TLS 1.3 only the first is, and there an alert of its own tells of a missing
/// certificate.
#[derive(Debug, Default)]
struct Flight {
    record: Header<5>,
    record_left: usize,
    message: Header<4>,
    message_left: usize,
    /// What follows is none of those messages, or does not matter any more.
    over: bool,
}

const HANDSHAKE: u8 = 22;
const CERTIFICATE_REQUEST: u8 = 13;

impl Flight {
    /// Takes the next bytes; whether a CertificateRequest begins in them.
    fn asks_for_certificate(&mut self, mut bytes: &[u8]) -> bool {
        let mut asks = false;
        while !self.over && !bytes.is_empty() {
            if self.record_left > 0 {
                let (inside, rest) = bytes.split_at(self.record_left.min(bytes.len()));
                self.record_left -= inside.len();
                bytes = rest;
                asks |= self.messages(inside);
                self.over |= asks;
            } else if let Some([kind, _, _, high, low]) = self.record.take(&mut bytes) {
                self.record_left = usize::from(u16::from_be_bytes([high, low]));
                self.over = kind != HANDSHAKE;
            }
        }
        asks
    }

    fn messages(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.message_left > 0 {
                let count = self.message_left.min(bytes.len());
                self.message_left -= count;
                bytes = &bytes[count..];
            } else if let Some([kind, high, middle, low]) = self.message.take(&mut bytes) {
                if kind == CERTIFICATE_REQUEST {
                    return true;
                }
                self.message_left = u32::from_be_bytes([0, high, middle, low]) as usize;
            }
        }
        false
    }
}

/// A header that may come in pieces.
#[derive(Debug)]
struct Header<const N: usize> {
    bytes: [u8; N],
    count: usize,
}

impl<const N: usize> Default for Header<N> {
    fn default() -> Self {
        Header { bytes: [0; N], count: 0 }
    }
}

impl<const N: usize> Header<N> {
    /// Takes what belongs to it from the front; the header as soon as it is whole.
    fn take(&mut self, from: &mut &[u8]) -> Option<[u8; N]> {
        let count = from.len().min(N - self.count);
        self.bytes[self.count..self.count + count].copy_from_slice(&from[..count]);
        *from = &from[count..];
        self.count = (self.count + count) % N;
        (self.count == 0).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        [vec![kind, 0, high, low], vec![CERTIFICATE_REQUEST; length.into()]].concat()
    }

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let [high, low] = (body.len() as u16).to_be_bytes();
        [&[kind, 3, 3, high, low], body].concat()
    }

    #[test]
    fn a_certificate_request_is_seen_however_the_bytes_come() {
        let server_hello = message(2, 70);
        let all = [server_hello.clone(), message(11, 900), message(CERTIFICATE_REQUEST, 20), message(14, 0)].concat();
        let together = record(HANDSHAKE, &all);
        let apart = all.chunks(333).flat_map(|piece| record(HANDSHAKE, piece)).collect();
        let without = record(HANDSHAKE, &[server_hello.clone(), message(11, 900), message(14, 0)].concat());
        let after_change = [record(HANDSHAKE, &server_hello), record(20, &[1]), record(HANDSHAKE, &all)].concat();
        let encrypted = [record(HANDSHAKE, &server_hello), record(23, &all)].concat();
        let alert = record(21, &[2, 40]);
        let of_length_0 = [record(HANDSHAKE, &[]), together.clone()].concat();
        for (bytes, asks) in [
            (together, true),
            (apart, true),
            (of_length_0, true),
            (without, false),
            (after_change, false),
            (encrypted, false),
            (alert, false),
        ] {
            for size in [1, 2, 3, 7, 64, bytes.len()] {
                let mut flight = Flight::default();
                let seen = bytes.chunks(size).filter(|piece| flight.asks_for_certificate(piece)).count();
                assert_eq!(seen, usize::from(asks), "in pieces of {size}");
            }
        }
    }
}
