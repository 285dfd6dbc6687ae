//! Host names to addresses. The system's resolver blocks, for minutes where a name server never answers, so it gets a
//! thread of its own, which nobody waits for: it holds nothing but the places of its answer. There is one at a time for each
//! name in the process, whoever asks and however often.

use super::{Notify, fault};
use crate::{
    process::PerProcess,
    status::{Error, Status::*},
    sync::{Mutex, Rank, Ranked, spawn_quiet},
};
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Weak},
};

type Answer = Result<Vec<SocketAddr>, Error>;
type Place = Mutex<Option<Answer>>;

impl Ranked for Option<Answer> {
    const RANK: Rank = Rank::Last;
}

/// Who waits for each look-up under way.
#[derive(Default)]
struct LookUps(BTreeMap<(String, u16), Vec<Waiter>>);

impl Ranked for LookUps {
    const RANK: Rank = Rank::Last;
}

struct Waiter {
    /// Gone with an attempt that has been given up.
    place: Weak<Place>,
    notify: Notify,
}

static LOOK_UPS: PerProcess<Mutex<LookUps>> = PerProcess::new(Mutex::new(LookUps(BTreeMap::new())));

pub(crate) struct Resolution {
    answer: Arc<Place>,
}

impl Resolution {
    /// Starts the look-up of `host`, or waits for the one under way; an IP address is answered at once.
    pub fn start(host: &str, port: u16, notify: Notify) -> Result<Self, Error> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Resolution { answer: Arc::new(Mutex::new(Some(Ok(vec![SocketAddr::new(ip, port)])))) });
        }
        let answer = Arc::new(Mutex::new(None));
        let key = (host.to_owned(), port);
        let is_new = {
            let mut look_ups = LOOK_UPS.get().lock();
            let is_new = !look_ups.0.contains_key(&key);
            let waiters = look_ups.0.entry(key.clone()).or_default();
            waiters.retain(|waiter| waiter.place.strong_count() > 0);
            waiters.push(Waiter { place: Arc::downgrade(&answer), notify });
            is_new
        };
        if is_new {
            let name = key.clone();
            let spawned = spawn_quiet("losant-resolve", move || tell(&name, &look_up(&name.0, name.1)));
            if let Err(error) = spawned {
                // Others may have come to wait for it.
                tell(&key, &Err(error.clone()));
                return Err(error);
            }
        }
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

/// Tells all who wait.
fn tell(key: &(String, u16), answer: &Answer) {
    let waiters = LOOK_UPS.get().lock().0.remove(key);
    for Waiter { place, notify } in waiters.into_iter().flatten() {
        if let Some(place) = place.upgrade() {
            *place.lock() = Some(answer.clone());
            notify();
        }
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
            Some(e) => Err(fault::from_io(&format!("cannot resolve {host}"), &e)),
            None => failed(e.to_string()),
        },
    }
}

/// The system's own word, if a look-up has failed for want of descriptors or memory. Resolvers that cannot open their files
/// and sockets often say no more than that the name is unknown, or that they failed for the moment.
fn refusal(e: &io::Error) -> Option<io::Error> {
    if fault::is_refusal(e) {
        return e.raw_os_error().map(io::Error::from_raw_os_error);
    }
    Socket::new(Domain::UNIX, Type::DGRAM, None).err().filter(fault::is_refusal)
}
