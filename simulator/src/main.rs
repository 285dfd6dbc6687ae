//! The simulator as a program: records go to stdout, commands and faults come from stdin.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Parser};
use losant_simulator::{Config, DeviceConfig, Identity, Input, Rate, Simulator, Transport, parse};

/// Stands in for the Losant platform: prints the states that devices report, and sends the commands typed here.
#[derive(Parser)]
#[command(group = ArgGroup::new("identity").args(["cert", "self_signed"]))]
struct Options {
    /// A device of the application; may be given many times. Peripherals make it a gateway.
    #[arg(long, value_name = "ID:KEY:SECRET[:PERIPHERAL,…]", required = true, value_parser = device)]
    device: Vec<DeviceConfig>,
    /// A topic that a device has no right to, with or without wildcards; may be given many times.
    #[arg(long, value_name = "ID:TOPIC", value_parser = denied)]
    deny: Vec<(String, String)>,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port for MQTT on TCP; 0 takes a free one, here and below. When no port is given at all, it is 1883.
    #[arg(long)]
    port: Option<u16>,
    /// The port for TLS.
    #[arg(long, requires = "identity")]
    tls_port: Option<u16>,
    /// The port for WebSocket.
    #[arg(long)]
    ws_port: Option<u16>,
    /// The port for WebSocket on TLS.
    #[arg(long, requires = "identity")]
    wss_port: Option<u16>,
    /// The certificate for TLS, in PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, in PEM (PKCS #8).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Instead of these two: make a certificate for localhost and the address of --host, and write it here for devices
    /// to trust. The key stays in memory.
    #[arg(long, value_name = "FILE")]
    self_signed: Option<PathBuf>,
    /// The windows and bans run this many times faster than the clock.
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// The CONNACK code for a banned device; without it, the connection is closed without an answer.
    #[arg(long)]
    ban_connack: Option<u8>,
    /// A bad element of an array of states is dropped alone; without this, it rejects the whole array.
    #[arg(long)]
    drop_bad_elements: bool,
    /// A PUBLISH of more than this closes the connection, as with mosquitto's max_packet_size.
    #[arg(long, value_name = "BYTES")]
    max_packet: Option<usize>,
    /// The links carry this many bytes per second from devices; without it, as many as come. `rate` changes it later.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    rate_up: Option<u64>,
    /// The links carry this many bytes per second to devices.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    rate_down: Option<u64>,
}

fn device(text: &str) -> Result<DeviceConfig, String> {
    let mut parts = text.splitn(4, ':');
    let (Some(id), Some(key), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("ID:KEY:SECRET is expected".into());
    };
    let mut device = DeviceConfig::new(id, key, secret);
    device.peripherals = parts.next().into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect();
    Ok(device)
}

fn denied(text: &str) -> Result<(String, String), String> {
    let (id, topic) = text.split_once(':').ok_or("ID:TOPIC is expected")?;
    Ok((id.to_owned(), topic.to_owned()))
}

/// Takes the topics from the devices.
fn deny(devices: &mut [DeviceConfig], topics: Vec<(String, String)>) -> io::Result<()> {
    for (id, topic) in topics {
        let device = devices.iter_mut().find(|device| device.id == id);
        let missing = || io::Error::new(io::ErrorKind::InvalidInput, format!("--deny: there is no device {id}"));
        device.ok_or_else(missing)?.denied_topics.push(topic);
    }
    Ok(())
}

const HELP: &str = "\
DEVICE_ID NAME [PAYLOAD_JSON]           send a command
fault NAME [KEY=VALUE …]                set a fault; device=ID for one device only, times=N for how often
  drop-fin, drop-rst [packets=N|bytes=N]  drop the connection, at once or after so much from the device
  stall [ms=5000]                         neither read nor write
  ignore-pings                            answer no PINGREQ
  delay-connack [ms=5000]                 answer CONNECT late
  refuse-connack [code=3]                 refuse CONNECT
  no-suback                               answer no SUBSCRIBE
  puback [lose=P] [duplicate=P] [reorder=P] [seed=1]   with probabilities from 0 to 1
  garbage [bytes=64] [seed=1]             send what is no packet
  truncated [close=true]                  send half a packet, and close
  raw bytes=HEX [silent=true]             send these bytes, and then answer nothing
  close-subscribe                         close the connection at SUBSCRIBE
  join-acks                               hold SUBACK until the first PUBACK, and write both at once
  close-ws [code=1008] [reason=\"TEXT\"]   close a WebSocket with a code and a reason
  malformed-commands                      send commands that are none
  huge-command [bytes=307200]             send a large command
  clear                                   end all faults
rate [up=N] [down=N]                    let links carry N bytes per second, from and to devices
quit";

/// A reader that has gone ends nothing.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn with_name(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| with_name(file, &error))
}

