//! A device's connection over its whole life: connect, converse, lose it, wait, connect again, end.
//!
//! Where the parts meet: it moves bytes between stream and session and states from the outbox into the session. Each
//! call of [`Connection::work`] does what can be done without waiting and says when to come again.

mod incoming;
#[cfg(test)]
mod model;
mod publisher;
mod up;

use crate::{
    backoff::Backoff,
    connect_limit::{self, Attempt},
    event::{Event, Happening},
    outbox::Outbox,
    session::{Identity, Incoming, Session},
    status::{Error, Status::*},
    sync::Mutex,
    time::Now,
    transport::{self, Connecting, Notify, Stream, Target},
};
use mio::{Registry, Token};
use publisher::Publisher;
use rumqttc::QoS;
use std::{
    collections::VecDeque,
    io::{self, Read},
    time::{Duration, Instant},
};
use up::Up;

/// Reads and writes of one turn, so that one busy device on a shared thread leaves room for others.
const ROUNDS: usize = 16;

/// What a connection needs to know, taken from the options when it begins.
pub(crate) struct Plan {
    pub identity: Identity,
    pub target: Target,
    pub qos: QoS,
    pub reconnect_initial: Duration,
    pub reconnect_max: Duration,
    pub connect_timeout: Duration,
    /// Whether a first connection that fails ends it all, as the blocking connect promises.
    pub first_failure_ends: bool,
    /// Whether the broker has accepted this device before, so that a refusal now may pass.
    pub known_to_broker: bool,
}

/// What a connection works with; lent for one call.
pub(crate) struct Surroundings<'a> {
    pub now: Now,
    pub registry: &'a Registry,
    pub token: Token,
    pub outbox: &'a Mutex<Outbox>,
    pub events: &'a mut VecDeque<Happening>,
}

impl Surroundings<'_> {
    /// The connection has taken this many bytes in all.
    fn written(&mut self, total: u64) {
        let mut outbox = self.outbox.lock();
        outbox.written(total, self.now.instant);
        self.tell_outcomes(&mut outbox);
    }

    /// In their order among the other events.
    fn tell_outcomes(&mut self, outbox: &mut Outbox) {
        self.events.extend(outbox.take_outcomes().into_iter().map(Happening::Outcome));
    }
}

/// What the poll said of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// It can be read or written again.
    pub ready: bool,
    /// The other side has closed its direction, or the connection is broken.
    pub hung_up: bool,
}

/// When a connection wants its next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once: there is more to do.
    Now,
    /// When its socket is ready, when it is woken, or at this time.
    At(Instant),
    /// Never: it has ended, and this is why.
    Never,
}

enum Link {
    /// To be connected at the next turn.
    Idle,
    Connecting(Box<Connecting>),
    Up(Box<Up>),
    /// Until the next attempt.
    Waiting(Instant),
    Ended(Error),
    /// Up, in a model of the threads around it.
    #[cfg(test)]
    Model(model::Line),
}

pub(crate) struct Connection {
    plan: Plan,
    link: Link,
    backoff: Backoff,
    notify: Notify,
    /// Whether this connection has been complete before: then the next time is a reconnect.
    was_online: bool,
    publisher: Publisher,
    /// Counts against the process's connection attempts until the broker has answered.
    attempt: Option<Attempt>,
    happened: Vec<Incoming>,
    /// Commands that could not be read, since the connection began.
    malformed: u64,
}

impl Connection {
    pub fn new(plan: Plan, notify: Notify) -> Self {
        Connection {
            backoff: Backoff::new(plan.reconnect_initial, plan.reconnect_max),
            publisher: Publisher::new(plan.qos),
            plan,
            link: Link::Idle,
            notify,
            was_online: false,
            attempt: None,
            happened: Vec::new(),
            malformed: 0,
        }
    }

    /// Whether states and commands flow.
    pub fn is_online(&self) -> bool {
        matches!(&self.link, Link::Up(up) if up.online_since.is_some())
    }

    /// Whether the broker has ever accepted this device.
    pub fn known_to_broker(&self) -> bool {
        self.plan.known_to_broker
    }

