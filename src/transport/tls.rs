//! TLS: whom to trust, who we are, and what an OpenSSL failure means.

use super::socket::Socket;
use crate::{
    process::PerProcess,
    status::{
        Error,
        Status::{self, *},
    },
    sync::{Mutex, Rank, Ranked},
};
use native_tls::{Certificate, Identity, Protocol, TlsConnector};
use std::{fs, path::PathBuf};
use zeroize::Zeroizing;

pub(super) type Encrypted = native_tls::TlsStream<Socket>;

const BUNDLED: &[u8] = include_bytes!("roots.pem");

/// Which roots the broker's certificate may come from, and the device's own certificate.
#[derive(Clone)]
pub(crate) struct Trust {
    pub bundled: bool,
    pub system: bool,
    pub ca_pem: Option<String>,
    /// Read again at each connection.
    pub ca_file: Option<PathBuf>,
    pub identity: Option<IdentitySource>,
}

impl Default for Trust {
    fn default() -> Self {
        Trust { bundled: true, system: false, ca_pem: None, ca_file: None, identity: None }
    }
}

/// A client certificate chain with its key, PEM.
#[derive(Clone)]
pub(crate) enum IdentitySource {
    Text {
        certificates: String,
        key: Zeroizing<String>,
    },
    /// Read again at each connection.
    Files {
        certificates: PathBuf,
        key: PathBuf,
    },
}

/// What a connector was made from. The system's store is read anew only when one of these changes.
#[derive(Clone, PartialEq)]
struct Roots {
    system: bool,
    pem: Vec<Vec<u8>>,
}

impl Ranked for Option<(Roots, TlsConnector)> {
    const RANK: Rank = Rank::Last;
}

/// The last connector, which connections with the same roots share: it holds the parsed certificates. One with a client
/// certificate is not kept, for it holds a private key.
static LAST: PerProcess<Mutex<Option<(Roots, TlsConnector)>>> = PerProcess::new(Mutex::new(None));

/// A connector for one connection.
pub(super) fn connector(trust: &Trust) -> Result<TlsConnector, Error> {
    let mut pem = Vec::new();
    if trust.bundled {
        pem.push(BUNDLED.to_vec());
    }
    if let Some(text) = &trust.ca_pem {
        pem.push(text.as_bytes().to_vec());
    }
    if let Some(path) = &trust.ca_file {
        pem.push(read_file("CA file", path)?.to_vec());
    }
    let roots = Roots { system: trust.system, pem };
    let identity = trust.identity.as_ref().map(load_identity).transpose()?;
    let shareable = identity.is_none();
    if shareable {
        if let Some((_, connector)) = LAST.get().lock().as_ref().filter(|(made_from, _)| *made_from == roots) {
            return Ok(connector.clone());
        }
    }
    let connector = build(&roots, identity)?;
    if shareable {
        *LAST.get().lock() = Some((roots, connector.clone()));
    }
    Ok(connector)
}

fn build(roots: &Roots, identity: Option<Identity>) -> Result<TlsConnector, Error> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12)).disable_built_in_roots(!roots.system);
    for pem in &roots.pem {
        for certificate in parse_certificates("CA", pem)? {
            builder.add_root_certificate(certificate);
        }
    }
    if let Some(identity) = identity {
        builder.identity(identity);
    }
    builder.build().map_err(|e| Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("TLS cannot be set up: {e}")))
}

/// Certificates of a PEM text; `what` names it in the error.
pub(crate) fn parse_certificates(what: &str, pem: &[u8]) -> Result<Vec<Certificate>, Error> {
    let wrong =
        |why: String| Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("{what} is not PEM with certificates: {why}"));
    let certificates = Certificate::stack_from_pem(pem).map_err(|e| wrong(e.to_string()))?;
    if certificates.is_empty() { Err(wrong("it has none".to_owned())) } else { Ok(certificates) }
}

/// A client identity from PEM texts.
pub(crate) fn parse_identity(certificates: &[u8], key: &[u8]) -> Result<Identity, Error> {
    parse_certificates("client certificate", certificates)?;
    Identity::from_pkcs8(certificates, key).map_err(|e| {
        let detail = format!("client key is not an unencrypted PKCS#8 key in PEM (BEGIN PRIVATE KEY): {e}");
        Error::new(LOSANT_ERR_CERTIFICATE_FILE, detail)
    })
}

fn load_identity(source: &IdentitySource) -> Result<Identity, Error> {
    match source {
        IdentitySource::Text { certificates, key } => parse_identity(certificates.as_bytes(), key.as_bytes()),
        IdentitySource::Files { certificates, key } => {
            parse_identity(&read_file("client certificate file", certificates)?, &read_file("client key file", key)?)
        }
    }
}

fn read_file(what: &str, path: &PathBuf) -> Result<Zeroizing<Vec<u8>>, Error> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|e| Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("{what} {} cannot be read: {e}", path.display())))
}

/// The cause of a failure, from the words of OpenSSL: native-tls hands out no codes. The words are those of
/// X509_verify_cert_error_string(3) and of the alerts of RFC 8446, and have been the same from OpenSSL 1.1 to 3 but for a
/// hyphen.
pub(super) fn cause(words: &str) -> Option<Status> {
    const CAUSES: &[(&str, Status)] = &[
        ("certificate has expired", LOSANT_ERR_CERTIFICATE_EXPIRED),
        ("certificate is not yet valid", LOSANT_ERR_CERTIFICATE_NOT_YET_VALID),
        ("ostname mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
        ("IP address mismatch", LOSANT_ERR_CERTIFICATE_WRONG_HOST),
        ("self-signed certificate in", LOSANT_ERR_CERTIFICATE_UNKNOWN),
        ("self signed certificate in", LOSANT_ERR_CERTIFICATE_UNKNOWN),
        ("self-signed certificate", LOSANT_ERR_CERTIFICATE_SELF_SIGNED),
        ("self signed certificate", LOSANT_ERR_CERTIFICATE_SELF_SIGNED),
        ("certificate verify failed", LOSANT_ERR_CERTIFICATE_UNKNOWN),
        ("alert certificate required", LOSANT_ERR_CLIENT_CERTIFICATE_REQUIRED),
        ("alert handshake failure", LOSANT_ERR_TLS),
        ("alert protocol version", LOSANT_ERR_TLS_VERSION),
        ("unsupported protocol", LOSANT_ERR_TLS_VERSION),
        ("wrong version number", LOSANT_ERR_TLS),
        ("alert bad certificate", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert unsupported certificate", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert certificate revoked", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert certificate expired", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert certificate unknown", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert unknown ca", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert access denied", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
        ("alert decrypt error", LOSANT_ERR_CLIENT_CERTIFICATE_REFUSED),
    ];
    CAUSES.iter().find(|(fragment, _)| words.contains(fragment)).map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::{nid::Nid, x509::X509};

    #[test]
    fn the_bundled_roots_are_those_that_browsers_still_trust() {
        let roots = X509::stack_from_pem(BUNDLED).unwrap();
        let name = |root: &X509| {
            let name = root.subject_name().entries_by_nid(Nid::COMMONNAME).next().unwrap();
            String::from_utf8(name.data().as_slice().to_vec()).unwrap()
        };
        let names: Vec<_> = roots.iter().map(name).collect();
        assert_eq!(
            names,
            [
                "DigiCert Global Root G2",
                "DigiCert TLS RSA4096 Root G5",
                "DigiCert TLS ECC P384 Root G5",
                "DigiCert Global Root G3"
            ]
        );
    }
}
