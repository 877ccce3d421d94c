//! Certificates and private keys in PEM (RFC 7468), as people keep them in files.
//!
//! Rules: any kind of unencrypted PEM key is taken (PKCS#8, PKCS#1, SEC1), since tools write all three; a key is
//! checked against its certificate at once. Words of an error name what was wrong and never repeat a key.

use native_tls::Certificate;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::error::{Error, Result};

/// A certificate, the chain behind it, and its private key.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) certificate: X509,
    pub(super) chain: Vec<X509>,
    pub(super) key: PKey<Private>,
}

impl Identity {
    /// Out of PEM; `what` it is of.
    pub(super) fn new(what: &str, chain: &[u8], key: &[u8]) -> Result<Identity> {
        let key = private_key(what, key)?;
        let mut certificates = X509::stack_from_pem(chain)
            .map_err(|_| Error::argument(format!("the {what}'s certificate is not PEM")))?
            .into_iter();
        let Some(certificate) = certificates.next() else {
            let words = format!("the {what}'s certificate file has no certificate");
            return Err(Error::argument(words));
        };
        if !certificate.public_key().is_ok_and(|public| public.public_eq(&key)) {
            let words = format!("the {what}'s key is not that of its certificate");
            return Err(Error::argument(words));
        }
        Ok(Identity { certificate, chain: certificates.collect(), key })
    }
}

/// The same for native-tls.
pub(super) fn identity(what: &str, chain: &[u8], key: &[u8]) -> Result<native_tls::Identity> {
    let Identity { key, .. } = Identity::new(what, chain, key)?;
    key.private_key_to_pem_pkcs8()
        .map_err(|error| error.to_string())
        .and_then(|key| native_tls::Identity::from_pkcs8(chain, &key).map_err(|e| e.to_string()))
        .map_err(|why| Error::argument(format!("the {what}'s certificate or key: {why}")))
}

/// Every certificate of `pem`; at least one.
pub(super) fn trusted(pem: &[u8]) -> Result<Vec<X509>> {
    match X509::stack_from_pem(pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::argument("there is no certificate among the certificate authorities")),
        Err(_) => Err(Error::argument("the certificate authorities are not certificates in PEM")),
    }
}

/// The same for native-tls.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<Certificate>> {
    trusted(pem)?; // which says what is wrong
    Certificate::stack_from_pem(pem)
        .map_err(|error| Error::argument(format!("the certificate authorities: {error}")))
}

