//! Rights of the provider role: those that the function needs, and those that a thief of its credentials would have;
//! judged by an evaluator that was not written here.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use cavatica_access::owner::{self};
use cavatica_access::requested_tags::REQUESTED;
use cavatica_generator::template::provided;
use cavatica_memory::policy::Request;
use cavatica_simulation::cloudformation::Rollback;
use cavatica_simulation::evaluation::{self, Evaluation};
use cavatica_simulation::events;
use cavatica_simulation::history::{Delays, History, HistoryStep, ManualChange, Parameters};
use cavatica_simulation::identity::Identity;
use cavatica_simulation::provider_rights::Record;
use cavatica_simulation::published::Published;
use cavatica_simulation::simulator::simulate;
use cavatica_simulation::{ORGANISATIONS_BOUNDARY, OWN_BOUNDARY, generate};
use cavatica_tests::{Error, Outcome};
use serde_json::{Value, json};

const ACCOUNT: &str = "arn:aws:iam::123456789012";

/// The account that owns the bucket.
pub(super) const OWNER: &str = "123456789012";

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/vol";

pub(super) const POLICY: &str = "arn:aws:iam::123456789012:policy/vol";

const PROVIDER: &str = "arn:aws:iam::123456789012:role/my-volume-ProviderRole-1A2B3C";

const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

pub(super) const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

const STACK_KEY: &str = "aws:ResourceTag/cavatica-connect:stack";

const ASKED_KEY: &str = "aws:RequestTag/cavatica-connect:stack";

/// Boundary of an organisation: everything but a few actions, and S3 only on its own buckets.
pub(super) fn organisations() -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["iam:*", "logs:*", "kms:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::my-bucket", "arn:aws:s3:::my-bucket/*"]},
        {"Effect": "Deny", "Action": ["iam:CreateUser", "iam:CreateAccessKey"], "Resource": "*"},
    ]})
}

/// Returns the stack as CloudFormation would make it.
pub(super) fn stack(boundary: &str) -> Evaluation {
    let parameters = [
        ("BucketName", "my-bucket"),
        ("Prefix", "raw"),
        ("AccessMode", "ReadWrite"),
        ("KmsKeyArn", KEY),
        ("RoleName", "vol"),
        ("PermissionsBoundaryArn", boundary),
    ];
    Evaluation::of(&provided::template(&evaluation::published()), &parameters)
}

