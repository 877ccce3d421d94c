//! The quick start of README.md in Rust: a proxy that drops binary messages. `relay HOST:PORT URL`.

use std::sync::Arc;

use wsproxy::{Config, Frame, Kind, Server, Side, Verdict};

fn on_frame(frame: &mut Frame<'_>) -> Verdict {
    println!("{} from the {}: {} bytes", frame.kind(), frame.from(), frame.payload().len());
    match frame.kind() {
        Kind::Binary => Verdict::Drop,
        _ => Verdict::Forward,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (address, url) =
        arguments.next().zip(arguments.next()).ok_or("usage: relay HOST:PORT URL")?;
    let mut config = Config::new();
    config.aggregate(Side::Client, true).aggregate(Side::Upstream, true); // whole messages
    let server = Server::new(Arc::new(config))?;
    println!("listening on {}", server.listen(&address)?);
    // A thread per client, until another thread calls `server.drain`.
    server.run(|proxy, client| {
        let result = proxy.connect(client, &url).and_then(|()| proxy.execute(on_frame));
        result.inspect_err(|error| eprintln!("{error}"))
    })?;
    Ok(())
}
