//! Shared by `deploy`, `status` and `destroy`: the way to the stack that they are about, and following what goes on there.

use std::path::{Path, PathBuf};

use crate::account::{Access, Account};
use crate::address::Address;
use crate::cfn::Template;
use crate::cli::exit::{Exit, Failure};
use crate::console::Console;
use crate::deploy::change_set::TemplateAt;
use crate::deploy::client::Stacks;
use crate::deploy::follow::{Seen, first_cause};
use crate::deploy::standing::{Kind, Stack};
use crate::deploy::watch;
use crate::launch::source::{ListAt, Source};
use crate::regions;
use crate::release::zip::Asset;

/// Why nothing can be done about a stack.
#[derive(Debug, thiserror::Error)]
pub(super) enum StackProblem {
    /// A question would have no answer.
    #[error("nobody can be asked here, since this is no terminal: add --yes to go on without a question")]
    NobodyToAsk,
    /// The zip is not there.
    #[error("cannot read {path}: give the zip that `cavatica-connect package` wrote")]
    Zip {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nobody says where.
    #[error("the region is not known: give it with --region")]
    NoRegion,
    /// The stack is of somebody else's template.
    #[error("stack {0} is there and not one of cavatica-connect's: give another --stack-name")]
    Foreign(String),
    /// It cannot be worked on now.
    #[error("stack {name} is in {status}: {remedy}")]
    NotNow {
        /// The stack.
        name: String,
        /// Its status.
        status: String,
        /// The task.
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
}

/// The account and region that a command works in.
pub(super) struct Site {
    pub(super) account: Account,
    pub(super) region: &'static str,
    pub(super) stacks: Stacks,
}

/// Sees that somebody can be asked, or that nobody has to be.
pub(super) fn can_go_on(yes: bool, console: &Console) -> Result<(), Failure> {
    if yes || console.can_ask() { Ok(()) } else { Err(Failure::new(Exit::Usage, StackProblem::NobodyToAsk)) }
}

/// The function's zip.
pub(super) fn read_zip(path: &Path) -> Result<Asset, StackProblem> {
    let read = std::fs::read(path).map_err(|source| StackProblem::Zip { path: path.to_owned(), source })?;
    Ok(Asset::from_zip(read))
}

/// The template of a release, and where CloudFormation reads it.
pub(super) async fn template_of_release(
    site: &Site,
    at: &ListAt,
    version: Option<&str>,
    native: bool,
) -> Result<(Template, TemplateAt), Failure> {
    let source = Source::of_release(&site.account.access, at, version, Some(site.region), native).await?;
    let address = Address::read(&source.template_url).map(|address| address.by_path());
    Ok((source.template, TemplateAt::Url(address.unwrap_or(source.template_url))))
}

impl Site {
    /// Finds out whose account it is, and in which region the stack is to be looked for.
    pub(super) async fn reach(access: &Access, region: Option<&'static str>) -> Result<Self, Failure> {
        let account = Account::of_caller(access).await?;
        let region = match region.or(account.region()) {
            Some(region) => regions::commercial(region).map_err(|error| Failure::new(Exit::Usage, error))?,
            None => return Err(Failure::new(Exit::Usage, StackProblem::NoRegion)),
        };
        let stacks = Stacks::new(account.cloudformation(region));
        Ok(Self { account, region, stacks })
    }

    /// The template that a stack has; one of somebody else's is refused.
    pub(super) async fn kind(&self, stack: &Stack, name: &str) -> Result<Kind, Failure> {
        let description = self.stacks.description(&stack.id).await?;
        Kind::of(&description).ok_or_else(|| StackProblem::Foreign(name.to_owned()).into())
    }

    /// Follows an operation to its end, telling every event that was not seen yet, and of a failure what the function and
    /// hooks say about it.
    pub(super) async fn follow(&self, stack: &str, seen: &mut Seen, said: &Console) -> Result<(), Failure> {
        let begun = seen.events.len();
        said.wait("waiting for CloudFormation");
        let ended =
            watch::to_the_end(&self.account, self.region, &self.stacks, stack, seen, |event| event.print(said)).await;
        said.rest();
        let ended = ended?;
        if matches!(ended.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "DELETE_COMPLETE") {
            return Ok(());
        }
        for (title, lines) in [("The function's log", &ended.log), ("What the hooks say", &ended.hooks)] {
            if !lines.is_empty() {
                said.part(title);
                lines.iter().for_each(|line| said.say(line));
            }
        }
        let cause = first_cause(&seen.events[begun..]).unwrap_or_else(|| "CloudFormation names none".to_owned());
        Err(StackProblem::Failed { status: ended.status, cause }.into())
    }
}
