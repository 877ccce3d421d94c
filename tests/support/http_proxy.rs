//! A little HTTP proxy that takes CONNECT: it shows what it was asked, dials, and copies bytes both ways.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::peer::{prepare, read_head};
use super::LONG;

/// Runs until it is dropped.
pub struct HttpProxy {
    pub addr: SocketAddr,
    heads: Receiver<String>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpProxy {
    /// Connects everybody to `upstream`, whatever name was asked for: it alone knows the names.
    pub fn to(upstream: SocketAddr) -> HttpProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, heads) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let (mut stream, tell) = (stream.unwrap(), tell.clone());
                thread::spawn(move || {
                    prepare(&stream);
                    let _ = tell.send(read_head(&mut stream));
                    let upstream = TcpStream::connect(upstream).unwrap();
                    prepare(&upstream);
                    stream
                        .write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                        .unwrap();
                    copy_both_ways(stream, upstream);
                });
            }
        });
        HttpProxy { addr, heads, over, thread: Some(thread) }
    }

    /// Its URL, with a user and a password perhaps.
    pub fn url(&self, userinfo: &str) -> String {
        format!("http://{userinfo}{}", self.addr)
    }

    /// What it was asked next.
    pub fn asked(&self) -> String {
        self.heads.recv_timeout(LONG).expect("the HTTP proxy is asked")
    }

    /// Nobody has asked it.
    pub fn nobody_asked(&self) {
        assert!(self.heads.try_recv().is_err(), "the HTTP proxy was asked");
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.addr);
        let _ = self.thread.take().unwrap().join();
    }
}

fn copy_both_ways(one: TcpStream, other: TcpStream) {
    let (from, to) = (one.try_clone().unwrap(), other.try_clone().unwrap());
    let back = thread::spawn(move || copy(other, one));
    copy(from, to);
    let _ = back.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    if std::io::copy(&mut from, &mut to).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}
