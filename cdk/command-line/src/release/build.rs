//! Building the Lambda's binary: the same source and toolchain make the same bytes, whoever builds them and wherever.
//!
//! Compilers write the names of folders into what they make, so each is given a name that is the same everywhere; flags
//! that this machine has for its own programs are left out. One codegen unit is set in `Cargo.toml`.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use cavatica_local::children;
use cavatica_local::workspace::Workspace;
use serde::Deserialize;
use thiserror::Error;

use super::zip::BOOTSTRAP;

/// The target that the template's function runs on.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The crate that the binary is made of.
pub const PROVIDER: &str = "cavatica-provider";

/// The variables by which cargo tells its children about the crate they belong to.
///
/// Under `cargo run` and `cargo test` this process has them. A build below would pass them on to build scripts that
/// watch them (`ring` does), and whoever builds next without them would compile all of that again.
const OF_THIS_CRATE: &[&str] = &[
    "CARGO",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_NAME",
    "CARGO_PKG_README",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// Variables that would change what is built, or where; the crate `cc` takes those for a target before `CFLAGS`.
const OF_THIS_MACHINE: &[&str] = &[
    "CARGO_BUILD_TARGET",
    "CARGO_INCREMENTAL",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS",
    "CARGO_PROFILE_RELEASE_DEBUG",
    "CARGO_PROFILE_RELEASE_LTO",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL",
    "CARGO_PROFILE_RELEASE_PANIC",
    "CARGO_PROFILE_RELEASE_STRIP",
    "CFLAGS_x86_64-unknown-linux-gnu",
    "CFLAGS_x86_64_unknown_linux_gnu",
    "HOST_CFLAGS",
    "TARGET_CFLAGS",
];

/// Build profile of the Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As it is released: small, with libraries of its own, and minutes to compile and link.
    Release,
    /// For the local engine: the same code on the libraries that this program has anyway, linked in seconds.
    Local,
}

impl Profile {
    /// Returns the arguments by which cargo builds it. For the local engine no package is named: then the libraries
    /// have the features that the whole workspace asks for, as in tests.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Release => &["--release", "--package", PROVIDER, "--bin", BOOTSTRAP],
            Self::Local => &["--profile=dev", "--bin", BOOTSTRAP],
        }
    }
}

/// Why there is no binary.
#[derive(Debug, Error)]
pub enum BuildError {
    /// cargo does not run at all.
    #[error("cannot run `cargo`: install Rust with rustup and see that cargo is on PATH")]
    NoCargo(#[source] io::Error),
    /// The compiler does not say what it is.
    #[error("`rustc` does not say its version and its folder: repair the toolchain with `rustup`")]
    Toolchain,
    /// The Lambda does not compile; the text is cargo's.
    #[error("the Lambda does not compile: see what cargo says and build again\n{0}")]
    Build(String),
    /// cargo succeeded without naming the binary.
    #[error("cargo built the Lambda without saying where its binary is: use the Rust version that the workspace names")]
    NoExecutable,
}

/// The compiler, as far as it decides which bytes come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Its version with its commit, such as `rustc 1.95.0 (59807616e 2026-04-14)`.
    pub version: String,
    commit: String,
    sysroot: PathBuf,
}

impl Toolchain {
    /// Returns the one that builds in a source tree.
    pub fn of(workspace: &Workspace) -> Result<Self, BuildError> {
        let rustc = |arguments: &[&str]| {
            let output = Command::new("rustc").args(arguments).current_dir(&workspace.root).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let verbose = rustc(&["--version", "--verbose"]).ok_or(BuildError::Toolchain)?;
        let version = verbose.lines().next().ok_or(BuildError::Toolchain)?;
        let commit = verbose.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        let sysroot = rustc(&["--print", "sysroot"]).ok_or(BuildError::Toolchain)?;
        Ok(Self {
            version: version.to_owned(),
            commit: commit.ok_or(BuildError::Toolchain)?.to_owned(),
            sysroot: sysroot.into(),
        })
    }
}

/// A binary that was just built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The binary.
    pub binary: PathBuf,
    /// The compiler that made it.
    pub toolchain: Toolchain,
    /// The folders that it must not name.
    pub renamed: Vec<Renamed>,
}

