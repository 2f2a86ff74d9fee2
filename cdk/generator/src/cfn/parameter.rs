//! A parameter of a template: how the console's form shows it and which values it takes.

use serde_json::{Value, json as value};

/// A parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name; links and pipelines depend on it.
    pub name: &'static str,
    /// Its label in the form.
    pub label: &'static str,
    /// The text under it in the form.
    pub description: String,
    /// The default; `None` where a value has to be given.
    pub default: Option<String>,
    /// The values that it takes.
    pub kind: ParameterKind,
    /// The message for any other value.
    pub constraint: Option<String>,
    /// The values that the domain refuses in words of its own: a pattern of them, and the rule that they break. What
    /// else it refuses is refused by kind, too.
    pub refusals: Vec<(String, String)>,
    /// True if CloudFormation hides its value.
    pub no_echo: bool,
    /// The rule of the domain type that reads the value, where a pattern cannot express all of it.
    pub domain_rule: fn(&str) -> Result<(), String>,
}

/// The values that a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterKind {
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

impl Parameter {
    pub(super) fn to_value(&self) -> Value {
        let mut value = value!({"Type": self.kind.type_name(), "Description": self.description});
        if let Some(default) = &self.default {
            value["Default"] = match &self.kind {
                ParameterKind::Number(_) | ParameterKind::NumberOneOf(_) => {
                    default.parse::<u32>().map_or(value!(default), |n| value!(n))
                }
                _ => value!(default),
            };
        }
        match &self.kind {
            ParameterKind::Text { pattern, longest } => {
                value["AllowedPattern"] = value!(format!("^({pattern})$"));
                if let Some(longest) = longest {
                    value["MaxLength"] = value!(longest);
                }
            }
            ParameterKind::OneOf(values) => value["AllowedValues"] = value!(values),
            ParameterKind::Texts => {}
            ParameterKind::Number(range) => {
                value["MinValue"] = value!(range.start());
                value["MaxValue"] = value!(range.end());
            }
            ParameterKind::NumberOneOf(values) => value["AllowedValues"] = value!(values),
        }
        if let Some(constraint) = &self.constraint {
            value["ConstraintDescription"] = value!(constraint);
        }
        if self.no_echo {
            value["NoEcho"] = value!(true);
        }
        value
    }

    /// Checks a value by the domain's rule and by CloudFormation's.
    pub fn check(&self, value: &str) -> Result<(), String> {
        (self.domain_rule)(value)?;
        let fits = match &self.kind {
            ParameterKind::Text { pattern, longest } => {
                // Java's classes are ASCII, and those of this library are not.
                let pattern = pattern.replace(r"\w", "[A-Za-z0-9_]").replace(r"\d", "[0-9]");
                let pattern = fancy_regex::Regex::new(&format!("^(?:{pattern})$"));
                pattern.is_ok_and(|pattern| pattern.is_match(value).unwrap_or_default())
                    && longest.is_none_or(|longest| value.chars().count() <= longest)
            }
            ParameterKind::OneOf(values) => values.iter().any(|known| known == value),
            ParameterKind::Texts => true,
            ParameterKind::Number(range) => value.parse().is_ok_and(|number| range.contains(&number)),
            ParameterKind::NumberOneOf(values) => value.parse().is_ok_and(|number| values.contains(&number)),
        };
        if fits { Ok(()) } else { Err(self.rule()) }
    }

    /// Returns the values that it takes, in words.
    #[must_use]
    pub fn rule(&self) -> String {
        if let Some(constraint) = &self.constraint {
            return format!("it {constraint}");
        }
        match &self.kind {
            ParameterKind::Text { pattern, .. } => format!("it must be text that matches {pattern}"),
            ParameterKind::OneOf(values) => format!("choose {}", alternatives(values)),
            ParameterKind::Texts => "it must be texts separated by commas".to_owned(),
            ParameterKind::Number(range) => {
                format!("it must be a whole number from {} to {}", range.start(), range.end())
            }
            ParameterKind::NumberOneOf(values) => {
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

impl ParameterKind {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Text { .. } | Self::OneOf(_) => "String",
            Self::Texts => "CommaDelimitedList",
            Self::Number(_) | Self::NumberOneOf(_) => "Number",
        }
    }
}
