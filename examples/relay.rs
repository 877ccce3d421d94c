//! The quick start of README.md in Rust: a proxy that drops binary messages. `relay PORT URL`.

use std::net::TcpListener;
use std::sync::Arc;

use wsproxy::{Client, Config, Frame, Kind, Proxy, Verdict};

fn on_frame(frame: &mut Frame<'_>) -> Verdict {
    println!("{} from the {}: {} bytes", frame.kind(), frame.from(), frame.payload().len());
    match frame.kind() {
        Kind::Binary => Verdict::Drop,
        _ => Verdict::Forward,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (port, url) = arguments.next().zip(arguments.next()).ok_or("usage: relay PORT URL")?;
    let config = Arc::new(Config::new());
    for client in TcpListener::bind(format!("127.0.0.1:{port}"))?.incoming() {
        let (client, url) = (Client::new(client?), url.clone());
        let proxy = Proxy::new(Arc::clone(&config))?;
        std::thread::spawn(move || {
            let result = proxy.connect(client, &url).and_then(|()| proxy.execute(on_frame));
            result.unwrap_or_else(|error| eprintln!("{error}"));
        });
    }
    Ok(())
}
