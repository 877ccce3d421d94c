//! A port that is nginx's for certain.
//!
//! Somebody has to choose it before nginx starts. The test binds a socket of its own to port 0 with SO_REUSEPORT, never
//! listens on it and keeps it: nobody else is given the port, while nginx, which says `reuseport` and runs as the same
//! user, may bind it too, and hears all the calls as the only one who listens. (To hand nginx a socket that listens
//! already, by the environment variable NGINX, ends it with a segmentation fault under `master_process off`: version
//! 1.22 looks for the cycle before.)

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{bind, socket_with, AddressFamily, SocketFlags, SocketType};

pub struct Port(TcpListener);

impl Port {
    pub fn reserve() -> Port {
        let kind = (AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC);
        let socket: OwnedFd = socket_with(kind.0, kind.1, kind.2, None).unwrap();
        set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        // In the shape of a listener for the sake of its methods; nobody listens.
        Port(TcpListener::from(socket))
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
