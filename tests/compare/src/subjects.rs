//! The functions that are measured: ours, others that make the same calls, and one that makes none. Each is built or
//! installed here, packed as it would be for Lambda, and given as a command.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use cavatica_access::platform::CAVATICA;
use cavatica_connect::release::build::{self, Profile};
use cavatica_connect::release::zip::Asset;
use cavatica_local::node::{self, Packages};
use cavatica_local::python::{self, Venv};
use cavatica_local::workspace::Workspace;
use cavatica_simulation::events;
use serde::{Deserialize, Serialize};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::Error;
use crate::emulator::{self, Launch};
use crate::stub::Stub;

/// The packages in Python.
pub const REQUIREMENTS: &str = include_str!("../peers/python/requirements.txt");

/// The packages in JavaScript.
pub const MANIFEST: &str = include_str!("../peers/node/package.json");

const NODE_PACKAGES: Packages =
    Packages { name: "compare", manifest: MANIFEST, lock: include_str!("../peers/node/package-lock.json") };

/// A function to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// cavatica-connect's, without checks: the calls that the others make, too.
    Ours,
    /// cavatica-connect's as the template sets it.
    OursWithChecks,
    /// In Python with crhelper.
    Crhelper,
    /// In Python with cfn-handler.
    CfnHandler,
    /// In JavaScript with AWS's SDK, bundled.
    Node,
    /// In Rust: a signed HTTP client, and nothing else.
    BareClient,
    /// In Rust: no call.
    OnlyAnswers,
}

impl Subject {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Ours,
        Self::OursWithChecks,
        Self::Crhelper,
        Self::CfnHandler,
        Self::Node,
        Self::BareClient,
        Self::OnlyAnswers,
    ];

    /// Its name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "cavatica-connect",
            Self::OursWithChecks => "cavatica-connect, default checks",
            Self::Crhelper => "crhelper, boto3",
            Self::CfnHandler => "cfn-handler, boto3",
            Self::Node => "Node.js, SDK v3, bundled",
            Self::BareClient => "signed HTTP client in Rust",
            Self::OnlyAnswers => "function that only answers",
        }
    }

    /// Returns the value of `Checks` in its events.
    pub fn checks(self) -> &'static str {
        if self == Self::OursWithChecks { "Enforce" } else { "Off" }
    }

    /// True if it does the work of cavatica-connect's function without checks.
    pub fn makes_the_same_calls(self) -> bool {
        !matches!(self, Self::Ours | Self::OursWithChecks | Self::OnlyAnswers)
    }
}

/// All that is measured, ready to start.
#[derive(Debug)]
pub struct Prepared {
    /// Lambda's runtime interface emulator.
    pub emulator: PathBuf,
    /// Programs with their versions, for the report.
    pub programs: Vec<String>,
    release: PathBuf,
    venv: Venv,
    /// The folder of Python's packages.
    libraries: PathBuf,
    folder: PathBuf,
    path: String,
}

/// Builds and installs everything, or says what is missing. `path` is where programs are looked for.
pub fn prepare(workspace: &Workspace, path: &str, mut tell: impl FnMut(&str) + Send) -> Result<Prepared, Error> {
    let folder = workspace.target.join("compare");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    tell("installing the packages in Python and JavaScript if need be");
    let venv = python::environment(workspace, "compare", REQUIREMENTS)?;
    let packages = node::packages(workspace, NODE_PACKAGES)?;
    let version = |program: &Path, argument: &str| said(Command::new(program).arg(argument));
    let programs = vec![
        version("rustc".as_ref(), "--version")?,
        version(&venv.bin("python"), "--version")?,
        format!("Node.js {}", version("node".as_ref(), "--version")?.trim_start_matches('v')),
    ];

    tell("building the functions for release if need be: about five minutes, the first time");
    let built = build::build(workspace, Profile::Release, &mut tell)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--release", "--package", "cavatica-peers"]);
    said(cargo.current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target))?;
    let release = built.binary.parent().map(Path::to_owned).ok_or("the function's binary has no folder")?;

    let peers = workspace.root.join("tests/compare/peers");
    for name in ["with_crhelper.py", "with_cfn_handler.py", "calls.py"] {
        fs::copy(peers.join("python").join(name), folder.join(name))?;
    }
    said(
        Command::new(packages.join("node_modules/.bin/esbuild"))
            .arg(peers.join("node/index.mjs"))
            .args(["--bundle", "--minify", "--platform=node", "--target=node20", "--main-fields=module,main"])
            .args(["--log-level=warning", &format!("--outfile={}", folder.join("index.js").display())])
            .env("NODE_PATH", packages.join("node_modules")),
    )?;

    let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let libraries = PathBuf::from(said(Command::new(venv.bin("python")).args(["-c", ask]))?);
    let emulator = folder.join("aws-lambda-rie");
    // A package in Python cannot mark it as executable.
    said(Command::new("install").args(["-m", "755"]).arg(emulator::place(&libraries)).arg(&emulator))?;
    Ok(Prepared { emulator, programs, release, venv, libraries, folder, path: path.to_owned() })
}

