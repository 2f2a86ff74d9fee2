//! The rights that `documents --operator` lists, beside the calls that the commands really make.

use std::collections::BTreeSet;

use cavatica_access::platform::CAVATICA;
use cavatica_generator::operator::policy;

use crate::faulty_aws::{FaultyAws, Request};
use crate::operator::{BUCKET, Operator, expect};
use crate::publisher::Outcome;

/// Calls that need no right.
const FREE: [&str; 1] = ["sts:GetCallerIdentity"];

/// Returns the action that AWS checks for a request; `None` on the bucket for the function's code, for which the
/// operator needs the rights of whoever publishes.
fn action(request: &Request) -> Option<String> {
    let Request { service, action, method, path } = request;
    let (place, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = place.split('/').filter(|part| !part.is_empty()).collect();
    let rest = |name: &str| Some(format!("{service}:{name}"));
    match (service.as_str(), method.as_str(), parts.as_slice()) {
        ("cloudformation" | "iam" | "sts" | "logs", ..) => rest(action),
        ("lambda", "GET", [_, "functions", _, "configuration"]) => rest("GetFunctionConfiguration"),
        ("lambda", "GET", [_, "functions", _, "policy"]) => rest("GetPolicy"),
        ("lambda", "GET", [_, "functions", _, "event-invoke-config"]) => rest("GetFunctionEventInvokeConfig"),
        ("s3", _, [bucket, ..]) if bucket.starts_with("cavatica-connect-assets-") => None,
        ("s3", "GET", []) => rest("ListAllMyBuckets"),
        ("s3", "HEAD", [_]) => rest("ListBucket"),
        ("s3", "GET", [_]) if query.contains("location") => rest("GetBucketLocation"),
        ("s3", "GET", [_]) if query.contains("encryption") => rest("GetEncryptionConfiguration"),
        ("s3", "GET", [_]) if query.contains("cors") => rest("GetBucketCORS"),
        ("s3", "GET", [_]) if query.contains("list-type") => rest("ListBucket"),
        ("s3", "GET" | "HEAD", [_, _, ..]) => rest("GetObject"),
        _ => Some(format!("unknown: {request:?}")),
    }
}

/// Runs commands and returns the actions that they called.
async fn called(
    operator: &Operator,
    commands: &[(&[&str], i32)],
) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let mut actions = BTreeSet::new();
    for (command, code) in commands {
        let aws = FaultyAws::start(operator.publisher.engine.url()).await?;
        let output = operator.run_through(&aws, command).await?;
        expect(&output, *code, &[]).map_err(|error| format!("{command:?}: {error}"))?;
        actions.extend(aws.requests().iter().filter_map(action));
    }
    Ok(actions)
}

#[tokio::test]
async fn the_operators_policy_has_every_call_that_the_commands_make() -> Outcome {
    let operator = Operator::start().await?;
    let (zip, package) = (operator.zip.as_str(), operator.publisher.folder.path().display().to_string());
    let by_function: &[(&[&str], i32)] = &[
        (&["deploy", "--zip", zip, "--bucket", BUCKET, "--dry-run"], 3),
        (&["deploy", "--zip", zip, "--bucket", BUCKET, "--param", "ConfigureCors=true", "--yes"], 0),
        (&["deploy", "--zip", zip, "--bucket", BUCKET, "--access", "read-write", "--yes"], 0),
        (&["status"], 0),
        (&["status", "--repair", "--yes"], 0),
        (&["list"], 0),
        // The zip is not that of the package.
        (&["verify", "cavatica-volume", "--package", &package], 3),
        (&["destroy", "--yes"], 0),
        (&["destroy", "--yes"], 0),
    ];
    let native: &[(&[&str], i32)] = &[
        (&["deploy", "--native", "--bucket", BUCKET, "--param", "ExternalId=0123456789abcdef", "--yes"], 0),
        // The engine's CloudFormation sets no boundary on a role.
        (&["status"], 3),
        (&["list"], 0),
        (&["destroy", "--yes"], 0),
    ];
    for (commands, is_native) in [(by_function, false), (native, true)] {
        let called = called(&operator, commands).await?;
        assert!(called.len() > 15, "{called:?}");
        let policy = policy(&CAVATICA, "cavatica-volume", is_native);
        let granted: BTreeSet<&str> = policy.statements().iter().flat_map(|it| it.action.iter().copied()).collect();
        let is_missing = |action: &&String| !granted.contains(action.as_str()) && !FREE.contains(&action.as_str());
        let missing: Vec<_> = called.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "native: {is_native}, missing: {missing:#?}");
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}
