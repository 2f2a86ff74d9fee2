//! `status`: a stack's state, what IAM holds for it, and what its function would change there.

use cavatica_access::document::same_meaning;
use serde_json::json;

use super::outputs;
use super::stack::RegionClients;
use crate::account::AwsConnection;
use crate::cli::args::{OutputForm, StatusArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::drift::{Looked, RESOURCE, look};
use crate::deploy::follow::Progress;
use crate::deploy::standing::{Stack, Way};
use crate::invocation::Invocation;

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    /// It is not there.
    #[error("there is no stack {name} in {region}: give another --stack-name or --region")]
    NoStack {
        /// The stack.
        name: String,
        /// The region in which it was looked for.
        region: String,
    },
}

pub(super) fn run(args: StatusArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, Failure> {
    let said = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.aside(),
    };
    let result = run_until_signal(status(&args, connection, &said, console), async || {
        said.rest();
        "Nothing was changed.".to_owned()
    });
    said.rest();
    result
}

async fn status(
    args: &StatusArgs,
    connection: &AwsConnection,
    said: &Console,
    results: &Console,
) -> Result<Exit, Failure> {
    said.wait("looking at the stack");
    let clients = RegionClients::reach(connection, args.region).await?;
    let RegionClients { account, region, stacks } = &clients;
    let name = &args.stack_name;
    let absent = || StatusError::NoStack { name: name.clone(), region: (*region).to_owned() };
    let mut stack = stacks.find(name).await?.ok_or_else(absent)?;
    clients.kind(&stack, name).await?;
    if args.watch && Way::of(&stack.status) == Way::Wait {
        said.rest();
        said.wait("waiting for CloudFormation");
        let (operation, mut known) = stacks.current_operation(&stack.id).await?;
        let mut has_cause = false;
        let followed = stacks.follow(&operation, &mut known, |progress| match progress {
            Progress::Event(event) => {
                event.print(said, has_cause);
                has_cause |= event.is_failure();
            }
            Progress::Trouble(error) => said.note(&format!("{error}. This command keeps trying")),
        });
        let ending = followed.await?;
        said.rest();
        let shown = stacks.find(&stack.id).await?.ok_or_else(absent)?;
        // The events are the truth where the stack is behind them.
        stack = Stack { status: ending.status, ..shown };
    }
    said.wait("looking at what IAM holds");
    let resources = stacks.resources(&stack.id).await?;
    let looked = match resources.get("Boundary").filter(|_| resources.contains_key(RESOURCE)) {
        Some(boundary) if Way::of(&stack.status) == Way::Update => Some(look(account, region, &stack, boundary).await?),
        _ => None,
    };
    said.rest();
    match args.output {
        OutputForm::Json => results.print(&as_json(&stack, looked.as_ref()))?,
        OutputForm::Text => tell(&stack, looked.as_ref(), args, &clients, said)?,
    }
    let is_as_asked = looked.is_none_or(|looked| looked.is_as_requested());
    Ok(if is_as_asked { Exit::Done } else { Exit::Different })
}

fn as_json(stack: &Stack, looked: Option<&Looked>) -> String {
    let empty = Looked::default();
    let account = looked.unwrap_or(&empty);
    let documents = account.documents.as_ref();
    let documents = documents.map(|held| json!({"Permissions": held.permissions.held, "Trust": held.trust.held}));
    let all = json!({
        "StackId": stack.id, "Status": stack.status, "Parameters": stack.parameters, "Outputs": stack.outputs,
        "Looked": looked.is_some(), "Documents": documents, "Drift": account.drift, "Findings": account.findings,
        "Additions": account.additions.iter().map(|it| it.describe(&Invocation::default())).collect::<Vec<_>>(),
    });
    format!("{all:#}")
}

fn tell(
    stack: &Stack,
    looked: Option<&Looked>,
    args: &StatusArgs,
    clients: &RegionClients,
    said: &Console,
) -> Result<(), Failure> {
    let invocation = &clients.account.invocation;
    said.part(&format!("Stack {}", args.stack_name));
    said.entry("Status", &stack.status);
    said.entry("StackId", &stack.id);
    for (name, value) in stack.parameters.iter().filter(|(_, value)| !value.is_empty()) {
        said.entry(name, value);
    }
    outputs::print(stack, args.output, true, said)?;
    if let Some(documents) = looked.and_then(|looked| looked.documents.as_ref()) {
        let of_trust = (&documents.trust, !said.is_watched());
        for (title, (document, is_hidden)) in
            [("What Cavatica may do", (&documents.permissions, false)), ("Who may assume the role", of_trust)]
        {
            said.part(&format!("{title}, as IAM holds it"));
            if is_hidden {
                said.say(&"hidden, since it has the external ID and this may be a log: --output json has it");
            } else if same_meaning(&document.held, &document.wanted) {
                said.json(&document.held);
            } else {
                said.difference(&document.wanted, &document.held);
            }
        }
    }
    said.part("As the stack asks?");
    let Some(looked) = looked else {
        if Way::of(&stack.status) == Way::Update {
            let command = ["cloudformation", "detect-stack-drift", "--stack-name", args.stack_name.as_str()];
            let command = invocation.aws(&command, Some(clients.region));
            said.say(&format!("IAM was not looked at. CloudFormation compares the role of this template: `{command}`"));
        } else {
            said.say(&"Not looked at in this state.");
        }
        return Ok(());
    };
    if looked.drift.is_empty() && looked.additions.is_empty() {
        said.holds(&"the function would change nothing in IAM, and the role carries no other policy");
    }
    for addition in &looked.additions {
        said.row(Tone::Bad, "differs:", "", "", &addition.describe(invocation));
    }
    for change in &looked.drift {
        said.row(Tone::Bad, "differs:", "", "", &format!("an update would begin with {change}"));
    }
    for finding in &looked.findings {
        said.row(Tone::Bad, "finding:", "", "", finding);
    }
    Ok(())
}
