//! The device's own certificate: in which forms it is taken, and what a user is told when it is not.

use super::{device, failure};
use crate::support::{
    Manner, Proxy,
    certificates::{Authority, Pair},
    tls_server::TlsServer,
};
use losant::{Status, Status::*};
use openssl::ssl::SslVersion;

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

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
