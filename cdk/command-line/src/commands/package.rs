//! `package`: builds a release and writes it into a folder.

use cavatica_access::platform::Platform;
use cavatica_local::children;
use cavatica_local::workspace::Workspace;
use tokio::task::spawn_blocking;

use crate::cli::args::PackageArgs;
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;
use crate::release::package::{FOLDER, Package, PackageError, check_folder};

pub(super) fn run(args: PackageArgs, platform: &Platform, console: &Console) -> Result<Exit, CommandFailure> {
    let workspace = Workspace::locate()?;
    let folder = args.out.unwrap_or_else(|| workspace.target.join(FOLDER));
    check_folder(&folder)?;
    let (platform, for_build) = (platform.clone(), console.clone());
    let package = async move {
        let package = spawn_blocking(move || build(&workspace, &platform, args.reproduce, &for_build)).await??;
        for path in package.write(&folder)? {
            console.print(&format!("wrote {}", path.display()))?;
        }
        tell(&package, console)?;
        Ok(Exit::Done)
    };
    let result = run_until_signal(package, async || {
        console.stop_waiting();
        children::end_all().to_owned()
    });
    console.stop_waiting();
    result
}

fn build(
    workspace: &Workspace,
    platform: &Platform,
    reproduce: bool,
    console: &Console,
) -> Result<Package, PackageError> {
    console.start_waiting("building the Lambda as it is released (minutes, the first time)");
    let package = Package::build(workspace, platform, |line| console.progress(line))?;
    if reproduce {
        console.start_waiting("building a copy of the source tree in another folder (minutes, each time)");
        package.reproduce(workspace, |line| console.progress(line))?;
    }
    console.stop_waiting();
    if reproduce {
        console.checked(&"a build in another folder, with another cargo home, makes the same zip");
    }
    Ok(package)
}

fn tell(package: &Package, console: &Console) -> std::io::Result<()> {
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
        console.note(
            "this is not the source of a commit, so nobody else can build the same: commit what `git status` shows, and \
             package again",
        );
    }
    Ok(())
}