fn config(options: Options) -> io::Result<Config> {
    let mut config = Config::new(options.device);
    deny(&mut config.devices, options.deny)?;
    config.host = options.host;
    let ports = [
        (Transport::Tcp, options.port),
        (Transport::Tls, options.tls_port),
        (Transport::WebSocket, options.ws_port),
        (Transport::SecureWebSocket, options.wss_port),
    ];
    config.listeners = ports.into_iter().filter_map(|(transport, port)| Some((transport, port?))).collect();
    if config.listeners.is_empty() {
        config.listeners.push((Transport::Tcp, 1883));
    }
    if let (Some(cert), Some(key)) = (options.cert, options.key) {
        let (certificate_pem, key_pem) = (read(&cert)?, read(&key)?);
        config.identity = Some(Identity { certificate_pem, key_pem });
    }
    if let Some(file) = options.self_signed {
        let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        let host = options.host.to_string();
        if !names.contains(&host) {
            names.push(host);
        }
        let identity = Identity::self_signed(names)?;
        std::fs::write(&file, &identity.certificate_pem).map_err(|error| with_name(&file, &error))?;
        config.identity = Some(identity);
    }
    config.time_scale = options.time_scale;
    config.ban_connack = options.ban_connack;
    config.drop_bad_elements = options.drop_bad_elements;
    config.max_packet = options.max_packet;
    config.rate = Rate { up: options.rate_up, down: options.rate_down };
    config.printer = Some(Arc::new(say));
    Ok(config)
}

fn main() -> ExitCode {
    let simulator = match config(Options::parse()).and_then(Simulator::start) {
        Ok(simulator) => simulator,
        Err(error) => {
            eprintln!("losant-simulator: {error}");
            return ExitCode::FAILURE;
        }
    };
    for (transport, port) in simulator.ports() {
        say(&format!("listening {} {port}", transport.name()));
    }
    say("ready");
    for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
        match parse(&String::from_utf8_lossy(&line)) {
            Ok(Input::Empty) => {}
            Ok(Input::Help) => say(HELP),
            Ok(Input::Quit) => return ExitCode::SUCCESS,
            Ok(Input::Command { device, name, payload }) => {
                if !simulator.send_command(&device, &name, payload.as_ref()) {
                    eprintln!("{device} has not subscribed to commands");
                }
            }
            Ok(Input::Fault { target, fault, times }) => {
                let known = match times {
                    Some(times) => simulator.set_fault_times(target, fault, times),
                    None => simulator.set_fault(target, fault),
                };
                if !known {
                    eprintln!("there is no such device");
                }
            }
            Ok(Input::Rate(rate)) => simulator.set_rate(rate),
            Ok(Input::Clear(target)) => {
                simulator.clear_faults(target);
            }
            Err(reason) => eprintln!("{reason}"),
        }
    }
    // Without a terminal, a signal ends the program.
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(more: &str) -> Option<Options> {
        let always = ["losant-simulator", "--device=d:key:secret"];
        Options::try_parse_from(always.into_iter().chain(more.split_whitespace())).ok()
    }

    #[test]
    fn only_the_ports_that_are_given_are_opened() {
        let table = [
            ("", vec![(Transport::Tcp, 1883)]),
            ("--port=0", vec![(Transport::Tcp, 0)]),
            ("--ws-port=80", vec![(Transport::WebSocket, 80)]),
            ("--ws-port=80 --port=0", vec![(Transport::Tcp, 0), (Transport::WebSocket, 80)]),
        ];
        for (given, expected) in table {
            let config = options(given).map(config).expect("options").expect("a configuration");
            assert_eq!(config.listeners, expected, "{given:?}");
        }
    }

    #[test]
    fn a_topic_is_denied_to_a_device_that_there_is() {
        let config = |more: &str| options(more).map(config).expect("options");
        let denied = config("--deny=d:losant/d/state --deny=d:#").expect("a configuration");
        assert_eq!(denied.devices[0].denied_topics, ["losant/d/state", "#"]);
        assert!(config("--deny=e:#").is_err_and(|error| error.to_string().ends_with("no device e")));
        assert!(options("--deny=d").is_none());
    }

    #[test]
    fn rules_and_rates_are_options() {
        let config = |more: &str| options(more).map(config).expect("options").expect("a configuration");
        let default = config("");
        assert_eq!((default.drop_bad_elements, default.max_packet, default.rate), (false, None, Rate::default()));
        let given = config("--drop-bad-elements --max-packet=20000 --rate-up=2500 --rate-down=5000");
        let rate = Rate { up: Some(2_500), down: Some(5_000) };
        assert_eq!((given.drop_bad_elements, given.max_packet, given.rate), (true, Some(20_000), rate));
        assert!(options("--rate-up=0").is_none());
    }

    #[test]
    fn tls_needs_one_certificate() {
        assert!(options("--tls-port=0").is_none());
        assert!(options("--wss-port=0 --cert=c.pem").is_none());
        assert!(options("--tls-port=0 --cert=c.pem --key=k.pem --self-signed=s.pem").is_none());
        assert!(options("--tls-port=0 --cert=c.pem --key=k.pem").is_some());
        assert!(options("--wss-port=0 --self-signed=s.pem").is_some());
        let missing = options("--cert=/nowhere/c.pem --key=k.pem").map(config).expect("options");
        assert!(missing.is_err_and(|error| error.to_string().starts_with("/nowhere/c.pem: ")));
    }
}
