//! Is what runs what was released? Compares a stack's function and template with a release.
//!
//! The code alone is not all that runs: a layer, an environment variable or another handler changes what a function
//! does and leaves its code as it was. So the settings are compared too.

pub mod deployed;
pub mod template;

use cavatica_access::platform::Platform;
use cavatica_generator::template::files;
use cavatica_generator::template::provided::{HANDLER, PRINCIPAL_VARIABLE, RUNTIME, STACK_VARIABLE};

use self::deployed::{Deployed, Function, Target};
use crate::publish::versions::{Published, Versions, VersionsError};
use crate::release::package::{Content, Package};

/// A release to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Platform that the templates are for.
    pub platform: Platform,
    /// Its version.
    pub version: String,
    /// The git commit that it was built from.
    pub commit: Option<String>,
    /// The SHA-256 of the Lambda's zip, 64 hexadecimal digits in lower case.
    pub code_sha256: String,
    /// The templates.
    pub templates: Vec<Released>,
}

/// A template of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Its name in the package.
    pub name: String,
    /// SHA-256, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Key of the object; empty for one of a package.
    pub key: String,
    /// Its text, if it has been read.
    pub text: Option<String>,
}

/// The result of one comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// True if it is as it was released.
    pub is_equal: bool,
    /// The subject.
    pub what: &'static str,
    /// The finding.
    pub found: String,
}

impl Verdict {
    fn new(is_equal: bool, what: &'static str, found: String) -> Self {
        Self { is_equal, what, found }
    }
}

impl Expected {
    /// Returns what a published release has.
    fn of_release(platform: &Platform, release: &Published) -> Self {
        let templates = release.files.iter().filter(|file| file.name.contains(".template."));
        Self {
            platform: platform.clone(),
            version: release.version.clone(),
            commit: release.commit.clone(),
            code_sha256: release.code_sha256.clone(),
            templates: templates
                .map(|file| Released {
                    name: file.name.clone(),
                    sha256: file.content.sha256.clone(),
                    key: file.key.clone(),
                    text: None,
                })
                .collect(),
        }
    }
}

impl Expected {
    /// Returns what a package has.
    #[must_use]
    pub fn of_package(platform: &Platform, package: &Package) -> Self {
        let templates = package.files.iter().filter(|file| file.name.contains(".template."));
        Self {
            platform: platform.clone(),
            version: package.manifest.version.clone(),
            commit: package.manifest.commit.clone(),
            code_sha256: package.zip.sha256.clone(),
            templates: templates
                .map(|file| Released {
                    name: file.name.clone(),
                    sha256: Content::of(&file.bytes).sha256,
                    key: String::new(),
                    text: Some(String::from_utf8_lossy(&file.bytes).into_owned()),
                })
                .collect(),
        }
    }
}

impl Expected {
    /// Returns the release to compare with: the asked one, or of all those in a list the one that runs, or the newest.
    pub fn in_list(
        platform: &Platform,
        list: &Versions,
        version: Option<&str>,
        deployed: &Deployed,
    ) -> Result<Self, VersionsError> {
        let runs = |it: &&Published| deployed.function.as_ref().is_some_and(|runs| runs.code_sha256 == it.code_sha256);
        let made = |it: &&Published| {
            deployed
                .template
                .as_ref()
                .is_some_and(|text| template_name(&Self::of_release(platform, it), text).is_some())
        };
        // Of several lists of regions for one version, the one whose template the stack has.
        let releases = || list.releases.iter().rev().filter(|it| version.is_none_or(|version| version == it.version));
        let found = releases()
            .find(|it| runs(it) && made(it))
            .or_else(|| releases().find(runs))
            .or_else(|| releases().find(made));
        match found {
            Some(release) => Ok(Self::of_release(platform, release)),
            None => list.find(version).map(|release| Self::of_release(platform, release)),
        }
    }

