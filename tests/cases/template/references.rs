//! Templates and documents compared with AWS's own data in pinned packages: how YAML is read,
//! which regions there are, what CloudFormation calls.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cavatica_access::platform::CAVATICA;
use cavatica_access::request::{Checks, Request};
use cavatica_generator::cfn::Template;
use cavatica_generator::operator;
use cavatica_generator::regions::{COMMERCIAL, OTHER_PARTITIONS};
use cavatica_generator::template::{Config, native, provided};
use cavatica_local::python;
use cavatica_local::workspace::Workspace;
use cavatica_simulation::evaluation::Evaluation;
use cavatica_tests::{Error, Outcome};
use serde_json::Value;

/// Runs a script of `tests/checkers` in the environment of one of the checkers.
fn run(script: &str, checker: &str, arguments: &[String]) -> Result<String, Error> {
    let workspace = Workspace::locate()?;
    let folder = workspace.root.join("tests/checkers");
    let requirements = std::fs::read_to_string(folder.join(format!("{checker}.txt")))?;
    let tools = python::environment(&workspace, checker, &requirements)?;
    let output = Command::new(tools.bin("python")).arg(folder.join(script)).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns the committed YAML templates, that with the function first, as a reader of YAML 1.1 takes them.
fn read_as_yaml_1_1() -> Result<Vec<Value>, Error> {
    let folder = Workspace::locate()?.root.join("templates");
    let names = ["cavatica-volume.template.yaml", "cavatica-volume-native.template.yaml"];
    let paths: Vec<_> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    let read = run("yaml_1_1.py", "cfn-lint", &paths)?;
    read.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn a_reader_of_yaml_1_1_sees_the_generated_template() -> Outcome {
    let read = read_as_yaml_1_1()?;
    assert_eq!(read.len(), 2);
    for (yaml, template) in
        read.iter().zip([provided::template(&Config::default()), native::template(&Config::default())])
    {
        let generated = template.to_value();
        assert!(*yaml == generated, "{}", difference(yaml, &generated, "").unwrap_or_default());
    }
    Ok(())
}

/// Returns the first place where two values differ.
fn difference(one: &Value, other: &Value, place: &str) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| difference(value, &b[key], &format!("{place}/{key}")))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(at, (a, b))| difference(a, b, &format!("{place}/{at}")))
        }
        _ => (one != other).then(|| format!("{place}: {one} in YAML 1.1, {other} as generated")),
    }
}

#[test]
fn each_value_that_the_yaml_allows_can_be_chosen() -> Outcome {
    let templates = [provided::template(&Config::default()), native::template(&Config::default())];
    let mut tried = 0;
    for (yaml, template) in read_as_yaml_1_1()?.iter().zip(&templates) {
        for (name, parameter) in yaml["Parameters"].as_object().ok_or("no parameters")? {
            for value in parameter["AllowedValues"].as_array().into_iter().flatten() {
                let value = match parameter["Type"].as_str() {
                    Some("Number") => value.as_u64().ok_or_else(|| format!("{name}: {value}"))?.to_string(),
                    _ => value.as_str().ok_or_else(|| format!("{name}: {value}"))?.to_owned(),
                };
                choose(yaml, template, name, &value)?;
                tried += 1;
            }
        }
    }
    assert!(tried >= 40, "{tried} values");
    Ok(())
}

fn choose(yaml: &Value, template: &Template, name: &str, value: &str) -> Outcome {
    let given = [("BucketName", "my-bucket"), ("AssetKey", "code.zip"), (name, value)];
    let evaluation = Evaluation::of_value(yaml.clone(), &given);
    let known = template.parameters().find(|parameter| parameter.name == name).ok_or("unknown parameter")?;
    known.check(value)?;
    if yaml["Resources"]["VolumeAccess"].is_null() {
        evaluation.resources()?;
        return Ok(());
    }
    let request = Request::parse(&evaluation.custom_resource()?)?;
    if name == "Checks" {
        assert_eq!(Ok(request.checks), value.parse::<Checks>());
    }
    Ok(())
}

