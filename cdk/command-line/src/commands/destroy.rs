//! `destroy`: deletes a stack, and looks for everything that it had.

use std::cell::RefCell;

use cavatica_access::owner::StackId;
use cavatica_generator::stack_name::StackName;
use serde_json::json;

use crate::account::AwsConnection;
use crate::cli::args::{DestroyArgs, OutputForm};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::assets::{self, State as BucketState};
use crate::deploy::follow::KnownEvents;
use crate::deploy::remains::{Part, State, deletion_without_function, parts, states};
use crate::deploy::remedy::remedy;
use crate::deploy::stack::{NextOperation, Stack};
use crate::operation::clients::{RegionClients, StackProblem, outlook, print_caller, require_answer};
use crate::publish::Place;

/// The step that comes first, or files stay behind that nobody can read.
const BEFORE: &str = "In {platform}, deactivate the volume first, delete the files imported from it, and delete the volume: afterwards \
                      they would stay there unreadable.";

/// Why a stack is not gone for good.
#[derive(Debug, thiserror::Error)]
enum DestroyError {
    /// Parts are left or were not seen.
    #[error("the stack is deleted, and {0}: see the lines above")]
    NotAllGone(String),
    /// The deletion failed.
    #[error("{failure}{advice}")]
    NotDeleted {
        /// The end of the operation.
        failure: String,
        /// Access that remains, and the remedy.
        advice: String,
    },
    /// Termination protection is on.
    #[error("stack {name} cannot be deleted while termination protection is enabled. {remedy}")]
    Protected {
        /// The stack.
        name: String,
        /// Remedy.
        remedy: String,
    },
}

pub(super) fn run(args: DestroyArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    require_answer(args.yes, console)?;
    let progress = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.to_stderr(),
    };
    let running = RefCell::new(None);
    let stack_name = args.stack_name.clone().unwrap_or_else(|| StackName::default_of(connection.platform()));
    let command = Destroy {
        args: &args,
        stack_name: stack_name.as_str(),
        connection,
        console: &progress,
        results: console,
        running: &running,
    };
    let result = run_until_signal(command.run(), async || {
        progress.stop_waiting();
        running.take().unwrap_or_else(|| "Nothing was changed.".to_owned())
    });
    progress.stop_waiting();
    result
}

/// One run of the command.
struct Destroy<'d> {
    args: &'d DestroyArgs,
    stack_name: &'d str,
    connection: &'d AwsConnection,
    console: &'d Console,
    results: &'d Console,
    /// Text to print at a signal once the deletion may have begun.
    running: &'d RefCell<Option<String>>,
}

