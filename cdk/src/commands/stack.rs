//! Shared by `deploy`, `status` and `destroy`: the way to the stack that they are about, and following what goes on there.

use crate::account::{Access, Account};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::deploy::client::Stacks;
use crate::deploy::follow::{Seen, first_cause};
use crate::deploy::standing::{Kind, Stack};
use crate::regions;

/// Why nothing can be done about a stack.
#[derive(Debug, thiserror::Error)]
pub(super) enum StackProblem {
    /// A question would have no answer.
    #[error("nobody can be asked here, since this is no terminal: add --yes to go on without a question")]
    NobodyToAsk,
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

    /// Follows an operation to its end, telling every event that was not seen yet.
    pub(super) async fn follow(&self, stack: &str, seen: &mut Seen, said: &Console) -> Result<(), Failure> {
        let begun = seen.events.len();
        said.wait("waiting for CloudFormation");
        let status = self.stacks.follow(stack, seen, |event| event.print(said)).await;
        said.rest();
        match status?.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "DELETE_COMPLETE" => Ok(()),
            status => {
                let cause =
                    first_cause(&seen.events[begun..]).unwrap_or_else(|| "CloudFormation names none".to_owned());
                Err(StackProblem::Failed { status: status.to_owned(), cause }.into())
            }
        }
    }
}
