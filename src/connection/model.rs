//! A line to a broker for models of the threads around it: descriptors and the outbox are real, and every message is
//! acknowledged as soon as it is sent, which the next turn reads.

use super::{Next, Surroundings};
use crate::{
    event::Event,
    outbox::Awaits,
    sync::model::{never, poll},
};
use mio::{Interest, net::UnixStream};
use std::io::{Read, Write};

pub(super) struct Line {
    device: UnixStream,
    broker: UnixStream,
    is_up: bool,
    last_id: u16,
    acknowledged: u16,
}

impl Line {
    pub fn new() -> Self {
        let (device, broker) = UnixStream::pair().expect("there are descriptors left");
        Line { device, broker, is_up: false, last_id: 0, acknowledged: 0 }
    }

    pub fn work(&mut self, around: &mut Surroundings<'_>) -> Next {
        if !self.is_up {
            self.is_up = true;
            let registered = around.registry.register(&mut self.device, around.token, Interest::READABLE);
            registered.expect("it can be polled");
            around.events.push_back(Event::Connect.into());
        }
        let now = around.now.instant;
        let mut chunk = [0; 16];
        while let Ok(count @ 1..) = self.device.read(&mut chunk) {
            for _ in 0..count {
                self.acknowledged += 1;
                around.outbox.lock().acked(self.acknowledged, now);
            }
        }
        loop {
            {
                let mut outbox = around.outbox.lock();
                let Ok(load) = outbox.next(now) else { break };
                self.last_id += 1;
                outbox.sent(load, Awaits::Ack(self.last_id), 1, now);
            }
            self.broker.write_all(&[1]).expect("the line holds");
            poll::woken();
        }
        Next::At(never(now))
    }
}
