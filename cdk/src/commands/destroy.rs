//! `destroy`: deletes a stack, and proves that nothing of it is left.

use std::cell::RefCell;

use super::stack::{Site, StackProblem, can_go_on};
use crate::account::Access;
use crate::cli::args::DestroyArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::assets::{self, State};
use crate::deploy::follow::Seen;
use crate::deploy::remains::{parts, remains};
use crate::deploy::standing::Way;

/// The step that comes first, or files stay behind that nobody can read.
const BEFORE: &str = "In Cavatica, deactivate the volume first, delete the files imported from it, and delete the volume: afterwards \
                      they would stay there unreadable.";

/// Why a stack is not gone for good.
#[derive(Debug, thiserror::Error)]
enum DestroyError {
    /// Something is left.
    #[error("the stack is gone, and {0} of what it had is still there: remove it as the lines above say")]
    Left(usize),
}

pub(super) fn run(args: DestroyArgs, access: &Access, console: &Console) -> Result<Exit, Failure> {
    can_go_on(args.yes, console)?;
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
    let site = Site::reach(access, args.region).await?;
    let Site { account, region, stacks } = &site;
    let name = &args.stack_name;
    let found = stacks.find(name).await?.filter(|stack| stack.status != "DELETE_COMPLETE");
    console.rest();
    let Some(stack) = found else {
        console.say(&format!("There is no stack {name} in {region}: nothing to delete."));
        if args.assets {
            offer_assets(&site, args, console).await?;
        }
        return Ok(Exit::Done);
    };
    site.kind(&stack, name).await?;
    let is_going = stack.status == "DELETE_IN_PROGRESS";
    let remedy = match Way::of(&stack.status) {
        Way::Wait if !is_going => Some("wait for its end, which `cavatica-connect status --watch` shows".to_owned()),
        Way::ContinueRollback => {
            Some(format!("run `aws cloudformation continue-update-rollback --stack-name {}` first", stack.id))
        }
        _ => None,
    };
    if let Some(remedy) = remedy {
        return Err(StackProblem::NotNow { name: name.clone(), status: stack.status, remedy }.into());
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
    site.follow(&stack.id, &mut seen, console).await?;

    console.part("Is anything left?");
    console.wait("looking for what it had");
    let left = remains(account, region, &parts).await;
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
    match offer_assets(&site, args, console).await {
        Err(failure) if !args.assets => {
            console.say(&format!("Whether the bucket for the code can go, was not seen: {failure}"))
        }
        offered => offered?,
    }
    if left.is_empty() { Ok(Exit::Done) } else { Err(DestroyError::Left(left.len()).into()) }
}

/// Removes the bucket for the function's code if that is wanted, and nothing else may use it.
async fn offer_assets(site: &Site, args: &DestroyArgs, console: &Console) -> Result<(), Failure> {
    let place = assets::place(&site.account, site.region);
    let bucket = &place.bucket;
    match assets::state(&site.account, &place).await? {
        State::Absent => return Ok(()),
        State::Shared(key) => {
            console.say(&format!(
                "Bucket {bucket} stays: it has {key}, or an earlier version of it, which is none of cavatica-connect's."
            ));
            return Ok(());
        }
        State::Ours => {}
    }
    let others = site.stacks.ours().await?;
    if !others.is_empty() {
        console.say(&format!("Bucket {bucket} with the function's code stays, for stack {}.", others.join(", ")));
        return Ok(());
    }
    let question = format!("Remove bucket {bucket} too? It has the function's code, and no stack here uses it.");
    if args.assets || !args.yes && console.ask(&question).await? {
        assets::remove(&site.account, &place).await?;
        console.holds(&format!("bucket {bucket} is gone"));
    } else {
        console.say(&format!(
            "Bucket {bucket} with the function's code stays. `cavatica-connect destroy --assets` removes it."
        ));
    }
    Ok(())
}
