//! The echo upstream: answers each message with itself. Prints its port; ends when its standard input does.
//!
//!     echo [CERTIFICATE.pem KEY.pem]
//!
//! Rules: a message is answered when it is whole, as servers do; all that one read brought is answered by one write.
//! What comes is checked (it is masked, whole, and of a known type); what is wrong ends the process with words.

mod connection;
mod handshake;
mod stream;

use std::collections::HashMap;
use std::error::Error;
use std::io::stdin;
use std::net::TcpListener;

use connection::{Connection, Served};
use nix::sys::socket::Backlog;
use stream::Acceptor;
use wsproxy_bench::readiness::Readiness;

const LISTENER: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;

struct Echo {
    listener: TcpListener,
    acceptor: Acceptor,
    readiness: Readiness,
    connections: HashMap<u64, Connection>,
    accepted: u64,
    /// Those that have had their turn and are not through.
    hungry: Vec<u64>,
}

impl Echo {
    fn accept(&mut self) -> Result<(), Box<dyn Error>> {
        let (socket, _) = self.listener.accept()?;
        let watched = socket.try_clone()?;
        // Whoever goes away during the TLS handshake was a look at the port.
        let Ok(stream) = self.acceptor.accept(socket) else { return Ok(()) };
        let number = self.accepted;
        self.accepted += 1;
        self.connections.insert(number, Connection::new(stream));
        self.readiness.watch(&watched, number)?;
        self.serve(number)
    }

    fn serve(&mut self, number: u64) -> Result<(), Box<dyn Error>> {
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        match connection.serve().map_err(|words| format!("connection {number}: {words}"))? {
            Served::All => {}
            Served::Some => self.hungry.push(number),
            Served::Over => drop(self.connections.remove(&number)),
        }
        Ok(())
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Of std's the backlog is 128, which a crowd overflows.
    nix::sys::socket::listen(&listener, Backlog::MAXCONN)?;
    println!("{}", listener.local_addr()?.port());
    let readiness = Readiness::new()?;
    readiness.watch_input(&listener, LISTENER)?;
    readiness.watch_input(stdin(), INPUT)?;
    let acceptor = Acceptor::new(&files)?;
    let connections = HashMap::new();
    let mut echo =
        Echo { listener, acceptor, readiness, connections, accepted: 0, hungry: Vec::new() };
    let mut ready = Vec::new();
    loop {
        let hungry = std::mem::take(&mut echo.hungry);
        let patience = if hungry.is_empty() { -1 } else { 0 };
        echo.readiness.wait(patience, &mut ready)?;
        for number in &ready {
            match *number {
                INPUT => return Ok(()),
                LISTENER => echo.accept()?,
                number => echo.serve(number)?,
            }
        }
        for number in hungry {
            echo.serve(number)?;
        }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("echo: {error}");
        std::process::exit(1);
    }
}
