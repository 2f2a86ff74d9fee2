//! The function's own log of an operation, read while it is there: a rollback deletes it.

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use serde_json::Value;

use super::stacks::Stacks;
use crate::account::{Account, AwsError};
use crate::waits::Retry;

/// The log group's name in the template.
const LOG_GROUP: &str = "ProviderLogGroup";

/// The lines that Lambda writes about every run, and that say nothing of this one.
const OF_EVERY_RUN: [&str; 4] = ["START RequestId", "END RequestId", "REPORT RequestId", "INIT_START"];

/// The last line of a run.
const END_OF_RUN: &str = "REPORT RequestId";

/// Returns the lines of a stack's function since a moment (milliseconds since 1970), as sentences. Waits some seconds
/// for the end of a run. Nothing where there is no such log.
pub async fn since(account: &Account, stacks: &Stacks, stack: &str, begun: i64) -> Result<Vec<String>, AwsError> {
    let region = &stacks.region;
    let Ok(resources) = stacks.resources(stack).await else { return Ok(Vec::new()) };
    let Some(group) = resources.get(LOG_GROUP) else { return Ok(Vec::new()) };
    let mut looks = Retry::FUNCTION_LOG.attempts();
    loop {
        let lines = read(account, region, group, begun).await?;
        if lines.iter().any(|line| line.starts_with(END_OF_RUN)) || !looks.next().await {
            return Ok(lines.iter().filter_map(|line| told(line)).collect());
        }
    }
}

async fn read(account: &Account, region: &str, group: &str, begun: i64) -> Result<Vec<String>, AwsError> {
    let call = account.logs(region).filter_log_events().log_group_name(group).start_time(begun);
    let mut pages = call.into_paginator().send();
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => lines.extend(page.events.unwrap_or_default().into_iter().filter_map(|event| event.message)),
            Err(error) if error.code() == Some("ResourceNotFoundException") => break,
            Err(error) => {
                let (action, on) = ("logs:FilterLogEvents", format!("log group {group}"));
                return Err(account.call("read", action, on, region).failed(error));
            }
        }
    }
    Ok(lines)
}

/// Returns a line as it is told: of the function's JSON the level, the message and the fields, one after the other.
fn told(line: &str) -> Option<String> {
    let line = line.trim_end();
    let is_report_of_failure = line.starts_with(END_OF_RUN) && line.contains("Status: ");
    if line.is_empty() || OF_EVERY_RUN.iter().any(|start| line.starts_with(start)) && !is_report_of_failure {
        return None;
    }
    let Ok(Value::Object(entry)) = serde_json::from_str(line) else { return Some(line.replace('\t', " ")) };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = entry.get("fields").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut told = entry.get("level").map(text).unwrap_or_default();
    if let Some(message) = fields.get("message") {
        told.push_str(&format!(" {}", text(message)));
    }
    for (name, value) in fields.iter().filter(|(name, _)| *name != "message") {
        told.push_str(&format!(" {name}={}", text(value)));
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_printed_without_those_of_every_run() {
        for (line, expected) in [
            ("START RequestId: 1-2 Version: $LATEST\n", None),
            ("REPORT RequestId: 1-2\tDuration: 5 ms\n", None),
            (
                "REPORT RequestId: 1-2\tDuration: 180000 ms\tStatus: timeout\n",
                Some("REPORT RequestId: 1-2 Duration: 180000 ms Status: timeout"),
            ),
            (
                r#"{"level":"ERROR","fields":{"message":"FAILED","reason":"Bucket b does not exist."},"target":"x"}"#,
                Some("ERROR FAILED reason=Bucket b does not exist."),
            ),
            ("Runtime exited with error: signal: killed", Some("Runtime exited with error: signal: killed")),
            ("", None),
        ] {
            assert_eq!(told(line).as_deref(), expected, "{line}");
        }
    }
}
