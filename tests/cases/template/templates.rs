//! The committed templates: what the generator makes, small enough, and understood by the Lambda.

use cavatica_access::blueprint::Blueprint;
use cavatica_access::document::same_meaning;
use cavatica_access::limits;
use cavatica_access::owner::Owner;
use cavatica_access::platform::CAVATICA;
use cavatica_access::request::Request;
use cavatica_connect::release::package::VERSION;
use cavatica_connect::templates_folder;
use cavatica_generator::cfn::{INLINE_TEMPLATE, Template};
use cavatica_generator::page;
use cavatica_generator::template::files;
use cavatica_generator::template::{Config, native, provided};
use cavatica_local::workspace::Workspace;
use cavatica_simulation::evaluation::{self, Evaluation};
use cavatica_simulation::events::{PROVIDER_ROLE_ID, STACK};
use cavatica_tests::{Error, Outcome};
use serde_json::json;

fn published() -> Template {
    provided::template(&evaluation::published())
}

fn request(evaluation: &Evaluation) -> Result<Request, Error> {
    let properties = evaluation.custom_resource()?;
    Ok(Request::parse(&properties).map_err(|invalid| format!("{invalid}: {properties:#}"))?)
}

#[test]
fn the_committed_templates_are_what_the_generator_makes() -> Outcome {
    let mut files = files::generate(&Config::default());
    files.push(files::File { name: page::FILE.to_owned(), text: page::html(VERSION, &CAVATICA, None) });
    templates_folder::check(&files, &Workspace::locate()?.root.join("templates"))?;
    Ok(())
}

#[test]
fn a_drifted_template_is_named_with_the_command_that_renews_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    let files = files::generate(&Config::default());
    templates_folder::write(&files, folder.path())?;
    templates_folder::check(&files, folder.path())?;
    std::fs::write(folder.path().join(&files[1].name), "edited by hand")?;
    let said =
        templates_folder::check(&files, folder.path()).map_err(|drift| drift.to_string()).err().unwrap_or_default();
    assert!(
        said.contains(&files[1].name) && !said.contains(&files[0].name) && said.contains(templates_folder::RENEW),
        "{said}"
    );
    Ok(())
}

#[test]
fn both_templates_can_be_passed_inline() {
    for file in files::generate(&Config::default()) {
        assert!(file.text.len() < INLINE_TEMPLATE, "{} has {} bytes", file.name, file.text.len());
    }
}

/// Parameters that a stack may be created with, from none given to all.
const GIVEN: [&[(&str, &str)]; 6] = [
    &[("BucketName", "my-bucket")],
    &[
        ("BucketName", "my-bucket"),
        ("AccessMode", "ReadWrite"),
        ("ExternalId", "none"),
        ("ProjectLocations", "us-west-2"),
    ],
    &[("BucketName", "my-bucket"), ("Prefix", "raw/2026"), ("ExternalId", "lab-1234"), ("RoleName", "lab")],
    &[
        ("BucketName", "my-bucket"),
        ("AccessMode", "ReadWrite"),
        ("KmsKeyArn", "arn:aws:kms:us-east-1:123456789012:key/1234abcd"),
        ("BucketOwnerAccountId", "210987654321"),
    ],
    &[
        ("BucketName", "my-bucket"),
        ("Prefix", "raw/2026"),
        ("AccessMode", "ReadWrite"),
        ("RestrictListing", "true"),
        ("OmitObjectAcls", "true"),
    ],
    &[
        ("BucketName", "my-bucket"),
        ("RoleName", "lab"),
        ("PolicyName", "lab-policy"),
        ("IamPath", "/labs/"),
        ("PermissionsBoundaryArn", "arn:aws:iam::123456789012:policy/org/Boundary"),
        ("MaxSessionDuration", "43200"),
        ("Description", "For the lab"),
        ("Tags", "team=genomics,cost centre=42"),
    ],
];

