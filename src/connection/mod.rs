//! A device's connection over its whole life: connect, converse, lose it, wait, connect again, end.
//!
//! Each call of [`Link::work`] does what can be done without waiting and says when to come again. What happens on an
//! established connection is in [`established`].

mod established;
mod publisher;

use crate::{
    backoff::Backoff,
    connect_limit::{self, Attempt},
    event::{Event, PendingEvent},
    outbox::{Blame, Loss, Outbox},
    session::Identity,
    stats::{ConnectionState::*, LinkCounts, LinkStats},
    status::{
        Error,
        Status::{self, *},
    },
    sync::Mutex,
    time::Now,
    transport::{Connecting, Notify, Target},
};
use established::Established;
use mio::{Registry, Token};
use rumqttc::QoS;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What a connection needs to know, taken from the options when it begins.
pub(crate) struct ConnectionConfig {
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
pub(crate) struct Context<'a> {
    pub now: Now,
    pub registry: &'a Registry,
    pub token: Token,
    pub outbox: &'a Mutex<Outbox>,
    pub link_stats: &'a Mutex<LinkStats>,
    /// What has happened, in order.
    pub events: &'a mut VecDeque<PendingEvent>,
    /// Whether anybody hears of commands.
    pub commands_wanted: bool,
}

impl Context<'_> {
    pub fn tell(&mut self, event: Event) {
        self.events.push_back(event.into());
    }

    /// Puts the ends of states behind what has happened so far, also of those that other threads have pushed out of the
    /// outbox.
    pub fn tell_outcomes(&mut self, outbox: &mut Outbox) {
        self.events.extend(outbox.take_outcomes().into_iter().map(PendingEvent::Outcome));
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

/// When a connection wants its next round of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once: there is more to do.
    Now,
    /// When its socket is ready, when it is woken, or at this time.
    At(Instant),
    /// Never: it has ended, and this is why.
    Never,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// On the way: from the name to the broker's answers.
    Connecting,
    /// States and commands flow.
    Online,
    /// Until the next attempt.
    Waiting,
    /// For good.
    Ended,
}