impl Destroy<'_> {
    async fn run(self) -> Result<Exit, CommandFailure> {
        let Self { args, console, .. } = self;
        console.start_waiting("looking at the stack");
        let clients = RegionClients::reach(self.connection, args.region).await?;
        console.stop_waiting();
        print_caller(&clients.account, &[clients.region], console).await;
        let name = self.stack_name;
        console.start_waiting("looking at the stack");
        let found = clients.stacks.find(name).await?.filter(|stack| stack.status != "DELETE_COMPLETE");
        console.stop_waiting();
        let Some(stack) = found else {
            console.text(&format!(
                "CloudFormation knows no stack {name} in {} of account {}: nothing to delete.",
                clients.region, clients.account.id
            ));
            if args.assets {
                self.offer_assets(&clients).await?;
            }
            self.print_json(None, &[])?;
            return Ok(Exit::Done);
        };
        self.refuse_what_is_not_possible(&clients, &stack).await?;
        let parts = parts(clients.account.platform(), &stack, &clients.stacks.resources(&stack.id).await?);
        let is_going = stack.status == "DELETE_IN_PROGRESS";
        let (operation, mut known) = if is_going {
            console.text(&format!("Stack {name} is being deleted already; this command follows that."));
            clients.stacks.current_operation(&stack.id).await?
        } else {
            let mut known = KnownEvents::default();
            clients.stacks.catch_up(&stack.id, &mut known).await?;
            console.heading(&format!("Delete stack {name}"));
            parts.iter().for_each(|part| console.text(part));
            console.text(&clients.account.platform().fill(BEFORE));
            if !args.yes && !console.ask("Delete it?").await? {
                console.text(&"Nothing was changed.");
                return Ok(Exit::Failed);
            }
            // Before the call: from here on only AWS knows whether the deletion has begun.
            let begun = "Whether AWS has begun to delete the stack is not known; the same command goes on.".to_owned();
            self.running.replace(Some(begun));
            (clients.stacks.delete(&stack.id).await?, known)
        };
        self.running.replace(Some(outlook(&operation, clients.region, &clients.account.invocation)));
        let followed = clients.follow(&operation, &mut known, console).await;
        self.running.take();
        let is_deleted = match &followed {
            Ok(()) => true,
            // Deleted by somebody else's operation is deleted, too.
            Err(_) => known.all.iter().any(|event| event.is_of_stack(&stack.id) && event.status == "DELETE_COMPLETE"),
        };
        if !is_deleted {
            let Err(failure) = followed else { return Ok(Exit::Failed) };
            // An operation that is no longer followed goes on: what a look would show now is not its result.
            let has_failed = known.all.iter().any(|event| {
                event.is_of_stack(&stack.id) && event.token == operation.token && event.status == "DELETE_FAILED"
            });
            if !has_failed {
                return Err(failure);
            }
            let states = self.look(&clients, &stack, &parts, "What is still there").await;
            self.print_json(Some((&stack, "DELETE_FAILED")), &states)?;
            let advice = advice_after_failure(&clients, &stack, &states).await;
            return Err(DestroyError::NotDeleted { failure: failure.to_string(), advice }.into());
        }
        let states = self.look(&clients, &stack, &parts, "Is anything left?").await;
        match self.offer_assets(&clients).await {
            Err(failure) if !args.assets => {
                console.text(&format!("Not seen: whether the bucket for the code can go ({failure})"));
            }
            offered => offered?,
        }
        self.print_json(Some((&stack, "DELETE_COMPLETE")), &states)?;
        let count = |wanted: fn(&State) -> bool| states.iter().filter(|(_, state)| wanted(state)).count();
        let left = count(|state| matches!(state, State::Left));
        let unseen = count(|state| matches!(state, State::Unseen(_)));
        let parts = |count: usize| if count == 1 { "1 part".to_owned() } else { format!("{count} parts") };
        match (left, unseen) {
            (0, 0) => Ok(Exit::Done),
            (left, 0) => Err(DestroyError::NotAllGone(format!(
                "{} of it still {}",
                parts(left),
                if left == 1 { "exists" } else { "exist" }
            ))
            .into()),
            (0, unseen) => Err(DestroyError::NotAllGone(format!("{} could not be looked for", parts(unseen))).into()),
            (left, unseen) => Err(DestroyError::NotAllGone(format!(
                "still there of it: {}; not looked for: {}",
                parts(left),
                parts(unseen)
            ))
            .into()),
        }
    }

    /// Refuses a stack of somebody else's, a protected one, and one that allows no deletion now.
    async fn refuse_what_is_not_possible(&self, clients: &RegionClients, stack: &Stack) -> Result<(), CommandFailure> {
        let name = self.stack_name;
        let invocation = &clients.account.invocation;
        if stack.status == "REVIEW_IN_PROGRESS" {
            if clients.stacks.change_sets(name).await?.foreign.is_empty() {
                return Ok(());
            }
            return Err(StackProblem::Foreign(name.to_owned()).into());
        }
        clients.kind(stack, name).await?;
        if stack.is_protected {
            let remedy = remedy("TerminationProtection is enabled", name, clients.region, invocation);
            return Err(DestroyError::Protected { name: name.to_owned(), remedy: remedy.unwrap_or_default() }.into());
        }
        let remedy = match NextOperation::of(&stack.status) {
            NextOperation::Wait if stack.status != "DELETE_IN_PROGRESS" => {
                let watch = invocation.command(&["status", "--watch", "--stack-name", name], Some(clients.region));
                format!("wait for its end, which `{watch}` shows")
            }
            NextOperation::ContinueRollback => {
                let command = ["cloudformation", "continue-update-rollback", "--stack-name", stack.id.as_str()];
                format!("run `{}` first", invocation.aws(&command, Some(clients.region)))
            }
            _ => return Ok(()),
        };
        Err(StackProblem::NotNow { name: name.to_owned(), status: stack.status.clone(), remedy }.into())
    }

    /// Looks for every part, and prints its state.
    async fn look(&self, clients: &RegionClients, stack: &Stack, parts: &[Part], title: &str) -> Vec<(Part, State)> {
        let console = self.console;
        console.heading(title);
        console.start_waiting("looking for what it had");
        let states = match stack.id.parse::<StackId>() {
            Ok(id) => states(&clients.account, clients.region, &id, parts).await,
            Err(_) => Vec::new(),
        };
        console.stop_waiting();
        if states.is_empty() {
            console.text(&"Not seen: CloudFormation gives the stack an ID that this program does not understand.");
        }
        for (part, state) in &states {
            match state {
                State::Gone => console.checked(&format!("{part} is gone")),
                State::Left => {
                    console.row(Tone::Bad, "left", &part.to_string(), "", "");
                    for command in part.removal(&clients.account, clients.region).await {
                        console.text(&format!("  remove it: {command}"));
                    }
                }
                State::Foreign => console.text(&format!(
                    "{part} exists and does not carry this stack's tags: it was left alone; see whose it is"
                )),
                State::Unseen(why) => console.row(Tone::Bad, "not seen", &part.to_string(), "", why),
            }
        }
        states
    }

    fn print_json(&self, stack: Option<(&Stack, &str)>, states: &[(Part, State)]) -> Result<(), CommandFailure> {
        if self.args.output != OutputForm::Json {
            return Ok(());
        }
        let state = |state: &State| match state {
            State::Gone => json!("gone"),
            State::Left => json!("left"),
            State::Foreign => json!("foreign"),
            State::Unseen(_) => json!("unseen"),
        };
        let why = |state: &State| match state {
            State::Unseen(why) => json!(why),
            State::Gone | State::Left | State::Foreign => json!(null),
        };
        let parts: Vec<_> = states
            .iter()
            .map(|(part, it)| json!({"Part": part.to_string(), "State": state(it), "Why": why(it)}))
            .collect();
        let (id, status) = stack.map_or((None, None), |(stack, status)| (Some(&stack.id), Some(status)));
        self.results.print(&format!("{:#}", json!({"StackId": id, "Status": status, "Parts": parts})))?;
        Ok(())
    }

    /// Removes the buckets for the function's code if the user wants that, and nothing else may use them.
    async fn offer_assets(&self, clients: &RegionClients) -> Result<(), CommandFailure> {
        let naming = assets::naming(&clients.account, clients.region, self.args.assets_bucket.as_ref());
        for place in naming.candidates(&clients.account.id) {
            self.offer_bucket(clients, &place).await?;
        }
        Ok(())
    }

    async fn offer_bucket(&self, clients: &RegionClients, place: &Place) -> Result<(), CommandFailure> {
        let Self { args, console, .. } = *self;
        let bucket = &place.bucket;
        match assets::state(&clients.account, place).await? {
            BucketState::Absent => return Ok(()),
            BucketState::Closed => {
                if args.assets {
                    console.text(&format!(
                        "Bucket {bucket} stays: it belongs to another account, or these credentials may not look at it."
                    ));
                }
                return Ok(());
            }
            BucketState::Shared(key) => {
                console.text(&format!(
                    "Bucket {bucket} stays: it has {key}, or an earlier version of it, which is none of cavatica-connect's."
                ));
                return Ok(());
            }
            BucketState::Ours => {}
        }
        let others = clients.stacks.ours().await?;
        if !others.is_empty() {
            console.text(&format!("Bucket {bucket} with the function's code stays, for stack {}.", others.join(", ")));
            return Ok(());
        }
        let question = format!("Remove bucket {bucket} too? It has the function's code, and no stack here uses it.");
        if args.assets || !args.yes && console.ask(&question).await? {
            assets::remove(&clients.account, place).await?;
            console.checked(&format!("bucket {bucket} is gone"));
        } else {
            let command = clients.account.invocation.command(&["destroy", "--assets"], Some(clients.region));
            console.text(&format!("Bucket {bucket} with the function's code stays. `{command}` removes it."));
        }
        Ok(())
    }
}

/// Says what a failed deletion leaves open, and how to finish it by hand.
async fn advice_after_failure(clients: &RegionClients, stack: &Stack, states: &[(Part, State)]) -> String {
    let state_of = |wanted: fn(&Part) -> bool| states.iter().find(|(part, _)| wanted(part)).map(|(_, state)| state);
    let function = state_of(|part| matches!(part, Part::Function(_)));
    let role = state_of(|part| matches!(part, Part::Role { .. }));
    let is_native = function.is_none();
    let advice = match role {
        Some(State::Left) => ". The role still exists, so {platform} can still use the bucket".to_owned(),
        Some(State::Gone) => ". The role is gone, so {platform} cannot use the bucket any more".to_owned(),
        _ => ". Whether {platform} can still use the bucket was not seen".to_owned(),
    };
    let mut advice = clients.account.platform().fill(&advice);
    if !is_native && matches!(function, Some(State::Gone)) {
        let command = deletion_without_function(&stack.id, clients.region, &clients.account.invocation);
        advice.push_str(&format!(
            ". The function is gone, so CloudFormation alone cannot remove role and policy: remove them by the commands above, then \
             delete the stack without its custom resource: `{command}`"
        ));
    }
    advice
}