    /// Returns every verdict, in the order in which they are read.
    #[must_use]
    pub fn verdicts(&self, target: &Target, deployed: &Deployed) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        if let Some(function) = &deployed.function {
            verdicts.push(self.code(function));
            verdicts.push(settings(&self.platform, target, function));
        }
        if let Some(text) = &deployed.template {
            verdicts.push(self.template(text));
        }
        verdicts
    }

    /// Returns the template to compare a stack's with, unless the digest alone shows that they are equal.
    pub fn counterpart(&mut self, text: &str) -> Option<&mut Released> {
        if template_name(self, text).is_some() {
            return None;
        }
        let is_native = text.contains("VolumeRole");
        let name = files::name(&self.platform, is_native);
        self.templates.iter_mut().find(|template| template.name == name)
    }

    fn template(&self, text: &str) -> Verdict {
        let version = &self.version;
        if let Some(name) = template_name(self, text) {
            return Verdict::new(true, "template", format!("{name} of release {version}"));
        }
        let counterpart = self.clone().counterpart(text).cloned();
        let places = counterpart.as_ref().and_then(|it| template::differences(text, it.text.as_deref()?));
        match (counterpart, places) {
            (Some(Released { name, .. }), Some(places)) if places.is_empty() => {
                Verdict::new(true, "template", format!("{name} of release {version}, with another place for the code"))
            }
            (Some(Released { name, .. }), Some(places)) => {
                let places = template::listed(&places);
                Verdict::new(false, "template", format!("not {name} of release {version}: it differs at {places}"))
            }
            _ => Verdict::new(false, "template", format!("the stack's is none of release {version}")),
        }
    }

    fn code(&self, function: &Function) -> Verdict {
        let (runs, released) = (&function.code_sha256, &self.code_sha256);
        let found = match runs == released {
            true => format!("that of release {}, SHA-256 {released}", self.version),
            false => format!("SHA-256 {runs} runs, and release {} has {released}", self.version),
        };
        Verdict::new(runs == released, "code", found)
    }

    /// Compares with a build on this machine.
    #[must_use]
    pub fn rebuilt(&self, built_sha256: &str) -> Verdict {
        let is_equal = built_sha256 == self.code_sha256;
        let found = match is_equal {
            true => format!("the source makes the code of release {}", self.version),
            false => format!(
                "the source makes SHA-256 {built_sha256}, and release {} has {}",
                self.version, self.code_sha256
            ),
        };
        Verdict::new(is_equal, "rebuild", found)
    }
}

/// Returns the template of a release that a stack has. CloudFormation may leave out what follows the last line.
fn template_name<'e>(expected: &'e Expected, text: &str) -> Option<&'e str> {
    let digest = Content::of(format!("{}\n", text.trim_end()).as_bytes()).sha256;
    expected.templates.iter().find(|template| template.sha256 == digest).map(|template| template.name.as_str())
}

/// Compares the settings that decide beside the code what a function does.
fn settings(platform: &Platform, target: &Target, function: &Function) -> Verdict {
    let Platform { principal, .. } = platform;
    let mut differences = Vec::new();
    for (name, found, expected) in [("runtime", &function.runtime, RUNTIME), ("handler", &function.handler, HANDLER)] {
        if found != expected {
            differences.push(format!("its {name} is \"{found}\" in place of {expected}"));
        }
    }
    if !function.layers.is_empty() {
        differences.push(format!("it has the layers {}", function.layers.join(", ")));
    }
    for (name, value) in &function.environment {
        match name.as_str() {
            PRINCIPAL_VARIABLE if value != principal.as_ref() => {
                differences.push(format!("its role would trust {value} in place of {principal}"));
            }
            STACK_VARIABLE if target.is_other_stack(value) => {
                differences.push(format!("it works for stack {value}"));
            }
            PRINCIPAL_VARIABLE | STACK_VARIABLE => {}
            other => differences.push(format!("its environment has {other}")),
        }
    }
    for name in [PRINCIPAL_VARIABLE, STACK_VARIABLE] {
        if !function.environment.iter().any(|(known, _)| known == name) {
            differences.push(format!("its environment lacks {name}"));
        }
    }
    let found = if differences.is_empty() {
        "runtime, handler and environment as in the template, and no layers".to_owned()
    } else {
        differences.join("; ")
    };
    Verdict::new(differences.is_empty(), "settings", found)
}
