//! From a host name to a stream, under one deadline.

use super::{
    Failure, Notify,
    Stage::{self, *},
    Stream,
    resolve::Resolution,
};
use crate::status::{
    Error,
    Status::{self, *},
};
use mio::{Interest, Registry, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Where to connect and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub host: String,
    pub port: u16,
    /// How long written bytes may stay unacknowledged before the kernel gives the link up (TCP_USER_TIMEOUT).
    pub user_timeout: Duration,
}

/// A connection on its way.
pub(crate) struct Connecting {
    target: Target,
    deadline: Instant,
    step: Step,
}

enum Step {
    Resolve(Resolution),
    /// `rest` holds the addresses not tried yet, the next one last.
    Tcp {
        socket: TcpStream,
        address: SocketAddr,
        give_up: Instant,
        rest: Vec<SocketAddr>,
    },
    Done,
}

impl Connecting {
    pub fn start(target: Target, deadline: Instant, notify: Notify) -> Result<Self, Failure> {
        let resolution = Resolution::start(&target.host, target.port, notify)
            .map_err(|error| Failure { stage: LOSANT_STAGE_RESOLVE, error })?;
        Ok(Connecting { target, deadline, step: Step::Resolve(resolution) })
    }

    /// Goes as far as it can without waiting. `None`: call again when the socket is ready, when the resolver notifies,
    /// or at [`Self::deadline`].
    pub fn advance(&mut self, registry: &Registry, token: Token, now: Instant) -> Result<Option<Stream>, Failure> {
        if now >= self.deadline {
            return Err(self.timed_out());
        }
        loop {
            match std::mem::replace(&mut self.step, Step::Done) {
                Step::Resolve(resolution) => match resolution.take() {
                    None => {
                        self.step = Step::Resolve(resolution);
                        return Ok(None);
                    }
                    Some(Err(error)) => return Err(Failure { stage: LOSANT_STAGE_RESOLVE, error }),
                    Some(Ok(mut addresses)) => {
                        addresses.reverse();
                        self.step = self.next_address(addresses, None, registry, token, now)?;
                    }
                },
                Step::Tcp { socket, address, give_up, rest } => match connected(&socket) {
                    Ok(true) => return Ok(Some(Stream::Tcp(socket))),
                    Ok(false) if now < give_up => {
                        self.step = Step::Tcp { socket, address, give_up, rest };
                        return Ok(None);
                    }
                    outcome => {
                        let error = outcome.err().unwrap_or_else(|| io::ErrorKind::TimedOut.into());
                        let failure = tcp_failure(address, &error);
                        self.step = self.next_address(rest, Some(failure), registry, token, now)?;
                    }
                },
                Step::Done => return Ok(None),
            }
        }
    }

    /// Opens a socket to the next address that lets itself be tried; the last failure if there is none.
    fn next_address(
        &self,
        mut rest: Vec<SocketAddr>,
        mut last: Option<Failure>,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Step, Failure> {
        while let Some(address) = rest.pop() {
            // Each address gets its share of the time left, so that a dead one cannot eat it all.
            let shares = u32::try_from(rest.len() + 1).unwrap_or(u32::MAX);
            let give_up = now + self.deadline.saturating_duration_since(now) / shares;
            match open(&self.target, address, registry, token) {
                Ok(socket) => return Ok(Step::Tcp { socket, address, give_up, rest }),
                Err(e) => last = Some(tcp_failure(address, &e)),
            }
        }
        Err(last.unwrap_or_else(|| self.timed_out()))
    }

    fn stage(&self) -> Stage {
        match self.step {
            Step::Resolve(_) => LOSANT_STAGE_RESOLVE,
            Step::Tcp { .. } | Step::Done => LOSANT_STAGE_TCP,
        }
    }

    fn timed_out(&self) -> Failure {
        let stage = self.stage();
        let doing = match stage {
            LOSANT_STAGE_RESOLVE => "resolving the host name",
            _ => "opening the TCP connection",
        };
        let detail = format!("connecting to {} took too long while {doing}", self.target.host);
        Failure { stage, error: Error::new(LOSANT_ERR_TIMED_OUT, detail) }
    }

    /// When the whole connection, CONNACK included, must be complete.
    pub fn connect_deadline(&self) -> Instant {
        self.deadline
    }

    /// When [`Self::advance`] must be called again at the latest.
    pub fn deadline(&self) -> Instant {
        match &self.step {
            Step::Tcp { give_up, .. } => (*give_up).min(self.deadline),
            _ => self.deadline,
        }
    }
}

fn open(target: &Target, address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    // Non-blocking comes with mio; close-on-exec with both.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Not every kernel of interest has it, and the keep-alive finds a dead link too.
    let _ = socket.set_tcp_user_timeout(Some(target.user_timeout));
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(e)
            if e.kind() == io::ErrorKind::WouldBlock
                || e.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        Err(e) => return Err(e),
    }
    let mut stream = TcpStream::from_std(socket.into());
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

/// Whether a socket that was told to connect has done so.
fn connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(e) = socket.take_error()? {
        return Err(e);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(e) => Err(e),
    }
}

fn tcp_failure(address: SocketAddr, e: &io::Error) -> Failure {
    let status = network_status(e);
    Failure {
        stage: LOSANT_STAGE_TCP,
        error: Error::new(status, format!("cannot connect to {address}: {}", describe(e))),
    }
}

fn network_status(e: &io::Error) -> Status {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => LOSANT_ERR_REFUSED,
        io::ErrorKind::TimedOut => LOSANT_ERR_TIMED_OUT,
        _ => LOSANT_ERR_NETWORK,
    }
}

fn describe(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::TimedOut if e.raw_os_error().is_none() => "no answer".to_owned(),
        _ => e.to_string(),
    }
}
