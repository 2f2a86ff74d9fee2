//! What CloudFormation makes of our own template: the properties that the Lambda gets, and the role it runs with.

use std::collections::BTreeMap;
use std::sync::Arc;

use cavatica_connect::cfn::Template;
use cavatica_connect::template::{Config, Release};
use serde_json::{Value, json};

use crate::{Error, events};

/// What a release of the template is made for in the tests.
#[must_use]
pub fn published() -> Config {
    Config::published(Release::in_one("us-east-1", "releases", "cavatica-connect/0a1b2c3d.zip"))
}

/// What CloudFormation makes of a value: enough of its functions to evaluate our own template.
#[derive(Debug, Clone)]
pub struct Evaluation {
    template: Arc<Value>,
    parameters: BTreeMap<String, String>,
}

impl Evaluation {
    /// Of a template with parameters.
    #[must_use]
    pub fn of(template: &Template, given: &[(&str, &str)]) -> Self {
        Self::of_value(template.to_value(), given)
    }

    /// Of a template as it was read, with parameters.
    #[must_use]
    pub fn of_value(template: Value, given: &[(&str, &str)]) -> Self {
        let default = |parameter: &Value| match &parameter["Default"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let declared = template["Parameters"].as_object().into_iter().flatten();
        let mut parameters: BTreeMap<_, _> = declared.map(|(name, it)| (name.clone(), default(it))).collect();
        parameters.extend(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self { template: Arc::new(template), parameters }
    }

    /// The same with further parameters.
    #[must_use]
    pub fn with<'p>(&self, given: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let mut more = self.clone();
        more.parameters.extend(given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        more
    }

    /// The value of a parameter or pseudo parameter, or the ID of a resource.
    pub fn reference(&self, name: &str) -> Result<Value, Error> {
        Ok(match name {
            "AWS::Partition" => json!("aws"),
            "AWS::AccountId" => json!("123456789012"),
            "AWS::Region" => json!("us-east-1"),
            "AWS::StackId" => json!(events::STACK),
            "AWS::StackName" => json!("my-volume"),
            "AWS::NoValue" => Value::Null,
            "Boundary" => json!("arn:aws:iam::123456789012:policy/my-volume-Boundary-1A2B3C4D5E6F"),
            "VolumePolicy" => json!("arn:aws:iam::123456789012:policy/of-the-volume"),
            "VolumeRole" => json!("role-of-the-volume"),
            "ProviderLogGroup" => json!("my-volume-ProviderLogGroup-1A2B3C"),
            "ProviderFunction" => json!("my-volume-ProviderFunction-1A2B3C"),
            name => {
                let value = self.parameters.get(name).ok_or_else(|| format!("no parameter {name}"))?;
                match self.template["Parameters"][name]["Type"].as_str() {
                    Some("CommaDelimitedList") => value.split(',').map(Value::from).collect(),
                    _ => json!(value),
                }
            }
        })
    }

    fn condition(&self, expression: &Value) -> Result<bool, Error> {
        let (function, argument) = single(expression).ok_or("not a condition")?;
        let arguments = argument.as_array().cloned().unwrap_or_default();
        Ok(match function {
            "Condition" => self.condition(&self.template["Conditions"][argument.as_str().unwrap_or_default()])?,
            "Fn::Equals" => self.value(&arguments[0])? == self.value(&arguments[1])?,
            "Fn::Not" => !self.condition(&arguments[0])?,
            "Fn::And" => arguments.iter().try_fold(true, |all, one| Ok::<_, Error>(all && self.condition(one)?))?,
            other => return Err(format!("{other} is not evaluated").into()),
        })
    }

    /// The template as it is once every function is evaluated, for checkers that do not know them all.
    pub fn resources(&self) -> Result<Value, Error> {
        let mut resources = serde_json::Map::new();
        for (name, resource) in self.template["Resources"].as_object().into_iter().flatten() {
            let is_made = match resource["Condition"].as_str() {
                Some(condition) => self.condition(&self.template["Conditions"][condition])?,
                None => true,
            };
            if is_made {
                let properties = self.value(&resource["Properties"])?;
                resources.insert(name.clone(), json!({"Type": resource["Type"], "Properties": properties}));
            }
        }
        Ok(json!({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    }

    /// The value at a pointer into a resource's properties.
    pub fn property(&self, resource: &str, pointer: &str) -> Result<Value, Error> {
        let property = self.template["Resources"][resource]["Properties"].pointer(pointer);
        self.value(property.ok_or_else(|| format!("{resource} has no {pointer}"))?)
    }

    fn value(&self, expression: &Value) -> Result<Value, Error> {
        let list = |value: &Value| -> Result<Vec<Value>, Error> {
            Ok(self.value(value)?.as_array().cloned().unwrap_or_default())
        };
        let Some((function, argument)) = single(expression).filter(|(f, _)| *f == "Ref" || f.starts_with("Fn::"))
        else {
            return Ok(match expression {
                Value::Array(items) => {
                    let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
                    items.into_iter().filter(|item| !item.is_null()).collect()
                }
                Value::Object(object) => {
                    let mut evaluated = serde_json::Map::new();
                    for (name, value) in object {
                        let value = self.value(value)?;
                        if !value.is_null() {
                            evaluated.insert(name.clone(), value);
                        }
                    }
                    evaluated.into()
                }
                plain => plain.clone(),
            });
        };
        let arguments = argument.as_array().cloned().unwrap_or_default();
        Ok(match function {
            "Ref" => self.reference(argument.as_str().unwrap_or_default())?,
            "Fn::GetAtt" if argument[1] == "RoleId" => json!(events::PROVIDER_ROLE_ID),
            "Fn::GetAtt" => json!(format!("arn:of:{}", argument[0].as_str().unwrap_or_default())),
            "Fn::FindInMap" => {
                let keys = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
                let place: Vec<_> = keys.iter().filter_map(Value::as_str).collect();
                self.template.pointer(&format!("/Mappings/{}", place.join("/"))).cloned().ok_or("not in the mapping")?
            }
            "Fn::If" => {
                let name = arguments[0].as_str().unwrap_or_default();
                let holds = self.condition(&self.template["Conditions"][name])?;
                self.value(&arguments[if holds { 1 } else { 2 }])?
            }
            "Fn::Select" => {
                let index = arguments[0].as_u64().unwrap_or_default() as usize;
                list(&arguments[1])?.into_iter().nth(index).ok_or("nothing to select")?
            }
            "Fn::Split" => {
                let text = self.value(&arguments[1])?;
                let separator = arguments[0].as_str().unwrap_or_default();
                text.as_str().unwrap_or_default().split(separator).map(Value::from).collect()
            }
            "Fn::Join" => {
                let items = list(&arguments[1])?;
                let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                json!(items.join(arguments[0].as_str().unwrap_or_default()))
            }
            "Fn::Sub" => {
                let (text, variables) = match argument.as_str() {
                    Some(text) => (text.to_owned(), json!({})),
                    None => (arguments[0].as_str().unwrap_or_default().to_owned(), self.value(&arguments[1])?),
                };
                let mut parts = text.split("${");
                let mut result = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (name, rest) = part.split_once('}').ok_or("an open ${")?;
                    let value = match variables.get(name) {
                        Some(value) => value.clone(),
                        None if name.contains('.') => json!(format!("<{name}>")),
                        None => self.reference(name)?,
                    };
                    result.push_str(value.as_str().unwrap_or_default());
                    result.push_str(rest);
                }
                json!(result)
            }
            other => return Err(format!("{other} is not evaluated").into()),
        })
    }

    /// The properties that the Lambda gets.
    pub fn custom_resource(&self) -> Result<Value, Error> {
        let mut properties = self.property("VolumeAccess", "")?;
        // CloudFormation turns every scalar into a string.
        for value in properties.as_object_mut().into_iter().flat_map(|o| o.values_mut()).filter(|v| v.is_number()) {
            *value = json!(value.to_string());
        }
        Ok(properties)
    }
}

fn single(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(name, value)| (name.as_str(), value))
}
