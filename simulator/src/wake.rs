//! Waiting for sockets in a thread that others can wake.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The end of a pair that wakes.
pub(crate) struct Waker(UnixStream);

impl Waker {
    pub fn wake(&self) {
        // A full buffer wakes too.
        let _ = (&self.0).write(&[1]);
    }
}

/// The end that sleeps.
pub(crate) struct Sleeper(UnixStream);

pub(crate) fn pair() -> std::io::Result<(Waker, Sleeper)> {
    let (waker, sleeper) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    sleeper.set_nonblocking(true)?;
    Ok((Waker(waker), Sleeper(sleeper)))
}

impl Sleeper {
    /// Sleeps until it is woken, the time is up, or what is wanted of the socket can be done.
    pub fn sleep(&self, socket: &impl AsFd, read: bool, write: bool, timeout: Option<Duration>) -> std::io::Result<()> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, read);
        wanted.set(PollFlags::POLLOUT, write);
        let mut all = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN), PollFd::new(socket.as_fd(), wanted)];
        // Without anything wanted, a hangup would end every sleep at once.
        let watched = if wanted.is_empty() { &mut all[..1] } else { &mut all[..] };
        let timeout = match timeout {
            Some(timeout) => PollTimeout::try_from(timeout + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        match poll(watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut sink = [0; 64];
        while (&self.0).read(&mut sink).is_ok_and(|count| count == sink.len()) {}
        Ok(())
    }
}
