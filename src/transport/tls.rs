//! TLS: whom to trust, and the handshake.

use super::{
    fault,
    identity::{IdentitySource, read_file},
    pem,
    socket::Socket,
    watched::{ClientSide, Watched},
};
use crate::{
    process::PerProcess,
    status::{Error, Status::*},
    sync::{Mutex, Rank, Ranked},
};
use native_tls::{Certificate, HandshakeError, Identity, MidHandshakeTlsStream, Protocol, TlsConnector, TlsStream};
use std::{
    io::{self, Read, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

const BUNDLED: &[u8] = include_bytes!("roots.pem");

/// Which roots the broker's certificate may come from, and the device's own certificate.
#[derive(Clone)]
pub(crate) struct Trust {
    pub bundled: bool,
    pub system: bool,
    /// As [`parse_roots`] returns it.
    pub ca_pem: Option<Vec<u8>>,
    /// Read again at each connection.
    pub ca_file: Option<PathBuf>,
    pub identity: Option<IdentitySource>,
}

impl Default for Trust {
    fn default() -> Self {
        Trust { bundled: true, system: false, ca_pem: None, ca_file: None, identity: None }
    }
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
fn connector(trust: &Trust) -> Result<TlsConnector, Error> {
    let mut pem = Vec::new();
    if trust.bundled {
        pem.push(BUNDLED.to_vec());
    }
    pem.extend(trust.ca_pem.clone());
    if let Some(path) = &trust.ca_file {
        pem.push(parse_roots(&format!("CA file {}", path.display()), &read_file("CA file", path)?)?);
    }
    let roots = Roots { system: trust.system, pem };
    let identity = trust.identity.as_ref().map(IdentitySource::load).transpose()?;
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
        for certificate in Certificate::stack_from_pem(pem).map_err(|e| no_certificates("CA", &e.to_string()))? {
            builder.add_root_certificate(certificate);
        }
    }
    if let Some(identity) = identity {
        builder.identity(identity);
    }
    // Certificates and key have been looked at before, so this is about neither.
    builder.build().map_err(|e| fault::setup(&e))
}

/// The certificates of a PEM text that may be trusted, as plain PEM and nothing else: a key in the same file is not kept.
/// `what` names it in the error.
pub(crate) fn parse_roots(what: &str, text: &[u8]) -> Result<Vec<u8>, Error> {
    let pem = pem::roots(text).map_err(|why| no_certificates(what, &why))?;
    Certificate::stack_from_pem(&pem).map_err(|e| no_certificates(what, &e.to_string()))?;
    Ok(pem)
}

fn no_certificates(what: &str, why: &str) -> Error {
    Error::new(LOSANT_ERR_CERTIFICATE_FILE, format!("{what} is not PEM with certificates: {why}"))
}

/// A handshake on its way.
pub(super) struct Handshake {
    stream: MidHandshakeTlsStream<Watched>,
    client: Client,
}

pub(super) enum Secured {
    Yes(Encrypted),
    NotYet(Box<Handshake>),
}

/// What is known of the client certificate while the handshake goes on.
struct Client {
    has_certificate: bool,
    asked: Arc<AtomicBool>,
}

/// Begins a handshake with this host.
pub(super) fn secure(trust: &Trust, host: &str, socket: Socket) -> Result<Secured, Error> {
    let connector = connector(trust)?;
    let socket = Watched::new(socket, trust.identity.is_some());
    let client = Client { has_certificate: socket.has_certificate(), asked: socket.asked() };
    client.after(connector.connect(host, socket))
}

impl Handshake {
    /// Goes as far as it can without waiting.
    pub fn advance(self) -> Result<Secured, Error> {
        self.client.after(self.stream.handshake())
    }
}

impl Client {
    fn after(self, outcome: Result<TlsStream<Watched>, HandshakeError<Watched>>) -> Result<Secured, Error> {
        match outcome {
            Ok(stream) => Ok(Secured::Yes(Encrypted(stream))),
            Err(HandshakeError::WouldBlock(stream)) => {
                Ok(Secured::NotYet(Box::new(Handshake { stream, client: self })))
            }
            Err(HandshakeError::Failure(e)) => {
                let side = ClientSide { has_certificate: self.has_certificate, asked: self.asked.load(Relaxed) };
                Err(fault::handshake(&e, side))
            }
        }
    }
}

/// An established connection.
pub(crate) struct Encrypted(TlsStream<Watched>);

impl Encrypted {
    pub fn socket(&self) -> &Socket {
        self.0.get_ref().socket()
    }

    pub fn socket_mut(&mut self) -> &mut Socket {
        self.0.get_mut().socket_mut()
    }

    /// Sends close_notify.
    pub fn close(&mut self) {
        let _ = self.0.shutdown();
    }

    fn explain(&self, e: io::Error) -> io::Error {
        // A TLS 1.3 client hears only after the handshake what the broker thinks of its certificate, so that
        // "handshake failure" can be about nothing else then.
        fault::established(e, ClientSide { has_certificate: self.0.get_ref().has_certificate(), asked: true })
    }
}

impl Read for Encrypted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|e| self.explain(e))
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|e| self.explain(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|e| self.explain(e))
    }
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