/// A folder of this machine, and its name in what compilers make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// As it is here.
    pub from: PathBuf,
    /// As it is everywhere.
    pub to: String,
}

/// Returns the folders that compilers would otherwise write into what they make. Where one lies in another, the inner
/// one is later, and wins.
fn renamed(workspace: &Workspace, toolchain: &Toolchain) -> Vec<Renamed> {
    let rename = |from: PathBuf, to: &str| Renamed { from, to: to.to_owned() };
    vec![
        rename(workspace.root.clone(), "/cavatica-connect"),
        rename(workspace.target.clone(), "/cavatica-connect/target"),
        rename(workspace.cargo_home.clone(), "/cargo"),
        // The compiler names the standard library's sources where they are installed.
        rename(toolchain.sysroot.join("lib/rustlib/src/rust"), &format!("/rustc/{}", toolchain.commit)),
    ]
}

/// Builds the Lambda's binary for this machine and says where it is; costs little when nothing changed.
///
/// Each line that cargo says meanwhile is handed on, since the first build takes minutes.
pub fn build(workspace: &Workspace, profile: Profile, tell: impl FnMut(&str) + Send) -> Result<Built, BuildError> {
    let toolchain = Toolchain::of(workspace)?;
    let renamed = renamed(workspace, &toolchain);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--locked"])
        .args(profile.arguments())
        .arg("--message-format=json-render-diagnostics")
        .env("CARGO_HOME", &workspace.cargo_home)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .current_dir(&workspace.root);
    for variable in OF_THIS_CRATE {
        cargo.env_remove(variable);
    }
    if profile == Profile::Release {
        reproducible(&mut cargo, &renamed);
    }
    let output = children::output(&mut cargo, tell).map_err(BuildError::NoCargo)?;
    if !output.status.success() {
        return Err(BuildError::Build(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()));
    }
    let binary = executable(&output.stdout).ok_or(BuildError::NoExecutable)?;
    Ok(Built { binary, toolchain, renamed })
}

/// Has cargo make the same bytes wherever it runs.
fn reproducible(cargo: &mut Command, renamed: &[Renamed]) {
    let renames = |option| renamed.iter().map(move |it| format!("{option}={}={}", it.from.display(), it.to));
    let for_rust: Vec<_> = renames("--remap-path-prefix").collect();
    let for_c: Vec<_> = renames("-ffile-prefix-map").map(|flag| format!("'{}'", flag.replace('\'', r"'\''"))).collect();
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", for_rust.join("\x1f"))
        // By the crate `cc`: a folder's name may have spaces in it.
        .env("CC_SHELL_ESCAPED_FLAGS", "1")
        .env("CFLAGS", for_c.join(" "));
    for variable in OF_THIS_MACHINE {
        cargo.env_remove(variable);
    }
}

/// Finds the Lambda's binary in cargo's messages, one JSON object a line.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .find(|message| message.target.as_ref().is_some_and(|target| target.name == BOOTSTRAP))
        .and_then(|message| message.executable)
}

/// A line of cargo's; those of other kinds lack these fields. Source: the Cargo Book, "External tools", JSON messages.
#[derive(Deserialize)]
struct Message {
    target: Option<CargoTarget>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"ring"},"executable":null}
{"reason":"build-script-executed","package_id":"ring"}
{"reason":"compiler-artifact","target":{"name":"bootstrap"},"executable":"/t/release/bootstrap"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/bootstrap")));
        assert_eq!(executable(b"{\"reason\":\"build-finished\",\"success\":true}\n"), None);
    }
}
