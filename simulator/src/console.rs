//! What is typed on the terminal.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::fault::{After, Drop, Fault, PubackFault, Target};
use crate::rate::Rate;

/// One line of the terminal.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Nothing.
    Empty,
    /// Send a command.
    Command {
        /// The device.
        device: String,
        /// The command's name.
        name: String,
        /// Its payload.
        payload: Option<Value>,
    },
    /// Set a fault.
    Fault {
        /// For whom.
        target: Target,
        /// Which.
        fault: Fault,
        /// How often; `None` is the fault's own.
        times: Option<u32>,
    },
    /// Set how fast links are.
    Rate(Rate),
    /// Remove the faults.
    Clear(Target),
    /// Show what can be typed.
    Help,
    /// End the program.
    Quit,
}

/// Reads one line: `DEVICE_ID NAME [PAYLOAD_JSON]`, `fault NAME [KEY=VALUE …]`, `rate [up=N] [down=N]`, `help` or `quit`.
///
/// # Errors
/// What is wrong with it, for the person who typed it.
pub fn parse(line: &str) -> Result<Input, String> {
    let line = line.trim();
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    match (first, rest) {
        ("", _) => Ok(Input::Empty),
        ("help", "") => Ok(Input::Help),
        ("quit", "") => Ok(Input::Quit),
        ("fault", _) => fault(rest),
        ("rate", _) => rate(rest),
        (_, "") => Err("a command needs a name: DEVICE_ID NAME [PAYLOAD_JSON]".into()),
        (device, rest) => {
            let (name, payload) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let payload = match payload.trim() {
                "" => None,
                text => Some(serde_json::from_str(text).map_err(|error| format!("the payload is not JSON: {error}"))?),
            };
            Ok(Input::Command { device: device.to_owned(), name: name.to_owned(), payload })
        }
    }
}

/// The `KEY=VALUE` words that have not been asked for yet.
struct Arguments<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Arguments<'a> {
    fn read(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let pair = |word: &'a str| word.split_once('=').ok_or_else(|| format!("{word}: KEY=VALUE is expected"));
        words.map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Nothing must be left.
    fn end(&self, name: &str) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |key| Err(format!("{name} has no {key}")))
    }

    fn get<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        let value = self.0.remove(key);
        value.map(|value| value.parse().map_err(|_| format!("{key}={value} is not understood"))).transpose()
    }

    fn or<T: FromStr>(&mut self, key: &str, default: T) -> Result<T, String> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    fn time(&mut self) -> Result<Duration, String> {
        Ok(Duration::from_millis(self.or("ms", 5000)?))
    }

    fn chance(&mut self, key: &str) -> Result<f64, String> {
        let chance = self.or(key, 0.0)?;
        if (0.0..=1.0).contains(&chance) { Ok(chance) } else { Err(format!("{key} is from 0 to 1")) }
    }

    /// A WebSocket has no room for a longer one.
    fn reason(&mut self) -> Result<String, String> {
        let reason: String = self.or("reason", String::new())?;
        if reason.len() <= 123 { Ok(reason) } else { Err("reason has at most 123 bytes".into()) }
    }

    fn after(&mut self) -> Result<After, String> {
        match (self.get("packets")?, self.get("bytes")?) {
            (None, None) => Ok(After::Now),
            (Some(packets), None) => Ok(After::Packets(packets)),
            (None, Some(bytes)) => Ok(After::Bytes(bytes)),
            _ => Err("packets or bytes, not both".into()),
        }
    }
}

fn fault(text: &str) -> Result<Input, String> {
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    let name = words.next().ok_or("fault needs a name; help lists them")?;
    let mut arguments = Arguments::read(words)?;
    let target = arguments.get("device")?.map_or(Target::All, Target::Device);
    let times = arguments.get("times")?;
    let fault = if name == "clear" { None } else { Some(named(name, &mut arguments)?) };
    arguments.end(name)?;
    Ok(fault.map_or(Input::Clear(target.clone()), |fault| Input::Fault { target, fault, times }))
}

fn rate(text: &str) -> Result<Input, String> {
    let mut arguments = Arguments::read(text.split_whitespace())?;
    let rate = Rate { up: arguments.get("up")?, down: arguments.get("down")? };
    arguments.end("rate")?;
    Ok(Input::Rate(rate))
}

fn named(name: &str, arguments: &mut Arguments) -> Result<Fault, String> {
    Ok(match name {
        "drop-fin" => Fault::Drop(Drop::Fin, arguments.after()?),
        "drop-rst" => Fault::Drop(Drop::Rst, arguments.after()?),
        "stall" => Fault::Stall(arguments.time()?),
        "ignore-pings" => Fault::IgnorePings,
        "delay-connack" => Fault::DelayConnack(arguments.time()?),
        "refuse-connack" => Fault::RefuseConnack(arguments.or("code", 3)?),
        "no-suback" => Fault::NoSuback,
        "puback" => {
            let (lose, duplicate) = (arguments.chance("lose")?, arguments.chance("duplicate")?);
            let (reorder, seed) = (arguments.chance("reorder")?, arguments.or("seed", 1)?);
            Fault::Puback(PubackFault { lose, duplicate, reorder, seed })
        }
        "garbage" => Fault::Garbage { bytes: arguments.or("bytes", 64)?, seed: arguments.or("seed", 1)? },
        "truncated" => Fault::Truncated { close: arguments.or("close", true)? },
        "raw" => {
            let Hex(bytes) = arguments.get("bytes")?.ok_or("raw needs bytes=HEX")?;
            Fault::Raw { bytes, silent: arguments.or("silent", true)? }
        }
        "close-subscribe" => Fault::CloseAtSubscribe,
        "join-acks" => Fault::JoinAcks,
        "close-ws" => Fault::CloseWebSocket { code: arguments.or("code", 1008)?, reason: arguments.reason()? },
        "malformed-commands" => Fault::MalformedCommands,
        "huge-command" => Fault::HugeCommand { bytes: arguments.or("bytes", 300 * 1024)? },
        other => return Err(format!("there is no fault {other}; help lists them")),
    })
}

