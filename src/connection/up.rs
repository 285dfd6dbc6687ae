//! A connection while it is up.

use crate::{
    session::Session,
    status::Stage::{self, *},
    transport::Stream,
};
use std::{
    io::{self, Write},
    time::Instant,
};

/// An established stream and the MQTT session on it.
pub(super) struct Up {
    pub stream: Stream,
    pub session: Session,
    /// Since when it is complete, SUBACK included.
    pub online_since: Option<Instant>,
    pub readable: bool,
    pub writable: bool,
}

impl Up {
    pub fn stage(&self) -> Stage {
        if self.online_since.is_some() { LOSANT_STAGE_ONLINE } else { LOSANT_STAGE_MQTT }
    }

    /// Writes what the network takes.
    pub fn write_output(&mut self) -> io::Result<()> {
        while self.writable && !self.session.output().is_empty() {
            match self.stream.write(self.session.output()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.session.take(count),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
