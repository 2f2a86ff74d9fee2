//! The field's static checkers, each in an environment of its own, and the answers to what they find.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use cavatica_local::python;
use cavatica_local::workspace::Workspace;

use crate::Error;

/// A finding: the rule, and the file or resource that breaks it.
pub type Finding = (String, String);

/// The answer to a finding: the rule, the file or resource, and the reason why it stays.
pub type Answer = (&'static str, &'static str, &'static str);

/// Runs a checker and returns what it prints. That it finds something is no failure.
pub fn run(name: &str, requirements: &str, arguments: &[&str], files: &[PathBuf]) -> Result<String, Error> {
    let tools = python::environment(&Workspace::locate()?, name, requirements)?;
    let checked = Command::new(tools.bin(name)).args(arguments).args(files).output()?;
    let printed = String::from_utf8(checked.stdout)?;
    if printed.trim().is_empty() && !checked.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&checked.stderr)).into());
    }
    Ok(printed)
}

/// Fails unless every finding has an answer, and every answer a finding.
pub fn require_answers(found: &BTreeSet<Finding>, answers: &[Answer]) -> Result<(), Error> {
    let known: BTreeSet<Finding> = answers.iter().map(|(rule, of, _)| ((*rule).to_owned(), (*of).to_owned())).collect();
    let unanswered: Vec<_> = found.difference(&known).collect();
    let stale: Vec<_> = known.difference(found).collect();
    if unanswered.is_empty() && stale.is_empty() {
        return Ok(());
    }
    Err(format!("unanswered: {unanswered:#?}, not found any more: {stale:#?}").into())
}

/// Runs a program; returns true if it succeeded, and what it printed on both streams.
pub fn output_of(command: &mut Command) -> Result<(bool, String), Error> {
    let output = command.output()?;
    let printed = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    Ok((output.status.success(), printed))
}
