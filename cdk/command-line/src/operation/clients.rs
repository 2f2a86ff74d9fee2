//! Shared by the commands about a stack: the region's clients, following an operation, and what a user can do about it.

use std::path::{Path, PathBuf};

use cavatica_generator::address::Address;
use cavatica_generator::cfn::Template;
use cavatica_generator::regions;

use crate::account::{Account, AwsConnection, AwsError};
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::Console;
use crate::deploy::change_set::TemplateAt;
use crate::deploy::failure_log;
use crate::deploy::follow::{Ending, KnownEvents, Operation, OperationKind, Progress, first_cause};
use crate::deploy::remedy::remedy;
use crate::deploy::stack::{Stack, TemplateKind};
use crate::deploy::stacks::{StackError, Stacks};
use crate::invocation::Invocation;
use crate::release::zip::{Asset, ZipError};
use crate::source::{ListAt, Source};

/// Why nothing can be done about a stack.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackProblem {
    /// A question would have no answer.
    #[error("cannot ask for confirmation: standard input is not a terminal; pass --yes")]
    NobodyToAsk,
    /// The zip cannot be read.
    #[error("cannot read {path}: give the zip that `cavatica-connect package` wrote")]
    Zip {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The zip is no function.
    #[error("{path} cannot be the function's code")]
    NotCode {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: ZipError,
    },
    /// No region is configured.
    #[error("the region is not known{0}: give it with --region")]
    NoRegion(String),
    /// The stack is of somebody else's template.
    #[error(
        "stack {0} is there and not one of cavatica-connect's: give another --stack-name, or the file of its platform with --platform"
    )]
    Foreign(String),
    /// The stack's status allows no operation.
    #[error("stack {name} is in {status}: {remedy}")]
    NotNow {
        /// The stack.
        name: String,
        /// Its status.
        status: String,
        /// Command to run first.
        remedy: String,
    },
    /// The operation failed.
    #[error("the stack ended in {status}. First cause: {cause}")]
    Failed {
        /// Its status.
        status: String,
        /// The first failure among its events.
        cause: String,
    },
    /// An operation of somebody else replaced this one.
    #[error(
        "somebody else's operation took over: the stack ended in {status}. This command's operation did not finish"
    )]
    TakenOver {
        /// Status of the stack.
        status: String,
    },
    /// The operation can no longer be followed.
    #[error("cannot follow the operation any longer: {why}\n{outlook}")]
    Lost {
        /// Cause.
        why: StackError,
        /// Operation that goes on in AWS, and commands to follow or stop it.
        outlook: String,
    },
}

/// The clients of one region.
pub(crate) struct RegionClients {
    pub(crate) account: Account,
    pub(crate) region: &'static str,
    pub(crate) stacks: Stacks,
}

/// Refuses to go on where a question would have no answer.
pub(crate) fn require_answer(yes: bool, console: &Console) -> Result<(), CommandFailure> {
    if yes || console.can_ask() { Ok(()) } else { Err(CommandFailure::new(Exit::Usage, StackProblem::NobodyToAsk)) }
}

/// Reads the function's zip, and refuses a file that cannot be it.
pub(crate) fn read_zip(path: &Path) -> Result<Asset, StackProblem> {
    let bytes = std::fs::read(path).map_err(|source| StackProblem::Zip { path: path.to_owned(), source })?;
    Asset::checked(bytes).map_err(|source| StackProblem::NotCode { path: path.to_owned(), source })
}

/// Returns the template of a release, and the address where CloudFormation reads it.
pub(crate) async fn template_of_release(
    connection: &AwsConnection,
    region: &str,
    at: &ListAt,
    version: Option<&str>,
    native: bool,
) -> Result<(Template, TemplateAt), CommandFailure> {
    let source = Source::of_release(connection, at, version, Some(region), native).await?;
    let address = Address::read(&source.template_url).map(|address| address.by_path());
    Ok((source.template, TemplateAt::Url(address.unwrap_or(source.template_url))))
}

/// Prints account, alias, region and caller: what a user reads before answering a question.
pub(crate) async fn print_caller(account: &Account, regions: &[&str], console: &Console) {
    let alias = account
        .alias(regions.first().unwrap_or(&"us-east-1"))
        .await
        .map(|alias| format!(" ({alias})"))
        .unwrap_or_default();
    console.heading("Where");
    console.field("Account", &format!("{}{alias}", account.id));
    console.field("Region", &regions.join(", "));
    console.field("Caller", &account.caller);
}

