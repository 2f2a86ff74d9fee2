//! The comparison of a role and of a managed policy with what a stack asks for.

use std::collections::BTreeMap;

use cavatica_access::names::{PolicyArn, RoleName};
use cavatica_access::owner::Tags;
use cavatica_access::port::{Look, Policy, PolicyEntity, ReadAccount as _, Role, Usage, Version};
use serde_json::Value;

use super::difference::{self, Difference, Remedy, beside};
use crate::account::Account;

/// A role as a stack asks for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedRole {
    /// Name.
    pub name: String,
    /// Trust policy.
    pub trust: Value,
    /// Description.
    pub description: String,
    /// Longest session, in seconds.
    pub max_session: String,
    /// ARN of the boundary; empty if there is none.
    pub boundary: String,
    /// ARNs of its managed policies.
    pub attached: Vec<String>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, Value>,
    /// Tags that it has to carry.
    pub tags: Tags,
    /// True if the stack's function puts it right.
    pub is_repaired: bool,
}

/// A role as IAM holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRole {
    /// The role itself.
    pub role: Role,
    /// ARNs of its managed policies.
    pub attached: Vec<String>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, Value>,
    /// Time and region of its last use.
    pub last_used: Option<String>,
}

/// Reads a role with all that it carries; `Ok(None)` if it does not exist.
///
/// # Errors
///
/// The first read that AWS refuses, as a sentence.
pub async fn read_role(account: &Account, region: &str, name: &str) -> Result<Option<HeldRole>, String> {
    let (port, iam) = (account.port(region), account.iam(region));
    let parsed: RoleName = name.parse().map_err(|rule| format!("role {name}: its name must be {rule}"))?;
    let unseen = |what: &'static str| move |failure| format!("{what} of role {name} (AWS answered {failure})");
    let Some(role) = port
        .read::<Option<Role>>(&Look::Role(parsed.clone()))
        .await
        .map_err(unseen("the trust policy and settings"))?
    else {
        return Ok(None);
    };
    let attached: Vec<PolicyArn> =
        port.read(&Look::Attached(parsed.clone())).await.map_err(unseen("the attached policies"))?;
    let mut inline = BTreeMap::new();
    for policy in
        port.read::<Vec<String>>(&Look::Inline(parsed.clone())).await.map_err(unseen("the inline policies"))?
    {
        let answer = iam.get_role_policy().role_name(name).policy_name(&policy).send().await;
        let call = account.call("read", "iam:GetRolePolicy", format!("inline policy {policy} of role {name}"), region);
        let answer = answer.map_err(|error| call.failed(error).to_string())?;
        inline.insert(policy, decoded(&answer.policy_document));
    }
    // Only information: a failure of this read alone hides nothing.
    let used = iam.get_role().role_name(name).send().await.ok().and_then(|answer| answer.role?.role_last_used);
    let last_used = used.and_then(|used| {
        let at = used.last_used_date?.fmt(aws_smithy_types::date_time::Format::DateTime).ok()?;
        Some(format!("{at} in {}", used.region.unwrap_or_else(|| "an unknown region".to_owned())))
    });
    Ok(Some(HeldRole { role, attached: attached.iter().map(ToString::to_string).collect(), inline, last_used }))
}

fn decoded(document: &str) -> Value {
    let text = percent_encoding::percent_decode_str(document).decode_utf8_lossy();
    serde_json::from_str(&text).unwrap_or(Value::String(text.into_owned()))
}

