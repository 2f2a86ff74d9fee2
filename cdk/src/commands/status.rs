//! `status`: a stack's state, what IAM holds for it, and what its function would change there.

use cavatica_access::activity::Activities;
use cavatica_access::blueprint::Blueprint;
use cavatica_access::document::same_meaning;
use cavatica_access::owner::Owner;
use cavatica_access::reconcile::{self, Context};
use cavatica_access::refusal::Refusal;
use cavatica_access::request::{CAVATICA_PRINCIPAL, OldProperties, Request};
use cavatica_access::wanted::Present;
use cavatica_aws::clock::Deadline;
use serde_json::{Value, json};

use super::outputs;
use super::stack::Site;
use crate::account::{Access, Account};
use crate::cli::args::{OutputForm, StatusArgs};
use crate::cli::console::{Console, Tone};
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::run_until_signal;
use crate::deploy::follow::Seen;
use crate::deploy::request::{Made, properties};
use crate::deploy::standing::{Stack, Way};

/// The custom resource's name in the template.
const RESOURCE: &str = "VolumeAccess";

/// The title of the trust policy.
const TRUST: &str = "Who may assume the role";

/// Longest look at an account.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

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
    /// Its ID is not one.
    #[error("CloudFormation gives stack {0} an ID that this program does not understand: please report it")]
    Id(String),
    /// Its parameters are not valid.
    #[error(
        "stack {name} asks for something that this program does not understand, as one of another release may: {why}"
    )]
    Request {
        /// The stack.
        name: String,
        /// The part that is not understood.
        why: String,
    },
    /// The account could not be looked at.
    #[error("{0}")]
    Look(Refusal),
}

/// The content of IAM, and its differences from what it should be.
#[derive(Debug, Default)]
struct Looked {
    /// Each change that the function would make.
    drift: Vec<String>,
    /// The reasons why Cavatica could not use the bucket.
    findings: Vec<String>,
    /// The documents as they are and as they should be, by name.
    documents: Vec<(&'static str, Value, Value)>,
}

pub(super) fn run(args: StatusArgs, access: &Access, console: &Console) -> Result<Exit, Failure> {
    let said = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.aside(),
    };
    let result = run_until_signal(status(&args, access, &said, console), async || {
        said.rest();
        "Nothing was changed.".to_owned()
    });
    said.rest();
    result
}

async fn status(args: &StatusArgs, access: &Access, said: &Console, results: &Console) -> Result<Exit, Failure> {
    said.wait("looking at the stack");
    let site = Site::reach(access, args.region).await?;
    let Site { account, region, stacks } = &site;
    let name = &args.stack_name;
    let absent = || StatusError::NoStack { name: name.clone(), region: (*region).to_owned() };
    let mut stack = stacks.find(name).await?.ok_or_else(absent)?;
    site.kind(&stack, name).await?;
    if args.watch && Way::of(&stack.status) == Way::Wait {
        said.rest();
        said.wait("waiting for CloudFormation");
        stacks.follow(&stack.id, &mut Seen::default(), |event| event.print(said)).await?;
        said.rest();
        stack = stacks.find(&stack.id).await?.ok_or_else(absent)?;
    }
    said.wait("looking at what IAM holds");
    let resources = stacks.resources(&stack.id).await?;
    let looked = match resources.get("Boundary").filter(|_| resources.contains_key(RESOURCE)) {
        Some(boundary) if Way::of(&stack.status) == Way::Update => Some(look(account, region, &stack, boundary).await?),
        _ => None,
    };
    said.rest();
    tell(&stack, looked.as_ref(), args, said, results)?;
    let is_as_asked = looked.is_none_or(|looked| looked.drift.is_empty() && looked.findings.is_empty());
    Ok(if is_as_asked { Exit::Done } else { Exit::Different })
}

