//! The arguments: clap reads into domain values, so that commands see only valid ones.

mod documents;
mod release;
mod stack;
mod volume;

use std::path::PathBuf;

use cavatica_access::copied;
use cavatica_access::volume::{AccessMode, BucketName, Prefix};
use cavatica_generator::wording::excerpt;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use self::documents::{DocumentsArgs, SynthArgs, TemplateFormat};
pub use self::release::{LaunchUrlArgs, PackageArgs, PageArgs, PublishArgs, VerifyArgs};
pub use self::stack::{DeployArgs, DestroyArgs, ListArgs, OutputForm, RehearseArgs, StatusArgs};
pub use self::volume::{
    AttachArgs, ConnectArgs, DetachArgs, DisconnectArgs, NewVolumeArgs, PlatformApiArgs, StackArgs, TokenArgs,
    VolumeArgs, VolumesArgs,
};
use crate::platform::ChosenPlatform;

/// Exit codes, in the words of [`crate::cli::exit::Exit`].
const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  an error, something that could not be read, or \"no\" to the question
  2  wrong arguments
  3  a difference, a finding, a change that --dry-run shows, or a stack in a failed state";

/// Connects S3 buckets to Cavatica by CloudFormation stacks, and removes them again.
#[derive(Debug, Parser)]
#[command(name = "cavatica-connect", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// Command.
    #[command(subcommand)]
    pub command: Command,
    /// File (YAML) that describes another platform on Cavatica's engine, in Cavatica's place
    #[arg(long, global = true, value_name = "FILE", value_parser = str::parse::<ChosenPlatform>)]
    pub platform: Option<ChosenPlatform>,
    /// The connection to AWS.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Arguments of all commands that ask AWS.
#[derive(Debug, Args)]
pub struct ConnectionArgs {
    /// Profile of the AWS configuration; it decides alone, whatever keys the environment has [default: the standard
    /// chain of credentials, with AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Address at which AWS's services answer, for an emulator [default: AWS itself, or AWS_ENDPOINT_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint_url: Option<String>,
}

/// Commands, in the order in which people need them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deploy a stack, attach its volume in Cavatica, and check it
    ///
    /// The commands `deploy` and `attach` as one, with one question. After an interruption, the same command goes on. Needs
    /// a token of the user in ~/.sevenbridges/credentials.
    Connect(ConnectArgs),
    /// Create or update a stack, after printing the changes
    ///
    /// Without --release or --zip, builds the function from the source tree. Code and template go to a private bucket
    /// of the account, which is created the first time: cavatica-connect-assets-ACCOUNT-REGION-an, a name that only the
    /// account can own. Parameters that an update does not name keep their values.
    Deploy(DeployArgs),
    /// List the stacks of a region: name, status, and grants
    ///
    /// Exits with code 3 if a stack is in a failed state.
    List(ListArgs),
    /// Compare a stack with everything that AWS has of it
    ///
    /// Changes nothing without --repair. Exits with code 3 if something differs, or if Cavatica could not use the
    /// bucket.
    Status(StatusArgs),
    /// Attach a stack's volume in Cavatica, and check it
    ///
    /// Needs a token of the user in ~/.sevenbridges/credentials. Adopts a volume that is attached already, if it agrees with
    /// the stack.
    Attach(AttachArgs),
    /// Check that a volume in Cavatica agrees with its stack, and can be listed
    ///
    /// Changes nothing. Exits with code 3 if something differs.
    Check(VolumeArgs),
    /// Send role and external ID of a stack to its volume again, and activate it
    Repair(VolumeArgs),
    /// List the volumes in Cavatica that a token sees
    Volumes(VolumesArgs),
    /// Remove a volume from Cavatica, with the files imported from it
    ///
    /// Prints the numbers of files and running transfers, and asks. Changes no object in the bucket.
    Detach(DetachArgs),
    /// Delete a stack, and look whether anything of it is left
    Destroy(DestroyArgs),
    /// Remove a volume from Cavatica, and delete its stack
    ///
    /// The commands `detach` and `destroy` as one. A stack whose volume is not attached is deleted all the same.
    Disconnect(DisconnectArgs),
    /// Print a link that opens the CloudFormation console with the form filled in
    LaunchUrl(LaunchUrlArgs),
    /// Write the launch page, which makes links, mails and commands in a browser
    ///
    /// One file that works from anywhere and fetches nothing. `publish` puts it beside the templates of a release.
    Page(PageArgs),
    /// Print the IAM documents alone, to follow Cavatica's manual by hand
    ///
    /// Prints one JSON object {"permissions": …, "trust": …}, and with --kms-key-arn also the statement for the key's
    /// policy, which is needed if that policy does not leave permissions to IAM.
    Documents(DocumentsArgs),
    /// Compare a stack's code, settings and template with a release
    ///
    /// One line for each comparison. Exits with code 3 if anything differs.
    Verify(VerifyArgs),
    /// Run a stack's whole life in your account, and remove everything again
    ///
    /// Deploys, updates, renames, provokes failures, deletes, and compares IAM, logs and buckets before and after. All
    /// names begin with the rehearsal's name, and everything is removed, also after a failure or Ctrl-C. Takes some ten
    /// minutes, and needs the rights to create buckets, roles, functions and stacks.
    Rehearse(RehearseArgs),
    /// Build a release: the Lambda's zip, bill of materials, templates, manifest and checksums
    ///
    /// The same source and compiler make the same bytes on every machine. Needs the source tree, and x86-64 Linux whose
    /// C library makes programs that start with glibc 2.34, as Debian 12's does.
    Package(PackageArgs),
    /// Publish a release into one bucket for each region
    ///
    /// Reads every bucket first and prints its plan. Keys contain the content's digest, so that objects never change.
    /// After an interruption, the same command goes on.
    Publish(PublishArgs),
    /// Write the templates and the launch page from the source tree
    Synth(SynthArgs),
    /// Print a shell's completion script
    ///
    /// For bash: cavatica-connect completions bash > ~/.local/share/bash-completion/completions/cavatica-connect
    Completions(CompletionsArgs),
    /// Write the manual pages
    ///
    /// With --out ~/.local/share/man/man1, `man cavatica-connect` shows them.
    Man(ManArgs),
}

