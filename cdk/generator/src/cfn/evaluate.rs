//! Evaluates a template as CloudFormation does: the properties of a stack's resources, computed from its parameters.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// A template, and the values that it refers to in one stack.
#[derive(Debug, Clone, Default)]
pub struct Evaluator {
    /// The template, with long functions.
    pub template: Arc<Value>,
    /// Parameters; those that are missing take their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Pseudo parameters and physical IDs, which `Ref` returns.
    pub references: BTreeMap<String, String>,
    /// Attributes as `LOGICAL-ID.ATTRIBUTE`, which `Fn::GetAtt` returns.
    pub attributes: BTreeMap<String, String>,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The stack has no such thing.
    #[error("the template refers to {0}, which is not known")]
    Unknown(String),
    /// The expression is malformed, or uses a function that no template of ours has.
    #[error("the template has {0}, which this program cannot evaluate")]
    Unsupported(String),
}

fn malformed(expression: &Value) -> EvaluationError {
    EvaluationError::Unsupported(expression.to_string().chars().take(80).collect())
}

impl Evaluator {
    /// Returns the evaluator of a stack that is not there yet: names and attributes of its resources are made up from
    /// its ID.
    #[must_use]
    pub fn of_planned_stack(template: Value, parameters: BTreeMap<String, String>, stack_id: &str) -> Self {
        let mut references = pseudo_parameters(stack_id);
        let of_stack = |name: &str| references.get(name).cloned().unwrap_or_default();
        let (stack, account) = (of_stack("AWS::StackName"), of_stack("AWS::AccountId"));
        let (partition, region) = (of_stack("AWS::Partition"), of_stack("AWS::Region"));
        let iam = format!("arn:{partition}:iam::{account}");
        let mut attributes = BTreeMap::new();
        let mut physical_ids = BTreeMap::new();
        for (logical_id, resource) in template["Resources"].as_object().into_iter().flatten() {
            let name = format!("{stack}-{logical_id}-1A2B3C4D5E6F");
            let physical_id = match resource["Type"].as_str() {
                Some("AWS::IAM::ManagedPolicy") => format!("{iam}:policy/{name}"),
                Some("AWS::IAM::Role") => {
                    attributes.insert(format!("{logical_id}.Arn"), format!("{iam}:role/{name}"));
                    attributes.insert(format!("{logical_id}.RoleId"), "AROA1A2B3C4D5E6F7A8B9".to_owned());
                    name
                }
                Some("AWS::Lambda::Function") => {
                    let arn = format!("arn:{partition}:lambda:{region}:{account}:function:{name}");
                    attributes.insert(format!("{logical_id}.Arn"), arn);
                    name
                }
                _ => name,
            };
            physical_ids.insert(logical_id.clone(), physical_id);
        }
        references.extend(physical_ids);
        Self { template: Arc::new(template), parameters, references, attributes }
    }

    /// Returns the sentence of each rule that the parameters break. A rule about a parameter that has no value holds.
    ///
    /// # Errors
    ///
    /// Functions that no template of ours uses.
    pub fn broken_rules(&self) -> Result<Vec<String>, EvaluationError> {
        let mut broken = Vec::new();
        let rules = self.template["Rules"].as_object().into_iter().flat_map(Map::values);
        for assertion in rules.flat_map(|rule| rule["Assertions"].as_array().into_iter().flatten()) {
            match self.condition(&assertion["Assert"]) {
                Ok(true) | Err(EvaluationError::Unknown(_)) => {}
                Ok(false) => broken.push(assertion["AssertDescription"].as_str().unwrap_or_default().to_owned()),
                Err(error) => return Err(error),
            }
        }
        Ok(broken)
    }

    /// Returns the properties of a resource; `None` if the stack does not make it.
    ///
    /// # Errors
    ///
    /// References that are not known, and functions that no template of ours uses.
    pub fn properties(&self, logical_id: &str) -> Result<Option<Value>, EvaluationError> {
        let resource = &self.template["Resources"][logical_id];
        if !resource.is_object() {
            return Ok(None);
        }
        let is_made = match resource["Condition"].as_str() {
            Some(condition) => self.named_condition(condition)?,
            None => true,
        };
        if is_made { self.value(&resource["Properties"]).map(Some) } else { Ok(None) }
    }

