//! A change of a stack: proposed, shown, answered, executed and followed. Shared by `deploy` and `status --repair`.
//!
//! Until the answer, the change set is all that AWS has; every way out withdraws it.

use std::cell::RefCell;

use cavatica_local::children;

use crate::cli::exit::CommandFailure;
use crate::console::Console;
use crate::deploy::change_set::{ChangeSet, Proposal, Purpose};
use crate::deploy::code;
use crate::deploy::follow::{KnownEvents, Operation, OperationKind};
use crate::deploy::stack::Stack;
use crate::deploy::stacks::{Stacks, new_token};
use crate::operation::clients::{RegionClients, StackProblem, outlook};
use crate::publish::Place;
use crate::release::zip::Asset;

/// Why a change was not carried out, or its result is not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The change set was not carried out.
    #[error("the changes were not carried out: {why}{status}. {left}")]
    NotExecuted {
        /// Cause.
        why: String,
        /// The state of the stack, if another operation goes on there.
        status: String,
        /// State of the change set.
        left: String,
    },
    /// The outputs are those of the time before.
    #[error(
        "CloudFormation reports {status} and still shows the outputs of before: `{command}` shows the new ones in a minute"
    )]
    StaleOutputs {
        /// The status.
        status: String,
        /// Command that shows them.
        command: String,
    },
}

/// Progress of the command, which decides what a signal takes back.
#[derive(Debug, Default)]
pub(crate) enum Phase {
    /// Nothing of it is in AWS.
    #[default]
    Looking,
    /// A change set waits for an answer.
    Proposed(Box<(Stacks, ChangeSet)>),
    /// CloudFormation is at work.
    Running {
        /// Operation that goes on in AWS, and commands to follow or stop it.
        outlook: String,
    },
}

/// Withdraws a change set, and says what goes on.
pub(crate) async fn interrupted(phase: Phase) -> String {
    match phase {
        Phase::Looking => children::end_all().to_owned(),
        Phase::Proposed(proposed) => match proposed.0.withdraw(&proposed.1).await {
            Ok(()) => "The change set was withdrawn; nothing was changed.".to_owned(),
            Err(error) => format!(
                "Change set {} is still there ({error}). To delete it: `{}`",
                proposed.1.name,
                proposed.0.deletion_of(&proposed.1)
            ),
        },
        Phase::Running { outlook } => outlook,
    }
}

/// A change of one stack.
pub(crate) struct StackChange<'c> {
    pub(crate) clients: &'c RegionClients,
    pub(crate) stack_name: &'c str,
    /// Carry it out without a question.
    pub(crate) yes: bool,
    /// Show it, and carry nothing out.
    pub(crate) dry_run: bool,
    pub(crate) console: &'c Console,
    pub(crate) phase: &'c RefCell<Phase>,
}

