//! The whole way: packaged, published, launched by a link, and verified against what was released.

use std::collections::BTreeMap;
use std::error::Error;

use aws_sdk_cloudformation::types::{Capability, Parameter};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::Environment;
use cavatica_access::platform::CAVATICA;
use cavatica_connect::account::Account;
use cavatica_connect::deploy::follow::{KnownEvents, Operation, OperationKind};
use cavatica_connect::deploy::stacks::{Stacks, new_token};
use cavatica_connect::publish::plan::DesiredBucket;
use cavatica_connect::publish::{ReleaseParts, execute, versions};
use cavatica_connect::release::zip::Asset;
use cavatica_connect::waits::Pace;
use cavatica_generator::address::Address;
use cavatica_local::engine::Engine;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::publisher::{Outcome, Publisher, bucket, lambda, said};

const BUCKET: &str = "genomics-lab-data";

/// Returns a publisher whose Lambda is published in all regions. Not by way of a package: this machine's Lambda may
/// need a newer C library than Lambda has, and then there would be none.
async fn published() -> Result<Publisher, Box<dyn Error>> {
    let code = lambda().await?;
    let publisher = Publisher::start().await?;
    publisher.make_bucket(BUCKET, "us-east-1").await?;
    let parts = ReleaseParts::of_code(&CAVATICA, code, None, None, publisher.places());
    let desired = DesiredBucket { create_buckets: true, audience: None };
    execute::all(&Account::of(publisher.engine.sdk_config()).await?, &parts, &desired).await?;
    Ok(publisher)
}

fn list() -> String {
    format!("https://{}.s3.us-east-1.amazonaws.com/{}", bucket("us-east-1"), versions::KEY)
}

/// Creates the stack that a link opens, as an administrator who changes nothing would; returns its ID.
async fn launched(publisher: &Publisher, further: &[&str]) -> Result<String, Box<dyn Error>> {
    let list = list();
    let bucket = format!("BucketName={BUCKET}");
    let arguments = [&["launch-url", "--release", &list, "--param", &bucket, "--format", "json"], further].concat();
    let output = publisher.connect(&arguments).output().await?;
    let link: Value = serde_json::from_slice(&output.stdout).map_err(|_| said(&output))?;
    // What the console reads from the link itself.
    let url = link["url"].as_str().ok_or("no link")?;
    let (_, query) = url.split_once("#/stacks/create/review?").ok_or("not the console's form")?;
    let read: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let template = Address::read(&read["templateURL"]).ok_or("no template")?;
    let mut parameters: Vec<_> = read
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("param_")?.to_owned(), value.clone())))
        .collect();
    let is_native = further.contains(&"--native");
    if is_native {
        parameters.push(("ExternalId".to_owned(), "chosen-at-the-console".to_owned()));
    }
    let client = aws_sdk_cloudformation::Client::new(&publisher.engine.sdk_config());
    let (stacks, token) = (Stacks::new(client.clone(), Pace::EMULATOR), new_token());
    let parameter = |(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build();
    let template_url = format!("{}/{}/{}", publisher.engine.url(), template.bucket, template.key);
    let call = client.create_stack().stack_name(&read["stackName"]).template_url(template_url);
    let call = call.set_parameters(Some(parameters.into_iter().map(parameter).collect()));
    let capability = if is_native { Capability::CapabilityNamedIam } else { Capability::CapabilityIam };
    let created = call.capabilities(capability).client_request_token(&token).send().await?;
    let stack_id = created.stack_id.ok_or("no stack ID")?;
    let operation = Operation { stack_id, token: Some(token), kind: OperationKind::Create };
    let ending = stacks.follow(&operation, &mut KnownEvents::default(), |_| {}).await?;
    assert_eq!(ending.status, "CREATE_COMPLETE");
    Ok(operation.stack_id)
}

#[tokio::test]
async fn a_stack_from_a_link_runs_what_was_released_until_somebody_changes_it() -> Outcome {
    let publisher = published().await?;
    let stack = launched(&publisher, &[]).await?;
    let list = list();
    let verify = async |target: &str| publisher.connect(&["verify", target, "--release", &list]).output().await;
    let name = stack.split('/').nth(1).ok_or("no name")?;
    for target in [stack.as_str(), name] {
        let output = verify(target).await?;
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let lines: Vec<_> = said(&output).lines().filter(|line| line.contains("equal")).map(str::to_owned).collect();
        assert_eq!(lines.len(), 3, "{}", said(&output));
    }
    let folder = publisher.folder.path().display().to_string();
    let packaged = publisher.connect(&["verify", name, "--package", &folder]).output().await?;
    assert_eq!(packaged.status.code(), Some(3), "another program is in that package: {}", said(&packaged));
    for part in ["different code", "equal     template cavatica-volume.template.yaml", "another place for the code"] {
        assert!(said(&packaged).contains(part), "{part}: {}", said(&packaged));
    }

    let lambda = aws_sdk_lambda::Client::new(&publisher.engine.sdk_config());
    let functions = lambda.list_functions().send().await?.functions.unwrap_or_default();
    let function = functions.iter().find_map(|function| function.function_arn()).ok_or("no function")?.to_owned();
    let alone = verify(&function).await?;
    assert_eq!(alone.status.code(), Some(0), "{}", said(&alone));

    let held = lambda.get_function_configuration().function_name(&function).send().await?;
    let mut variables = held.environment().and_then(|held| held.variables().cloned()).unwrap_or_default();
    variables.insert("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/opt/other".to_owned());
    let changed = lambda.update_function_configuration().function_name(&function);
    changed.environment(Environment::builder().set_variables(Some(variables)).build()).send().await?;
    let output = verify(&stack).await?;
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("its environment has AWS_LAMBDA_EXEC_WRAPPER"), "{}", said(&output));

    let other = Asset::from_binary("/bin/true".as_ref())?;
    let code = lambda.update_function_code().function_name(&function).zip_file(Blob::new(other.bytes));
    code.send().await?;
    let output = verify(&stack).await?;
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains(&format!("SHA-256 {} runs, and release 0.1.0 has", other.sha256)),
        "{}",
        said(&output)
    );
    publisher.engine.stop().await?;
    Ok(())
}