/// Compares a role with what the stack asks for.
#[must_use]
pub fn compare_role(expected: &ExpectedRole, observed: Option<&HeldRole>, account: &Account) -> Vec<Difference> {
    let name = &expected.name;
    let iam = |arguments: &[&str]| account.invocation.aws(&[&["iam"], arguments].concat(), None);
    let by_command = |command: String| if expected.is_repaired { Remedy::Repair } else { Remedy::Command(command) };
    let Some(observed) = observed else {
        let text = format!("role {name} does not exist");
        let command = account.invocation.command(&["deploy"], None);
        return vec![Difference { text, remedy: by_command(command) }];
    };
    let mut differences = Vec::new();
    let mut add = |texts: Vec<String>, remedy: Remedy| {
        differences.extend(texts.into_iter().map(|text| Difference { text, remedy: remedy.clone() }));
    };
    let trust =
        difference::document(&format!("the trust policy of role {name}"), &observed.role.trust, &expected.trust);
    // A log may keep the command: the external ID is filled in by whoever runs it.
    let document = difference::without_external_id(&expected.trust).to_string().replace("****", "EXTERNAL-ID");
    let update = iam(&["update-assume-role-policy", "--role-name", name, "--policy-document", &document]);
    add(trust, by_command(update));
    let boundary = observed.role.boundary.as_ref().map(ToString::to_string).unwrap_or_default();
    let what = format!("the permissions boundary of role {name}");
    let command = match expected.boundary.as_str() {
        "" => iam(&["delete-role-permissions-boundary", "--role-name", name]),
        arn => iam(&["put-role-permissions-boundary", "--role-name", name, "--permissions-boundary", arn]),
    };
    add(difference::value(&what, &boundary, &expected.boundary).into_iter().collect(), by_command(command));
    let session = observed.role.max_session_duration.to_string();
    for (what, option, found, desired) in [
        ("description", "--description", &observed.role.description, &expected.description),
        ("longest session in seconds", "--max-session-duration", &session, &expected.max_session),
    ] {
        let text = difference::value(&format!("the {what} of role {name}"), found, desired);
        add(text.into_iter().collect(), by_command(iam(&["update-role", "--role-name", name, option, desired])));
    }
    for (key, desired) in &expected.tags {
        let found = observed.role.tags.get(key).cloned().unwrap_or_default();
        let tag = format!("Key={key},Value={desired}");
        let text = difference::value(&format!("tag {key} of role {name}"), &found, desired);
        let command = iam(&["tag-role", "--role-name", name, "--tags", &tag]);
        // What these tags say is what the function goes by: it refuses to work on a role whose tags say something else.
        let is_own = key.starts_with("cavatica-connect:");
        add(text.into_iter().collect(), if is_own { Remedy::Command(command) } else { by_command(command) });
    }
    for arn in beside(&expected.attached, &observed.attached) {
        let attach = iam(&["attach-role-policy", "--role-name", name, "--policy-arn", arn]);
        add(vec![format!("policy {arn} is not attached to role {name} and should be")], by_command(attach));
    }
    for arn in beside(&observed.attached, &expected.attached) {
        let detach = iam(&["detach-role-policy", "--role-name", name, "--policy-arn", arn]);
        add(vec![format!("policy {arn} is attached to role {name} and should not be")], Remedy::Command(detach));
    }
    for (policy, document) in &observed.inline {
        let delete = iam(&["delete-role-policy", "--role-name", name, "--policy-name", policy]);
        let put = |document: &Value| {
            let document = document.to_string();
            iam(&["put-role-policy", "--role-name", name, "--policy-name", policy, "--policy-document", &document])
        };
        match expected.inline.get(policy) {
            None => add(
                vec![format!("role {name} has inline policy {policy} and should not: {document}")],
                Remedy::Command(delete),
            ),
            Some(desired) => {
                let what = format!("inline policy {policy} of role {name}");
                add(difference::document(&what, document, desired), Remedy::Command(put(desired)));
            }
        }
    }
    for (policy, document) in expected.inline.iter().filter(|(policy, _)| !observed.inline.contains_key(*policy)) {
        let document = document.to_string();
        let put = ["put-role-policy", "--role-name", name, "--policy-name", policy, "--policy-document", &document];
        add(vec![format!("role {name} lacks inline policy {policy}")], Remedy::Command(iam(&put)));
    }
    differences
}

