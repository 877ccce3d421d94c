//! `wsproxy`: one session, from its client's connection to its end.
//!
//! Theory: the handle is an `Arc`. The host holds one reference and every call in progress one more, so the host
//! may free it inside the hook or while another thread is in `wsproxy_execute`: the memory goes with the last. A
//! server's session is held by the server alone, and freeing it is no more than stopping it.

use std::ffi::{c_char, c_int, c_void, CString};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::config::wsproxy_config;
use super::constants::{self, close_code, fault_number, one_side, NO_STATUS};
use super::frame::{is_shown_by, wsproxy_on_frame, Hook};
use super::guard::{self, Handle};
use super::handshake::{wsproxy_on_handshake, HandshakeHook};
use super::incoming::{bytes, c_string, c_text, text};
use super::pull::Pulled;
use super::refusal::RefusalLines;
use super::turn::Turn;
use super::words::Words;
use crate::error::{Error, Result};
use crate::ws::url::Url;
use crate::{Admission, Client, Config, Handshake, Proxy, Stats};

/// "Going away", for a session or a server that is freed while it runs.
pub(super) const GOING_AWAY: u16 = 1001;

/// One session. Opaque.
pub struct wsproxy {
    pub(super) proxy: Arc<Proxy>,
    pub(super) words: Words,
    /// The session as an event loop drives it, once it does.
    pub(super) pulled: Turn<Option<Box<Pulled>>>,
    preparation: Mutex<Preparation>,
    userdata: AtomicPtr<c_void>,
    subprotocol: OnceLock<CString>,
    pub(super) refusal: RefusalLines,
    freed: AtomicBool,
    is_servers: bool,
}

/// What counts until the client is connected.
struct Preparation {
    handover: Handover,
    on_handshake: Option<HandshakeHook>,
}

/// What the host has done with the client's connection before it hands it over.
#[derive(Clone)]
pub(super) enum Handover {
    /// Read nothing.
    Fresh,
    /// Read this much of the request.
    Head(Vec<u8>),
    /// Upgraded it, and read these bytes after it.
    Upgraded(Vec<u8>),
    /// It was handed over.
    Over,
}

impl Handle for wsproxy {
    const NAME: &'static str = "session";

    fn words(&self) -> &Words {
        &self.words
    }
}

impl wsproxy {
    fn new(proxy: Arc<Proxy>, preparation: Preparation, is_servers: bool) -> Self {
        wsproxy {
            proxy,
            words: Words::default(),
            pulled: Turn::default(),
            preparation: Mutex::new(preparation),
            userdata: AtomicPtr::default(),
            subprotocol: OnceLock::new(),
            refusal: RefusalLines::default(),
            freed: AtomicBool::new(false),
            is_servers,
        }
    }

    /// The session of a client that a server has accepted.
    pub(super) fn of_server(proxy: Arc<Proxy>, on_handshake: Option<HandshakeHook>) -> Self {
        wsproxy::new(proxy, Preparation { handover: Handover::Over, on_handshake }, true)
    }

    /// Says what there is to say before the client is connected; the last call counts.
    fn prepare(&self, prepare: impl FnOnce(&mut Preparation)) -> Result<()> {
        let mut preparation = self.preparation.lock();
        if matches!(preparation.handover, Handover::Over) {
            return Err(Error::state("the client's connection was handed over before"));
        }
        prepare(&mut preparation);
        Ok(())
    }

    /// The client behind `fd`; what was prepared stays, for another try if this one is refused.
    fn client(&self, fd: c_int) -> Result<Client> {
        let client = Client::duplicate_of(fd)?;
        Ok(match &self.preparation.lock().handover {
            Handover::Fresh | Handover::Over => client,
            Handover::Head(head) => client.with_head(head.clone()),
            Handover::Upgraded(early) => client.upgraded(early.clone()),
        })
    }

    pub(super) fn connected(&self) {
        self.preparation.lock().handover = Handover::Over;
    }

    /// What was prepared of the client, for an event loop that begins with it.
    pub(super) fn prepared(&self) -> Result<Handover> {
        let preparation = self.preparation.lock();
        if preparation.on_handshake.is_some() {
            let words =
                "a session driven by pull has no handshake hook: its host sees the request itself";
            return Err(Error::state(words));
        }
        Ok(preparation.handover.clone())
    }

