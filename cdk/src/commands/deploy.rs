//! `deploy`: creates or updates a stack, after showing what would change.

use std::cell::RefCell;

use cavatica_local::children;

use super::outputs;
use super::stack::{Site, StackProblem, can_go_on, read_zip, template_of_release};
use crate::account::Access;
use crate::cfn::Template;
use crate::cli::args::{DeployArgs, OutputForm};
use crate::cli::exit::{Exit, Failure};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::assets;
use crate::deploy::change_set::{ChangeSet, Proposal, Purpose, TemplateAt};
use crate::deploy::client::Stacks;
use crate::deploy::code::{built, upload};
use crate::deploy::follow::{Seen, first_cause};
use crate::deploy::standing::{Kind, ParameterValue, Stack, Way, parameters};
use crate::documents::{self, permissions_of_stack, trust_of_stack};
use crate::launch::url::{LaunchError, check_parameters, is_stack_name};
use crate::template::{Config, Release, native, provided};

/// Why a stack is not deployed.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    /// Nobody says which bucket.
    #[error("a new stack needs a bucket: give it with --bucket")]
    NoBucket,
    /// It is of the other template.
    #[error("stack {name} is of the template {}, and the other one would make another role: {}", in_words(*.kind), remedy(*.kind))]
    OtherKind {
        /// The stack.
        name: String,
        /// Its template.
        kind: Kind,
    },
}

fn in_words(kind: Kind) -> &'static str {
    match kind {
        Kind::ByFunction => "with the function",
        Kind::Native => "without a function",
    }
}

fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::ByFunction => "leave out --native, or give another --stack-name",
        Kind::Native => "add --native, or give another --stack-name",
    }
}

/// The progress, which decides what is said or taken back when a signal ends it.
#[derive(Debug, Default)]
enum Phase {
    /// Nothing of it is in AWS.
    #[default]
    Looking,
    /// A change set waits for an answer.
    Proposed(Stacks, ChangeSet),
    /// CloudFormation is at work.
    Running {
        /// The stack's ID, which names its region.
        stack: String,
        /// True if there was none before.
        is_new: bool,
    },
}

pub(super) fn run(args: DeployArgs, access: &Access, console: &Console) -> Result<Exit, Failure> {
    can_go_on(args.yes, console)?;
    if !is_stack_name(&args.stack_name) {
        return Err(Failure::new(Exit::Usage, LaunchError::StackName(args.stack_name)));
    }
    let said = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.aside(),
    };
    let phase = RefCell::new(Phase::default());
    let deployed = async {
        if let Some(stack) = deploy(&args, access, &said, &phase).await? {
            outputs::print(&stack, args.output, console)?;
        }
        Ok(Exit::Done)
    };
    let result = run_until_signal(deployed, async || {
        said.rest();
        interrupted(phase.take()).await
    });
    said.rest();
    result
}

/// Takes back what can be, and says what goes on.
async fn interrupted(phase: Phase) -> String {
    match phase {
        Phase::Looking => children::end_all().to_owned(),
        Phase::Proposed(stacks, change_set) => match stacks.withdraw(&change_set).await {
            Ok(()) => "The proposal was taken back; nothing was changed.".to_owned(),
            Err(error) => format!("The proposal {} is still there: {error}", change_set.id),
        },
        Phase::Running { stack, is_new } => {
            let region = stack.split(':').nth(3).unwrap_or_default();
            let command = |what: &str| format!("  aws cloudformation {what} --region {region} --stack-name {stack}");
            let mut said = format!("The stack goes on in AWS. To watch it:\n{}", command("describe-stack-events"));
            if !is_new {
                said.push_str(&format!("\nTo cancel the update:\n{}", command("cancel-update-stack")));
            }
            said.push_str(&format!("\nTo delete it:\n{}", command("delete-stack")));
            said
        }
    }
}

