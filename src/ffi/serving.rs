//! One client of a server: its session, and the host's hooks around it, in their order.
//!
//! Rules. The open hook comes first, the end hook last, and that for every session, whatever has failed. The session
//! outlives all of them, and belongs to the server: freeing it stops it.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::constants::{code_of, wsproxy_admission, OK};
use super::frame::wsproxy_on_frame;
use super::guard;
use super::handshake::{wsproxy_on_handshake, HandshakeHook};
use super::session::wsproxy;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::ws::url::Url;
use crate::{Admission, Client, Proxy};

/// Called for each client of a server that gets a session, before its request is read, on the client's own thread:
/// returns WSPROXY_ACCEPT. Anything else is a failed hook: the client is answered 500, and the session ends with
/// WSPROXY_ERR_HOOK. Here is the place for `wsproxy_set_userdata`.
///
/// `userdata` is what `wsproxy_server_run` was given. The session is the server's: it is not to be connected or
/// executed by the host, and lives until its end hook has returned. This hook and the end hook may call what a hook on
/// frames may. It may not unwind.
pub type wsproxy_on_open =
    Option<unsafe extern "C-unwind" fn(p: *mut wsproxy, userdata: *mut c_void) -> c_int>;

/// Called for each session of a server as the last thing before it goes, on the client's own thread, when both
/// connections are closed: `result` is what `wsproxy_connect` or `wsproxy_execute` would have returned, and
/// `wsproxy_error` has its words. After it nobody may use `p` any more: not other threads of the host either.
///
/// `userdata` is what `wsproxy_server_run` was given. The hook may not unwind.
pub type wsproxy_on_end =
    Option<unsafe extern "C-unwind" fn(p: *mut wsproxy, result: c_int, userdata: *mut c_void)>;

/// What a host has said of all its clients before it runs its server.
#[derive(Clone, Default)]
pub(super) struct Manner {
    pub(super) upstream: Option<String>,
    pub(super) on_open: wsproxy_on_open,
    pub(super) on_handshake: wsproxy_on_handshake,
    pub(super) on_end: wsproxy_on_end,
}

/// A server's run, as each of its clients sees it.
pub(super) struct Serving {
    manner: Manner,
    upstream: Url,
    on_frame: wsproxy_on_frame,
    userdata: *mut c_void,
}

// SAFETY: `userdata` is only handed back to the host's functions, which the host promises to be callable on the
// clients' threads.
unsafe impl Sync for Serving {}

impl Serving {
    pub(super) fn new(
        manner: Manner,
        on_frame: wsproxy_on_frame,
        userdata: *mut c_void,
    ) -> Result<Self> {
        let upstream = manner.upstream.as_deref();
        let upstream = upstream.ok_or_else(|| Error::state("the server has no upstream"))?;
        let upstream = Url::parse(upstream)?;
        Ok(Serving { manner, upstream, on_frame, userdata })
    }

    /// The life of one client.
    pub(super) fn serve(&self, proxy: &Arc<Proxy>, client: Client) -> Result<()> {
        let hook = self.manner.on_handshake.map(|hook| HandshakeHook::new(hook, self.userdata));
        let session = Arc::new(wsproxy::of_server(Arc::clone(proxy), hook));
        let p = Arc::into_raw(Arc::clone(&session)).cast_mut();
        let done = guard::catch(Err, || self.converse(&session, p, client));
        if let Err(error) = &done {
            session.words.record(error);
        }
        if let Some(on_end) = self.manner.on_end {
            let result = done.as_ref().map_or_else(code_of, |()| OK);
            // SAFETY: the host's promise about its function; `p` is alive.
            unsafe { on_end(p, result, self.userdata) };
        }
        // SAFETY: the reference made above; nobody else gives it back, since the session is a server's.
        drop(unsafe { Arc::from_raw(p.cast_const()) });
        done
    }

    fn converse(&self, session: &wsproxy, p: *mut wsproxy, client: Client) -> Result<()> {
        if let Some(on_open) = self.manner.on_open {
            // SAFETY: the host's promise about its function; `p` is alive.
            let answer = unsafe { on_open(p, self.userdata) };
            if answer != wsproxy_admission::WSPROXY_ACCEPT as c_int {
                return Err(turn_away(session, client, answer));
            }
        }
        session.connect(p, client, &self.upstream)?;
        session.execute(p, self.on_frame, self.userdata)
    }
}

/// Answers a client 500 whom the open hook has not accepted.
#[cold]
fn turn_away(session: &wsproxy, client: Client, answer: c_int) -> Error {
    let words = format!("the open hook returned {answer}, which is not WSPROXY_ACCEPT");
    // The error is the hook's, whether or not the client hears of it.
    let _ = session.proxy.connect_client_with(client, |_| Admission::Failed(words.clone()));
    Error::new(ErrorKind::Hook, Fault::Host, words)
}