/// Looks at the account with the caller's rights, as the function would with its own.
async fn look(account: &Account, region: &str, stack: &Stack, boundary: &str) -> Result<Looked, Failure> {
    let id = stack.id.parse().map_err(|_| StatusError::Id(stack.id.clone()))?;
    let made = Made {
        stack: id,
        external_id: stack.outputs.get("ExternalId").filter(|id| *id != "none").cloned(),
        boundary: boundary.to_owned(),
        release: stack.outputs.get("Release").cloned().unwrap_or_default(),
    };
    let properties = properties(&stack.parameters, &made);
    let not_understood = |why: String| StatusError::Request { name: stack.id.clone(), why };
    let request = Request::parse(&properties).map_err(|invalid| not_understood(invalid.to_string()))?;
    let owner = Owner { stack: made.stack, resource: RESOURCE.to_owned() };
    let blueprint = Blueprint::draw(request, owner).map_err(|invalid| not_understood(invalid.to_string()))?;
    let present = Present {
        pinned_principal: CAVATICA_PRINCIPAL.parse().map_err(|rule: &str| not_understood(rule.to_owned()))?,
        from: None,
        former: OldProperties::read(&properties),
        before: Some(blueprint.clone()),
        is_new: false,
        blueprint,
    };
    let (port, clock, activities) = (account.port(region), Deadline::after(PATIENCE), Activities::default());
    let context = Context { account: &port, clock: &clock, activities: &activities };
    let preview = match reconcile::preview(&context, &present).await {
        Ok(preview) => preview,
        Err(refusal @ (Refusal::Aws { .. } | Refusal::WrongAccount { .. })) => {
            return Err(StatusError::Look(refusal).into());
        }
        // What the function would refuse to touch is a difference, too.
        Err(refusal) => return Ok(Looked { drift: vec![refusal.to_string()], ..Looked::default() }),
    };
    let trust = preview.observed.role.map(|role| role.trust).unwrap_or_default();
    let permissions = preview.observed.document.unwrap_or_default();
    Ok(Looked {
        drift: preview.plan.changes().map(ToString::to_string).collect(),
        findings: preview.findings.into_iter().map(|finding| finding.sentence).collect(),
        documents: vec![
            ("What Cavatica may do", permissions, present.blueprint.permissions.to_value()),
            (TRUST, trust, present.blueprint.trust.to_value()),
        ],
    })
}

fn tell(
    stack: &Stack,
    looked: Option<&Looked>,
    args: &StatusArgs,
    said: &Console,
    results: &Console,
) -> Result<(), Failure> {
    let empty = Looked::default();
    let account = looked.unwrap_or(&empty);
    if let OutputForm::Json = args.output {
        let documents: serde_json::Map<_, _> =
            account.documents.iter().map(|(name, held, _)| ((*name).to_owned(), held.clone())).collect();
        results.print(&format!(
            "{:#}",
            json!({
                "StackId": stack.id, "Status": stack.status, "Parameters": stack.parameters, "Outputs": stack.outputs,
                "Looked": looked.is_some(), "Documents": documents, "Drift": account.drift, "Findings": account.findings,
            })
        ))?;
        return Ok(());
    }
    said.part(&format!("Stack {}", args.stack_name));
    said.entry("Status", &stack.status);
    said.entry("StackId", &stack.id);
    for (name, value) in stack.parameters.iter().filter(|(_, value)| !value.is_empty()) {
        said.entry(name, value);
    }
    outputs::print(stack, args.output, said)?;
    for (name, held, wanted) in &account.documents {
        said.part(&format!("{name}, as IAM holds it"));
        if *name == TRUST && !said.is_watched() {
            said.say(&"hidden, since it has the external ID and this may be a log: --output json has it");
        } else if same_meaning(held, wanted) {
            said.json(held);
        } else {
            said.difference(wanted, held);
        }
    }
    said.part("As the stack asks?");
    match looked {
        None if Way::of(&stack.status) != Way::Update => said.say(&"Not looked at in this state."),
        None => said.say(&format!(
            "CloudFormation itself keeps the role of this template: `aws cloudformation detect-stack-drift --stack-name {}`",
            args.stack_name
        )),
        Some(account) if account.drift.is_empty() => said.holds(&"IAM holds exactly what the stack asks for"),
        Some(account) => {
            for change in &account.drift {
                said.row(Tone::Bad, "differs  ", &format!("an update would begin with {change}"), "", "");
            }
        }
    }
    for finding in &account.findings {
        said.row(Tone::Bad, "finding  ", finding, "", "");
    }
    Ok(())
}
