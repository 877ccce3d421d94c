//! A Rust file, read just well enough: without its comments, strings and test module; its paths; its functions.

/// One file.
pub(crate) struct Source {
    /// From the root of the package.
    pub(crate) name: String,
    /// As it was written.
    pub(crate) text: String,
    /// The same without comments, the insides of literals and the test module; lines stay lines.
    code: String,
    /// Every path that begins with `crate` or `std`; those with `super` and `self` begin with `crate` here.
    pub(crate) paths: Vec<Vec<String>>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let code = without_tests(&without_comments(text));
        let module = module(name);
        let paths = paths(&tokens(&code));
        let paths = paths.into_iter().filter_map(|path| absolute(path, &module)).collect();
        Source { name: name.to_owned(), text: text.to_owned(), code, paths }
    }

    /// `ws` for everything under `src/ws`, `lib` for `src/lib.rs`.
    pub(crate) fn room(&self) -> &str {
        let inside = self.name.trim_start_matches("src/");
        inside.split('/').next().unwrap().trim_end_matches(".rs")
    }

    pub(crate) fn has_word(&self, word: &str) -> bool {
        tokens(&self.code).iter().any(|token| token == word)
    }

    pub(crate) fn code_lines(&self) -> usize {
        self.code.lines().filter(|line| !line.trim().is_empty()).count()
    }

    /// Names and lines between the braces, blank ones and comments not counted.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        let mut rest = self.code.as_str();
        while let Some(at) = word_at(rest, "fn") {
            rest = &rest[at + 2..];
            let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
            let Some(open) = rest.find(['{', ';']) else { break };
            if name.is_empty() || rest[open..].starts_with(';') {
                continue;
            }
            let body = braced(&rest[open..]);
            let lines = body.lines().filter(|line| !line.trim().is_empty()).count();
            found.push((name, lines));
        }
        found
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_at(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// What stands between the brace at the beginning and its partner; the braces' own lines without code are empty.
fn braced(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[1..at];
        }
    }
    &text[1..]
}

/// Comments and the insides of literals become nothing, line breaks stay.
fn without_comments(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut at) = (String::new(), 0);
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => end_of_line(&chars, at),
            ('/', Some('*')) => end_of_block(&chars, at),
            ('"', _) => end_of_string(&chars, at),
            ('r', Some('"' | '#'))
                if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' =>
            {
                end_of_raw(&chars, at)
            }
            ('\'', _) => end_of_char(&chars, at),
            _ => at,
        };
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().filter(|&&c| c == '\n'));
            at = end;
        }
    }
    code
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |count| at + count)
}

fn end_of_block(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    at
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Behind a raw string; `at` itself if none begins here (`r#type`).
fn end_of_raw(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut close = vec!['#'; hashes + 1];
    close[0] = '"';
    let start = at + hashes + 2;
    let found = chars[start..].windows(close.len()).position(|window| window == close);
    found.map_or(chars.len(), |count| start + count + close.len())
}

/// Behind a character; `at` itself if it is a lifetime.
fn end_of_char(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let close = chars[at + 3..].iter().position(|&c| c == '\'');
            close.map_or(chars.len(), |count| at + count + 4)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Without what `#[cfg(test)]` stands before, if that has braces.
fn without_tests(code: &str) -> String {
    let Some(at) = code.find("#[cfg(test)]") else { return code.to_owned() };
    let (before, rest) = code.split_at(at);
    let Some(open) = rest.find(['{', ';']) else { return before.to_owned() };
    let end = match rest[open..].starts_with(';') {
        true => open + 1,
        false => open + braced(&rest[open..]).len() + 2,
    };
    format!("{before}{}", without_tests(rest.get(end..).unwrap_or_default()))
}

/// Words, `::`, and single other characters.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        let (token, later) = rest.split_at(len);
        if !token.trim().is_empty() {
            tokens.push(token.to_owned());
        }
        rest = later;
    }
    tokens
}

/// Every path of two words or more, with groups taken apart.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at].starts_with(is_word) {
            at = path(tokens, at, &[], &mut found).max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path, or one branch of a group, behind `stem`; gives the position behind it.
fn path(tokens: &[String], mut at: usize, stem: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut words = stem.to_vec();
    while let Some(token) = tokens.get(at) {
        if token == "{" && !words.is_empty() {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                at = path(tokens, at, &words, found).max(at);
                at += usize::from(tokens.get(at).is_some_and(|token| token != "}"));
            }
            return at + 1;
        }
        words.push(token.clone());
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    if words.len() > 1 {
        found.push(words);
    }
    at
}

/// The module that a file is.
fn module(name: &str) -> Vec<String> {
    let inside = name.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module = vec!["crate".to_owned()];
    module.extend(
        inside.split('/').filter(|part| !matches!(*part, "mod" | "lib")).map(str::to_owned),
    );
    module
}

/// `path` from the root; `None` for other crates and for what is neither a crate nor a module.
fn absolute(path: Vec<String>, module: &[String]) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|word| *word == "super").count();
    match path.first()?.as_str() {
        "crate" | "std" => Some(path),
        "core" => Some([&["std".to_owned()], &path[1..]].concat()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => {
            let stem = module.get(..module.len().checked_sub(supers)?)?;
            Some([stem, &path[supers..]].concat())
        }
        _ => None,
    }
}