impl StackChange<'_> {
    /// Proposes an operation; `None` if there is nothing to change.
    pub(crate) async fn proposed(&self, proposal: &Proposal) -> Result<Option<ChangeSet>, CommandFailure> {
        self.console.start_waiting("asking CloudFormation what would change");
        let change_set = ChangeSet::new(proposal);
        // Before the call: a signal may come while CloudFormation creates it.
        self.phase.replace(Phase::Proposed(Box::new((self.clients.stacks.clone(), change_set.clone()))));
        let proposed = self.clients.stacks.propose(proposal, &change_set).await;
        self.console.stop_waiting();
        match proposed {
            Ok(Some(change_set)) => {
                self.phase.replace(Phase::Proposed(Box::new((self.clients.stacks.clone(), change_set.clone()))));
                Ok(Some(change_set))
            }
            Ok(None) => {
                self.phase.take();
                Ok(None)
            }
            Err(error) => {
                self.phase.take();
                Err(error.into())
            }
        }
    }

    /// Prints the consequence and asks; withdraws the change set if the answer is no or nobody wants to be asked.
    pub(crate) async fn agreed(
        &self,
        change_set: &ChangeSet,
        consequence: Option<&str>,
    ) -> Result<bool, CommandFailure> {
        let Self { console, .. } = *self;
        if let Some(consequence) = consequence {
            console.text(&consequence);
        }
        if !self.dry_run && (self.yes || console.ask("Carry this out?").await?) {
            return Ok(true);
        }
        self.clients.stacks.withdraw(change_set).await?;
        self.phase.take();
        let remark = if self.dry_run { " (--dry-run)" } else { "" };
        console.text(&format!("Nothing was changed{remark}."));
        Ok(false)
    }

    /// Uploads the code, executes the change set and follows it; returns the stack as it is afterwards.
    pub(crate) async fn execute(
        &self,
        change_set: ChangeSet,
        code: Option<&(Asset, Place)>,
        before: Option<&Stack>,
    ) -> Result<Stack, CommandFailure> {
        let console = self.console;
        let (stacks, region, invocation) =
            (&self.clients.stacks, self.clients.region, &self.clients.account.invocation);
        if let Some((asset, place)) = code {
            console.start_waiting(&format!("uploading the function's code to bucket {}", place.bucket));
            let uploaded = code::upload(&self.clients.account, asset, place).await;
            console.stop_waiting();
            if let Err(error) = uploaded {
                return Err(self.withdrawn(&change_set, error.to_string()).await);
            }
        }
        // Earlier events are no news.
        let mut known = KnownEvents::default();
        if let Err(error) = stacks.catch_up(&change_set.stack_id, &mut known).await
            && !error.is_transient()
        {
            return Err(self.withdrawn(&change_set, error.to_string()).await);
        }
        let token = new_token();
        let kind = if change_set.purpose == Purpose::Update { OperationKind::Update } else { OperationKind::Create };
        let operation = Operation { stack_id: change_set.stack_id.clone(), token: Some(token.clone()), kind };
        // Before the call: from here on only AWS knows whether the operation has started.
        let outlook = outlook(&operation, region, invocation);
        self.phase.replace(Phase::Running { outlook });
        if let Err(error) = stacks.execute(&change_set, &token).await {
            if error.is_transient() || error.aws().is_some_and(|error| error.is_about_credentials()) {
                return Err(StackProblem::of_start(error, &operation, region, invocation));
            }
            self.phase.take();
            return Err(self.withdrawn(&change_set, error.to_string()).await);
        }
        self.clients.follow(&operation, &mut known, console).await?;
        let fresh = stacks.find_fresh(&operation.stack_id, &known, &change_set, before).await;
        self.phase.take();
        match fresh? {
            Some(stack) => Ok(stack),
            None => {
                let status = known.all.last().map(|event| event.status.clone()).unwrap_or_default();
                let command = invocation.command(&["status", "--stack-name", self.stack_name], Some(region));
                Err(ChangeError::StaleOutputs { status, command }.into())
            }
        }
    }

    /// Withdraws a change set that is not carried out; returns the error that says so.
    pub(crate) async fn withdrawn(&self, change_set: &ChangeSet, why: String) -> CommandFailure {
        let found = self.clients.stacks.find(self.stack_name).await.ok().flatten();
        let status =
            found.filter(|stack| stack.status.ends_with("_IN_PROGRESS") && !stack.status.starts_with("REVIEW"));
        let status = status
            .map(|stack| format!(". Another operation was first: stack {} is in {}", self.stack_name, stack.status))
            .unwrap_or_default();
        let left = match self.clients.stacks.withdraw(change_set).await {
            Ok(()) => "The change set was withdrawn; this command changed nothing in the stack".to_owned(),
            Err(error) => {
                let delete = self.clients.stacks.deletion_of(change_set);
                format!("The change set is still there ({error}). To delete it: `{delete}`")
            }
        };
        self.phase.take();
        ChangeError::NotExecuted { why, status, left }.into()
    }
}
