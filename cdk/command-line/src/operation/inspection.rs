//! Printing what an inspection found, and repairing what the function can put right. Shared by `deploy` and `status`.

use crate::cli::exit::{CommandFailure, Exit};
use crate::console::{Console, Tone};
use crate::deploy::change_set::Proposal;
use crate::deploy::inspection::difference::Remedy;
use crate::deploy::inspection::{Inspection, inspect};
use crate::deploy::stack::{Stack, TemplateKind};
use crate::operation::change::StackChange;
use crate::operation::clients::RegionClients;
use crate::waits::Retry;

/// Why a repair is no success.
#[derive(Debug, thiserror::Error)]
enum RepairError {
    /// The stack's template is older than the parameter.
    #[error("the stack's template has no parameter Repair, as releases before it: update the stack with `{0}` first")]
    NoParameter(String),
    /// IAM differs from the stack after the repair.
    #[error("AWS still differs from what the stack asks for: {0}")]
    NotRepaired(String),
}

/// Prints what was compared, what differs with its remedy, and what was not seen.
pub(crate) fn print(inspection: &Inspection, clients: &RegionClients, stack_name: &str, console: &Console) {
    console.heading("Comparison with the template");
    let repair = ["status", "--repair", "--stack-name", stack_name];
    let repair = clients.account.invocation.command(&repair, Some(clients.region));
    for section in &inspection.sections {
        if section.differences.is_empty() && section.unseen.is_empty() {
            console.checked(&format!("{}: {}", section.subject, section.compared));
        }
        for (i, difference) in section.differences.iter().enumerate() {
            console.row(Tone::Bad, "differs", "", "", &difference.text);
            // Several differences that one command puts right are followed by it once.
            if section.differences.get(i + 1).is_some_and(|next| next.remedy == difference.remedy) {
                continue;
            }
            let remedy = match &difference.remedy {
                Remedy::Repair => &repair,
                Remedy::Command(command) => command,
            };
            console.text(&format!("  remedy: {remedy}"));
        }
        section.unseen.iter().for_each(|what| console.row(Tone::Bad, "not seen", "", "", what));
    }
    for step in &inspection.repairs {
        console.row(Tone::Bad, "repair", "", "", &format!("an update would begin with {step}"));
    }
    if let Some(refusal) = &inspection.refusal {
        console.row(Tone::Bad, "refused", "", "", &format!("the function would refuse an update: {refusal}"));
    }
    for finding in &inspection.findings {
        console.row(Tone::Bad, "finding", "", "", finding);
    }
    inspection.notes.iter().for_each(|note| console.text(&format!("Note: {note}")));
}

/// Exit code of an inspection: a difference weighs more than what was not seen.
pub(crate) fn exit_of(inspection: &Inspection) -> Exit {
    let differs = inspection.differences().next().is_some()
        || inspection.refusal.is_some()
        || !inspection.repairs.is_empty()
        || !inspection.findings.is_empty();
    match (differs, inspection.unseen().next().is_some()) {
        (true, _) => Exit::Different,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Done,
    }
}

/// Inspects a stack, prints the result, and repairs what the function can put right, if the user agrees.
///
/// Returns the exit code and the stack as it is afterwards.
pub(crate) async fn repaired(
    change: &StackChange<'_>,
    kind: TemplateKind,
    stack: Stack,
) -> Result<(Exit, Stack), CommandFailure> {
    let StackChange { clients, console, stack_name, .. } = *change;
    let look = async |stack: &Stack| {
        console.start_waiting("looking at what AWS holds for the stack");
        let inspection = inspect(&clients.account, &clients.stacks, stack, kind).await;
        console.stop_waiting();
        inspection
    };
    let inspection = look(&stack).await?;
    print(&inspection, clients, stack_name, console);
    if inspection.repairs.is_empty() {
        return Ok((exit_of(&inspection), stack));
    }
    let Some(proposal) = Proposal::repair(stack_name, &stack) else {
        let deploy = clients.account.invocation.command(&["deploy", "--stack-name", stack_name], Some(clients.region));
        return Err(RepairError::NoParameter(deploy).into());
    };
    let Some(change_set) = change.proposed(&proposal).await? else { return Ok((Exit::Different, stack)) };
    let consequence = "The update has the function put back what the rows marked \"repair\" say.";
    if !change.agreed(&change_set, Some(consequence)).await? {
        return Ok((if change.dry_run { Exit::Different } else { Exit::Failed }, stack));
    }
    let stack = change.execute(change_set, None, Some(&stack)).await?;
    let mut inspection = look(&stack).await?;
    // Reads of IAM are behind by seconds.
    let mut looks = Retry::REPAIRED.attempts();
    while !inspection.repairs.is_empty() && looks.next().await {
        inspection = look(&stack).await?;
    }
    if !inspection.repairs.is_empty() {
        return Err(RepairError::NotRepaired(inspection.repairs.join("; ")).into());
    }
    console.checked(&"repaired: the function would change nothing in IAM now");
    if !inspection.is_as_requested() {
        print(&inspection, clients, stack_name, console);
    }
    Ok((exit_of(&inspection), stack))
}
