//! The bill of materials of the Lambda's binary, in CycloneDX.
//!
//! By OWASP's own library from what cargo resolves: it needs no tool beside cargo, and leaves out what changes without
//! the source (time and serial number), so that equal sources make equal bytes.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata as BomMetadata;
use cyclonedx_bom::prelude::{Bom, Purl, SpdxExpression, SpecVersion};

use super::build::TARGET;
use super::workspace::Workspace;

/// The crate that the binary is made of.
const PROVIDER: &str = "cavatica-provider";

/// Why there is no bill of materials.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// cargo does not resolve the workspace.
    #[error("cargo cannot say what the Lambda is made of: see what it says and mend it")]
    Metadata(#[from] cargo_metadata::Error),
    /// cargo's answer lacks something.
    #[error("cargo's answer does not name {0}: use the Rust version that the workspace names")]
    Missing(&'static str),
    /// A value that CycloneDX does not take.
    #[error("the bill of materials cannot be written ({0}): report it with this text")]
    Unwritable(String),
}

/// Lists the crates that are linked into the binary, and what each depends on, as JSON.
pub(super) fn sbom(workspace: &Workspace) -> Result<Vec<u8>, SbomError> {
    let metadata = MetadataCommand::new()
        .current_dir(&workspace.root)
        .other_options(["--locked", "--filter-platform", TARGET].map(str::to_owned))
        .exec()?;
    let linked = linked(&metadata)?;
    let unwritable = |error: &dyn std::fmt::Display| SbomError::Unwritable(error.to_string());
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let mut provider = None;
    for (package, node) in &linked {
        let component = component(package).map_err(|error| unwritable(&error))?;
        if package.name.as_str() == PROVIDER {
            provider = Some(component)
        } else {
            components.push(component)
        }
        let needed = normal(node).filter_map(|id| linked.iter().find(|(other, _)| other.id == *id));
        let mut needed: Vec<_> = needed.map(|(package, _)| reference(package)).collect();
        needed.sort();
        dependencies.push(Dependency { dependency_ref: reference(package), dependencies: needed });
    }
    let bom = Bom {
        version: 1,
        serial_number: None,
        metadata: Some(BomMetadata { component: provider, ..BomMetadata::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies)),
        spec_version: SpecVersion::V1_5,
        ..Bom::default()
    };
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5).map_err(|error| unwritable(&error))?;
    json.push(b'\n');
    Ok(json)
}

/// The binary's crate and all that it needs at run time, by name and version.
fn linked(metadata: &Metadata) -> Result<Vec<(&Package, &Node)>, SbomError> {
    let nodes = &metadata.resolve.as_ref().ok_or(SbomError::Missing("the dependencies"))?.nodes;
    let root = metadata.packages.iter().find(|package| package.name.as_str() == PROVIDER);
    let mut open: Vec<&PackageId> = vec![&root.ok_or(SbomError::Missing(PROVIDER))?.id];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(nodes.iter().filter(|node| node.id == *id).flat_map(normal));
        }
    }
    let is_linked = |package: &&Package| {
        // Macros run in the compiler, and nothing of them is left.
        seen.contains(&package.id) && !package.targets.iter().any(|target| target.is_proc_macro())
    };
    let mut linked: Vec<(&Package, &Node)> = Vec::new();
    for package in metadata.packages.iter().filter(is_linked) {
        linked.extend(nodes.iter().find(|node| node.id == package.id).map(|node| (package, node)));
    }
    linked.sort_by_key(|(package, _)| (package.name.to_string(), package.version.clone()));
    Ok(linked)
}

/// The packages that a package needs at run time, not to be built or tested.
fn normal(node: &Node) -> impl Iterator<Item = &PackageId> {
    let is_normal = |kinds: &[cargo_metadata::DepKindInfo]| kinds.iter().any(|it| it.kind == DependencyKind::Normal);
    node.deps.iter().filter(move |dependency| is_normal(&dependency.dep_kinds)).map(|dependency| &dependency.pkg)
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package) -> Result<Component, Box<dyn std::error::Error>> {
    let (name, version, reference) = (package.name.as_str(), package.version.to_string(), reference(package));
    let kind = if name == PROVIDER { Classification::Application } else { Classification::Library };
    let licence = package.license.as_deref().map(|text| text.replace('/', " OR "));
    Ok(Component {
        purl: Some(Purl::new("cargo", name, &version)?),
        licenses: licence.map(|text| Licenses(vec![LicenseChoice::Expression(SpdxExpression::new(&text))])),
        ..Component::new(kind, name, &version, Some(reference))
    })
}