/// Creates or updates the stack; returns it unless somebody says no.
async fn deploy(
    args: &DeployArgs,
    access: &Access,
    said: &Console,
    phase: &RefCell<Phase>,
) -> Result<Option<Stack>, Failure> {
    said.wait("looking at the stack");
    let site = Site::reach(access, args.region).await?;
    // Whatever can be refused is refused before anything is in AWS, or is deleted there.
    let (template, at) = source(args, &site).await?;
    let mut given = args.parameters();
    check_parameters(&template, &given).map_err(|error| Failure::new(Exit::Usage, error))?;
    let zip = args.code.zip.as_ref().map(|path| read_zip(path)).transpose()?;
    let (purpose, before) = standing(&site, args, said, phase).await?;
    let is_new = purpose != Purpose::Update;
    let at = match at {
        Some(at) => at,
        None => {
            let asset = match zip {
                Some(zip) => zip,
                None => built(said).await?,
            };
            let place = assets::place(&site.account, site.region);
            said.wait(&format!("uploading the function's code to bucket {}", place.bucket));
            upload(&site.account, &asset, place).await?
        }
    };
    let has_to_be_given = template.parameters().any(|it| it.name == "ExternalId" && it.default.is_none());
    if is_new && has_to_be_given && !given.iter().any(|(name, _)| name == "ExternalId") {
        given.push(("ExternalId".to_owned(), documents::random_external_id()?.to_string()));
    }
    let names: Vec<_> = template.parameters().map(|parameter| parameter.name).collect();
    let proposal = Proposal {
        stack_name: args.stack_name.clone(),
        purpose,
        template: at,
        parameters: parameters(&names, &given, before.as_ref()),
        names_iam: args.native,
    };
    said.wait("asking CloudFormation what would change");
    let change_set = site.stacks.propose(&proposal).await?;
    said.rest();
    let Some(change_set) = change_set else {
        said.say(&format!("Stack {} is as it should be: nothing to change.", args.stack_name));
        return Ok(before);
    };
    phase.replace(Phase::Proposed(site.stacks.clone(), change_set.clone()));
    tell_changes(&template, &proposal, before.as_ref(), &change_set, said);
    if !args.yes && !said.ask("Carry this out?").await? {
        site.stacks.withdraw(&change_set).await?;
        phase.take();
        said.say(&"Nothing was changed.");
        return Ok(None);
    }

    let stack = change_set.stack_id.clone();
    // What happened before is no news.
    let mut seen = Seen::default();
    site.stacks.catch_up(&stack, &mut seen).await?;
    // Before the call: from here on nobody can tell whether AWS has begun.
    phase.replace(Phase::Running { stack: stack.clone(), is_new });
    site.stacks.execute(&change_set).await?;
    site.follow(&stack, &mut seen, said).await?;
    Ok(site.stacks.find(&stack).await?)
}

/// The purpose of the operation, and the stack as it is before. One whose creation failed is deleted first, if whoever is asked
/// agrees.
async fn standing(
    site: &Site,
    args: &DeployArgs,
    said: &Console,
    phase: &RefCell<Phase>,
) -> Result<(Purpose, Option<Stack>), Failure> {
    let name = &args.stack_name;
    let found = site.stacks.find(name).await?.filter(|stack| stack.status != "DELETE_COMPLETE");
    let way = found.as_ref().map_or(Way::Create, |stack| Way::of(&stack.status));
    said.rest();
    if matches!(way, Way::Create | Way::DeleteAndCreate)
        && !args.parameters().iter().any(|(name, _)| name == "BucketName")
    {
        return Err(Failure::new(Exit::Usage, DeployError::NoBucket));
    }
    let Some(stack) = found else { return Ok((Purpose::NewStack, None)) };
    if way != Way::Create {
        let wanted = if args.native { Kind::Native } else { Kind::ByFunction };
        let kind = site.kind(&stack, name).await?;
        if kind != wanted && way == Way::Update {
            return Err(DeployError::OtherKind { name: name.clone(), kind }.into());
        }
    }
    let not_now = |remedy: String| StackProblem::NotNow { name: name.clone(), status: stack.status.clone(), remedy };
    let command = |what: &str| format!("`aws cloudformation {what} --stack-name {}`", stack.id);
    match way {
        Way::Create => Ok((Purpose::EmptyStack, None)),
        Way::Update => Ok((Purpose::Update, Some(stack))),
        Way::Wait => Err(not_now(format!("wait for its end, which {} shows", command("describe-stack-events"))).into()),
        Way::ContinueRollback => Err(not_now(format!("run {} first", command("continue-update-rollback"))).into()),
        Way::Delete => Err(not_now(format!("run {} first", command("delete-stack"))).into()),
        Way::DeleteAndCreate => {
            let mut seen = Seen::default();
            site.stacks.catch_up(&stack.id, &mut seen).await?;
            let cause = first_cause(&seen.events).unwrap_or_else(|| "CloudFormation names no cause".to_owned());
            said.say(&format!("Stack {name} is in {}, because its creation failed. {cause}", stack.status));
            if !args.yes && !said.ask("Delete it and create it again?").await? {
                return Err(not_now("it can only be deleted, and was not".to_owned()).into());
            }
            site.stacks.delete(&stack.id).await?;
            phase.replace(Phase::Running { stack: stack.id.clone(), is_new: true });
            site.follow(&stack.id, &mut seen, said).await?;
            phase.take();
            Ok((Purpose::NewStack, None))
        }
    }
}

