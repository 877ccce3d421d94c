//! Python with `websockets`, in a virtual environment of its own under the target directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The pinned release.
const WEBSOCKETS: &str = "websockets==13.1";

/// The interpreter that has `websockets`; installed by the first test that asks.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(WEBSOCKETS.replace("==", "-"));
        let python = home.join("bin/python3");
        let works = |python: &Path| {
            let import = "import websockets.asyncio.client";
            let run = Command::new(python).args(["-c", import]).stderr(Stdio::null()).status();
            run.is_ok_and(|status| status.success())
        };
        if !works(&python) {
            must_run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
            let install =
                ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", WEBSOCKETS];
            must_run(Command::new(&python).args(install));
            assert!(works(&python), "{WEBSOCKETS} was installed and cannot be imported");
        }
        python
    })
}

/// A script of `tests/peers`, to be run.
pub fn script(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name);
    let mut command = Command::new(python());
    command.arg(path);
    command
}

/// Ended with the test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn must_run(command: &mut Command) {
    let needs =
        "this test needs python3 with venv and pip (Debian: python3-venv) and access to PyPI";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {needs}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}; {needs}\n{words}", output.status);
}
