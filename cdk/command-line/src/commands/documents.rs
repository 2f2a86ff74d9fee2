//! `documents`: prints the IAM documents of a volume, or those of whoever operates the stack.

use cavatica_access::document::in_ascii;
use cavatica_access::platform::Platform;
use cavatica_generator::documents::documents;
use cavatica_generator::meaning::{Meaning, meaning};
use cavatica_generator::operator;
use cavatica_generator::stack_name::StackName;

use crate::cli::args::DocumentsArgs;
use crate::cli::exit::{CommandFailure, Exit};
use crate::console::Console;
use crate::random;

pub(super) fn run(args: DocumentsArgs, platform: &Platform, console: &Console) -> Result<Exit, CommandFailure> {
    if args.operator {
        let name = args.stack_name.unwrap_or_else(|| StackName::default_of(platform));
        console.print(&format!("{:#}", operator::policy(platform, name.as_str(), args.native).to_value()))?;
        return Ok(Exit::Done);
    }
    let is_given = args.external_id.is_some();
    let usage = |error| CommandFailure::new(Exit::Usage, error);
    let subject = args.subject(platform, random::external_id()?);
    let is_open = subject.external_id.is_none();
    // Of several volumes the sentences would be as many.
    let volumes: Vec<_> = match subject.volumes.as_slice() {
        [volume] => vec![(volume.bucket.to_string(), volume.prefix.as_ref().map(ToString::to_string))],
        _ => Vec::new(),
    };
    if subject.restrict_listing && subject.volumes.iter().all(|volume| volume.prefix.is_none()) {
        console.note("--restrict-listing changes nothing without a prefix");
    }
    let documents = documents(subject).map_err(usage)?;
    if is_open {
        console.note(&format!(
            "without an external ID any user of {} who knows the role's ARN can use the bucket",
            platform.name
        ));
    } else if !is_given {
        console.note(&format!(
            "the external ID in the trust policy was made at random: enter the same ID in {}",
            platform.name
        ));
    }
    for (bucket, prefix) in volumes {
        let Meaning { can, cannot } = meaning(&documents["permissions"], platform, &bucket, prefix.as_deref());
        console.note(&format!("{} can {}; it cannot {}", platform.name, can.join("; "), cannot.join("; ")));
    }
    console.print(&in_ascii(&format!("{documents:#}")))?;
    Ok(Exit::Done)
}
