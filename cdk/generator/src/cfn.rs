//! The part of CloudFormation's template language that we write: typed, ordered, and rendered as JSON and YAML.
//!
//! The resources of our stacks are in [`crate::template`].

mod evaluate;
mod expr;
mod parameter;
mod read;
mod yaml;

use std::borrow::Cow;

use serde_json::{Value, json as value};

pub use self::evaluate::{EvaluationError, Evaluator, pseudo_parameters};
pub use self::expr::{Expr, Function};
pub use self::parameter::{Parameter, ParameterKind};
pub use self::read::read;

/// Largest template that can be passed inline, in bytes. Source: "CloudFormation quotas", template body.
pub const INLINE_TEMPLATE: usize = 51_200;

/// A template.
#[derive(Debug, Clone)]
pub struct Template {
    /// Description, which the console shows first.
    pub description: String,
    /// In the order of the console's form, grouped.
    pub groups: Vec<Group>,
    /// Rules about several parameters.
    pub rules: Vec<Rule>,
    /// Values that depend on the region.
    pub mappings: Vec<Mapping>,
    /// Named conditions.
    pub conditions: Vec<(Cow<'static, str>, Expr)>,
    /// In the order a person would explain them.
    pub resources: Vec<Resource>,
    /// Outputs.
    pub outputs: Vec<Output>,
}

/// Parameters that belong together in the console's form.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its heading.
    pub label: String,
    /// Parameters.
    pub parameters: Vec<Parameter>,
}

/// Something that has to hold across parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Assertion.
    pub assertion: Expr,
    /// Description of the assertion, which CloudFormation shows if it fails.
    pub sentence: String,
}

/// Values by region. Every region has every key: `Fn::FindInMap` is resolved even where its value is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its name.
    pub name: &'static str,
    /// For each region its keys and values.
    pub regions: Vec<(String, Vec<(&'static str, String)>)>,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: &'static str,
    /// Such as `AWS::IAM::Role`.
    pub kind: &'static str,
    /// Condition of its existence.
    pub condition: Option<&'static str>,
    /// Logical IDs of resources that have to exist before, besides those that its properties name.
    pub depends_on: Vec<&'static str>,
    /// True to write the deletion policy `Delete` explicitly, where people expect data to stay.
    pub goes_with_stack: bool,
    /// Its properties, in order.
    pub properties: Vec<(&'static str, Expr)>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// Description.
    pub description: String,
    /// Condition of its existence.
    pub condition: Option<&'static str>,
    /// Its value.
    pub value: Expr,
}

impl Template {
    /// Returns every parameter, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.groups.iter().flat_map(|group| &group.parameters)
    }

    /// Applies a function to every text that a person reads, and to every text in an expression.
    #[must_use]
    pub fn map_texts(mut self, map: &dyn Fn(&str) -> String) -> Self {
        let change = |text: &mut String| *text = map(text);
        change(&mut self.description);
        for group in &mut self.groups {
            change(&mut group.label);
            for parameter in &mut group.parameters {
                change(&mut parameter.description);
                parameter.constraint.iter_mut().for_each(change);
                parameter.refusals.iter_mut().for_each(|(_, rule)| change(rule));
            }
        }
        self.rules.iter_mut().for_each(|rule| change(&mut rule.sentence));
        for (_, property) in self.resources.iter_mut().flat_map(|resource| &mut resource.properties) {
            property.map_texts(map);
        }
        for output in &mut self.outputs {
            change(&mut output.description);
            output.value.map_texts(map);
        }
        self
    }

    /// Returns the template as a JSON value, functions in their long form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let interface = value!({
            "ParameterGroups": self.groups.iter().map(|group| value!({
                "Label": {"default": group.label},
                "Parameters": group.parameters.iter().map(|parameter| parameter.name).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            // The console shows labels in place of names, while sentences about a parameter say its name.
            "ParameterLabels": object(self.parameters().map(|it| {
                (it.name, value!({"default": format!("{} ({})", it.label, it.name)}))
            })),
        });
        let mut template = value!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": self.description,
            "Metadata": {"AWS::CloudFormation::Interface": interface},
            "Parameters": object(self.parameters().map(|parameter| (parameter.name, parameter.to_value()))),
            "Rules": object(self.rules.iter().map(|rule| (rule.name, value!({
                "Assertions": [{"Assert": rule.assertion, "AssertDescription": rule.sentence}],
            })))),
            "Mappings": object(self.mappings.iter().map(|mapping| (mapping.name, mapping.to_value()))),
            "Conditions": object(self.conditions.iter().map(|(name, condition)| (name.as_ref(), value!(condition)))),
            "Resources": object(self.resources.iter().map(|resource| (resource.logical_id, resource.to_value()))),
            "Outputs": object(self.outputs.iter().map(|output| (output.name, output.to_value()))),
        });
        // CloudFormation takes no empty section.
        if let Some(sections) = template.as_object_mut().filter(|_| self.mappings.is_empty()) {
            sections.remove("Mappings");
        }
        template
    }

    /// Returns the template as JSON on one line: indented, it would not fit into [`INLINE_TEMPLATE`].
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// Returns the template as YAML text, with functions in their short form.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml::render(&self.to_value())
    }
}

fn object<'a>(entries: impl Iterator<Item = (&'a str, Value)>) -> Value {
    entries.map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Mapping {
    fn to_value(&self) -> Value {
        let keys = |values: &[(&'static str, String)]| object(values.iter().map(|(key, text)| (*key, value!(text))));
        object(self.regions.iter().map(|(region, values)| (region.as_str(), keys(values))))
    }
}

impl Resource {
    fn to_value(&self) -> Value {
        let mut value = value!({"Type": self.kind});
        if let Some(condition) = self.condition {
            value["Condition"] = value!(condition);
        }
        if !self.depends_on.is_empty() {
            value["DependsOn"] = value!(self.depends_on);
        }
        if self.goes_with_stack {
            value["DeletionPolicy"] = value!("Delete");
            value["UpdateReplacePolicy"] = value!("Delete");
        }
        value["Properties"] = object(self.properties.iter().map(|(name, expr)| (*name, value!(expr))));
        value
    }
}

impl Output {
    fn to_value(&self) -> Value {
        let mut value = value!({"Description": self.description});
        if let Some(condition) = self.condition {
            value["Condition"] = value!(condition);
        }
        value["Value"] = value!(self.value);
        value
    }
}
