//! Reading a template as CloudFormation hands it out: JSON, or YAML with short functions.

use serde_json::{Map, Value, json};
use yaml_serde::Value as Yaml;

/// Returns a template as JSON with long functions; `None` for text that is no template.
#[must_use]
pub fn read(text: &str) -> Option<Value> {
    let template = match serde_json::from_str(text) {
        Ok(template) => template,
        Err(_) => with_long_functions(&yaml_serde::from_str::<Yaml>(text).ok()?),
    };
    template["Resources"].is_object().then_some(template)
}

fn with_long_functions(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let (tag, value) = (tag.trim_start_matches('!'), with_long_functions(&tagged.value));
            match tag {
                "Ref" | "Condition" => json!({tag: value}),
                "GetAtt" => {
                    let path = value.as_str().unwrap_or_default().split('.').map(Value::from).collect::<Vec<_>>();
                    json!({"Fn::GetAtt": path})
                }
                _ => json!({format!("Fn::{tag}"): value}),
            }
        }
        Yaml::Sequence(items) => items.iter().map(with_long_functions).collect(),
        Yaml::Mapping(map) => {
            let entry = |(key, value): (&Yaml, &Yaml)| {
                (key.as_str().unwrap_or_default().to_owned(), with_long_functions(value))
            };
            map.iter().map(entry).collect::<Map<_, _>>().into()
        }
        scalar => serde_json::to_value(scalar).unwrap_or_default(),
    }
}
