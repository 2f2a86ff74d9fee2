//! The documents for people: their links lead somewhere, and their commands are commands that there are.

use std::collections::BTreeMap;
use std::path::Path;

use cavatica_connect::cli::Cli;
use cavatica_connect::workspace::Workspace;
use cavatica_tests::{Error, Outcome};
use clap::Parser as _;

/// The documents at the top of the tree, by name.
fn documents(root: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut documents = BTreeMap::new();
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            documents.insert(name, std::fs::read_to_string(&path)?);
        }
    }
    Ok(documents)
}

/// Where a heading can be linked to. Source: GitHub Docs, "Section links".
fn anchors(document: &str) -> Vec<String> {
    let headings = document.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What a document links to.
fn links(document: &str) -> impl Iterator<Item = &str> {
    document.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn every_link_within_the_documents_leads_somewhere() -> Outcome {
    let root = Workspace::locate()?.root;
    let documents = documents(&root)?;
    let mut followed = 0;
    for (name, text) in &documents {
        for link in links(text).filter(|link| !link.starts_with("https://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { name } else { path };
            assert!(root.join(target).exists(), "{name} links to {link}");
            if !anchor.is_empty() {
                let held = documents.get(target).ok_or_else(|| format!("{name} links into {target}"))?;
                assert!(anchors(held).iter().any(|known| known == anchor), "{name} links to {link}");
            }
            followed += 1;
        }
    }
    assert!(followed >= 15, "{followed} links");
    Ok(())
}

#[test]
fn every_command_line_of_ours_in_the_documents_is_one_that_there_is() -> Outcome {
    let mut tried = 0;
    for (name, text) in documents(&Workspace::locate()?.root)? {
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().filter_map(|line| line.trim().strip_prefix("cargo connect ")) {
            let words = line.split('#').next().unwrap_or_default().split_whitespace();
            let parsed = Cli::try_parse_from(["cavatica-connect"].into_iter().chain(words));
            assert!(
                parsed.is_ok(),
                "{name}: {line}: {}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried} commands");
    Ok(())
}