/// The template, and where CloudFormation reads it, unless it has to be uploaded first.
async fn source(args: &DeployArgs, site: &Site) -> Result<(Template, Option<TemplateAt>), Failure> {
    if let Some(at) = &args.code.release {
        let version = args.code.release_version.as_deref();
        let (template, at) = template_of_release(site, at, version, args.native).await?;
        return Ok((template, Some(at)));
    }
    if args.native {
        let template = native::template(&Config::default());
        let body = template.to_yaml();
        return Ok((template, Some(TemplateAt::Body(body))));
    }
    // The parameters of the template that will be uploaded: where the code is does not show in them.
    let release = Release::in_one(site.region, "", "");
    Ok((provided::template(&Config::published(release)), None))
}

fn tell_changes(
    template: &Template,
    proposal: &Proposal,
    before: Option<&Stack>,
    change_set: &ChangeSet,
    said: &Console,
) {
    let verb = if proposal.purpose == Purpose::Update { "Update" } else { "Create" };
    said.part(&format!("{verb} stack {}", proposal.stack_name));
    for change in &change_set.changes {
        let tone = if change.action == "Remove" || change.may_replace { Tone::Bad } else { Tone::Good };
        let remark = if change.may_replace { "may be replaced" } else { "" };
        said.row(tone, &format!("{:<8}", change.action), &format!("{:<20}", change.logical_id), &change.kind, remark);
    }
    let is_hidden = |name: &str| template.parameters().any(|it| it.name == name && it.no_echo);
    let held = before.map(|stack| stack.parameters.clone()).unwrap_or_default();
    let mut after = held.clone();
    for (name, value) in &proposal.parameters {
        let ParameterValue::Given(value) = value else { continue };
        let was = held.get(name);
        after.insert(name.clone(), value.clone());
        match was {
            _ if is_hidden(name) => said.entry(name, "given, and hidden"),
            Some(was) if was == value => {}
            Some(was) => said.entry(name, &format!("{value} (until now \"{was}\")")),
            None => said.entry(name, value),
        }
    }
    for parameter in template.parameters() {
        if let Some(default) = &parameter.default {
            after.entry(parameter.name.to_owned()).or_insert_with(|| default.clone());
        }
    }
    match (before.and_then(|stack| permissions_of_stack(&stack.parameters)), permissions_of_stack(&after)) {
        (Some(was), Some(will)) if was != will => {
            said.part("What Cavatica may do: the difference");
            said.difference(&was, &will);
        }
        (None, Some(will)) => {
            said.part("What Cavatica may do");
            said.json(&will);
        }
        _ => {}
    }
    let gives_id =
        proposal.parameters.iter().any(|(name, value)| name == "ExternalId" && *value != ParameterValue::Previous);
    if before.is_none() || gives_id {
        said.part("Who may assume the role");
        said.say(&trust_of_stack(&after));
    }
    if before.is_some() && gives_id {
        said.say(&"If that is another one than until now, Cavatica reaches nothing until it is entered there.");
    }
}
