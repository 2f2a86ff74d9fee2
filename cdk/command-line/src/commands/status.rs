//! `status`: a stack's state, what AWS holds for it, what differs from what the stack asks for, and its repair.

use std::cell::RefCell;

use cavatica_access::document::same_meaning;
use cavatica_generator::stack_name::StackName;
use serde_json::json;

use crate::account::AwsConnection;
use crate::cli::args::{OutputForm, StatusArgs};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::Console;
use crate::deploy::follow::{KnownEvents, Progress, first_cause};
use crate::deploy::inspection::difference::{Remedy, without_external_id};
use crate::deploy::inspection::{Inspection, inspect};
use crate::deploy::stack::{NextOperation, Stack};
use crate::operation::change::{Phase, StackChange, interrupted};
use crate::operation::clients::{RegionClients, print_caller, require_answer};
use crate::operation::inspection::{self, exit_of, repaired};
use crate::operation::outputs;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    /// The stack does not exist.
    #[error("there is no stack {name} in {region}: give another --stack-name or --region")]
    NoStack {
        /// The stack.
        name: String,
        /// The region in which it was looked for.
        region: String,
    },
}

pub(super) fn run(args: StatusArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    require_answer(args.yes || !args.repair, console)?;
    let progress = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.to_stderr(),
    };
    let phase = RefCell::new(Phase::default());
    let stack_name = args.stack_name.clone().unwrap_or_else(|| StackName::default_of(connection.platform()));
    let command = Status {
        args: &args,
        stack_name: stack_name.as_str(),
        connection,
        console: &progress,
        results: console,
        phase: &phase,
    };
    let result = run_until_signal(command.run(), async || {
        progress.stop_waiting();
        match phase.take() {
            Phase::Looking => "Nothing was changed.".to_owned(),
            begun => interrupted(begun).await,
        }
    });
    progress.stop_waiting();
    result
}

/// One run of the command.
struct Status<'s> {
    args: &'s StatusArgs,
    stack_name: &'s str,
    connection: &'s AwsConnection,
    console: &'s Console,
    results: &'s Console,
    phase: &'s RefCell<Phase>,
}

