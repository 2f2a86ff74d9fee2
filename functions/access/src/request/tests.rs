//! Requests as CloudFormation sends them: what is read, and what is said of what cannot be.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Policies of AWS, which cap nothing that the stack chose.
const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const JOB: &str = "arn:aws:iam::aws:policy/job-function/SystemAdministrator";

fn minimal() -> Value {
    json!({"RoleName": "cavatica", "Volumes": [{"BucketName": "my-bucket"}]})
}

fn with(name: &str, value: Value) -> Value {
    let mut properties = minimal();
    properties[name] = value;
    properties
}

fn with_volume(name: &str, value: Value) -> Value {
    let mut properties = minimal();
    properties["Volumes"][0][name] = value;
    properties
}

#[test]
fn the_least_request_gets_the_documented_defaults() -> Result<(), Box<dyn std::error::Error>> {
    let request = Request::parse(&minimal())?;
    assert_eq!(request.policy_name.as_str(), "cavatica");
    assert_eq!(request.path.as_str(), "/");
    assert_eq!(request.trusted_principal.to_string(), CAVATICA.principal);
    assert_eq!(request.copy_buckets, ["sbg-main", "sbg-main-us-west-2"]);
    assert_eq!(
        (request.platform.as_str(), request.cors_origin.as_str()),
        ("Cavatica", "https://cavatica.sbgenomics.com")
    );
    assert_eq!(request.max_session_duration, 3600);
    assert_eq!(
        (request.external_id, request.permissions_boundary, request.description, request.tags),
        (None, None, None, Tags::new())
    );
    assert_eq!(request.volumes[0].access, AccessMode::ReadOnly);
    Ok(())
}

#[test]
fn every_property_is_read_as_cloudformation_sends_it() -> Result<(), Box<dyn std::error::Error>> {
    let request = Request::parse(&json!({
        "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:f", "ServiceTimeout": "540",
        "RoleName": "r", "PolicyName": "p", "Path": "/labs/",
        "Volumes": [
            {"BucketName": "one-bucket", "Prefix": "/raw/", "AccessMode": "ReadWrite"},
            {"BucketName": "two-bucket", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/abc",
             "BucketOwnerAccountId": "210987654321"},
        ],
        "ProjectLocations": ["us-west-2", "us-west-2"],
        "TrustedPrincipalArn": "arn:aws:iam::999999999999:role/sibling",
        "ExternalId": "secret-1", "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/cap",
        "MaxSessionDuration": "7200", "Description": "For the lab", "Tags": ["team=genomics", "cost centre=4=2"],
        "Release": "abc",
    }))?;
    assert_eq!(request.volumes.len(), 2);
    assert_eq!(request.volumes[0].prefix.as_ref().map(Prefix::as_str), Some("raw"));
    assert_eq!(request.volumes[1].bucket_owner.as_ref().map(AccountId::as_str), Some("210987654321"));
    assert_eq!(request.copy_buckets, ["sbg-main-us-west-2"]);
    assert_eq!(request.max_session_duration, 7200);
    assert_eq!(request.tags["cost centre"], "4=2");
    Ok(())
}

#[test]
fn another_platform_brings_its_own_buckets_and_origin() -> Result<(), Box<dyn std::error::Error>> {
    let mut properties =
        with("CopyBuckets", json!(["us-east-1=other-main", "eu-west-1=other-eu", "us-west-2=other-west"]));
    properties["PlatformName"] = json!("Other Platform");
    properties["CorsOrigin"] = json!("https://other.example.org");
    let request = Request::parse(&properties)?;
    assert_eq!(request.copy_buckets, ["other-main", "other-eu", "other-west"]);
    assert_eq!(
        (request.platform.as_str(), request.cors_origin.as_str()),
        ("Other Platform", "https://other.example.org")
    );
    properties["ProjectLocations"] = json!(["us-west-2", "us-east-1"]);
    assert_eq!(Request::parse(&properties)?.copy_buckets, ["other-main", "other-west"]);
    properties["ProjectLocations"] = json!(["us-east-2"]);
    let said = Request::parse(&properties).map_err(|invalid| invalid.to_string()).err().unwrap_or_default();
    assert!(said.contains("us-east-1 or eu-west-1 or us-west-2"), "{said}");
    Ok(())
}

