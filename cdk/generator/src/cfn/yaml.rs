//! A template as YAML, as a person would write it: functions in their short form, short lists and calls on one line, a
//! blank line between entries. Scalars are quoted by the YAML library; only the layout is ours, since the library has
//! no flow style and would spread every call over many lines.

use serde_json::Value;

/// First line of every YAML template.
const HEADING: &str =
    "# Written by `cargo connect synth`. Do not edit: change cdk/generator/src/template and run it again.\n";

/// Functions that have only a long form: those of rules. Source: "Rule-specific intrinsic functions".
const LONG_ONLY: [&str; 1] = ["Fn::Contains"];

/// Sections whose entries are set apart by blank lines.
const SPACED: [&str; 5] = ["Parameters", "Rules", "Mappings", "Resources", "Outputs"];

/// Columns of a line.
const WIDTH: usize = 120;

pub(super) fn render(template: &Value) -> String {
    let mut text = HEADING.to_owned();
    for (section, value) in template.as_object().into_iter().flatten() {
        let entries = value.as_object().filter(|_| SPACED.contains(&section.as_str()));
        text.push_str(if section == "AWSTemplateFormatVersion" { "" } else { "\n" });
        text.push_str(section);
        text.push(':');
        match entries {
            None => block(&mut text, value, 0, section.len() + 1),
            Some(entries) => {
                for (i, (name, value)) in entries.iter().enumerate() {
                    let name = scalar(name, false);
                    text.push_str(if i == 0 { "\n  " } else { "\n\n  " });
                    text.push_str(&name);
                    text.push(':');
                    block(&mut text, value, 2, name.len() + 3);
                }
            }
        }
        text.push('\n');
    }
    text
}

/// Writes a value after a key or a dash that ends at `column`; its parent is indented by `indent`.
fn block(text: &mut String, value: &Value, indent: usize, column: usize) {
    if let Some(line) = flow(value).filter(|line| column + 1 + line.len() <= WIDTH || is_scalar(value)) {
        text.push(' ');
        text.push_str(&line);
        return;
    }
    if let Some((tag, argument)) = call(value) {
        text.push_str(" !");
        text.push_str(tag);
        return block(text, &argument, indent, column + tag.len() + 2);
    }
    let inner = " ".repeat(indent + 2);
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = scalar(key, false);
                text.push_str(&format!("\n{inner}{key}:"));
                block(text, value, indent + 2, inner.len() + key.len() + 1);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&format!("\n{inner}-"));
                match item.as_object().filter(|_| call(item).is_none()) {
                    // The first entry of an object stands beside the dash.
                    Some(_) => {
                        let mut entry = String::new();
                        block(&mut entry, item, indent + 2, inner.len() + 1);
                        text.push(' ');
                        text.push_str(entry.trim_start());
                    }
                    None => block(text, item, indent + 2, inner.len() + 1),
                }
            }
        }
        _ => {}
    }
}

fn is_scalar(value: &Value) -> bool {
    match call(value) {
        Some((_, argument)) => is_scalar(&argument),
        None => !value.is_array() && !value.is_object(),
    }
}

/// Returns a value on one line; `None` for objects, which read better in a block.
fn flow(value: &Value) -> Option<String> {
    if let Some((tag, argument)) = call(value) {
        return Some(format!("!{tag} {}", flow(&argument)?));
    }
    match value {
        Value::Object(_) => None,
        Value::Array(items) => {
            let items = items.iter().map(|item| match item {
                Value::String(text) => Some(scalar(text, true)),
                item => match call(item) {
                    Some((tag, Value::String(text))) => Some(format!("!{tag} {}", scalar(&text, true))),
                    _ => flow(item),
                },
            });
            Some(format!("[{}]", items.collect::<Option<Vec<_>>>()?.join(", ")))
        }
        Value::String(text) => Some(scalar(text, false)),
        other => Some(other.to_string()),
    }
}

/// Returns a function's short name and its argument, if the value is a call.
fn call(value: &Value) -> Option<(&str, Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, argument) = object.iter().next()?;
    match (name.as_str(), argument) {
        (name, _) if LONG_ONLY.contains(&name) => None,
        ("Ref" | "Condition", Value::String(_)) => Some((name, argument.clone())),
        ("Fn::GetAtt", Value::Array(parts)) => {
            let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
            Some(("GetAtt", Value::from(parts.join("."))))
        }
        (name, argument) => Some((name.strip_prefix("Fn::")?, argument.clone())),
    }
}

/// Returns a text with the quotes it needs: CloudFormation reads YAML 1.1, the YAML library writes 1.2.
fn scalar(text: &str, in_flow: bool) -> String {
    let plain = yaml_serde::to_string(text).unwrap_or_default().trim_end().to_owned();
    let is_flow_syntax = in_flow && text.contains([',', '[', ']', '{', '}']);
    if !plain.starts_with(['\'', '"']) && (is_flow_syntax || is_other_than_text(text)) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    plain
}

/// True if a reader of YAML 1.1 takes an unquoted text for another type. Source: the types `bool`, `null`, `int`,
/// `float`, `timestamp`, `merge` and `value` of "YAML 1.1 language-independent types"; numbers and dates are told by
/// the characters they consist of, which quotes a few texts more than need be.
fn is_other_than_text(text: &str) -> bool {
    const WORDS: [&str; 15] =
        ["y", "yes", "n", "no", "true", "false", "on", "off", "null", "~", "", "=", "<<", ".nan", ".inf"];
    let is_number_or_date = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().all(|c| c.is_ascii_hexdigit() || "xoinftzXOINFTZ_:.+- \t".contains(c));
    is_number_or_date || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use crate::template::Config;
    use crate::template::provided::template;

    #[test]
    fn quotes_texts_that_yaml_1_1_reads_as_another_type() {
        let words = ["y", "N", "yes", "No", "oFF", "on", "True", "NULL", "~", "", "=", "<<", ".NaN", "-.inf"];
        let numbers = ["1", "-1", "0o17", "017", "0xFF", "1_000", "12:30", "190:20:30", "1e3", "+1.5E-3", ".5", "1."];
        let dates = ["2012-10-17", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5"];
        for text in words.iter().chain(&numbers).chain(&dates) {
            let written = super::scalar(text, false);
            assert!(written.starts_with(['\'', '"']), "{written}");
        }
        for text in ["Report", "Offset", "us-east-1", "1. Your bucket", "nobody", "-s3alias", "s3:GetObject"] {
            assert_eq!(super::scalar(text, true), text);
        }
    }

    #[test]
    fn both_notations_are_the_same_template() {
        let template = template(&Config::default());
        assert_eq!(crate::cfn::read(&template.to_yaml()), Some(template.to_value()));
        assert_eq!(crate::cfn::read(&template.to_json()), Some(template.to_value()));
    }
}
