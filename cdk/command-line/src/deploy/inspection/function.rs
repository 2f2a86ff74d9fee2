//! The comparison of the stack's function with its template: code, settings, who may invoke it, and its retries.

use aws_sdk_lambda::error::ProvideErrorMetadata as _;
use aws_smithy_types::base64;
use serde_json::Value;

use super::difference::{self, Difference, Remedy};
use crate::account::Account;
use crate::release::zip::hex;

/// Reads the function `name` and compares it with the evaluated properties of the template.
///
/// Returns the differences, and what could not be seen.
pub async fn inspect_function(
    account: &Account,
    region: &str,
    name: &str,
    expected: &Value,
    retries: Option<&Value>,
) -> (Vec<Difference>, Vec<String>) {
    let (mut differences, mut unseen) = (Vec::new(), Vec::new());
    let lambda = account.lambda(region);
    let command = |arguments: &[&str]| {
        account.invocation.aws(&[&["lambda"], arguments, &["--function-name", name]].concat(), Some(region))
    };
    let on = || format!("function {name}");
    let call = |doing, action| account.call(doing, action, on(), region);
    let text = |pointer: &str| match expected.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    match lambda.get_function_configuration().function_name(name).send().await {
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            let remedy = Remedy::Command(account.invocation.command(&["destroy"], Some(region)));
            return (vec![Difference { text: format!("function {name} does not exist"), remedy }], unseen);
        }
        Err(error) => unseen.push(call("look at", "lambda:GetFunctionConfiguration").failed(error).to_string()),
        Ok(observed) => {
            let (bucket, key) = (text("/Code/S3Bucket"), text("/Code/S3Key"));
            let desired = key.rsplit('/').next().unwrap_or_default().trim_end_matches(".zip").to_owned();
            let found = observed.code_sha256().and_then(|text| base64::decode(text).ok());
            let found = found.map(|digest| hex(&digest)).unwrap_or_default();
            if desired.len() != 64 {
                unseen.push(format!("whether function {name} runs the released code: key {key} names no digest"));
            } else if found != desired {
                let update = command(&["update-function-code", "--s3-bucket", &bucket, "--s3-key", &key]);
                differences.push(Difference {
                    text: format!("function {name} runs code with SHA-256 {found} and should run {desired}"),
                    remedy: Remedy::Command(update),
                });
            }
            let layers = observed.layers().iter().filter_map(|layer| layer.arn()).collect::<Vec<_>>().join(", ");
            let vpc = observed.vpc_config().and_then(|vpc| vpc.vpc_id()).unwrap_or_default();
            let number = |number: Option<i32>| number.map(|number| number.to_string()).unwrap_or_default();
            for (what, option, found, desired) in [
                (
                    "runtime",
                    "--runtime",
                    observed.runtime().map(|it| it.as_str().to_owned()).unwrap_or_default(),
                    text("/Runtime"),
                ),
                ("handler", "--handler", observed.handler().unwrap_or_default().to_owned(), text("/Handler")),
                ("timeout in seconds", "--timeout", number(observed.timeout()), text("/Timeout")),
                ("memory in MB", "--memory-size", number(observed.memory_size()), text("/MemorySize")),
                ("role", "--role", observed.role().unwrap_or_default().to_owned(), text("/Role")),
                ("list of layers", "--layers", layers, String::new()),
                ("VPC", "--vpc-config", vpc.to_owned(), String::new()),
            ] {
                if let Some(text) = difference::value(&format!("the {what} of function {name}"), &found, &desired) {
                    let value = if desired.is_empty() { "[]" } else { desired.as_str() };
                    let remedy = Remedy::Command(command(&["update-function-configuration", option, value]));
                    differences.push(Difference { text, remedy });
                }
            }
            differences.extend(environment(name, expected, observed.environment(), &command));
        }
    }
    match lambda.get_policy().function_name(name).send().await {
        Err(error) if error.code() == Some("ResourceNotFoundException") => {}
        Err(error) => unseen.push(call("read the resource policy of", "lambda:GetPolicy").failed(error).to_string()),
        Ok(answer) => {
            let policy: Value = serde_json::from_str(answer.policy().unwrap_or_default()).unwrap_or_default();
            for statement in policy["Statement"].as_array().into_iter().flatten() {
                let sid = statement["Sid"].as_str().unwrap_or_default();
                differences.push(Difference {
                    text: format!(
                        "the resource policy of function {name} has a statement that should not be there: {statement}"
                    ),
                    remedy: Remedy::Command(command(&["remove-permission", "--statement-id", sid])),
                });
            }
        }
    }
    if let Some(retries) = retries {
        let qualifier = retries["Qualifier"].as_str().unwrap_or("$LATEST");
        let answer = lambda.get_function_event_invoke_config().function_name(name).qualifier(qualifier).send().await;
        let desired = |name: &str| retries[name].to_string();
        let (age, attempts) = (desired("MaximumEventAgeInSeconds"), desired("MaximumRetryAttempts"));
        let put = command(&[
            "put-function-event-invoke-config",
            "--qualifier",
            qualifier,
            "--maximum-event-age-in-seconds",
            &age,
            "--maximum-retry-attempts",
            &attempts,
        ]);
        let found = match answer {
            Ok(observed) => Some((observed.maximum_event_age_in_seconds(), observed.maximum_retry_attempts())),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Some((None, None)),
            Err(error) => {
                let call = call("read the retries of", "lambda:GetFunctionEventInvokeConfig");
                unseen.push(call.failed(error).to_string());
                None
            }
        };
        let number = |number: Option<i32>| number.map(|number| number.to_string()).unwrap_or_default();
        for (what, found, desired) in found.into_iter().flat_map(|(held_age, held_attempts)| {
            [
                ("oldest event in seconds", number(held_age), &age),
                ("number of retries", number(held_attempts), &attempts),
            ]
        }) {
            if let Some(text) = difference::value(&format!("the {what} of function {name}"), &found, desired) {
                differences.push(Difference { text, remedy: Remedy::Command(put.clone()) });
            }
        }
    }
    (differences, unseen)
}

/// Compares the environment variables.
fn environment(
    name: &str,
    expected: &Value,
    observed: Option<&aws_sdk_lambda::types::EnvironmentResponse>,
    command: &impl Fn(&[&str]) -> String,
) -> Vec<Difference> {
    let variables = expected.pointer("/Environment/Variables").and_then(Value::as_object).cloned().unwrap_or_default();
    let observed = observed.and_then(|observed| observed.variables()).cloned().unwrap_or_default();
    let all = serde_json::json!({ "Variables": variables }).to_string();
    let remedy = Remedy::Command(command(&["update-function-configuration", "--environment", &all]));
    let mut differences = Vec::new();
    for (variable, desired) in &variables {
        let found = observed.get(variable).cloned().unwrap_or_default();
        let what = format!("environment variable {variable} of function {name}");
        let text = difference::value(&what, &found, desired.as_str().unwrap_or_default());
        differences.extend(text.map(|text| Difference { text, remedy: remedy.clone() }));
    }
    let mut further: Vec<_> = observed.keys().filter(|variable| !variables.contains_key(*variable)).collect();
    further.sort();
    // Values may be secrets of whoever set them.
    differences.extend(further.into_iter().map(|variable| Difference {
        text: format!("function {name} has environment variable {variable} and should not"),
        remedy: remedy.clone(),
    }));
    differences
}