/// Without a callback for the passphrase OpenSSL would ask for it on the terminal.
fn private_key(what: &str, pem: &[u8]) -> Result<PKey<Private>> {
    let mut encrypted = false;
    let key = PKey::private_key_from_pem_callback(pem, |_| {
        encrypted = true;
        Ok(0)
    });
    key.map_err(|_| match encrypted {
        true => Error::argument(format!("the {what}'s key is encrypted; it must not be")),
        false => Error::argument(format!("the {what}'s key is no private key in PEM")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;
    use openssl::x509::{X509Name, X509};

    /// PEM of a certificate that `key` has signed itself.
    fn certificate(key: &PKey<Private>, name: &str) -> Vec<u8> {
        let mut subject = X509Name::builder().unwrap();
        subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
        let subject = subject.build();
        let mut builder = X509::builder().unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(&subject).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(9).unwrap()).unwrap();
        builder.set_pubkey(key).unwrap();
        let digest = match key.id() {
            openssl::pkey::Id::ED25519 => MessageDigest::null(),
            _ => MessageDigest::sha256(),
        };
        builder.sign(key, digest).unwrap();
        builder.build().to_pem().unwrap()
    }

    fn elliptic() -> EcKey<Private> {
        EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap()
    }

    fn key() -> PKey<Private> {
        PKey::from_ec_key(elliptic()).unwrap()
    }

    /// Why this is refused; the words may not hold the key.
    fn refused(chain: &[u8], key: &[u8]) -> String {
        let error = identity("proxy", chain, key).err().expect("a refusal");
        assert_eq!(error.kind(), crate::ErrorKind::Argument);
        let words = error.message().to_owned();
        for line in std::str::from_utf8(key).unwrap().lines().filter(|line| line.len() > 20) {
            assert!(!words.contains(line), "{words}");
        }
        words
    }

    #[test]
    fn a_key_of_every_kind_of_pem_is_taken() {
        let rsa = Rsa::generate(2048).unwrap();
        let ec = elliptic();
        let ed = PKey::generate_ed25519().unwrap();
        let (rsa_key, ec_key) =
            (PKey::from_rsa(rsa.clone()).unwrap(), PKey::from_ec_key(ec.clone()).unwrap());
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        assert_eq!(group.curve_name(), Some(Nid::X9_62_PRIME256V1));
        let parameters =
            b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let sec1 = ec.private_key_to_pem().unwrap();
        for (key, pem, label) in [
            (&rsa_key, rsa_key.private_key_to_pem_pkcs8().unwrap(), "BEGIN PRIVATE KEY"),
            (&rsa_key, rsa.private_key_to_pem().unwrap(), "BEGIN RSA PRIVATE KEY"),
            (&ec_key, ec_key.private_key_to_pem_pkcs8().unwrap(), "BEGIN PRIVATE KEY"),
            (&ec_key, sec1.clone(), "BEGIN EC PRIVATE KEY"),
            (&ec_key, [&parameters[..], &sec1].concat(), "BEGIN EC PARAMETERS"),
            (&ed, ed.private_key_to_pem_pkcs8().unwrap(), "BEGIN PRIVATE KEY"),
        ] {
            assert!(std::str::from_utf8(&pem).unwrap().contains(label));
            identity("proxy", &certificate(key, "own"), &pem).unwrap();
        }
    }

    #[test]
    fn an_encrypted_key_is_refused_without_asking_for_its_passphrase() {
        let (key, cipher) = (key(), Cipher::aes_256_cbc());
        let chain = certificate(&key, "own");
        let pkcs8 = key.private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap();
        let legacy =
            key.ec_key().unwrap().private_key_to_pem_passphrase(cipher, b"secret").unwrap();
        for pem in [pkcs8, legacy] {
            assert_eq!(refused(&chain, &pem), "the proxy's key is encrypted; it must not be");
        }
    }

    #[test]
    fn what_is_no_key_or_certificate_is_refused_in_words() {
        let own = key();
        let (chain, pem) = (certificate(&own, "own"), own.private_key_to_pem_pkcs8().unwrap());
        let other = key().private_key_to_pem_pkcs8().unwrap();
        let cut = &pem[..pem.len() / 2];
        for garbage in [&b""[..], b"garbage", cut, &chain] {
            assert_eq!(refused(&chain, garbage), "the proxy's key is no private key in PEM");
        }
        assert_eq!(refused(&chain, &other), "the proxy's key is not that of its certificate");
        for garbage in [&b""[..], b"garbage", &pem] {
            let words = refused(garbage, &pem);
            assert!(words.contains("certificate"), "{words}");
        }
    }

    #[test]
    fn the_first_certificate_is_the_own_one_and_the_others_follow_in_order() {
        let (own, second, third) = (key(), key(), key());
        let chain = [(&own, "own"), (&second, "second"), (&third, "third")]
            .map(|(key, name)| certificate(key, name));
        let pem = own.private_key_to_pem_pkcs8().unwrap();
        let found = Identity::new("proxy", &chain.concat(), &pem).unwrap();
        assert_eq!(found.certificate.to_pem().unwrap(), chain[0]);
        assert_eq!(found.chain.len(), 2);
        assert_eq!(found.chain[1].to_pem().unwrap(), chain[2]);
        let [own, second, _] = chain;
        assert!(refused(&[second, own].concat(), &pem).contains("not that of its certificate"));
    }

    #[test]
    fn authorities_are_one_certificate_or_more_and_nothing_else() {
        let one = certificate(&key(), "one");
        assert_eq!(authorities(&one).unwrap().len(), 1);
        assert_eq!(authorities(&one.repeat(3)).unwrap().len(), 3);
        for garbage in [&b""[..], b"garbage", &one[..one.len() / 2]] {
            assert!(authorities(garbage).is_err());
        }
    }
}
