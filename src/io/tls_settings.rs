//! How TLS is spoken on either leg, and the objects made of it, once: of native-tls towards upstreams, of OpenSSL
//! itself towards clients, since native-tls's acceptor speaks neither TLS 1.3 nor asks for certificates.
//!
//! Theory: reading the system's certificate authorities takes 40 to 60 ms, so a connector is made with the first
//! connection that needs one and kept; every session of a configuration shares it. A setter that changes something
//! forgets it.

use std::sync::OnceLock;

use native_tls::{Certificate, Protocol, TlsConnector};
use openssl::error::ErrorStack;
use openssl::ssl::{
    select_next_proto, AlpnError, SslAcceptor, SslAcceptorBuilder, SslMethod, SslOptions,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::X509;

use super::certificates;
use crate::error::{Error, ErrorKind, Fault, Result};

/// The lowest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246); what is older is broken (RFC 8996).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    fn protocol(self) -> Protocol {
        match self {
            TlsVersion::Tls12 => Protocol::Tlsv12,
            TlsVersion::Tls13 => Protocol::Tlsv13,
        }
    }

    fn in_openssl(self) -> SslVersion {
        match self {
            TlsVersion::Tls12 => SslVersion::TLS1_2,
            TlsVersion::Tls13 => SslVersion::TLS1_3,
        }
    }
}

/// RFC 7301: what is spoken inside.
const HTTP: [&str; 1] = ["http/1.1"];
const HTTP_ON_THE_WIRE: &[u8] = b"\x08http/1.1";

/// Towards upstreams.
#[derive(Clone)]
pub(crate) struct UpstreamTls {
    verify: bool,
    authorities: Vec<Certificate>,
    server_name: Option<String>,
    identity: Option<native_tls::Identity>,
    lowest: TlsVersion,
    connector: OnceLock<Result<TlsConnector>>,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        UpstreamTls {
            verify: true,
            authorities: Vec::new(),
            server_name: None,
            identity: None,
            lowest: TlsVersion::default(),
            connector: OnceLock::new(),
        }
    }
}

impl std::fmt::Debug for UpstreamTls {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("verify", &self.verify)
            .field("authorities", &self.authorities.len())
            .field("server_name", &self.server_name)
            .field("identity", &self.identity.is_some())
            .field("lowest", &self.lowest)
            .finish_non_exhaustive()
    }
}

impl UpstreamTls {
    /// Whether certificates and names are checked.
    pub(crate) fn set_verify(&mut self, on: bool) {
        self.verify = on;
        self.connector = OnceLock::new();
    }

    /// Trusts these too.
    pub(crate) fn add_authorities(&mut self, pem: &[u8]) -> Result<()> {
        self.authorities.extend(certificates::authorities(pem)?);
        self.connector = OnceLock::new();
        Ok(())
    }

    /// The name to ask for and to check, instead of the URL's host.
    pub(crate) fn set_server_name(&mut self, name: &str) -> Result<()> {
        let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if name.is_empty() || name.len() > 253 || !name.bytes().all(is_named) {
            return Err(Error::argument("the server name is neither a host name nor an address"));
        }
        self.server_name = Some(name.to_owned());
        Ok(())
    }

    /// What we show to an upstream that asks for a certificate.
    pub(crate) fn set_identity(&mut self, chain: &[u8], key: &[u8]) -> Result<()> {
        self.identity = Some(certificates::identity("proxy", chain, key)?);
        self.connector = OnceLock::new();
        Ok(())
    }

    /// The lowest version.
    pub(crate) fn set_lowest(&mut self, version: TlsVersion) {
        self.lowest = version;
        self.connector = OnceLock::new();
    }

    /// The name to ask `host` for: without the dot of a root, which no certificate has (RFC 6066 section 3).
    pub(crate) fn name_for<'a>(&'a self, host: &'a str) -> &'a str {
        let name = self.server_name.as_deref().unwrap_or(host);
        name.strip_suffix('.').unwrap_or(name)
    }

    /// Made at the first call.
    pub(crate) fn connector(&self) -> Result<&TlsConnector> {
        self.connector.get_or_init(|| self.build()).as_ref().map_err(Error::clone)
    }

    fn build(&self) -> Result<TlsConnector> {
        let mut builder = TlsConnector::builder();
        builder
            .min_protocol_version(Some(self.lowest.protocol()))
            .request_alpns(&HTTP)
            .danger_accept_invalid_certs(!self.verify)
            .danger_accept_invalid_hostnames(!self.verify);
        for authority in &self.authorities {
            builder.add_root_certificate(authority.clone());
        }
        if let Some(identity) = &self.identity {
            builder.identity(identity.clone());
        }
        let built = builder.build().map_err(|error| not_built(&error))?;
        log::debug!("the TLS connector for upstreams was built");
        if !self.verify {
            log::warn!("certificates of upstreams are not verified, as configured");
        }
        Ok(built)
    }
}

