//! The workflows on GitHub run what there is.

use std::process::Command;

use cavatica_connect::release::package;
use cavatica_local::workspace::Workspace;
use cavatica_tests::Outcome;
use cavatica_tests::checkers::output_of;

#[test]
fn the_changelog_has_the_release_that_is_next_and_the_workflow_finds_its_notes() -> Outcome {
    let workspace = Workspace::locate()?;
    let changelog = std::fs::read_to_string(workspace.root.join("CHANGELOG.md"))?;
    assert!(changelog.contains(&format!("\n## {}", package::VERSION)), "no heading for {}", package::VERSION);
    // The workflow's own program, on the changelog.
    let workflow = std::fs::read_to_string(workspace.root.join(".github/workflows/release.yml"))?;
    let program = workflow.lines().find_map(|line| line.trim().strip_prefix('\'')?.split_once('\'').map(|(it, _)| it));
    let heading = format!("heading=## {}", package::VERSION);
    let mut awk = Command::new("awk");
    awk.args(["-v", &heading, program.ok_or("no program")?]).arg(workspace.root.join("CHANGELOG.md"));
    let (is_done, notes) = output_of(&mut awk)?;
    assert!(is_done && notes.trim().lines().count() > 3, "{notes}");
    assert!(!notes.contains("## ") && notes.contains("connects an S3 bucket to Cavatica"), "{notes}");
    Ok(())
}

/// A repository that took the name of a deleted one is not trusted, nor is another branch.
#[test]
fn the_trust_policy_in_the_documents_pins_repository_and_environment_of_the_workflow() -> Outcome {
    let root = Workspace::locate()?.root;
    let security = std::fs::read_to_string(root.join("SECURITY.md"))?;
    let block = security.split("```json").nth(1).and_then(|rest| rest.split("```").next()).ok_or("no policy")?;
    let policy: serde_json::Value = serde_json::from_str(block)?;
    let statements = policy["Statement"].as_array().ok_or("no statements")?;
    assert_eq!(statements.len(), 1);
    let claims = statements[0]["Condition"]["StringEquals"].as_object().ok_or("no conditions")?;
    let claim =
        |name: &str| claims[&format!("token.actions.githubusercontent.com:{name}")].as_str().unwrap_or_default();
    let workflow = std::fs::read_to_string(root.join(".github/workflows/release.yml"))?;
    let environment = workflow.lines().find_map(|line| line.trim().strip_prefix("environment: ")).ok_or("none")?;
    assert_eq!((claim("aud"), claim("environment")), ("sts.amazonaws.com", environment));
    assert!(claim("sub").ends_with(&format!(":environment:{environment}")) && !claim("sub").contains('*'));
    assert!(!claim("repository_id").is_empty() && claim("repository_id").bytes().all(|b| b.is_ascii_digit()));
    Ok(())
}
