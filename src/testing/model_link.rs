//! A link to a broker for models of the threads around it: descriptors and the outbox are real, and every message is
//! acknowledged as soon as it is sent, which the next round reads.

use super::schedule::{self, never, poll};
use crate::{
    connection::{Context, Link, Next, OpenLink, Phase, Readiness},
    event::Event,
    outbox::{Awaits, Blame},
    status::{Error, Status::LOSANT_OK},
};
use mio::{Interest, net::UnixStream};
use std::io::{Read, Write};

/// What opens links: in a model these, else the real ones.
pub(crate) fn open_link(real: OpenLink) -> OpenLink {
    if schedule::is_on() { |_, _| Box::new(ModelLink::new()) } else { real }
}

struct ModelLink {
    device: UnixStream,
    broker: UnixStream,
    is_up: bool,
    last_id: u16,
    acknowledged: u16,
    ended: Option<Error>,
}

impl ModelLink {
    fn new() -> Self {
        let (device, broker) = UnixStream::pair().expect("there are descriptors left");
        ModelLink { device, broker, is_up: false, last_id: 0, acknowledged: 0, ended: None }
    }
}

impl Link for ModelLink {
    fn work(&mut self, cx: &mut Context<'_>) -> Next {
        if !self.is_up {
            self.is_up = true;
            let registered = cx.registry.register(&mut self.device, cx.token, Interest::READABLE);
            registered.expect("it can be polled");
            cx.tell(Event::Connect);
        }
        let now = cx.now.instant;
        let mut chunk = [0; 16];
        while let Ok(count @ 1..) = self.device.read(&mut chunk) {
            for _ in 0..count {
                self.acknowledged += 1;
                cx.outbox.lock().acked(self.acknowledged, now);
            }
        }
        loop {
            {
                let mut outbox = cx.outbox.lock();
                let Ok(load) = outbox.next(now) else { break };
                self.last_id += 1;
                outbox.sent(load, Awaits::Ack(self.last_id), 1, now);
            }
            self.broker.write_all(&[1]).expect("the link holds");
            poll::woken();
        }
        cx.tell_outcomes(&mut cx.outbox.lock());
        Next::At(never(now))
    }

    fn ready(&mut self, _: Readiness) {}

    fn close(&mut self, cx: &mut Context<'_>) {
        let mut outbox = cx.outbox.lock();
        outbox.connection_lost(Blame::Nobody, cx.now.instant);
        cx.tell_outcomes(&mut outbox);
        self.ended = Some(Error::new(LOSANT_OK, "closed by request"));
    }

    fn phase(&self) -> Phase {
        if self.ended.is_some() { Phase::Ended } else { Phase::Online }
    }

    fn ended(&self) -> Option<&Error> {
        self.ended.as_ref()
    }

    fn known_to_broker(&self) -> bool {
        self.is_up
    }
}
