//! Invariants of absence in ARCHITECTURE.md, as far as a test can keep them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cavatica_local::workspace::Workspace;
use cavatica_tests::{Error, Outcome};

/// Rust files below a folder of the workspace.
fn sources(folder: &str) -> Result<Vec<(PathBuf, String)>, Error> {
    fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), Error> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, files)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)?;
                files.push((path, text));
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    collect(&Workspace::locate()?.root.join(folder), &mut files)?;
    assert!(!files.is_empty(), "{folder}");
    Ok(files)
}

/// Files below a folder that contain a text.
fn naming(folder: &str, text: &str) -> Result<Vec<String>, Error> {
    let files = sources(folder)?.into_iter().filter(|(_, source)| source.contains(text));
    Ok(files.map(|(path, _)| path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect())
}

#[test]
fn the_domain_names_no_sdk_runtime_http_environment_clock_or_random_source() -> Outcome {
    for word in [
        "aws_sdk",
        "aws_config",
        "aws_smithy",
        "lambda_runtime",
        "tokio",
        "hyper",
        "std::env",
        "SystemTime",
        "Instant",
        "rand",
    ] {
        assert_eq!(naming("functions/access/src", &format!("{word}::"))?, Vec::<String>::new(), "{word}");
    }
    Ok(())
}

#[test]
fn only_the_aws_adapter_names_the_sdks_of_iam_and_s3() -> Outcome {
    for (sdk, known) in [("aws_sdk_iam", &["change.rs", "iam.rs", "lib.rs"][..]), ("aws_sdk_s3", &["s3.rs"])] {
        let mut files = naming("functions/aws/src", sdk)?;
        files.sort();
        assert_eq!(files, known, "{sdk}");
        assert_eq!(naming("functions/provider/src", sdk)?, Vec::<String>::new(), "{sdk}");
    }
    Ok(())
}

#[test]
fn only_one_file_sends_http_to_cloudformation() -> Outcome {
    assert_eq!(naming("functions", "HttpRequest::new")?, ["http.rs"]);
    assert_eq!(naming("functions/provider/src", "Request { method")?, ["delivery.rs"]);
    assert_eq!(naming("functions/provider/src", ".reveal()")?.len(), 2, "delivery.rs sends, envelope.rs scrubs");
    Ok(())
}

#[test]
fn the_generator_does_no_io_and_draws_no_random_numbers() -> Outcome {
    for word in
        ["std::fs", "std::env", "std::io", "std::net", "std::process", "std::time", "getrandom", "tokio", "aws_sdk"]
    {
        assert_eq!(naming("cdk/generator/src", &format!("{word}::"))?, Vec::<String>::new(), "{word}");
    }
    Ok(())
}

#[test]
fn a_crate_depends_only_on_the_crates_below_it() -> Outcome {
    let root = Workspace::locate()?.root;
    for (path, allowed) in [
        ("functions/access", &[][..]),
        ("functions/aws", &["access"]),
        ("functions/provider", &["access", "aws"]),
        ("cdk/api", &["access", "aws"]),
        ("cdk/generator", &["access"]),
        ("cdk/command-line", &["access", "api", "aws", "generator", "local"]),
        ("local", &[]),
        ("tests/memory", &["access"]),
        ("tests/simulation", &["access", "generator", "local", "memory", "provider"]),
    ] {
        let manifest = std::fs::read_to_string(root.join(path).join("Cargo.toml"))?;
        // Development dependencies are in no release.
        let manifest = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        let used = manifest.lines().filter_map(|line| line.strip_prefix("cavatica-")?.split(['.', ' ']).next());
        let used: Vec<_> = used.collect();
        assert_eq!(used, allowed, "{path}");
    }
    Ok(())
}

/// Returns the rooms of the command line that each of its rooms imports, tests aside.
fn imports() -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let root = Workspace::locate()?.root.join("cdk/command-line/src");
    let mut imports: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (path, source) in sources("cdk/command-line/src")? {
        let room = path
            .strip_prefix(&root)?
            .with_extension("")
            .iter()
            .next()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default().lines();
        let code: String = code.filter(|line| !line.trim_start().starts_with("//")).collect();
        let named = code
            .split("crate::")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
        imports.entry(room.clone()).or_default().extend(named.filter(|other| *other != room).map(str::to_owned));
    }
    Ok(imports)
}

#[test]
fn no_room_of_the_command_line_imports_itself_through_others() -> Outcome {
    let mut left = imports()?;
    assert!(left.len() >= 8, "{left:?}");
    // Takes away what imports nothing that is left, until all is gone or a circle stays.
    loop {
        let known: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, others| others.iter().any(|other| known.contains(other)));
        if left.is_empty() {
            return Ok(());
        }
        assert!(left.len() < before, "a circle among {left:?}");
    }
}

#[test]
fn no_file_is_called_utils() -> Outcome {
    for folder in ["functions", "cdk", "local/src", "tests"] {
        for (path, _) in sources(folder)? {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            assert!(!["utils", "helpers", "common", "types", "misc"].contains(&stem.as_str()), "{}", path.display());
        }
    }
    Ok(())
}

/// Otherwise the SDKs are compiled once for `cargo demo` and again for `cargo test`.
#[test]
fn libraries_have_the_same_features_in_programs_and_in_tests() -> Outcome {
    let resolved = |edges: &str| -> Result<BTreeSet<String>, Error> {
        let arguments = ["tree", "--workspace", "--locked", "--prefix=none", "--format={p} {f}", "--edges", edges];
        let output = Command::new("cargo").args(arguments).current_dir(Workspace::locate()?.root).output()?;
        let lines = String::from_utf8(output.stdout)?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
    };
    let (programs, tests) = (resolved("normal,build")?, resolved("normal,build,dev")?);
    let others: Vec<_> = programs.difference(&tests).collect();
    assert!(others.is_empty(), "tests ask for more features of these; ask for them in the programs too: {others:#?}");
    Ok(())
}
