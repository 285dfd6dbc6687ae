//! Certificates of the test's own: a root, an intermediate, and leaves right and wrong.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use std::sync::OnceLock;

/// A certificate with its key.
pub struct Pair {
    certificate: Certificate,
    key: KeyPair,
}

impl Pair {
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// PKCS#8.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// A certification authority with one intermediate.
pub struct Authority {
    pub root: Pair,
    pub intermediate: Pair,
}

impl Authority {
    pub fn new() -> Authority {
        let root = authority("Test Root", None);
        let intermediate = authority("Test Intermediate", Some(&root));
        Authority { root, intermediate }
    }

    /// The one that brokers use unless told otherwise.
    pub fn shared() -> &'static Authority {
        static SHARED: OnceLock<Authority> = OnceLock::new();
        SHARED.get_or_init(Authority::new)
    }

    /// A leaf for `localhost` and 127.0.0.1, as the closure changes it.
    pub fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let params = leaf_params(change);
        let certificate = params.signed_by(&key, &self.intermediate.certificate, &self.intermediate.key);
        Pair { certificate: certificate.expect("a certificate can be signed"), key }
    }

    /// The same with a key that is given, PKCS#8.
    pub fn leaf_with_key(&self, key: &str) -> Pair {
        let key = KeyPair::from_pem(key).expect("the key is PKCS#8");
        let certificate = leaf_params(|_| {}).signed_by(&key, &self.intermediate.certificate, &self.intermediate.key);
        Pair { certificate: certificate.expect("a certificate can be signed"), key }
    }

    /// A leaf and the intermediate behind it, as servers send them.
    pub fn chain(&self, leaf: &Pair) -> String {
        leaf.pem() + &self.intermediate.pem()
    }
}

/// A leaf that is its own authority.
pub fn self_signed() -> Pair {
    let key = KeyPair::generate().expect("a key can be made");
    Pair { certificate: leaf_params(|_| {}).self_signed(&key).expect("a certificate can be signed"), key }
}

pub fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
}

pub fn not_yet_valid(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(3001, 1, 1), date_time_ymd(3002, 1, 1));
}

pub fn for_another_host(params: &mut CertificateParams) {
    params.subject_alt_names = vec![SanType::DnsName("elsewhere.example".try_into().expect("a name"))];
}

fn leaf_params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let mut params = CertificateParams::new(names).expect("these are names");
    params.distinguished_name = name("localhost");
    change(&mut params);
    params
}

fn authority(common_name: &str, issuer: Option<&Pair>) -> Pair {
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no names are names");
    params.distinguished_name = name(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, &issuer.certificate, &issuer.key),
        None => params.self_signed(&key),
    };
    Pair { certificate: certificate.expect("a certificate can be signed"), key }
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