    /// Why it has ended, if it has.
    pub fn ended(&self) -> Option<&Error> {
        match &self.link {
            Link::Ended(why) => Some(why),
            _ => None,
        }
    }

    /// Tells that the socket is ready; readiness is edge-triggered.
    pub fn ready(&mut self, socket: Readiness) {
        if let Link::Up(up) = &mut self.link {
            up.readable |= socket.ready;
            up.writable |= socket.ready;
            if socket.ready {
                up.stream.ready(socket.hung_up);
            }
        }
    }

    /// Does all that can be done without waiting.
    pub fn work(&mut self, around: &mut Surroundings<'_>) -> Next {
        // Every turn of this loop but the last has changed the kind of link; a working chain is at most four long.
        loop {
            let outcome = match &mut self.link {
                Link::Idle => self.begin(around),
                Link::Connecting(connecting) => {
                    match connecting.advance(around.registry, around.token, around.now.instant) {
                        Ok(None) => return Next::At(connecting.deadline()),
                        Ok(Some(stream)) => {
                            self.established(stream, around.now.instant);
                            Ok(())
                        }
                        Err(failure) => Err(failure),
                    }
                }
                Link::Up(_) => match self.converse(around) {
                    Ok(next) => return next,
                    Err(failure) => Err(failure),
                },
                Link::Waiting(until) if around.now.instant < *until => return Next::At(*until),
                Link::Waiting(_) => {
                    self.link = Link::Idle;
                    Ok(())
                }
                Link::Ended(_) => return Next::Never,
                #[cfg(test)]
                Link::Model(line) => return line.work(around),
            };
            if let Err(failure) = outcome {
                self.lost(failure, around);
            }
        }
    }

    fn begin(&mut self, around: &Surroundings<'_>) -> Result<(), Error> {
        #[cfg(test)]
        if crate::sync::model::is_on() {
            self.link = Link::Model(model::Line::new());
            return Ok(());
        }
        match connect_limit::begin(around.now.instant, fastrand::f64()) {
            Ok(attempt) => self.attempt = Some(attempt),
            Err(when) => {
                self.link = Link::Waiting(when);
                return Ok(());
            }
        }
        let deadline = around.now.instant + self.plan.connect_timeout;
        let connecting = Connecting::start(self.plan.target.clone(), deadline, self.notify.clone())?;
        self.link = Link::Connecting(Box::new(connecting));
        Ok(())
    }

    fn established(&mut self, stream: Stream, now: Instant) {
        let deadline = match &self.link {
            Link::Connecting(connecting) => connecting.connect_deadline(),
            _ => now + self.plan.connect_timeout,
        };
        let session = Session::new(&self.plan.identity, now, deadline, self.plan.connect_timeout);
        self.link = Link::Up(Box::new(Up { stream, session, online_since: None, readable: true, writable: true }));
    }

    /// One turn of an established connection.
    fn converse(&mut self, around: &mut Surroundings<'_>) -> Result<Next, Error> {
        let mut rounds = 0;
        loop {
            self.read(around)?;
            let Link::Up(up) = &mut self.link else { return Ok(Next::Now) };
            let stage = up.stage();
            let pinged = up.session.on_time(around.now.instant).map_err(|error| error.at(stage))?;
            let wait = self.fill(pinged, around)?;
            let wrote = self.write(around)?;
            let Link::Up(up) = &self.link else { return Ok(Next::Now) };
            rounds += 1;
            if !(up.readable || wrote && up.writable && self.has_more(around)) {
                let due = up.session.deadline();
                return Ok(Next::At(wait.map_or(due, |wait| wait.min(due))));
            }
            if rounds >= ROUNDS {
                return Ok(Next::Now);
            }
        }
    }

    fn has_more(&self, around: &Surroundings<'_>) -> bool {
        matches!(&self.link, Link::Up(up) if up.session.may_publish())
            && around.outbox.lock().next(around.now.instant).is_ok()
    }

