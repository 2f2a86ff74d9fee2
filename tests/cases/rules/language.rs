//! Language of the source: doc comments, and every sentence that the programs print, in one list to read.

use std::collections::BTreeMap;
use std::path::Path;

use cavatica_local::workspace::Workspace;
use cavatica_tests::{Error, Outcome};

/// Words with which no doc comment begins. They lead to sentences that nobody would say.
const UNSAYABLE: [&str; 7] = ["What", "Where", "Whether", "Who", "How", "That", "It"];

/// Returns the Rust files below a folder, by their path from the top of the tree.
fn sources(root: &Path, folder: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                files.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(files)
}

#[test]
fn doc_comments_begin_with_a_noun_phrase_or_a_verb() -> Outcome {
    let root = Workspace::locate()?.root;
    let mut wrong = Vec::new();
    for folder in ["functions", "cdk", "local", "tests"] {
        for (name, source) in sources(&root, folder)? {
            let mut is_first = true;
            for (number, line) in source.lines().enumerate() {
                let comment = line.trim_start().strip_prefix("///").or_else(|| line.trim_start().strip_prefix("//!"));
                let first = comment.and_then(|text| text.split_whitespace().next());
                if is_first && first.is_some_and(|word| UNSAYABLE.contains(&word)) {
                    wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
                }
                is_first = comment.is_none();
            }
        }
    }
    assert!(wrong.is_empty(), "begin with the noun, or with a verb such as \"Returns\":\n{}", wrong.join("\n"));
    Ok(())
}

/// Returns the text literals of Rust source with several words, in order. Comments and tests are left out.
fn sentences(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default().replace("reason = \"", "reason = b\"");
    let source = source.as_str();
    let mut sentences = Vec::new();
    let mut characters = source.chars().peekable();
    let mut previous = ' ';
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => while characters.next_if(|c| *c != '\n').is_some() {},
            // A character literal may be a quotation mark.
            '\'' if characters.peek() == Some(&'"') => drop((characters.next(), characters.next())),
            '#' if previous == 'r' => {
                // A raw literal is a pattern or JSON, and no sentence.
                let mut hashes = "#".to_owned();
                while characters.next_if_eq(&'#').is_some() {
                    hashes.push('#');
                }
                let end = format!("\"{hashes}");
                let mut text = String::new();
                while !text.ends_with(&end) {
                    let Some(character) = characters.next() else { break };
                    text.push(character);
                }
            }
            '"' => {
                let is_reason = previous == 'b';
                let mut text = String::new();
                while let Some(character) = characters.next() {
                    match character {
                        '"' => break,
                        '\\' => match characters.next() {
                            Some('\n') => while characters.next_if(|c| c.is_whitespace()).is_some() {},
                            Some('n') => text.push(' '),
                            Some(escaped) => text.push(escaped),
                            None => {}
                        },
                        character => text.push(character),
                    }
                }
                if !is_reason
                    && text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count() >= 4
                {
                    sentences.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }
            _ => {}
        }
        previous = character;
    }
    sentences
}

/// A changed sentence shows here, so that each is read. `INSTA_UPDATE=always` renews the list.
#[test]
fn every_printed_sentence_is_in_the_list() -> Outcome {
    let root = Workspace::locate()?.root;
    let mut list = String::new();
    for folder in
        ["functions/access/src", "functions/provider/src", "cdk/generator/src", "cdk/command-line/src", "local/src"]
    {
        for (name, source) in sources(&root, folder)? {
            let sentences = if name.ends_with("/tests.rs") { Vec::new() } else { sentences(&source) };
            if !sentences.is_empty() {
                list.push_str(&format!("{name}\n  {}\n\n", sentences.join("\n  ")));
            }
        }
    }
    insta::assert_snapshot!(list.trim_end());
    Ok(())
}
