//! `package`: builds a release and writes it into a folder.

use crate::cli::args::PackageArgs;
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::release::package::{FOLDER, Package};
use crate::release::workspace::Workspace;

pub(super) fn run(args: PackageArgs, console: &Console) -> Result<Exit, Failure> {
    let workspace = Workspace::locate()?;
    console.wait("building the Lambda as it is released (minutes, the first time)");
    let package = Package::build(&workspace, |line| console.goes_on(line));
    console.rest();
    let package = package?;
    if args.reproduce {
        console.wait("building a copy of the source tree in another folder");
        let reproduced = package.reproduce(&workspace, |line| console.goes_on(line));
        console.rest();
        reproduced?;
        console.print("a build in another folder, with another cargo home, makes the same zip")?;
    }
    for path in package.write(&args.out.unwrap_or_else(|| workspace.target.join(FOLDER)))? {
        console.print(&format!("wrote {}", path.display()))?;
    }
    let manifest = &package.manifest;
    console.print(&format!(
        "release {}: a zip of {} bytes with SHA-256 {}, for {} ({}, glibc {} or later)",
        manifest.version,
        package.zip.bytes.len(),
        package.zip.sha256,
        manifest.runtime,
        manifest.target,
        manifest.glibc
    ))?;
    if manifest.commit.as_ref().is_none_or(|commit| commit.ends_with("-modified")) {
        console.note("this is no commit's source: files differ from git's, so nobody else can build the same");
    }
    Ok(Exit::Done)
}
