//! An operator: an engine with a bucket in it, the Lambda's zip, and the command line on both.

use std::error::Error;
use std::process::Output;

use aws_sdk_cloudformation::Client;
use serde_json::Value;
use tokio::process::Command;

use crate::faulty_aws::FaultyAws;
use crate::publisher::{Outcome, Publisher, said};

pub const BUCKET: &str = "genomics-lab-data";
pub const STACK: &str = "cavatica-volume";

/// An account on an engine with a bucket in it, and the Lambda's zip.
pub struct Operator {
    pub publisher: Publisher,
    pub zip: String,
}

impl Operator {
    pub async fn start() -> Result<Self, Box<dyn Error>> {
        let (publisher, zip) = Publisher::with_zip().await?;
        publisher.make_bucket(BUCKET, "us-east-1").await?;
        Ok(Self { publisher, zip })
    }

    /// `deploy --zip …` with further arguments.
    pub fn command(&self, further: &[&str]) -> Command {
        self.publisher.connect(&[&["deploy", "--zip", &self.zip], further].concat())
    }

    pub async fn deploy(&self, further: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.command(further).output().await?)
    }

    /// Deploys, and fails the test if that fails.
    pub async fn deployed(&self, further: &[&str]) -> Outcome {
        let output = self.deploy(&[further, &["--yes"]].concat()).await?;
        if output.status.success() { Ok(()) } else { Err(said(&output).into()) }
    }

    /// Any command.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.publisher.connect(arguments).output().await?)
    }

    /// Returns the same through a faulty network.
    pub async fn run_through(&self, aws: &FaultyAws, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self.publisher.connect(arguments).env("AWS_ENDPOINT_URL", &aws.url).output().await?)
    }

    pub fn cloudformation(&self) -> Client {
        Client::new(&self.publisher.engine.sdk_config())
    }

    pub fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.publisher.engine.sdk_config())
    }

    pub async fn make_foreign_role(&self, name: &str) -> Outcome {
        let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole"}]}"#;
        self.iam().create_role().role_name(name).assume_role_policy_document(trust).send().await?;
        Ok(())
    }

    /// Returns the stack's status; `None` if CloudFormation does not know its name.
    pub async fn status(&self, stack: &str) -> Result<Option<String>, Box<dyn Error>> {
        let answer = match self.cloudformation().describe_stacks().stack_name(stack).send().await {
            Ok(answer) => answer,
            Err(_) => return Ok(None),
        };
        let status = answer.stacks().first().and_then(|stack| stack.stack_status()).ok_or("no status")?;
        Ok(Some(status.as_str().to_owned()))
    }

    pub async fn outputs(&self, stack: &str) -> Result<std::collections::BTreeMap<String, String>, Box<dyn Error>> {
        let answer = self.cloudformation().describe_stacks().stack_name(stack).send().await?;
        let outputs = answer.stacks().first().map(|stack| stack.outputs().to_vec()).unwrap_or_default();
        let pair = |it: aws_sdk_cloudformation::types::Output| Some((it.output_key?, it.output_value?));
        Ok(outputs.into_iter().filter_map(pair).collect())
    }

    /// Returns the number of operations that a stack has had, by the tokens of its own events.
    pub async fn operations(&self, stack: &str) -> Result<usize, Box<dyn Error>> {
        let answer = self.cloudformation().describe_stack_events().stack_name(stack).send().await?;
        let tokens: std::collections::BTreeSet<_> =
            answer.stack_events().iter().filter_map(|event| event.client_request_token()).collect();
        Ok(tokens.len())
    }
}

/// Returns the whole output in one line, so that a sentence is found wherever it was wrapped.
pub fn in_one_line(output: &Output) -> String {
    said(output).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fails unless the command ended with this code and printed all of these parts.
pub fn expect(output: &Output, code: i32, parts: &[&str]) -> Outcome {
    let text = in_one_line(output);
    if output.status.code() != Some(code) {
        return Err(format!("exit {:?} in place of {code}: {text}", output.status.code()).into());
    }
    match parts.iter().find(|part| !text.contains(**part)) {
        Some(missing) => Err(format!("\"{missing}\" is not in: {text}").into()),
        None => Ok(()),
    }
}

/// Returns a named output of `deploy --output json`.
pub fn output_of<'r>(result: &'r Value, name: &str) -> Result<&'r str, String> {
    result["Outputs"][name].as_str().ok_or_else(|| format!("no {name} in {result}"))
}
