//! A drain that a signal handler asks for: no lock, no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wsproxy::{Config, Policy, Server};

use super::guard::watched;
use super::scene::{relay, Scene};
use super::support::host::config;
use super::support::peer::{BINARY, CLOSE};

/// The system's, and it counts what this thread asks for.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The server to be drained, or null.
static SERVER: AtomicPtr<Server> = AtomicPtr::new(std::ptr::null_mut());
static HANDLED: AtomicUsize = AtomicUsize::new(0);
static TOOK_MEMORY: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    let before = CALLS.with(Cell::get);
    // SAFETY: whoever has put it here keeps it until long after he has taken it away.
    if let Some(server) = unsafe { SERVER.load(Ordering::SeqCst).as_ref() } {
        let _ = server.drain(1001, Duration::from_secs(10));
    }
    TOOK_MEMORY.fetch_add(CALLS.with(Cell::get) - before, Ordering::SeqCst);
    HANDLED.fetch_add(1, Ordering::SeqCst);
}

fn handle(signal: libc::c_int) {
    // SAFETY: all zeros is a sigaction without flags and with an empty mask; the handler calls what may be called there.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

#[test]
fn a_drain_that_succeeds_takes_no_memory_and_keeps_errno() {
    watched(|| {
        let server = Server::new(Arc::new(Config::new())).unwrap();
        for code in [1001, 4000, 1005, 0] {
            let before = CALLS.with(Cell::get);
            // SAFETY: errno is this thread's.
            unsafe { *libc::__errno_location() = 4242 };
            let done = server.drain(code, Duration::MAX);
            // SAFETY: as above.
            let errno = unsafe { *libc::__errno_location() };
            assert_eq!((CALLS.with(Cell::get) - before, errno), (0, 4242));
            assert_eq!(done, Ok(()));
        }
    });
}

#[test]
fn signal_handlers_on_busy_threads_drain_the_server() {
    handle(libc::SIGUSR1);
    watched(|| {
        let server = Arc::new(Server::new(config(Policy::Serial, |_| {})).unwrap());
        SERVER.store(Arc::as_ptr(&server).cast_mut(), Ordering::SeqCst);
        for _ in 0..5 {
            let addr = server.listen("127.0.0.1:0").unwrap().parse().unwrap();
            let scene = Scene::run(Arc::clone(&server), addr, relay);
            let busy: Vec<_> = (0..10)
                .map(|_| scene.session())
                .map(|(mut client, mut upstream)| {
                    let hearing = thread::spawn(move || while upstream.hear().opcode != CLOSE {});
                    // It allocates all the time, and is a thread that handles the signal.
                    thread::spawn(move || {
                        while !hearing.is_finished() {
                            let bytes = client.frame(true, BINARY, &vec![7; 1 << 10]);
                            let _ = client.try_send_bytes(&bytes);
                        }
                        hearing.join().unwrap();
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(100));
            let before = HANDLED.load(Ordering::SeqCst);
            for _ in 0..50 {
                let pid = rustix::process::getpid();
                rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
            }
            assert_eq!(scene.ended().0, Ok(()));
            busy.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(HANDLED.load(Ordering::SeqCst) > before);
        }
        SERVER.store(std::ptr::null_mut(), Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(TOOK_MEMORY.load(Ordering::SeqCst), 0);
    });
}
