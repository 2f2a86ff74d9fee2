//! Links to our own templates, sent by somebody who wants in: played as the console applies them, and what each opens.
//!
//! The console takes a link's parameters before the defaults, and drops those that the template lacks or hides
//! (`NoEcho`) without a word. Source: "Create quick-create links for CloudFormation stacks".

use cavatica_access::blueprint;
use cavatica_access::platform::CAVATICA;
use cavatica_access::request::Request;
use cavatica_generator::cfn::Template;
use cavatica_generator::template::{Config, native, provided};
use cavatica_simulation::evaluation::{self, Evaluation};
use cavatica_simulation::events::PROVIDER_ROLE_ID;
use cavatica_tests::{Error, Outcome};
use serde_json::{Value, json};

const SENDERS_ROLE: &str = "arn:aws:iam::666666666666:role/sender";

/// Parameters that a sender may try. Each would grant the sender access if the stack were created with it.
const HOSTILE: [&[(&str, &str)]; 6] = [
    &[("TrustedPrincipalArn", SENDERS_ROLE)],
    &[("ExternalId", "none")],
    &[("ExternalId", "known-to-the-sender")],
    &[("AssetBucket", "senders-bucket"), ("AssetKey", "cavatica-connect/theirs.zip")],
    &[("PermissionsBoundaryArn", "arn:aws:iam::123456789012:policy/wide"), ("ExternalId", "none")],
    &[
        ("TrustedPrincipalArn", SENDERS_ROLE),
        ("ExternalId", "none"),
        ("AssetBucket", "senders-bucket"),
        ("AssetKey", "theirs.zip"),
        ("Checks", "Off"),
        ("AccessMode", "ReadWrite"),
        ("Prefix", ""),
    ],
];

/// Returns the parameters of a link that reach the console's form.
fn applied<'l>(template: &Template, link: &[(&'l str, &'l str)]) -> Vec<(&'l str, &'l str)> {
    let is_taken = |name: &str| template.parameters().any(|known| known.name == name && !known.no_echo);
    let bucket = [("BucketName", "my-bucket")];
    bucket.into_iter().chain(link.iter().copied().filter(|(name, _)| is_taken(name))).collect()
}

/// The one statement of a trust policy: Cavatica alone, with an external ID.
fn lets_in_cavatica_alone(trust: &Value, external_id: &str) {
    let expected = json!([{
        "Effect": "Allow", "Principal": {"AWS": CAVATICA.principal}, "Action": ["sts:AssumeRole"],
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }]);
    assert_eq!(trust["Statement"], expected);
}

#[test]
fn no_link_to_the_published_template_lets_its_sender_in() -> Outcome {
    let published = provided::template(&evaluation::published());
    let code = |evaluation: &Evaluation| -> Result<[Value; 3], Error> {
        let of_function = |pointer| evaluation.property("ProviderFunction", pointer);
        Ok([of_function("/Code")?, of_function("/Environment")?, evaluation.custom_resource()?["Release"].take()])
    };
    let plain = code(&Evaluation::of(&published, &[("BucketName", "my-bucket")]))?;
    for link in HOSTILE {
        let evaluation = Evaluation::of(&published, &applied(&published, link));
        assert_eq!(code(&evaluation)?, plain, "{link:?}");
        let request = Request::parse(&evaluation.custom_resource()?)?;
        lets_in_cavatica_alone(&blueprint::trust(&request).to_value(), PROVIDER_ROLE_ID);
    }
    Ok(())
}

/// Returns a policy of AWS is in every account, so a sender could name it in place of the stack's own boundary.
#[test]
fn no_template_takes_a_policy_of_aws_as_boundary() -> Outcome {
    let templates = [provided::template(&evaluation::published()), native::template(&Config::default())];
    for template in templates {
        let boundary = template.parameters().find(|parameter| parameter.name == "PermissionsBoundaryArn");
        let boundary = boundary.ok_or("no PermissionsBoundaryArn")?;
        for policy in ["AdministratorAccess", "job-function/SystemAdministrator", "aws-service-role/x"] {
            for partition in ["aws", "aws-us-gov"] {
                let said =
                    boundary.check(&format!("arn:{partition}:iam::aws:policy/{policy}")).err().unwrap_or_default();
                assert!(said.contains("is no cap"), "{policy}: {said}");
            }
        }
        assert_eq!(boundary.check("arn:aws:iam::123456789012:policy/lab/Boundary"), Ok(()));
    }
    Ok(())
}