/// Otherwise a principal that may write to a bucket of releases could choose the code of every later launch.
#[tokio::test]
async fn a_stack_runs_the_code_that_was_released_whatever_is_written_over_it() -> Outcome {
    let publisher = published().await?;
    let code = lambda().await?;
    let theirs = Asset::from_binary("/bin/true".as_ref())?;
    let put = publisher.s3("us-east-1").put_object().bucket(bucket("us-east-1")).key(&code.key);
    put.body(theirs.bytes.clone().into()).send().await?;
    let stack = launched(&publisher, &[]).await?;
    let functions = aws_sdk_lambda::Client::new(&publisher.engine.sdk_config()).list_functions().send().await?;
    let digests: Vec<_> = functions.functions().iter().filter_map(|function| function.code_sha256()).collect();
    let released = aws_smithy_types::base64::encode(Sha256::digest(&code.bytes));
    assert_eq!(digests, [released]);
    let output = publisher.connect(&["verify", &stack, "--release", &list()]).output().await?;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_native_stack_is_verified_by_its_template_and_what_is_not_there_is_said() -> Outcome {
    let publisher = published().await?;
    let stack = launched(&publisher, &["--native"]).await?;
    let list = list();
    let verify = async |arguments: &[&str]| {
        publisher.connect(&[&["verify", "--release", &list], arguments].concat()).output().await
    };
    let native = verify(&[&stack]).await?;
    assert_eq!(native.status.code(), Some(0), "{}", said(&native));
    assert!(said(&native).contains("cavatica-volume-native.template.yaml of release 0.1.0"), "{}", said(&native));
    for (arguments, expected) in [
        (&["not-there"][..], format!("there is no stack not-there in {}", Engine::REGION)),
        (&["not-there", "--region", "eu-west-1"], "there is no stack not-there in eu-west-1".to_owned()),
        (&[&stack, "--version", "0.2.0"], "there is no release 0.2.0 in it".to_owned()),
    ] {
        let output = verify(arguments).await?;
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(&expected), "{}", said(&output));
    }
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stack_agrees_with_the_release_that_it_was_made_from_however_it_was_made() -> Outcome {
    let publisher = published().await?;
    let zip = publisher.folder.path().join("function.zip");
    std::fs::write(&zip, &lambda().await?.bytes)?;
    let (zip, list) = (zip.display().to_string(), list());
    let launched = launched(&publisher, &[]).await?;
    for (stack, source) in [("by-zip", &["--zip", &zip][..]), ("by-release", &["--release", &list])] {
        let arguments = [&["deploy", "--bucket", BUCKET, "--yes", "--stack-name", stack], source].concat();
        let output = publisher.connect(&arguments).output().await?;
        assert!(output.status.success(), "{}", said(&output));
    }
    for stack in [launched.as_str(), "by-zip", "by-release"] {
        let output = publisher.connect(&["verify", stack, "--output", "json", "--release", &list]).output().await?;
        let result: Value = serde_json::from_slice(&output.stdout).map_err(|_| said(&output))?;
        assert_eq!(output.status.code(), Some(0), "{stack}: {result}");
        assert_eq!(result["Comparisons"].as_array().map(Vec::len), Some(3), "{result}");
    }
    // A template that somebody changed is named with the place.
    let client = aws_sdk_cloudformation::Client::new(&publisher.engine.sdk_config());
    let template = client.get_template().stack_name("by-zip").send().await?.template_body.unwrap_or_default();
    let wider = template.replace("MaximumRetryAttempts: 2", "MaximumRetryAttempts: 1");
    assert_ne!(wider, template);
    let bucket =
        aws_sdk_cloudformation::types::Parameter::builder().parameter_key("BucketName").parameter_value(BUCKET);
    let update = client.update_stack().stack_name("by-zip").template_body(wider).parameters(bucket.build());
    update.capabilities(aws_sdk_cloudformation::types::Capability::CapabilityIam).send().await?;
    let output = publisher.connect(&["status", "--stack-name", "by-zip", "--watch"]).output().await?;
    assert!(!said(&output).is_empty());
    let output = publisher.connect(&["verify", "by-zip", "--release", &list]).output().await?;
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let place = "Resources/ProviderInvokeConfig/Properties/MaximumRetryAttempts";
    assert!(said(&output).split_whitespace().collect::<String>().contains(place), "{}", said(&output));
    publisher.engine.stop().await?;
    Ok(())
}
