//! A stretch of network between a device and its broker that can go silent without closing anything.

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

pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy in front of this port.
    pub fn to(target: u16) -> Proxy {
        let listener = listen();
        let port = listener.local_addr().expect("a listener has an address").port();
        let state = Arc::new(State::default());
        let theirs = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                forward(&near, &far, &theirs);
                forward(&far, &near, &theirs);
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

fn forward(from: &TcpStream, to: &TcpStream, state: &Arc<State>) {
    let (Ok(mut from), Ok(mut to), state) = (from.try_clone(), to.try_clone(), state.clone()) else { return };
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        loop {
            let count = from.read(&mut chunk).unwrap_or(0);
            let mut silent = state.silent.lock().unwrap();
            while *silent {
                silent = state.changed.wait(silent).unwrap();
            }
            drop(silent);
            if count == 0 || to.write_all(&chunk[..count]).is_err() {
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
    });
}