impl Status<'_> {
    async fn run(self) -> Result<Exit, CommandFailure> {
        let Self { args, console, .. } = self;
        console.start_waiting("looking at the stack");
        let clients = RegionClients::reach(self.connection, args.region).await?;
        let RegionClients { region, stacks, .. } = &clients;
        let name = self.stack_name;
        let absent = || StatusError::NoStack { name: name.to_owned(), region: (*region).to_owned() };
        let mut stack = stacks.find(name).await?.ok_or_else(absent)?;
        if args.watch && NextOperation::of(&stack.status) == NextOperation::Wait {
            stack = self.watch(&clients, stack).await?;
        }
        console.stop_waiting();
        if !is_complete(&stack.status) {
            return self.incomplete(&clients, &stack).await;
        }
        let kind = clients.kind(&stack, name).await?;
        if args.repair {
            print_caller(&clients.account, &[region], console).await;
            let change = StackChange {
                clients: &clients,
                stack_name: name,
                yes: args.yes,
                dry_run: false,
                console,
                phase: self.phase,
            };
            let (exit, stack) = repaired(&change, kind, stack).await?;
            if args.output == OutputForm::Json {
                let inspection = inspect(&clients.account, stacks, &stack, kind).await?;
                self.results.print(&as_json(&stack, Some(&inspection)))?;
            }
            return Ok(exit);
        }
        console.start_waiting("looking at what AWS holds for the stack");
        let inspection = inspect(&clients.account, stacks, &stack, kind).await;
        console.stop_waiting();
        let inspection = inspection?;
        match args.output {
            OutputForm::Json => self.results.print(&as_json(&stack, Some(&inspection)))?,
            OutputForm::Text => {
                self.print(&stack)?;
                self.print_documents(&inspection);
                inspection::print(&inspection, &clients, name, console);
            }
        }
        Ok(exit_of(&inspection))
    }

    /// Follows the operation that goes on, and returns the stack as it is afterwards.
    async fn watch(&self, clients: &RegionClients, stack: Stack) -> Result<Stack, CommandFailure> {
        let (console, stacks) = (self.console, &clients.stacks);
        console.stop_waiting();
        console.start_waiting("waiting for CloudFormation");
        let (operation, mut known) = stacks.current_operation(&stack.id).await?;
        let mut has_cause = false;
        let followed = stacks.follow(&operation, &mut known, |progress| match progress {
            Progress::Event(event) => {
                event.print(console, has_cause);
                has_cause |= event.is_failure();
            }
            Progress::Trouble(error) => console.note(&format!("{error}. This command keeps trying")),
        });
        let ending = followed.await;
        console.stop_waiting();
        let ending = ending?;
        let shown = stacks.find(&stack.id).await?.unwrap_or(stack);
        // The events are the truth where the stack is behind them.
        Ok(Stack { status: ending.status, ..shown })
    }

    /// Shows a stack that is not complete: its state, the first cause, and the way out.
    async fn incomplete(&self, clients: &RegionClients, stack: &Stack) -> Result<Exit, CommandFailure> {
        let Self { args, console, .. } = *self;
        let (name, invocation) = (self.stack_name, &clients.account.invocation);
        let own = |command: &str| invocation.command(&[command, "--stack-name", name], Some(clients.region));
        let aws = |what: &str| {
            invocation.aws(&["cloudformation", what, "--stack-name", stack.id.as_str()], Some(clients.region))
        };
        let (state, way_out) = match NextOperation::of(&stack.status) {
            NextOperation::Create => ("the stack contains only a change set", own("deploy")),
            NextOperation::Wait => ("an operation is in progress", format!("{} --watch", own("status"))),
            NextOperation::DeleteAndCreate => ("its creation failed, and it can only be deleted", own("deploy")),
            NextOperation::ContinueRollback => ("an update could not be rolled back", aws("continue-update-rollback")),
            NextOperation::Delete => ("its deletion failed", own("destroy")),
            NextOperation::Update => ("an update failed and was not rolled back", aws("rollback-stack")),
        };
        let mut known = KnownEvents::default();
        let cause = match clients.stacks.catch_up(&stack.id, &mut known).await {
            Ok(()) => first_cause(&known.all),
            Err(error) => Some(format!("not seen ({error})")),
        };
        match args.output {
            OutputForm::Json => self.results.print(&as_json(stack, None))?,
            OutputForm::Text => self.print(stack)?,
        }
        console.heading("Comparison with the template");
        console.text(&format!("Not looked at: the stack is in {}, since {state}.", stack.status));
        if let Some(cause) = cause {
            console.text(&format!("First cause: {cause}"));
        }
        console.text(&format!("To go on: {way_out}"));
        Ok(Exit::Different)
    }

    fn print(&self, stack: &Stack) -> Result<(), CommandFailure> {
        let Self { args, console, .. } = *self;
        console.heading(&format!("Stack {}", self.stack_name));
        console.field("Status", &stack.status);
        console.field("StackId", &stack.id);
        for (name, value) in stack.parameters.iter().filter(|(_, value)| !value.is_empty()) {
            console.field(name, value);
        }
        outputs::print(self.connection.platform(), stack, args.output, true, console)
    }

    /// Prints the documents of the volume role; in a pipe, which may be a log, without the external ID.
    fn print_documents(&self, inspection: &Inspection) {
        let console = self.console;
        let documents = &inspection.documents;
        let may = format!("What {} may do", self.connection.platform().name);
        for (title, document) in [(may.as_str(), &documents.permissions), ("Who may assume the role", &documents.trust)]
        {
            if document.observed.is_null() {
                continue;
            }
            console.heading(&format!("{title}, as IAM holds it"));
            let shown =
                |document| if console.is_watched() { Clone::clone(document) } else { without_external_id(document) };
            if same_meaning(&document.observed, &document.desired) {
                console.json(&shown(&document.observed));
            } else {
                console.difference(&shown(&document.desired), &shown(&document.observed));
            }
        }
    }
}

/// True for a stack whose last operation ended as it should, or was rolled back whole.
fn is_complete(status: &str) -> bool {
    NextOperation::of(status) == NextOperation::Update && !status.ends_with("_FAILED")
}

fn as_json(stack: &Stack, inspection: Option<&Inspection>) -> String {
    let is_looked_at = inspection.is_some();
    let empty = Inspection::default();
    let inspection = inspection.unwrap_or(&empty);
    let observed = &inspection.documents;
    let differences: Vec<_> = inspection
        .differences()
        .map(|it| match &it.remedy {
            Remedy::Repair => json!({"Text": it.text, "Remedy": "repair"}),
            Remedy::Command(command) => json!({"Text": it.text, "Remedy": "command", "Command": command}),
        })
        .collect();
    let all = json!({
        "StackId": stack.id, "Status": stack.status, "Parameters": stack.parameters, "Outputs": stack.outputs,
        "Looked": is_looked_at, "AsRequested": is_looked_at && inspection.is_as_requested(),
        "Documents": {"Permissions": observed.permissions.observed, "Trust": observed.trust.observed},
        "Differences": differences, "Drift": inspection.repairs.iter().chain(&inspection.refusal).collect::<Vec<_>>(), "Findings": inspection.findings,
        "Unseen": inspection.unseen().collect::<Vec<_>>(), "Notes": inspection.notes,
    });
    format!("{all:#}")
}
