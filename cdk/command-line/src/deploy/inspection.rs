//! The inspection of a stack: what AWS holds for it, compared with what its own template makes of its parameters.
//!
//! # Flow
//!
//! The stack's template is read and evaluated with its parameters and physical IDs, which gives the roles, policies and
//! function that it asks for. Each is read with the caller's rights and compared. For the template with the function,
//! the function's own plan says besides what an update would put right, and its checks judge the bucket.
//!
//! # Guarantees
//!
//! One failed read hides nothing else: it is reported as not seen. A section without differences and without anything
//! unseen was read whole.

mod cap;
pub mod difference;
mod function;
mod role;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_cloudformation::types::TemplateStage;
use cavatica_access::blueprint::Blueprint;
use cavatica_access::owner::{Owner, StackId};
use cavatica_access::platform::Platform;
use cavatica_access::port::Usage;
use cavatica_access::request::Request;
use cavatica_generator::cfn::{self, Evaluator};
use serde_json::Value;

use self::difference::{Difference, Remedy};
use self::function::inspect_function;
use self::role::{ExpectedPolicy, ExpectedRole, HeldRole, compare_role, inspect_policy, read_role};
use super::drift::{self, RESOURCE};
use super::stack::{Stack, TemplateKind};
use super::stacks::{StackError, Stacks};
use crate::account::Account;

/// The result of an inspection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspection {
    /// The parts that were compared.
    pub sections: Vec<Section>,
    /// Steps that the function would carry out in an update.
    pub repairs: Vec<String>,
    /// Why the function would refuse an update.
    pub refusal: Option<String>,
    /// Reasons why Cavatica could not use the bucket.
    pub findings: Vec<String>,
    /// Information that is no difference.
    pub notes: Vec<String>,
    /// The documents of the volume role.
    pub documents: Documents,
}

/// A document as IAM holds it, and as it should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DocumentComparison {
    /// The document in IAM; null if there is none.
    pub observed: Value,
    /// The document that the stack asks for.
    pub desired: Value,
}

/// The documents of a role.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Documents {
    /// The policy.
    pub permissions: DocumentComparison,
    /// The trust policy, which has the external ID.
    pub trust: DocumentComparison,
}

/// A part of the stack, and the result of its comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The part.
    pub subject: &'static str,
    /// Compared properties.
    pub compared: &'static str,
    /// Differences.
    pub differences: Vec<Difference>,
    /// Unreadable properties, as the end of "not seen: …".
    pub unseen: Vec<String>,
}

impl Inspection {
    /// Returns every difference.
    pub fn differences(&self) -> impl Iterator<Item = &Difference> {
        self.sections.iter().flat_map(|section| &section.differences)
    }

    /// Unreadable properties.
    pub fn unseen(&self) -> impl Iterator<Item = &String> {
        self.sections.iter().flat_map(|section| &section.unseen)
    }

    /// True if everything was read, and nothing differs.
    #[must_use]
    pub fn is_as_requested(&self) -> bool {
        self.differences().next().is_none()
            && self.unseen().next().is_none()
            && self.repairs.is_empty()
            && self.refusal.is_none()
            && self.findings.is_empty()
    }
}

/// Inspects a stack with the caller's rights.
///
/// Differences are read again after some seconds: reads of IAM are behind, most of all right after a deployment.
///
/// # Errors
///
/// A stack whose resources CloudFormation does not list.
pub async fn inspect(
    account: &Account,
    stacks: &Stacks,
    stack: &Stack,
    kind: TemplateKind,
) -> Result<Inspection, StackError> {
    let inspection = inspect_once(account, stacks, stack, kind).await?;
    if inspection.is_as_requested() {
        return Ok(inspection);
    }
    tokio::time::sleep(stacks.pace.first * 2).await;
    inspect_once(account, stacks, stack, kind).await
}

async fn inspect_once(
    account: &Account,
    stacks: &Stacks,
    stack: &Stack,
    kind: TemplateKind,
) -> Result<Inspection, StackError> {
    let resources = stacks.resources(&stack.id).await?;
    let region = stacks.region.as_str();
    let mut inspection = Inspection::default();
    let evaluator = match evaluator(stacks, stack, &resources).await {
        Ok(evaluator) => evaluator,
        Err(why) => {
            let unseen = vec![format!("the stack's template, and so everything that it asks for ({why})")];
            let (subject, compared) = ("the template", "");
            inspection.sections.push(Section { subject, compared, differences: Vec::new(), unseen });
            return Ok(inspection);
        }
    };
    let inspector = Inspector { account, region, stack, resources: &resources };
    match kind {
        TemplateKind::ByFunction => inspector.by_function(evaluator, &mut inspection).await,
        TemplateKind::Native => inspector.native(&evaluator, &mut inspection).await,
    }
    Ok(inspection)
}

