//! How a device is being run: by whom, and where its link lies meanwhile.

use super::{background::Membership, loop_poll::LoopPoll};
use crate::{
    connection::{Link, Next},
    options::Options,
    status::{Error, Status::*},
    sync::{Condvar, MutexGuard, Rank, Ranked, thread::ThreadId},
};
use std::{io, mem, sync::Arc, time::Duration};

pub(super) struct Run {
    pub mode: Mode,
    /// Changed only while the device is idle.
    pub options: Options,
    /// Here unless someone is running the loop.
    pub link: Option<Box<dyn Link>>,
    /// The thread that runs the loop.
    pub loop_owner: Option<ThreadId>,
    /// Whether that one only waits for delivery: threads that come to run the loop meanwhile wait with it.
    pub waits_for_delivery: bool,
    /// Signalled when there is no loop_owner any more.
    pub given_back: Arc<Condvar>,
    pub close_requested: bool,
    /// The device is freed: whoever still had it in hand can begin nothing more.
    pub freed: bool,
    pub next: Option<Next>,
    pub own: LoopPoll,
    /// Whether the broker has ever accepted this device.
    pub known_to_broker: bool,
}

impl Ranked for Run {
    const RANK: Rank = Rank::Run;
}

pub(super) enum Mode {
    Idle,
    /// The caller's threads run the loop.
    Own,
    Background(Membership),
}

impl Run {
    pub fn new(options: Options) -> Self {
        Run {
            mode: Mode::Idle,
            options,
            link: None,
            loop_owner: None,
            waits_for_delivery: false,
            given_back: Arc::default(),
            close_requested: false,
            freed: false,
            next: None,
            own: LoopPoll::default(),
            known_to_broker: false,
        }
    }

    pub fn is_running(&self) -> bool {
        !matches!(self.mode, Mode::Idle)
    }

    /// Makes whoever waits for this device stop waiting. For [`super::report_wake`], when the lock has been let go.
    pub fn signal(&self) -> io::Result<()> {
        match &self.mode {
            Mode::Background(membership) => membership.wake(),
            Mode::Own | Mode::Idle => self.own.wake(),
        }
    }

    pub fn begin(&mut self, mode: Mode, link: Box<dyn Link>) {
        self.mode = mode;
        self.link = Some(link);
        self.close_requested = false;
        self.next = Some(Next::Now);
    }

    /// The link has ended. For [`super::report_wake`], when the lock has been let go.
    pub fn settle(&mut self, known_to_broker: bool) -> io::Result<()> {
        self.known_to_broker |= known_to_broker;
        self.link = None;
        self.close_requested = false;
        self.next = None;
        match mem::replace(&mut self.mode, Mode::Idle) {
            Mode::Background(membership) => membership.leave(),
            // Another thread's event loop must hear of it.
            Mode::Own | Mode::Idle => self.own.wake(),
        }
    }

    pub fn check_idle(&self) -> Result<(), Error> {
        if self.freed {
            return Err(Error::new(LOSANT_ERR_INVALID_HANDLE, "another thread has freed the device meanwhile"));
        }
        if self.is_running() {
            return Err(Error::new(LOSANT_ERR_ALREADY_RUNNING, "the device is already connecting or connected"));
        }
        Ok(())
    }

    pub fn check_own(&self) -> Result<(), Error> {
        let why = match self.mode {
            Mode::Own => return Ok(()),
            Mode::Idle => "the device is not connecting or connected",
            Mode::Background(_) => "the device is run by the background thread",
        };
        Err(Error::new(LOSANT_ERR_NOT_RUNNING, why))
    }
}

/// Waits until the loop_owner gives the loop back, at most this long. Whether the time was over.
pub(super) fn wait_for_give_back(run: &mut MutexGuard<'_, Run>, timeout: Option<Duration>) -> bool {
    let given_back = run.given_back.clone();
    match timeout {
        Some(timeout) => given_back.wait_for(run, timeout).timed_out(),
        None => {
            given_back.wait(run);
            false
        }
    }
}
