//! What bindings/lua/README.md prints, block by block.

use super::script::modules;

pub fn text() -> String {
    std::fs::read_to_string(modules().join("README.md")).unwrap()
}

/// All blocks in this language, in order.
pub fn blocks(language: &str) -> Vec<String> {
    let (text, fence) = (text(), format!("\n```{language}\n"));
    let blocks: Vec<String> = text
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split_once("\n```").expect("the block ends").0.to_owned() + "\n")
        .collect();
    assert!(!blocks.is_empty(), "no {language} in the README");
    blocks
}

/// The one block in this language that has `words`.
pub fn block(language: &str, words: &str) -> String {
    let mut found: Vec<String> =
        blocks(language).into_iter().filter(|block| block.contains(words)).collect();
    assert_eq!(found.len(), 1, "blocks in {language} with {words:?}");
    found.remove(0)
}

/// `text` with `new` in the place of `old`, which has to be there.
pub fn with(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is not in {text}");
    text.replace(old, new)
}
