//! Rights of the volume role: policy and boundary of both templates, judged by an evaluator of others.

use super::least_privilege::{KEY, OWNER, POLICY, ROLE, organisations, stack};
use cavatica_access::blueprint::Blueprint;
use cavatica_access::owner::Owner;
use cavatica_access::{permissions, request};
use cavatica_generator::template::{Config, native, provided};
use cavatica_memory::policy::Request;
use cavatica_simulation::evaluation::{self, Evaluation};
use cavatica_simulation::events;
use cavatica_simulation::identity::Identity;
use cavatica_tests::Outcome;
use serde_json::json;

/// Requests of a role that was made to allow everything.
fn requests() -> Vec<Request> {
    let buckets = ["my-bucket", "my-bucket-2", "other-bucket", "sbg-main", "sbg-main-us-west-2"];
    let on_bucket = [
        "ListBucket",
        "GetBucketCORS",
        "GetBucketLocation",
        "GetBucketPolicy",
        "PutBucketPolicy",
        "PutBucketCORS",
        "DeleteBucket",
        "PutBucketAcl",
        "PutLifecycleConfiguration",
        "ListBucketVersions",
        "PutReplicationConfiguration",
    ];
    let on_object = [
        "GetObject",
        "PutObject",
        "GetObjectAcl",
        "PutObjectAcl",
        "AbortMultipartUpload",
        "ListMultipartUploadParts",
        "DeleteObject",
        "DeleteObjectVersion",
        "GetObjectVersion",
        "RestoreObject",
        "PutObjectTagging",
        "BypassGovernanceRetention",
        "PutObjectRetention",
    ];
    let mut desired_buckets = Vec::new();
    // Each bucket as the account's own, and as that of whoever took its name after it was deleted.
    for (bucket, owner) in buckets.iter().flat_map(|bucket| [(bucket, OWNER), (bucket, "210987654321")]) {
        let arn = format!("arn:aws:s3:::{bucket}");
        let request = |action: &str, resource: &str| {
            Request::new(&format!("s3:{action}"), resource).with("aws:ResourceAccount", owner)
        };
        desired_buckets.extend(on_bucket.map(|action| request(action, &arn)));
        desired_buckets.extend(on_object.map(|action| request(action, &format!("{arn}/raw/x"))));
    }
    for key in [KEY, "arn:aws:kms:us-east-1:123456789012:key/other"] {
        for action in ["Decrypt", "GenerateDataKey", "Encrypt", "ScheduleKeyDeletion", "CreateGrant", "PutKeyPolicy"] {
            let request = Request::new(&format!("kms:{action}"), key);
            desired_buckets.push(request.clone().with("kms:ViaService", "s3.us-east-1.amazonaws.com"));
            desired_buckets.push(request.clone().with("kms:ViaService", "ec2.us-east-1.amazonaws.com"));
            desired_buckets.push(request);
        }
    }
    for (action, resource) in [
        ("iam:CreateUser", "arn:aws:iam::123456789012:user/me"),
        ("iam:AttachRolePolicy", ROLE),
        ("iam:CreatePolicyVersion", POLICY),
        ("iam:PassRole", ROLE),
        ("iam:DeleteRolePermissionsBoundary", ROLE),
        ("sts:AssumeRole", "arn:aws:iam::123456789012:role/admin"),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:instance/i-1"),
        ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f"),
        ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:s"),
        ("dynamodb:Scan", "arn:aws:dynamodb:us-east-1:123456789012:table/t"),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:s"),
        ("organizations:LeaveOrganization", "arn:aws:organizations::123456789012:organization/o"),
    ] {
        desired_buckets.push(Request::new(action, resource));
    }
    desired_buckets
}

/// Returns a request about a bucket that the stack's account owns.
fn ours(action: &str, resource: &str) -> Request {
    Request::new(action, resource).with("aws:ResourceAccount", OWNER)
}

/// Another account's bucket is named with its owner, and is then admitted as that account's alone.
#[test]
fn the_boundary_admits_the_bucket_of_the_named_owner_alone() -> Outcome {
    const OTHER: &str = "210987654321";
    let everything =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let of_other = stack("").with([("BucketOwnerAccountId", OTHER)]).property("Boundary", "/PolicyDocument")?;
    let native = Evaluation::of(&native::template(&Config::default()), &[("BucketName", "my-bucket")]);
    let native = native.property("Boundary", "/PolicyDocument")?;
    for (boundary, owner) in [(of_other, OTHER), (native, OWNER)] {
        let role = Identity::new(&everything, Some(&boundary))?;
        for account in [OWNER, OTHER, "333333333333"] {
            for (action, resource) in
                [("s3:ListBucket", "arn:aws:s3:::my-bucket"), ("s3:GetObject", "arn:aws:s3:::my-bucket/raw/x")]
            {
                let request = Request::new(action, resource).with("aws:ResourceAccount", account);
                assert_eq!(role.may(&request)?, account == owner, "{request:?}");
            }
        }
    }
    Ok(())
}

