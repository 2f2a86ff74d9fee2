//! The launch page: one file that turns a bucket's name into a link, a mail and commands, and shows what Cavatica may
//! do.
//!
//! Owns: putting it together. Its content is beside: the form is the template's parameters, the documents are the
//! native template's own, evaluated in the browser (`documents.js`), every text is in `en.json`. Nothing on it is
//! fetched: style and script are in it, and its policy lets nothing else run.

use std::collections::BTreeMap;

use aws_smithy_types::base64;
use cavatica_access::platform::{CAVATICA, Platform};
use cavatica_access::{copied, limits, owner, permissions, request};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::cfn::{Group, Parameter, ParameterKind, Rule, Template};
use crate::regions::COMMERCIAL;
use crate::template::{Config, Release, files, native, provided};

/// The file.
pub const FILE: &str = "launch.html";

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const TEXTS: &str = include_str!("page/en.json");

/// The scripts, in the order in which each needs those before it.
const SCRIPTS: [&str; 6] = [
    include_str!("page/documents.js"),
    include_str!("page/copied.js"),
    include_str!("page/check.js"),
    include_str!("page/state.js"),
    include_str!("page/actions.js"),
    include_str!("page/form.js"),
];

/// The picture in the browser's tab: a circle in a bucket.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%230b5c6b' \
                    d='M1 3h14l-2 12H3z'/%3E%3Ccircle cx='8' cy='8.5' r='3' fill='%23fff'/%3E%3C/svg%3E";

/// The place of a release, for links into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The code, and the regions' buckets.
    pub release: Release,
    /// The keys of the two templates, by file name.
    pub templates: BTreeMap<String, String>,
    /// The key of the list of releases.
    pub list: String,
}

/// Returns the page, for a release or, without one, for whoever has the source tree.
#[must_use]
pub fn html(version: &str, platform: &Platform, at: Option<&At>) -> String {
    let texts = texts(platform);
    let script = script(version, platform, at, &texts);
    let mut parts: BTreeMap<&str, String> =
        texts.iter().map(|(name, text)| (name.as_str(), escaped(text.as_str().unwrap_or_default()))).collect();
    let made_by = parts.get("made_by").map(|text| text.replace("{version}", version));
    let policy = [
        "default-src 'none'".to_owned(),
        format!("script-src '{}'", digest(&script)),
        format!("style-src '{}'", digest(STYLE)),
        "img-src data:".to_owned(),
        "base-uri 'none'".to_owned(),
        "form-action 'none'".to_owned(),
        "require-trusted-types-for 'script'".to_owned(),
        "trusted-types 'none'".to_owned(),
    ];
    parts.extend([
        ("made_by", made_by.unwrap_or_default()),
        ("policy", policy.join("; ")),
        ("icon", ICON.to_owned()),
        ("style", STYLE.to_owned()),
        ("script", script),
        ("manual", manual(&texts)),
        ("static_commands", escaped(&commands(platform, at))),
    ]);
    filled(HTML, &parts)
}

