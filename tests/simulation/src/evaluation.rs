//! Our own template in the tests' stack: the properties that the Lambda gets, and the role it runs with.

use std::collections::BTreeMap;

use cavatica_generator::cfn::{Evaluator, Template};
use cavatica_generator::template::{Config, Release};
use serde_json::{Value, json};

use crate::{Error, events};

/// Release of the template in the tests.
#[must_use]
pub fn published() -> Config {
    Config::published(Release::in_one("us-east-1", "releases", "cavatica-connect/0a1b2c3d.zip"))
}

/// A template with parameters, in the tests' stack.
#[derive(Debug, Clone)]
pub struct Evaluation {
    evaluator: Evaluator,
}

impl Evaluation {
    /// Of a template with parameters.
    #[must_use]
    pub fn of(template: &Template, given: &[(&str, &str)]) -> Self {
        Self::of_value(template.to_value(), given)
    }

    /// Of a template as it was read, with parameters. One without a value is empty.
    #[must_use]
    pub fn of_value(template: Value, given: &[(&str, &str)]) -> Self {
        let declared = template["Parameters"].as_object().into_iter().flatten();
        let required = declared.filter(|(_, parameter)| parameter["Default"].is_null());
        let parameters: BTreeMap<_, _> = required.map(|(name, _)| (name.clone(), String::new())).collect();
        let mut evaluator = Evaluator::of_planned_stack(template, parameters, events::STACK);
        evaluator.attributes.insert("ProviderRole.RoleId".to_owned(), events::PROVIDER_ROLE_ID.to_owned());
        Self { evaluator }.with(given.iter().copied())
    }

    /// Returns the same with further parameters.
    #[must_use]
    pub fn with<'p>(&self, given: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let mut more = self.clone();
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        more.evaluator.parameters.extend(given);
        more
    }

    /// Returns the template as it is once every function is evaluated, for checkers that do not know them all.
    pub fn resources(&self) -> Result<Value, Error> {
        let mut resources = serde_json::Map::new();
        for (name, resource) in self.evaluator.template["Resources"].as_object().into_iter().flatten() {
            if let Some(properties) = self.evaluator.properties(name)? {
                resources.insert(name.clone(), json!({"Type": resource["Type"], "Properties": properties}));
            }
        }
        Ok(json!({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    }

    /// Returns the value at a pointer into a resource's properties.
    pub fn property(&self, resource: &str, pointer: &str) -> Result<Value, Error> {
        let property = self.evaluator.template["Resources"][resource]["Properties"].pointer(pointer);
        Ok(self.evaluator.value(property.ok_or_else(|| format!("{resource} has no {pointer}"))?)?)
    }

    /// Returns the value of a parameter or pseudo parameter, or the ID of a resource.
    pub fn reference(&self, name: &str) -> Result<Value, Error> {
        Ok(self.evaluator.value(&json!({"Ref": name}))?)
    }

    /// Returns the properties that the Lambda gets.
    pub fn custom_resource(&self) -> Result<Value, Error> {
        let mut properties = self.property("VolumeAccess", "")?;
        // CloudFormation turns every scalar into a string.
        for value in properties.as_object_mut().into_iter().flat_map(|o| o.values_mut()).filter(|v| v.is_number()) {
            *value = json!(value.to_string());
        }
        Ok(properties)
    }
}