/// Returns the output of a program; an error names the program and what it says.
pub fn said(command: &mut Command) -> Result<String, Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

impl Prepared {
    /// Command and environment of a function.
    pub fn launch(&self, subject: Subject, stub: &Stub) -> Launch {
        let text = |path: &Path| path.display().to_string();
        let python =
            |handler: &str| vec![text(&self.venv.bin("python")), "-m".into(), "awslambdaric".into(), handler.into()];
        let command = match subject {
            Subject::Ours | Subject::OursWithChecks => vec![text(&self.release.join("bootstrap"))],
            Subject::Crhelper => python("with_crhelper.handler"),
            Subject::CfnHandler => python("with_cfn_handler.handler"),
            Subject::Node => vec!["node".into(), text(&self.folder.join("index.js"))],
            Subject::BareClient => vec![text(&self.release.join("bare-client"))],
            Subject::OnlyAnswers => vec![text(&self.release.join("only-answers"))],
        };
        let authorities = text(&self.authorities());
        let environment = [
            ("PATH", self.path.as_str()),
            ("PYTHONPATH", &text(&self.folder)),
            ("AWS_ENDPOINT_URL", &stub.aws),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_LAMBDA_FUNCTION_NAME", "ProviderFunction"),
            ("AWS_LAMBDA_FUNCTION_TIMEOUT", "180"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            // Whoever reads the machine's authorities reads as many as on Lambda, and ours.
            ("SSL_CERT_FILE", &authorities),
            ("AWS_CA_BUNDLE", &authorities),
            ("NODE_EXTRA_CA_CERTS", &text(&stub.authority)),
            ("COMPARE_CALLS", &text(&self.calls())),
            ("CAVATICA_STACK_ID", events::STACK),
            ("CAVATICA_TRUSTED_PRINCIPAL_ARN", &CAVATICA.principal),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Launch { command, environment: environment.to_vec() }
    }

    /// Size of the zip that Lambda downloads, in bytes; what the managed runtimes bring, such as boto3, is not in it.
    pub fn package_size(&self, subject: Subject) -> Result<usize, Error> {
        let zip_of = |binary: &str| Asset::from_binary(&self.release.join(binary)).map(|asset| asset.bytes.len());
        let in_python = |handler: &str, library: &str| {
            let mut files = files_of(&self.libraries.join(library))?;
            files.extend([self.folder.join(handler), self.folder.join("calls.py")]);
            packed(&files)
        };
        match subject {
            Subject::Ours | Subject::OursWithChecks => Ok(zip_of("bootstrap")?),
            Subject::Crhelper => in_python("with_crhelper.py", "crhelper"),
            Subject::CfnHandler => in_python("with_cfn_handler.py", "cfn_handler"),
            Subject::Node => packed(&[self.folder.join("index.js")]),
            Subject::BareClient => Ok(zip_of("bare-client")?),
            Subject::OnlyAnswers => Ok(zip_of("only-answers")?),
        }
    }

    /// Returns the file with the authorities to trust: those that botocore brings, and the stub's.
    pub fn trust(&self, stub: &Stub) -> Result<(), Error> {
        let mut authorities = fs::read_to_string(self.libraries.join("botocore/cacert.pem"))?;
        authorities.push_str(&fs::read_to_string(&stub.authority)?);
        Ok(fs::write(self.authorities(), authorities)?)
    }

    /// Returns the file with the calls to make.
    pub fn calls(&self) -> PathBuf {
        self.folder.join("calls.json")
    }

    /// Returns the folder of all that is made here.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn authorities(&self) -> PathBuf {
        self.folder.join("authorities.pem")
    }
}

/// Returns the files of a library in Python, without what Python makes of them.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("__pycache__") {
            files.extend(files_of(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// Size of a zip of these files.
fn packed(files: &[PathBuf]) -> Result<usize, Error> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        zip.start_file(file.display(), SimpleFileOptions::default().compression_level(Some(9)))?;
        zip.write_all(&fs::read(file)?)?;
    }
    Ok(zip.finish()?.into_inner().len())
}