/// What runs a device: a [`Connection`], or in models of threads something that stands in for one.
pub(crate) trait Link: Send {
    /// Does all that can be done without waiting.
    fn work(&mut self, cx: &mut Context<'_>) -> Next;

    /// Tells that the socket is ready; readiness is edge-triggered.
    fn ready(&mut self, socket: Readiness);

    /// Ends it on request: sends what one round can send, and says goodbye. What stays unacknowledged stays in the outbox.
    fn close(&mut self, cx: &mut Context<'_>);

    fn phase(&self) -> Phase;

    /// Why it has ended, if it has.
    fn ended(&self) -> Option<&Error>;

    /// Whether the broker has ever accepted this device.
    fn known_to_broker(&self) -> bool;
}

/// Makes the link of a device that is to be connected.
pub(crate) type OpenLink = fn(ConnectionConfig, Notify) -> Box<dyn Link>;

enum State {
    /// To be connected at the next round.
    Idle,
    Connecting(Box<Connecting>, Attempt),
    Established(Box<Established>),
    /// Until the next attempt.
    Waiting(Instant),
    Ended(Error),
}

/// What outlives single connections.
pub(crate) struct History {
    /// Whether a connection has been complete before: then the next time is a reconnect.
    was_online: bool,
    known_to_broker: bool,
    /// What has happened since the last round of work.
    counts: LinkCounts,
}

pub(crate) struct Connection {
    config: ConnectionConfig,
    state: State,
    history: History,
    backoff: Backoff,
    notify: Notify,
}

impl Connection {
    /// An [`OpenLink`].
    pub fn open(config: ConnectionConfig, notify: Notify) -> Box<dyn Link> {
        Box::new(Connection {
            backoff: Backoff::new(config.reconnect_initial, config.reconnect_max),
            history: History {
                was_online: false,
                known_to_broker: config.known_to_broker,
                counts: LinkCounts::default(),
            },
            config,
            state: State::Idle,
            notify,
        })
    }

    fn begin(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        self.state = match connect_limit::begin(cx.now.instant, fastrand::f64()) {
            Ok(attempt) => {
                self.history.counts.attempts += 1;
                let deadline = cx.now.instant + self.config.connect_timeout;
                let connecting = Connecting::start(self.config.target.clone(), deadline, self.notify.clone())?;
                State::Connecting(Box::new(connecting), attempt)
            }
            Err(when) => State::Waiting(when),
        };
        Ok(())
    }

    /// Goes on with an attempt; when to come again if it must wait.
    fn advance(&mut self, cx: &Context<'_>) -> Result<Option<Next>, Error> {
        let State::Connecting(connecting, _) = &mut self.state else { return Ok(None) };
        let Some(stream) = connecting.advance(cx.registry, cx.token, cx.now.instant)? else {
            return Ok(Some(Next::At(connecting.deadline())));
        };
        let deadline = connecting.connect_deadline();
        self.config.target.preferred = connecting.address();
        if let State::Connecting(_, attempt) = std::mem::replace(&mut self.state, State::Idle) {
            let established = Established::new(stream, attempt, &self.config, cx.now.instant, deadline);
            self.state = State::Established(Box::new(established));
        }
        Ok(None)
    }

    /// What has been counted in this round becomes visible, all at once.
    fn publish_stats(&mut self, cx: &Context<'_>) {
        let state = match self.phase() {
            Phase::Connecting => LOSANT_CONNECTION_CONNECTING,
            Phase::Online => LOSANT_CONNECTION_CONNECTED,
            Phase::Waiting => LOSANT_CONNECTION_WAITING,
            Phase::Ended => LOSANT_CONNECTION_CLOSED,
        };
        cx.link_stats.lock().add(std::mem::take(&mut self.history.counts), state, cx.now.instant);
    }

    /// What a connection has brought that never became complete.
    fn tell_early(&mut self, cx: &mut Context<'_>) {
        if let State::Established(established) = &mut self.state {
            cx.events.append(&mut established.take_early());
        }
    }

    /// The ends of states that others have brought about, by filling the outbox. They too wait for the connect event of a
    /// connection that is not complete yet.
    fn tell_outcomes(&self, cx: &mut Context<'_>) {
        if !matches!(&self.state, State::Established(established) if !established.is_online()) {
            cx.tell_outcomes(&mut cx.outbox.lock());
        }
    }

    /// Which messages may have ended the connection. Before it is complete it may have been the subscription.
    fn blame(&self, cause: Status) -> Blame {
        let is_online = matches!(&self.state, State::Established(established) if established.is_online());
        match cause {
            LOSANT_ERR_CONNECTION_LOST if is_online => Blame::Anybody,
            LOSANT_ERR_NOT_ACKNOWLEDGED if is_online => Blame::Oldest,
            _ => Blame::Nobody,
        }
    }

    /// The attempt or the connection has failed.
    fn lost(&mut self, failure: Error, cx: &mut Context<'_>) {
        self.tell_early(cx);
        let id = &self.config.identity.client_id;
        log::warn!("{id}: {}", failure.text);
        self.history.counts.error(failure.status);
        cx.tell(Event::Error(failure.clone()));
        let Loss { excused, culprit } = {
            let mut outbox = cx.outbox.lock();
            let loss = outbox.connection_lost(self.blame(failure.status), cx.now.instant);
            cx.tell_outcomes(&mut outbox);
            loss
        };
        if let Some(text) = &culprit {
            log::warn!("{id}: {text}");
            cx.tell(Event::Error(Error::new(LOSANT_ERR_UNDELIVERABLE, text.as_str()).at(failure.stage)));
        }
        let refused = matches!(
            failure.status,
            LOSANT_ERR_PROTOCOL_VERSION | LOSANT_ERR_DEVICE_ID | LOSANT_ERR_CREDENTIALS | LOSANT_ERR_NOT_AUTHORIZED
        );
        if refused && !self.history.known_to_broker || self.config.first_failure_ends && !self.history.was_online {
            self.state = State::Ended(failure);
            return;
        }
        if let State::Connecting(..) = &self.state {
            // Whatever it was that worked the last time.
            self.config.target.preferred = None;
        }
        if let State::Established(established) = &self.state {
            if let Some(lifetime) = established.online_for(cx.now.instant) {
                self.backoff.connection_lived(lifetime);
            }
        }
        if culprit.is_some() {
            self.backoff.forgive();
        }
        let random = fastrand::f64();
        let delay = if refused {
            self.backoff.slow(random)
        } else if excused {
            self.backoff.excused(random)
        } else {
            self.backoff.next(random)
        };
        self.state = State::Waiting(cx.now.instant + delay);
    }
}

impl Link for Connection {
    fn work(&mut self, cx: &mut Context<'_>) -> Next {
        // Each pass but the last has changed the state; a working chain is at most four long.
        loop {
            let outcome = match &mut self.state {
                State::Idle => self.begin(cx).map(|()| None),
                State::Connecting(..) => self.advance(cx),
                State::Established(established) => established.converse(&self.config, &mut self.history, cx).map(Some),
                State::Waiting(until) if cx.now.instant < *until => Ok(Some(Next::At(*until))),
                State::Waiting(_) => {
                    self.state = State::Idle;
                    Ok(None)
                }
                State::Ended(_) => Ok(Some(Next::Never)),
            };
            match outcome {
                Ok(Some(next)) => {
                    self.tell_outcomes(cx);
                    self.publish_stats(cx);
                    return next;
                }
                Ok(None) => {}
                Err(failure) => self.lost(failure, cx),
            }
        }
    }

    fn ready(&mut self, socket: Readiness) {
        if let State::Established(established) = &mut self.state {
            established.ready(socket);
        }
    }

    fn close(&mut self, cx: &mut Context<'_>) {
        if let State::Established(established) = &mut self.state {
            established.close(&self.config, &mut self.history, cx);
        }
        self.tell_early(cx);
        let mut outbox = cx.outbox.lock();
        outbox.connection_lost(Blame::Nobody, cx.now.instant);
        cx.tell_outcomes(&mut outbox);
        drop(outbox);
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Ended(Error::new(LOSANT_OK, "closed by request"));
        }
        self.publish_stats(cx);
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Idle | State::Connecting(..) => Phase::Connecting,
            State::Established(established) if established.is_online() => Phase::Online,
            State::Established(_) => Phase::Connecting,
            State::Waiting(_) => Phase::Waiting,
            State::Ended(_) => Phase::Ended,
        }
    }

    fn ended(&self) -> Option<&Error> {
        match &self.state {
            State::Ended(why) => Some(why),
            _ => None,
        }
    }

    fn known_to_broker(&self) -> bool {
        self.history.known_to_broker
    }
}
