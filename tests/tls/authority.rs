//! Certificates for tests, made by rcgen: an authority, and whoever it vouches for.

use std::sync::OnceLock;

use rcgen::{date_time_ymd, BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::RootCertStore;

/// A certificate, the chain behind it, and the key; PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub chain: String,
    pub key: String,
}

/// Whoever vouches for others.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What is special about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    Now,
    Past,
    Future,
}

/// The authority that the sessions of tests trust.
pub fn trusted() -> &'static Authority {
    static TRUSTED: OnceLock<Authority> = OnceLock::new();
    TRUSTED.get_or_init(|| Authority::new("the authority"))
}

/// An identity of this machine, vouched for by [`trusted`].
pub fn local() -> &'static Identity {
    static LOCAL: OnceLock<Identity> = OnceLock::new();
    LOCAL.get_or_init(|| trusted().issue(&["localhost", "127.0.0.1"], Validity::Now))
}

fn params(names: &[&str], common: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    params
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// An authority that this one vouches for; its certificate belongs into every chain.
    pub fn intermediate(&self, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names or addresses.
    pub fn issue(&self, names: &[&str], validity: Validity) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names, "a peer");
        match validity {
            Validity::Now => {}
            Validity::Past => {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }
            Validity::Future => {
                params.not_before = date_time_ymd(3001, 1, 1);
                params.not_after = date_time_ymd(3002, 1, 1);
            }
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// What trusts this authority alone.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&self.pem).remove(0)).unwrap();
        roots
    }
}

/// A certificate that nobody vouches for.
pub fn self_signed(names: &[&str]) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names, "a loner").self_signed(&key).unwrap();
    Identity { chain: certificate.pem(), key: key.serialize_pem() }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

impl Identity {
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.chain)
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}
