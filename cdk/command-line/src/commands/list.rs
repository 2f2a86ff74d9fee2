//! `list`: the stacks of this program in a region, or in all of them, with what each asks for.

use cavatica_generator::regions;
use futures_util::future::join_all;
use serde_json::json;

use crate::account::{Account, AwsConnection, AwsError};
use crate::cli::args::{ListArgs, OutputForm};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::preview::grants;
use crate::deploy::stack::{NextOperation, Stack};
use crate::deploy::stacks::{StackError, Stacks};
use crate::operation::clients::{RegionClients, print_caller};

/// Why the list is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the list lacks {}: see the lines above", .0.join(", "))]
struct Incomplete(Vec<String>);

/// A stack of this program.
struct Found {
    region: &'static str,
    name: String,
    stack: Stack,
}

pub(super) fn run(args: ListArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    let progress = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.to_stderr(),
    };
    let result = run_until_signal(list(&args, connection, &progress, console), async || {
        progress.stop_waiting();
        "Nothing was changed.".to_owned()
    });
    progress.stop_waiting();
    result
}

async fn list(
    args: &ListArgs,
    connection: &AwsConnection,
    console: &Console,
    results: &Console,
) -> Result<Exit, CommandFailure> {
    console.start_waiting("looking for stacks");
    let (account, searched) = if args.all_regions {
        (Account::of_caller(connection).await?, regions::COMMERCIAL.to_vec())
    } else {
        let clients = RegionClients::reach(connection, args.region).await?;
        (clients.account, vec![clients.region])
    };
    let answers = join_all(searched.iter().map(|region| stacks_in(&account, region))).await;
    console.stop_waiting();
    let title = if args.all_regions { "all" } else { searched.first().copied().unwrap_or_default() };
    print_caller(&account, &[title], console).await;
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    for (region, answer) in searched.iter().zip(answers) {
        match answer {
            Ok(stacks) => found.extend(stacks),
            // An opt-in region that is not enabled has no stacks.
            Err(StackError::Aws { error: AwsError::RegionNotEnabled(_), .. }) if args.all_regions => {}
            Err(error) if args.all_regions => {
                console.row(Tone::Bad, "not seen", region, "", &error.to_string());
                unseen.push((*region).to_owned());
            }
            Err(error) => return Err(error.into()),
        }
    }
    match args.output {
        OutputForm::Json => results.print(&as_json(&found))?,
        OutputForm::Text => print(&found, args.all_regions, console),
    }
    if !unseen.is_empty() {
        return Err(Incomplete(unseen).into());
    }
    let has_failed = |found: &Found| found.stack.status.contains("FAILED") || found.stack.status == "ROLLBACK_COMPLETE";
    Ok(if found.iter().any(has_failed) { Exit::Different } else { Exit::Done })
}

async fn stacks_in(account: &Account, region: &'static str) -> Result<Vec<Found>, StackError> {
    let stacks = Stacks::of(account, region);
    let mut found = Vec::new();
    for name in stacks.ours().await? {
        if let Some(stack) = stacks.find(&name).await? {
            found.push(Found { region, name, stack });
        }
    }
    Ok(found)
}

/// Returns the grants of a stack by its outputs or parameters; nothing if its creation failed or is not finished.
fn granted(stack: &Stack) -> Option<String> {
    let is_complete =
        matches!(NextOperation::of(&stack.status), NextOperation::Update | NextOperation::ContinueRollback);
    let output = stack.outputs.get("Grants").cloned();
    is_complete.then(|| output.or_else(|| grants(&stack.parameters)))?
}

fn print(found: &[Found], has_regions: bool, console: &Console) {
    console.heading("Stacks, with what each grants by its own outputs");
    if found.is_empty() {
        console.text(&"none");
    }
    for Found { region, name, stack } in found {
        let tone = match NextOperation::of(&stack.status) {
            NextOperation::Update => Tone::Good,
            NextOperation::Create | NextOperation::Wait => Tone::Quiet,
            NextOperation::DeleteAndCreate | NextOperation::ContinueRollback | NextOperation::Delete => Tone::Bad,
        };
        let place = if has_regions { format!("{region:<15}") } else { String::new() };
        let granted = granted(stack).unwrap_or_else(|| "-".to_owned());
        console.row(tone, &format!("{:<24}", stack.status), &format!("{name:<24}"), &format!("{place}{granted}"), "");
    }
}

fn as_json(found: &[Found]) -> String {
    let stacks: Vec<_> = found
        .iter()
        .map(|Found { region, name, stack }| {
            json!({"StackName": name, "StackId": stack.id, "Region": region, "Status": stack.status, "Grants": granted(stack)})
        })
        .collect();
    format!("{:#}", json!(stacks))
}