    fn read(&mut self, around: &mut Surroundings<'_>) -> Result<(), Error> {
        let Link::Up(up) = &mut self.link else { return Ok(()) };
        if !up.readable {
            return Ok(());
        }
        let stage = up.stage();
        let mut chunk = [0u8; 8192];
        let outcome = match up.stream.read(&mut chunk) {
            Ok(0) => Err(Error::new(LOSANT_ERR_CONNECTION_LOST, "the broker closed the connection")),
            Ok(count) => up.session.receive(&chunk[..count], around.now.instant, &mut self.happened),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                up.readable = false;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(transport::lost(&e)),
        };
        // What came before an error counts: an acknowledgement saves a resend.
        self.handle_incoming(around);
        outcome.map_err(|error| error.at(stage))
    }

    /// Moves states from the outbox into the session's output; when to come again, if the pace
    /// or a missing acknowledgement asks for it. `pinged`: a PINGREQ has just gone into the output.
    fn fill(&mut self, pinged: bool, around: &Surroundings<'_>) -> Result<Option<Instant>, Error> {
        let Link::Up(up) = &mut self.link else { return Ok(None) };
        let now = around.now.instant;
        let mut outbox = around.outbox.lock();
        if pinged {
            outbox.pinged();
        }
        let patience_ends = outbox.patience_ends(self.plan.identity.keep_alive);
        if patience_ends.is_some_and(|end| now >= end) {
            let why = "the broker goes on answering, but has not acknowledged a state";
            return Err(Error::new(LOSANT_ERR_NOT_ACKNOWLEDGED, why).at(up.stage()));
        }
        let pace = if up.writable { self.publisher.fill(&mut up.session, &mut outbox, around.now) } else { None };
        Ok(pace.into_iter().chain(patience_ends).min())
    }

    /// Writes what the network takes; whether it took anything.
    fn write(&mut self, around: &mut Surroundings<'_>) -> Result<bool, Error> {
        let Link::Up(up) = &mut self.link else { return Ok(false) };
        let before = up.session.taken();
        let outcome = up.write_output();
        let taken = up.session.taken();
        if taken != before {
            around.written(taken);
        }
        match outcome {
            Ok(()) => Ok(taken != before),
            Err(e) => Err(transport::lost(&e).at(up.stage())),
        }
    }

    /// The attempt or the connection has failed.
    fn lost(&mut self, failure: Error, around: &mut Surroundings<'_>) {
        self.attempt = None;
        let suspect = {
            let mut outbox = around.outbox.lock();
            outbox.connection_lost();
            outbox.suspect().map(str::to_owned)
        };
        log::warn!("{}: {}", self.plan.identity.client_id, failure.text);
        if let Some(suspect) = suspect {
            let id = &self.plan.identity.client_id;
            log::warn!("{id}: connections end when states of {suspect} are sent: is it a peripheral of this gateway?");
        }
        around.events.push_back(Event::Error(failure.clone()).into());
        let refused = matches!(
            failure.status,
            LOSANT_ERR_PROTOCOL_VERSION | LOSANT_ERR_DEVICE_ID | LOSANT_ERR_CREDENTIALS | LOSANT_ERR_NOT_AUTHORIZED
        );
        let online_since = match &self.link {
            Link::Up(up) => up.online_since,
            _ => None,
        };
        if refused && !self.plan.known_to_broker || self.plan.first_failure_ends && !self.was_online {
            self.link = Link::Ended(failure);
            return;
        }
        if let Some(since) = online_since {
            self.backoff.connection_lived(around.now.instant.saturating_duration_since(since));
        }
        let random = fastrand::f64();
        let delay = if refused { self.backoff.slow(random) } else { self.backoff.next(random) };
        self.link = Link::Waiting(around.now.instant + delay);
    }

    /// Ends it on request: sends what one turn can send, then DISCONNECT. What stays unacknowledged stays in the outbox.
    pub fn close(&mut self, around: &mut Surroundings<'_>) {
        if let Link::Up(up) = &self.link {
            if up.session.may_publish() {
                let _ = self.converse(around);
            }
        }
        if let Link::Up(up) = &mut self.link {
            up.session.disconnect();
            let _ = up.write_output();
            up.stream.close();
            around.written(up.session.taken());
        }
        around.outbox.lock().connection_lost();
        if !matches!(self.link, Link::Ended(_)) {
            self.attempt = None;
            self.link = Link::Ended(Error::new(LOSANT_OK, "closed by request"));
        }
    }
}