    /// What has crossed.
    pub(super) fn stats(&self) -> Stats {
        let pulled = self.pulled.take();
        pulled.as_ref().map_or_else(|| self.proxy.stats(), |pulled| pulled.pull.stats())
    }

    /// Asks the handshake hook, if there is one; `p` is this session, as the host knows it.
    fn admit(&self, p: *mut wsproxy) -> impl FnMut(&mut Handshake<'_>) -> Admission {
        let hook = self.preparation.lock().on_handshake;
        move |handshake| hook.map_or(Admission::Accept, |hook| hook.ask(p, handshake))
    }

    /// Both handshakes; `p` is this session, as the host knows it.
    #[inline(never)] // what they need of the stack is not to lie there for as long as the session lives
    pub(super) fn connect(&self, p: *mut wsproxy, client: Client, url: &Url) -> Result<()> {
        self.proxy.connect_to(client, url, &mut self.admit(p))?;
        self.connected();
        Ok(())
    }

    /// Relays to the end; `p` is this session, as the host knows it.
    pub(super) fn execute(
        &self,
        p: *mut wsproxy,
        on_frame: wsproxy_on_frame,
        userdata: *mut c_void,
    ) -> Result<()> {
        match on_frame {
            None => self.proxy.relay(),
            Some(on_frame) => {
                let hook = Hook::new(on_frame, p, userdata);
                self.proxy.execute(|frame| hook.show(frame))
            }
        }
    }
}

/// A new session with the settings that `config` has now; NULL means the defaults.
///
/// `config` is borrowed for the call. Returns a session that `wsproxy_free` frees; NULL only if the system has no
/// random numbers or the library failed in itself. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_new(config: *const wsproxy_config) -> *mut wsproxy {
    guard::catch(
        |_| std::ptr::null_mut(),
        || {
            // SAFETY: the caller's promise: NULL, or a configuration that was not freed.
            let config = unsafe { config.as_ref() };
            let config = config.map_or_else(|| Arc::new(Config::new()), wsproxy_config::snapshot);
            let Ok(proxy) = Proxy::new(config) else { return std::ptr::null_mut() };
            let preparation = Preparation { handover: Handover::Fresh, on_handshake: None };
            let session = wsproxy::new(Arc::new(proxy), preparation, false);
            Arc::into_raw(Arc::new(session)).cast_mut()
        },
    )
}

/// Gives the library what the host has already read of the client's request, from its first byte. Before
/// `wsproxy_connect` or `wsproxy_connect_client`, which read the rest of it, if any, from the socket.
///
/// `data` is copied; NULL if `len` is 0. The last call of this or `wsproxy_set_client_upgraded` counts. Returns
/// WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE once the client is connected. After a failure nothing was
/// changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_set_client_head(
    p: *mut wsproxy,
    data: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let head = bytes("request", data, len)?.to_vec();
            session.prepare(|preparation| preparation.handover = Handover::Head(head))
        })
    }
}

/// Says that the host has done the client's handshake itself, its answer included. `early` is what it has read
/// after the request. Before `wsproxy_connect` or `wsproxy_connect_client`, which then send and read no HTTP on the
/// client's side.
///
/// `early` is copied; NULL if `len` is 0. The last call of this or `wsproxy_set_client_head` counts. Returns
/// WSPROXY_OK, WSPROXY_ERR_ARGUMENT, or WSPROXY_ERR_STATE once the client is connected. After a failure nothing was
/// changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_set_client_upgraded(
    p: *mut wsproxy,
    early: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let early = bytes("early data", early, len)?.to_vec();
            session.prepare(|preparation| preparation.handover = Handover::Upgraded(early))
        })
    }
}

/// Has `on_handshake` asked about the client's request, before the upstream is. Before `wsproxy_connect` or
/// `wsproxy_connect_client`; NULL takes it away again.
///
/// `userdata` is handed to the hook; neither is used after those have returned. A client that the host has upgraded
/// itself is not asked about. Returns WSPROXY_OK, WSPROXY_ERR_ARGUMENT (NULL session), or WSPROXY_ERR_STATE once the
/// client is connected. After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_set_on_handshake(
    p: *mut wsproxy,
    on_handshake: wsproxy_on_handshake,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let hook = on_handshake.map(|on_handshake| HandshakeHook::new(on_handshake, userdata));
            session.prepare(|preparation| preparation.on_handshake = hook)
        })
    }
}

