//! `destroy`: deletes a stack, and proves that nothing of it is left.

use std::cell::RefCell;

use crate::account::{Access, Account};
use crate::cli::args::DestroyArgs;
use crate::cli::console::{Console, Tone};
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::run_until_signal;
use crate::deploy::client::Stacks;
use crate::deploy::follow::{Seen, first_cause};
use crate::deploy::remains::{parts, remains};
use crate::deploy::standing::{Kind, Way};
use crate::regions;

/// What has to be done before, or files stay behind that nobody can read.
const BEFORE: &str = "In Cavatica, deactivate the volume first, delete the files imported from it, and delete the volume: afterwards \
                      they would stay there unreadable.";

/// Why a stack is not deleted.
#[derive(Debug, thiserror::Error)]
enum DestroyError {
    /// A question would have no answer.
    #[error("nobody can be asked here, since this is no terminal: add --yes to delete without a question")]
    NobodyToAsk,
    /// Nobody says where.
    #[error("the region is not known: give it with --region")]
    NoRegion,
    /// The stack is of another template.
    #[error("stack {0} is not one of cavatica-connect's: give another --stack-name")]
    Foreign(String),
    /// It cannot be deleted now.
    #[error("stack {name} is in {status}: {remedy}")]
    NotNow {
        /// The stack.
        name: String,
        /// Its status.
        status: String,
        /// What to do.
        remedy: String,
    },
    /// The deletion failed.
    #[error("the stack ended in {status}. First cause: {cause}")]
    Failed {
        /// Its status.
        status: String,
        /// The first failure among its events.
        cause: String,
    },
    /// Something is left.
    #[error("the stack is gone, and {0} of what it had is still there: remove it as the lines above say")]
    Left(usize),
}

pub(super) fn run(args: DestroyArgs, access: &Access, console: &Console) -> Result<Exit, Failure> {
    if !args.yes && !console.can_ask() {
        return Err(Failure::new(Exit::Usage, DestroyError::NobodyToAsk));
    }
    let running = RefCell::new(None);
    let result = run_until_signal(destroy(&args, access, console, &running), async || {
        console.rest();
        match running.take() {
            Some(stack) => {
                format!("The deletion goes on in AWS, and cannot be stopped. The same command follows it: {stack}")
            }
            None => "Nothing was changed.".to_owned(),
        }
    });
    console.rest();
    result
}

async fn destroy(
    args: &DestroyArgs,
    access: &Access,
    console: &Console,
    running: &RefCell<Option<String>>,
) -> Result<Exit, Failure> {
    console.wait("looking at the stack");
    let account = Account::of_caller(access).await?;
    let region = args.region.or(account.region()).ok_or(DestroyError::NoRegion)?;
    let region = regions::commercial(region)?;
    let stacks = Stacks::new(account.cloudformation(region));
    let name = &args.stack_name;
    let found = stacks.find(name).await?.filter(|stack| stack.status != "DELETE_COMPLETE");
    console.rest();
    let Some(stack) = found else {
        console.say(&format!("There is no stack {name} in {region}: nothing to delete."));
        return Ok(Exit::Done);
    };
    if Kind::of(&stacks.description(&stack.id).await?).is_none() {
        return Err(DestroyError::Foreign(name.clone()).into());
    }
    let is_going = stack.status == "DELETE_IN_PROGRESS";
    let remedy = match Way::of(&stack.status) {
        Way::Wait if !is_going => Some("wait for its end, which `cavatica-connect status --watch` shows".to_owned()),
        Way::ContinueRollback => {
            Some(format!("run `aws cloudformation continue-update-rollback --stack-name {}` first", stack.id))
        }
        _ => None,
    };
    if let Some(remedy) = remedy {
        return Err(DestroyError::NotNow { name: name.clone(), status: stack.status, remedy }.into());
    }
    let parts = parts(&stack, &stacks.resources(&stack.id).await?);
    let mut seen = Seen::default();
    stacks.catch_up(&stack.id, &mut seen).await?;
    if !is_going {
        console.part(&format!("Delete stack {name}"));
        parts.iter().for_each(|part| console.say(part));
        console.say(&BEFORE);
        if !args.yes && !console.ask("Delete it?").await? {
            console.say(&"Nothing was changed.");
            return Ok(Exit::Done);
        }
        stacks.delete(&stack.id).await?;
    }
    running.replace(Some(stack.id.clone()));
    let begun = seen.events.len();
    console.wait("waiting for CloudFormation");
    let status = stacks.follow(&stack.id, &mut seen, |event| event.print(console)).await;
    console.rest();
    let status = status?;
    if status != "DELETE_COMPLETE" {
        let cause = first_cause(&seen.events[begun..]).unwrap_or_else(|| "CloudFormation names none".to_owned());
        return Err(DestroyError::Failed { status, cause }.into());
    }

    console.part("Is anything left?");
    console.wait("looking for what it had");
    let left = remains(&account, region, &parts).await;
    console.rest();
    let left = left?;
    for part in &parts {
        match left.contains(part) {
            true => {
                console.row(Tone::Bad, "left", &part.to_string(), "", &format!("remove it: {}", part.removal(region)))
            }
            false => console.holds(&format!("{part} is gone")),
        }
    }
    if left.is_empty() { Ok(Exit::Done) } else { Err(DestroyError::Left(left.len()).into()) }
}