/// Returns the evaluator of the stack's own template.
async fn evaluator(stacks: &Stacks, stack: &Stack, resources: &BTreeMap<String, String>) -> Result<Evaluator, String> {
    let request = stacks.client.get_template().stack_name(&stack.id).template_stage(TemplateStage::Original);
    let answer = request.send().await;
    let answer = answer.map_err(stacks.failed("read the template of", "cloudformation:GetTemplate", &stack.id));
    let body = answer.map_err(|error| error.to_string())?.template_body.unwrap_or_default();
    let template = cfn::read(&body).ok_or("it is neither YAML nor JSON with resources")?;
    let id: StackId = stack.id.parse().map_err(|_| "its ID is not understood")?;
    let mut parameters = stack.parameters.clone();
    // CloudFormation shows stars for the external ID; the output has it, and lacks it where there is none.
    if parameters.contains_key("ExternalId") {
        let id = stack.outputs.get("ExternalId").cloned().unwrap_or_else(|| "none".to_owned());
        parameters.insert("ExternalId".to_owned(), id);
    }
    let mut references = resources.clone();
    references.extend(cfn::pseudo_parameters(&stack.id));
    let mut attributes = BTreeMap::new();
    if let Some(name) = resources.get("ProviderFunction") {
        let arn = format!("arn:{}:lambda:{}:{}:function:{name}", id.partition, id.region, id.account);
        attributes.insert("ProviderFunction.Arn".to_owned(), arn);
    }
    if let Some(name) = resources.get("ProviderRole") {
        let arn = format!("arn:{}:iam::{}:role/{name}", id.partition, id.account);
        attributes.insert("ProviderRole.Arn".to_owned(), arn);
    }
    Ok(Evaluator { template: Arc::new(template), parameters, references, attributes })
}

/// One inspection.
struct Inspector<'i> {
    account: &'i Account,
    region: &'i str,
    stack: &'i Stack,
    resources: &'i BTreeMap<String, String>,
}

/// Compared properties of a volume role and its policy.
const OF_THE_ROLE: &str = "trust, boundary, description, session, tags, attached and inline policies";
const OF_THE_POLICY: &str = "the document in force, and who carries it";

