//! The device's own certificate: in which forms it is taken, and what a user is told when it is not.

use super::{connects, device, failure};
use crate::support::{
    Broker, Listener, Manner, Proxy,
    certificates::{Authority, Pair},
    tls_server::TlsServer,
};
use losant::{Error, Stage::*, Status, Status::*, Transport};
use openssl::{
    asn1::Asn1Time,
    ec::{EcGroup, EcKey},
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::SslVersion,
    symm::Cipher,
    x509::X509,
};
use std::fs;
use tempfile::TempDir;

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

fn ec_key() -> EcKey<Private> {
    EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap()
}

fn pkcs8(key: PKey<Private>) -> String {
    text(key.private_key_to_pem_pkcs8().unwrap())
}

fn rsa_pem(bits: u32) -> String {
    pkcs8(PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap())
}

fn ec_pem() -> String {
    pkcs8(PKey::from_ec_key(ec_key()).unwrap())
}

fn text(pem: Vec<u8>) -> String {
    String::from_utf8(pem).unwrap()
}

fn assert_certificate_file(outcome: Result<(), Error>, words: &[&str]) {
    let error = outcome.expect_err("this must be refused");
    assert_eq!(error.status, LOSANT_ERR_CERTIFICATE_FILE, "{error}");
    for word in words {
        assert!(error.text.contains(word), "{error}");
    }
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused() {
    let ours = Authority::new();
    let root = ours.root.pem();
    let server_leaf = ours.leaf(|_| {});
    let servers = VERSIONS.map(|version| {
        let server = TlsServer::new(&ours.chain(&server_leaf), &server_leaf.key_pem()).only(version);
        server.demands_certificate(&root).start()
    });
    let (rsa, ec) = (rsa_pem(2048), ec_pem());
    let dir = TempDir::new().unwrap();
    let (chain_file, key_file) = (dir.path().join("own.pem"), dir.path().join("own-key.pem"));
    for (of_certificate, key, words) in [
        (&rsa, &ec, ["type RSA", "type EC"]),
        (&ec, &rsa, ["type EC", "type RSA"]),
        (&rsa, &rsa_pem(2048), ["another RSA key"; 2]),
        (&ec, &ec_pem(), ["another EC key"; 2]),
    ] {
        let chain = ours.chain(&ours.leaf_with_key(of_certificate));
        let words = [&["do not belong together"], &words[..]].concat();
        for server in &servers {
            let device = device("localhost", server.port(), &root);
            assert_certificate_file(device.set_client_certificate_pem(&chain, key), &words);
            fs::write(&chain_file, &chain).unwrap();
            fs::write(&key_file, key).unwrap();
            device.set_client_certificate_files(&chain_file, &key_file).unwrap();
            let words = [&["own.pem", "own-key.pem"], &words[..]].concat();
            assert_certificate_file(Err(failure(&device)), &words);
        }
    }
}

/// What OpenSSL would not use later is refused at once too.
#[test]
fn a_key_that_is_too_short_is_refused() {
    let key = PKey::from_rsa(Rsa::generate(512).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
    let certificate = text(certificate.build().to_pem().unwrap());
    let device = device("localhost", 1, &Authority::new().root.pem());
    assert_certificate_file(
        device.set_client_certificate_pem(&certificate, &pkcs8(key)),
        &["cannot be used", "too small"],
    );
}

/// What tools write: `openssl genrsa -traditional`, `openssl ecparam -genkey`, `openssl pkcs12`, `openssl x509 -text`, editors.
fn forms(ours: &Authority) -> Vec<(&'static str, String, String)> {
    let rsa = Rsa::generate(2048).unwrap();
    let ec = ec_key();
    let of_rsa = ours.chain(&ours.leaf_with_key(&pkcs8(PKey::from_rsa(rsa.clone()).unwrap())));
    let of_ec = ours.chain(&ours.leaf_with_key(&pkcs8(PKey::from_ec_key(ec.clone()).unwrap())));
    let pkcs1 = text(rsa.private_key_to_pem().unwrap());
    let sec1 = text(ec.private_key_to_pem().unwrap());
    let plain = pkcs8(PKey::from_ec_key(ec).unwrap());
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let bag = "Bag Attributes\n    localKeyID: 01 02 \nsubject=CN = m\u{fc}ller\nKey Attributes: <No Attributes>\n";
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let all = of_ec.clone() + &plain;
    let one_line = |text: &str| text.lines().collect::<String>();
    vec![
        ("PKCS#8", of_ec.clone(), plain.clone()),
        ("PKCS#8 of RSA", of_rsa.clone(), pkcs8(PKey::from_rsa(rsa).unwrap())),
        ("PKCS#1", of_rsa.clone(), pkcs1.clone()),
        ("SEC1", of_ec.clone(), sec1.clone()),
        ("SEC1 with parameters", of_ec.clone(), format!("{parameters}{sec1}")),
        ("text in front", format!("{bag}{of_ec}"), format!("{bag}{plain}")),
        ("text in front of PKCS#1", format!("{bag}{of_rsa}"), format!("{bag}{pkcs1}")),
        ("all in one", all.clone(), all.clone()),
        ("all in one, the key first", format!("{sec1}{of_ec}"), format!("{parameters}{sec1}{of_ec}")),
        ("CRLF", crlf(&of_ec), crlf(&plain)),
        ("CRLF of PKCS#1", crlf(&of_rsa), crlf(&pkcs1)),
        ("a byte order mark", format!("\u{feff}{of_ec}"), format!("\u{feff}{plain}")),
        ("TRUSTED CERTIFICATE", of_ec.replace(" CERTIFICATE", " TRUSTED CERTIFICATE"), plain.clone()),
        ("one line", one_line(&of_ec), one_line(&plain)),
        ("several keys", of_ec, format!("{sec1}{pkcs1}")),
    ]
}

#[test]
fn keys_and_certificates_are_taken_as_tools_write_them() {
    let ours = Authority::new();
    let mut broker = Broker::with(&[Listener::Tcp, Listener::MutualTls], "");
    broker.make_certificates(&ours);
    broker.restart();
    let dir = TempDir::new().unwrap();
    let (chain_file, key_file) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    for (form, chain, key) in forms(&ours) {
        let device = device("localhost", broker.port_of(Listener::MutualTls), &ours.root.pem());
        device.set_client_certificate_pem(&chain, &key).unwrap_or_else(|e| panic!("{form}: {e}"));
        connects(&device);
        fs::write(&chain_file, chain).unwrap();
        fs::write(&key_file, key).unwrap();
        device.set_client_certificate_files(&chain_file, &key_file).unwrap();
        connects(&device);
    }
}

#[test]
fn encrypted_keys_are_refused_at_once() {
    let leaf = Authority::new().leaf(|_| {});
    let (rsa, ec) = (Rsa::generate(2048).unwrap(), ec_key());
    let cipher = Cipher::aes_128_cbc();
    let traditional = text(rsa.private_key_to_pem_passphrase(cipher, b"secret").unwrap());
    let device = device("localhost", 1, &Authority::new().root.pem());
    for key in [
        text(PKey::from_rsa(rsa).unwrap().private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap()),
        text(ec.private_key_to_pem_passphrase(cipher, b"secret").unwrap()),
        traditional.replace('\n', "\r\n"),
        // OpenSSL would ask for a pass phrase by the header alone.
        traditional.replace("RSA PRIVATE", "PRIVATE"),
        leaf.pem() + &traditional,
        traditional,
    ] {
        assert_certificate_file(device.set_client_certificate_pem(&leaf.pem(), &key), &["encrypted", "pass phrase"]);
    }
    let header = "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n";
    let encrypted = leaf.pem().replace("-----BEGIN CERTIFICATE-----\n", header);
    assert_certificate_file(device.set_client_certificate_pem(&encrypted, &leaf.key_pem()), &["encrypted"]);
    assert_certificate_file(device.set_ca_pem(Some(&encrypted), false), &["encrypted"]);
}

#[test]
fn what_is_found_in_the_place_of_pem_is_told() {
    let ours = Authority::new();
    let leaf = ours.leaf(|_| {});
    let device = device("localhost", 1, &ours.root.pem());
    let (chain, key) = (leaf.pem(), leaf.key_pem());
    let public = text(PKey::private_key_from_pem(key.as_bytes()).unwrap().public_key_to_pem().unwrap());
    for (certificates, key, words) in [
        (&*key, &*key, ["client certificate", "it holds no certificate, but PRIVATE KEY"]),
        (&*chain, &*chain, ["client key", "it holds no private key, but CERTIFICATE"]),
        (&*chain, &*public, ["client key", "PUBLIC KEY"]),
        (
            &*chain,
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
            ["client key", "OpenSSH"],
        ),
        (&*chain, &key[..key.len() / 2], ["client key", "no end"]),
        (&chain[..chain.len() / 2], &*key, ["client certificate", "no end"]),
    ] {
        assert_certificate_file(device.set_client_certificate_pem(certificates, key), &words);
    }
}

/// Of files: as a text, DER cannot come through this interface.
#[test]
fn files_that_are_der_or_utf_16_are_told() {
    let ours = Authority::new();
    let leaf = ours.leaf(|_| {});
    let root = ours.root.pem();
    let server = TlsServer::new(&ours.chain(&leaf), &leaf.key_pem()).start();
    let dir = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let key = PKey::private_key_from_pem(leaf.key_pem().as_bytes()).unwrap();
    let certificate = X509::from_pem(leaf.pem().as_bytes()).unwrap().to_der().unwrap();
    let utf_16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(leaf.pem().encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let (pem, key_pem) = (file("pem", leaf.pem().as_bytes()), file("key-pem", leaf.key_pem().as_bytes()));
    for (chain, key, word) in [
        (file("der", &certificate), key_pem.clone(), "DER"),
        (pem.clone(), file("pkcs8", &key.private_key_to_pkcs8().unwrap()), "DER"),
        (pem.clone(), file("sec1", &key.private_key_to_der().unwrap()), "DER"),
        (file("utf-16", &utf_16), key_pem, "UTF-16"),
    ] {
        let device = device("localhost", server.port(), &root);
        device.set_client_certificate_files(&chain, &key).unwrap();
        assert_certificate_file(Err(failure(&device)), &[word]);
    }
    let device = device("localhost", server.port(), &root);
    device.set_ca_pem(None, false).unwrap();
    device.set_ca_file(Some(&file("ca.der", &certificate)), true).unwrap();
    assert_certificate_file(Err(failure(&device)), &["ca.der", "DER"]);
}

fn assert_fails(port: u16, root: &str, own: Option<(&Authority, &Pair)>, status: Status, what: &str) {
    // However the bytes come.
    for port in [port, Proxy::with(port, Manner::OneByOne).port()] {
        let device = device("localhost", port, root);
        if let Some((authority, pair)) = own {
            device.set_client_certificate_pem(&authority.chain(pair), &pair.key_pem()).unwrap();
        }
        let error = failure(&device);
        assert_eq!(error.status, status, "{what}: {error}");
    }
}

#[test]
fn a_missing_certificate_is_told_from_one_that_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let root = ours.root.pem();
    let (leaf, stranger) = (ours.leaf(|_| {}), theirs.leaf(|_| {}));
    let server = |version| TlsServer::new(&ours.chain(&leaf), &leaf.key_pem()).only(version).demands_certificate(&root);
    let stranger = Some((&theirs, &stranger));
    for version in VERSIONS {
        let port = server(version).start().port();
        assert_fails(port, &root, None, LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED, &format!("{version:?}"));
        assert_fails(port, &root, stranger, LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED, &format!("{version:?}"));
    }
    // As other servers say it.
    for alert in [40, 42, 46, 48, 116] {
        let port = server(SslVersion::TLS1_2).says(alert).start().port();
        assert_fails(port, &root, None, LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED, &format!("alert {alert}"));
        assert_fails(port, &root, stranger, LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED, &format!("alert {alert}"));
    }
}

#[test]
fn a_server_that_hangs_up_after_asking_for_a_certificate_is_told() {
    let ours = Authority::new();
    let root = ours.root.pem();
    let leaf = ours.leaf(|_| {});
    let server = TlsServer::new(&ours.chain(&leaf), &leaf.key_pem()).only(SslVersion::TLS1_2);
    let port = server.demands_certificate(&root).says_nothing().start().port();
    let error = failure(&device("localhost", port, &root));
    assert_eq!(error.status, LOSANT_ERR_CONNECTION_LOST, "{error}");
    assert!(error.text.contains("asked for a client certificate, and none is set"), "{error}");
}

/// With TLS 1.3 the refusal comes after the client's handshake, into whatever the client does then.
#[test]
fn a_missing_certificate_is_told_in_the_websocket_handshake_too() {
    let ours = Authority::new();
    let leaf = ours.leaf(|_| {});
    let server = TlsServer::new(&ours.chain(&leaf), &leaf.key_pem()).demands_certificate(&ours.root.pem());
    let device = device("localhost", server.start().port(), &ours.root.pem());
    device.set_transport(Transport::LOSANT_TRANSPORT_WEBSOCKETS).unwrap();
    let error = failure(&device);
    assert_eq!(
        (error.status, error.stage),
        (LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED, LOSANT_STAGE_WEBSOCKET),
        "{error}"
    );
}

/// The same alert as for a missing certificate, but nobody has asked for one.
#[test]
fn a_server_that_shares_no_cipher_asks_for_no_certificate() {
    let ours = Authority::new();
    let root = ours.root.pem();
    let leaf = ours.leaf(|_| {});
    let server =
        TlsServer::new(&ours.chain(&leaf), &leaf.key_pem()).only(SslVersion::TLS1_2).demands_certificate(&root);
    // Its certificate is not of RSA.
    let port = server.ciphers("ECDHE-RSA-AES128-GCM-SHA256").start().port();
    assert_fails(port, &root, None, LOSANT_ERR_TLS, "none set");
    assert_fails(port, &root, Some((&ours, &leaf)), LOSANT_ERR_TLS, "one set");
}
