//! From a host name to a stream, under one deadline.

use super::{
    Headers, Host, Notify, Stream,
    plain::Plain,
    race::Race,
    resolve::Resolution,
    socket::Socket,
    tls::{self, Handshake, Secured, Trust},
    websocket::{self, Opened, Opening},
};
use crate::status::{
    Error,
    Stage::{self, *},
    Status::*,
};
use mio::{Interest, Registry, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Where to connect and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub host: Host,
    pub port: u16,
    /// `Some` for TLS.
    pub trust: Option<Trust>,
    /// `Some` for WebSocket: the path to ask for.
    pub websocket_path: Option<String>,
    /// Sent with the request for a WebSocket.
    pub headers: Headers,
    /// Network interface that packets must leave by.
    pub interface: Option<String>,
    /// The address that worked the last time, to be tried first.
    pub preferred: Option<SocketAddr>,
    /// How long written bytes may stay unacknowledged before the kernel gives the link up (TCP_USER_TIMEOUT).
    pub user_timeout: Duration,
}

/// A connection on its way.
pub(crate) struct Connecting {
    target: Target,
    deadline: Instant,
    stage: Stage,
    step: Step,
}

enum Step {
    Resolve(Resolution),
    Tcp(Race),
    Tls(Box<Handshake>),
    WebSocket(Box<Opening>),
    /// Only while a step is being taken, and after the last.
    Taken,
}

/// What came of one step.
enum Outcome {
    /// It must wait.
    Wait(Step),
    Go(Step),
    Arrived(Stream),
}

impl Connecting {
    pub fn start(target: Target, deadline: Instant, notify: Notify) -> Result<Self, Error> {
        let stage = LOSANT_STAGE_RESOLVE;
        let resolution =
            Resolution::start(target.host.lookup(), target.port, notify).map_err(|error| error.at(stage))?;
        Ok(Connecting { target, deadline, stage, step: Step::Resolve(resolution) })
    }

    /// Goes as far as it can without waiting. `None`: call again when the socket is ready, when the resolver notifies,
    /// or at [`Self::deadline`].
    pub fn advance(&mut self, registry: &Registry, token: Token, now: Instant) -> Result<Option<Stream>, Error> {
        if now >= self.deadline {
            return Err(self.timed_out().at(self.stage));
        }
        loop {
            let step = std::mem::replace(&mut self.step, Step::Taken);
            match self.take(step, registry, token, now) {
                Ok(Outcome::Wait(step)) => {
                    self.step = step;
                    return Ok(None);
                }
                Ok(Outcome::Go(step)) => self.step = step,
                Ok(Outcome::Arrived(stream)) => return Ok(Some(stream)),
                Err(error) => return Err(error.at(self.stage)),
            }
        }
    }

    fn take(&mut self, step: Step, registry: &Registry, token: Token, now: Instant) -> Result<Outcome, Error> {
        match step {
            Step::Resolve(resolution) => match resolution.take() {
                None => Ok(Outcome::Wait(Step::Resolve(resolution))),
                Some(answer) => {
                    let addresses = answer?;
                    self.stage = LOSANT_STAGE_TCP;
                    Ok(Outcome::Go(Step::Tcp(Race::new(addresses, self.target.preferred, now))))
                }
            },
            Step::Tcp(mut race) => match race.advance(now, |address| open(&self.target, address, registry, token))? {
                Some((address, socket)) => {
                    // The others are gone before the poll is asked again.
                    drop(race);
                    self.target.preferred = Some(address);
                    self.secure(socket)
                }
                None => Ok(Outcome::Wait(Step::Tcp(race))),
            },
            Step::Tls(handshake) => self.after_tls(handshake.advance()?),
            Step::WebSocket(opening) => after_websocket(opening.advance()?),
            Step::Taken => Ok(Outcome::Wait(Step::Taken)),
        }
    }

    fn secure(&mut self, socket: TcpStream) -> Result<Outcome, Error> {
        let Some(trust) = &self.target.trust else {
            return self.open_websocket(Plain::Tcp(Socket::new(socket, false)));
        };
        self.stage = LOSANT_STAGE_TLS;
        let secured = tls::secure(trust, self.target.host.identity(), Socket::new(socket, true))?;
        self.after_tls(secured)
    }

    fn after_tls(&mut self, secured: Secured) -> Result<Outcome, Error> {
        match secured {
            Secured::Yes(stream) => self.open_websocket(Plain::Tls(Box::new(stream))),
            Secured::NotYet(handshake) => Ok(Outcome::Wait(Step::Tls(handshake))),
        }
    }

    fn open_websocket(&mut self, stream: Plain) -> Result<Outcome, Error> {
        let target = &self.target;
        let Some(path) = &target.websocket_path else {
            return Ok(Outcome::Arrived(stream.into()));
        };
        self.stage = LOSANT_STAGE_WEBSOCKET;
        let host = target.host.http_host(target.port, target.trust.is_some());
        after_websocket(websocket::open(stream, &host, path, &target.headers)?)
    }