#[test]
fn numbers_are_taken_as_well_as_their_text() {
    for value in [json!(7200), json!("7200")] {
        assert_eq!(Request::parse(&with("MaxSessionDuration", value)).map(|r| r.max_session_duration).ok(), Some(7200));
    }
}

#[test]
fn bad_input_is_refused_with_the_property_the_value_and_the_rule() {
    let table = [
        (with_volume("BucketName", json!("My-Bucket")), "Volumes[0].BucketName", "My-Bucket", BucketName::RULE),
        (with_volume("Prefix", json!("raw/*")), "Volumes[0].Prefix", "raw/*", Prefix::RULE),
        (with_volume("AccessMode", json!("readonly")), "Volumes[0].AccessMode", "readonly", AccessMode::RULE),
        (with_volume("KmsKeyArn", json!("alias/x")), "Volumes[0].KmsKeyArn", "alias/x", KmsKeyArn::RULE),
        (with_volume("BucketOwnerAccountId", json!(12)), "Volumes[0].BucketOwnerAccountId", "12", AccountId::RULE),
        (with("ExternalId", json!("12345")), "ExternalId", "12345", ExternalId::RULE),
        (with("ExternalId", json!("")), "ExternalId", "\"\"", ExternalId::RULE),
        (with("RoleName", json!("r".repeat(65))), "RoleName", &"r".repeat(65), RoleName::RULE),
        (with("PolicyName", json!("a b")), "PolicyName", "a b", PolicyName::RULE),
        (with("Path", json!("labs")), "Path", "labs", IamPath::RULE),
        (with("MaxSessionDuration", json!("1h")), "MaxSessionDuration", "1h", SESSION_RULE),
        (with("MaxSessionDuration", json!(60)), "MaxSessionDuration", "60", SESSION_RULE),
        (with("RestrictListing", json!("yes")), "RestrictListing", "yes", FLAG_RULE),
        (with("OmitObjectAcls", json!("True")), "OmitObjectAcls", "True", FLAG_RULE),
        (with("Description", json!("日本")), "Description", "日本", DESCRIPTION_RULE),
        (
            with("ProjectLocations", json!(["eu-west-1"])),
            "ProjectLocations[0]",
            "eu-west-1",
            "us-east-1 or us-west-2, the regions",
        ),
        (with("ProjectLocations", json!([])), "ProjectLocations", "[]", "us-east-1 or us-west-2, the regions"),
        (with("PlatformName", json!("<b>")), "PlatformName", "<b>", "the name of a platform"),
        (with("CorsOrigin", json!("https://*")), "CorsOrigin", "https://*", platform::ORIGIN_RULE),
        (with("CopyBuckets", json!(["us-east-1"])), "CopyBuckets[0]", "us-east-1", LOCATION_RULE),
        (with("CopyBuckets", json!(["us-east-1=*"])), "CopyBuckets[0]", "us-east-1=*", LOCATION_RULE),
        (with("TrustedPrincipalArn", json!("*")), "TrustedPrincipalArn", "*", RoleArn::RULE),
        (with("PermissionsBoundaryArn", json!("cap")), "PermissionsBoundaryArn", "cap", BOUNDARY_RULE),
        (with("PermissionsBoundaryArn", json!(ADMINISTRATOR)), "PermissionsBoundaryArn", ADMINISTRATOR, BOUNDARY_RULE),
        (with("PermissionsBoundaryArn", json!(JOB)), "PermissionsBoundaryArn", JOB, BOUNDARY_RULE),
        (with("Tags", json!(["novalue"])), "Tags", "novalue", TAGS_RULE),
        (with("Tags", json!(["a=1", "A=2"])), "Tags", "A=2", TAGS_RULE),
        (with("Tags", json!(["Cavatica-Connect:stack=x"])), "Tags", "Cavatica-Connect:stack=x", TAGS_RULE),
        (with("Volumes", json!([])), "Volumes", "nothing", "a list of at least one volume"),
        (with("Volumes", json!("my-bucket")), "Volumes", "my-bucket", "a list of at least one volume"),
        (json!({"Volumes": [{"BucketName": "my-bucket"}]}), "RoleName", "nothing", RoleName::RULE),
    ];
    for (properties, property, value, rule) in table {
        let said = Request::parse(&properties).map_err(|invalid| invalid.to_string()).err().unwrap_or_default();
        assert!(said.contains(property) && said.contains(value) && said.contains(rule), "{properties}: {said}");
    }
}