impl RegionClients {
    /// Returns the clients of the region that is given, or else configured.
    pub(crate) async fn reach(
        connection: &AwsConnection,
        region: Option<&'static str>,
    ) -> Result<Self, CommandFailure> {
        let account = Account::of_caller(connection).await?;
        let region = match region.or(account.region()) {
            Some(region) => regions::commercial(region).map_err(|error| CommandFailure::new(Exit::Usage, error))?,
            None => {
                let profile = connection.invocation.profile.as_deref();
                let profile = profile.map(|profile| format!(", and profile {profile} has none")).unwrap_or_default();
                return Err(CommandFailure::new(Exit::Usage, StackProblem::NoRegion(profile)));
            }
        };
        let stacks = Stacks::of(&account, region);
        Ok(Self { account, region, stacks })
    }

    /// Returns the template that a stack has; one of somebody else's is refused.
    pub(crate) async fn kind(&self, stack: &Stack, name: &str) -> Result<TemplateKind, CommandFailure> {
        let description = self.stacks.description(&stack.id).await?;
        TemplateKind::of(self.account.platform(), &description)
            .ok_or_else(|| StackProblem::Foreign(name.to_owned()).into())
    }

    /// Follows an operation to its end and prints its events, and for a failure the findings of function and hooks.
    ///
    /// # Errors
    ///
    /// Every end but the complete one of the operation itself.
    pub(crate) async fn follow(
        &self,
        operation: &Operation,
        known: &mut KnownEvents,
        console: &Console,
    ) -> Result<(), CommandFailure> {
        let begun = known.all.len();
        console.start_waiting("waiting for CloudFormation");
        let mut has_cause = false;
        let followed = failure_log::follow(&self.account, &self.stacks, operation, known, |progress| match progress {
            Progress::Event(event) => {
                // The first cause is printed once, at the end.
                event.print(console, has_cause);
                has_cause |= event.is_failure();
            }
            Progress::Trouble(error) => {
                console.note(&format!("{error}. AWS goes on without this command, which keeps trying to follow"))
            }
        });
        let followed = followed.await;
        console.stop_waiting();
        let followed = followed.map_err(|why| StackProblem::Lost {
            outlook: outlook(operation, self.region, &self.account.invocation),
            why,
        })?;
        let Ending { status, is_own } = followed.ending;
        if !is_own {
            return Err(StackProblem::TakenOver { status }.into());
        }
        if matches!(status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "DELETE_COMPLETE") {
            return Ok(());
        }
        let cause = first_cause(&known.all[begun..]).unwrap_or_else(|| "CloudFormation names none".to_owned());
        let log: Vec<_> = followed.log.into_iter().filter(|line| !repeats(line, &cause)).collect();
        for (title, lines) in [("The function's log", &log), ("Findings of hooks", &followed.hooks)] {
            if !lines.is_empty() {
                console.heading(title);
                lines.iter().for_each(|line| console.text(line));
            }
        }
        let remedy = remedy(&cause, &operation.stack_id, self.region, &self.account.invocation);
        let cause = remedy.map_or(cause.clone(), |remedy| format!("{cause}. {remedy}"));
        Err(StackProblem::Failed { status, cause }.into())
    }
}

/// True if a line of the function's log says only what the first cause says.
fn repeats(line: &str, cause: &str) -> bool {
    let sentence = cause.split_once(": ").map_or(cause, |(_, sentence)| sentence);
    !sentence.is_empty() && line.contains(sentence)
}

/// Says what goes on in AWS after this program has stopped following, and how to watch and stop it.
pub(crate) fn outlook(operation: &Operation, region: &str, invocation: &Invocation) -> String {
    let stack = operation.stack_id.as_str();
    let command =
        |what: &str| format!("  {}", invocation.aws(&["cloudformation", what, "--stack-name", stack], Some(region)));
    let mut lines = vec![
        match operation.kind {
            OperationKind::Delete => {
                "AWS finishes the deletion without this command, and it cannot be stopped. To watch it:"
            }
            OperationKind::Create | OperationKind::Update => {
                "AWS finishes the operation without this command. To watch it:"
            }
        }
        .to_owned(),
        command("describe-stack-events"),
    ];
    if operation.kind == OperationKind::Update {
        lines.extend(["To cancel the update:".to_owned(), command("cancel-update-stack")]);
    }
    if operation.kind != OperationKind::Delete {
        lines.extend(["To delete the stack:".to_owned(), command("delete-stack")]);
    }
    lines.join("\n")
}

impl StackProblem {
    /// Turns a failed start of an operation into an error: what is known about it, and what to do.
    pub(crate) fn of_start(
        why: StackError,
        operation: &Operation,
        region: &str,
        invocation: &Invocation,
    ) -> CommandFailure {
        let is_known = !why.is_transient() && !why.aws().is_some_and(AwsError::is_about_credentials);
        if is_known {
            return why.into();
        }
        let outlook = format!("AWS may have begun. {}", self::outlook(operation, region, invocation));
        Self::Lost { why, outlook }.into()
    }
}