/// True if a request is one of a read-write volume on the stack's bucket, whatever the prefix.
fn is_the_volumes(request: &Request) -> bool {
    let through_s3 = request.context.get("kms:ViaService").is_some_and(|via| via[0].starts_with("s3."));
    let is_ours = request.context.get("aws:ResourceAccount").is_some_and(|owner| owner[0] == OWNER);
    let action = request.action.as_str();
    match request.resource.as_str() {
        "arn:aws:s3:::my-bucket" => is_ours && permissions::READ_BUCKETS.contains(&action),
        "arn:aws:s3:::my-bucket/raw/x" => {
            is_ours && (permissions::READ_OBJECTS.contains(&action) || permissions::WRITE_OBJECTS.contains(&action))
        }
        "arn:aws:s3:::sbg-main/raw/x" | "arn:aws:s3:::sbg-main-us-west-2/raw/x" => {
            permissions::READ_OBJECTS.contains(&action)
        }
        KEY => through_s3 && permissions::ENCRYPT.contains(&action),
        _ => false,
    }
}

/// Returns a thief may make a new version of our policy and rewrite our role's trust: both are what the provider is
/// for.
#[test]
fn with_everything_in_its_policy_the_role_does_only_the_volumes_actions_on_the_volumes_bucket() -> Outcome {
    let everything =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let own = stack("").property("Boundary", "/PolicyDocument")?;
    let role = Identity::new(&everything, Some(&own))?;
    let mut allowed = 0;
    for request in requests() {
        assert_eq!(role.may(&request)?, is_the_volumes(&request), "{request:?}");
        allowed += usize::from(is_the_volumes(&request));
    }
    println!("{allowed} of {} wishes are the volume's", requests().len());

    // With an organisation's boundary the cap is the organisation's.
    let role = Identity::new(&everything, Some(&organisations()))?;
    let cap = Identity::new(&organisations(), None)?;
    for request in requests() {
        assert_eq!(role.may(&request)?, cap.may(&request)?, "{request:?}");
    }
    Ok(())
}

#[test]
fn both_templates_grant_the_same_requests() -> Outcome {
    for (access, tight) in [("ReadOnly", "false"), ("ReadWrite", "false"), ("ReadOnly", "true"), ("ReadWrite", "true")]
    {
        let given = [
            ("BucketName", "my-bucket"),
            ("Prefix", "raw"),
            ("AccessMode", access),
            ("KmsKeyArn", KEY),
            ("RestrictListing", tight),
            ("OmitObjectAcls", tight),
        ];
        let by_function = Evaluation::of(&provided::template(&evaluation::published()), &given);
        let request = request::Request::parse(&by_function.custom_resource()?)?;
        let owner = Owner { stack: events::STACK.parse()?, resource: "VolumeAccess".to_owned() };
        let wanted = Blueprint::new(request, owner)?.permissions.to_value();
        let made = Identity::new(&wanted, Some(&by_function.property("Boundary", "/PolicyDocument")?))?;
        let native = Evaluation::of(&native::template(&Config::default()), &given);
        let policy = native.property("VolumePolicy", "/PolicyDocument")?;
        let native = Identity::new(&policy, Some(&native.property("Boundary", "/PolicyDocument")?))?;
        let prefixes = ["", "raw", "raw/", "raw/2026", "rawer"];
        let listings = prefixes.map(|prefix| ours("s3:ListBucket", "arn:aws:s3:::my-bucket").with("s3:prefix", prefix));
        let mut allowed = 0;
        for request in requests().into_iter().chain(listings) {
            let answer = made.may(&request)?;
            assert_eq!(native.may(&request)?, answer, "{request:?}");
            allowed += usize::from(answer);
        }
        assert!(allowed > 5, "{allowed} wishes are granted");
    }
    Ok(())
}

#[test]
fn options_restrict_listing_to_the_folder_and_omit_acls() -> Outcome {
    let tight = [("RestrictListing", "true"), ("OmitObjectAcls", "true")];
    for (given, is_tight) in [(&tight[..], true), (&[], false)] {
        let stack = stack("").with(given.iter().copied());
        let owner = Owner { stack: events::STACK.parse()?, resource: "VolumeAccess".to_owned() };
        let blueprint = Blueprint::new(request::Request::parse(&stack.custom_resource()?)?, owner)?;
        let boundary = stack.property("Boundary", "/PolicyDocument")?;
        let role = Identity::new(&blueprint.permissions.to_value(), Some(&boundary))?;
        let list = |prefix: &str| ours("s3:ListBucket", "arn:aws:s3:::my-bucket").with("s3:prefix", prefix);
        for prefix in ["raw", "raw/", "raw/2026/"] {
            assert!(role.may(&list(prefix))?, "{prefix}");
        }
        for request in [list(""), list("rawest/"), list("other/"), ours("s3:ListBucket", "arn:aws:s3:::my-bucket")] {
            assert_eq!(role.may(&request)?, !is_tight, "{request:?}");
        }
        assert!(role.may(&ours("s3:GetBucketLocation", "arn:aws:s3:::my-bucket"))?);
        let on_object = |action: &str| ours(action, "arn:aws:s3:::my-bucket/raw/x");
        assert!(role.may(&on_object("s3:PutObject"))?);
        for action in permissions::OBJECT_ACLS {
            assert_eq!(role.may(&on_object(action))?, !is_tight, "{action}");
        }
    }
    Ok(())
}
