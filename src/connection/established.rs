//! A connection that stands: a byte stream, the MQTT session on it, and what happens on them.
//!
//! It moves bytes between stream and session and states from the outbox into the session, and tells what the broker has
//! sent.

use super::{ConnectionConfig, Context, History, Next, Readiness, publisher::Publisher};
use crate::{
    connect_limit::Attempt,
    event::{Event, PendingEvent},
    json::excerpt,
    outbox::Outbox,
    payload::decode_command,
    session::{Incoming, Session, Traffic},
    status::{
        Error,
        Stage::{self, *},
        Status::*,
    },
    sync::MutexGuard,
    transport::{self, Stream},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

/// Reads and writes of one round of work, so that one busy device on a shared thread leaves room for others.
const MAX_EXCHANGES: usize = 16;

pub(super) struct Established {
    stream: Stream,
    session: Session,
    /// How long the kernel waits for acknowledgements of TCP: from the start, and now.
    usual_timeout: Duration,
    user_timeout: Duration,
    publisher: Publisher,
    /// Counts against the process's connection attempts until the broker has answered.
    attempt: Option<Attempt>,
    /// Since when it is complete, SUBACK included.
    online_since: Option<Instant>,
    readable: bool,
    writable: bool,
    incoming: Vec<Incoming>,
    /// What has happened before the connection was complete: to be told behind its connect event.
    early: VecDeque<PendingEvent>,
}

impl Established {
    /// `answer_by`: when the broker must have accepted the connection.
    pub fn new(stream: Stream, attempt: Attempt, config: &ConnectionConfig, now: Instant, answer_by: Instant) -> Self {
        let mut session = Session::new(&config.identity, now, answer_by, config.connect_timeout);
        session.passed(traffic(&stream), now);
        Established {
            stream,
            session,
            usual_timeout: config.target.user_timeout,
            user_timeout: config.target.user_timeout,
            publisher: Publisher::new(config.qos),
            attempt: Some(attempt),
            online_since: None,
            readable: true,
            writable: true,
            incoming: Vec::new(),
            early: VecDeque::new(),
        }
    }

    pub fn is_online(&self) -> bool {
        self.online_since.is_some()
    }

    /// For how long it has been complete, if it ever was.
    pub fn online_for(&self, now: Instant) -> Option<Duration> {
        self.online_since.map(|since| now.saturating_duration_since(since))
    }

    pub fn ready(&mut self, socket: Readiness) {
        if socket.ready {
            self.readable = true;
            self.writable = true;
            self.stream.ready(socket.hung_up);
        }
    }

    fn stage(&self) -> Stage {
        if self.is_online() { LOSANT_STAGE_ONLINE } else { LOSANT_STAGE_MQTT }
    }

    /// One round of work.
    pub fn converse(
        &mut self,
        config: &ConnectionConfig,
        history: &mut History,
        cx: &mut Context<'_>,
    ) -> Result<Next, Error> {
        for _ in 0..MAX_EXCHANGES {
            self.read(config, history, cx)?;
            let stage = self.stage();
            let pinged = self.session.on_time(cx.now.instant).map_err(|error| error.at(stage))?;
            let wait = self.fill(pinged, config, cx)?;
            let wrote = self.write(config, history, cx)?;
            if !(self.readable || wrote && self.writable && self.has_more(cx)) {
                let due = self.session.deadline();
                return Ok(Next::At(wait.map_or(due, |wait| wait.min(due))));
            }
        }
        Ok(Next::Now)
    }

    /// Sends what one round can send, then DISCONNECT.
    pub fn close(&mut self, config: &ConnectionConfig, history: &mut History, cx: &mut Context<'_>) {
        if self.session.may_publish() {
            // A failure now changes nothing.
            let _ = self.converse(config, history, cx);
        }
        self.session.disconnect();
        let _ = self.write(config, history, cx);
        self.stream.close();
    }

    fn has_more(&self, cx: &Context<'_>) -> bool {
        self.session.may_publish() && cx.outbox.lock().next(cx.now.instant).is_ok()
    }

    fn read(&mut self, config: &ConnectionConfig, history: &mut History, cx: &mut Context<'_>) -> Result<(), Error> {
        if !self.readable {
            return Ok(());
        }
        let stage = self.stage();
        let mut chunk = [0u8; 8192];
        let outcome = match self.stream.read(&mut chunk) {
            Ok(0) => Err(self.closed()),
            Ok(count) => {
                history.counts.bytes_received += count as u64;
                self.session.receive(&chunk[..count], cx.now.instant, &mut self.incoming)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(self.lost(&e)),
        };
        self.session.passed(traffic(&self.stream), cx.now.instant);
        // What came before an error counts: an acknowledgement saves a resend.
        self.handle_incoming(config, history, cx);
        outcome.map_err(|error| error.at(stage))
    }

    /// Moves states from the outbox into the session's output; when to come again, if the pace
    /// or a missing acknowledgement asks for it. `pinged`: a PINGREQ has just gone into the output.
    fn fill(&mut self, pinged: bool, config: &ConnectionConfig, cx: &Context<'_>) -> Result<Option<Instant>, Error> {
        let now = cx.now.instant;
        let mut outbox = cx.outbox.lock();
        if pinged {
            outbox.pinged();
        }
        let patience_ends = outbox.patience_ends(config.identity.keep_alive);
        if patience_ends.is_some_and(|end| now >= end) {
            let why = "the broker goes on answering, but has not acknowledged a state";
            return Err(Error::new(LOSANT_ERR_NOT_ACKNOWLEDGED, why).at(self.stage()));
        }
        let pace = if self.writable { self.publisher.fill(&mut self.session, &mut outbox, cx.now) } else { None };
        Ok(pace.into_iter().chain(patience_ends).min())
    }

    /// The kernel must not give up what the session does not: a side that reads slowly closes its window for as long as it
    /// needs for what it has.
    fn set_user_timeout(&mut self, now: Instant) {
        let patience = self.session.patience(now);
        let usual = self.usual_timeout;
        if patience > self.user_timeout || patience <= usual && self.user_timeout > usual {
            // Twice as much, so that it is seldom set.
            self.user_timeout = if patience > usual { 2 * patience } else { usual };
            self.stream.set_user_timeout(self.user_timeout);
        }
    }

    /// Writes what the network takes; whether it took anything.
    fn write(&mut self, config: &ConnectionConfig, history: &mut History, cx: &mut Context<'_>) -> Result<bool, Error> {
        let before = self.session.taken();
        let outcome = self.write_output(cx.now.instant);
        self.set_user_timeout(cx.now.instant);
        let taken = self.session.taken();
        history.counts.bytes_sent += taken - before;
        if taken != before {
            let mut outbox = cx.outbox.lock();
            outbox.written(taken, cx.now.instant);
            self.tell_outcomes(&mut outbox, cx);
        }
        match outcome {
            Ok(()) => Ok(taken != before),
            Err(e) => Err(self.broken(&e, config, history, cx)),
        }
    }

    fn write_output(&mut self, now: Instant) -> io::Result<()> {
        while self.writable && !self.session.output().is_empty() {
            let outcome = self.stream.write(self.session.output());
            self.session.passed(traffic(&self.stream), now);
            match outcome {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.session.take(count, now),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn closed(&self) -> Error {
        let farewell = self.stream.farewell().map(|words| format!(": {words}")).unwrap_or_default();
        let text = format!("the broker closed the connection{}{farewell}", self.session.unanswered());
        Error::new(LOSANT_ERR_CONNECTION_LOST, text)
    }

    /// Writing has failed. What has come before counts: a SUBACK makes the connection complete, an acknowledgement saves a
    /// resend, and a broker that says why it closes, with something of ours unread, is heard all the same.
    fn broken(
        &mut self,
        e: &io::Error,
        config: &ConnectionConfig,
        history: &mut History,
        cx: &mut Context<'_>,
    ) -> Error {
        self.ready(Readiness { ready: true, hung_up: true });
        let reason = (0..MAX_EXCHANGES).find_map(|_| self.read(config, history, cx).err());
        let reason = reason.filter(|_| self.stream.farewell().is_some());
        reason.unwrap_or_else(|| self.lost(e)).at(self.stage())
    }

    /// A broker that closes with something unread of ours resets the connection.
    fn lost(&self, e: &io::Error) -> Error {
        let mut error = transport::lost(e);
        if error.status == LOSANT_ERR_CONNECTION_LOST {
            error.text = format!("{}{}", error.text, self.session.unanswered()).into();
        }
        error
    }

    /// The connect event comes before all else that the connection brings, whatever order the broker answers in.
    fn tell(&mut self, event: Event, cx: &mut Context<'_>) {
        if self.is_online() { cx.tell(event) } else { self.early.push_back(event.into()) }
    }

    fn tell_outcomes(&mut self, outbox: &mut Outbox, cx: &mut Context<'_>) {
        if self.is_online() {
            cx.tell_outcomes(outbox);
        } else {
            self.early.extend(outbox.take_outcomes().into_iter().map(PendingEvent::Outcome));
        }
    }

    /// What a connection that never became complete has brought.
    pub fn take_early(&mut self) -> VecDeque<PendingEvent> {
        std::mem::take(&mut self.early)
    }

    /// What the broker has sent, and what follows from it, in order.
    fn handle_incoming(&mut self, config: &ConnectionConfig, history: &mut History, cx: &mut Context<'_>) {
        let mut incoming = std::mem::take(&mut self.incoming);
        // Held over neighbouring answers that concern states, which come in hundreds.
        let mut held: Option<MutexGuard<'_, Outbox>> = None;
        for packet in incoming.drain(..) {
            if let Incoming::Message { .. } | Incoming::Subscribed { .. } = packet {
                if let Some(mut outbox) = held.take() {
                    self.tell_outcomes(&mut outbox, cx);
                }
            }
            match packet {
                Incoming::Acked(id) => held.get_or_insert_with(|| cx.outbox.lock()).acked(id, cx.now.instant),
                Incoming::PingAnswered => held.get_or_insert_with(|| cx.outbox.lock()).ping_answered(cx.now.instant),
                Incoming::Accepted => {
                    held.get_or_insert_with(|| cx.outbox.lock()).connected(cx.now.instant);
                    history.known_to_broker = true;
                    self.attempt = None;
                }
                Incoming::Subscribed { refused } => self.online(refused, config, history, cx),
                Incoming::Message { topic, payload } => {
                    if let Some(event) = command(&topic, &payload, config, history, cx) {
                        self.tell(event, cx);
                    }
                }
            }
        }
        if let Some(mut outbox) = held {
            self.tell_outcomes(&mut outbox, cx);
        }
        self.incoming = incoming;
    }

    /// The connection is complete.
    fn online(&mut self, refused: bool, config: &ConnectionConfig, history: &mut History, cx: &mut Context<'_>) {
        let id = &config.identity.client_id;
        self.online_since = Some(cx.now.instant);
        log::info!("{id}: connected to {}", config.target.host.authority(config.target.port));
        cx.tell(if history.was_online { Event::Reconnect } else { Event::Connect });
        history.was_online = true;
        history.counts.connects += 1;
        if refused {
            let text = format!("the broker refused the subscription to {}", config.identity.command_topic);
            log::warn!("{id}: {text}");
            history.counts.error(LOSANT_ERR_SUBSCRIBE_REFUSED);
            cx.tell(Event::Error(Error::new(LOSANT_ERR_SUBSCRIBE_REFUSED, text).at(LOSANT_STAGE_MQTT)));
        }
        cx.events.append(&mut self.early);
    }
}

fn traffic(stream: &Stream) -> Traffic {
    Traffic { received: stream.received_bytes(), sent: stream.sent_bytes() }
}

/// The event of a message, if it is a command and anybody listens.
fn command(
    topic: &str,
    message: &Bytes,
    config: &ConnectionConfig,
    history: &mut History,
    cx: &Context<'_>,
) -> Option<Event> {
    let id = &config.identity.client_id;
    history.counts.messages_received += 1;
    if topic != config.identity.command_topic {
        log::warn!("{id}: ignored a message on {:?}, which was not subscribed", excerpt(topic));
        return None;
    }
    match decode_command(message, cx.now.wall_ms()) {
        Ok(command) => {
            history.counts.commands += 1;
            if !cx.commands_wanted {
                return None;
            }
            Some(Event::Command { command, topic: topic.into(), message: (&**message).into() })
        }
        Err(why) => {
            history.counts.malformed_commands += 1;
            log::warn!("{id}: ignored a malformed command: {why}");
            None
        }
    }
}
