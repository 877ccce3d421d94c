//! `docs/refusals.md`, read: what each row promises.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wsproxy::Error;

use super::support::http;
use super::support::peer::header;

/// A row, cell by cell, without the backticks.
#[derive(Debug, Clone)]
pub struct Row {
    pub case: String,
    status: String,
    headers: Vec<String>,
    body: String,
    kind: String,
    fault: String,
    words: String,
    pub test: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

pub fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/refusals.md")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("| "));
    lines.filter(|line| !line.contains("| status | headers |")).map(read).collect()
}

fn read(line: &str) -> Row {
    let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let [_, case, status, headers, body, kind, fault, words, test, _] = cells.as_slice() else {
        panic!("not eight cells: {line}")
    };
    let headers = headers.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let cell = |cell: &String| cell.clone();
    Row {
        case: cell(case),
        status: cell(status),
        headers,
        body: cell(body),
        kind: cell(kind),
        fault: cell(fault),
        words: cell(words),
        test: cell(test),
    }
}

/// The row of the test in which this stands.
macro_rules! row {
    () => {{
        fn here() {}
        super::table::row_of(std::any::type_name_of_val(&here))
    }};
}
pub(crate) use row;

/// The row of the test with this path, behind which comes something within the test.
pub fn row_of(path: &str) -> Row {
    let name = path.rsplit("::").nth(1).unwrap();
    let found = rows().into_iter().find(|row| row.test == name);
    found.unwrap_or_else(|| panic!("docs/refusals.md has no row with the test {name}"))
}

impl Row {
    /// What the client is answered, if it is.
    pub fn status(&self) -> Option<u16> {
        self.status.parse().ok()
    }

    /// What `connect` returned, and what the proxy says of it.
    pub fn is_told_by(&self, error: &Error, refusal_status: Option<u16>) {
        let told = [format!("{:?}", error.kind()), error.fault().to_string()];
        assert_eq!(told, [self.kind.clone(), self.fault.clone()], "{}: {error}", self.case);
        assert!(matches(&self.words, error.message()), "{}: {error}", self.case);
        assert_eq!(refusal_status, self.status(), "{}: refusal_status", self.case);
    }

    /// What the client was answered up to the end of the connection; `theirs` is the body where it is not ours.
    pub fn is_answered_by(&self, answer: &str, theirs: &str) {
        let context = format!("{}: {answer:.1000}", self.case);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer: {context}");
        assert_eq!(Some(http::status(answer)), self.status(), "{context}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        assert!(header(head, "Connection").unwrap().starts_with("close"), "{context}");
        for name in &self.headers {
            assert!(header(head, name).is_some(), "no {name}: {context}");
        }
        let length = header(head, "Content-Length");
        let expected = (!matches!(self.status(), Some(204 | 304))).then(|| body.len().to_string());
        assert_eq!(length, expected, "{context}");
        self.has_body(head, body, theirs, &context);
    }

    fn has_body(&self, head: &str, body: &str, theirs: &str, context: &str) {
        match self.body.as_str() {
            "—" => assert_eq!(body, "", "{context}"),
            "the upstream's" | "the hook's" | "the half" | "its first 64 KiB" => {
                assert!(body == theirs && !theirs.is_empty(), "{context}");
            }
            ours => {
                let start = head.lines().next().unwrap().replacen("HTTP/1.1 ", "", 1) + ": ";
                let text = body.strip_prefix(&start).unwrap_or_else(|| panic!("{context}"));
                assert!(matches(&format!("{ours}\n"), text), "{ours:?}: {context}");
                assert!(header(head, "Content-Type").unwrap().starts_with("text/plain"));
            }
        }
    }
}

/// Whether `text` is `pattern`, in which `…` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    for piece in pieces.clone() {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.trim_end_matches('\n').is_empty() || pieces.next_back() == Some("")
}

/// Every `#[test]` under `tests/refusals`, but for those about the table itself.
fn tests() -> BTreeSet<String> {
    let folder = std::fs::read_dir(root().join("tests/refusals")).unwrap();
    let files = folder.map(|file| file.unwrap().path());
    let sources = files.filter(|file| !file.ends_with("table.rs"));
    let text: String = sources.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let names = text.split("#[test]\nfn ").skip(1);
    names.map(|rest| rest.split('(').next().unwrap().to_owned()).collect()
}

#[test]
fn every_row_names_a_test_and_every_test_has_a_row() {
    let named: Vec<String> = rows().into_iter().map(|row| row.test).collect();
    let once: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(named.len(), once.len(), "a test is in two rows");
    assert_eq!(once, tests());
    assert!(named.len() > 50, "{} rows", named.len());
}

#[test]
fn every_kind_in_the_table_is_a_code_of_the_c_api() {
    let header = std::fs::read_to_string(root().join("include/wsproxy.h")).unwrap();
    for row in rows().into_iter().filter(|row| !row.kind.is_empty()) {
        let code = format!("    WSPROXY_ERR_{} = -", row.kind.to_uppercase());
        assert!(header.contains(&code), "{code} ({})", row.case);
    }
}

#[test]
fn a_row_that_promises_something_else_is_noticed() {
    for (pattern, text, same) in [
        ("a … c", "a b c", true),
        ("a … c", "a b d", false),
        ("a", "a b", false),
        ("a …", "a b", true),
        ("…", "", true),
        ("… b", "a b c", false),
    ] {
        assert_eq!(matches(pattern, text), same, "{pattern} {text}");
    }
}
