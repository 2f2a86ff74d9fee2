//! The comparison of a stack's template with a released one, but for the place of the function's code. Pure.
//!
//! `deploy --zip` names the account's own bucket, a release the publisher's, and a package none: what the template
//! makes of its parameters is the same.

use cavatica_generator::cfn;
use serde_json::{Value, json};

/// Most places that are named.
const MOST_PLACES: usize = 5;

/// Returns where two templates differ, as paths; `None` if one of them is no template.
#[must_use]
pub fn differences(stack: &str, released: &str) -> Option<Vec<String>> {
    let (stack, released) = (without_place(&cfn::read(stack)?), without_place(&cfn::read(released)?));
    let mut places = Vec::new();
    compare(&stack, &released, &mut Vec::new(), &mut places);
    Some(places)
}

/// Lists places for a sentence.
#[must_use]
pub fn listed(places: &[String]) -> String {
    let more = places.len().saturating_sub(MOST_PLACES);
    let first = places.iter().take(MOST_PLACES).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

/// Returns a template without what says where the code is, and without what only the console's form shows.
fn without_place(template: &Value) -> Value {
    let mut template = template.clone();
    let mut remove = |section: &str, name: &str| {
        if let Some(section) = template.get_mut(section).and_then(Value::as_object_mut) {
            section.remove(name);
        }
    };
    for (section, name) in [
        ("Mappings", "Release"),
        ("Rules", "PublishedRegion"),
        ("Parameters", "AssetBucket"),
        ("Parameters", "AssetKey"),
    ] {
        remove(section, name);
    }
    if let Some(template) = template.as_object_mut() {
        template.remove("Metadata");
        template.retain(|_, section| !section.as_object().is_some_and(serde_json::Map::is_empty));
    }
    without_code(&template)
}

/// Replaces each expression for the code's bucket and key by a word.
fn without_code(value: &Value) -> Value {
    let of_mapping = is_of_mapping(value);
    let name = match value.get("Ref").and_then(Value::as_str) {
        Some("AssetBucket") => Some("Bucket"),
        Some("AssetKey") => Some("Key"),
        _ if of_mapping => value.pointer("/Fn::FindInMap/2").and_then(Value::as_str),
        _ => None,
    };
    if let Some(name) = name {
        return json!({"Code": name});
    }
    match value {
        Value::Object(object) => {
            // A package names no version of its code, and the mapping's is as much a place as its bucket.
            let is_version = |name: &str, value: &Value| name == "S3ObjectVersion" && is_of_mapping(value);
            let rest = object.iter().filter(|(name, value)| !is_version(name, value));
            rest.map(|(name, value)| (name.clone(), without_code(value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(without_code).collect(),
        plain => plain.clone(),
    }
}

fn is_of_mapping(value: &Value) -> bool {
    value.pointer("/Fn::FindInMap/0") == Some(&json!("Release"))
}

fn compare(one: &Value, other: &Value, path: &mut Vec<String>, places: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                path.push(name.clone());
                compare(one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null), path, places);
                path.pop();
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                path.push(index.to_string());
                compare(one, other, path, places);
                path.pop();
            }
        }
        (one, other) if one == other => {}
        _ => places.push(path.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cavatica_generator::template::{Config, Release, native, provided};

    use super::*;

    #[test]
    fn only_the_place_of_the_code_may_differ() {
        let of = |bucket: &str, key: &str| Config::published(Release::in_one("eu-west-1", bucket, key));
        let (package, release) = (provided::template(&Config::default()), provided::template(&of("b", "k")));
        let deployed = provided::template(&of("other", "key")).to_yaml();
        for released in [package.to_yaml(), package.to_json(), release.to_yaml()] {
            assert_eq!(differences(&deployed, &released), Some(Vec::new()));
        }
        let versions = BTreeMap::from([("eu-west-1".to_owned(), "kept".to_owned())]);
        let pinned = Release { code_versions: versions, ..Release::in_one("eu-west-1", "b", "k") };
        let pinned = provided::template(&Config::published(pinned)).to_yaml();
        assert!(pinned.contains("S3ObjectVersion"));
        assert_eq!(differences(&pinned, &package.to_yaml()), Some(Vec::new()));
        let other = pinned
            .replace("S3ObjectVersion: !FindInMap [Release, !Ref AWS::Region, Version]", "S3ObjectVersion: theirs");
        assert_ne!(other, pinned);
        assert_eq!(
            differences(&other, &pinned),
            Some(vec!["Resources/ProviderFunction/Properties/Code/S3ObjectVersion".to_owned()])
        );
        let wider = deployed.replace("s3:GetObject", "s3:*");
        let places = differences(&wider, &release.to_yaml()).unwrap_or_default();
        assert!(places.iter().any(|place| place.starts_with("Resources/Boundary/")), "{places:?}");
        assert!(listed(&places).len() < 400, "{}", listed(&places));
        let other = native::template(&Config::default()).to_yaml();
        assert!(differences(&other, &package.to_yaml()).is_some_and(|places| !places.is_empty()));
        assert_eq!(differences("- no template", &package.to_yaml()), None);
    }
}
