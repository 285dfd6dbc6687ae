//! A broker that answers as a test wants: what a real one cannot be brought to say.

use super::broker::free_port;
use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// What it answers; nothing where there is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// CONNACK with this return code.
    pub connack: Option<u8>,
    /// SUBACK with this return code.
    pub suback: Option<u8>,
    /// Bytes instead of CONNACK.
    pub garbage: Option<&'static [u8]>,
    /// No PUBACK.
    pub keeps_acks: bool,
}

/// Serves until the process ends; its threads hold nothing else.
pub struct FakeBroker {
    port: u16,
}

impl FakeBroker {
    pub fn start(answers: Answers) -> FakeBroker {
        FakeBroker::serving(move |stream| converse(stream, answers))
    }

    /// Calls the closure with every connection, on a thread of its own.
    pub fn serving(serve: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> FakeBroker {
        let listener = listen();
        let port = listener.local_addr().expect("a listener has an address").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                thread::spawn(move || serve(stream));
            }
        });
        FakeBroker { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

pub fn listen() -> TcpListener {
    loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", free_port())) {
            return listener;
        }
    }
}

fn converse(mut stream: TcpStream, answers: Answers) -> io::Result<()> {
    loop {
        let (first, body) = read_packet(&mut stream)?;
        match first >> 4 {
            1 => {
                if let Some(garbage) = answers.garbage {
                    stream.write_all(garbage)?;
                } else if let Some(code) = answers.connack {
                    stream.write_all(&[0x20, 2, 0, code])?;
                }
            }
            8 => {
                if let Some(code) = answers.suback {
                    stream.write_all(&[0x90, 3, body[0], body[1], code])?;
                }
            }
            3 if first & 6 == 2 && !answers.keeps_acks => {
                // PUBACK with the packet id, which stands behind the topic.
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                stream.write_all(&[0x40, 2, body[at], body[at + 1]])?;
            }
            _ => {}
        }
    }
}

/// Writes bytes as segments of this size.
pub fn answer_in_pieces(stream: &mut TcpStream, bytes: &[u8], size: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    bytes.chunks(size).try_for_each(|piece| stream.write_all(piece))
}

/// The first byte and the body of the next MQTT packet.
pub fn read_packet(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = || {
        let mut byte = [0];
        stream.read_exact(&mut byte).map(|()| byte[0])
    };
    let first = byte()?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let next = byte()?;
        length |= usize::from(next & 0x7f) << shift;
        shift += 7;
        if next & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}

/// An HTTP request up to the empty line behind its headers.
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// What a broker that is content answers to a packet.
pub fn answer(first: u8, body: &[u8]) -> Option<Vec<u8>> {
    match first >> 4 {
        1 => Some(vec![0x20, 2, 0, 0]),
        8 => Some(vec![0x90, 3, body[0], body[1], 0]),
        3 if first & 6 == 2 => {
            let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            Some(vec![0x40, 2, body[at], body[at + 1]])
        }
        12 => Some(vec![0xd0, 0]),
        _ => None,
    }
}

/// A QoS 0 message.
pub fn message(topic: &str, payload: &[u8]) -> Vec<u8> {
    let body = [&(topic.len() as u16).to_be_bytes()[..], topic.as_bytes(), payload].concat();
    let (mut packet, mut length) = (vec![0x30], body.len());
    loop {
        packet.push((length & 0x7f) as u8 | if length > 0x7f { 0x80 } else { 0 });
        length >>= 7;
        if length == 0 {
            return [packet, body].concat();
        }
    }
}
