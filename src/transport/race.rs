//! The race of a host's addresses: connections are opened a quarter of a second apart until one stands, which costs a
//! quarter of a second where the first address is dead, not the time of a whole attempt (RFC 8305 section 5).

use super::fault;
use crate::status::{Error, Status::LOSANT_ERR_RESOLVE};
use mio::net::TcpStream;
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The Connection Attempt Delay that RFC 8305 recommends.
const DELAY: Duration = Duration::from_millis(250);

pub(super) struct Race {
    /// Those not tried yet, the next one last.
    rest: Vec<SocketAddr>,
    open: Vec<(SocketAddr, TcpStream)>,
    /// When the next one sets out, if none has come through by then.
    next_at: Instant,
    last_failure: Option<Error>,
}

impl Race {
    /// Among these addresses, in this order but for one that has worked before, which goes first, and families by turns.
    pub fn new(addresses: Vec<SocketAddr>, preferred: Option<SocketAddr>, now: Instant) -> Self {
        let mut rest = by_turns(addresses);
        if let Some(place) = rest.iter().position(|address| Some(*address) == preferred) {
            let address = rest.remove(place);
            rest.insert(0, address);
        }
        rest.reverse();
        Race { rest, open: Vec::new(), next_at: now, last_failure: None }
    }

    /// Goes as far as it can without waiting: the first that has come through, or with the last the failure of all.
    /// `None`: call again when a socket is ready, or at [`Self::next_at`].
    pub fn advance(
        &mut self,
        now: Instant,
        mut open: impl FnMut(SocketAddr) -> io::Result<TcpStream>,
    ) -> Result<Option<(SocketAddr, TcpStream)>, Error> {
        loop {
            let mut at = 0;
            while let Some((address, socket)) = self.open.get(at) {
                match is_connected(socket) {
                    Ok(true) => return Ok(Some(self.open.swap_remove(at))),
                    Ok(false) => at += 1,
                    Err(e) => {
                        self.last_failure = Some(failure(*address, &e));
                        self.open.remove(at);
                        // Nothing to wait for.
                        self.next_at = now;
                    }
                }
            }
            let is_due = self.open.is_empty() || now >= self.next_at;
            let Some(address) = (if is_due { self.rest.pop() } else { None }) else { break };
            match open(address) {
                Ok(socket) => {
                    self.open.push((address, socket));
                    self.next_at = now + DELAY;
                }
                Err(e) => self.last_failure = Some(failure(address, &e)),
            }
        }
        if self.open.is_empty() {
            let none = || Error::new(LOSANT_ERR_RESOLVE, "the host has no address");
            return Err(self.last_failure.take().unwrap_or_else(none));
        }
        Ok(None)
    }

    /// When to go on, if no socket is ready before.
    pub fn next_at(&self) -> Option<Instant> {
        (!self.rest.is_empty()).then_some(self.next_at)
    }
}

fn failure(address: SocketAddr, e: &io::Error) -> Error {
    fault::from_io(&format!("cannot connect to {address}"), e)
}

/// The same addresses, those of the two families by turns: where one family does not work at all, it costs one delay (RFC
/// 8305 section 4).
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(first.next());
        all.extend(second.next());
        if all.len() == before {
            return all;
        }
    }
}

/// Whether a socket that was told to connect has done so.
fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(e) = socket.take_error()? {
        return Err(e);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_turns_and_what_worked_goes_first() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let addresses = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let order = |preferred| {
            let mut rest = Race::new(addresses.clone(), preferred, Instant::now()).rest;
            rest.reverse();
            rest
        };
        assert_eq!(order(None), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        let last = parse(&["2.2.2.2:1"])[0];
        assert_eq!(order(Some(last))[..2], parse(&["2.2.2.2:1", "[::1]:1"]));
        assert_eq!(order(Some(parse(&["9.9.9.9:1"])[0])), order(None));
    }
}
