//! Slow links: how fast bytes pass a socket, in each direction.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How many bytes a link carries in a second, at least 1; `None` is as many as come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// From the device to the platform.
    pub up: Option<u64>,
    /// From the platform to the device.
    pub down: Option<u64>,
}

/// Bytes pass in portions that take this long.
const PORTION: Duration = Duration::from_millis(50);
/// The payload of a TCP segment on the usual networks. That of the loopback is larger than a slow link's buffer.
const SEGMENT: u32 = 1_400;

/// Makes the buffers and segments of a socket, or of those that a listener accepts, as small as the link is slow: what the
/// platform does not read has to stay with the device. One that cannot be changed only holds more.
pub(crate) fn narrow(socket: SockRef, rate: Rate) {
    let buffer = |rate: u64| usize::try_from(rate.clamp(8_192, 65_536)).unwrap_or(65_536);
    if let Some(up) = rate.up {
        let _ = socket.set_recv_buffer_size(buffer(up));
    }
    if let Some(down) = rate.down {
        let _ = socket.set_send_buffer_size(buffer(down));
    }
    if rate != Rate::default() {
        let _ = socket.set_tcp_mss(SEGMENT);
    }
}

/// The rate of all links, which may change while they stand.
#[derive(Clone, Default)]
pub(crate) struct SharedRate(Arc<Mutex<Rate>>);

impl SharedRate {
    pub fn new(rate: Rate) -> Self {
        Self(Arc::new(Mutex::new(rate)))
    }

    pub fn get(&self) -> Rate {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, rate: Rate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rate;
    }
}

/// One direction of one link.
#[derive(Default)]
struct Lane {
    /// When the last portion has passed.
    free: Cell<Option<Instant>>,
}

impl Lane {
    fn wait(&self, now: Instant) -> Option<Duration> {
        let left = self.free.get()?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Somebody who comes a little late has lost nothing.
    fn pass(&self, bytes: usize, rate: Option<u64>, now: Instant) {
        self.free.set(rate.map(|rate| {
            let earliest = now.checked_sub(PORTION).unwrap_or(now);
            let begin = self.free.get().map_or(now, |free| free.max(earliest));
            begin + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64)
        }));
    }
}

fn portion(rate: Option<u64>, length: usize) -> usize {
    let most = rate.map_or(usize::MAX, |rate| usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1));
    length.min(most)
}

/// What has passed one link, and when more may.
pub(crate) struct Pacing {
    rate: SharedRate,
    up: Lane,
    down: Lane,
    read: Cell<u64>,
    /// Whether the socket waits, as it does during a handshake.
    pub blocking: Cell<bool>,
}

impl Pacing {
    pub fn new(rate: SharedRate) -> Rc<Self> {
        let (up, down) = (Lane::default(), Lane::default());
        Rc::new(Self { rate, up, down, read: Cell::new(0), blocking: Cell::new(true) })
    }

    /// How long nothing may be read.
    pub fn read_wait(&self, now: Instant) -> Option<Duration> {
        self.up.wait(now)
    }

    /// How long nothing may be written.
    pub fn write_wait(&self, now: Instant) -> Option<Duration> {
        self.down.wait(now)
    }

    /// How many bytes have been read.
    pub fn bytes_read(&self) -> u64 {
        self.read.get()
    }

    fn await_turn(&self, lane: &Lane) -> io::Result<()> {
        while let Some(wait) = lane.wait(Instant::now()) {
            if !self.blocking.get() {
                return Err(ErrorKind::WouldBlock.into());
            }
            thread::sleep(wait);
        }
        Ok(())
    }
}

/// A socket at the far end of a link.
pub(crate) struct PacedSocket {
    pub socket: TcpStream,
    pub pacing: Rc<Pacing>,
}

impl Read for PacedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pacing.await_turn(&self.pacing.up)?;
        let rate = self.pacing.rate.get().up;
        let most = portion(rate, buffer.len());
        let length = self.socket.read(&mut buffer[..most])?;
        self.pacing.up.pass(length, rate, Instant::now());
        self.pacing.read.set(self.pacing.read.get() + length as u64);
        Ok(length)
    }
}

impl Write for PacedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pacing.await_turn(&self.pacing.down)?;
        let rate = self.pacing.rate.get().down;
        let length = self.socket.write(&bytes[..portion(rate, bytes.len())])?;
        self.pacing.down.pass(length, rate, Instant::now());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_carries_its_rate_however_late_its_portions_are() {
        let begin = Instant::now();
        for (rate, late) in [(1, 0), (7, 10), (20, 30), (1_000, 0), (1_000, 40), (2_500, 10)] {
            let (lane, late) = (Lane::default(), Duration::from_millis(late));
            let (mut now, mut passed) = (begin, 0);
            while now < begin + Duration::from_secs(100) {
                assert_eq!(lane.wait(now), None);
                let bytes = portion(Some(rate), usize::MAX);
                lane.pass(bytes, Some(rate), now);
                passed += bytes as u64;
                now += lane.wait(now).unwrap_or_default() + late;
            }
            assert!((passed).abs_diff(rate * 100) <= rate / 2 + 1, "{rate}: {passed}");
        }
    }

    #[test]
    fn a_lane_that_has_rested_owes_no_more_than_a_portion() {
        let lane = Lane::default();
        let begin = Instant::now();
        lane.pass(50, Some(1_000), begin);
        let later = begin + Duration::from_secs(60);
        lane.pass(50, Some(1_000), later);
        assert_eq!(lane.wait(later), None);
        lane.pass(50, Some(1_000), later);
        assert_eq!(lane.wait(later), Some(PORTION));
        lane.pass(50, None, later);
        assert_eq!(lane.wait(later), None);
    }
}
