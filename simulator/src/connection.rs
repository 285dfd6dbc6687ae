//! The thread of one connection: moves bytes between its socket and its session.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use native_tls::TlsAcceptor;
use socket2::SockRef;

use crate::config::Transport;
use crate::fault::Drop;
use crate::platform::{Order, Platform};
use crate::rate::{PacedSocket, Pacing};
use crate::session::Session;
use crate::stream::{self, Stream};
use crate::wake::Sleeper;

/// A handshake of TLS or WebSocket takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After the end of a connection, what the device still sends is read for this long: a socket closed with unread bytes
/// is reset, and the device might lose what it was sent last.
const DRAIN: Duration = Duration::from_secs(1);

pub(crate) struct Connection {
    pub platform: Arc<Platform>,
    pub id: u64,
    pub socket: TcpStream,
    pub orders: Receiver<Order>,
    pub sleeper: Sleeper,
}

impl Connection {
    /// Serves the connection to its end.
    pub fn run(self, transport: Transport, acceptor: Option<&TlsAcceptor>) {
        let pacing = Pacing::new(self.platform.rate.clone());
        let stream = self.open(transport, acceptor, pacing.clone());
        let result = stream.and_then(|mut stream| self.serve(&mut *stream, &pacing));
        let reason = result.unwrap_or_else(|error| error.to_string());
        self.platform.closed(self.id, &reason);
    }

    fn open(
        &self,
        transport: Transport,
        acceptor: Option<&TlsAcceptor>,
        pacing: Rc<Pacing>,
    ) -> io::Result<Box<dyn Stream>> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_nodelay(true)?;
        self.socket.set_read_timeout(Some(HANDSHAKE))?;
        self.socket.set_write_timeout(Some(HANDSHAKE))?;
        let socket = PacedSocket { socket: self.socket.try_clone()?, pacing: pacing.clone() };
        let stream = stream::open(socket, transport, acceptor)?;
        self.socket.set_nonblocking(true)?;
        pacing.blocking.set(false);
        Ok(stream)
    }

    fn serve(&self, stream: &mut dyn Stream, pacing: &Pacing) -> io::Result<String> {
        let mut session = Session::new(self.platform.clone(), self.id, Instant::now());
        let mut buffer = vec![0; 65_536];
        let mut give_up = None;
        loop {
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Write(packet) => session.deliver(packet),
                    Order::Close(reason) => session.finish(Drop::Fin, reason),
                    Order::Look => {}
                }
            }
            if self.platform.is_stopping() {
                return Ok("the simulator has stopped".into());
            }
            let now = Instant::now();
            let mut more = false;
            if session.end.is_none() && !session.is_paused(now) {
                let before = pacing.bytes_read();
                match ready(stream.read(&mut buffer))? {
                    Some(0) => return Ok("closed by the device".into()),
                    Some(length) => {
                        session.feed(&buffer[..length], now);
                        more = true;
                    }
                    None if pacing.bytes_read() > before => session.hear(now),
                    None => {}
                }
                session.packets(now);
                session.tick(now);
            }
            let mut blocked = false;
            if !session.is_paused(now) {
                blocked = write_session(stream, &mut session)?;
                let late = session.end.is_some() && now >= *give_up.get_or_insert(now + DRAIN);
                if let Some(end) = session.end.take_if(|end| !blocked || late || end.how == Drop::Rst) {
                    self.platform.ended(self.id, &end.reason);
                    return self.close(stream, pacing, end.how, &mut buffer).map(|()| end.reason);
                }
            }
            let deadline = session.deadline(now).or(give_up);
            let timeout = match deadline {
                _ if more => Some(Duration::ZERO),
                deadline => deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
            };
            let reading = session.end.is_none() && !session.is_paused(now);
            self.sleep(pacing, reading, blocked, timeout)?;
        }
    }

    /// Sleeps until what is wanted can be done, by the socket and by the link.
    fn sleep(&self, pacing: &Pacing, read: bool, write: bool, timeout: Option<Duration>) -> io::Result<()> {
        let now = Instant::now();
        let read_wait = pacing.read_wait(now).filter(|_| read);
        let write_wait = pacing.write_wait(now).filter(|_| write);
        let timeout = [timeout, read_wait, write_wait].into_iter().flatten().min();
        self.sleeper.sleep(&self.socket, read && read_wait.is_none(), write && write_wait.is_none(), timeout)
    }

    fn close(&self, stream: &mut dyn Stream, pacing: &Pacing, how: Drop, buffer: &mut [u8]) -> io::Result<()> {
        if how == Drop::Rst {
            return SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
        self.socket.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + DRAIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.platform.is_stopping() || ready(stream.read(buffer))? == Some(0) {
                return Ok(());
            }
            self.sleep(pacing, true, false, Some(left))?;
        }
    }
}

/// `None` when the socket has nothing now.
fn ready(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes what the session has to say, its last words too: whether something is left.
fn write_session(stream: &mut dyn Stream, session: &mut Session) -> io::Result<bool> {
    let blocked = write(stream, &mut session.out)?;
    match session.end.as_mut().and_then(|end| end.frame.take_if(|_| !blocked)) {
        Some(frame) => {
            ready(stream.close(frame).map(|()| 0))?;
            write(stream, &mut session.out)
        }
        None => Ok(blocked),
    }
}

/// Writes what the socket takes: whether something is left.
fn write(stream: &mut (impl Write + ?Sized), out: &mut Vec<u8>) -> io::Result<bool> {
    while !out.is_empty() {
        match ready(stream.write(out))? {
            Some(length) => drop(out.drain(..length)),
            None => return Ok(true),
        }
    }
    match stream.flush() {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        result => result.map(|()| false),
    }
}
