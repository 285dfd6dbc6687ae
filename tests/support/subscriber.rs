//! An observer that has nothing to do with the library: mosquitto_sub.

use super::{KEY, Process, SECRET, broker::tool};

/// What was published, byte for byte.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// With which quality of service, up to the observer's own.
    pub qos: u8,
}

impl Message {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the payload is text")
    }
}

pub struct Subscriber {
    process: Process,
}

impl Subscriber {
    /// Subscribes to everything; done when this returns.
    pub fn start(port: u16, options: &[&str]) -> Subscriber {
        // It tells that it has subscribed on a buffered stdout.
        let mut command = tool("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port.to_string(), "-u", KEY, "-P", SECRET]);
        command.args(["-t", "#", "-d", "-F", "message %q %x %t"]).args(options);
        let mut process = Process::start("mosquitto_sub", command);
        process.expect("Subscribed ");
        Subscriber { process }
    }

    /// The next message.
    pub fn next(&mut self) -> Message {
        self.process.wait_for("the next message", |line| {
            let mut words = line.strip_prefix("message ")?.splitn(3, ' ');
            let qos = words.next()?.parse().ok()?;
            let payload = bytes(words.next()?)?;
            Some(Message { topic: words.next()?.to_owned(), payload, qos })
        })
    }

    /// The next message on this topic.
    pub fn next_on(&mut self, topic: &str) -> Message {
        loop {
            let message = self.next();
            if message.topic == topic {
                return message;
            }
        }
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