#[test]
fn unknown_properties_are_named_wherever_they_are() {
    for (properties, name) in
        [(with("Bucket", json!("x")), "Bucket"), (with_volume("Mode", json!("x")), "Volumes[0].Mode")]
    {
        let said = Request::parse(&properties).map_err(|invalid| invalid.to_string()).err().unwrap_or_default();
        assert!(said.contains(name) && said.contains("not a property"), "{said}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let mut properties = with("ExternalId", json!("x"));
    properties["Volumes"][0]["BucketName"] = json!("NO");
    properties["Extra"] = json!(1);
    let invalid = Request::parse(&properties).err().map(|invalid| invalid.problems.len());
    assert_eq!(invalid, Some(3));
}

#[test]
fn tags_are_taken_in_both_forms_and_empty_is_none() {
    let tags = |value: Value| Request::parse(&with("Tags", value)).ok().map(|r| r.tags.into_iter().collect::<Vec<_>>());
    let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    assert_eq!(tags(json!([{"Key": "a", "Value": "b"}, "c=d"])), Some(vec![pair("a", "b"), pair("c", "d")]));
    assert_eq!(tags(json!([""])), Some(vec![]));
    assert_eq!(tags(json!([])), Some(vec![]));
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = proptest::sample::select(vec![
        "RoleName",
        "PolicyName",
        "Path",
        "Volumes",
        "BucketName",
        "Prefix",
        "AccessMode",
        "ProjectLocations",
        "CopyBuckets",
        "PlatformName",
        "CorsOrigin",
        "ExternalId",
        "Tags",
        "Key",
        "Value",
        "MaxSessionDuration",
        "Description",
        "ServiceToken",
        "TrustedPrincipalArn",
        "Other",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        "[a-z0-9/:=,.-]{0,70}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..12)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_never_panics(properties in any_json()) {
        let _ = Request::parse(&properties);
        let _ = OldProperties::read(&properties);
    }
}

/// Returns a character that only one side takes would fail a stack half-way, at `CreateRole`.
#[test]
fn tags_take_exactly_the_characters_that_iam_takes() -> Result<(), regex::Error> {
    let iam = regex::Regex::new(&format!("^{TAG_TEXT}$"))?;
    // The two libraries know different versions of Unicode.
    let unassigned = regex::Regex::new(r"\p{Cn}")?;
    let characters = (0..=0x10_ffff).filter_map(char::from_u32).map(|character| (character, character.to_string()));
    for (character, text) in characters.filter(|(_, text)| !unassigned.is_match(text)) {
        assert_eq!(is_tag_character(character), iam.is_match(&text), "U+{:04X}", u32::from(character));
    }
    for (text, fits) in
        [("\u{24d0}", false), ("e\u{301}", false), ("\u{bd}", true), ("a\u{2028}b", true), ("\u{200b}", false)]
    {
        let tags = json!([format!("key={text}"), format!("{text}=value")]);
        assert_eq!(super::tags(&tags).is_some(), fits, "{text:?}");
    }
    Ok(())
}
