//! The demo: it shows each frame, ends by itself, and is coloured on terminals only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod built;
mod support;

use std::process::Command;

use built::{c_host, example, run};

fn demo() -> Command {
    c_host();
    let mut command = Command::new(example("demo"));
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    command
}

/// What it shows on a terminal of its own, with one variable of the environment set.
fn on_a_terminal(name: &str, value: &str) -> String {
    let demo = demo();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command"]).arg(demo.get_program()).arg("/dev/null");
    script.env_remove("NO_COLOR").env("TERM", "xterm").env(name, value);
    String::from_utf8(run(&mut script).stdout).unwrap()
}

#[test]
fn the_demo_shows_every_frame_and_ends_by_itself() {
    let shown = String::from_utf8(run(&mut demo()).stdout).unwrap();
    assert!(!shown.contains('\x1b'), "colours, and no terminal");
    assert_eq!(shown.matches(" client -> upstream ").count(), 7, "{shown}");
    assert_eq!(shown.matches(" client <- upstream ").count(), 5, "{shown}");
    for words in [
        "text              11 B  \"hello world\"               replaced: \"HELLO WORLD\"",
        "text ...           5 B  \"one, \"                     replaced: \"ONE, \"",
        "continuation       5 B  \"three\"                     replaced: \"THREE\"",
        "pong              12 B  \"still there?\"              forwarded",
        "close             12 B  1000 \"that was all\"         forwarded",
        "target/c/proxy --listen",
    ] {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
}

#[test]
fn the_demo_is_coloured_on_a_terminal_unless_that_is_unwanted() {
    assert!(on_a_terminal("TERM", "xterm").contains("\x1b["));
    assert!(!on_a_terminal("NO_COLOR", "1").contains("\x1b["));
    assert!(!on_a_terminal("TERM", "dumb").contains("\x1b["));
}
