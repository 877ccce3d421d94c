//! The visit: everybody is started, the browser opens the page, the page reports, everybody ends.

use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use wsproxy::Server;

use super::authority::Authority;
use super::browser::Browser;
use super::proxy::{Asked, Ended, Running};
use super::upstream::Call;
use super::{pages, upstream};

/// From the browser's start to the page's report.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known when all is over.
pub struct Visit {
    /// The page's findings.
    pub report: Value,
    /// The browser's own log of its network.
    pub net_log: String,
    /// The page's origin.
    pub origin: String,
    /// Lets in pages of that origin only.
    pub guarded: Ended,
    /// Has no list of origins.
    pub open: Ended,
    /// Has a certificate of an authority that the browser does not know.
    pub stranger: Ended,
    calls: Vec<Call>,
}

impl Visit {
    pub fn make() -> Visit {
        let home = tempfile::tempdir().unwrap();
        let authority = Authority::new("Authority of the tests");
        authority.is_trusted_in(home.path());
        let identity = authority.certify(&["app.test", "other.test"]);
        let unknown = Authority::new("Unknown authority").certify(&["app.test"]);

        let drained = Arc::new(OnceLock::<Arc<Server>>::new());
        let (upstream, calls) = upstream::serve({
            let drained = Arc::clone(&drained);
            move || drained.get().unwrap().drain(1001, Duration::from_secs(10)).unwrap()
        });
        let (tell, posts) = channel();
        let pages = pages::serve(&identity, move |report| {
            let _ = tell.send(report);
        });
        let origin = format!("https://app.test:{}", pages.port);
        let guarded = Running::start(&identity, upstream.port, &[&origin]);
        let open = Running::start(&identity, upstream.port, &[]);
        let stranger = Running::start(&unknown, upstream.port, &[]);
        drained.set(guarded.server()).unwrap();

        let ports = [("guarded", &guarded), ("open", &open), ("stranger", &stranger)];
        let ports = ports.map(|(name, server)| format!("{name}={}", server.port));
        let url = format!("{origin}/?{}", ports.join("&"));
        let mut browser = Browser::open(home.path(), &url);
        let report = hear_report(&mut browser, &posts);
        let (guarded, open, stranger) = (guarded.end(), open.end(), stranger.end());
        let net_log = browser.finish();
        drop((pages, upstream));
        home.close().expect("the browser leaves nothing behind");
        let calls = calls.lock().unwrap().clone();
        Visit { report, net_log, origin, guarded, open, stranger, calls }
    }

    /// What the upstream saw at this path.
    pub fn calls(&self, path: &str) -> Vec<&Call> {
        self.calls.iter().filter(|call| call.path() == path).collect()
    }

    /// The one connection to the upstream with this path.
    pub fn call(&self, path: &str) -> &Call {
        match self.calls(path)[..] {
            [call] => call,
            ref calls => panic!("{} calls at {path}: {:?}", calls.len(), self.guarded.errors()),
        }
    }

    /// What the browser asked for at this path.
    pub fn asked(&self, path: &str) -> Asked {
        let mut asked = self.guarded.asked().into_iter();
        asked.find(|asked| asked.path() == path).expect(path)
    }
}

/// The page's report, which says what went wrong if something did.
fn hear_report(browser: &mut Browser, posts: &Receiver<String>) -> Value {
    let started = Instant::now();
    loop {
        match posts.recv_timeout(Duration::from_millis(50)) {
            Ok(report) => {
                let report: Value = serde_json::from_str(&report).unwrap();
                let well = report.get("error").is_none();
                assert!(well, "{report:#}\n{}", browser.words());
                return report;
            }
            Err(RecvTimeoutError::Timeout) => {
                let words = browser.words();
                assert!(!browser.has_ended(), "the browser ended:\n{words}");
                assert!(started.elapsed() < PATIENCE, "no report in {PATIENCE:?}:\n{words}");
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the pages' server ended"),
        }
    }
}
