//! A link as slow as a test wants, and WebSocket bytes on it: for brokers that are the test's own.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};
use tungstenite::{
    Bytes, Message, WebSocket, accept_hdr,
    handshake::server::{Request, Response},
};

/// Passes so many bytes a second in each direction.
pub struct SlowLink {
    stream: TcpStream,
    rate: usize,
}

impl SlowLink {
    /// `holds_little`: what is not read yet stays with the sender; otherwise the kernel here takes it at once.
    pub fn new(stream: TcpStream, rate: usize, holds_little: bool) -> io::Result<Self> {
        let socket = socket2::SockRef::from(&stream);
        socket.set_send_buffer_size(4096)?;
        socket.set_tcp_nodelay(true)?;
        if holds_little {
            socket.set_recv_buffer_size(4096)?;
        }
        Ok(SlowLink { stream, rate })
    }

    /// What passes in 20 ms.
    fn pass(&self, count: usize) -> usize {
        thread::sleep(Duration::from_millis(20));
        count.min((self.rate / 50).max(1))
    }
}

impl Read for SlowLink {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = if out.len() < 8 { out.len() } else { self.pass(out.len()) };
        self.stream.read(&mut out[..count])
    }
}

impl Write for SlowLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = if bytes.len() < 8 { bytes.len() } else { self.pass(bytes.len()) };
        self.stream.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// MQTT over WebSocket: what is written at once goes as one frame.
pub struct WebSocketBytes {
    socket: WebSocket<SlowLink>,
    incoming: Bytes,
}

impl WebSocketBytes {
    pub fn accept(link: SlowLink) -> io::Result<Self> {
        #[allow(clippy::result_large_err, reason = "tungstenite wants it so")]
        let with_protocol = |_: &Request, mut response: Response| {
            response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().expect("a header"));
            Ok(response)
        };
        let socket = accept_hdr(link, with_protocol).map_err(io::Error::other)?;
        Ok(WebSocketBytes { socket, incoming: Bytes::new() })
    }
}

impl Read for WebSocketBytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.incoming.is_empty() {
            if let Message::Binary(bytes) = self.socket.read().map_err(io::Error::other)? {
                self.incoming = bytes;
            }
        }
        let count = out.len().min(self.incoming.len());
        out[..count].copy_from_slice(&self.incoming.split_to(count));
        Ok(count)
    }
}

impl Write for WebSocketBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        self.socket.send(frame).map_err(io::Error::other).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
