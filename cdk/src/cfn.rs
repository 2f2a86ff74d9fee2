//! The part of CloudFormation's template language that we write: typed, ordered, and rendered as JSON and YAML.
//!
//! What our stack consists of is in [`crate::stack`].

mod json;
mod yaml;

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json as value};

/// Largest template that can be passed inline, in bytes. Source: "CloudFormation quotas", template body.
pub const INLINE_TEMPLATE: usize = 51_200;

/// A value in a template: plain, or computed by CloudFormation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Text as it is.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A list.
    List(Vec<Expr>),
    /// An object, in order.
    Map(Vec<(String, Expr)>),
    /// `Ref`.
    Ref(String),
    /// `Fn::GetAtt`.
    GetAtt(&'static str, &'static str),
    /// `Fn::Sub`, with variables of its own.
    Sub(String, Vec<(&'static str, Expr)>),
    /// Any other function, with its arguments.
    Call(Function, Vec<Expr>),
    /// A condition by name.
    Condition(&'static str),
    /// A JSON value from elsewhere, such as an IAM document.
    Json(Value),
}

/// Functions with a list of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are CloudFormation's")]
pub enum Function {
    And,
    Contains,
    Equals,
    FindInMap,
    If,
    Join,
    Not,
    Select,
    Split,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fn::{self:?}")
    }
}

impl Expr {
    /// Text as it is.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The value of a parameter or a resource's main attribute.
    pub fn reference(name: impl Into<String>) -> Self {
        Self::Ref(name.into())
    }

    /// Text with `${…}` in it.
    pub fn sub(text: impl Into<String>) -> Self {
        Self::Sub(text.into(), Vec::new())
    }

    /// One of two values.
    #[must_use]
    pub fn when(condition: &'static str, then: Self, otherwise: Self) -> Self {
        Self::Call(Function::If, vec![Self::text(condition), then, otherwise])
    }

    /// Nothing at all: the property or item is left out.
    #[must_use]
    pub fn no_value() -> Self {
        Self::reference("AWS::NoValue")
    }

    /// Whether two values are equal.
    #[must_use]
    pub fn equals(one: Self, other: Self) -> Self {
        Self::Call(Function::Equals, vec![one, other])
    }

    /// The opposite.
    #[must_use]
    pub fn negated(condition: Self) -> Self {
        Self::Call(Function::Not, vec![condition])
    }

    /// Both.
    #[must_use]
    pub fn both(one: Self, other: Self) -> Self {
        Self::Call(Function::And, vec![one, other])
    }

    /// One item of a list.
    #[must_use]
    pub fn select(index: i64, list: Self) -> Self {
        Self::Call(Function::Select, vec![Self::Number(index), list])
    }

    /// A text cut at each separator.
    #[must_use]
    pub fn split(separator: &str, text: Self) -> Self {
        Self::Call(Function::Split, vec![Self::text(separator), text])
    }

    /// A list put together with a separator.
    #[must_use]
    pub fn join(separator: &str, list: Self) -> Self {
        Self::Call(Function::Join, vec![Self::text(separator), list])
    }

    /// The value of a mapping for the region of the stack.
    #[must_use]
    pub fn of_this_region(mapping: &str, key: &str) -> Self {
        Self::Call(Function::FindInMap, vec![Self::text(mapping), Self::reference("AWS::Region"), Self::text(key)])
    }

    /// An object, in order.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Anything that serializes, such as an IAM document of expressions.
    pub fn json(value: &impl Serialize) -> Self {
        Self::Json(serde_json::to_value(value).unwrap_or_default())
    }
}

impl From<&str> for Expr {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn call<S: Serializer>(serializer: S, name: &str, arguments: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(name, arguments)?;
            map.end()
        }
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Self::Ref(name) => call(serializer, "Ref", name),
            Self::GetAtt(resource, attribute) => call(serializer, "Fn::GetAtt", &[resource, attribute]),
            Self::Sub(text, variables) if variables.is_empty() => call(serializer, "Fn::Sub", text),
            Self::Sub(text, variables) => {
                let variables = Self::map(variables.clone());
                call(serializer, "Fn::Sub", &[Self::text(text), variables])
            }
            Self::Call(function, arguments) => call(serializer, &function.to_string(), arguments),
            Self::Condition(name) => call(serializer, "Condition", name),
            Self::Json(value) => value.serialize(serializer),
        }
    }
}

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What the console shows first.
    pub description: String,
    /// In the order of the console's form, grouped.
    pub groups: Vec<Group>,
    /// What spans parameters.
    pub rules: Vec<Rule>,
    /// Values that depend on the region.
    pub mappings: Vec<Mapping>,
    /// Named conditions.
    pub conditions: Vec<(&'static str, Expr)>,
    /// In the order a person would explain them.
    pub resources: Vec<Resource>,
    /// What the administrator takes away.
    pub outputs: Vec<Output>,
}

