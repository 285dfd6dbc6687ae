//! The program as a person uses it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use native_tls::{Certificate, TlsConnector};

use crate::client::*;

struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_losant-simulator"));
        command.args(["--device", "d:key:secret"]).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let input = child.stdin.take().expect("stdin");
        let output = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn port(&mut self, transport: &str) -> u16 {
        let line = self.line();
        let port = line.strip_prefix(&format!("listening {transport} ")).and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("{line}"))
    }

    fn quit(&mut self) {
        writeln!(self.input, "quit").expect("a line");
        assert!(self.child.wait().expect("an end").success());
    }
}

#[test]
fn states_are_printed_and_typed_commands_are_sent() {
    let mut program = Program::start(&["--port", "0"]);
    let port = program.port("tcp");
    assert_eq!(program.line(), "ready");

    let mut stranger = Client { stream: socket(port) };
    stranger.send(&connect(0xc2, "d", "key", "wrong"));
    assert_eq!(program.line(), "refused d wrong key or secret");

    let mut client = Client { stream: socket(port) };
    client.log_in("d");
    assert_eq!(program.line(), "connected d");
    client.send(&subscribe("losant/d/command"));
    client.receive().expect("a SUBACK");
    client.send(&publish("losant/d/state", Some(1), br#"{"data":{"a":1},"time":{"$date":1}}"#));
    client.send(&publish("losant/d/state", Some(2), STATE));
    assert_eq!(program.line(), r#"ignored d 1970-01-01T00:00:00.001Z {"a":1}"#);
    let state = program.line();
    assert!(state.starts_with("state d 20") && state.ends_with(r#"Z {"a":1}"#), "{state}");
    assert_eq!((client.receive(), client.receive()), (puback(1), puback(2)));

    // What is no text does not end the reading.
    program.input.write_all(b"\xff\nd go 7\nfault drop-fin\n").expect("lines");
    assert!(client.message().1.starts_with(br#"{"name":"go","payload":7,"time""#));
    assert_eq!(client.receive(), None);
    assert_eq!(program.line(), "fault d drop-fin");
    assert_eq!(program.line(), "disconnected d dropped on request");

    let mut client = Client { stream: socket(port) };
    client.log_in("d");
    assert_eq!(program.line(), "connected d");
    client.send(&publish("losant/other/state", None, STATE));
    assert_eq!(program.line(), "violation d topic losant/other/state is not allowed");
    assert_eq!(program.line(), "disconnected d topic losant/other/state is not allowed");
    program.quit();
}

#[test]
fn a_fault_and_a_rate_are_typed() {
    let mut program = Program::start(&["--port", "0", "--deny", "d:losant/d/state"]);
    let port = program.port("tcp");
    assert_eq!(program.line(), "ready");
    program.input.write_all(b"rate up=100000 down=100000\nfault raw bytes=\"d0 00\" silent=false\n").expect("lines");
    let mut client = Client { stream: socket(port) };
    client.log_in("d");
    assert_eq!(client.receive(), Some(PINGRESP.to_vec()));
    assert_eq!((program.line(), program.line()), ("connected d".into(), "fault d raw".into()));
    client.send(&publish("losant/d/state", Some(1), STATE));
    assert_eq!(client.receive(), None);
    assert_eq!(program.line(), "violation d no right to topic losant/d/state");
    assert_eq!(program.line(), "disconnected d no right to topic losant/d/state");
    program.quit();
}

#[test]
fn a_device_trusts_the_certificate_that_the_program_has_made() {
    let file = std::env::temp_dir().join(format!("losant-simulator-{}.pem", std::process::id()));
    let path = file.to_str().expect("a path");
    let mut program = Program::start(&["--tls-port", "0", "--wss-port", "0", "--self-signed", path]);
    let (port, _) = (program.port("tls"), program.port("wss"));
    assert_eq!(program.line(), "ready");
    let certificate = std::fs::read(&file).expect("a certificate");
    std::fs::remove_file(&file).expect("a file");

    let root = Certificate::from_pem(&certificate).expect("a certificate");
    let connector = TlsConnector::builder().add_root_certificate(root).build().expect("a connector");
    for name in ["localhost", "127.0.0.1"] {
        let mut client = Client { stream: connector.connect(name, socket(port)).expect("a TLS connection") };
        client.log_in("d");
        assert_eq!(program.line(), "connected d");
        client.send(&[0xe0, 0]);
        assert_eq!(program.line(), "disconnected d disconnected by the device");
    }
    program.quit();
}
