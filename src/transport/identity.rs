//! The device's own certificate and its key.

use super::{fault, pem};
use crate::status::{Error, Status::*};
use native_tls::Identity;
use openssl::{
    pkey::{HasPublic, Id, PKey, PKeyRef, Private},
    ssl::{SslContextBuilder, SslMethod},
    x509::X509,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Where a device has its certificate from.
#[derive(Clone)]
pub(crate) enum IdentitySource {
    Text(ClientCertificate),
    /// Read again at each connection.
    Files {
        certificates: PathBuf,
        key: PathBuf,
    },
}

/// A certificate chain, leaf first, and the key that belongs to it, as native-tls takes them.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    chain: Vec<u8>,
    /// PKCS#8.
    key: Zeroizing<Vec<u8>>,
}

impl IdentitySource {
    pub(super) fn load(&self) -> Result<Identity, Error> {
        match self {
            IdentitySource::Text(certificate) => certificate.identity(),
            IdentitySource::Files { certificates, key } => {
                let chain = read_file("client certificate file", certificates)?;
                let parsed = ClientCertificate::parse(&chain, &read_file("client key file", key)?);
                let named = parsed.map_err(|e| {
                    Error::new(e.status, format!("{e} ({} and {})", certificates.display(), key.display()))
                });
                named?.identity()
            }
        }
    }
}

impl ClientCertificate {
    /// From PEM texts, which may hold more than that.
    pub fn parse(certificates: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = pem::certificates(certificates).map_err(|why| no_certificate(&why))?;
        let certificates = X509::stack_from_pem(&chain).map_err(|e| no_certificate(&e.to_string()))?;
        let leaf = certificates.first().ok_or_else(|| no_certificate("it is empty"))?;
        let text = pem::private_key(key).map_err(|why| no_key(&why))?;
        // Without this, OpenSSL would ask for the pass phrase of an encrypted key on the terminal.
        let key = PKey::private_key_from_pem_callback(&text, |_| Ok(0)).map_err(|e| no_key(&e.to_string()))?;
        belong_together(leaf, &key)?;
        usable(leaf, &key)?;
        let key = if text.starts_with(b"-----BEGIN PRIVATE KEY-----") {
            text
        } else {
            key.private_key_to_pem_pkcs8().map(Zeroizing::new).map_err(|e| no_key(&e.to_string()))?
        };
        Ok(ClientCertificate { chain, key })
    }

    fn identity(&self) -> Result<Identity, Error> {
        Identity::from_pkcs8(&self.chain, &self.key).map_err(|e| no_key(&e.to_string()))
    }
}

fn no_certificate(why: &str) -> Error {
    Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("client certificate is not PEM with a certificate: {why}"))
}

fn no_key(why: &str) -> Error {
    Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("client key is not PEM with an unencrypted private key: {why}"))
}

fn belong_together(leaf: &X509, key: &PKey<Private>) -> Result<(), Error> {
    let public = leaf.public_key().map_err(|e| no_certificate(&e.to_string()))?;
    if public.public_eq(key) {
        return Ok(());
    }
    let (of_certificate, of_key) = (kind(&public), kind(key));
    let why = if of_certificate == of_key {
        format!("the (first) certificate is for another {of_key} key")
    } else {
        format!("the (first) certificate is for a key of type {of_certificate}, but the key is of type {of_key}")
    };
    Err(Error::new(
        LOSANT_ERR_CERTIFICATE_FILE,
        format!("client key and client certificate do not belong together: {why}"),
    ))
}

fn kind<T: HasPublic>(key: &PKeyRef<T>) -> &'static str {
    match key.id() {
        Id::RSA => "RSA",
        Id::RSA_PSS => "RSA-PSS",
        Id::EC => "EC",
        Id::DSA => "DSA",
        Id::ED25519 => "Ed25519",
        Id::ED448 => "Ed448",
        _ => "unknown",
    }
}

/// OpenSSL has rules of its own for what it uses, such as the least length of a key, which may depend on the system. Asked
/// here, it says so in time.
fn usable(leaf: &X509, key: &PKey<Private>) -> Result<(), Error> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client()).map_err(|e| fault::setup(&e))?;
    let taken = context.set_certificate(leaf).and_then(|()| context.set_private_key(key));
    taken
        .map_err(|e| Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("client certificate and key cannot be used: {e}")))
}

/// `what` names it in the error.
pub(super) fn read_file(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    fs::read(path).map(Zeroizing::new).map_err(|e| {
        let status = if fault::is_refusal(&e) { LOSANT_ERR_SYSTEM } else { LOSANT_ERR_CERTIFICATE_FILE };
        Error::new(status, format!("{what} {} cannot be read: {e}", path.display()))
    })
}
