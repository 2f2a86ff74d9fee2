//! The stack under the name that `deploy` is given, and what makes way for the operation.

use super::{Deploy, DeployError};
use crate::cli::exit::CommandFailure;
use crate::deploy::change_set::Purpose;
use crate::deploy::follow::{KnownEvents, first_cause};
use crate::deploy::stack::{NextOperation, Stack, TemplateKind};
use crate::operation::change::Phase;
use crate::operation::clients::{RegionClients, StackProblem, outlook};

/// A stack that allows the operation, at once or after its deletion.
pub(super) enum Standing {
    /// None.
    Absent,
    /// An empty one with change sets of this program only.
    Empty,
    /// One that can be updated.
    Running(Stack),
    /// One whose creation failed.
    Failed(Stack),
}

impl Standing {
    /// Returns the stack that would be updated.
    pub(super) fn before(&self) -> Option<&Stack> {
        match self {
            Self::Running(stack) => Some(stack),
            Self::Absent | Self::Empty | Self::Failed(_) => None,
        }
    }
}

impl Deploy<'_> {
    /// Looks at the stack, and refuses what this command cannot or must not work on.
    pub(super) async fn standing(&self, clients: &RegionClients) -> Result<Standing, CommandFailure> {
        let (name, stacks) = (self.stack_name.as_str(), &clients.stacks);
        let Some(stack) = stacks.find(name).await?.filter(|stack| stack.status != "DELETE_COMPLETE") else {
            return Ok(Standing::Absent);
        };
        let aws = |arguments: &[&str]| {
            let arguments = [&["cloudformation"], arguments, &["--stack-name", stack.id.as_str()]].concat();
            clients.account.invocation.aws(&arguments, Some(clients.region))
        };
        let way = NextOperation::of(&stack.status);
        let change_sets = stacks.change_sets(name).await?;
        let foreign = |change_set: &String| {
            let delete = aws(&["delete-change-set", "--change-set-name", change_set]);
            DeployError::ForeignChangeSet { name: name.to_owned(), change_set: change_set.clone(), delete }
        };
        if way == NextOperation::Create {
            return match (change_sets.foreign.first(), change_sets.own.is_empty()) {
                (Some(change_set), _) => Err(foreign(change_set).into()),
                (None, false) => Ok(Standing::Empty),
                (None, true) => {
                    let delete = aws(&["delete-stack"]);
                    Err(DeployError::ForeignStack { name: name.to_owned(), delete }.into())
                }
            };
        }
        let asked = if self.args.native { TemplateKind::Native } else { TemplateKind::ByFunction };
        let kind = clients.kind(&stack, name).await?;
        let not_now =
            |remedy: String| StackProblem::NotNow { name: name.to_owned(), status: stack.status.clone(), remedy };
        match way {
            NextOperation::Update if kind != asked => {
                Err(DeployError::OtherKind { name: name.to_owned(), kind }.into())
            }
            NextOperation::Update => match change_sets.foreign.first() {
                Some(change_set) => Err(foreign(change_set).into()),
                None => Ok(Standing::Running(stack)),
            },
            NextOperation::DeleteAndCreate => Ok(Standing::Failed(stack)),
            NextOperation::Wait => {
                let watch = ["status", "--watch", "--stack-name", name];
                let watch = clients.account.invocation.command(&watch, Some(clients.region));
                Err(not_now(format!("wait for its end, which `{watch}` shows")).into())
            }
            NextOperation::ContinueRollback => {
                Err(not_now(format!("run `{}` first", aws(&["continue-update-rollback"]))).into())
            }
            NextOperation::Delete => {
                let destroy = ["destroy", "--stack-name", name];
                let destroy = clients.account.invocation.command(&destroy, Some(clients.region));
                Err(not_now(format!("run `{destroy}` first")).into())
            }
            NextOperation::Create => Ok(Standing::Empty),
        }
    }

    /// Deletes a stack whose creation failed, if the user agrees; `None` for a dry run, which deletes nothing.
    pub(super) async fn make_way(
        &self,
        clients: &RegionClients,
        standing: Standing,
    ) -> Result<Option<(Purpose, Option<Stack>)>, CommandFailure> {
        let (args, console, stacks) = (self.args, self.console, &clients.stacks);
        let stack = match standing {
            Standing::Absent => return Ok(Some((Purpose::NewStack, None))),
            Standing::Empty => return Ok(Some((Purpose::EmptyStack, None))),
            Standing::Running(stack) => return Ok(Some((Purpose::Update, Some(stack)))),
            Standing::Failed(stack) => stack,
        };
        let name = self.stack_name.as_str();
        let mut known = KnownEvents::default();
        stacks.catch_up(&stack.id, &mut known).await?;
        let cause = first_cause(&known.all).unwrap_or_else(|| "CloudFormation names no cause".to_owned());
        console.heading(&format!("Stack {name} has to be deleted first"));
        console.text(&format!("It is in {}, because its creation failed. {cause}", stack.status));
        if args.dry_run {
            console.text(&"Nothing was changed (--dry-run). What would be created can be shown after the deletion.");
            return Ok(None);
        }
        if !args.yes && !console.ask("Delete it and create it again?").await? {
            let remedy = "it can only be deleted, and was not".to_owned();
            return Err(StackProblem::NotNow { name: name.to_owned(), status: stack.status, remedy }.into());
        }
        let operation = stacks.delete(&stack.id).await?;
        let outlook = outlook(&operation, clients.region, &clients.account.invocation);
        self.phase.replace(Phase::Running { outlook });
        clients.follow(&operation, &mut known, console).await?;
        self.phase.take();
        Ok(Some((Purpose::NewStack, None)))
    }
}
