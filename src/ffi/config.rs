//! `wsproxy_config_*`: every setting, one function each.
//!
//! Theory: a configuration is an `Arc<Config>` behind a lock. A setter works on a copy and puts it in place only
//! when all of it went well, so a refused value changes nothing, and sessions keep what they started with. The words
//! of a refusal are kept for each thread, as on sessions: what one thread reads no other thread's setter frees.

use std::ffi::{c_char, c_int};
use std::sync::Arc;

use parking_lot::Mutex;

use super::incoming::{milliseconds, switch};
use super::words::Words;
use super::{constants, guard};
use crate::error::{Error, Result};
use crate::{Config, Side};

/// Settings, shared by any number of sessions and threads. Opaque.
pub struct wsproxy_config {
    current: Mutex<Arc<Config>>,
    words: Words,
}

impl wsproxy_config {
    /// The settings as they are now.
    pub(super) fn snapshot(&self) -> Arc<Config> {
        Arc::clone(&self.current.lock())
    }

    fn change(&self, setter: impl FnOnce(&mut Config) -> Result<()>) -> Result<()> {
        let result = guard::catch(Err, || {
            let mut current = self.current.lock();
            let mut config = Config::clone(&current);
            setter(&mut config)?;
            *current = Arc::new(config);
            Ok(())
        });
        if let Err(error) = &result {
            self.words.record(error);
        }
        result
    }
}

pub(super) unsafe fn change(
    config: *mut wsproxy_config,
    setter: impl FnOnce(&mut Config) -> Result<()>,
) -> c_int {
    guard::code(|| {
        // SAFETY: the caller's promise: NULL, or a configuration that was not freed.
        let config = unsafe { config.as_ref() }
            .ok_or_else(|| Error::argument("the configuration is NULL"))?;
        config.change(setter)
    })
}

pub(super) unsafe fn change_sides(
    config: *mut wsproxy_config,
    side: c_int,
    mut setter: impl FnMut(&mut Config, Side) -> Result<()>,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            constants::sides(side)?.iter().try_for_each(|side| setter(config, *side))
        })
    }
}

/// A new configuration with the defaults.
///
/// Returns a configuration that `wsproxy_config_free` frees; NULL only if the library failed in itself.
///
/// All setters: `config` is borrowed, strings are copied. They return WSPROXY_OK, or WSPROXY_ERR_ARGUMENT for
/// NULL and for values that they do not take, or WSPROXY_ERR_IO for a file that cannot be read; then nothing was
/// changed, `wsproxy_config_error` has the words, and everything is still allowed. Any thread may call them. They do
/// not touch sessions and servers that exist.
#[no_mangle]
pub extern "C" fn wsproxy_config_new() -> *mut wsproxy_config {
    guard::catch(
        |_| std::ptr::null_mut(),
        || {
            let current = Mutex::new(Arc::new(Config::new()));
            Box::into_raw(Box::new(wsproxy_config { current, words: Words::default() }))
        },
    )
}

/// Frees a configuration. Sessions made with it keep their settings. NULL is allowed.
///
/// No other thread may be using `config`, and nothing is allowed with it afterwards.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_free(config: *mut wsproxy_config) {
    guard::catch(drop, || {
        if !config.is_null() {
            // SAFETY: the caller's promise: it came from `wsproxy_config_new` and was not freed before.
            drop(unsafe { Box::from_raw(config) });
        }
    });
}

/// The words of the calling thread's last refused setter of `config`, or, if it had none, of the last refused setter
/// of any thread. "" if none was refused; a fixed text for NULL; never NULL.
///
/// The text belongs to the configuration and is good until the calling thread's next call with it, or until it is
/// freed. Any thread.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_error(config: *const wsproxy_config) -> *const c_char {
    guard::catch(
        |_| c"".as_ptr(),
        || {
            // SAFETY: the caller's promise: NULL, or a configuration that was not freed.
            match unsafe { config.as_ref() } {
                Some(config) => config.words.text(),
                None => c"host: the configuration is NULL".as_ptr(),
            }
        },
    )
}

/// Where hooks run: one of the WSPROXY_SERIAL, WSPROXY_CONCURRENT, WSPROXY_CALLER. Default: WSPROXY_SERIAL.
///
/// Under WSPROXY_SERIAL a direction waits for its turn while the other one's hook runs, under WSPROXY_CALLER for the
/// hook of either; what the host sends to the side that it forwards to waits with it (`wsproxy_send`).
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_policy(
    config: *mut wsproxy_config,
    policy: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.policy(constants::policy(policy)?);
            Ok(())
        })
    }
}