    fn reference(&self, name: &str) -> Result<Value, EvaluationError> {
        if name == "AWS::NoValue" {
            return Ok(Value::Null);
        }
        if let Some(value) = self.references.get(name) {
            return Ok(json!(value));
        }
        let declared = &self.template["Parameters"][name];
        let default = match &declared["Default"] {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let value = self.parameters.get(name).cloned().or(default);
        let value = value.ok_or_else(|| EvaluationError::Unknown(name.to_owned()))?;
        Ok(match declared["Type"].as_str() {
            Some("CommaDelimitedList") => value.split(',').map(str::trim).map(Value::from).collect(),
            _ => json!(value),
        })
    }

    fn named_condition(&self, name: &str) -> Result<bool, EvaluationError> {
        self.condition(&self.template["Conditions"][name])
    }

    fn condition(&self, expression: &Value) -> Result<bool, EvaluationError> {
        let (function, argument) = single(expression).ok_or_else(|| malformed(expression))?;
        let arguments = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match (function, arguments) {
            ("Condition", _) => self.named_condition(argument.as_str().unwrap_or_default()),
            ("Fn::Equals", [one, other]) => Ok(self.value(one)? == self.value(other)?),
            ("Fn::Not", [one]) => Ok(!self.condition(one)?),
            ("Fn::And", all) => all.iter().try_fold(true, |holds, one| Ok(holds && self.condition(one)?)),
            ("Fn::Contains", [list, value]) => {
                let value = self.value(value)?;
                Ok(self.value(list)?.as_array().is_some_and(|list| list.contains(&value)))
            }
            ("Fn::Or", all) => all.iter().try_fold(false, |holds, one| Ok(holds || self.condition(one)?)),
            _ => Err(malformed(expression)),
        }
    }

    /// Returns the value of an expression.
    ///
    /// # Errors
    ///
    /// Those of [`Evaluator::properties`].
    pub fn value(&self, expression: &Value) -> Result<Value, EvaluationError> {
        let called = single(expression).filter(|(name, _)| *name == "Ref" || name.starts_with("Fn::"));
        let Some((function, argument)) = called else { return self.plain(expression) };
        let arguments = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| malformed(expression));
        match (function, arguments) {
            ("Ref", _) => self.reference(&text(argument)?),
            ("Fn::GetAtt", [resource, attribute]) => {
                let name = format!("{}.{}", text(resource)?, text(attribute)?);
                self.attributes.get(&name).map(|it| json!(it)).ok_or(EvaluationError::Unknown(name))
            }
            ("Fn::FindInMap", keys) => {
                let keys = keys.iter().map(|key| text(&self.value(key)?)).collect::<Result<Vec<_>, _>>()?;
                let found = keys.iter().fold(&self.template["Mappings"], |place, key| &place[key]);
                if found.is_null() { Err(EvaluationError::Unknown(keys.join("/"))) } else { Ok(found.clone()) }
            }
            ("Fn::If", [condition, then, otherwise]) => {
                self.value(if self.named_condition(&text(condition)?)? { then } else { otherwise })
            }
            ("Fn::Select", [index, list]) => {
                let index = index.as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX);
                let list = self.value(list)?;
                list.as_array().and_then(|list| list.get(index)).cloned().ok_or_else(|| malformed(expression))
            }
            ("Fn::Split", [separator, whole]) => {
                let (separator, whole) = (text(separator)?, text(&self.value(whole)?)?);
                Ok(whole.split(separator.as_str()).map(Value::from).collect())
            }
            ("Fn::Join", [separator, list]) => {
                let list = self.value(list)?;
                let items: Vec<_> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                Ok(json!(items.join(&text(separator)?)))
            }
            ("Fn::Sub", [whole, variables]) => self.substituted(&text(whole)?, &self.value(variables)?),
            ("Fn::Sub", []) => self.substituted(&text(argument)?, &Value::Null),
            _ => Err(malformed(expression)),
        }
    }

    fn plain(&self, expression: &Value) -> Result<Value, EvaluationError> {
        Ok(match expression {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
                items.into_iter().filter(|item| !item.is_null()).collect()
            }
            Value::Object(object) => {
                let mut evaluated = Map::new();
                for (name, value) in object {
                    let value = self.value(value)?;
                    if !value.is_null() {
                        evaluated.insert(name.clone(), value);
                    }
                }
                evaluated.into()
            }
            plain => plain.clone(),
        })
    }

    fn substituted(&self, text: &str, variables: &Value) -> Result<Value, EvaluationError> {
        let mut parts = text.split("${");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').ok_or_else(|| EvaluationError::Unsupported(text.to_owned()))?;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}{rest}"));
                continue;
            }
            let value = match (variables.get(name), self.attributes.get(name)) {
                (Some(value), _) => value.clone(),
                (None, Some(attribute)) => json!(attribute),
                (None, None) => self.reference(name)?,
            };
            result.push_str(value.as_str().unwrap_or_default());
            result.push_str(rest);
        }
        Ok(json!(result))
    }
}

