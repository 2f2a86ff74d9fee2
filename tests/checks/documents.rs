//! Findings of checkov, cfripper and parliament about templates and documents. Each is answered here in writing; one
//! that is not, and an answer to one that is not found any more, fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cavatica_access::platform::CAVATICA;
use cavatica_generator::cfn::Template;
use cavatica_generator::operator;
use cavatica_generator::template::{Config, native, provided};
use cavatica_simulation::evaluation::{self, Evaluation};
use cavatica_tests::checkers::{Answer, require_answers, run};
use cavatica_tests::{Error, Outcome};
use serde_json::Value;

/// Findings of checkov, and the reason why each stays.
const CHECKOV: &[Answer] = &[
    (
        "CKV_AWS_115",
        "ProviderFunction",
        "Reserved concurrency comes out of an account's quota, which small accounts cannot spare; the function runs for one stack's \
         events, one at a time.",
    ),
    (
        "CKV_AWS_116",
        "ProviderFunction",
        "A dead letter queue would keep events, and with them their ResponseURL; CloudFormation itself notices an answer that does \
         not come.",
    ),
    (
        "CKV_AWS_117",
        "ProviderFunction",
        "In a VPC it would need a NAT gateway or endpoints to reach IAM; it holds no data.",
    ),
    (
        "CKV_AWS_158",
        "ProviderLogGroup",
        "CloudWatch Logs encrypts at rest with its own key; the log holds no secrets (tests/cases/function/binary.rs searches it).",
    ),
    ("CKV_AWS_173", "ProviderFunction", "The environment holds the stack's ID and the trusted role's ARN: no secrets."),
];

/// Findings of cfripper, and the reason why each stays.
const CFRIPPER: &[Answer] = &[
    (
        "PrivilegeEscalationRule",
        "ProviderRole",
        "It makes and changes a role and a policy: that is its work. Exact names, the stack's tag and the boundary keep it to that role, \
         which tests/cases/template/least_privilege.rs tries path by path.",
    ),
    (
        "WildcardResourceRule",
        "ProviderRole",
        "Only while ConfigureCors is true, and only for CORS: a rule has to be taken out of a bucket whose name the role does not know any \
         more. There the limit is the account's own buckets.",
    ),
];

/// Findings of parliament, and the reason why each stays.
const PARLIAMENT: &[Answer] = &[
    (
        "UNKNOWN_CONDITION_FOR_ACTION",
        "ProviderRole",
        "Its data do not have iam:PermissionsBoundary for UpdateRole and UpdateAssumeRolePolicy; the Service Authorization Reference has.",
    ),
    (
        "UNKNOWN_ACTION",
        "operator",
        "Its data are older than lambda:GetFunctionScalingConfig, which the handlers of AWS::Lambda::Function call, and than \
         cloudformation:GetHookResult and cloudformation:DescribeEvents.",
    ),
];

/// Exact subjects of these answers, so that they answer nothing else.
const ANSWERED_BY_PARLIAMENT: [&str; 5] = [
    "Unknown condition iam:PermissionsBoundary for action iam:UpdateRole",
    "Unknown condition iam:PermissionsBoundary for action iam:UpdateAssumeRolePolicy",
    "Unknown action lambda:GetFunctionScalingConfig",
    "Unknown action cloudformation:GetHookResult",
    "Unknown action cloudformation:DescribeEvents",
];

/// Stacks to be looked at with every function evaluated.
const GIVEN: [&[(&str, &str)]; 3] = [
    &[("BucketName", "my-bucket")],
    &[("BucketName", "my-bucket"), ("ConfigureCors", "true")],
    &[
        ("BucketName", "my-bucket"),
        ("Prefix", "raw"),
        ("AccessMode", "ReadWrite"),
        ("KmsKeyArn", "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
        ("RestrictListing", "true"),
    ],
];

fn published() -> Config {
    evaluation::published()
}

fn templates() -> [(&'static str, Template); 2] {
    [("by-function", provided::template(&published())), ("native", native::template(&Config::default()))]
}

fn write(folder: &Path, name: &str, value: &Value) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    std::fs::write(&path, value.to_string())?;
    Ok(path)
}

#[test]
fn each_finding_of_checkov_is_answered() -> Outcome {
    let folder = tempfile::tempdir()?;
    let written =
        templates().map(|(name, template)| write(folder.path(), &format!("{name}.json"), &template.to_value()));
    let json = written.into_iter().collect::<Result<Vec<_>, _>>()?;
    let requirements = include_str!("../checkers/checkov.txt");
    let arguments = ["--compact", "--framework", "cloudformation", "-o", "json", "-f"];
    let report: Value = serde_json::from_str(&run("checkov", requirements, &arguments, &json)?)?;
    assert!(report["summary"]["resource_count"].as_u64().is_some_and(|count| count >= 9), "{report:#}");
    let failed = report["results"]["failed_checks"].as_array().ok_or("no results")?;
    let found = failed.iter().map(|check| {
        let resource = check["resource"].as_str().unwrap_or_default();
        (text(&check["check_id"]), resource.rsplit('.').next().unwrap_or_default().to_owned())
    });
    require_answers(&found.collect(), CHECKOV)
}

#[test]
fn each_finding_of_cfripper_is_answered() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut found = BTreeSet::new();
    for (name, template) in templates() {
        for (number, given) in GIVEN.iter().enumerate() {
            let evaluated = Evaluation::of(&template, given).resources()?;
            let file = write(folder.path(), &format!("{name}-{number}.json"), &evaluated)?;
            let requirements = include_str!("../checkers/cfripper.txt");
            let said = run("cfripper", requirements, &["--format", "json", "--resolve"], &[file])?;
            let report: Value =
                serde_json::from_str(said.get(said.find('{').unwrap_or_default()..).unwrap_or_default())?;
            for failure in report["failures"].as_array().ok_or("no failures")? {
                let resources = failure["resource_ids"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
                found.insert((text(&failure["rule"]), resources.join(" ")));
            }
        }
    }
    require_answers(&found, CFRIPPER)
}

#[test]
fn each_finding_of_parliament_is_answered() -> Outcome {
    let mut documents = Vec::new();
    for (name, template) in templates() {
        for given in GIVEN {
            let evaluation = Evaluation::of(&template, given);
            let places: &[_] = if name == "native" {
                &[("VolumePolicy", "/PolicyDocument"), ("Boundary", "/PolicyDocument")]
            } else {
                &[("ProviderRole", "/Policies/0/PolicyDocument"), ("Boundary", "/PolicyDocument")]
            };
            for (resource, pointer) in places {
                documents.push((*resource, evaluation.property(resource, pointer)?));
            }
        }
        documents.push(("operator", operator::policy(&CAVATICA, "cavatica-volume", name == "native").to_value()));
    }
    let mut found = BTreeSet::new();
    for (of, document) in documents {
        let requirements = include_str!("../checkers/parliament.txt");
        let said = run("parliament", requirements, &["--json", "--string", &document.to_string()], &[])?;
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            let finding: Value = serde_json::from_str(line)?;
            let (issue, detail) = (text(&finding["issue"]), &finding["detail"]);
            let is_known = ANSWERED_BY_PARLIAMENT.iter().any(|known| detail == known);
            found.insert((if is_known { issue } else { format!("{issue}: {detail}") }, of.to_owned()));
        }
    }
    require_answers(&found, PARLIAMENT)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
