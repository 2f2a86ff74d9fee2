//! A template as JSON that a person can read: what fits on a line stands on one.
//!
//! Indented throughout, the template would not fit into the 51,200 bytes that can be passed inline.

use serde_json::Value;

/// Columns of a line.
const WIDTH: usize = 160;

pub(super) fn render(template: &Value) -> String {
    let mut text = String::new();
    write(&mut text, template, 0, 0);
    text.push('\n');
    text
}

/// Writes a value that begins `used` columns into a line of the given depth.
fn write(text: &mut String, value: &Value, depth: usize, used: usize) {
    let line = one_line(value);
    let entries = match value {
        Value::Object(object) if depth == 0 || used + line.len() > WIDTH => {
            object.iter().map(|(key, value)| (format!("{}: ", Value::from(key.as_str())), value)).collect::<Vec<_>>()
        }
        Value::Array(items) if used + line.len() > WIDTH => {
            items.iter().map(|item| (String::new(), item)).collect::<Vec<_>>()
        }
        _ => return text.push_str(&line),
    };
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    let indent = "  ".repeat(depth + 1);
    text.push(open);
    for (i, (key, value)) in entries.iter().enumerate() {
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&indent);
        text.push_str(key);
        write(text, value, depth + 1, indent.len() + key.len());
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

/// A value on one line, with a blank after commas and colons.
fn one_line(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let entries: Vec<_> = object
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), one_line(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_stands_on_a_line_and_everything_reads_back() -> Result<(), serde_json::Error> {
        let value =
            json!({"Short": {"Ref": "A"}, "Long": ["x".repeat(90), "y".repeat(90)], "None": [], "Text": "a\"b"});
        let text = render(&value);
        assert!(text.contains("  \"Short\": {\"Ref\": \"A\"},\n"), "{text}");
        assert!(text.contains("  \"Long\": [\n    \"xx"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text)?, value);
        Ok(())
    }
}