/// Returns the pseudo parameters of a stack by its ID, `arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/UUID`.
#[must_use]
pub fn pseudo_parameters(stack_id: &str) -> BTreeMap<String, String> {
    let part = |at| stack_id.split(':').nth(at).unwrap_or_default();
    [
        ("AWS::Partition", part(1)),
        ("AWS::AccountId", part(4)),
        ("AWS::Region", part(3)),
        ("AWS::StackId", stack_id),
        ("AWS::StackName", stack_id.split('/').nth(1).unwrap_or_default()),
        ("AWS::URLSuffix", "amazonaws.com"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn single(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_has_the_value_that_cloudformation_gives_it() {
        let template = json!({
            "Parameters": {"Given": {"Type": "String"}, "List": {"Type": "CommaDelimitedList", "Default": "a, b"}},
            "Mappings": {"M": {"us-east-1": {"K": "v"}}},
            "Conditions": {"Yes": {"Fn::Equals": [{"Ref": "Given"}, "x"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}},
            "Rules": {
                "Held": {"Assertions": [{"Assert": {"Fn::Contains": [["x"], {"Ref": "Given"}]}, "AssertDescription": "held"}]},
                "Broken": {"Assertions": [{"Assert": {"Fn::Not": [{"Condition": "Yes"}]}, "AssertDescription": "broken"}]},
                "Open": {"Assertions": [{"Assert": {"Fn::Equals": [{"Ref": "Other"}, ""]}, "AssertDescription": "open"}]},
            },
            "Resources": {"R": {"Properties": {}}, "Unmade": {"Condition": "No", "Properties": {}}},
        });
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let evaluator = Evaluator {
            template: Arc::new(template),
            parameters: [set("Given", "x")].into(),
            references: [set("AWS::Region", "us-east-1")].into(),
            attributes: [set("R.Arn", "arn:r")].into(),
        };
        for (expression, expected) in [
            (json!({"Ref": "List"}), json!(["a", "b"])),
            (json!({"Fn::GetAtt": ["R", "Arn"]}), json!("arn:r")),
            (json!({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "K"]}), json!("v")),
            (json!({"a": {"Fn::If": ["Yes", 1, 2]}, "b": {"Ref": "AWS::NoValue"}}), json!({"a": 1})),
            (json!({"Fn::Select": [1, {"Fn::Split": ["/", "a/b"]}]}), json!("b")),
            (json!({"Fn::Join": ["-", ["a", {"Fn::If": ["No", "x", {"Ref": "AWS::NoValue"}]}, "b"]]}), json!("a-b")),
            (json!({"Fn::Sub": "${Given} ${R.Arn} ${!Kept}"}), json!("x arn:r ${Kept}")),
            (json!({"Fn::Sub": ["${V}${Given}", {"V": "v"}]}), json!("vx")),
        ] {
            assert_eq!(evaluator.value(&expression), Ok(expected), "{expression}");
        }
        assert_eq!(evaluator.broken_rules(), Ok(vec!["broken".to_owned()]));
        assert_eq!(evaluator.properties("Unmade"), Ok(None));
        assert_eq!(evaluator.value(&json!({"Ref": "Other"})), Err(EvaluationError::Unknown("Other".to_owned())));
        assert!(matches!(evaluator.value(&json!({"Fn::Base64": "x"})), Err(EvaluationError::Unsupported(_))));
    }
}
