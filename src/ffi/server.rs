//! `wsproxy_server`: an accept loop for C, with a session and a thread for each client.
//!
//! Theory: the handle is an `Arc`, as a session's is: freed while it runs, it drains at once and goes when
//! `wsproxy_server_run` returns. What the host has said of its clients is copied when a run begins.

use std::ffi::{c_char, c_int, c_void, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::config::wsproxy_config;
use super::constants::{close_code, NO_STATUS};
use super::frame::wsproxy_on_frame;
use super::guard::{self, Handle};
use super::handshake::wsproxy_on_handshake;
use super::incoming::{c_string, c_text, milliseconds};
use super::serving::{wsproxy_on_end, wsproxy_on_open, Manner, Serving};
use super::session::GOING_AWAY;
use super::stats::{check_room, fill};
use super::words::Words;
use crate::error::Result;
use crate::ws::url::Url;
use crate::{Config, Server, ServerStats};

/// Listening sockets, and a session for each client that comes to them. Opaque.
pub struct wsproxy_server {
    server: Server,
    words: Words,
    manner: Mutex<Manner>,
    addresses: Mutex<Vec<CString>>,
    freed: AtomicBool,
}

impl Handle for wsproxy_server {
    const NAME: &'static str = "server";

    fn words(&self) -> &Words {
        &self.words
    }
}

impl wsproxy_server {
    fn listens(&self, address: &str) {
        self.addresses.lock().push(c_string(address));
    }
}

/// What a server has done so far, as `wsproxy_server_stats` fills it. May grow at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct wsproxy_server_counters {
    /// Connections accepted, whatever became of them.
    pub accepted: u64,
    /// Sessions there are now, those in their handshakes included.
    pub active: u64,
    /// Connections over the limit, answered 503.
    pub refused: u64,
    /// Connections closed without an answer: too many over the limit at once, or the system had no thread for them.
    pub dropped: u64,
    /// Sessions that have ended in good order.
    pub completed: u64,
    /// Sessions that have ended with an error, those in their handshakes included.
    pub failed: u64,
}

impl From<ServerStats> for wsproxy_server_counters {
    fn from(stats: ServerStats) -> Self {
        let ServerStats { accepted, active, refused, dropped, completed, failed } = stats;
        wsproxy_server_counters { accepted, active, refused, dropped, completed, failed }
    }
}

/// A new server, whose sessions have the settings that `config` has now; NULL means the defaults. It listens nowhere
/// yet.
///
/// `config` is borrowed for the call. Returns a server that `wsproxy_server_free` frees; NULL only if the system has
/// no descriptor left or the library failed in itself. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_new(config: *const wsproxy_config) -> *mut wsproxy_server {
    guard::catch(
        |_| std::ptr::null_mut(),
        || {
            // SAFETY: the caller's promise: NULL, or a configuration that was not freed.
            let config = unsafe { config.as_ref() };
            let config = config.map_or_else(|| Arc::new(Config::new()), wsproxy_config::snapshot);
            let Ok(server) = Server::new(config) else { return std::ptr::null_mut() };
            let server = wsproxy_server {
                server,
                words: Words::default(),
                manner: Mutex::default(),
                addresses: Mutex::default(),
                freed: AtomicBool::new(false),
            };
            Arc::into_raw(Arc::new(server)).cast_mut()
        },
    )
}

/// The upstream of every client that the handshake hook sends to no other: a URL as `wsproxy_connect` takes it.
///
/// All setters of a server: strings are copied; they count for runs that begin later. They return WSPROXY_OK, or
/// WSPROXY_ERR_ARGUMENT for NULL and for values that they do not take: then nothing was changed. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_set_upstream(
    server: *mut wsproxy_server,
    url: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            let url = c_text("URL", url)?;
            Url::parse(url)?; // so that not the first client finds out
            server.manner.lock().upstream = Some(url.to_owned());
            Ok(())
        })
    }
}

/// How many sessions there may be at once, those in their handshakes included, at least 1. Whoever comes then is
/// answered 503. Default: any number. Counts at once, for those who come.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_set_max_connections(
    server: *mut wsproxy_server,
    count: u64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            server.server.max_connections(usize::try_from(count).unwrap_or(usize::MAX))
        })
    }
}

/// Has `on_open` called for each session before anything else; NULL for none.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_set_on_open(
    server: *mut wsproxy_server,
    on_open: wsproxy_on_open,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { set(server, |manner| manner.on_open = on_open) }
}

/// Has `on_handshake` asked about each client's request; NULL for none.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_set_on_handshake(
    server: *mut wsproxy_server,
    on_handshake: wsproxy_on_handshake,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { set(server, |manner| manner.on_handshake = on_handshake) }
}

/// Has `on_end` called for each session as the last thing; NULL for none.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_set_on_end(
    server: *mut wsproxy_server,
    on_end: wsproxy_on_end,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { set(server, |manner| manner.on_end = on_end) }
}

unsafe fn set(server: *mut wsproxy_server, setter: impl FnOnce(&mut Manner)) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            setter(&mut server.manner.lock());
            Ok(())
        })
    }
}

/// Listens on `address`: "HOST:PORT", an IPv6 address in brackets, port 0 for any that is free; or "unix:/path", a
/// socket that is removed at the end. May be called several times, before `wsproxy_server_run`; during a run it counts
/// for the next one, and who connects waits for that. Looking up a name blocks.
///
/// Returns WSPROXY_OK (`wsproxy_server_address` tells where that is); WSPROXY_ERR_ARGUMENT for NULL and for what is
/// no address; WSPROXY_ERR_IO when it cannot be listened on. After a failure nothing was changed. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_listen(
    server: *mut wsproxy_server,
    address: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            server.listens(&server.server.listen(c_text("address", address)?)?);
            Ok(())
        })
    }
}