#[test]
fn no_link_to_the_native_template_lets_its_sender_in_or_chooses_the_external_id() -> Outcome {
    let native = native::template(&Config::default());
    let external_id = native.parameters().find(|parameter| parameter.name == "ExternalId").ok_or("no ExternalId")?;
    assert!(external_id.no_echo && external_id.default.is_none(), "whoever launches the stack has to choose one");
    for short in ["auto", "12345", "fifteen-letters"] {
        let said = external_id.check(short).err().unwrap_or_default();
        assert!(
            said.contains("at least 16 random characters") && said.contains("openssl rand -hex 16"),
            "{short}: {said}"
        );
    }
    for link in HOSTILE {
        let chosen = [("ExternalId", "chosen-at-the-console")];
        let parameters = [applied(&native, link), chosen.to_vec()].concat();
        let trust = Evaluation::of(&native, &parameters).property("VolumeRole", "/AssumeRolePolicyDocument")?;
        lets_in_cavatica_alone(&trust, "chosen-at-the-console");
    }
    Ok(())
}

#[test]
fn the_template_without_release_differs_only_in_the_place_of_its_code() {
    let names = |template: &Template| template.parameters().map(|parameter| parameter.name).collect::<Vec<_>>();
    let (published, hosted) = (provided::template(&evaluation::published()), provided::template(&Config::default()));
    let more: Vec<_> = names(&hosted).into_iter().filter(|name| !names(&published).contains(name)).collect();
    assert_eq!(more, ["AssetBucket", "AssetKey"]);
    let hidden = hosted.parameters().filter(|parameter| parameter.no_echo).map(|parameter| parameter.name);
    assert_eq!(hidden.collect::<Vec<_>>(), ["ExternalId"]);
}

#[test]
fn the_external_id_is_made_of_a_resource_that_no_parameter_replaces() -> Outcome {
    /// Properties whose change replaces an `AWS::IAM::Role`. Source: its resource schema, `createOnlyProperties`.
    const REPLACING: [&str; 2] = ["RoleName", "Path"];
    let value = provided::template(&evaluation::published()).to_value();
    let external_id = value["Resources"]["VolumeAccess"]["Properties"]["ExternalId"].to_string();
    assert!(external_id.contains(r#"{"Fn::GetAtt":["ProviderRole","RoleId"]}"#), "{external_id}");
    let provider = value["Resources"]["ProviderRole"]["Properties"].as_object().ok_or("no provider role")?;
    assert!(!REPLACING.iter().any(|property| provider.contains_key(*property)));
    assert!(value["Resources"]["ProviderRole"]["Condition"].is_null());
    Ok(())
}

#[test]
fn a_region_that_a_release_is_not_in_is_refused_with_those_that_it_is_in() -> Outcome {
    let mut config = evaluation::published();
    let release = config.release.as_mut().ok_or("no release")?;
    release.buckets.push(("eu-west-1".to_owned(), "releases-eu-west-1".to_owned()));
    let value = provided::template(&config).to_value();
    let rule = &value["Rules"]["PublishedRegion"]["Assertions"][0];
    assert_eq!(rule["Assert"], json!({"Fn::Contains": [["us-east-1", "eu-west-1"], {"Ref": "AWS::Region"}]}));
    assert!(rule["AssertDescription"].as_str().is_some_and(|said| said.contains("us-east-1 or eu-west-1")));
    // FindInMap is resolved even where its value is not used: no region may lack a key.
    for (region, keys) in value["Mappings"]["Release"].as_object().ok_or("no mapping")? {
        let names: Vec<_> = keys.as_object().into_iter().flat_map(|keys| keys.keys()).collect();
        assert_eq!(names, ["Bucket", "Key"], "{region}");
    }
    Ok(())
}
