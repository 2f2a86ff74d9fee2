//! The checks of a binary: that it would start on AWS, and that it tells nothing of the machine that made it. Pure:
//! bytes in, a verdict out.

use std::fmt;

use goblin::elf::Elf;
use goblin::elf::header::EM_X86_64;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::build::Renamed;

/// The glibc of Amazon Linux 2023. Source: "Amazon Linux 2023 release notes", package `glibc`.
const PROVIDED: Glibc = Glibc { major: 2, minor: 34 };

/// Libraries that the runtime has: glibc's own and the compiler's for unwinding.
const LIBRARIES: [&str; 7] =
    ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "ld-linux-x86-64.so.2"];

/// A version of glibc, such as 2.34.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Glibc {
    major: u32,
    minor: u32,
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<Glibc> for String {
    fn from(glibc: Glibc) -> Self {
        glibc.to_string()
    }
}

impl TryFrom<String> for Glibc {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or_else(|| format!("\"{text}\" is no version of glibc"))
    }
}

impl Glibc {
    fn read(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        // Such as the 5 of 2.2.5, which no later version has.
        let minor = minor.split('.').next()?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// Why a binary must not be released.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BinaryError {
    /// Something else than a program.
    #[error("the Lambda's binary is no ELF program ({0}): build it on Linux")]
    NotElf(String),
    /// A program for another machine.
    #[error("the Lambda's binary is not for x86-64 Linux, which the template asks for: build it on such a machine")]
    Machine,
    /// Missing library.
    #[error("the Lambda's binary needs {0}, which provided.al2023 does not have: link it statically or leave it out")]
    Library(String),
    /// Newer glibc than Lambda has.
    #[error(
        "the Lambda's binary needs glibc {0}, and provided.al2023 has {PROVIDED}: build it on an older system, such as Debian 12"
    )]
    Glibc(String),
    /// Folder name of the build machine, so that another machine would build other bytes.
    #[error(
        "the Lambda's binary names this machine's folder {0}, so no other machine can build the same: see which dependency ignores the compiler's options and leave it out"
    )]
    Path(String),
}

/// Says which glibc a program needs; refuses one that would not start.
pub(super) fn inspect(binary: &[u8]) -> Result<Glibc, BinaryError> {
    let elf = Elf::parse(binary).map_err(|error| BinaryError::NotElf(error.to_string()))?;
    if !elf.is_64 || elf.header.e_machine != EM_X86_64 {
        return Err(BinaryError::Machine);
    }
    if let Some(library) = elf.libraries.iter().find(|library| !LIBRARIES.contains(library)) {
        return Err(BinaryError::Library((*library).to_owned()));
    }
    let mut newest = Glibc { major: 2, minor: 0 };
    let names = elf.verneed.iter().flat_map(|section| section.iter()).flat_map(|library| {
        library.iter().filter_map(|needed| elf.dynstrtab.get_at(needed.vna_name)).collect::<Vec<_>>()
    });
    for version in names.filter_map(|name| name.strip_prefix("GLIBC_")) {
        match Glibc::read(version).filter(|version| *version <= PROVIDED) {
            Some(version) => newest = newest.max(version),
            None => return Err(BinaryError::Glibc(version.to_owned())),
        }
    }
    Ok(newest)
}

/// Refuses a binary with a folder's name in it.
pub(super) fn has_no_path_of(binary: &[u8], folders: &[Renamed]) -> Result<(), BinaryError> {
    for Renamed { from, to } in folders {
        let name = format!("{}/", from.display());
        if *to != from.to_string_lossy() && binary.windows(name.len()).any(|bytes| bytes == name.as_bytes()) {
            return Err(BinaryError::Path(from.display().to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// This test itself: a program that this machine's compiler made.
    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    /// Returns the program with every text of this name replaced by another of the same length.
    fn with(from: &str, to: &str) -> Vec<u8> {
        let mut binary = own();
        for i in 0..binary.len() - from.len() {
            if binary[i..].starts_with(from.as_bytes()) {
                binary[i..i + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        binary
    }

    #[test]
    fn a_program_of_this_machine_needs_a_glibc_of_two_numbers() {
        let glibc = inspect(&own()).unwrap();
        assert!(glibc <= PROVIDED && glibc > Glibc { major: 2, minor: 2 }, "{glibc}");
        assert_eq!(Glibc::read(&String::from(glibc)), Some(glibc));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(Glibc::read("2.4").unwrap() < Glibc::read("2.34").unwrap());
        assert_eq!(Glibc::read("2.2.5").unwrap(), Glibc { major: 2, minor: 2 });
        assert_eq!(Glibc::read("PRIVATE"), None);
    }

    #[test]
    fn a_younger_glibc_is_refused() {
        let error = inspect(&with("GLIBC_2.34", "GLIBC_2.99")).unwrap_err();
        assert!(error.to_string().contains("needs glibc 2.99, and provided.al2023 has 2.34"), "{error}");
    }

    #[test]
    fn a_library_that_lambda_does_not_have_is_refused() {
        let error = inspect(&with("libgcc_s.so.1", "libssl.so.3\0\0")).unwrap_err();
        assert!(error.to_string().contains("needs libssl.so.3"), "{error}");
    }

    #[test]
    fn another_machines_program_and_a_text_are_refused() {
        let mut arm = own();
        arm[18] = 183;
        assert_eq!(inspect(&arm), Err(BinaryError::Machine));
        assert!(matches!(inspect(b"#!/bin/sh\n"), Err(BinaryError::NotElf(_))));
    }

    #[test]
    fn a_folder_of_this_machine_is_found() {
        let folder = |from: &str, to: &str| Renamed { from: PathBuf::from(from), to: to.to_owned() };
        let binary = b"...panicked at /some/source/tree/src/main.rs...";
        let error =
            has_no_path_of(binary, &[folder("/elsewhere", "/x"), folder("/some/source/tree", "/y")]).unwrap_err();
        assert_eq!(error, BinaryError::Path("/some/source/tree".to_owned()));
        assert_eq!(has_no_path_of(binary, &[folder("/some/source/tree", "/some/source/tree")]), Ok(()));
        assert_eq!(has_no_path_of(binary, &[folder("/some/source/tre", "/y")]), Ok(()));
    }
}