#[test]
fn every_property_that_the_template_sends_parses_as_a_request() -> Outcome {
    let template = published();
    for given in GIVEN {
        for (name, value) in given {
            let parameter = template.parameters().find(|parameter| parameter.name == *name).ok_or(*name)?;
            parameter.check(value)?;
        }
        let request = request(&Evaluation::of(&template, given))?;
        let requested = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        assert_eq!(request.volumes[0].bucket.as_str(), "my-bucket");
        assert_eq!(request.role_name.as_str(), requested("RoleName").unwrap_or("cavatica-volume-5e1b8ce0"));
        assert_eq!(request.policy_name.as_str(), requested("PolicyName").unwrap_or(request.role_name.as_str()));
        let external_id = match requested("ExternalId") {
            None => Some(PROVIDER_ROLE_ID),
            Some("none") => None,
            given => given,
        };
        assert_eq!(request.external_id.as_ref().map(|id| id.as_str()), external_id);
        assert!(request.permissions_boundary.is_some(), "the template always sets a boundary");
        assert_eq!(request.tags.len(), if requested("Tags").is_some() { 2 } else { 0 });
        assert_eq!(request.max_session_duration, requested("MaxSessionDuration").map_or(Ok(3_600), str::parse)?);
    }
    Ok(())
}

#[test]
fn the_native_template_makes_the_same_documents_and_names() -> Outcome {
    let (by_function, native) = (published(), native::template(&Config::default()));
    for given in GIVEN {
        let mut given: Vec<_> = given.iter().copied().filter(|(name, _)| !BY_FUNCTION_ONLY.contains(name)).collect();
        if !given.iter().any(|(name, _)| *name == "ExternalId") {
            given.push(("ExternalId", "made-by-openssl-rand"));
        }
        let evaluation = Evaluation::of(&native, &given);
        let request = request(&Evaluation::of(&by_function, &given))?;
        let owner = Owner { stack: STACK.parse()?, resource: "VolumeAccess".to_owned() };
        let wanted = Blueprint::new(request, owner)?;
        let of_role = |name: &str| evaluation.property("VolumeRole", name);
        let permissions = evaluation.property("VolumePolicy", "/PolicyDocument")?;
        assert!(same_meaning(&permissions, &wanted.permissions.to_value()), "{permissions:#}");
        let trust = of_role("/AssumeRolePolicyDocument")?;
        assert!(same_meaning(&trust, &wanted.trust.to_value()), "{trust:#}");
        assert_eq!(of_role("/RoleName")?, wanted.role.name.as_str());
        assert_eq!(of_role("/Path")?, wanted.role.path.as_str());
        assert_eq!(evaluation.property("VolumePolicy", "/ManagedPolicyName")?, wanted.policy.name());
        let boundary = wanted.request.permissions_boundary.as_ref().map(ToString::to_string);
        assert_eq!(of_role("/PermissionsBoundary")?.as_str(), boundary.as_deref());
    }
    Ok(())
}

/// Parameters that mean something only to a function.
const BY_FUNCTION_ONLY: [&str; 2] = ["Tags", "BucketOwnerAccountId"];

#[test]
fn the_native_template_has_the_parameters_that_make_sense_without_a_function_and_no_others() {
    let (by_function, native) = (published(), native::template(&Config::default()));
    let names = |template: &Template| template.parameters().map(|parameter| parameter.name).collect::<Vec<_>>();
    let native = names(&native);
    let left_out: Vec<_> = names(&by_function).into_iter().filter(|name| !native.contains(name)).collect();
    let expected = ["BucketOwnerAccountId", "Tags", "Checks", "ConfigureCors", "LogRetentionDays", "Repair"];
    assert_eq!(left_out, expected);
}

#[test]
fn a_prefix_that_one_template_cannot_take_is_told_which_can() -> Outcome {
    let of = |template: &Template| template.parameters().find(|parameter| parameter.name == "Prefix").cloned();
    let (by_function, native) =
        (of(&published()).ok_or("no Prefix")?, of(&native::template(&Config::default())).ok_or("no Prefix")?);
    for prefix in ["日本", "Zürich/2026", "a\u{a0}b"] {
        by_function.check(prefix)?;
        let said = native.check(prefix).err().unwrap_or_default();
        assert!(said.contains("printable ASCII") && said.contains("template with the function"), "{prefix}: {said}");
    }
    for prefix in ["raw", "raw/2026 (old)/a+b=c", "~", "s3/x", "arnold", "!#%&'()+,-.:;<=>@[]^_`{|}"] {
        by_function.check(prefix)?;
        native.check(prefix)?;
    }
    for prefix in [
        "s3://b/raw",
        "S3://b",
        "s3a://my-bucket/raw",
        "https://my-bucket.s3.amazonaws.com/raw",
        "file:///raw",
        " raw",
        "raw ",
        "\u{3000}raw",
        "raw\u{a0}",
        "arn:aws:s3:::b/raw",
        "/raw",
        "raw/",
        "a*",
        "a?",
        "${x}",
        "a\\b",
        "a\"b",
        "a\nb",
        "a\u{80}b",
        "\u{7f}",
    ] {
        assert!(by_function.check(prefix).is_err() && native.check(prefix).is_err(), "{prefix}");
    }
    Ok(())
}

