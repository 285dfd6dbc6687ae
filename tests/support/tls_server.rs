//! A TLS server that holds what it is told to and says nothing more.

use super::FakeBroker;
use openssl::{
    pkey::PKey,
    ssl::{
        HandshakeError, NameType, SslAcceptor, SslAcceptorBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion,
    },
    x509::X509,
};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, mpsc::Sender},
};

/// Serves this PEM chain with this key.
pub fn start(chain: &str, key: &str) -> FakeBroker {
    TlsServer::new(chain, key).start()
}

/// One that speaks nothing newer than TLS 1.1.
pub fn outdated(chain: &str, key: &str) -> FakeBroker {
    let mut server = TlsServer::new(chain, key);
    server.builder.clear_options(SslOptions::NO_TLSV1_1 | SslOptions::NO_TLSV1);
    server.builder.set_cipher_list("ALL:@SECLEVEL=0").expect("a list");
    server.builder.set_min_proto_version(Some(SslVersion::TLS1)).expect("a version");
    server.builder.set_max_proto_version(Some(SslVersion::TLS1_1)).expect("a version");
    server.start()
}

/// Tells the name that SNI asks for, and ends each connection after the handshake.
pub fn telling_names(chain: &str, key: &str, names: Sender<Option<String>>) -> FakeBroker {
    let mut builder = TlsServer::new(chain, key).builder;
    let names = Mutex::new(names);
    builder.set_servername_callback(move |ssl, _| {
        let _ = names.lock().unwrap().send(ssl.servername(NameType::HOST_NAME).map(str::to_owned));
        Ok(())
    });
    let acceptor = Arc::new(builder.build());
    FakeBroker::serving(move |stream| {
        let mut stream = acceptor.accept(stream).map_err(std::io::Error::other)?;
        stream.shutdown().map_err(std::io::Error::other)?;
        // What the other side has sent is read: a reset could overtake the end.
        stream.get_mut().read_to_end(&mut Vec::new()).map(drop)
    })
}

/// One that is still being told what to do.
pub struct TlsServer {
    builder: SslAcceptorBuilder,
    refusal: Refusal,
}

/// How it refuses a client.
#[derive(Clone, Copy)]
enum Refusal {
    /// By OpenSSL's alert.
    Usual,
    /// By this alert.
    Alert(u8),
    /// By closing the connection.
    Silent,
}

impl TlsServer {
    pub fn new(chain: &str, key: &str) -> TlsServer {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("a server can be made");
        let mut certificates = X509::stack_from_pem(chain.as_bytes()).expect("the chain is PEM").into_iter();
        builder.set_certificate(&certificates.next().expect("there is a leaf")).expect("it can be used");
        for certificate in certificates {
            builder.add_extra_chain_cert(certificate).expect("it can be used");
        }
        let key = PKey::private_key_from_pem(key.as_bytes()).expect("the key is PEM");
        builder.set_private_key(&key).expect("the key fits");
        TlsServer { builder, refusal: Refusal::Usual }
    }

    /// Speaks this version alone.
    pub fn only(mut self, version: SslVersion) -> Self {
        self.builder.set_min_proto_version(Some(version)).expect("a version");
        self.builder.set_max_proto_version(Some(version)).expect("a version");
        self
    }

    /// Speaks these ciphers of TLS 1.2 alone.
    pub fn ciphers(mut self, list: &str) -> Self {
        self.builder.set_cipher_list(list).expect("a list");
        self
    }

    /// Demands a client certificate from this root.
    pub fn demands_certificate(mut self, root: &str) -> Self {
        self.builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        let root = X509::from_pem(root.as_bytes()).expect("the root is PEM");
        self.builder.cert_store_mut().add_cert(root).expect("it can be used");
        self
    }

    /// Refuses by this alert in place of OpenSSL's. With TLS 1.2 only: the alerts of TLS 1.3 are encrypted.
    pub fn says(mut self, alert: u8) -> Self {
        self.refusal = Refusal::Alert(alert);
        self
    }

    /// Closes the connection where it would refuse by an alert. With TLS 1.2 only.
    pub fn says_nothing(mut self) -> Self {
        self.refusal = Refusal::Silent;
        self
    }

    pub fn start(self) -> FakeBroker {
        let (acceptor, refusal) = (self.builder.build(), self.refusal);
        FakeBroker::serving(move |stream| {
            // Keeps it open until the other side has enough: a reset could overtake an alert.
            match acceptor.accept(Spoken { stream, refusal }) {
                Ok(mut stream) => discard(&mut stream),
                Err(HandshakeError::Failure(mut failed)) => discard(failed.get_mut()),
                Err(_) => Ok(()),
            }
        })
    }
}

fn discard(stream: &mut impl Read) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(drop)
}

/// A connection on which another alert is put in the place of OpenSSL's.
struct Spoken {
    stream: TcpStream,
    refusal: Refusal,
}

impl Read for Spoken {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream.read(out)
    }
}

impl Write for Spoken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.refusal, bytes) {
            (Refusal::Alert(alert), [21, 3, minor, 0, 2, 2, _]) => self.stream.write(&[21, 3, *minor, 0, 2, 2, alert]),
            (Refusal::Silent, [21, 3, _, 0, 2, 2, _]) => {
                self.stream.shutdown(Shutdown::Write)?;
                Ok(bytes.len())
            }
            _ => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
