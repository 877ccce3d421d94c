//! A host in Rust that has a logger of its own keeps it: `wsproxy_log` says so and changes nothing.
#![allow(unsafe_code)] // The function under test is C's.

use std::ffi::{c_char, c_int, c_void};

use wsproxy as _; // links the library

type Callback = Option<unsafe extern "C" fn(c_int, *const c_char, *mut c_void)>;

extern "C" {
    fn wsproxy_log(max_level: c_int, callback: Callback, userdata: *mut c_void) -> c_int;
}

const ERR_STATE: c_int = -2;

struct Hosts;

impl log::Log for Hosts {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, _: &log::Record<'_>) {}
    fn flush(&self) {}
}

unsafe extern "C" fn never(_: c_int, _: *const c_char, _: *mut c_void) {
    panic!("the callback was installed");
}

#[test]
fn the_logger_of_a_rust_host_is_not_replaced() {
    log::set_logger(&Hosts).expect("the first logger");
    log::set_max_level(log::LevelFilter::Info);
    for _ in 0..2 {
        // SAFETY: the callback uses nothing of what it is given.
        let result = unsafe { wsproxy_log(5, Some(never), std::ptr::null_mut()) };
        assert_eq!(result, ERR_STATE);
    }
    assert_eq!(log::max_level(), log::LevelFilter::Info);
    log::info!(target: "wsproxy", "for the host");
}