#[test]
fn the_boundary_allows_the_whole_bucket_what_the_policy_allows_and_no_other_action() -> Outcome {
    let template = published();
    for given in GIVEN.iter().filter(|given| !given.iter().any(|(name, _)| *name == "PermissionsBoundaryArn")) {
        let whole_bucket: Vec<_> = given.iter().copied().filter(|(name, _)| *name != "Prefix").collect();
        let evaluation = Evaluation::of(&template, &whole_bucket);
        let boundary = evaluation.property("Boundary", "/PolicyDocument")?;
        let owner = Owner { stack: STACK.parse()?, resource: "VolumeAccess".to_owned() };
        let mut boundary_without_way = boundary.clone();
        for statement in boundary_without_way["Statement"].as_array_mut().into_iter().flatten() {
            // The bucket's owner and the way by S3 are the boundary's own; the vendor's page does not have them.
            let action = statement["Action"][0].as_str().unwrap_or_default().to_owned();
            let is_of_vendor = statement["Sid"] == "RequestReadOnCopySourceObjects";
            let condition = statement.as_object_mut().and_then(|statement| statement.remove("Condition"));
            let owner =
                given.iter().find(|(name, _)| *name == "BucketOwnerAccountId").map_or("123456789012", |it| it.1);
            let expected = match action.split(':').next() {
                Some("kms") => Some(json!({"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}})),
                _ if is_of_vendor => None,
                _ => Some(json!({"StringEquals": {"aws:ResourceAccount": owner}})),
            };
            assert_eq!(condition, expected, "{action}");
        }
        let permissions = Blueprint::new(request(&evaluation)?, owner)?.permissions.to_value();
        assert!(same_meaning(&boundary_without_way, &permissions), "{boundary:#} {permissions:#}");
    }
    Ok(())
}

#[test]
fn the_longest_names_still_fit_the_provider_roles_inline_policy() -> Outcome {
    /// Inline policies of one role together, in characters without white space. Source: "IAM and AWS STS quotas".
    const INLINE_POLICIES: usize = 10_240;
    let bucket = "b".repeat(63);
    let (role, policy, path) = ("r".repeat(64), "p".repeat(128), format!("/{}/", "x".repeat(62)));
    let start = format!("arn:aws:iam::123456789012:policy/{}/", "x".repeat(88));
    let boundary = format!("{start}{}", "b".repeat(limits::BOUNDARY_ARN - start.len()));
    let given = [
        ("BucketName", bucket.as_str()),
        ("RoleName", role.as_str()),
        ("PolicyName", policy.as_str()),
        ("IamPath", path.as_str()),
        ("PermissionsBoundaryArn", boundary.as_str()),
    ];
    for (name, value) in given {
        let longest = published().parameters().find(|parameter| parameter.name == name).ok_or(name)?.clone();
        longest.check(value)?;
        assert!(longest.check(&format!("{value}{value}")).is_err(), "{name} can be longer");
    }
    let evaluation = Evaluation::of(&published(), &given);
    let document = evaluation.property("ProviderRole", "/Policies/0/PolicyDocument")?;
    let size = document.to_string().chars().filter(|c| !c.is_whitespace()).count();
    // The stack's own ID can be longer than the one here by what a stack's name of 128 characters adds.
    let longest_stack = size + (128 - "my-volume".len()) * 12;
    assert!(longest_stack <= INLINE_POLICIES, "{longest_stack} characters");
    Ok(())
}

#[test]
fn no_queued_retry_can_run_after_cloudformation_has_given_up() {
    let resources = &published().to_value()["Resources"];
    let number = |resource: &str, name: &str| resources[resource]["Properties"][name].as_i64().unwrap_or_default();
    let timeout = number("ProviderFunction", "Timeout");
    let patience = number("VolumeAccess", "ServiceTimeout");
    assert!(timeout >= 180 && patience >= 3 * timeout + 180);
    assert_eq!(number("ProviderInvokeConfig", "MaximumEventAgeInSeconds"), patience - timeout);
    assert_eq!(resources["VolumeAccess"]["DependsOn"], json!(["ProviderInvokeConfig"]));
}
