//! Whom a device trusts, and what it says of those it does not. Through the Rust interface: the C one adds nothing here but
//! the conversion of strings.

mod client_certificates;

use crate::support::{
    Broker, DEVICE_ID, FakeBroker, KEY, Listener, Manner, Proxy, SECRET,
    certificates::{Authority, expired, for_another_host, not_yet_valid, self_signed},
    tls_server,
};
use losant::{Device, Error, Event, EventType::*, Stage::*, Status, Status::*};
use std::{fs, sync::mpsc};
use tempfile::TempDir;

/// A device for a TLS server on this port, which trusts this root.
fn device(host: &str, port: u16, ca: &str) -> Device {
    let device = Device::new(DEVICE_ID, Some((KEY, SECRET))).unwrap();
    device.set_host(host).unwrap();
    device.set_port(port).unwrap();
    device.set_ca_pem(Some(ca), true).unwrap();
    device.set_reconnect_delay(1, 5).unwrap();
    device.set_connect_timeout(30_000).unwrap();
    device
}

/// How its connection fails; it must not succeed.
fn failure(device: &Device) -> Error {
    device.add_observer(LOSANT_EVENT_CONNECT, |device, _| device.close().unwrap());
    device.connect_blocking().expect_err("this server must not be trusted")
}

fn assert_refused(server: &FakeBroker, ca: &str, status: Status) {
    // However the bytes come.
    for port in [server.port(), Proxy::with(server.port(), Manner::OneByOne).port()] {
        assert_refused_at(port, ca, status);
    }
}

fn assert_refused_at(port: u16, ca: &str, status: Status) {
    let device = device("localhost", port, ca);
    let (told, heard) = mpsc::channel();
    device.add_observer(LOSANT_EVENT_ERROR, move |_, event| told.send(event.clone()).unwrap());
    let error = failure(&device);
    assert_eq!(error.status, status, "{error}");
    let Event::Error(trouble) = heard.recv().unwrap() else { panic!("not an error") };
    assert_eq!((trouble.stage, trouble.status, &trouble.text), (LOSANT_STAGE_TLS, status, &error.text));
    assert!(!trouble.text.contains(SECRET) && !trouble.text.contains(KEY));
}

#[test]
fn a_server_whose_certificate_is_wrong_is_refused_with_its_own_code() {
    let ours = Authority::new();
    let root = ours.root.pem();
    for (change, status) in [
        (expired as fn(&mut _), LOSANT_ERR_CERTIFICATE_EXPIRED),
        (not_yet_valid, LOSANT_ERR_CERTIFICATE_NOT_YET_VALID),
        (for_another_host, LOSANT_ERR_CERTIFICATE_WRONG_HOST),
    ] {
        let leaf = ours.leaf(change);
        assert_refused(&tls_server::start(&ours.chain(&leaf), &leaf.key_pem()), &root, status);
    }
    let lonely = self_signed();
    assert_refused(&tls_server::start(&lonely.pem(), &lonely.key_pem()), &root, LOSANT_ERR_CERTIFICATE_SELF_SIGNED);
}

#[test]
fn a_chain_that_leads_to_no_trusted_root_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let leaf = theirs.leaf(|_| {});
    let chain = theirs.chain(&leaf);
    let unknown = LOSANT_ERR_CERTIFICATE_UNKNOWN;
    assert_refused(&tls_server::start(&chain, &leaf.key_pem()), &ours.root.pem(), unknown);
    // The same where the server sends the root too.
    let whole = chain + &theirs.root.pem();
    assert_refused(&tls_server::start(&whole, &leaf.key_pem()), &ours.root.pem(), unknown);
    // Ours, but the intermediate is missing.
    let leaf = ours.leaf(|_| {});
    assert_refused(&tls_server::start(&leaf.pem(), &leaf.key_pem()), &ours.root.pem(), unknown);
}

/// An intermediate completes a chain, but nothing is trusted that leads to no root.
#[test]
fn an_intermediate_is_not_trusted_without_its_root() {
    let ours = Authority::new();
    let (root, intermediate) = (ours.root.pem(), ours.intermediate.pem());
    let leaf = ours.leaf(|_| {});
    for sent in [ours.chain(&leaf), leaf.pem(), ours.chain(&leaf) + &root] {
        let server = tls_server::start(&sent, &leaf.key_pem());
        let error = failure(&device("localhost", server.port(), &intermediate));
        assert_eq!(error.status, LOSANT_ERR_CERTIFICATE_UNKNOWN, "{error}");
        if !sent.contains(&root) {
            assert!(error.text.contains("is an intermediate"), "{error}");
        }
    }
    let mut broker = Broker::with(&[Listener::Tls], "");
    broker.use_certificate(&leaf);
    broker.restart();
    assert_eq!(failure(&device("localhost", broker.port(), &root)).status, LOSANT_ERR_CERTIFICATE_UNKNOWN);
    connects(&device("localhost", broker.port(), &(root + &intermediate)));
}

#[test]
fn a_servers_own_self_signed_certificate_can_be_trusted() {
    let mut broker = Broker::with(&[Listener::Tls], "");
    let lonely = self_signed();
    broker.use_certificate(&lonely);
    broker.restart();
    connects(&device("localhost", broker.port(), &lonely.pem()));
}