/// Does both handshakes: reads the client's request, asks the handshake hook, if there is one, connects to the
/// upstream at `url`, and only then answers the client.
///
/// `url` is `ws://host[:port][/path]`, `wss://host[:port][/path]` (TLS) or `ws+unix:/socket[:/path]` (a Unix socket);
/// an IPv6 address stands in brackets. A path or query in it is used as it stands; without one the client's is.
/// Clients speak TLS if the configuration has a certificate to show them (`wsproxy_config_set_client_certificate`).
///
/// `client_fd` is duplicated: the host closes its own, best as soon as this has returned. `url` is borrowed for the
/// call. Blocks: up to the connect timeout for the client's request, again for the upstream, and again until the
/// client has taken its answer; a client that is refused has up to a second to read why. `wsproxy_stop` on another
/// thread ends the waiting, but for that second.
///
/// Returns WSPROXY_OK;
/// WSPROXY_ERR_ARGUMENT (NULL, no open socket, a URL that is none) and WSPROXY_ERR_STATE (connected before): nothing
/// was changed, and the call may be made again;
/// WSPROXY_ERR_REQUEST: the client's request is no handshake, and was answered with an HTTP error;
/// WSPROXY_ERR_REFUSED, WSPROXY_ERR_UNREACHABLE, WSPROXY_ERR_TLS, WSPROXY_ERR_TIMEOUT, WSPROXY_ERR_GONE,
/// WSPROXY_ERR_IO: the client was answered with the refusal of the upstream or of the hook, or with 502 or 504, if it
/// was still there and TLS with it had come about (`wsproxy_http_status`, `wsproxy_error_fault`);
/// WSPROXY_ERR_HOOK: the handshake hook failed, and the client was answered 500;
/// WSPROXY_ERR_STOPPED: `wsproxy_stop` or `wsproxy_free` was called.
/// After those the connections are closed, and nothing is left to do but to read the words and free the session.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_connect(
    p: *mut wsproxy,
    client_fd: c_int,
    url: *const c_char,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let url = c_text("URL", url)?;
            session.connect(p, session.client(client_fd)?, &Url::parse(url)?)
        })
    }
}

/// The upstream's half of `wsproxy_connect`. The halves may be called in either order, one at a time; without a
/// client's request at hand the upstream gets the headers and subprotocols of the configuration.
///
/// Pointers and results are those of `wsproxy_connect`. Blocks up to the connect timeout. After a failure other than
/// WSPROXY_ERR_STOPPED the call may be made again, with another URL too; the client was told nothing.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_connect_upstream(p: *mut wsproxy, url: *const c_char) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { guard::handle(p, |session| session.proxy.connect_upstream(c_text("URL", url)?)) }
}

/// The client's half of `wsproxy_connect`: the client is answered at once, with the upstream's subprotocol if that
/// was connected before. What the handshake hook says of the upstream counts if that is connected later.
///
/// Pointers, results and what is allowed after a failure are those of `wsproxy_connect`. Blocks up to the connect
/// timeout for the request, and again until the client has taken its answer or, refused, up to a second.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_connect_client(p: *mut wsproxy, client_fd: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let client = session.client(client_fd)?;
            session.proxy.connect_client_with(client, session.admit(p))?;
            session.connected();
            Ok(())
        })
    }
}