#[test]
fn every_region_outside_the_commercial_partition_is_refused() -> Outcome {
    let partitions: BTreeMap<String, Vec<String>> = serde_json::from_str(&run("regions.py", "parliament", &[])?)?;
    let others = partitions.iter().filter(|(partition, _)| *partition != "aws").flat_map(|(_, regions)| regions);
    let others: BTreeSet<&str> = others.map(String::as_str).collect();
    assert_eq!(others, BTreeSet::from(OTHER_PARTITIONS));
    let commercial: BTreeSet<&str> = partitions["aws"].iter().map(String::as_str).collect();
    assert_eq!(commercial, BTreeSet::from(COMMERCIAL));
    for template in [provided::template(&Config::default()), native::template(&Config::default())] {
        let rule = template.to_value()["Rules"]["CommercialPartition"].to_string();
        assert!(others.iter().all(|region| rule.contains(&format!("\"{region}\""))), "{rule}");
    }
    Ok(())
}

/// Calls that handlers make only for features that neither template uses, each with the feature.
const NOT_CALLED: &[(&str, &[&str])] = &[
    (
        "a policy attached by the boundary's or policy's own Users and Groups",
        &["iam:AttachUserPolicy", "iam:AttachGroupPolicy", "iam:DetachUserPolicy", "iam:DetachGroupPolicy"],
    ),
    (
        "a function in a VPC",
        &["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeNetworkInterfaces"],
    ),
    ("a function with a file system", &["elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"]),
    (
        "a function with a KMS key of its own",
        &["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
    ),
    (
        "a function with code signing, layers, capacity providers or versions",
        &[
            "lambda:GetCodeSigningConfig",
            "lambda:PutFunctionCodeSigningConfig",
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:GetLayerVersion",
            "lambda:PassCapacityProvider",
            "lambda:PublishVersion",
        ],
    ),
    (
        "a function with reserved concurrency, scaling, recursion or runtime settings",
        &[
            "lambda:PutFunctionConcurrency",
            "lambda:DeleteFunctionConcurrency",
            "lambda:PutFunctionScalingConfig",
            "lambda:PutFunctionRecursionConfig",
            "lambda:PutRuntimeManagementConfig",
            "lambda:AssociateRuntimeAlias",
        ],
    ),
    (
        "a log group with a KMS key, data protection, indexes, deliveries, its own resource policy or protection",
        &[
            "logs:AssociateKmsKey",
            "logs:DisassociateKmsKey",
            "logs:PutDataProtectionPolicy",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutIndexPolicy",
            "logs:DeleteIndexPolicy",
            "logs:CreateLogDelivery",
            "s3:REST.PUT.OBJECT",
            "firehose:TagDeliveryStream",
            "logs:PutResourcePolicy",
            "logs:DeleteResourcePolicy",
            "logs:PutBearerTokenAuthentication",
            "logs:PutLogGroupDeletionProtection",
        ],
    ),
];

/// Calls that only the native template's role with its policy needs.
const NATIVE_ONLY: &str = "iam:AttachRolePolicy";

#[test]
fn the_operator_may_do_what_cloudformations_handlers_call() -> Outcome {
    let mut excused: BTreeSet<&str> = BTreeSet::new();
    for (is_native, template) in
        [(false, provided::template(&Config::default())), (true, native::template(&Config::default()))]
    {
        let kinds: BTreeSet<_> = template.resources.iter().map(|resource| resource.kind.to_owned()).collect();
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| kind.starts_with("AWS::")).collect();
        let handlers: BTreeMap<String, BTreeMap<String, Vec<String>>> =
            serde_json::from_str(&run("handlers.py", "cfn-lint", &kinds)?)?;
        let called: BTreeSet<&str> =
            handlers.values().flat_map(BTreeMap::values).flatten().map(String::as_str).collect();
        assert!(called.len() >= 20, "{called:?}");
        let policy = operator::policy(&CAVATICA, "cavatica-volume", is_native);
        let granted: BTreeSet<&str> = policy.statements().iter().flat_map(|it| it.action.iter().copied()).collect();
        let mut missing: BTreeSet<&str> = called.difference(&granted).copied().collect();
        for (_, actions) in NOT_CALLED {
            excused.extend(actions.iter().copied().filter(|action| missing.remove(action)));
        }
        if !is_native {
            missing.remove(NATIVE_ONLY);
        }
        assert!(missing.is_empty(), "native: {is_native}, missing: {missing:?}");
        assert_eq!(granted.contains(NATIVE_ONLY), is_native);
    }
    let stale: Vec<_> =
        NOT_CALLED.iter().flat_map(|(_, actions)| *actions).filter(|action| !excused.contains(*action)).collect();
    assert!(stale.is_empty(), "no handler calls {stale:?} any more, or the operator has it");
    Ok(())
}
