//! The bill of materials of the Lambda's binary, in CycloneDX.
//!
//! By OWASP's own library from what cargo says is linked: it needs no tool beside cargo, and leaves out what changes
//! without the source (time and serial number), so that equal sources make equal bytes. `cargo metadata` would list
//! more: it takes the features that any crate of the workspace asks for, as a build of one crate does not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::Command;

use cavatica_local::workspace::Workspace;
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::prelude::{Bom, Purl, SpdxExpression, SpecVersion};

use super::build::{PROVIDER, TARGET};

/// Why there is no bill of materials.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// cargo does not run at all.
    #[error("cannot run `cargo`: install Rust with rustup and see that cargo is on PATH")]
    NoCargo(#[source] io::Error),
    /// cargo does not resolve the workspace.
    #[error("cargo cannot say what the Lambda is made of: see what it says and mend it\n{0}")]
    Tree(String),
    /// A line of cargo's that cannot be read.
    #[error(
        "`cargo tree` says \"{0}\", which this program does not understand: use the Rust version that the workspace names"
    )]
    Line(String),
    /// A value that CycloneDX does not take.
    #[error("the bill of materials cannot be written ({0}): report it with this text")]
    Unwritable(String),
}

/// A crate that is linked in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Linked {
    licence: String,
    needs: BTreeSet<Name>,
}

/// A crate's name and version.
type Name = (String, String);

/// Lists the crates that are linked into the binary, and what each needs, as JSON.
pub(super) fn sbom(workspace: &Workspace) -> Result<Vec<u8>, SbomError> {
    // Each line is the depth, the crate and its licence. Source: the Cargo Book, "cargo tree".
    let tree = Command::new("cargo")
        .args(["tree", "--locked", "--package", PROVIDER, "--target", TARGET, "--edges", "normal,no-proc-macro"])
        .args(["--no-dedupe", "--prefix", "depth", "--format", "\t{p}\t{l}"])
        .current_dir(&workspace.root)
        .output()
        .map_err(SbomError::NoCargo)?;
    if !tree.status.success() {
        return Err(SbomError::Tree(String::from_utf8_lossy(&tree.stderr).trim_end().to_owned()));
    }
    write(&read(&String::from_utf8_lossy(&tree.stdout))?).map_err(|error| SbomError::Unwritable(error.to_string()))
}

/// Reads cargo's tree: a crate's line stands below that of a crate that needs it, one deeper.
fn read(tree: &str) -> Result<BTreeMap<Name, Linked>, SbomError> {
    let mut linked: BTreeMap<Name, Linked> = BTreeMap::new();
    let mut above: Vec<Name> = Vec::new();
    for line in tree.lines() {
        let (depth, name, licence) = read_line(line).ok_or_else(|| SbomError::Line(line.to_owned()))?;
        above.truncate(depth);
        if let Some(user) = above.last() {
            linked.entry(user.clone()).or_default().needs.insert(name.clone());
        }
        linked.entry(name.clone()).or_default().licence = licence;
        above.push(name);
    }
    Ok(linked)
}

fn read_line(line: &str) -> Option<(usize, Name, String)> {
    let mut parts = line.split('\t');
    let depth = parts.next()?.parse().ok()?;
    let (name, rest) = parts.next()?.split_once(" v")?;
    let version = rest.split(' ').next()?;
    // Some still write a slash for "or", as Cargo once did.
    Some((depth, (name.to_owned(), version.to_owned()), parts.next()?.replace('/', " OR ")))
}

fn write(linked: &BTreeMap<Name, Linked>) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut components = Vec::new();
    let mut provider = None;
    for (name, crate_) in linked {
        let component = component(name, &crate_.licence)?;
        if name.0 == PROVIDER { provider = Some(component) } else { components.push(component) }
    }
    let dependencies = linked.iter().map(|(name, crate_)| Dependency {
        dependency_ref: reference(name),
        dependencies: crate_.needs.iter().map(reference).collect(),
    });
    let bom = Bom {
        version: 1,
        serial_number: None,
        metadata: Some(Metadata { component: provider, ..Metadata::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies.collect())),
        spec_version: SpecVersion::V1_5,
        ..Bom::default()
    };
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5)?;
    json.push(b'\n');
    Ok(json)
}

fn reference((name, version): &Name) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn component(name: &Name, licence: &str) -> Result<Component, Box<dyn std::error::Error>> {
    let kind = if name.0 == PROVIDER { Classification::Application } else { Classification::Library };
    let licences = Licenses(vec![LicenseChoice::Expression(SpdxExpression::new(licence))]);
    Ok(Component {
        purl: Some(Purl::new("cargo", &name.0, &name.1)?),
        licenses: Some(licences).filter(|_| !licence.is_empty()),
        ..Component::new(kind, &name.0, &name.1, Some(reference(name)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn of_this_workspace() -> Value {
        let workspace = Workspace::locate().unwrap();
        let bytes = sbom(&workspace).unwrap();
        assert_eq!(bytes, sbom(&workspace).unwrap(), "the same source makes the same bytes");
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn lists_linked_crates_without_tests_macros_and_other_workspace_crates() {
        let bom = of_this_workspace();
        let names: Vec<_> =
            bom["components"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        for linked in ["cavatica-access", "lambda_runtime", "ring", "rustls"] {
            assert!(names.contains(&linked), "{linked}");
        }
        for other in ["proptest", "serde_derive", "proc-macro2", "clap", "signal-hook-registry", "cavatica-provider"] {
            assert!(!names.contains(&other), "{other}");
        }
        assert_eq!(bom["metadata"]["component"]["name"], PROVIDER);
        assert!(bom["components"].as_array().unwrap().iter().all(|it| it["licenses"].is_array()));
    }

    #[test]
    fn a_crate_is_listed_once_with_all_that_it_needs_wherever_it_stands() {
        let linked =
            read("0\ta v1.0.0 (/tree/a)\tMIT\n1\tb v2.0.0\tMIT/Apache-2.0\n2\tc v3.0.0\t\n1\tc v3.0.0\t\n").unwrap();
        let name = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let (b, c) = (name("b", "2.0.0"), name("c", "3.0.0"));
        assert_eq!(linked.len(), 3);
        assert_eq!(linked[&name("a", "1.0.0")].needs, [b.clone(), c.clone()].into());
        assert_eq!(linked[&b], Linked { licence: "MIT OR Apache-2.0".to_owned(), needs: [c].into() });
        assert!(matches!(read("something else"), Err(SbomError::Line(_))));
    }
}
