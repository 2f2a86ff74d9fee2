//! `deploy`: creates or updates a stack, after showing what would change.
//!
//! Order: everything that can be refused is refused; the change set is proposed and shown; the user answers; only then
//! is code uploaded and the change set executed. Until the answer, the change set is all that AWS has, and it is
//! withdrawn.

mod unchanged;

use std::cell::RefCell;

use cavatica_generator::cfn::Template;
use cavatica_generator::documents::trust_of_stack;
use cavatica_generator::launch::url::check_parameters;
use cavatica_generator::meaning::{Meaning, meaning};
use cavatica_generator::stack_name::StackName;
use cavatica_generator::template::permissions::{Parameters, permissions};
use cavatica_generator::template::{Config, native};
use serde_json::Value;

use crate::account::AwsConnection;
use crate::cli::args::{DeployArgs, OutputForm};
use crate::cli::exit::{CommandFailure, Exit};
use crate::cli::signals::run_until_signal;
use crate::console::{Console, Tone};
use crate::deploy::assets;
use crate::deploy::change_set::{ChangeSet, Proposal, Purpose, TemplateAt};
use crate::deploy::code::{self, built};
use crate::deploy::preflight::{self, Observation};
use crate::deploy::preview::{self, grants, losses, parameters_after};
use crate::deploy::stack::{ParameterValue, Stack, TemplateKind, parameters};
use crate::operation::change::{Phase, StackChange, interrupted};
use crate::operation::clients::{RegionClients, print_caller, read_zip, require_answer, template_of_release};
use crate::operation::inspection::repaired;
use crate::operation::outputs;
use crate::publish::Place;
use crate::random;
use crate::release::build::Profile;
use crate::release::zip::Asset;

/// Why a stack is not deployed.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    /// No bucket is given for a new stack.
    #[error("a new stack needs a bucket: give it with --bucket")]
    NoBucket,
    /// The stack has the other template.
    #[error("stack {name} is of the template {}, and the other one would make another role: {}", in_words(*.kind), remedy(*.kind))]
    OtherKind {
        /// The stack.
        name: String,
        /// Its template.
        kind: TemplateKind,
    },
    /// The stack serves another bucket.
    #[error(
        "stack {name} gives {platform} bucket {held}, which it would lose: for bucket {asked}, deploy a second stack with --stack-name \
         {suggestion}; or give --replace-bucket if {platform} should lose {held}"
    )]
    OtherBucket {
        /// The stack.
        name: String,
        /// Name of the platform.
        platform: String,
        /// Its bucket.
        held: String,
        /// The bucket that is given.
        asked: String,
        /// A name for a second stack.
        suggestion: String,
    },
    /// Cavatica could not use the bucket.
    #[error("nothing was changed, since the bucket could not be used: {0}")]
    Bucket(String),
    /// Somebody else has proposed changes.
    #[error(
        "stack {name} has change set {change_set}, which cavatica-connect did not create: execute or delete it first (`{delete}`), or \
         give another --stack-name"
    )]
    ForeignChangeSet {
        /// The stack.
        name: String,
        /// The change set.
        change_set: String,
        /// Command that deletes it.
        delete: String,
    },
    /// An empty stack of unknown origin.
    #[error(
        "there is an empty stack {name} (REVIEW_IN_PROGRESS) without a change set of cavatica-connect: give another --stack-name, \
         or delete it (`{delete}`)"
    )]
    ForeignStack {
        /// The stack.
        name: String,
        /// Command that deletes it.
        delete: String,
    },
}

fn in_words(kind: TemplateKind) -> &'static str {
    match kind {
        TemplateKind::ByFunction => "with the function",
        TemplateKind::Native => "without a function",
    }
}

fn remedy(kind: TemplateKind) -> &'static str {
    match kind {
        TemplateKind::ByFunction => "leave out --native, or give another --stack-name",
        TemplateKind::Native => "add --native, or give another --stack-name",
    }
}

