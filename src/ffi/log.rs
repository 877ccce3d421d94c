//! `wsproxy_log`: what the library logs, handed to one callback of the host's.
//!
//! Rules. Only this crate's own records pass: what a dependency writes may hold a peer's secrets. While the
//! callback runs, its thread can neither log (it would call itself) nor change the callback (it would wait for
//! itself). When `wsproxy_log` has returned, the callback before it does not run any more.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Once;

use parking_lot::RwLock;

use super::constants::{log_level, log_level_number};
use super::guard;
use super::incoming::c_string;
use crate::error::{Error, Result};

/// Takes one line of the log, without a line end; `message` is good until the callback returns. Called on the
/// threads of the library and on those that call it, never twice at once on one thread. It may call anything but
/// `wsproxy_log`, and may not unwind.
pub type wsproxy_log_callback = Option<
    unsafe extern "C-unwind" fn(level: c_int, message: *const c_char, userdata: *mut c_void),
>;

type Callback = unsafe extern "C-unwind" fn(c_int, *const c_char, *mut c_void);

struct Sink {
    callback: Callback,
    userdata: *mut c_void,
}

// SAFETY: `userdata` is only handed back to the callback, which the host promises to be callable on any thread.
unsafe impl Send for Sink {}
// SAFETY: as above; `Sink` itself is never changed.
unsafe impl Sync for Sink {}

static SINK: RwLock<Option<Sink>> = RwLock::new(None);

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let target = metadata.target();
        target == "wsproxy" || target.starts_with("wsproxy::")
    }

    fn log(&self, record: &log::Record<'_>) {
        // A thread that is being torn down does not log.
        let nested = IN_CALLBACK.try_with(Cell::get).unwrap_or(true);
        if nested || !self.enabled(record.metadata()) {
            return;
        }
        if let Some(sink) = &*SINK.read() {
            let message = c_string(&record.args().to_string());
            IN_CALLBACK.set(true);
            // SAFETY: the host's promise about its callback and `userdata`, which it keeps until `wsproxy_log`
            // has replaced them; that call waits for the lock we hold.
            unsafe {
                (sink.callback)(log_level_number(record.level()), message.as_ptr(), sink.userdata);
            }
            IN_CALLBACK.set(false);
        }
    }

    fn flush(&self) {}
}

/// Hands the log of the library, up to `max_level` (WSPROXY_LOG_OFF to WSPROXY_LOG_TRACE), to `callback`, for the
/// whole process. NULL, or WSPROXY_LOG_OFF, silences it; that is the start.
///
/// `userdata` is handed to the callback and must live until a later call of this function has returned: then the
/// callback before does not run any more. Any thread may call this, except from inside the callback.
///
/// Returns WSPROXY_OK; WSPROXY_ERR_ARGUMENT for another level; WSPROXY_ERR_STATE from inside the callback, or when
/// the process has another logger (a host in Rust). After a failure nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_log(
    max_level: c_int,
    callback: wsproxy_log_callback,
    userdata: *mut c_void,
) -> c_int {
    guard::code(|| {
        let level = log_level(max_level)?;
        if IN_CALLBACK.get() {
            return Err(Error::state("wsproxy_log was called inside the log callback"));
        }
        install()?;
        let sink = callback.map(|callback| Sink { callback, userdata });
        let level = if sink.is_some() { level } else { log::LevelFilter::Off };
        *SINK.write() = sink;
        log::set_max_level(level);
        Ok(())
    })
}

/// Makes us the logger of the process, once.
fn install() -> Result<()> {
    static INSTALL: Once = Once::new();
    static LOGGER: Logger = Logger;
    INSTALL.call_once(|| {
        // Another logger is noticed below, each time.
        let _ = log::set_logger(&LOGGER);
    });
    let logger: *const dyn log::Log = log::logger();
    if std::ptr::addr_eq(logger, &raw const LOGGER) {
        return Ok(());
    }
    Err(Error::state("another logger is installed in this process"))
}