/// Whether fragments from `side` (or WSPROXY_BOTH) are joined, so that the hook sees whole messages: 1 or 0.
/// Default: 0, each fragment is shown and forwarded at once.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_aggregate(
    config: *mut wsproxy_config,
    side: c_int,
    on: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change_sides(config, side, |config, side| {
            config.aggregate(side, switch(on)?);
            Ok(())
        })
    }
}

/// The largest payload of one frame from `side` (or WSPROXY_BOTH), in bytes, at least 1. Default: 16 MiB.
/// A larger one ends the session with 1009.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_max_frame_size(
    config: *mut wsproxy_config,
    side: c_int,
    bytes: u64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change_sides(config, side, |config, side| {
            config.max_frame_size(side, bytes)?;
            Ok(())
        })
    }
}

/// The largest message from `side` (or WSPROXY_BOTH), all fragments together, in bytes, at least 1. Default:
/// 64 MiB. A larger one ends the session with 1009.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_max_message_size(
    config: *mut wsproxy_config,
    side: c_int,
    bytes: u64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change_sides(config, side, |config, side| {
            config.max_message_size(side, bytes)?;
            Ok(())
        })
    }
}

/// The most fragments of one message from `side` (or WSPROXY_BOTH), at least 1. Default: 1048576. More end the
/// session with 1009.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_max_fragments(
    config: *mut wsproxy_config,
    side: c_int,
    count: u64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change_sides(config, side, |config, side| {
            config.max_fragments(side, count)?;
            Ok(())
        })
    }
}

/// Whether the close frame 1009 for a side that went over a limit has the reason "Payload Too Large": 1 or 0.
/// Default: 0.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_explain_limits(
    config: *mut wsproxy_config,
    on: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.explain_limits(switch(on)?);
            Ok(())
        })
    }
}

/// Whether text from the peers is checked to be UTF-8: 1 or 0. Default: 1, other text ends the session with 1007.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_check_utf8(
    config: *mut wsproxy_config,
    on: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.check_utf8(switch(on)?);
            Ok(())
        })
    }
}

/// How long the client's request may take; how long the upstream's name, connection and answer together; and how long
/// the client may take to accept its answer: each, in milliseconds, at least 1. Default: 10000.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_connect_timeout(
    config: *mut wsproxy_config,
    ms: i64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.connect_timeout(milliseconds(ms)?)?;
            Ok(())
        })
    }
}

/// How long nothing may cross before the session ends with 1001 on both sides, in milliseconds; 0 is for ever. With
/// `wsproxy_config_set_keepalive_interval` also how long one side may send nothing, not even answers to the pings:
/// then the session ends with 1001 (the client was silent) or 1011 (the upstream). Default: 120000.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_idle_timeout(
    config: *mut wsproxy_config,
    ms: i64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.idle_timeout(milliseconds(ms)?);
            Ok(())
        })
    }
}

/// How long a peer may take nothing of what is to be sent to it, in milliseconds; 0 is for ever: a close frame that
/// came behind those bytes then waits with them, until the idle timeout or wsproxy_stop. Default: 30000.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_write_timeout(
    config: *mut wsproxy_config,
    ms: i64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.write_timeout(milliseconds(ms)?);
            Ok(())
        })
    }
}

/// How long the closing handshake may take before the connections are cut, in milliseconds, at least 1. Default:
/// 10000.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_close_timeout(
    config: *mut wsproxy_config,
    ms: i64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.close_timeout(milliseconds(ms)?)?;
            Ok(())
        })
    }
}

/// How often the library pings each peer by itself, in milliseconds; 0 is never. Default: 0. The answers to
/// these pings are not forwarded.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_keepalive_interval(
    config: *mut wsproxy_config,
    ms: i64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.keepalive_interval(milliseconds(ms)?);
            Ok(())
        })
    }
}

/// How many bytes of frames given to `wsproxy_send` may wait for one side, at least 1, each frame with 64 besides its
/// payload; a single frame of any size may always wait. Default: 1 MiB.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_send_queue(
    config: *mut wsproxy_config,
    bytes: u64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.send_queue(bytes)?;
            Ok(())
        })
    }
}

/// The stack of each thread that the library starts, in bytes, at least 65536. Hooks run on it under WSPROXY_SERIAL
/// and WSPROXY_CONCURRENT, and all hooks of a server. Default: 262144.
#[no_mangle]
pub unsafe extern "C" fn wsproxy_config_set_thread_stack_size(
    config: *mut wsproxy_config,
    bytes: u64,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe {
        change(config, |config| {
            config.thread_stack_size(bytes)?;
            Ok(())
        })
    }
}
