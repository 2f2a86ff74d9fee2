//! `documents`: prints the IAM documents of a volume, or those of whoever operates the stack.

use cavatica_access::document::in_ascii;

use crate::cli::args::DocumentsArgs;
use crate::cli::exit::{Exit, Failure};
use crate::console::Console;
use crate::documents::{documents, random_external_id};
use crate::launch::url::{LaunchError, is_stack_name};
use crate::operator;

pub(super) fn run(args: DocumentsArgs, console: &Console) -> Result<Exit, Failure> {
    if args.operator {
        if !is_stack_name(&args.stack_name) {
            return Err(Failure::new(Exit::Usage, LaunchError::StackName(args.stack_name)));
        }
        console.print(&format!("{:#}", operator::policy(&args.stack_name, args.native).to_value()))?;
        return Ok(Exit::Done);
    }
    let is_given = args.external_id.is_some();
    let usage = |error| Failure::new(Exit::Usage, error);
    let subject = args.subject(random_external_id().map_err(usage)?);
    let is_open = subject.external_id.is_none();
    if subject.restrict_listing && subject.volumes.iter().all(|volume| volume.prefix.is_none()) {
        console.note("--restrict-listing changes nothing without a prefix");
    }
    let documents = documents(subject).map_err(usage)?;
    if is_open {
        console.note("without an external ID any user of Cavatica who knows the role's ARN can use the bucket");
    } else if !is_given {
        console.note("the external ID in the trust policy was made at random: enter the same one in Cavatica");
    }
    console.print(&in_ascii(&format!("{documents:#}")))?;
    Ok(Exit::Done)
}