/// Towards clients.
#[derive(Clone, Default)]
pub(crate) struct ClientTls {
    /// Without one, clients speak no TLS.
    identity: Option<certificates::Identity>,
    /// With any, clients have to show a certificate of one of them.
    authorities: Vec<X509>,
    lowest: TlsVersion,
    acceptor: OnceLock<Result<SslAcceptor>>,
}

impl std::fmt::Debug for ClientTls {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls")
            .field("identity", &self.identity.is_some())
            .field("authorities", &self.authorities.len())
            .field("lowest", &self.lowest)
            .finish_non_exhaustive()
    }
}

impl ClientTls {
    /// What clients are shown; from now on they speak TLS.
    pub(crate) fn set_identity(&mut self, chain: &[u8], key: &[u8]) -> Result<()> {
        self.identity = Some(certificates::Identity::new("client side", chain, key)?);
        self.acceptor = OnceLock::new();
        Ok(())
    }

    /// Clients have to show a certificate of these, or of others that were added.
    pub(crate) fn add_authorities(&mut self, pem: &[u8]) -> Result<()> {
        self.authorities.extend(certificates::trusted(pem)?);
        self.acceptor = OnceLock::new();
        Ok(())
    }

    /// The lowest version.
    pub(crate) fn set_lowest(&mut self, version: TlsVersion) {
        self.lowest = version;
        self.acceptor = OnceLock::new();
    }

    /// Made at the first call; `None` when clients speak no TLS.
    pub(crate) fn acceptor(&self) -> Result<Option<&SslAcceptor>> {
        let identity = match &self.identity {
            Some(identity) => identity,
            None if self.authorities.is_empty() => return Ok(None),
            None => {
                let words = "clients have to show a certificate, but speak no TLS: client_certificate is not set";
                return Err(Error::argument(words));
            }
        };
        let built = self.acceptor.get_or_init(|| self.build(identity));
        built.as_ref().map(Some).map_err(Error::clone)
    }

    fn build(&self, identity: &certificates::Identity) -> Result<SslAcceptor> {
        let built = self.acceptor_of(identity).map_err(|error| not_built(&error))?;
        log::debug!("the TLS acceptor for clients was built");
        Ok(built)
    }

    /// Mozilla's intermediate settings: TLS 1.2 and 1.3, and ciphers that keep past sessions secret.
    fn acceptor_of(&self, identity: &certificates::Identity) -> Result<SslAcceptor, ErrorStack> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder.set_min_proto_version(Some(self.lowest.in_openssl()))?;
        builder.set_certificate(&identity.certificate)?;
        builder.set_private_key(&identity.key)?;
        for certificate in &identity.chain {
            builder.add_extra_chain_cert(certificate.clone())?;
        }
        // OpenSSL 3 refuses this by itself; before, every client could have us make new keys without end.
        builder.set_options(SslOptions::NO_RENEGOTIATION);
        // Clients resume by tickets, which they keep; 20,000 sessions kept for those without would be memory for nothing.
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        // A client that offers other protocols alone is let in all the same: its request will show.
        builder.set_alpn_select_callback(|_, offered| {
            select_next_proto(HTTP_ON_THE_WIRE, offered).ok_or(AlpnError::NOACK)
        });
        if !self.authorities.is_empty() {
            self.demand_certificates(&mut builder)?;
        }
        Ok(builder.build())
    }

    /// Who has none is turned away in the handshake. The names of the authorities tell a client which one to show.
    fn demand_certificates(&self, builder: &mut SslAcceptorBuilder) -> Result<(), ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        for authority in &self.authorities {
            store.add_cert(authority.clone())?;
            builder.add_client_ca(authority)?;
        }
        builder.set_cert_store(store.build());
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        builder.set_session_id_context(b"wsproxy") // else no session could be resumed
    }
}

fn not_built(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Tls, Fault::Host, format!("TLS cannot be set up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_asked_for_is_the_configured_one_or_the_hosts_without_the_dot_of_the_root() {
        let mut tls = UpstreamTls::default();
        assert_eq!(tls.name_for("a.example."), "a.example");
        assert_eq!(tls.name_for("::1"), "::1");
        tls.set_server_name("b.example").unwrap();
        assert_eq!(tls.name_for("a.example"), "b.example");
        assert!(tls.set_server_name("b example").is_err() && tls.set_server_name("").is_err());
    }
}
