//! What a host is called towards the resolver, in SNI, in the certificate and in HTTP.

use crate::support::{
    Broker, CProgram, FakeBroker, Lane, certificates::Authority, fake_broker::read_head, in_every_lane, tls_server,
};
use rcgen::SanType;
use std::{io::Write, net::IpAddr, sync::mpsc};

/// What is set, what the resolver is asked for ("-" where it is not), and who the other side has to be.
const HOSTS: [(&str, &str, &str); 8] = [
    ("localhost", "localhost", "localhost"),
    ("localhost.", "localhost.", "localhost"),
    ("My_Broker.Example", "my_broker.example", "my_broker.example"),
    ("xn--bcher-kva.example.", "xn--bcher-kva.example.", "xn--bcher-kva.example"),
    ("127.0.0.1", "-", "127.0.0.1"),
    ("fe80::1%lo", "fe80::1%lo", "fe80::1"),
    ("[FE80::0:1%lo]", "fe80::1%lo", "fe80::1"),
    ("::ffff:127.0.0.1%1", "::ffff:127.0.0.1%1", "::ffff:127.0.0.1"),
];

/// Runs tests/c/transport/naming.c and returns its first line, without the text.
fn outcome(lane: Lane, host: &str, port: u16, node: &str, errno: i32) -> String {
    let told = CProgram::start("naming", lane, &[host, &port.to_string(), node, &errno.to_string()]).finish();
    told[0].split('\t').take(3).collect::<Vec<_>>().join(" ")
}

/// The server ends what it has accepted: then TLS was content.
fn names_in_tls(lane: Lane) {
    let authority = Authority::shared();
    for (host, node, identity) in HOSTS {
        let address = identity.parse::<IpAddr>().ok();
        let name = || SanType::DnsName(identity.try_into().unwrap());
        let leaf =
            authority.leaf(|params| params.subject_alt_names = vec![address.map_or_else(name, SanType::IpAddress)]);
        let (told, heard) = mpsc::channel();
        let server = tls_server::telling_names(&authority.chain(&leaf), &leaf.key_pem(), told);
        assert_eq!(outcome(lane, host, server.port(), node, 0), "error -24 5", "{host}");
        assert_eq!(heard.recv().unwrap(), address.is_none().then(|| identity.to_owned()), "{host}");

        let leaf =
            authority.leaf(|params| params.subject_alt_names = vec![SanType::DnsName("other".try_into().unwrap())]);
        let server = tls_server::start(&authority.chain(&leaf), &leaf.key_pem());
        assert_eq!(outcome(lane, host, server.port(), node, 0), "error -45 3", "{host}");
    }
}

fn names_in_http(lane: Lane) {
    for (host, node, identity) in HOSTS {
        let (told, heard) = mpsc::channel();
        let server = FakeBroker::serving(move |mut stream| {
            told.send(read_head(&mut stream)?).unwrap();
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        });
        assert_eq!(outcome(lane, host, server.port(), node, 0), "error -50 4", "{host}");
        let request = heard.recv().unwrap();
        let shown = if identity.contains(':') { format!("[{identity}]") } else { identity.to_owned() };
        let line = format!("\r\nHost: {shown}:{}\r\n", server.port());
        assert!(request.contains(&line), "{host}: {request}");
    }
}

/// The resolver says what the system refused.
fn resolvers_without_resources(lane: Lane) {
    for (errno, told) in [(24, "error -15 1"), (23, "error -15 1"), (12, "error -15 1"), (5, "error -20 1")] {
        assert_eq!(outcome(lane, "broker.example", 1, "broker.example", errno), told, "errno {errno}");
    }
}

/// Case: a name server that never answers costs one thread, not one an attempt.
fn one_look_up_at_a_time(lane: Lane) {
    let broker = Broker::start(lane);
    let port = broker.device_port(lane).to_string();
    assert_eq!(CProgram::start("slow_names", lane, &["slow.example", &port]).finish(), [] as [&str; 0]);
}

mod names_in_tls {
    crate::support::lane::lane_tests!(names_in_tls: over_tls Tls);
}

mod names_in_http {
    crate::support::lane::lane_tests!(names_in_http: over_ws Ws);
}

in_every_lane!(resolvers_without_resources, one_look_up_at_a_time);
