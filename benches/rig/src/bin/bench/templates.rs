//! Configurations of peers: files of benches/peers with words in `@`s, filled in.

use std::fs;
use std::path::PathBuf;

use crate::stage::Place;
use crate::Result;

/// A word, and what takes its place.
pub type Word = (&'static str, String);

/// Fills in `words` and those that every peer needs; returns the file that was written.
pub fn fill(place: &Place, template: &str, words: &[Word]) -> Result<PathBuf> {
    let setting = place.setting;
    let scratch = setting.scratch.path();
    let own = [
        ("PORT", place.port.to_string()),
        ("SCRATCH", scratch.display().to_string()),
        ("DESCRIPTORS", setting.descriptors.to_string()),
        // Two descriptors each, and some for the process itself.
        ("CONNECTIONS", (setting.descriptors / 2 - 200).to_string()),
    ];
    let text = fs::read_to_string(setting.peer(template))?;
    let file = scratch.join(template);
    fs::write(&file, replace(text, own.iter().chain(words))?)?;
    Ok(file)
}

fn replace<'a>(mut text: String, words: impl Iterator<Item = &'a Word>) -> Result<String> {
    for (word, value) in words {
        text = text.replace(&format!("@{word}@"), value);
    }
    let left = text.lines().find(|line| !line.starts_with('#') && line.contains('@'));
    match left {
        Some(line) => Err(format!("nothing was filled in: {line:?}").into()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_must_be_filled_in() {
        let words = [("PORT", "80".to_owned())];
        let filled = replace("# @WORDS@\nlisten @PORT@;".into(), words.iter());
        assert_eq!(filled.unwrap(), "# @WORDS@\nlisten 80;");
        assert!(replace("listen @PORTS@;".into(), words.iter()).is_err());
    }
}