/// Relays frames both ways and shows each to `on_frame`, until the session has ended. Once per session, after both
/// handshakes. NULL for `on_frame` relays without a hook.
///
/// `userdata` is handed to the hook; it and the hook are not used after this has returned. Blocks until the end;
/// then both connections are closed and the library's threads are gone.
///
/// Returns WSPROXY_OK after an orderly end (a closing handshake, WSPROXY_END, `wsproxy_stop`, `wsproxy_free`);
/// WSPROXY_ERR_ARGUMENT (NULL) and WSPROXY_ERR_STATE (not connected on both sides, or executed before): nothing was
/// changed;
/// WSPROXY_ERR_PROTOCOL, WSPROXY_ERR_LIMIT, WSPROXY_ERR_GONE, WSPROXY_ERR_TIMEOUT, WSPROXY_ERR_TLS, WSPROXY_ERR_IO:
/// what a peer or the system did (`wsproxy_error_fault`);
/// WSPROXY_ERR_HOOK.
/// After those nothing is left to do but to read the words and the statistics and free the session.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_execute(
    p: *mut wsproxy,
    on_frame: wsproxy_on_frame,
    userdata: *mut c_void,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { guard::handle(p, |session| session.execute(p, on_frame, userdata)) }
}

/// Ends the session in an orderly way: both sides get a close frame with `code` and `reason`, and `wsproxy_execute`
/// returns within the close timeout. A handshake in progress, or one that is still to come, is given up and returns
/// WSPROXY_ERR_STOPPED.
///
/// `code` may be WSPROXY_CLOSE_ABSENT; codes that must not be on the wire are mapped: 1005 to no code, others to
/// 1011. `reason` is copied: UTF-8, at most 123 bytes, none without a code (RFC 6455 has no place for it), NULL if
/// `reason_len` is 0. Never blocks. Any thread, inside the hook too, at any time before `wsproxy_free`.
///
/// Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT (NULL, a number that is no code, another reason): then nothing was
/// changed. The first stop counts. Frames that the hook has seen and that are not written yet may go out before the
/// close frame, or not at all.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_stop(
    p: *mut wsproxy,
    code: c_int,
    reason: *const c_char,
    reason_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let code = close_code(code)?.unwrap_or(NO_STATUS);
            session.proxy.stop(code, text("close reason", reason, reason_len)?)
        })
    }
}

/// Ends the session as `wsproxy_stop` does, but between messages: neither side gets the close frame in the middle of
/// a message that has begun to cross, and nothing that the hook has let pass is lost. Of both directions the one that
/// is between messages waits for the other, and forwards control frames only. A handshake in progress, or one that is
/// still to come, is completed first; `wsproxy_execute` then ends as soon as it begins.
///
/// Pointers, codes and results are those of `wsproxy_stop`. It has no time limit of its own: `wsproxy_stop` and
/// `wsproxy_abort` end a session that still drains. Never blocks. Any thread, inside a hook too.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_drain(
    p: *mut wsproxy,
    code: c_int,
    reason: *const c_char,
    reason_len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let code = close_code(code)?.unwrap_or(NO_STATUS);
            session.proxy.drain(code, text("close reason", reason, reason_len)?)
        })
    }
}

/// Ends the session now: as `wsproxy_stop` with the close frame that was asked for before, or 1001; but each side is
/// sent only what it takes at once, and nobody's answer is waited for. `wsproxy_execute` returns as soon as the hook
/// does, if that is at work. Never blocks. Any thread, inside a hook too.
///
/// Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for NULL.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_abort(p: *mut wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            session.proxy.abort();
            Ok(())
        })
    }
}

/// Keeps a pointer of the host's with the session, for `wsproxy_userdata`: what it has for each client of a server,
/// for example. NULL at first. The library does nothing else with it. Any thread.
///
/// Returns WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for a NULL session.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_set_userdata(p: *mut wsproxy, userdata: *mut c_void) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            session.userdata.store(userdata, Ordering::Release);
            Ok(())
        })
    }
}

/// The pointer that `wsproxy_set_userdata` has kept; NULL if none, and for a NULL session. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_userdata(p: *const wsproxy) -> *mut c_void {
    let none = std::ptr::null_mut();
    let userdata = |session: &wsproxy| session.userdata.load(Ordering::Acquire);
    if is_shown_by(p) {
        // SAFETY: the session is alive while its hook runs. A hook asks for each frame, and a reference would be dear.
        return unsafe { guard::quick(p, none, |session| Some(userdata(session))) };
    }
    // SAFETY: passed on to the caller.
    unsafe { guard::ask(p, none, userdata) }
}