/// Listens on a socket that listens already, handed down by a service manager for example.
///
/// `fd` is duplicated: the host closes its own. The socket is set to non-blocking mode. Returns WSPROXY_OK, or
/// WSPROXY_ERR_ARGUMENT for NULL and for what is no listening stream socket. After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_listen_fd(server: *mut wsproxy_server, fd: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            server.listens(&server.server.adopt_duplicate_of(fd)?);
            Ok(())
        })
    }
}

/// Where the server listens, or has listened, by the successful calls of `wsproxy_server_listen` and `_listen_fd`,
/// counted from 0: "127.0.0.1:8080", with the port that it really has, or "unix:/path". NULL beyond the last. Any
/// thread.
///
/// The text belongs to the server and is good until `wsproxy_server_free`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_address(
    server: *const wsproxy_server,
    index: usize,
) -> *const c_char {
    let none = std::ptr::null();
    // SAFETY: passed on to the caller.
    unsafe {
        guard::ask(server, none, |server| {
            server.addresses.lock().get(index).map_or(none, |address| address.as_ptr())
        })
    }
}

/// Accepts clients and serves each on a thread of its own, as `wsproxy_connect` and `wsproxy_execute` would, until
/// the server is drained and every session has ended. One at a time; the calling thread accepts, and no hook runs on
/// it.
///
/// NULL for `on_frame` relays without a hook on frames. `userdata` is handed to every hook. The hooks and it are not
/// used after this has returned. Then the server listens nowhere, and may listen and run again.
///
/// Returns WSPROXY_OK after a drain; WSPROXY_ERR_ARGUMENT (NULL, or clients that have to show certificates and speak
/// no TLS) and WSPROXY_ERR_STATE (it listens nowhere, has no upstream, or runs already): nothing was changed;
/// WSPROXY_ERR_IO when waiting or accepting fails: then all sessions
/// have been ended. What becomes of a single client is told to the end hook and to the log.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_run(
    server: *mut wsproxy_server,
    on_frame: wsproxy_on_frame,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            let manner = server.manner.lock().clone();
            let serving = Serving::new(manner, on_frame, userdata)?;
            server.server.run(|proxy, client| serving.serve(proxy, client))
        })
    }
}

/// Ends `wsproxy_server_run`: it stops accepting, lets handshakes under way finish, sends both sides of every session
/// a close frame with `code` between messages, and cuts off what is left when `timeout_ms` have passed; shortly
/// before that, sessions in the middle of a message get their close frames there.
///
/// `code` is usually 1001 (going away); it is mapped as by `wsproxy_stop`. May be called again: the earliest deadline
/// counts, and the first code. Without a run in progress it counts for the next one. Only a hook that does not return
/// holds up the end.
///
/// Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL and for values that cannot be taken. Never blocks. Any
/// thread, inside a hook too; and from a signal handler: with values that can be taken it uses nothing that is not
/// safe there, and leaves errno alone. The host sees to it that no handler runs once the server is freed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_drain(
    server: *mut wsproxy_server,
    code: c_int,
    timeout_ms: i64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            let code = close_code(code)?.unwrap_or(NO_STATUS);
            server.server.drain(code, milliseconds(timeout_ms)?)
        })
    }
}

/// Counts what the server has done so far. Any thread, at any time.
///
/// `out` is filled, up to `out_size`, which is `sizeof *out`: of a struct that is longer than this library's the rest
/// is set to 0. Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL and size 0; then nothing was written.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_stats(
    server: *const wsproxy_server,
    out: *mut wsproxy_server_counters,
    out_size: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(server, |server| {
            check_room(out.cast(), out_size)?;
            let counters = wsproxy_server_counters::from(server.server.stats());
            fill(out.cast(), out_size, &counters);
            Ok(())
        })
    }
}

/// The words of the calling thread's last failed call with this server, or, if it had none, of the last failed call
/// of any thread: whose fault it was, a colon, what was wrong. "" if nothing failed; a fixed text for NULL; never
/// NULL.
///
/// The text belongs to the server and is good until the calling thread's next call with this server. Any thread. What
/// became of a session is told by `wsproxy_error`, in the end hook.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_error(server: *const wsproxy_server) -> *const c_char {
    if server.is_null() {
        return c"host: the server is NULL".as_ptr();
    }
    // SAFETY: passed on to the caller.
    unsafe { guard::ask(server, c"".as_ptr(), |server| server.words.text()) }
}

/// Frees a server and closes its listening sockets. NULL is allowed.
///
/// A run in progress, on another thread or around the hook that this is called in, is drained with 1001 and no time
/// to spare; the memory goes when it returns. No new call with `server` is allowed afterwards, except inside the hook
/// that is running.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_server_free(server: *mut wsproxy_server) {
    guard::catch(drop, || {
        // SAFETY: the caller's promise: NULL, or a server that was not freed; or it was freed inside the hook that is
        // running, and the run around that still holds a reference.
        let Some(freed) = (unsafe { server.as_ref() }) else { return };
        if freed.freed.swap(true, Ordering::AcqRel) {
            return;
        }
        // The code can be sent.
        let _: Result<()> = freed.server.drain(GOING_AWAY, Duration::ZERO);
        // SAFETY: the reference that `wsproxy_server_new` gave to the host; `freed` says that it is given back once.
        drop(unsafe { Arc::from_raw(server.cast_const()) });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_for_c_has_no_padding() {
        assert_eq!(std::mem::size_of::<wsproxy_server_counters>(), 8 * 6);
    }
}