/// Returns the provider of a stack with its own boundary, and of one with an organisation's, each with its boundary's
/// ARN.
fn providers() -> Result<[(Identity, &'static str); 2], Error> {
    let document = |boundary: &str| stack(boundary).property("ProviderRole", "/Policies/0/PolicyDocument");
    Ok([
        (Identity::new(&document("")?, None)?, OWN_BOUNDARY),
        (Identity::new(&document(ORGANISATIONS_BOUNDARY)?, Some(&organisations()))?, ORGANISATIONS_BOUNDARY),
    ])
}

/// Returns every different question of some histories, with the policy it was asked of and our own evaluator's answer.
fn requested(histories: &[History]) -> Result<BTreeSet<(String, Request, bool)>, Error> {
    let record = Record::default();
    let published = Published::recorded(&record);
    for history in histories {
        let seen = simulate(history, &published, false)?;
        assert!(seen.violations.is_empty(), "{history}{:?}", seen.violations);
    }
    let record = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(record.into_iter().map(|(policy, request, is_allowed)| (policy.to_string(), request, is_allowed)).collect())
}

#[test]
fn both_evaluators_give_the_same_answer_to_every_question_of_random_histories() -> Outcome {
    let histories: Vec<_> = (0..400).map(generate::history).collect();
    let requested = requested(&histories)?;
    let denied = requested.iter().filter(|(.., is_allowed)| !is_allowed).count();
    println!("{} different questions, {denied} of them denied", requested.len());
    assert!(requested.len() > 2_000 && denied > 100);
    for (policy, request, is_allowed) in requested {
        let identity = Identity::new(&serde_json::from_str(&policy)?, None)?;
        assert_eq!(identity.may(&request)?, is_allowed, "{request:?} under {policy}");
    }
    Ok(())
}

#[test]
fn the_provider_role_allows_every_call_in_both_orders_of_rollback() -> Outcome {
    let delays = Delays { latency: Duration::from_millis(50), ..Delays::default() };
    let parameters = |requested: &[(&'static str, &'static str)]| requested.iter().copied().collect::<Parameters>();
    let mut lives = Vec::new();
    for boundary in ["", ORGANISATIONS_BOUNDARY] {
        let requested = |more: &[(&'static str, &'static str)]| {
            parameters(&[&[("PermissionsBoundaryArn", boundary), ("Tags", "team=genomics")], more].concat())
        };
        let create = HistoryStep::Create { requested: requested(&[]), sibling_fails: false, event_faults: Vec::new() };
        let update = |more: &[(&'static str, &'static str)], sibling_fails, resource_first| HistoryStep::Update {
            requested: requested(more),
            sibling_fails,
            rollback: Rollback { resource_first, ..Rollback::default() },
            event_faults: Vec::new(),
        };
        let changed =
            [("AccessMode", "ReadWrite"), ("ExternalId", "none"), ("Description", "changed"), ("Tags", "other=1")];
        let renamed = [("RoleName", "new"), ("PolicyName", "shared")];
        for resource_first in [false, true] {
            for manual_change in [
                ManualChange::AttachesOursToARole,
                ManualChange::AttachesOursToPeople,
                ManualChange::AttachesAnotherToOurs,
                ManualChange::PutsInline,
            ] {
                lives.push(vec![
                    create.clone(),
                    update(&changed, false, resource_first),
                    update(&[], true, resource_first),
                    update(&renamed, true, resource_first),
                    update(&renamed, false, resource_first),
                    update(&[], false, resource_first),
                    HistoryStep::ManualChange(manual_change),
                    HistoryStep::Delete { retain: false, event_faults: Vec::new() },
                ]);
            }
        }
    }
    let histories: Vec<_> = lives.into_iter().map(|steps| History { seed: 7, delays: delays.clone(), steps }).collect();
    let requested = requested(&histories)?;
    let actions: BTreeSet<_> = requested.iter().map(|(_, request, _)| request.action.as_str()).collect();
    println!("{} different questions of {} actions", requested.len(), actions.len());
    for (policy, request, _) in &requested {
        for boundary in [None, Some(&organisations())] {
            let provider = Identity::new(&serde_json::from_str(policy)?, boundary)?;
            // A role of another name that is not the stack's, or not there, is not read: its tags tell which.
            let is_other = request.action == "iam:GetRole" && !request.context.contains_key(STACK_KEY);
            let allowed = match is_other {
                true => provider.may(&Request::new("iam:ListRoleTags", &request.resource))?,
                false => provider.may(request)?,
            };
            assert!(allowed, "{request:?} under {policy}");
        }
    }
    assert!(actions.len() >= 24, "{actions:?}");
    Ok(())
}

/// Ways from these rights to more, as the literature knows them: name, request. Source: Rhino Security Labs, "AWS IAM
/// Privilege Escalation - Methods and Mitigation"; Bishop Fox, "IAM Vulnerable".
fn escalation_paths(boundary: &str) -> Vec<(&'static str, Request)> {
    let ours = |request: Request| request.with(STACK_KEY, events::STACK);
    let as_ours = |request: Request| request.with(ASKED_KEY, events::STACK).with("aws:TagKeys", owner::STACK);
    let capped = |request: Request| request.with("iam:PermissionsBoundary", boundary);
    let on = |action: &str, resource: &str| Request::new(&format!("iam:{action}"), resource);
    let other_role = &format!("{ACCOUNT}:role/admin");
    let other_policy = &format!("{ACCOUNT}:policy/admins");
    let (user, group) = (&format!("{ACCOUNT}:user/me"), &format!("{ACCOUNT}:group/us"));
    let profile = &format!("{ACCOUNT}:instance-profile/web");
    let with_policy = |request: Request, policy: &str| request.with("iam:PolicyARN", policy);
    let removes = |request: Request, key: &str| request.with("aws:TagKeys", key);
    // IAM takes the tag for ours in a condition, whatever its letter case; the function would not.
    let in_other_case =
        |request: Request| request.with(ASKED_KEY, events::STACK).with("aws:TagKeys", "Cavatica-Connect:Stack");
    let mut paths = vec![
        ("a role with our tag in other letter case", in_other_case(capped(on("CreateRole", ROLE)))),
        ("a policy with our tag in other letter case", in_other_case(on("CreatePolicy", POLICY))),
        ("our tag in other letter case on a policy", in_other_case(on("TagPolicy", POLICY))),
        (
            "the CORS configuration of another bucket, without ConfigureCors",
            Request::new("s3:PutBucketCORS", "arn:aws:s3:::other-bucket").with("aws:ResourceAccount", "123456789012"),
        ),
        ("a new version of another policy", on("CreatePolicyVersion", other_policy)),
        ("a new version of another policy that carries our tag", ours(on("CreatePolicyVersion", other_policy))),
        ("a new version of the boundary", on("CreatePolicyVersion", boundary)),
        ("a new version of the boundary, were it tagged", ours(on("CreatePolicyVersion", boundary))),
        ("another default version", on("SetDefaultPolicyVersion", other_policy)),
        ("another default version of our policy", ours(on("SetDefaultPolicyVersion", POLICY))),
        ("AdministratorAccess on the role", with_policy(capped(ours(on("AttachRolePolicy", ROLE))), ADMINISTRATOR)),
        ("AdministratorAccess on the provider", with_policy(on("AttachRolePolicy", PROVIDER), ADMINISTRATOR)),
        ("our policy on the provider", with_policy(on("AttachRolePolicy", PROVIDER), POLICY)),
        ("our policy on a role without boundary", with_policy(ours(on("AttachRolePolicy", ROLE)), POLICY)),
        ("our policy on a foreign role", with_policy(capped(on("AttachRolePolicy", other_role)), POLICY)),
        ("AdministratorAccess on a user", with_policy(on("AttachUserPolicy", user), ADMINISTRATOR)),
        ("our policy on a user", with_policy(on("AttachUserPolicy", user), POLICY)),
        ("AdministratorAccess on a group", with_policy(on("AttachGroupPolicy", group), ADMINISTRATOR)),
        ("an inline policy on the role", capped(ours(on("PutRolePolicy", ROLE)))),
        ("an inline policy on the provider", on("PutRolePolicy", PROVIDER)),
        ("an inline policy on a user", on("PutUserPolicy", user)),
        ("an inline policy on a group", on("PutGroupPolicy", group)),
        ("trust of another role rewritten", on("UpdateAssumeRolePolicy", other_role)),
        ("trust of a capped foreign role rewritten", capped(on("UpdateAssumeRolePolicy", other_role))),
        ("trust of the provider rewritten", on("UpdateAssumeRolePolicy", PROVIDER)),
        ("trust of our role rewritten once its boundary is another", ours(on("UpdateAssumeRolePolicy", ROLE))),
        ("the boundary taken off", capped(ours(on("DeleteRolePermissionsBoundary", ROLE)))),
        (
            "another boundary",
            ours(on("PutRolePermissionsBoundary", ROLE)).with("iam:PermissionsBoundary", ADMINISTRATOR),
        ),
        ("the boundary set on a foreign role", capped(on("PutRolePermissionsBoundary", other_role))),
        ("a role without boundary", as_ours(on("CreateRole", ROLE))),
        (
            "a role under another boundary",
            as_ours(on("CreateRole", ROLE)).with("iam:PermissionsBoundary", ADMINISTRATOR),
        ),
        ("a role without our tag", capped(on("CreateRole", ROLE))),
        ("a role of another name", capped(as_ours(on("CreateRole", other_role)))),
        ("a role under another path", capped(as_ours(on("CreateRole", &format!("{ACCOUNT}:role/labs/vol"))))),
        ("a policy of another name", as_ours(on("CreatePolicy", other_policy))),
        ("a policy without our tag", on("CreatePolicy", POLICY)),
        ("our tag on a foreign role", as_ours(on("TagRole", other_role))),
        ("our tag on another stack's role of our name", as_ours(on("TagRole", ROLE)).with(STACK_KEY, "another stack")),
        ("our tag on the provider", as_ours(on("TagRole", PROVIDER)).with(STACK_KEY, "provider")),
        ("our tag on a foreign policy", as_ours(on("TagPolicy", other_policy))),
        ("another stack's tag on our role", ours(on("TagRole", ROLE)).with(ASKED_KEY, "another stack")),
        ("a role given to a service", on("PassRole", ROLE).with("iam:PassedToService", "ec2.amazonaws.com")),
        ("an administrator's role given to a service", on("PassRole", other_role)),
        ("a user", on("CreateUser", user)),
        ("an access key", on("CreateAccessKey", user)),
        ("a password", on("CreateLoginProfile", user)),
        ("another password", on("UpdateLoginProfile", user)),
        ("a group's rights", on("AddUserToGroup", group)),
        ("a service-linked role", on("CreateServiceLinkedRole", other_role)),
        ("an instance profile", on("CreateInstanceProfile", profile)),
        ("a role in an instance profile", on("AddRoleToInstanceProfile", profile)),
        ("a foreign role deleted", on("DeleteRole", other_role)),
        ("a foreign policy deleted", on("DeletePolicy", other_policy)),
        ("the boundary deleted", on("DeletePolicy", boundary)),
        ("another policy taken off a foreign role", with_policy(on("DetachRolePolicy", other_role), other_policy)),
        ("another policy taken off a user", with_policy(on("DetachUserPolicy", user), other_policy)),
        ("a foreign role looked into", on("ListAttachedRolePolicies", other_role)),
        ("the role assumed", Request::new("sts:AssumeRole", ROLE)),
        (
            "the function's code",
            Request::new("lambda:UpdateFunctionCode", "arn:aws:lambda:us-east-1:123456789012:function:f"),
        ),
        (
            "the function invoked",
            Request::new("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f"),
        ),
        (
            "a stack",
            Request::new("cloudformation:CreateStack", "arn:aws:cloudformation:us-east-1:123456789012:stack/s/1"),
        ),
        ("the bucket's objects", Request::new("s3:GetObject", "arn:aws:s3:::my-bucket/raw/x")),
        ("the bucket's policy", Request::new("s3:PutBucketPolicy", "arn:aws:s3:::my-bucket")),
        (
            "another log group",
            Request::new("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:other:log-stream:x"),
        ),
        (
            "the log deleted",
            Request::new(
                "logs:DeleteLogGroup",
                "arn:aws:logs:us-east-1:123456789012:log-group:my-volume-ProviderLogGroup-1A2B3C",
            ),
        ),
    ];
    // On S3: another account's CORS, and everything but that and two questions.
    for (action, bucket, owner) in [
        ("PutBucketCORS", "their-bucket", "210987654321"),
        ("GetBucketCORS", "their-bucket", "210987654321"),
        ("GetEncryptionConfiguration", "other-bucket", "123456789012"),
        ("PutEncryptionConfiguration", "my-bucket", "123456789012"),
        ("PutBucketPolicy", "my-bucket", "123456789012"),
        ("PutBucketAcl", "my-bucket", "123456789012"),
        ("PutBucketPublicAccessBlock", "my-bucket", "123456789012"),
        ("ListBucket", "my-bucket", "123456789012"),
        ("DeleteBucket", "my-bucket", "123456789012"),
    ] {
        let request = Request::new(&format!("s3:{action}"), &format!("arn:aws:s3:::{bucket}"));
        paths.push(("more of S3 than the checks and CORS need", request.with("aws:ResourceAccount", owner)));
    }
    let object = Request::new("s3:GetObject", "arn:aws:s3:::my-bucket/raw/a");
    paths.push(("the volume's own data", object.with("aws:ResourceAccount", "123456789012")));
    for key in [owner::STACK, owner::RESOURCE, owner::ROLE, owner::POLICY, owner::REPLACES, REQUESTED] {
        paths.push(("our own tag taken off the role", removes(ours(on("UntagRole", ROLE)), key)));
        paths.push(("our own tag taken off the policy", removes(ours(on("UntagPolicy", POLICY)), &key.to_uppercase())));
    }
    paths
}

#[test]
fn no_known_path_leads_from_the_providers_rights_to_more() -> Outcome {
    for (provider, boundary) in providers()? {
        let paths = escalation_paths(boundary);
        println!("{} paths under {boundary}", paths.len());
        for (path, request) in paths {
            assert!(!provider.may(&request)?, "{path}: {request:?}");
        }
    }
    Ok(())
}

#[test]
fn escalation_paths_are_denied_and_a_similar_request_is_allowed() -> Outcome {
    // Each is a path with the one thing put right that makes it a path.
    for (provider, boundary) in providers()? {
        let ours = |action: &str, resource: &str| {
            Request::new(action, resource).with(STACK_KEY, events::STACK).with("iam:PermissionsBoundary", boundary)
        };
        let new = |action: &str, resource: &str| {
            Request::new(action, resource).with(ASKED_KEY, events::STACK).with("aws:TagKeys", owner::STACK)
        };
        for request in [
            ours("iam:AttachRolePolicy", ROLE).with("iam:PolicyARN", POLICY),
            ours("iam:UpdateAssumeRolePolicy", ROLE),
            ours("iam:PutRolePermissionsBoundary", ROLE),
            ours("iam:CreatePolicyVersion", POLICY),
            ours("iam:UntagRole", ROLE).with("aws:TagKeys", "team"),
            new("iam:CreateRole", ROLE).with("iam:PermissionsBoundary", boundary),
            new("iam:CreatePolicy", POLICY),
            new("iam:TagRole", ROLE),
            new("iam:TagRole", &format!("{ACCOUNT}:role/older")).with(STACK_KEY, events::STACK),
            Request::new("s3:PutBucketCORS", "arn:aws:s3:::my-bucket").with("aws:ResourceAccount", "123456789012"),
            ours("iam:DeleteRole", ROLE),
            ours("iam:ListAttachedRolePolicies", &format!("{ACCOUNT}:role/labs/older")),
            Request::new("iam:DetachUserPolicy", &format!("{ACCOUNT}:user/me")).with("iam:PolicyARN", POLICY),
        ] {
            assert!(provider.may(&request)?, "{request:?}");
        }
    }
    Ok(())
}

/// Returns a trust policy shows the external ID of whoever's role it is.
#[test]
fn the_provider_reads_no_role_of_another_name_but_its_own() -> Outcome {
    let evaluation = stack("").with([("RoleName", "vol"), ("IamPath", "/lab/")]);
    let provider = Identity::new(&evaluation.property("ProviderRole", "/Policies/0/PolicyDocument")?, None)?;
    for (role, tag, may) in [
        ("role/vol", None, true),
        ("role/lab/vol", None, true),
        ("role/another/path/vol", None, true),
        ("role/vendor", None, false),
        ("role/vol-2", None, false),
        ("role/my-vol", None, false),
        ("role/vol/vendor", None, false),
        ("role/vendor", Some("arn:aws:cloudformation:us-east-1:123456789012:stack/other/1"), false),
        ("role/former", Some(events::STACK), true),
    ] {
        let get = Request::new("iam:GetRole", &format!("{ACCOUNT}:{role}"));
        let get = tag.map_or(get.clone(), |tag| get.with(STACK_KEY, tag));
        assert_eq!(provider.may(&get)?, may, "{get:?}");
        assert!(provider.may(&Request::new("iam:ListRoleTags", &format!("{ACCOUNT}:{role}")))?, "{role}");
    }
    Ok(())
}
