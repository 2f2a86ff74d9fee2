//! The documents for people: their links lead somewhere, and their commands are commands that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use cavatica_access::permissions::{LIST, PERMISSIONS, Permission};
use cavatica_access::platform::CAVATICA;
use cavatica_connect::cli::args::Cli;
use cavatica_local::engine::Engine;
use cavatica_local::python;
use cavatica_local::workspace::Workspace;
use cavatica_tests::{Error, Outcome};
use clap::Parser as _;
use tokio::process::Command;

/// The packages of AWS's own command line.
const AWS: &str = include_str!("../../documents/aws.txt");

/// Returns the documents at the top of the tree and in `docs/`, by path.
fn documents(root: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut documents = BTreeMap::new();
    for folder in ["", "docs"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                documents.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(documents)
}

/// Returns the path of a link's target from the top of the tree.
fn resolved(document: &str, link: &str) -> String {
    let folder = Path::new(document).parent().unwrap_or_else(|| Path::new(""));
    let mut path = Vec::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part.as_os_str().to_string_lossy().into_owned()),
        }
    }
    path.join("/")
}

/// Returns the anchors of a document's headings. Source: GitHub Docs, "Section links".
fn anchors(document: &str) -> Vec<String> {
    let headings = document.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Returns the commands of AWS's command line in a document, in blocks and in running text, in their order.
fn aws_commands(document: &str) -> Vec<String> {
    let joined = document.replace("\\\n", " ");
    let within_lines = joined.split('`').skip(1).step_by(2).filter(|code| code.starts_with("aws ")).map(str::to_owned);
    let lines = joined.lines().filter(|line| line.starts_with("aws ")).map(str::to_owned);
    let mut commands: Vec<_> = lines.chain(within_lines).collect();
    commands.sort_by_key(|command| joined.find(command.as_str()));
    commands
}

/// Returns the targets of a document's links.
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
            let target = &if path.is_empty() { name.clone() } else { resolved(name, path) };
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

/// Returns the words in backticks of a document.
fn code_words(document: &str) -> impl Iterator<Item = &str> {
    document.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Returns a map that names what is not there sends its reader astray.
#[test]
fn every_file_in_the_architecture_exists() -> Outcome {
    /// Folders in which paths may begin, besides the top of the tree.
    const FOLDERS: &[&str] = &[
        "functions",
        "functions/access/src",
        "functions/access",
        "cdk/api/src",
        "cdk/generator/src",
        "cdk/generator/src/template",
        "cdk/command-line/src",
        "tests/cases",
    ];
    /// Words that look like a file of the tree and are none.
    const OTHERS: [&str; 2] = ["versions.json", "cdk/command-line/src/commands/NAME.rs"];
    let root = Workspace::locate()?.root;
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let is_path = |word: &&str| {
        let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
        is_plain && (word.contains('/') || Path::new(word).extension().is_some_and(|it| it == "rs" || it == "js"))
    };
    let paths: BTreeSet<_> = code_words(&text).filter(is_path).filter(|path| !OTHERS.contains(path)).collect();
    assert!(paths.len() >= 50, "{paths:?}");
    for path in paths {
        let is_there = [""].iter().chain(FOLDERS).any(|folder| root.join(folder).join(path).exists());
        assert!(is_there, "{path} is not there");
    }
    Ok(())
}

#[test]
fn every_crate_and_every_module_of_cdk_is_in_the_architecture() -> Outcome {
    let root = Workspace::locate()?.root;
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let named: BTreeSet<_> = code_words(&text).collect();
    let modules = ["api", "generator", "command-line"].map(|name| root.join("cdk").join(name).join("src/lib.rs"));
    let modules = modules.map(std::fs::read_to_string).into_iter().collect::<Result<String, _>>()?;
    let modules = modules.lines().filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';').map(str::to_owned));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let members =
        manifest.split_once("members = [").and_then(|(_, rest)| rest.split(']').next()).ok_or("no members")?;
    let crates = members.split('"').skip(1).step_by(2).map(|member| -> Result<String, Error> {
        let manifest = std::fs::read_to_string(root.join(member).join("Cargo.toml"))?;
        let name = manifest.split("name = \"").nth(1).and_then(|rest| rest.split('"').next());
        Ok(name.ok_or("a crate without a name")?.to_owned())
    });
    let expected = crates.collect::<Result<Vec<_>, _>>()?.into_iter().chain(modules).collect::<Vec<_>>();
    assert!(expected.len() >= 30, "{expected:?}");
    for name in expected {
        assert!(named.contains(name.as_str()), "{name} is not named");
    }
    Ok(())
}

/// Returns the rows of SECURITY.md for the actions that a role can have.
fn permission_rows() -> Vec<String> {
    let filled = |text: &str| CAVATICA.fill(text).replace("{bucket}", "the bucket").replace("{folder}", "the prefix");
    let is_granted = |permission: &&Permission| permission.action != "s3:DeleteObject";
    let row = |permission: &Permission| {
        let only_with = if permission.action == LIST { "`RestrictListing`" } else { "a prefix" };
        let in_folder = permission.can_in_folder.map(|text| format!("; with {only_with}: {}", filled(text)));
        format!("| `{}` | {}{} |", permission.action, filled(permission.can), in_folder.unwrap_or_default())
    };
    PERMISSIONS.iter().filter(is_granted).map(row).collect()
}

#[test]
fn the_permissions_in_security_are_those_of_the_program() -> Outcome {
    let text = std::fs::read_to_string(Workspace::locate()?.root.join("SECURITY.md"))?;
    let (_, table) = text.split_once("| action | Cavatica can |\n| --- | --- |\n").ok_or("no table")?;
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    assert_eq!(rows, permission_rows(), "the table should be:\n{}", permission_rows().join("\n"));
    Ok(())
}

#[test]
fn every_command_in_the_documents_parses() -> Outcome {
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

/// Runs every command of AWS's command line that the README has, in their order, as it stands there.
#[tokio::test]
async fn the_aws_commands_of_the_readme_connect_a_bucket_and_undo_it() -> Outcome {
    let workspace = Workspace::locate()?;
    let environment = workspace.clone();
    let tools = tokio::task::spawn_blocking(move || python::environment(&environment, "aws", AWS)).await??;
    let engine = Engine::start(&workspace).await?;
    let s3 = aws_sdk_s3::Client::new(&engine.sdk_config());
    s3.create_bucket().bucket("my-bucket").send().await?;
    // The checkout, as far as the commands need it.
    let folder = tempfile::tempdir()?;
    std::os::unix::fs::symlink(workspace.root.join("templates"), folder.path().join("templates"))?;

    let commands = aws_commands(&std::fs::read_to_string(workspace.root.join("README.md"))?);
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let path = format!("{}:/usr/bin:/bin", tools.bin("").display());
        let run = Command::new("sh")
            .args(["-ec", &command])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder.path())
            .env("AWS_ENDPOINT_URL", engine.url())
            .env("AWS_DEFAULT_REGION", Engine::REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .kill_on_drop(true)
            .output()
            .await?;
        let said = [String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)].concat();
        assert!(run.status.success(), "{command}\n{said}");
        if command.contains("describe-stacks") {
            assert!(said.contains("\"RoleArn\"") && said.contains("\"ExternalId\""), "{command}\n{said}");
        }
    }
    engine.stop().await?;
    Ok(())
}
