//! The other end of TLS, by rustls: two threads may use it at once, and it says exactly what it is told.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use super::authority::{trusted, Identity};
use super::support::peer::prepare;

pub const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
pub const BOTH: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// One end of a connection under TLS. Clones are the same one.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    tcp: TcpStream,
    connection: Mutex<Connection>,
    /// What was read of encrypted bytes and not yet decrypted.
    raw: Mutex<Vec<u8>>,
    /// Whoever sends: records may not overtake each other.
    sending: Mutex<()>,
}

/// An upstream's settings: which versions, who it is, whom it wants to see a certificate of.
pub fn server(
    versions: &[&'static SupportedProtocolVersion],
    identity: &Identity,
    clients: Option<RootCertStore>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
        ),
    };
    let mut config =
        builder.with_single_cert(identity.certificates(), identity.private_key()).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A client's settings: which versions, whom it trusts.
pub fn client(
    versions: &[&'static SupportedProtocolVersion],
    roots: RootCertStore,
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Tls {
    /// The client's end.
    pub fn connect(tcp: TcpStream, config: Arc<ClientConfig>, name: &str) -> io::Result<Tls> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Tls::shake(tcp, ClientConnection::new(config, name).unwrap().into())
    }

    /// The client's end, of the host under test.
    pub fn connect_trusting(tcp: TcpStream) -> io::Result<Tls> {
        Tls::connect(tcp, client(BOTH, trusted().roots()), "127.0.0.1")
    }

    /// The upstream's end.
    pub fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Tls> {
        Tls::shake(tcp, ServerConnection::new(config).unwrap().into())
    }

    fn shake(mut tcp: TcpStream, mut connection: Connection) -> io::Result<Tls> {
        prepare(&tcp);
        connection.set_buffer_limit(None);
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        while connection.wants_write() {
            connection.write_tls(&mut tcp)?;
        }
        let (connection, raw, sending) = (Mutex::new(connection), Mutex::default(), Mutex::new(()));
        Ok(Tls(Arc::new(Inner { tcp, connection, raw, sending })))
    }

    pub fn tcp(&self) -> &TcpStream {
        &self.0.tcp
    }

    /// Looks at the connection.
    pub fn look<T>(&self, look: impl FnOnce(&mut Connection) -> T) -> T {
        look(&mut self.0.connection.lock().unwrap())
    }

    /// Asks the other end for new keys, and changes its own (RFC 8446 section 4.6.3): so many times, sent together.
    pub fn refresh_keys_often(&self, times: usize) -> io::Result<()> {
        let _sending = self.0.sending.lock().unwrap();
        let records = self.look(|connection| {
            let mut records = Vec::new();
            for _ in 0..times {
                connection.refresh_traffic_keys().unwrap();
                take_records(connection, &mut records);
            }
            records
        });
        (&self.0.tcp).write_all(&records)
    }

    /// Every byte in a record of its own, all sent together.
    pub fn send_bytewise(&self, bytes: &[u8]) -> io::Result<()> {
        let _sending = self.0.sending.lock().unwrap();
        for some in bytes.chunks(1 << 10) {
            let records = self.look(|connection| {
                let mut records = Vec::new();
                for byte in some {
                    connection.writer().write_all(&[*byte]).unwrap();
                    take_records(connection, &mut records);
                }
                records
            });
            (&self.0.tcp).write_all(&records)?;
        }
        Ok(())
    }

    /// Says that nothing more comes, in TLS and perhaps in TCP.
    pub fn finish(&self, and_tcp: bool) {
        let _sending = self.0.sending.lock().unwrap();
        self.look(|connection| connection.send_close_notify());
        let _ = self.send_records(); // the other end may be gone
        if and_tcp {
            self.end_tcp();
        }
    }

    /// Says that nothing more comes, in TCP alone.
    pub fn end_tcp(&self) {
        let _ = self.0.tcp.shutdown(Shutdown::Write);
    }

    fn send_records(&self) -> io::Result<()> {
        loop {
            let mut records = Vec::new();
            self.look(|connection| take_records(connection, &mut records));
            if records.is_empty() {
                return Ok(());
            }
            (&self.0.tcp).write_all(&records)?;
        }
    }

    /// Gives the connection some more encrypted bytes.
    fn take_in(&self) -> io::Result<()> {
        let mut raw = self.0.raw.lock().unwrap();
        if raw.is_empty() {
            raw.resize(64 << 10, 0);
            let outcome = (&self.0.tcp).read(&mut raw);
            raw.truncate(*outcome.as_ref().unwrap_or(&0));
            outcome?;
        }
        let mut connection = self.0.connection.lock().unwrap();
        let mut rest = raw.as_slice();
        connection.read_tls(&mut rest)?;
        let taken = raw.len() - rest.len();
        raw.drain(..taken);
        connection.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }
}

fn take_records(connection: &mut Connection, records: &mut Vec<u8>) {
    while connection.wants_write() {
        connection.write_tls(records).unwrap();
    }
}

impl Read for Tls {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.look(|connection| connection.reader().read(buf)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.take_in()?;
            if let Ok(_sending) = self.0.sending.try_lock() {
                let _ = self.send_records(); // answers; whoever sends now sends them too
            }
        }
    }
}

impl Write for Tls {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let _sending = self.0.sending.lock().unwrap();
        let some = buf.len().min(64 << 10);
        let count = self.look(|connection| connection.writer().write(&buf[..some]))?;
        self.send_records()?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