/// Sends a frame of the host's own to `side`: WSPROXY_TEXT, WSPROXY_BINARY, WSPROXY_PING or WSPROXY_PONG. It is not
/// shown to the hook; sent from inside the hook, it goes before the frame that the hook is looking at. Data waits
/// for the end of a message under way, pings and pongs go between fragments. All wait while the direction that
/// forwards to `side` waits: for its hook to return, and for its turn at the hook (`wsproxy_config_set_policy`).
///
/// `data` is copied; NULL if `len` is 0. Never blocks. Any thread, inside the hook too, while the session runs.
///
/// Returns WSPROXY_OK: it will be sent, unless the session ends first; WSPROXY_ERR_ARGUMENT (another side or kind,
/// text that is not UTF-8, more than 125 bytes in a ping or pong); WSPROXY_ERR_STATE (not connected, or ended);
/// WSPROXY_ERR_AGAIN (too much is waiting). After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_send(
    p: *mut wsproxy,
    side: c_int,
    kind: c_int,
    data: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::handle(p, |session| {
            let (side, kind) = (one_side(side)?, constants::kind(kind)?);
            session.proxy.send(side, kind, bytes("payload", data, len)?)
        })
    }
}

/// The words of the calling thread's last failed call with this session, or, if it had none, of the last failed
/// call of any thread: whose fault it was, a colon, what was wrong. "" if nothing failed; a fixed text for NULL;
/// never NULL.
///
/// The text belongs to the session and is good until the calling thread's next call with this session. Any thread,
/// inside the hook too.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_error(p: *const wsproxy) -> *const c_char {
    if p.is_null() {
        return c"host: the session is NULL".as_ptr();
    }
    // SAFETY: passed on to the caller.
    unsafe { guard::ask(p, c"".as_ptr(), |session| session.words.text()) }
}

/// Whose fault the failure was that `wsproxy_error` tells of: one of the WSPROXY_FAULT_ numbers. For NULL
/// WSPROXY_FAULT_HOST. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_error_fault(p: *const wsproxy) -> c_int {
    let host = fault_number(Some(crate::Fault::Host));
    // SAFETY: passed on to the caller.
    unsafe { guard::ask(p, host, |session| fault_number(session.words.fault())) }
}

/// The HTTP status of a handshake that failed: that of the upstream's refusal, or the 4xx or 5xx with which a client
/// that waits for an answer is turned away (`wsproxy_connect_upstream` alone tells the client nothing). 0 if there
/// was none, and again once a handshake has succeeded. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_http_status(p: *const wsproxy) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { guard::ask(p, 0, |session| session.proxy.refusal_status().map_or(0, c_int::from)) }
}

/// The subprotocol that the upstream chose; NULL if none. Any thread.
///
/// The text belongs to the session and is good until `wsproxy_free`.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_subprotocol(p: *const wsproxy) -> *const c_char {
    // SAFETY: passed on to the caller.
    unsafe {
        guard::ask(p, std::ptr::null(), |session| match session.proxy.subprotocol() {
            None => std::ptr::null(),
            Some(name) => session.subprotocol.get_or_init(|| c_string(&name)).as_ptr(),
        })
    }
}

/// Frees a session, in whatever state. NULL is allowed.
///
/// A call in progress (from inside its hook, or on another thread) is stopped as by `wsproxy_stop` with 1001; the
/// memory goes when it returns. Of a session that was not executed the connections are closed at once; a side that
/// was connected gets a close frame before. No new call with `p` is allowed afterwards, except inside the hook that
/// is running. A server's session belongs to the server: it is stopped with 1001, and goes when its end hook has
/// returned.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_free(p: *mut wsproxy) {
    guard::catch(drop, || {
        // SAFETY: the caller's promise: NULL, or a session that was not freed; or it was freed inside the hook that
        // is running, and the call around that still holds a reference.
        let Some(session) = (unsafe { p.as_ref() }) else { return };
        if session.freed.swap(true, Ordering::AcqRel) {
            return;
        }
        // That it cannot be stopped means that it has ended or was stopped before.
        let _ = session.proxy.stop(GOING_AWAY, "");
        if session.is_servers {
            return;
        }
        // SAFETY: the reference that `wsproxy_new` gave to the host; `freed` says that it is given back once.
        drop(unsafe { Arc::from_raw(p.cast_const()) });
    });
}
