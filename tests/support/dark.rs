//! An address that answers no connection attempt, like a host behind a firewall that drops packets.

use super::broker::free_port;
use socket2::{Domain, Socket, Type};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// Stays dark until it is dropped.
pub struct Place {
    address: SocketAddr,
    _listener: Socket,
    /// They fill the queue of those that nobody accepts; the kernel drops the packets of any more.
    _waiting: Vec<TcpStream>,
}

impl Place {
    pub fn new() -> Place {
        let (listener, address) = listener();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the queue is never full");
        }
        Place { address, _listener: listener, _waiting: waiting }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

fn listener() -> (Socket, SocketAddr) {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are sockets left");
        if socket.bind(&address.into()).and_then(|()| socket.listen(0)).is_ok() {
            return (socket, address);
        }
    }
}
