//! A stretch of network between a device and its broker that misbehaves: it can go silent without closing anything, and
//! cut bytes as small as they come.

use super::fake_broker::listen;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

#[derive(Default)]
struct State {
    silent: Mutex<bool>,
    changed: Condvar,
}

/// What it does to the bytes.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Passes them on as they come.
    Whole,
    /// Passes them on one at a time.
    OneByOne,
    /// Passes that many of the broker's on, then none, and keeps the connection open.
    StopAfter(usize),
    /// Passes that many of the device's on, then ends its side to it and goes, with what else it sends unread: a device
    /// that is in the middle of writing gets a broken pipe.
    HangUpAfter(usize),
}

pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy in front of this port.
    pub fn to(target: u16) -> Proxy {
        Proxy::with(target, Manner::Whole)
    }

    pub fn with(target: u16, manner: Manner) -> Proxy {
        let listener = listen();
        // So that a device soon notices that nothing is read any more.
        socket2::SockRef::from(&listener).set_recv_buffer_size(64 * 1024).expect("a buffer can be small");
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = Arc::new(State::default());
        let theirs = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for stream in [&near, &far] {
                    let _ = stream.set_nodelay(true);
                }
                let (upwards, downwards) = match manner {
                    Manner::StopAfter(_) => (Manner::Whole, manner),
                    Manner::HangUpAfter(_) => (manner, Manner::Whole),
                    Manner::Whole | Manner::OneByOne => (manner, manner),
                };
                forward(&near, &far, upwards, &theirs);
                forward(&far, &near, downwards, &theirs);
            }
        });
        Proxy { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing passes, in either direction, and nothing is closed.
    pub fn fall_silent(&self) {
        *self.state.silent.lock().unwrap() = true;
    }

    /// All that was held back passes, and what comes then.
    pub fn recover(&self) {
        *self.state.silent.lock().unwrap() = false;
        self.state.changed.notify_all();
    }
}

fn forward(from: &TcpStream, to: &TcpStream, manner: Manner, state: &Arc<State>) {
    let (Ok(mut from), Ok(mut to), state) = (from.try_clone(), to.try_clone(), state.clone()) else { return };
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        let mut passed = 0;
        loop {
            let count = from.read(&mut chunk).unwrap_or(0);
            let mut silent = state.silent.lock().unwrap();
            while *silent {
                silent = state.changed.wait(silent).unwrap();
            }
            drop(silent);
            let (most, piece) = match manner {
                Manner::Whole => (usize::MAX, chunk.len()),
                Manner::OneByOne => (usize::MAX, 1),
                Manner::StopAfter(most) | Manner::HangUpAfter(most) => (most, chunk.len()),
            };
            let passing = &chunk[..count.min(most - passed)];
            passed += if most == usize::MAX { 0 } else { passing.len() };
            if count == 0 || passing.chunks(piece).any(|piece| to.write_all(piece).is_err()) {
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            if matches!(manner, Manner::HangUpAfter(_)) && passed == most {
                let _ = from.shutdown(Shutdown::Write);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
    });
}