/// What OpenSSL writes with -trustout, with the text that -text puts in front, and a mark that editors put before all.
#[test]
fn roots_are_taken_as_tools_write_them() {
    let mut broker = Broker::with(&[Listener::Tls], "");
    let ours = Authority::new();
    broker.make_certificates(&ours);
    broker.restart();
    let root = ours.root.pem();
    let text = "Certificate:\n    Data:\n        Version: 3 (0x2)\n";
    let trusted = root.replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
    for ca in [
        format!("\u{feff}{root}"),
        format!("{text}{root}"),
        root.replace('\n', "\r\n"),
        format!("{text}{trusted}"),
        Authority::new().leaf(|_| {}).key_pem() + &root,
        root.lines().collect(),
    ] {
        connects(&device("localhost", broker.port(), &ca));
    }
}

#[test]
fn the_bundled_roots_are_trusted_and_no_others_unless_told() {
    let ours = Authority::new();
    let leaf = ours.leaf(|_| {});
    let server = tls_server::start(&ours.chain(&leaf), &leaf.key_pem());
    let device = device("localhost", server.port(), &ours.root.pem());
    for system in [false, true] {
        device.set_ca_pem(None, false).unwrap();
        device.set_system_roots(system).unwrap();
        assert_eq!(failure(&device).status, LOSANT_ERR_CERTIFICATE_UNKNOWN, "system roots: {system}");
    }
}

#[test]
fn tls_1_1_is_too_old() {
    let ours = Authority::new();
    let leaf = ours.leaf(|_| {});
    let server = tls_server::outdated(&ours.chain(&leaf), &leaf.key_pem());
    assert_refused(&server, &ours.root.pem(), LOSANT_ERR_TLS_VERSION);
}

#[test]
fn an_address_is_checked_like_a_name() {
    let ours = Authority::new();
    let leaf = ours.leaf(|params| params.subject_alt_names.retain(|name| format!("{name:?}").contains("localhost")));
    let server = tls_server::start(&ours.chain(&leaf), &leaf.key_pem());
    let error = failure(&device("127.0.0.1", server.port(), &ours.root.pem()));
    assert_eq!(error.status, LOSANT_ERR_CERTIFICATE_WRONG_HOST, "{error}");
}

/// Connects, closes, and expects no error.
fn connects(device: &Device) {
    let id = device.add_observer(LOSANT_EVENT_CONNECT, |device, _| device.close().unwrap());
    device.connect_blocking().unwrap();
    device.remove_observer(id).unwrap();
}

#[test]
fn a_ca_file_is_read_at_each_connection() {
    let mut broker = Broker::with(&[Listener::Tls], "");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("rotated.pem");
    let device = device("localhost", broker.port(), &Authority::new().root.pem());
    device.set_ca_pem(None, false).unwrap();
    device.set_ca_file(Some(&file), true).unwrap();

    let error = failure(&device);
    assert_eq!(error.status, LOSANT_ERR_CERTIFICATE_FILE, "{error}");
    assert!(error.text.contains("rotated.pem"), "{error}");

    fs::copy(broker.ca_file(), &file).unwrap();
    connects(&device);
    // The broker gets a certificate from another root, and the device the root, without a restart of its own.
    broker.make_certificates(&Authority::new());
    broker.restart();
    assert_eq!(failure(&device).status, LOSANT_ERR_CERTIFICATE_UNKNOWN);
    fs::copy(broker.ca_file(), &file).unwrap();
    connects(&device);

    fs::write(&file, "no certificate").unwrap();
    assert_eq!(failure(&device).status, LOSANT_ERR_CERTIFICATE_FILE);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_demanded() {
    let ours = Authority::new();
    let broker = Broker::with(&[Listener::Tcp, Listener::MutualTls], "");
    broker.make_certificates(&ours);
    let mut broker = broker;
    broker.restart();
    let port = broker.port_of(Listener::MutualTls);
    let root = ours.root.pem();

    let error = failure(&device("localhost", port, &root));
    assert_eq!(error.status, LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED, "{error}");

    let theirs = Authority::new();
    let stranger = theirs.leaf(|_| {});
    let refused = device("localhost", port, &root);
    refused.set_client_certificate_pem(&theirs.chain(&stranger), &stranger.key_pem()).unwrap();
    let error = failure(&refused);
    assert_eq!(error.status, LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED, "{error}");

    let known = ours.leaf(|_| {});
    let accepted = device("localhost", port, &root);
    accepted.set_client_certificate_pem(&ours.chain(&known), &known.key_pem()).unwrap();
    connects(&accepted);

    let dir = TempDir::new().unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    fs::write(&chain, ours.chain(&known)).unwrap();
    fs::write(&key, known.key_pem()).unwrap();
    let from_files = device("localhost", port, &root);
    from_files.set_client_certificate_files(&chain, &key).unwrap();
    connects(&from_files);
    fs::write(&key, "no key").unwrap();
    assert_eq!(failure(&from_files).status, LOSANT_ERR_CERTIFICATE_FILE);
}

#[test]
fn certificates_that_are_none_are_refused_at_once() {
    let device = device("localhost", 1, &Authority::new().root.pem());
    let wrong = |result: Result<(), Error>| assert_eq!(result.map_err(|e| e.status), Err(LOSANT_ERR_CERTIFICATE_FILE));
    let ours = Authority::new();
    let leaf = ours.leaf(|_| {});
    wrong(device.set_ca_pem(Some("no certificate"), false));
    wrong(device.set_ca_pem(Some(""), false));
    wrong(device.set_client_certificate_pem("", &leaf.key_pem()));
    wrong(
        device
            .set_client_certificate_pem(&leaf.pem(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    );
    wrong(device.set_client_certificate_pem(&leaf.pem(), "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"));
}