    fn timed_out(&self) -> Error {
        let doing = match self.stage {
            LOSANT_STAGE_RESOLVE => "resolving the host name",
            LOSANT_STAGE_TLS => "in the TLS handshake",
            LOSANT_STAGE_WEBSOCKET => "in the WebSocket handshake",
            _ => "opening the TCP connection",
        };
        Error::new(
            LOSANT_ERR_TIMED_OUT,
            format!("connecting to {} took too long while {doing}", self.target.host.authority(self.target.port)),
        )
    }

    /// The address that it has come through to.
    pub fn address(&self) -> Option<SocketAddr> {
        self.target.preferred
    }

    /// When the whole connection, CONNACK included, must be complete.
    pub fn connect_deadline(&self) -> Instant {
        self.deadline
    }

    /// When [`Self::advance`] must be called again at the latest.
    pub fn deadline(&self) -> Instant {
        match &self.step {
            Step::Tcp(race) => race.next_at().map_or(self.deadline, |next| next.min(self.deadline)),
            _ => self.deadline,
        }
    }
}

fn after_websocket(opened: Opened) -> Result<Outcome, Error> {
    Ok(match opened {
        Opened::Yes(stream) => Outcome::Arrived(stream.into()),
        Opened::NotYet(opening) => Outcome::Wait(Step::WebSocket(opening)),
    })
}

fn open(target: &Target, address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    // Non-blocking comes with mio; close-on-exec with both.
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Not every kernel of interest has it, and the keep-alive finds a dead link too.
    let _ = socket.set_tcp_user_timeout(Some(target.user_timeout));
    if let Some(interface) = &target.interface {
        let bound = socket.bind_device(Some(interface.as_bytes()));
        bound.map_err(|e| io::Error::new(e.kind(), format!("cannot use the network interface {interface}: {e}")))?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        Err(e) => return Err(e),
    }
    let mut stream = TcpStream::from_std(socket.into());
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::net::TcpListener;

    fn connecting(addresses: Vec<SocketAddr>, deadline: Instant) -> Connecting {
        let target = Target {
            host: Host::default(),
            port: 1,
            trust: None,
            websocket_path: None,
            headers: Headers::default(),
            interface: None,
            preferred: None,
            user_timeout: Duration::from_secs(1),
        };
        let step = Step::Resolve(Resolution::answered(addresses));
        Connecting { target, deadline, stage: LOSANT_STAGE_RESOLVE, step }
    }

    /// A port with a full queue that nobody empties: the next connection gets no answer.
    fn deaf() -> (RawSocket, Vec<RawSocket>, SocketAddr) {
        let make = || RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = make();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let fillers = (0..4).map(|_| make()).collect::<Vec<_>>();
        for filler in &fillers {
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address);
        }
        (listener, fillers, address.as_socket().unwrap())
    }

    /// Case: a name with a dead address first and a live one second.
    #[test]
    fn a_dead_address_in_front_costs_a_quarter_of_a_second_and_goes_last_the_next_time() {
        let (_listener, _fillers, dead) = deaf();
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut poll = Poll::new().unwrap();
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let addresses = vec![dead, alive.local_addr().unwrap()];
        let mut connecting = connecting(addresses.clone(), begin + 20 * second);

        let registry = poll.registry().try_clone().unwrap();
        assert!(connecting.advance(&registry, Token(0), begin).unwrap().is_none());
        assert_eq!(connecting.deadline(), begin + second / 4, "when the second sets out");
        let mut events = Events::with_capacity(4);
        let mut came = connecting.advance(&registry, Token(0), begin + second / 4).unwrap().is_some();
        while !came {
            poll.poll(&mut events, Some(20 * second)).unwrap();
            assert!(!events.is_empty(), "the second address was not tried");
            came = connecting.advance(&registry, Token(0), begin + second / 2).unwrap().is_some();
        }
        assert_eq!(connecting.address(), Some(addresses[1]));
        let again = Race::new(addresses.clone(), connecting.address(), begin);
        assert_eq!(again.next_at(), Some(begin));
    }

    #[test]
    fn an_address_that_refuses_costs_nothing_and_with_the_last_it_is_told() {
        let refusing = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut poll = Poll::new().unwrap();
        let begin = Instant::now();
        let mut connecting = connecting(vec![refusing(), refusing()], begin + Duration::from_secs(20));
        let registry = poll.registry().try_clone().unwrap();
        let mut events = Events::with_capacity(4);
        let failure = loop {
            match connecting.advance(&registry, Token(0), begin) {
                Ok(None) => poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap(),
                Ok(Some(_)) => panic!("nobody listens"),
                Err(failure) => break failure,
            }
        };
        assert_eq!((failure.stage, failure.status), (LOSANT_STAGE_TCP, LOSANT_ERR_REFUSED));
    }

    #[test]
    fn when_the_time_is_up_the_stage_is_told() {
        let (_listener, _fillers, dead) = deaf();
        let poll = Poll::new().unwrap();
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut connecting = connecting(vec![dead], begin + 20 * second);
        assert!(matches!(connecting.advance(poll.registry(), Token(0), begin), Ok(None)));
        assert_eq!(connecting.deadline(), begin + 20 * second);
        let outcome = connecting.advance(poll.registry(), Token(0), begin + 20 * second);
        let failure = outcome.err().map(|failure| (failure.stage, failure.status));
        assert_eq!(failure, Some((LOSANT_STAGE_TCP, LOSANT_ERR_TIMED_OUT)));
    }
}