/// Groups of commands in the help.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Connect a bucket", &["connect", "deploy", "list", "status", "destroy", "disconnect"]),
    ("Use it in Cavatica", &["attach", "check", "repair", "volumes", "detach"]),
    ("Give to others", &["launch-url", "page", "documents"]),
    ("Check", &["verify", "rehearse"]),
    ("Publish", &["package", "publish"]),
    ("Develop", &["synth", "completions", "man"]),
];

/// Returns the command line with the commands in groups.
#[must_use]
pub fn command() -> clap::Command {
    let command = Cli::command();
    let row = |name: &&str| {
        let about = command.find_subcommand(name).and_then(clap::Command::get_about);
        format!("  {name:<12} {}", about.map(ToString::to_string).unwrap_or_default())
    };
    let group = |(title, names): &(&str, &[&str])| {
        format!("{title}:\n{}", names.iter().map(row).collect::<Vec<_>>().join("\n"))
    };
    let groups = GROUPS.iter().map(group).collect::<Vec<_>>().join("\n\n");
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\n\nOptions:\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

/// Reads the program's arguments.
pub fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches()?)
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// The access mode, as it is spelled on a command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// List and read
    ReadOnly,
    /// List, read and write
    ReadWrite,
}

impl From<Mode> for AccessMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::ReadOnly => Self::ReadOnly,
            Mode::ReadWrite => Self::ReadWrite,
        }
    }
}

/// Commands of other tools, and ours that do the same.
const SYNONYMS: [(&[&str], &str); 5] = [
    (&["apply", "create", "up", "update", "upgrade"], "deploy"),
    (&["diff", "dry-run", "plan", "preview"], "deploy --dry-run"),
    (&["delete", "down", "remove", "rm", "teardown", "uninstall"], "destroy"),
    (&["ls", "stacks"], "list"),
    (&["check", "describe", "drift", "show"], "status"),
];

/// Adds to an error of clap what helps: a long value is repeated in part, and an unknown command is compared by
/// meaning.
#[must_use]
pub fn explained(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let short = excerpt(value);
        error.insert(ContextKind::InvalidValue, ContextValue::String(short));
    }
    if let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidSubcommand) {
        let unknown = unknown.to_lowercase();
        let meant = SYNONYMS.iter().find(|(synonyms, _)| synonyms.contains(&unknown.as_str())).map(|(_, ours)| *ours);
        if let Some(meant) = meant {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![meant.to_owned()]));
        }
    }
    error
}

/// Reads a domain value; what it breaks is said as its rule.
fn ruled<T: std::str::FromStr<Err = &'static str>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|rule| format!("must be {rule}"))
}

/// A prefix, or the whole bucket when nothing but slashes was given.
#[derive(Debug, Clone)]
struct OptionalPrefix(Option<Prefix>);

/// Reads a bucket's name, without the blanks that were copied with it.
fn bucket(text: &str) -> Result<BucketName, String> {
    BucketName::read(text.trim()).map_err(|rule| format!("must be {rule}"))
}

/// Reads a prefix, without the blanks and slashes that were copied with it.
fn prefix(text: &str) -> Result<OptionalPrefix, String> {
    Prefix::read(copied::tidied(text)).map(OptionalPrefix).map_err(|rule| format!("must be {rule}"))
}

/// Reads a parameter of the template. Its value is checked by the template, which is not known yet.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE, such as BucketName=my-bucket")?;
    let value = if name == "Prefix" { copied::tidied(value) } else { value.trim() };
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {

    use super::*;

    #[test]
    fn a_long_value_is_repeated_in_part() {
        let arguments = ["cavatica-connect", "documents", "--bucket", &"B".repeat(900)];
        let said = explained(Cli::try_parse_from(arguments).unwrap_err()).to_string();
        assert!(said.contains(&format!("'{}…'", "B".repeat(80))), "{said}");
        assert!(said.contains("3 to 63"), "{said}");
    }

    #[test]
    fn suggests_the_command_that_does_what_the_word_means() {
        for (word, meant) in
            [("plan", "'deploy --dry-run'"), ("update", "'deploy'"), ("ls", "'list'"), ("depoly", "'deploy'")]
        {
            let message = explained(Cli::try_parse_from(["cavatica-connect", word]).unwrap_err()).to_string();
            assert!(message.contains(meant), "{message}");
            for wrong in ["'man'", "'page'"] {
                assert!(!message.contains(wrong), "{message}");
            }
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
