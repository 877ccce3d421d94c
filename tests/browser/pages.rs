//! The pages' server: HTTP/1.1 over TLS (rustls), one request per connection.
//!
//! What a page posts goes to the visit; answers carry a cookie that no script can read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::authority::Identity;
use super::door::Door;

/// Browsers open connections to have them ready; none is kept longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

const NOTHING: (&str, &str, &str) = ("204 No Content", "text/plain", "");

/// Serves the pages; `posted` is given what they post.
pub fn serve(identity: &Identity, posted: impl Fn(String) + Send + Sync + 'static) -> Door {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    Door::open(move |stream| {
        // Whatever goes wrong is the browser's to notice; connections that it never uses end here too.
        let _ = answer(&config, stream, &posted);
    })
}

fn answer(
    config: &Arc<ServerConfig>,
    stream: TcpStream,
    posted: &impl Fn(String),
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let (method, target, body) = request(&mut stream)?;
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, text) = match (method.as_str(), path) {
        ("POST", _) => {
            posted(body);
            NOTHING
        }
        (_, "/") => ("200 OK", "text/html", include_str!("page.html")),
        (_, "/foreign") => ("200 OK", "text/html", include_str!("foreign.html")),
        (_, "/calls.js") => ("200 OK", "text/javascript", include_str!("calls.js")),
        (_, "/page.js") => ("200 OK", "text/javascript", include_str!("page.js")),
        _ => ("404 Not Found", "text/plain", ""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\n\
         Set-Cookie: hidden=from-the-page-server; HttpOnly; Secure; Path=/\r\n\
         Connection: close\r\n\r\n",
        text.len()
    );
    let stream = stream.get_mut();
    stream.write_all((head + text).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Method, target and body.
fn request(stream: &mut impl BufRead) -> io::Result<(String, String, String)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut len = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            len = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = String::new();
    stream.take(len).read_to_string(&mut body)?;
    Ok((method, target, body))
}
