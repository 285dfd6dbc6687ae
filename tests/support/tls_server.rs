//! A TLS server that holds what it is told to and says nothing more.

use super::FakeBroker;
use openssl::{
    pkey::PKey,
    ssl::{NameType, SslAcceptor, SslAcceptorBuilder, SslMethod, SslVersion},
    x509::X509,
};
use std::{
    io::Read,
    sync::{Arc, Mutex, mpsc::Sender},
};

/// Serves this PEM chain with this key.
pub fn start(chain: &str, key: &str) -> FakeBroker {
    holding(builder(chain, key))
}

/// One that speaks nothing newer than TLS 1.1.
pub fn outdated(chain: &str, key: &str) -> FakeBroker {
    let mut builder = builder(chain, key);
    builder.clear_options(openssl::ssl::SslOptions::NO_TLSV1_1 | openssl::ssl::SslOptions::NO_TLSV1);
    builder.set_cipher_list("ALL:@SECLEVEL=0").expect("a list");
    builder.set_min_proto_version(Some(SslVersion::TLS1)).expect("a version");
    builder.set_max_proto_version(Some(SslVersion::TLS1_1)).expect("a version");
    holding(builder)
}

/// Tells the name that SNI asks for, and ends each connection after the handshake.
pub fn telling_names(chain: &str, key: &str, names: Sender<Option<String>>) -> FakeBroker {
    let mut builder = builder(chain, key);
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

fn builder(chain: &str, key: &str) -> SslAcceptorBuilder {
    let mut builder = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("a server can be made");
    let mut certificates = X509::stack_from_pem(chain.as_bytes()).expect("the chain is PEM").into_iter();
    builder.set_certificate(&certificates.next().expect("there is a leaf")).expect("it can be used");
    for certificate in certificates {
        builder.add_extra_chain_cert(certificate).expect("it can be used");
    }
    let key = PKey::private_key_from_pem(key.as_bytes()).expect("the key is PEM");
    builder.set_private_key(&key).expect("the key fits");
    builder
}

fn holding(builder: SslAcceptorBuilder) -> FakeBroker {
    let acceptor = Arc::new(builder.build());
    FakeBroker::serving(move |stream| {
        if let Ok(mut stream) = acceptor.accept(stream) {
            // Keeps it open until the other side has enough.
            let mut chunk = [0; 64];
            while stream.read(&mut chunk)? > 0 {}
        }
        Ok(())
    })
}
