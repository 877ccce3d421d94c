//! A proxy of messages made with tokio-tungstenite, the way its documentation has it: both ends are WebSockets, and
//! each stream of messages is forwarded into the other's sink.
//!
//!     message-proxy LISTEN_PORT UPSTREAM_PORT

use futures_util::StreamExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::{accept_async_with_config, client_async_with_config};

/// Messages of any size.
fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(None).max_frame_size(None)
}

async fn serve(client: TcpStream, upstream: u16) -> Result<(), Error> {
    client.set_nodelay(true)?;
    let client = accept_async_with_config(client, Some(config())).await?;
    let socket = TcpStream::connect(("127.0.0.1", upstream)).await?;
    socket.set_nodelay(true)?;
    let url = format!("ws://127.0.0.1:{upstream}/");
    let (upstream, _) = client_async_with_config(url, socket, Some(config())).await?;
    let (to_client, from_client) = client.split();
    let (to_upstream, from_upstream) = upstream.split();
    let (up, down) =
        tokio::join!(from_client.forward(to_upstream), from_upstream.forward(to_client));
    up.and(down)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ports: Vec<u16> =
        std::env::args().skip(1).map(|port| port.parse()).collect::<Result<_, _>>()?;
    let [port, upstream] = ports[..] else { return Err("LISTEN_PORT and UPSTREAM_PORT".into()) };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(async move {
            // How a session ended is the load generator's to notice.
            let _ = serve(client, upstream).await;
        });
    }
}
