//! Findings of cfn-lint about the templates. Each is answered here in writing. The checkers that take longer are in
//! `tests/checks`.

use std::path::{Path, PathBuf};

use cavatica_connect::templates_folder;
use cavatica_generator::template::{Config, files};
use cavatica_local::workspace::Workspace;
use cavatica_simulation::evaluation::published;
use cavatica_tests::checkers::{Answer, require_answers, run};
use cavatica_tests::{Error, Outcome};
use serde_json::Value;

/// Findings of cfn-lint, and the reason why each stays.
const CFN_LINT: &[Answer] = &[(
    "W2010",
    "cavatica-volume-native.template",
    "ExternalId is hidden so that the console drops it from links; whoever may read the stack's outputs has to enter it in Cavatica.",
)];

/// Returns the files of a release, and those in the checkout.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let committed = Workspace::locate()?.root.join("templates");
    let mut files = templates_folder::write(&files::generate(&published()), folder)?;
    files.extend(files::generate(&Config::default()).iter().map(|file| committed.join(&file.name)));
    Ok(files)
}

#[test]
fn each_finding_of_cfn_lint_is_answered() -> Outcome {
    let folder = tempfile::tempdir()?;
    let requirements = include_str!("../../checkers/cfn-lint.txt");
    let arguments = ["--include-checks", "I", "--format", "json", "--"];
    let said: Value = serde_json::from_str(&run("cfn-lint", requirements, &arguments, &files(folder.path())?)?)?;
    let found = said.as_array().ok_or("no findings")?.iter().map(|finding| {
        let file = text(&finding["Filename"]);
        let stem = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (text(&finding["Rule"]["Id"]), stem)
    });
    require_answers(&found.collect(), CFN_LINT)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
