//! A hostile server behind a WebSocket.

use crate::transport::{
    Headers, upgrade,
    websocket::{self, Opened, WsStream},
};
use std::io::{self, Read, Write};

/// What the server sends, after two bytes: the first tells into how long pieces it is cut, and the lowest bit of the second
/// whether a right answer to the upgrade comes in front. `{accept}` becomes what answers the key of this upgrade. The
/// cuts change nothing.
pub fn websocket(data: &[u8]) {
    let Some(([size, flags], stream)) = data.split_first_chunk() else { return };
    let mut answer = stream.to_vec();
    if flags & 1 == 1 {
        let right = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
        answer.splice(..0, right.bytes());
    }
    let whole = converse(&answer, usize::MAX);
    let cut = converse(&answer, usize::from(*size).max(1));
    assert_eq!(whole, cut, "pieces of {size}");
}

/// The bytes that come out of the WebSocket; nothing if it does not open.
fn converse(answer: &[u8], size: usize) -> Option<Vec<u8>> {
    let peer = Peer { answer: answer.to_vec(), answered: false, sent: Vec::new(), at: 0, size, blocked: [false; 2] };
    let mut opened = websocket::open(peer, "broker.losant.com", "/mqtt", &Headers::default());
    let mut stream = loop {
        match opened {
            Ok(Opened::Yes(stream)) => break stream,
            Ok(Opened::NotYet(opening)) => opened = opening.advance(),
            Err(e) => {
                assert!(e.text.len() < 1000, "{} bytes of error", e.text.len());
                return None;
            }
        }
    };
    let received = exchange(&mut stream, size);
    assert!(received.len() <= stream.get_mut().answer.len());
    stream.close();
    Some(received)
}

/// Writes and reads until the stream ends or breaks.
fn exchange(stream: &mut WsStream<Peer>, size: usize) -> Vec<u8> {
    let (mut received, mut buffer) = (Vec::new(), vec![0; size.clamp(1, 8192)]);
    let mut to_write: &[u8] = b"a packet";
    loop {
        if !to_write.is_empty() {
            match stream.write(to_write) {
                Ok(count) => to_write = &to_write[count..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => to_write = &[],
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) => return received,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return received,
        }
    }
}

/// The socket: moves at most `size` bytes at a time, and blocks every other time if that is not all.
struct Peer {
    answer: Vec<u8>,
    answered: bool,
    sent: Vec<u8>,
    at: usize,
    size: usize,
    /// Whether reading and writing blocked the last time.
    blocked: [bool; 2],
}

impl Peer {
    fn would_block(&mut self, direction: usize) -> io::Result<()> {
        let blocked = &mut self.blocked[direction];
        *blocked = !*blocked && self.size != usize::MAX;
        if *blocked { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// Puts the answer to the key of the request into what is sent.
    fn answer(&mut self) {
        let request = String::from_utf8_lossy(&self.sent);
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
        let (mark, accept) = (b"{accept}", upgrade::accept(key));
        if let Some(at) = self.answer.windows(mark.len()).position(|found| found == mark) {
            self.answer.splice(at..at + mark.len(), accept.bytes());
        }
        self.answered = true;
    }
}

impl Read for Peer {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.would_block(0)?;
        if !self.answered {
            self.answer();
        }
        let rest = &self.answer[self.at..];
        let count = rest.len().min(out.len()).min(self.size);
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.would_block(1)?;
        let count = bytes.len().min(self.size);
        self.sent.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
