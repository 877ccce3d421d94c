//! A connection, plain or TLS, that does not block once it is set up.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod, SslStream};

/// For the handshake alone, which blocks.
const PATIENCE: Duration = Duration::from_secs(10);

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

/// Makes streams of accepted sockets.
pub struct Acceptor(Option<SslAcceptor>);

impl Acceptor {
    /// `files` are those of the certificate and its key, or none.
    pub fn new(files: &[String]) -> Result<Self, Box<dyn Error>> {
        let [certificate, key] = files else {
            return if files.is_empty() {
                Ok(Acceptor(None))
            } else {
                Err("two files or none".into())
            };
        };
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder.set_certificate_chain_file(certificate)?;
        builder.set_private_key_file(key, SslFiletype::PEM)?;
        Ok(Acceptor(Some(builder.build())))
    }

    pub fn accept(&self, socket: TcpStream) -> Result<Stream, Box<dyn Error>> {
        socket.set_nodelay(true)?;
        let stream = match &self.0 {
            None => Stream::Plain(socket),
            Some(acceptor) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                Stream::Tls(Box::new(acceptor.accept(socket)?))
            }
        };
        stream.socket().set_nonblocking(true)?;
        Ok(stream)
    }
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }

    /// Whether a read that brought less than it could leaves nothing behind. TLS comes record by record.
    pub fn is_drained_by_short_reads(&self) -> bool {
        matches!(self, Stream::Plain(_))
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        match self {
            Stream::Plain(socket) => drop(socket.shutdown(std::net::Shutdown::Write)),
            Stream::Tls(stream) => drop(stream.shutdown()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
