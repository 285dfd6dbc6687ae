//! A network that misbehaves, between a device and a broker.

use super::fake_broker::listen;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

/// What it does to the bytes of each direction.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Passes them on one at a time.
    OneByOne,
    /// Passes that many of the broker's bytes on, then nothing, and keeps the connection open.
    StopAfter(usize),
}

/// Starts a proxy to this port of 127.0.0.1; the port to connect to instead. Serves until the process ends.
pub fn start(to: u16, manner: Manner) -> u16 {
    let listener = listen();
    let port = listener.local_addr().expect("a listener has an address").port();
    thread::spawn(move || {
        for device in listener.incoming().flatten() {
            let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            for stream in [&device, &broker] {
                stream.set_nodelay(true).expect("a socket has this option");
            }
            let (up, down) = (pair(&device, &broker), pair(&broker, &device));
            thread::spawn(move || up.and_then(|(from, to)| pass(from, to, usize::MAX)));
            let most = match manner {
                Manner::OneByOne => usize::MAX,
                Manner::StopAfter(bytes) => bytes,
            };
            thread::spawn(move || down.and_then(|(from, to)| pass(from, to, most)));
        }
    });
    port
}

fn pair(from: &TcpStream, to: &TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    Ok((from.try_clone()?, to.try_clone()?))
}

fn pass(mut from: TcpStream, mut to: TcpStream, most: usize) -> io::Result<()> {
    let mut left = most;
    let mut chunk = [0; 4096];
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        for byte in &chunk[..count] {
            if left > 0 {
                left -= 1;
                to.write_all(&[*byte])?;
            }
        }
    }
}