impl Inspector<'_> {
    async fn by_function(&self, evaluator: Evaluator, inspection: &mut Inspection) {
        let provider = self.resources.get("ProviderRole").cloned().unwrap_or_default();
        let held_provider = read_role(self.account, self.region, &provider).await;
        match self.request(&evaluator) {
            Ok((blueprint, properties)) => {
                match drift::look(self.account, self.region, blueprint.clone(), &properties).await {
                    Ok(looked) => {
                        inspection.repairs = looked.drift;
                        inspection.refusal = looked.refusal;
                        inspection.findings = looked.findings;
                    }
                    Err(error) => inspection.sections.push(unseen("the function's plan and the checks", &error)),
                }
                self.volume(&expected_by_function(&blueprint), inspection).await;
            }
            Err(why) => inspection.sections.push(unseen("the volume role", &why)),
        }
        self.boundary(&evaluator, inspection).await;
        let expected = evaluator.properties("ProviderRole").map_err(|error| error.to_string());
        inspection.sections.push(match (expected, held_provider) {
            (Ok(Some(properties)), Ok(observed)) => {
                let expected = expected_role(&properties, &provider, false);
                Section {
                    subject: "the function's role",
                    compared: OF_THE_ROLE,
                    differences: compare_role(&expected, observed.as_ref(), self.account),
                    unseen: Vec::new(),
                }
            }
            (Ok(None), _) => unseen("the function's role", &"the template has none"),
            (Err(why), _) | (_, Err(why)) => unseen("the function's role", &why),
        });
        let name = self.resources.get("ProviderFunction").cloned().unwrap_or_default();
        let retries = evaluator.properties("ProviderInvokeConfig").ok().flatten();
        inspection.sections.push(match evaluator.properties("ProviderFunction") {
            Ok(Some(properties)) => {
                let (differences, unseen) =
                    inspect_function(self.account, self.region, &name, &properties, retries.as_ref()).await;
                let compared = "code, settings, environment, layers, role, who may invoke it, retries";
                Section { subject: "the function", compared, differences, unseen }
            }
            Ok(None) => unseen("the function", &"the template has none"),
            Err(why) => unseen("the function", &why),
        });
    }

    async fn native(&self, evaluator: &Evaluator, inspection: &mut Inspection) {
        let (role, policy) = (self.resources.get("VolumeRole"), self.resources.get("VolumePolicy"));
        let (role, policy) = (role.cloned().unwrap_or_default(), policy.cloned().unwrap_or_default());
        match (evaluator.properties("VolumeRole"), evaluator.properties("VolumePolicy")) {
            (Ok(Some(of_role)), Ok(Some(of_policy))) => {
                let document = of_policy["PolicyDocument"].clone();
                let carrier = role.clone();
                let usage = Usage::Permissions;
                let policy = ExpectedPolicy { arn: policy, document, carrier, usage, is_repaired: false };
                self.volume(&(expected_role(&of_role, &role, false), policy), inspection).await;
            }
            (Err(why), _) | (_, Err(why)) => inspection.sections.push(unseen("the volume role", &why)),
            _ => inspection.sections.push(unseen("the volume role", &"the template has none")),
        }
        self.boundary(evaluator, inspection).await;
    }

    /// Returns the request that the template makes of the parameters: as the function draws it, and as CloudFormation
    /// sends it.
    fn request(&self, evaluator: &Evaluator) -> Result<(Blueprint, Value), String> {
        let properties = evaluator.properties(RESOURCE).map_err(|error| error.to_string())?;
        let properties = properties.ok_or("the template has no VolumeAccess")?;
        let request = Request::parse(&properties).map_err(|invalid| invalid.to_string())?;
        let stack = self.stack.id.parse().map_err(|_| "its stack's ID is not understood")?;
        let owner = Owner { stack, resource: RESOURCE.to_owned() };
        let blueprint = Blueprint::new(request, owner).map_err(|invalid| invalid.to_string())?;
        Ok((blueprint, properties))
    }

    /// Compares the volume role and its policy.
    async fn volume(&self, expected: &(ExpectedRole, ExpectedPolicy), inspection: &mut Inspection) {
        let (role, policy) = expected;
        let observed = read_role(self.account, self.region, &role.name).await;
        if let Ok(Some(HeldRole { last_used, .. })) = &observed {
            inspection.notes.push(match last_used {
                Some(used) => format!("role {} was last used on {used}", role.name),
                None => format!("IAM knows no use of role {} in the last 400 days", role.name),
            });
        }
        inspection.sections.push(match &observed {
            Ok(observed) => Section {
                subject: "the volume role",
                compared: OF_THE_ROLE,
                differences: compare_role(role, observed.as_ref(), self.account),
                unseen: Vec::new(),
            },
            Err(why) => unseen("the volume role", why),
        });
        // What the template asks for may itself have been changed.
        let trusted = &role.trust["Statement"][0]["Principal"]["AWS"];
        let Platform { name, principal, .. } = self.account.platform();
        if trusted != principal.as_ref() {
            let verify = self.account.invocation.command(&["verify", &self.stack.id, "--release", "LIST"], None);
            inspection.sections.push(Section {
                subject: "the trusted principal",
                compared: "",
                differences: vec![Difference {
                    text: format!("the stack's template trusts {trusted} in place of {name}'s {principal}"),
                    remedy: Remedy::Command(verify),
                }],
                unseen: Vec::new(),
            });
        }
        let trust = observed.ok().flatten().map(|observed| observed.role.trust).unwrap_or_default();
        inspection.documents.trust = DocumentComparison { observed: trust, desired: role.trust.clone() };
        let inspected = inspect_policy(self.account, self.region, policy).await;
        let (section, observed) = match inspected {
            Ok((differences, observed)) => {
                let (subject, compared) = ("the volume policy", OF_THE_POLICY);
                (Section { subject, compared, differences, unseen: Vec::new() }, observed)
            }
            Err(why) => (unseen("the volume policy", &why), Value::Null),
        };
        inspection.sections.push(section);
        inspection.documents.permissions = DocumentComparison { observed, desired: policy.document.clone() };
    }

    /// Notes where an organisation's boundary allows less than Cavatica needs, or more than the volume.
    async fn foreign_boundary(&self, arn: &str, inspection: &mut Inspection) {
        match role::document_in_force(self.account, self.region, arn).await {
            Ok(document) => {
                inspection.notes.push(format!("the role is capped by {arn}, a boundary of your organisation"));
                inspection.notes.extend(cap::notes(&document, &inspection.documents.permissions.desired));
            }
            Err(why) => inspection.sections.push(unseen("your organisation's boundary", &why)),
        }
    }

    /// Compares the stack's own boundary; an organisation's is only read.
    async fn boundary(&self, evaluator: &Evaluator, inspection: &mut Inspection) {
        let carrier = self.stack.outputs.get("RoleName").cloned().unwrap_or_default();
        let section = match (evaluator.properties("Boundary"), self.resources.get("Boundary")) {
            (Ok(Some(properties)), Some(arn)) => {
                let document = properties["PolicyDocument"].clone();
                let usage = Usage::Boundary;
                let expected = ExpectedPolicy { arn: arn.clone(), document, carrier, usage, is_repaired: false };
                match inspect_policy(self.account, self.region, &expected).await {
                    Ok((differences, _)) => {
                        let (subject, compared) = ("the boundary", OF_THE_POLICY);
                        Section { subject, compared, differences, unseen: Vec::new() }
                    }
                    Err(why) => unseen("the boundary", &why),
                }
            }
            (Ok(Some(_)), None) => unseen("the boundary", &"CloudFormation lists none"),
            (Ok(None), _) => {
                let arn = self.stack.parameters.get("PermissionsBoundaryArn").cloned().unwrap_or_default();
                self.foreign_boundary(&arn, inspection).await;
                return;
            }
            (Err(why), _) => unseen("the boundary", &why),
        };
        inspection.sections.push(section);
    }
}

