//! A TLS server that holds what it is told to and says nothing more.

use super::FakeBroker;
use openssl::{
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod, SslVersion},
    x509::X509,
};
use std::{io::Read, sync::Arc};

/// Serves this PEM chain with this key.
pub fn start(chain: &str, key: &str) -> FakeBroker {
    with(chain, key, None)
}

/// One that speaks nothing newer than TLS 1.1.
pub fn outdated(chain: &str, key: &str) -> FakeBroker {
    with(chain, key, Some(SslVersion::TLS1_1))
}

fn with(chain: &str, key: &str, newest: Option<SslVersion>) -> FakeBroker {
    let mut builder = SslAcceptor::mozilla_intermediate(SslMethod::tls()).expect("a server can be made");
    let mut certificates = X509::stack_from_pem(chain.as_bytes()).expect("the chain is PEM").into_iter();
    builder.set_certificate(&certificates.next().expect("there is a leaf")).expect("it can be used");
    for certificate in certificates {
        builder.add_extra_chain_cert(certificate).expect("it can be used");
    }
    let key = PKey::private_key_from_pem(key.as_bytes()).expect("the key is PEM");
    builder.set_private_key(&key).expect("the key fits");
    if newest.is_some() {
        builder.clear_options(openssl::ssl::SslOptions::NO_TLSV1_1 | openssl::ssl::SslOptions::NO_TLSV1);
        builder.set_cipher_list("ALL:@SECLEVEL=0").expect("a list");
        builder.set_min_proto_version(Some(SslVersion::TLS1)).expect("a version");
        builder.set_max_proto_version(newest).expect("a version");
    }
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