pub(super) fn run(args: DeployArgs, connection: &AwsConnection, console: &Console) -> Result<Exit, CommandFailure> {
    require_answer(args.yes || args.dry_run, console)?;
    let progress = match args.output {
        OutputForm::Text => console.clone(),
        OutputForm::Json => console.to_stderr(),
    };
    let phase = RefCell::new(Phase::default());
    let stack_name = args.stack_name.clone().unwrap_or_else(|| StackName::default_of(connection.platform()));
    let command = Deploy {
        args: &args,
        stack_name: &stack_name,
        connection,
        console: &progress,
        results: console,
        phase: &phase,
    };
    let result = run_until_signal(command.run(), async || {
        progress.stop_waiting();
        interrupted(phase.take()).await
    });
    progress.stop_waiting();
    result
}

/// The template of an operation, and the code that has to be uploaded for it.
struct Source {
    template: Template,
    at: TemplateAt,
    code: Option<(Asset, Place)>,
}

/// One run of the command.
struct Deploy<'d> {
    args: &'d DeployArgs,
    stack_name: &'d StackName,
    connection: &'d AwsConnection,
    console: &'d Console,
    results: &'d Console,
    phase: &'d RefCell<Phase>,
}

impl Deploy<'_> {
    async fn run(self) -> Result<Exit, CommandFailure> {
        let Self { args, console, .. } = self;
        console.start_waiting("looking at the stack");
        let clients = RegionClients::reach(self.connection, args.region).await?;
        console.stop_waiting();
        print_caller(&clients.account, &[clients.region], console).await;
        let published = match &args.code.release {
            Some(at) => {
                let version = args.code.release_version.as_deref();
                Some(template_of_release(self.connection, clients.region, at, version, args.native).await?)
            }
            None => None,
        };
        let given = args.parameters();
        let template = published.as_ref().map_or_else(|| self.own_template(&clients), |(template, _)| template.clone());
        check_parameters(&template, &given, clients.region).map_err(|error| CommandFailure::new(Exit::Usage, error))?;
        let zip = args.code.zip.as_ref().map(|path| read_zip(path)).transpose()?;
        let standing = self.standing(&clients).await?;
        self.check_bucket(&clients, &given, standing.before()).await?;
        let Some((purpose, before)) = self.make_way(&clients, standing).await? else { return Ok(Exit::Different) };
        let source = self.source(&clients, published, zip).await?;
        self.propose(&clients, source, purpose, before, given).await
    }

    /// Returns the template whose parameters are checked; the place of its code does not show in them.
    fn own_template(&self, clients: &RegionClients) -> Template {
        if self.args.native {
            return native::template(&Config::of(self.connection.platform()));
        }
        let release = cavatica_generator::template::Release::in_one(clients.region, "", "");
        cavatica_generator::template::provided::template(&Config::released(self.connection.platform(), release))
    }

    async fn source(
        &self,
        clients: &RegionClients,
        published: Option<(Template, TemplateAt)>,
        zip: Option<Asset>,
    ) -> Result<Source, CommandFailure> {
        if let Some((template, at)) = published {
            return Ok(Source { template, at, code: None });
        }
        if self.args.native {
            let template = native::template(&Config::of(self.connection.platform()));
            let at = TemplateAt::Body(template.to_yaml());
            return Ok(Source { template, at, code: None });
        }
        let asset = match zip {
            Some(zip) => zip,
            None => built(Profile::Release, self.console).await?,
        };
        let naming = assets::naming(&clients.account, clients.region, self.args.assets_bucket.as_ref());
        let place = naming.choose(&clients.account).await?;
        let template = code::template_of(self.connection.platform(), &asset, &place);
        let at = TemplateAt::Body(template.to_yaml());
        Ok(Source { template, at, code: Some((asset, place)) })
    }

    /// Refuses another bucket than the stack's, and a bucket that Cavatica could not use.
    async fn check_bucket(
        &self,
        clients: &RegionClients,
        given: &[(String, String)],
        before: Option<&Stack>,
    ) -> Result<(), CommandFailure> {
        let (args, console) = (self.args, self.console);
        let asked = given.iter().find(|(name, _)| name == "BucketName").map(|(_, bucket)| bucket);
        let held = before.and_then(|stack| stack.parameters.get("BucketName"));
        match (held, asked) {
            (None, None) => return Err(CommandFailure::new(Exit::Usage, DeployError::NoBucket)),
            (Some(held), Some(asked)) if held != asked && !args.replace_bucket => {
                return Err(DeployError::OtherBucket {
                    name: self.stack_name.to_string(),
                    platform: self.connection.platform().name.to_string(),
                    held: held.clone(),
                    asked: asked.clone(),
                    suggestion: preview::name_for(asked, self.stack_name.as_str()),
                }
                .into());
            }
            _ => {}
        }
        let mut after: Parameters = before.map(|stack| stack.parameters.clone()).unwrap_or_default();
        after.extend(given.iter().cloned());
        let checks = after.get("Checks").map(String::as_str);
        let is_enforced = matches!(checks, None | Some("Enforce"));
        console.start_waiting("looking at the bucket");
        let observations = preflight::look(&clients.account, clients.region, &after).await;
        console.stop_waiting();
        console.heading("The bucket");
        let mut wrong = Vec::new();
        for observation in observations {
            match observation {
                Observation::Fine(text) => console.checked(&text),
                Observation::Note(text) => console.text(&format!("Note: {text}")),
                Observation::Unseen(text) => console.text(&format!("Not seen: {text}")),
                Observation::Absent(text) if is_enforced => wrong.push(text),
                // The native template has no checks that could be switched off.
                Observation::Wrong(text) if is_enforced && !args.native => wrong.push(text),
                Observation::Wrong(text) | Observation::Absent(text) => {
                    console.text(&format!("Note, since nothing checks that: {text}"));
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(DeployError::Bucket(wrong.join("; ")).into()) }
    }

    /// Proposes the operation, shows it, asks, and carries it out.
    async fn propose(
        &self,
        clients: &RegionClients,
        source: Source,
        purpose: Purpose,
        before: Option<Stack>,
        mut given: Vec<(String, String)>,
    ) -> Result<Exit, CommandFailure> {
        let args = self.args;
        let Source { template, at, code } = source;
        let needs_id = template.parameters().any(|it| it.name == "ExternalId" && it.default.is_none());
        let is_generated =
            purpose != Purpose::Update && needs_id && !given.iter().any(|(name, _)| name == "ExternalId");
        if is_generated {
            given.push(("ExternalId".to_owned(), random::external_id()?.to_string()));
        }
        let names: Vec<_> = template.parameters().map(|parameter| parameter.name).collect();
        let proposal = Proposal {
            stack_name: self.stack_name.to_string(),
            purpose,
            template: at,
            parameters: parameters(&names, &given, before.as_ref()),
            names_iam: args.native,
        };
        let change = StackChange {
            clients,
            stack_name: self.stack_name.as_str(),
            yes: args.yes,
            dry_run: args.dry_run,
            console: self.console,
            phase: self.phase,
        };
        let Some(change_set) = change.proposed(&proposal).await? else {
            return match before {
                Some(stack) => self.unchanged(&change, stack).await,
                None => Ok(Exit::Done),
            };
        };
        self.print_changes(clients, &template, &proposal, before.as_ref(), &change_set, is_generated);
        let after = parameters_after(&template, &proposal, before.as_ref());
        let lost = before
            .as_ref()
            .map(|stack| losses(&self.connection.platform().name, &stack.parameters, &after))
            .unwrap_or_default();
        let loss =
            (!lost.is_empty()).then(|| format!("{} loses {}.", clients.account.platform().name, lost.join(", and ")));
        if !change.agreed(&change_set, loss.as_deref()).await? {
            return Ok(if args.dry_run { Exit::Different } else { Exit::Failed });
        }
        let stack = change.execute(change_set, code.as_ref(), before.as_ref()).await?;
        outputs::print(self.connection.platform(), &stack, args.output, purpose != Purpose::Update, self.results)?;
        Ok(Exit::Done)
    }

    /// Inspects the stack where CloudFormation has nothing to change, and offers to repair what differs.
    async fn unchanged(&self, change: &StackChange<'_>, stack: Stack) -> Result<Exit, CommandFailure> {
        let Self { args, console, .. } = *self;
        let kind = if args.native { TemplateKind::Native } else { TemplateKind::ByFunction };
        console.text(&format!(
            "CloudFormation finds nothing to change: template and parameters are those of stack {}.",
            self.stack_name
        ));
        let (exit, stack) = repaired(change, kind, stack).await?;
        outputs::print(self.connection.platform(), &stack, args.output, false, self.results)?;
        Ok(exit)
    }

    fn print_changes(
        &self,
        clients: &RegionClients,
        template: &Template,
        proposal: &Proposal,
        before: Option<&Stack>,
        change_set: &ChangeSet,
        is_generated: bool,
    ) {
        let (console, platform) = (self.console, &self.connection.platform().name);
        let verb = if proposal.purpose == Purpose::Update { "Update" } else { "Create" };
        console.heading(&format!("{verb} stack {}", proposal.stack_name));
        let after = parameters_after(template, proposal, before);
        if let Some(grants) = grants(&after) {
            console.field("Grants", &grants);
        }
        for change in &change_set.changes {
            let is_replaced = preview::replaces(change, proposal, before);
            let tone = if change.action == "Remove" || is_replaced { Tone::Bad } else { Tone::Good };
            let remark = if is_replaced { "may be replaced" } else { "" };
            let (action, id) = (format!("{:<8}", change.action), format!("{:<20}", change.logical_id));
            console.row(tone, &action, &id, &change.kind, remark);
        }
        let is_hidden = |name: &str| template.parameters().any(|it| it.name == name && it.no_echo);
        let held = before.map(|stack| stack.parameters.clone()).unwrap_or_default();
        for (name, value) in &proposal.parameters {
            let ParameterValue::Given(value) = value else { continue };
            match held.get(name) {
                _ if is_hidden(name) && is_generated => console.field(name, "random, made now; the outputs show it"),
                _ if is_hidden(name) => console.field(name, "as given; not shown here"),
                Some(was) if was == value => {}
                Some(was) => console.field(name, &format!("{value} (until now \"{was}\")")),
                None => console.field(name, value),
            }
        }
        let granted = |parameters| permissions(template, parameters, &clients.account.id, clients.region);
        match (before.and_then(|stack| granted(&stack.parameters)), granted(&after)) {
            (Some(was), Some(will)) if was != will => {
                console.heading(&format!("What {platform} may do: the difference"));
                self.print_meaning(&will, &after);
                console.difference(&was, &will);
            }
            (None, Some(will)) => {
                console.heading(&format!("What {platform} may do"));
                self.print_meaning(&will, &after);
                console.json(&will);
            }
            _ => {}
        }
        let gives_id =
            proposal.parameters.iter().any(|(name, value)| name == "ExternalId" && *value != ParameterValue::Previous);
        if before.is_none() || gives_id {
            console.heading("Who may assume the role");
            console.text(&trust_of_stack(self.connection.platform(), &after));
        }
        if before.is_some() && gives_id {
            console.text(&format!(
                "If that is another one than until now, {platform} reaches nothing until it is entered there."
            ));
        }
    }

    /// Prints what a permission policy says, in sentences.
    fn print_meaning(&self, permissions: &Value, parameters: &Parameters) {
        let prefix =
            parameters.get("Prefix").map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty());
        let bucket = parameters.get("BucketName").map(String::as_str).unwrap_or_default();
        let Meaning { can, cannot } = meaning(permissions, self.connection.platform(), bucket, prefix);
        for (name, sentences) in [("Can", can), ("Cannot", cannot)] {
            self.console.field(name, &sentences.join("; "));
        }
    }
}
