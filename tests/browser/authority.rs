//! A certificate authority of the test's own, its certificates, and the database by which a browser trusts it.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer};
use rcgen::{KeyPair, KeyUsagePurpose};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, both PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    pub fn certify(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    /// Has Chromium, which reads the NSS database of the home that it is given, trust this authority.
    pub fn is_trusted_in(&self, home: &Path) {
        let database = home.join(".pki/nssdb");
        std::fs::create_dir_all(&database).unwrap();
        let pem = home.join("authority.pem");
        std::fs::write(&pem, &self.pem).unwrap();
        certutil(&database, &["-N", "--empty-password"]);
        let add = ["-A", "-n", "tests of libwsproxy", "-t", "C,,", "-i", pem.to_str().unwrap()];
        certutil(&database, &add);
    }
}

fn certutil(database: &Path, args: &[&str]) {
    let directory = format!("sql:{}", database.display());
    let output = Command::new("certutil")
        .args(["-d", &directory])
        .args(args)
        .output()
        .expect("this test needs certutil (Debian: libnss3-tools)");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "certutil {args:?}: {}\n{words}", output.status);
}