/// A managed policy as a stack asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedPolicy {
    /// ARN.
    pub arn: String,
    /// Document of its default version.
    pub document: Value,
    /// The one role that carries it.
    pub carrier: String,
    /// The way in which the role carries it.
    pub usage: Usage,
    /// True if the stack's function puts it right.
    pub is_repaired: bool,
}

/// Reads the document of a managed policy that is in force.
///
/// # Errors
///
/// The first read that AWS refuses, as a sentence.
pub async fn document_in_force(account: &Account, region: &str, text: &str) -> Result<Value, String> {
    let port = account.port(region);
    let arn: PolicyArn = text.parse().map_err(|rule| format!("policy {text}: its ARN must be {rule}"))?;
    let unseen = |what: &'static str| move |failure| format!("{what} of policy {text} (AWS answered {failure})");
    let versions: Vec<Version> = port.read(&Look::Versions(arn.clone())).await.map_err(unseen("the versions"))?;
    let version = versions.iter().find(|version| version.is_default).map(|version| version.id.clone());
    let version = version.ok_or_else(|| format!("the version of policy {text} that is in force"))?;
    port.read(&Look::Document(arn, version)).await.map_err(unseen("the document"))
}

/// Reads a managed policy and compares it; returns the differences and the document that is in force.
///
/// # Errors
///
/// The first read that AWS refuses, as a sentence.
pub async fn inspect_policy(
    account: &Account,
    region: &str,
    expected: &ExpectedPolicy,
) -> Result<(Vec<Difference>, Value), String> {
    let (port, text) = (account.port(region), expected.arn.as_str());
    let iam = |arguments: &[&str]| account.invocation.aws(&[&["iam"], arguments].concat(), None);
    let by_command = |command: String| if expected.is_repaired { Remedy::Repair } else { Remedy::Command(command) };
    let arn: PolicyArn = text.parse().map_err(|rule| format!("policy {text}: its ARN must be {rule}"))?;
    let unseen = |what: &'static str| move |failure| format!("{what} of policy {text} (AWS answered {failure})");
    if port.read::<Option<Policy>>(&Look::Policy(arn.clone())).await.map_err(unseen("the settings"))?.is_none() {
        let remedy = by_command(account.invocation.command(&["deploy"], None));
        return Ok((vec![Difference { text: format!("policy {text} does not exist"), remedy }], Value::Null));
    }
    let observed = document_in_force(account, region, text).await?;
    let desired = expected.document.to_string();
    let create = ["create-policy-version", "--set-as-default", "--policy-arn", text, "--policy-document", &desired];
    let mut differences: Vec<_> =
        difference::document(&format!("policy {}", arn.name()), &observed, &expected.document)
            .into_iter()
            .map(|text| Difference { text, remedy: by_command(iam(&create)) })
            .collect();
    for usage in [Usage::Permissions, Usage::Boundary] {
        let entities: Vec<PolicyEntity> =
            port.read(&Look::PolicyEntities(arn.clone(), usage)).await.map_err(unseen("the carriers"))?;
        for carrier in entities {
            let (kind, name) = match &carrier {
                PolicyEntity::Role(name) => ("role", name),
                PolicyEntity::User(name) => ("user", name),
                PolicyEntity::Group(name) => ("group", name),
            };
            let is_its_role = kind == "role" && name.eq_ignore_ascii_case(&expected.carrier);
            if is_its_role && usage == expected.usage {
                continue;
            }
            let (how, command) = match usage {
                Usage::Permissions => {
                    let (verb, option) = (format!("detach-{kind}-policy"), format!("--{kind}-name"));
                    ("attached to", iam(&[&verb, &option, name, "--policy-arn", text]))
                }
                Usage::Boundary => {
                    let (verb, option) = (format!("delete-{kind}-permissions-boundary"), format!("--{kind}-name"));
                    ("the boundary of", iam(&[&verb, &option, name]))
                }
            };
            let text = format!("policy {} is {how} {carrier} and should not be", arn.name());
            differences.push(Difference { text, remedy: Remedy::Command(command) });
        }
    }
    Ok((differences, observed))
}