/// Returns a text with each `{{name}}` replaced. What is put in is not looked at again.
fn filled(text: &str, parts: &BTreeMap<&str, String>) -> String {
    let mut filled = String::with_capacity(text.len() + 65_536);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(parts.get(name).map_or("", String::as_str));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Reads the texts, with what they say of the platform.
fn texts(platform: &Platform) -> Map<String, Value> {
    serde_json::from_str(&platform.fill(TEXTS)).unwrap_or_default()
}

fn script(version: &str, platform: &Platform, at: Option<&At>, texts: &Map<String, Value>) -> String {
    let mut script = "\"use strict\";\n(() => {\n".to_owned();
    for (name, value) in [("DATA", data(version, platform, at, texts)), ("TEXTS", json!(texts))] {
        // In a script only this could end it.
        let value = value.to_string().replace('<', "\\u003c");
        script.push_str(&format!("const {name} = {value};\n"));
    }
    SCRIPTS.iter().for_each(|part| script.push_str(part));
    script.push_str("})();\n");
    script
}

fn digest(text: &str) -> String {
    format!("sha256-{}", base64::encode(Sha256::digest(text)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns all that the scripts know.
fn data(version: &str, platform: &Platform, at: Option<&At>, texts: &Map<String, Value>) -> Value {
    let config = Config { release: at.map(|at| at.release.clone()), platform: platform.clone() };
    let native = native::template(&config);
    let kind = |id: &str, file: String, template: &Template| {
        let key = at.and_then(|at| at.templates.get(&file));
        json!({"id": id, "file": file, "key": key, "groups": groups(&template.groups), "rules": rules(template)})
    };
    // Without a release, the template with the function has no code to name.
    let mut kinds = vec![kind("native", files::name(platform, true), &native)];
    if at.is_some() {
        kinds.insert(0, kind("provided", files::name(platform, false), &provided::template(&config)));
    }
    let text = |name: &str| texts.get(name).and_then(Value::as_str).unwrap_or_default();
    let regions: Vec<&str> = match at {
        Some(at) => at.release.buckets.iter().map(|(region, _)| region.as_str()).collect(),
        None => COMMERCIAL.to_vec(),
    };
    let first = regions.iter().find(|region| **region == "us-east-1").or(regions.first()).copied();
    let value = native.to_value();
    let property = |resource: &str, name: &str| value["Resources"][resource]["Properties"][name].clone();
    json!({
        "version": version,
        "stack": platform.stack_name(),
        // Without it, the program's own command would be for Cavatica.
        "platformFile": (*platform != CAVATICA).then(|| format!("{}.yaml", platform.slug)),
        "limit": limits::MANAGED_POLICY,
        "copied": copied::SENTENCES.iter().map(|(name, text)| (*name, format!("it must be {text}"))).collect::<BTreeMap<_, _>>(),
        "buckets": at.map(|at| at.release.buckets.iter().cloned().collect::<BTreeMap<_, _>>()),
        "list": at.map(|at| &at.list),
        "meanings": meanings(platform),
        "nothingElse": platform.fill(permissions::NOTHING_ELSE),
        "copyBuckets": platform.locations.iter().map(|location| &location.copy_bucket).collect::<Vec<_>>(),
        "conditions": value["Conditions"],
        "permissions": property("VolumePolicy", "PolicyDocument"),
        "trust": property("VolumeRole", "AssumeRolePolicyDocument"),
        "kinds": kinds,
        "always": [
            {
                "name": "region", "label": text("region_label"), "description": text("region_description"), "default": first,
                "choices": regions, "refusals": [], "rule": "",
            },
            {
                "name": "stack", "label": text("stack_label"), "description": text("stack_description"), "default": null,
                "pattern": "[A-Za-z][A-Za-z0-9-]*", "longest": 128, "refusals": [], "rule": text("stack_rule"),
            },
        ],
    })
}

/// Returns the rules across parameters, each at the parameter that it refers to first. The region is a choice of the
/// page's own.
fn rules(template: &Template) -> Vec<Value> {
    fn first_reference(value: &Value) -> Option<&str> {
        match value {
            Value::Array(items) => items.iter().find_map(first_reference),
            Value::Object(entries) => entries
                .iter()
                .find_map(|(name, value)| if name == "Ref" { value.as_str() } else { first_reference(value) }),
            _ => None,
        }
    }
    let rule = |rule: &Rule| {
        let assertion = json!(rule.assertion);
        let field = first_reference(&assertion).filter(|name| !name.starts_with("AWS::"))?.to_owned();
        Some(json!({"field": field, "assertion": assertion, "sentence": rule.sentence}))
    };
    template.rules.iter().filter_map(rule).collect()
}

/// Returns the table of permissions, with what it says of the platform, and without the fields that are empty.
fn meanings(platform: &Platform) -> Value {
    let table = serde_json::to_string(&permissions::PERMISSIONS).unwrap_or_default();
    let mut rows: Vec<Map<String, Value>> = serde_json::from_str(&platform.fill(&table)).unwrap_or_default();
    rows.iter_mut().for_each(|row| row.retain(|_, value| !value.is_null()));
    json!(rows)
}

fn groups(groups: &[Group]) -> Vec<Value> {
    let group = |group: &Group| {
        // A link can carry no hidden one.
        let fields: Vec<_> = group.parameters.iter().filter(|parameter| !parameter.no_echo).map(field).collect();
        // The form's own groups are numbered, which means nothing where they stand apart.
        let label = group.label.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim();
        json!({"label": label, "fields": fields})
    };
    groups.iter().map(group).collect()
}

fn field(parameter: &Parameter) -> Value {
    let mut field = json!({
        "name": parameter.name, "label": parameter.label, "description": parameter.description, "default": parameter.default,
        "refusals": parameter.refusals, "rule": parameter.rule(), "isParameter": true, "longest": null,
    });
    match &parameter.kind {
        ParameterKind::Text { pattern, longest } => {
            field["pattern"] = json!(pattern);
            field["longest"] = json!(longest);
        }
        ParameterKind::OneOf(values) => field["choices"] = json!(values),
        ParameterKind::NumberOneOf(values) => field["choices"] = values.iter().map(ToString::to_string).collect(),
        ParameterKind::Number(range) => field["range"] = json!([range.start(), range.end()]),
        ParameterKind::Texts => {
            field["tags"] = json!({
                "text": request::TAG_TEXT, "key": limits::TAG_KEY, "value": limits::TAG_VALUE,
                "most": limits::TAGS - owner::OUR_TAGS, "reserved": request::RESERVED_TAG_KEYS,
                "rule": format!("it must be {}", request::TAGS_RULE),
            });
        }
    }
    field
}

/// Returns the steps by hand, as a list.
fn manual(texts: &Map<String, Value>) -> String {
    let steps = texts
        .iter()
        .filter(|(name, _)| name.strip_prefix("manual_").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit())));
    let steps: String =
        steps.map(|(_, text)| format!("<li>{}</li>\n", escaped(text.as_str().unwrap_or_default()))).collect();
    format!("<ol>\n{steps}</ol>")
}

/// Returns the commands for a browser without scripts, of the template that needs no code.
fn commands(platform: &Platform, at: Option<&At>) -> String {
    let file = files::name(platform, true);
    let fetched = at.and_then(|at| {
        let (region, bucket) = at.release.buckets.first()?;
        let key = at.templates.get(&file)?;
        Some(format!("aws s3 cp --region {region} s3://{bucket}/{key} {file}\n"))
    });
    let stack = platform.stack_name();
    format!(
        "{}aws cloudformation deploy --stack-name {stack} --capabilities CAPABILITY_NAMED_IAM \\\n    \
         --template-file {file} \\\n    \
         --parameter-overrides BucketName=my-bucket Prefix=raw/2026 ExternalId=\"$(openssl rand -hex 16)\"\n\
         aws cloudformation describe-stacks --stack-name {stack} --query 'Stacks[0].Outputs'",
        fetched.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> At {
        At {
            release: Release::in_one("eu-west-1", "releases", "cavatica-connect/0a1b.zip"),
            templates: [false, true]
                .map(|is_native| files::name(&CAVATICA, is_native))
                .map(|name| (name.clone(), format!("k/{name}")))
                .into(),
            list: "cavatica-connect/versions.json".to_owned(),
        }
    }

    #[test]
    fn every_place_in_the_page_is_filled_and_every_text_is_used() {
        let texts: Map<String, Value> = serde_json::from_str(TEXTS).unwrap_or_default();
        assert!(texts.len() > 50, "en.json is not read");
        let own = ["policy", "icon", "style", "script", "manual", "static_commands"];
        for place in HTML.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            assert!(own.contains(&place) || texts.contains_key(place), "{place} has no text");
        }
        let everything = [HTML, &SCRIPTS.concat(), include_str!("page.rs")].concat();
        let is_used = |name: &str| {
            everything.contains(&format!("{{{{{name}}}}}"))
                || everything.contains(&format!("\"{name}\""))
                || everything.contains(&format!("TEXTS.{name}"))
                || ["manual_", "kind_"].iter().any(|family| name.starts_with(family))
        };
        let unused: Vec<_> = texts.keys().filter(|name| !is_used(name)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn the_policy_names_the_very_style_and_script_and_nothing_is_fetched() -> Result<(), Box<dyn std::error::Error>> {
        for page in [html("0.1.0", &CAVATICA, Some(&at())), html("0.1.0", &CAVATICA, None)] {
            let inside = |tag: &str| {
                let (_, rest) = page.split_once(&format!("<{tag}>")).ok_or("no tag")?;
                rest.split_once(&format!("</{tag}>")).map(|(text, _)| text).ok_or("no end")
            };
            for tag in ["style", "script"] {
                assert!(page.contains(&format!("{tag}-src '{}'", digest(inside(tag)?))), "{tag}");
            }
            assert!(!page.contains("{{") && page.matches("<script").count() == 1, "one script");
            for attribute in [" src=", " srcset=", "@import", "url(", " style=", " onclick="] {
                assert!(!page.contains(attribute), "{attribute}");
            }
            assert!(page.len() < 100_000, "{}", page.len());
        }
        Ok(())
    }

    #[test]
    fn no_hidden_parameter_is_a_field() {
        let data = data("0.1.0", &CAVATICA, Some(&at()), &Map::new());
        let fields = data["kinds"].as_array().into_iter().flatten().flat_map(|kind| kind["groups"].as_array().cloned());
        let names: Vec<_> = fields.flatten().flat_map(|group| group["fields"].as_array().cloned()).flatten().collect();
        let has = |name: &str| names.iter().any(|field| field["name"] == name);
        assert!(has("BucketName") && has("Checks") && !has("ExternalId") && !has("AssetKey"), "{names:?}");
    }
}
