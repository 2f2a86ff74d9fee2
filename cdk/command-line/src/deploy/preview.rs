//! The preview of an operation: what a user reads before answering. Pure: stack, parameters and change set in, text
//! out.

use cavatica_access::volume::{AccessMode, Prefix};
use cavatica_generator::cfn::Template;
use cavatica_generator::template::permissions::Parameters;

use super::change_set::{Proposal, Purpose, ResourceChange};
use super::stack::{ParameterValue, Stack};

/// Parameters that decide the role's ARN, which Cavatica has been given.
const OF_THE_ARN: [&str; 2] = ["RoleName", "IamPath"];

/// Returns the parameters after the operation: those given, those that stay, and the template's defaults.
#[must_use]
pub fn parameters_after(template: &Template, proposal: &Proposal, before: Option<&Stack>) -> Parameters {
    let mut after = before.map(|stack| stack.parameters.clone()).unwrap_or_default();
    for (name, value) in &proposal.parameters {
        if let ParameterValue::Given(value) = value {
            after.insert(name.clone(), value.clone());
        }
    }
    for parameter in template.parameters() {
        if let Some(default) = &parameter.default {
            after.entry(parameter.name.to_owned()).or_insert_with(|| default.clone());
        }
    }
    after
}

/// Describes what a stack grants, such as `ReadOnly on s3://genomics-lab-data/raw/2026/`.
#[must_use]
pub fn grants(parameters: &Parameters) -> Option<String> {
    let text = |name: &str| parameters.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let folder = text("Prefix").map(|prefix| format!("{}/", prefix.trim_matches('/'))).unwrap_or_default();
    Some(format!("{} on s3://{}/{folder}", text("AccessMode").unwrap_or("ReadOnly"), text("BucketName")?))
}

