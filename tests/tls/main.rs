//! TLS on either leg, with peers that do not stand on OpenSSL: rustls, and certificates by rcgen.

mod authority;
mod clients;
mod demanded;
mod endings;
mod keys;
mod moving;
mod scene;
mod stopped;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod trust;
