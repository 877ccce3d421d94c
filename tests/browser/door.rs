//! A listening socket, a thread per connection, and an end that waits for all of them.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Ended and waited for when dropped; what `serve` waits for has to end by itself.
pub struct Door {
    pub port: u16,
    closing: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Door {
    pub fn open(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let closing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closing);
        let accepting = Some(thread::spawn(move || accept(&listener, &seen, &serve)));
        Door { port, closing, accepting }
    }
}

fn accept(listener: &TcpListener, closing: &AtomicBool, serve: &(impl Fn(TcpStream) + Sync)) {
    thread::scope(|scope| {
        while let Ok((stream, _)) = listener.accept() {
            if closing.load(Ordering::Acquire) {
                return;
            }
            scope.spawn(move || serve(stream));
        }
    });
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        let woken = TcpStream::connect(("127.0.0.1", self.port));
        if let (Ok(_), Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
    }
}