/// Lists what Cavatica loses by an update, each as the end of "Cavatica loses …".
#[must_use]
pub fn losses(platform: &str, before: &Parameters, after: &Parameters) -> Vec<String> {
    let text = |of: &Parameters, name: &str| of.get(name).cloned().unwrap_or_default();
    let changed = |name: &str| text(before, name) != text(after, name);
    if changed("BucketName") {
        return vec![format!("bucket {}", text(before, "BucketName"))];
    }
    let mut losses = Vec::new();
    let mode = |of: &Parameters| {
        let name = text(of, "AccessMode");
        AccessMode::ALL.iter().find(|(_, known)| *known == name).map_or(AccessMode::ReadOnly, |(mode, _)| *mode)
    };
    if mode(after) < mode(before) {
        losses.push("the right to write".to_owned());
    }
    if !is_within(&text(before, "Prefix"), &text(after, "Prefix")) {
        let (was, will) = (grants(before), grants(after));
        let place = |grants: Option<String>| grants.and_then(|it| it.split(" on ").nth(1).map(str::to_owned));
        losses.push(format!(
            "the objects of {} that are not under {}",
            place(was).unwrap_or_default(),
            place(will).unwrap_or_default()
        ));
    }
    if changed("KmsKeyArn") && !text(before, "KmsKeyArn").is_empty() {
        losses.push(format!("the objects encrypted with {}", text(before, "KmsKeyArn")));
    }
    let switched_on = |name: &str| text(before, name) != "true" && text(after, name) == "true";
    if switched_on("RestrictListing") && !text(after, "Prefix").is_empty() {
        losses.push("the names of objects outside the prefix".to_owned());
    }
    if switched_on("OmitObjectAcls") {
        losses.push("the ACLs of objects".to_owned());
    }
    let locations = |of: &Parameters| {
        text(of, "ProjectLocations").split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let kept = locations(after);
    let lost: Vec<_> = locations(before).into_iter().filter(|location| !kept.contains(location)).collect();
    if mode(after) == AccessMode::ReadWrite && !lost.is_empty() && !kept.is_empty() {
        losses.push(format!("copies from projects in {}", lost.join(" and ")));
    }
    if OF_THE_ARN.iter().any(|name| changed(name)) {
        losses.push(format!("the role, until its new ARN is entered in {platform}"));
    }
    losses
}

/// True if every object under the first prefix is under the second.
fn is_within(inner: &str, outer: &str) -> bool {
    let read = |prefix: &str| Prefix::read(prefix).ok().flatten().map(|prefix| format!("{prefix}/"));
    match (read(inner), read(outer)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.starts_with(&outer),
    }
}

/// True if a change puts another resource in the place of one that Cavatica or the user knows.
///
/// CloudFormation says "Conditional" of every custom resource; ours is replaced only if the role's ARN changes.
#[must_use]
pub fn replaces(change: &ResourceChange, proposal: &Proposal, before: Option<&Stack>) -> bool {
    let changes_arn = proposal.parameters.iter().any(|(name, value)| {
        let held = before.and_then(|stack| stack.parameters.get(name));
        let is_changed = matches!(value, ParameterValue::Given(value) if held != Some(value));
        OF_THE_ARN.contains(&name.as_str()) && is_changed
    });
    change.may_replace && proposal.purpose == Purpose::Update && (changes_arn || !change.kind.starts_with("Custom::"))
}

/// Returns a stack name for another bucket.
#[must_use]
pub fn name_for(bucket: &str, base: &str) -> String {
    format!("{base}-{}", bucket.replace('.', "-")).chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Parameters {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn every_narrowing_is_a_loss_and_no_widening_is() {
        for (before, after, expected) in [
            ("BucketName=a", "BucketName=a", &[][..]),
            ("BucketName=a", "BucketName=a AccessMode=ReadWrite", &[]),
            ("BucketName=a AccessMode=ReadWrite", "BucketName=a AccessMode=ReadOnly", &["the right to write"]),
            ("BucketName=a", "BucketName=b", &["bucket a"]),
            ("BucketName=a", "BucketName=a Prefix=raw", &["the objects of s3://a/ that are not under s3://a/raw/"]),
            ("BucketName=a Prefix=raw/2026", "BucketName=a Prefix=raw", &[]),
            ("BucketName=a Prefix=raw", "BucketName=a", &[]),
            (
                "BucketName=a Prefix=raw",
                "BucketName=a Prefix=raw/2026",
                &["the objects of s3://a/raw/ that are not under s3://a/raw/2026/"],
            ),
            // A common beginning of names is no common folder.
            (
                "BucketName=a Prefix=raw2",
                "BucketName=a Prefix=raw",
                &["the objects of s3://a/raw2/ that are not under s3://a/raw/"],
            ),
            ("BucketName=a KmsKeyArn=k", "BucketName=a", &["the objects encrypted with k"]),
            ("BucketName=a KmsKeyArn=", "BucketName=a KmsKeyArn=k", &[]),
            ("BucketName=a", "BucketName=a RestrictListing=true", &[]),
            (
                "BucketName=a Prefix=p",
                "BucketName=a Prefix=p RestrictListing=true",
                &["the names of objects outside the prefix"],
            ),
            ("BucketName=a OmitObjectAcls=false", "BucketName=a OmitObjectAcls=true", &["the ACLs of objects"]),
            (
                "BucketName=a AccessMode=ReadWrite ProjectLocations=us-east-1,us-west-2",
                "BucketName=a AccessMode=ReadWrite ProjectLocations=us-west-2",
                &["copies from projects in us-east-1"],
            ),
            (
                "BucketName=a RoleName=r",
                "BucketName=a RoleName=s",
                &["the role, until its new ARN is entered in Cavatica"],
            ),
        ] {
            assert_eq!(losses("Cavatica", &parameters(before), &parameters(after)), expected, "{before} -> {after}");
        }
    }

    #[test]
    fn grants_name_mode_bucket_and_prefix() {
        for (of, expected) in [
            ("BucketName=b", Some("ReadOnly on s3://b/")),
            ("BucketName=b Prefix=/raw/2026/ AccessMode=ReadWrite", Some("ReadWrite on s3://b/raw/2026/")),
            ("Prefix=raw", None),
        ] {
            assert_eq!(grants(&parameters(of)).as_deref(), expected, "{of}");
        }
    }

    #[test]
    fn a_custom_resource_is_replaced_only_with_the_roles_arn() {
        let change = |kind: &str| ResourceChange {
            action: "Modify".to_owned(),
            logical_id: "X".to_owned(),
            kind: kind.to_owned(),
            may_replace: true,
        };
        let given = |name: &str| Proposal {
            stack_name: "s".to_owned(),
            purpose: Purpose::Update,
            template: super::super::change_set::TemplateAt::Body(String::new()),
            parameters: vec![(name.to_owned(), ParameterValue::Given("new".to_owned()))],
            names_iam: false,
        };
        let before = Stack::default();
        assert!(!replaces(&change("Custom::CavaticaVolumeAccess"), &given("Prefix"), Some(&before)));
        assert!(replaces(&change("Custom::CavaticaVolumeAccess"), &given("RoleName"), Some(&before)));
        assert!(replaces(&change("AWS::IAM::Role"), &given("Prefix"), Some(&before)));
    }
}
