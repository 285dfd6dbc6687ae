//! Host names to addresses. The system's resolver blocks, so it gets a short-lived thread of its own, which nobody
//! waits for: it holds nothing but its answer's place.

use super::{Notify, resources};
use crate::{
    status::{Error, Status::*},
    sync::{Mutex, Rank, Ranked, spawn_quiet},
};
use socket2::{Domain, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

type Answer = Result<Vec<SocketAddr>, Error>;

impl Ranked for Option<Answer> {
    const RANK: Rank = Rank::Last;
}

pub(crate) struct Resolution {
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Resolution {
    /// Starts the look-up of `host`; an IP address is answered at once.
    pub fn start(host: &str, port: u16, notify: Notify) -> Result<Self, Error> {
        let answer = Arc::new(Mutex::new(None));
        if let Ok(ip) = host.parse::<IpAddr>() {
            *answer.lock() = Some(Ok(vec![SocketAddr::new(ip, port)]));
            return Ok(Resolution { answer });
        }
        let (place, host) = (answer.clone(), host.to_owned());
        spawn_quiet("losant-resolve", move || {
            *place.lock() = Some(look_up(&host, port));
            notify();
        })?;
        Ok(Resolution { answer })
    }

    /// One that has been answered.
    #[cfg(test)]
    pub fn answered(addresses: Vec<SocketAddr>) -> Self {
        Resolution { answer: Arc::new(Mutex::new(Some(Ok(addresses)))) }
    }

    /// The answer, once.
    pub fn take(&self) -> Option<Answer> {
        self.answer.lock().take()
    }
}

fn look_up(host: &str, port: u16) -> Answer {
    let failed = |why: String| Err(Error::new(LOSANT_ERR_RESOLVE, format!("cannot resolve {host}: {why}")));
    match (host, port).to_socket_addrs() {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            if addresses.is_empty() { failed("no address".into()) } else { Ok(addresses) }
        }
        Err(e) => match refusal(&e) {
            Some(e) => Err(resources::from_io(&format!("cannot resolve {host}"), &e)),
            None => failed(e.to_string()),
        },
    }
}

/// The system's own word, if a look-up has failed for want of descriptors or memory. Resolvers that cannot open their files
/// and sockets often say no more than that the name is unknown, or that they failed for the moment.
fn refusal(e: &io::Error) -> Option<io::Error> {
    if resources::are_refused(e) {
        return e.raw_os_error().map(io::Error::from_raw_os_error);
    }
    Socket::new(Domain::UNIX, Type::DGRAM, None).err().filter(resources::are_refused)
}
