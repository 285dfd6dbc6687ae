//! The program as a person uses it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::client::*;

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn states_are_printed_and_typed_commands_are_sent() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_losant-simulator"));
    command.args(["--device", "d:key:secret", "--port", "0"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = Ended(command.spawn().expect("the program starts"));
    let mut input = program.0.stdin.take().expect("stdin");
    let mut lines = BufReader::new(program.0.stdout.take().expect("stdout")).lines().map_while(Result::ok);
    let listening = lines.next().expect("a line");
    let port = listening.strip_prefix("listening tcp ").and_then(|port| port.parse().ok()).expect("a port");
    assert_eq!(lines.next().as_deref(), Some("ready"));

    let mut client = Client { stream: socket(port) };
    client.log_in("d");
    client.send(&subscribe("losant/d/command"));
    client.receive().expect("a SUBACK");
    client.send(&publish("losant/d/state", Some(1), br#"{"data":{"a":1},"time":{"$date":1}}"#));
    client.send(&publish("losant/d/state", Some(2), STATE));
    assert!(lines.next().is_some_and(|line| line.starts_with("rejected d element 0")));
    let state = lines.next().expect("a line");
    assert!(state.starts_with("state d 20") && state.ends_with(r#"Z {"a":1}"#), "{state}");
    assert_eq!((client.receive(), client.receive()), (puback(1), puback(2)));

    writeln!(input, "d go 7\nfault drop-fin").expect("a line");
    assert!(client.message().1.starts_with(br#"{"name":"go","payload":7,"time""#));
    assert_eq!(client.receive(), None);
    assert_eq!(lines.next().as_deref(), Some("fault d drop-fin"));
    writeln!(input, "quit").expect("a line");
    assert!(program.0.wait().expect("an end").success());
}