fn unseen(subject: &'static str, why: &impl std::fmt::Display) -> Section {
    let unseen = vec![format!("{subject} ({why})")];
    Section { subject, compared: "", differences: Vec::new(), unseen }
}

/// Returns the role and policy that a blueprint describes.
fn expected_by_function(blueprint: &Blueprint) -> (ExpectedRole, ExpectedPolicy) {
    let (request, name) = (&blueprint.request, blueprint.role.name.to_string());
    let role = ExpectedRole {
        name: name.clone(),
        trust: blueprint.trust.to_value(),
        description: request.description.clone().unwrap_or_default(),
        max_session: request.max_session_duration.to_string(),
        boundary: request.permissions_boundary.as_ref().map(ToString::to_string).unwrap_or_default(),
        attached: vec![blueprint.policy.to_string()],
        inline: BTreeMap::new(),
        tags: blueprint.role_tags(),
        is_repaired: true,
    };
    let policy = ExpectedPolicy {
        arn: blueprint.policy.to_string(),
        document: blueprint.permissions.to_value(),
        carrier: name,
        usage: Usage::Permissions,
        is_repaired: true,
    };
    (role, policy)
}

/// Returns a role as its evaluated properties describe it.
fn expected_role(properties: &Value, name: &str, is_repaired: bool) -> ExpectedRole {
    let text = |key: &str| match &properties[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let session = text("MaxSessionDuration");
    let list = |key: &str| properties[key].as_array().cloned().unwrap_or_default();
    let inline = list("Policies")
        .into_iter()
        .filter_map(|policy| Some((policy["PolicyName"].as_str()?.to_owned(), policy["PolicyDocument"].clone())));
    let tags = list("Tags")
        .into_iter()
        .filter_map(|tag| Some((tag["Key"].as_str()?.to_owned(), tag["Value"].as_str()?.to_owned())));
    ExpectedRole {
        name: name.to_owned(),
        trust: properties["AssumeRolePolicyDocument"].clone(),
        description: text("Description"),
        // IAM's default. Source: `CreateRole`, parameter `MaxSessionDuration`.
        max_session: if session.is_empty() { "3600".to_owned() } else { session },
        boundary: text("PermissionsBoundary"),
        attached: list("ManagedPolicyArns").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        inline: inline.collect(),
        tags: tags.collect(),
        is_repaired,
    }
}