/// Bytes in hexadecimal, with or without spaces.
struct Hex(Vec<u8>);

impl FromStr for Hex {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.chars().filter(|c| !c.is_whitespace());
        let digits = digits.map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<Vec<_>>>().ok_or(())?;
        let pairs = digits.chunks_exact(2);
        if digits.is_empty() || !pairs.remainder().is_empty() {
            return Err(());
        }
        Ok(Self(pairs.map(|pair| pair[0] << 4 | pair[1]).collect()))
    }
}

/// Words are parted by spaces that are not between quotation marks.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in text.chars() {
        if c.is_whitespace() && !quoted {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        if c == '"' {
            quoted = !quoted;
        } else {
            word.push(c);
        }
    }
    words.extend(word);
    if quoted { Err("a quotation mark is missing".into()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(fault: Fault) -> Input {
        Input::Fault { target: Target::All, fault, times: None }
    }

    #[test]
    fn lines_are_understood() {
        let command = |payload| Input::Command { device: "d".into(), name: "go".into(), payload };
        let chances = PubackFault { lose: 0.5, duplicate: 0.0, reorder: 1.0, seed: 9 };
        let table = [
            ("  ", Input::Empty),
            ("help", Input::Help),
            ("quit", Input::Quit),
            ("d go", command(None)),
            (" d  go  {\"a\": [1, 2]} ", command(Some(json!({"a": [1, 2]})))),
            ("d go null", command(Some(Value::Null))),
            ("fault drop-fin", all(Fault::Drop(Drop::Fin, After::Now))),
            ("fault drop-rst packets=3", all(Fault::Drop(Drop::Rst, After::Packets(3)))),
            ("fault drop-rst bytes=30", all(Fault::Drop(Drop::Rst, After::Bytes(30)))),
            ("fault stall ms=20", all(Fault::Stall(Duration::from_millis(20)))),
            ("fault ignore-pings", all(Fault::IgnorePings)),
            ("fault delay-connack ms=1", all(Fault::DelayConnack(Duration::from_millis(1)))),
            ("fault no-suback", all(Fault::NoSuback)),
            ("fault puback lose=0.5 reorder=1 seed=9", all(Fault::Puback(chances))),
            ("fault garbage bytes=7", all(Fault::Garbage { bytes: 7, seed: 1 })),
            ("fault truncated close=false", all(Fault::Truncated { close: false })),
            ("fault malformed-commands", all(Fault::MalformedCommands)),
            ("fault huge-command", all(Fault::HugeCommand { bytes: 307_200 })),
            ("fault raw bytes=30ffFF3f", all(Fault::Raw { bytes: vec![0x30, 0xff, 0xff, 0x3f], silent: true })),
            ("fault raw bytes=\"40 a0\" silent=false", all(Fault::Raw { bytes: vec![0x40, 0xa0], silent: false })),
            ("fault close-subscribe", all(Fault::CloseAtSubscribe)),
            ("fault join-acks", all(Fault::JoinAcks)),
            ("fault close-ws", all(Fault::CloseWebSocket { code: 1008, reason: String::new() })),
            (
                "fault close-ws code=4000  reason=\"quota  exceeded\"",
                all(Fault::CloseWebSocket { code: 4000, reason: "quota  exceeded".into() }),
            ),
            ("rate", Input::Rate(Rate::default())),
            ("rate up=2500", Input::Rate(Rate { up: Some(2_500), down: None })),
            ("rate down=1 up=2", Input::Rate(Rate { up: Some(2), down: Some(1) })),
            ("fault clear device=d", Input::Clear("d".into())),
            (
                "fault refuse-connack code=5 device=d times=2",
                Input::Fault { target: "d".into(), fault: Fault::RefuseConnack(5), times: Some(2) },
            ),
        ];
        for (line, expected) in table {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let long_reason = format!("fault close-ws reason={}", "x".repeat(124));
        let table = [
            ("d", "needs a name"),
            ("d go {", "not JSON"),
            ("fault", "needs a name"),
            ("fault fire", "no fault fire"),
            ("fault stall 5", "KEY=VALUE"),
            ("fault stall ms=soon", "ms=soon"),
            ("fault stall bytes=5", "stall has no bytes"),
            ("rate 5", "KEY=VALUE"),
            ("rate up=-1", "up=-1"),
            ("rate left=5", "rate has no left"),
            ("fault raw", "raw needs bytes=HEX"),
            ("fault raw bytes=", "bytes= is not"),
            ("fault raw bytes=123", "bytes=123"),
            ("fault raw bytes=1é", "bytes=1é"),
            ("fault close-ws reason=\"quota", "quotation mark"),
            (&long_reason, "at most 123"),
            ("fault puback lose=2", "from 0 to 1"),
            ("fault drop-fin packets=1 bytes=1", "not both"),
        ];
        for (line, part) in table {
            let reason = parse(line).expect_err(line);
            assert!(reason.contains(part), "{line}: {reason}");
        }
    }
}
