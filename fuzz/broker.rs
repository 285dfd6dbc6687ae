//! A broker that says what a sequence wants, in this process.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Mutex, OnceLock},
    thread,
    time::Duration,
};

/// What the broker says on each connection, and the connections that it has.
static BROKER: Mutex<(Vec<u8>, Vec<TcpStream>)> = Mutex::new((Vec::new(), Vec::new()));

/// Hangs up.
pub fn end() {
    BROKER.lock().expect("no panic").1.clear();
}

/// Sets what the broker says: a proper beginning or not, then anything.
pub fn say(proper: u8, anything: &[u8]) {
    let mut words = match proper % 8 {
        0 => Vec::new(),
        1 => vec![0x20, 2, 0, 0],
        2..=4 => vec![0x20, 2, 0, 0, 0x90, 3, 0, 1, 0],
        _ => {
            let mut words = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                              Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                .to_vec();
            words.extend_from_slice(b"\x82\x04\x20\x02\0\0\x82\x05\x90\x03\0\x01\0");
            words
        }
    };
    words.extend_from_slice(anything);
    BROKER.lock().expect("no panic").0 = words;
}

/// The port of the broker, and one where nobody listens.
pub fn ports() -> (u16, u16) {
    static PORTS: OnceLock<(u16, u16)> = OnceLock::new();
    *PORTS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let port = listener.local_addr().expect("it has an address").port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut broker = BROKER.lock().expect("no panic");
                let words = answer(&broker.0, &mut stream);
                let _ = stream.write_all(&words);
                // The last few stay open.
                if broker.1.len() >= 3 {
                    broker.1.remove(0);
                }
                broker.1.push(stream);
            }
        });
        // Listening at its own end of a connection keeps the port from others, and a second one is refused.
        let taken = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let dead = taken.local_addr().expect("it has an address").port();
        std::mem::forget(taken);
        (port, dead)
    })
}

/// What the broker says, with the right answer in it to the upgrade to a WebSocket that is asked for, if there is a place.
fn answer(words: &[u8], stream: &mut TcpStream) -> Vec<u8> {
    let mark = b"{accept}";
    let Some(at) = words.windows(mark.len()).position(|found| found == mark) else { return words.to_vec() };
    let mut request = [0; 1024];
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]);
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let accept = openssl::sha::sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    [&words[..at], openssl::base64::encode_block(&accept).as_bytes(), &words[at + mark.len()..]].concat()
}