/// Parameters that belong together in the console's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its heading.
    pub label: &'static str,
    /// What is under it.
    pub parameters: Vec<Parameter>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; links and pipelines depend on it.
    pub name: &'static str,
    /// What the form calls it.
    pub label: &'static str,
    /// What the form says under it.
    pub description: String,
    /// What is taken when nothing is given; `None` has to be given.
    pub default: Option<String>,
    /// What it may be.
    pub kind: Kind,
    /// What is said when it is something else.
    pub constraint: Option<String>,
    /// Whether CloudFormation hides its value.
    pub no_echo: bool,
}

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text that a pattern describes, from a shortest to a longest length in characters.
    Text {
        /// The whole text has to match; without anchors.
        pattern: String,
        /// Longest, in characters.
        longest: Option<usize>,
    },
    /// One of these.
    OneOf(Vec<String>),
    /// A list of any texts, separated by commas.
    Texts,
    /// A whole number in a range.
    Number(std::ops::RangeInclusive<u32>),
    /// One of these numbers.
    NumberOneOf(Vec<u32>),
}

/// Something that has to hold across parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What has to hold.
    pub assertion: Expr,
    /// What is said when it does not.
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
    /// Whether it is there at all.
    pub condition: Option<&'static str>,
    /// What has to be there before, beyond what its properties name.
    pub depends_on: Vec<&'static str>,
    /// Whether it is said aloud that it goes with the stack, where people expect data to stay.
    pub goes_with_stack: bool,
    /// Its properties, in order.
    pub properties: Vec<(&'static str, Expr)>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Whether it is there at all.
    pub condition: Option<&'static str>,
    /// Its value.
    pub value: Expr,
}

impl Template {
    /// Every parameter, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.groups.iter().flat_map(|group| &group.parameters)
    }

    /// The template as a JSON value, functions in their long form.
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
            "Conditions": object(self.conditions.iter().map(|(name, condition)| (*name, value!(condition)))),
            "Resources": object(self.resources.iter().map(|resource| (resource.logical_id, resource.to_value()))),
            "Outputs": object(self.outputs.iter().map(|output| (output.name, output.to_value()))),
        });
        // CloudFormation takes no empty section.
        if let Some(sections) = template.as_object_mut().filter(|_| self.mappings.is_empty()) {
            sections.remove("Mappings");
        }
        template
    }

    /// The template as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        json::render(&self.to_value())
    }

    /// The template as YAML text, with functions in their short form.
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

impl Parameter {
    fn to_value(&self) -> Value {
        let mut value = value!({"Type": self.kind.type_name(), "Description": self.description});
        if let Some(default) = &self.default {
            value["Default"] = match &self.kind {
                Kind::Number(_) | Kind::NumberOneOf(_) => default.parse::<u32>().map_or(value!(default), |n| value!(n)),
                _ => value!(default),
            };
        }
        match &self.kind {
            Kind::Text { pattern, longest } => {
                value["AllowedPattern"] = value!(format!("^({pattern})$"));
                if let Some(longest) = longest {
                    value["MaxLength"] = value!(longest);
                }
            }
            Kind::OneOf(values) => value["AllowedValues"] = value!(values),
            Kind::Texts => {}
            Kind::Number(range) => {
                value["MinValue"] = value!(range.start());
                value["MaxValue"] = value!(range.end());
            }
            Kind::NumberOneOf(values) => value["AllowedValues"] = value!(values),
        }
        if let Some(constraint) = &self.constraint {
            value["ConstraintDescription"] = value!(constraint);
        }
        if self.no_echo {
            value["NoEcho"] = value!(true);
        }
        value
    }

    /// Whether CloudFormation would take the value; if not, why.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let fits = match &self.kind {
            Kind::Text { pattern, longest } => {
                let pattern = fancy_regex::Regex::new(&format!("^(?:{pattern})$"));
                pattern.is_ok_and(|pattern| pattern.is_match(value).unwrap_or_default())
                    && longest.is_none_or(|longest| value.chars().count() <= longest)
            }
            Kind::OneOf(values) => values.iter().any(|known| known == value),
            Kind::Texts => true,
            Kind::Number(range) => value.parse().is_ok_and(|number| range.contains(&number)),
            Kind::NumberOneOf(values) => value.parse().is_ok_and(|number| values.contains(&number)),
        };
        if fits { Ok(()) } else { Err(self.rule()) }
    }

    /// What it may be, in words.
    fn rule(&self) -> String {
        if let Some(constraint) = &self.constraint {
            return format!("it {constraint}");
        }
        match &self.kind {
            Kind::Text { pattern, .. } => format!("it must be text that matches {pattern}"),
            Kind::OneOf(values) => format!("choose {}", alternatives(values)),
            Kind::Texts => "it must be texts separated by commas".to_owned(),
            Kind::Number(range) => format!("it must be a whole number from {} to {}", range.start(), range.end()),
            Kind::NumberOneOf(values) => {
                format!("choose {}", alternatives(&values.iter().map(ToString::to_string).collect::<Vec<_>>()))
            }
        }
    }
}

/// Such as "Enforce, Report or Off". Values with commas in them are set apart otherwise.
fn alternatives(values: &[String]) -> String {
    let separator = if values.iter().any(|value| value.contains(',')) { "; " } else { ", " };
    match values.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(separator)),
        None => String::new(),
    }
}

impl Kind {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Text { .. } | Self::OneOf(_) => "String",
            Self::Texts => "CommaDelimitedList",
            Self::Number(_) | Self::NumberOneOf(_) => "Number",
        }
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
