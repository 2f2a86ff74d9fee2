//! `status` names each change that somebody made by hand, whatever it is, and says what it could not see.

use std::error::Error;
use std::process::Output;

use aws_sdk_iam::types::Tag;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::Environment;
use cavatica_connect::release::zip::Asset;
use serde_json::Value;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::operator::{BUCKET, Operator, STACK, expect, in_one_line};
use crate::publisher::Outcome;

const OPEN: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// A stack's parts, for hands that change them.
struct Stack {
    operator: Operator,
    role: String,
    policy: String,
    boundary: String,
    provider: String,
    function: String,
    external_id: String,
}

impl Stack {
    async fn deployed(further: &[&str]) -> Result<Self, Box<dyn Error>> {
        let operator = Operator::start().await?;
        operator.deployed(&[&["--bucket", BUCKET, "--prefix", "raw"], further].concat()).await?;
        let resources = operator.cloudformation().describe_stack_resources().stack_name(STACK).send().await?;
        let physical = |name: &str| {
            let found = resources.stack_resources().iter().find(|it| it.logical_resource_id() == Some(name));
            found.and_then(|it| it.physical_resource_id()).unwrap_or_default().to_owned()
        };
        let outputs = operator.outputs(STACK).await?;
        Ok(Self {
            role: outputs["RoleName"].clone(),
            policy: outputs["PolicyArn"].clone(),
            external_id: outputs["ExternalId"].clone(),
            boundary: physical("Boundary"),
            provider: physical("ProviderRole"),
            function: physical("ProviderFunction"),
            operator,
        })
    }

    async fn status(&self) -> Result<Output, Box<dyn Error>> {
        self.operator.run(&["status"]).await
    }

    /// Returns the differences, each as its text.
    async fn differences(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let output = self.operator.run(&["status", "--output", "json"]).await?;
        let result: Value = serde_json::from_slice(&output.stdout).map_err(|_| in_one_line(&output))?;
        let differences = result["Differences"].as_array().cloned().unwrap_or_default();
        let expected = if differences.is_empty() && result["AsRequested"] == true { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(expected), "{result}");
        Ok(differences.iter().filter_map(|it| it["Text"].as_str().map(str::to_owned)).collect())
    }

    /// Sees that one difference is shown, and that it has these parts.
    async fn shows(&self, parts: &[&str]) -> Outcome {
        let differences = self.differences().await?;
        let found = differences.iter().any(|text| parts.iter().all(|part| text.contains(part)));
        if found { Ok(()) } else { Err(format!("{parts:?} is not in {differences:#?}").into()) }
    }
}

#[tokio::test]
async fn status_shows_every_manual_change_with_the_observed_state() -> Outcome {
    let stack = Stack::deployed(&["--param", "Description=lab", "--param", "Tags=team=genomics, cost = 7"]).await?;
    let (iam, role, policy) = (stack.operator.iam(), &stack.role, &stack.policy);
    let all = ["the volume role: ", "the volume policy: ", "the boundary: ", "the function's role: ", "the function: "];
    expect(&stack.status().await?, 0, &[&all[..], &["IAM knows no use of role"]].concat())?;

    iam.put_role_policy().role_name(role).policy_name("more").policy_document(OPEN).send().await?;
    stack.shows(&["has inline policy more and should not", "\"*\""]).await?;
    assert!(!in_one_line(&stack.status().await?).contains("the volume role: "));
    iam.delete_role_policy().role_name(role).policy_name("more").send().await?;

    let admin = iam.create_policy().policy_name("admin").policy_document(OPEN).send().await?;
    let admin = admin.policy.and_then(|policy| policy.arn).ok_or("no ARN")?;
    iam.attach_role_policy().role_name(role).policy_arn(&admin).send().await?;
    stack.shows(&[&format!("policy {admin} is attached to role {role} and should not be")]).await?;
    iam.detach_role_policy().role_name(role).policy_arn(&admin).send().await?;

    iam.create_policy_version().policy_arn(&stack.boundary).policy_document(OPEN).set_as_default(true).send().await?;
    stack.shows(&["-Boundary-", "has a statement that should not be there", "\"Action\":\"*\""]).await?;
    stack.shows(&["-Boundary-", "lacks the statement", "GrantReadOnObjects"]).await?;
    let first = iam.get_policy_version().policy_arn(&stack.boundary).version_id("v1").send().await?.policy_version;
    let first = first.and_then(|version| version.document).unwrap_or_default();
    let first = percent_encoding::percent_decode_str(&first).decode_utf8()?.into_owned();
    iam.create_policy_version().policy_arn(&stack.boundary).policy_document(first).set_as_default(true).send().await?;

    iam.put_role_policy().role_name(&stack.provider).policy_name("more").policy_document(OPEN).send().await?;
    stack.shows(&[&format!("role {} has inline policy more and should not", stack.provider)]).await?;
    iam.delete_role_policy().role_name(&stack.provider).policy_name("more").send().await?;
    let own = iam.get_role_policy().role_name(&stack.provider).policy_name("ProvideVolumeAccess").send().await?;
    let own = percent_encoding::percent_decode_str(&own.policy_document).decode_utf8()?.into_owned();
    let put = || iam.put_role_policy().role_name(&stack.provider).policy_name("ProvideVolumeAccess");
    put().policy_document(OPEN).send().await?;
    stack.shows(&["inline policy ProvideVolumeAccess", "should not be there"]).await?;
    put().policy_document(own).send().await?;
    iam.attach_role_policy().role_name(&stack.provider).policy_arn(&admin).send().await?;
    stack.shows(&[&format!("attached to role {}", stack.provider)]).await?;
    iam.detach_role_policy().role_name(&stack.provider).policy_arn(&admin).send().await?;

    iam.update_role().role_name(role).max_session_duration(43200).description("mine").send().await?;
    stack.shows(&["longest session in seconds", "\"43200\" and should be \"3600\""]).await?;
    stack.shows(&["the description of role", "\"mine\" and should be \"lab\""]).await?;
    iam.update_role().role_name(role).max_session_duration(3600).description("lab").send().await?;

    let user = iam.create_user().user_name("somebody").send().await;
    user?;
    iam.attach_user_policy().user_name("somebody").policy_arn(policy).send().await?;
    stack.shows(&["is attached to user somebody and should not be"]).await?;
    iam.detach_user_policy().user_name("somebody").policy_arn(policy).send().await?;

    let tag = Tag::builder().key("cavatica-connect:policy").value("other").build()?;
    iam.tag_role().role_name(role).tags(tag).send().await?;
    stack.shows(&["tag cavatica-connect:policy of role", "\"other\""]).await?;
    let refused = stack.operator.run(&["status", "--repair", "--yes"]).await?;
    expect(&refused, 3, &["the function would refuse an update", "aws iam tag-role --role-name"])?;
    let tag = Tag::builder().key("cavatica-connect:policy").value(role).build()?;
    iam.tag_role().role_name(role).tags(tag).send().await?;
    assert_eq!(stack.differences().await?, [""; 0]);

    // What the function can put right, it does, all at once.
    iam.untag_role().role_name(role).tag_keys("team").send().await?;
    iam.update_role().role_name(role).max_session_duration(43200).send().await?;
    iam.detach_role_policy().role_name(role).policy_arn(policy).send().await?;
    iam.create_policy_version().policy_arn(policy).policy_document(OPEN).set_as_default(true).send().await?;
    stack.shows(&["tag team of role", "is empty and should be \"genomics\""]).await?;
    expect(&stack.operator.run(&["status", "--repair"]).await?, 2, &["pass --yes"])?;
    expect(&stack.operator.run(&["status", "--repair", "--yes"]).await?, 0, &["UPDATE_COMPLETE", "repaired"])?;
    assert_eq!(stack.differences().await?, [""; 0]);
    stack.operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_function_with_other_code_or_settings_is_shown() -> Outcome {
    let stack = Stack::deployed(&[]).await?;
    let lambda = aws_sdk_lambda::Client::new(&stack.operator.publisher.engine.sdk_config());
    let name = &stack.function;
    assert_eq!(stack.differences().await?, [""; 0]);
    lambda.update_function_configuration().function_name(name).timeout(3).send().await?;
    stack.shows(&["the timeout in seconds of function", "\"3\" and should be \"180\""]).await?;
    lambda.update_function_configuration().function_name(name).timeout(180).send().await?;

    let held = lambda.get_function_configuration().function_name(name).send().await?;
    let own = held.environment().and_then(|held| held.variables().cloned()).unwrap_or_default();
    let mut more = own.clone();
    more.insert("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/opt/secret".to_owned());
    let set = async |variables| {
        let environment = Environment::builder().set_variables(Some(variables)).build();
        lambda.update_function_configuration().function_name(name).environment(environment).send().await
    };
    set(more).await?;
    stack.shows(&["has environment variable AWS_LAMBDA_EXEC_WRAPPER and should not"]).await?;
    assert!(!stack.differences().await?.concat().contains("/opt/secret"));
    set(own).await?;

    let retries = || lambda.put_function_event_invoke_config().function_name(name).qualifier("$LATEST");
    retries().maximum_retry_attempts(0).send().await?;
    stack.shows(&["the number of retries of function", "\"0\" and should be \"2\""]).await?;
    retries().maximum_retry_attempts(2).maximum_event_age_in_seconds(540).send().await?;
    let permission = lambda.add_permission().function_name(name).statement_id("anyone").action("lambda:InvokeFunction");
    permission.principal("210987654321").send().await?;
    stack.shows(&["the resource policy of function", "210987654321"]).await?;
    lambda.remove_permission().function_name(name).statement_id("anyone").send().await?;
    assert_eq!(stack.differences().await?, [""; 0]);

    let other = Asset::from_binary("/bin/true".as_ref())?;
    lambda.update_function_code().function_name(name).zip_file(Blob::new(other.bytes)).send().await?;
    stack.shows(&["runs code with SHA-256", &other.sha256]).await?;
    expect(&stack.status().await?, 3, &["aws lambda update-function-code --s3-bucket"])?;
    stack.operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_foreign_principal_is_visible_in_a_log_and_the_external_id_is_not() -> Outcome {
    let stack = Stack::deployed(&[]).await?;
    let fine = stack.status().await?;
    expect(&fine, 0, &["\"sts:ExternalId\": \"****\"", "role/volume-connection"])?;
    let foreign = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::210987654321:root"}},
        "Action": "sts:AssumeRole", "Condition": {{"StringEquals": {{"sts:ExternalId": "{}"}}}}}}]}}"#,
        stack.external_id
    );
    let update = stack.operator.iam().update_assume_role_policy().role_name(&stack.role);
    update.policy_document(foreign).send().await?;
    let shown = stack.status().await?;
    expect(&shown, 3, &["arn:aws:iam::210987654321:root", "should not be there"])?;
    for output in [&fine, &shown] {
        assert!(!in_one_line(output).contains(&stack.external_id), "{}", in_one_line(output));
    }
    stack.operator.publisher.engine.stop().await?;
    Ok(())
}

/// Returns each read answered by 403: said, and not 0; and nothing that was not read whole is said to be fine.
#[tokio::test]
async fn unreadable_parts_are_named_and_are_no_success() -> Outcome {
    let stack = Stack::deployed(&[]).await?;
    let function = format!("GET /2015-03-31/functions/{}", stack.function);
    let configuration = format!("{function}/configuration");
    let resource_policy = format!("{function}/policy");
    let retries = format!("GET /2019-09-25/functions/{}/event-invoke-config", stack.function);
    let of = &stack;
    let denied = [
        ("GetTemplate", "the volume role: "),
        ("GetRole", "the volume role: "),
        ("ListAttachedRolePolicies", "the volume role: "),
        ("ListRolePolicies", "the function's role: "),
        ("GetRolePolicy", "the function's role: "),
        ("GetPolicy", "the volume policy: "),
        ("ListPolicyVersions", "the boundary: "),
        ("GetPolicyVersion", "the boundary: "),
        ("ListEntitiesForPolicy", "the volume policy: "),
        (configuration.as_str(), "the function: "),
        (resource_policy.as_str(), "the function: "),
        (retries.as_str(), "the function: "),
    ];
    // Side by side: some of these reads are tried for seconds.
    let checks = denied.map(|(action, not_fine)| async move {
        let aws = FaultyAws::start(of.operator.publisher.engine.url()).await?;
        aws.spoil(action, 0, 999, Fault::Refused("AccessDenied", "no"));
        let output = of.operator.run_through(&aws, &["status"]).await?;
        let text = in_one_line(&output);
        assert!(aws.calls().iter().any(|call| call == action), "{action} is not read: {:?}", aws.calls());
        assert_eq!(output.status.code(), Some(1), "{action}: {text}");
        assert!(text.contains("not seen") && !text.contains(&format!("✓ {not_fine}")), "{action}: {text}");
        Ok::<_, Box<dyn Error>>(())
    });
    futures_util::future::try_join_all(checks).await?;
    stack.operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stack_that_is_not_complete_never_exits_0() -> Outcome {
    let operator = Operator::start().await?;
    operator.make_foreign_role("taken").await?;
    operator.deploy(&["--bucket", BUCKET, "--param", "RoleName=taken", "--yes"]).await?;
    let failed = operator.run(&["status"]).await?;
    expect(&failed, 3, &["ROLLBACK_COMPLETE", "First cause: VolumeAccess: Role taken already exists", "To go on: "])?;
    assert!(!in_one_line(&failed).contains("copies into Cavatica"), "there are no outputs");
    operator.cloudformation().delete_stack().stack_name(STACK).send().await?;
    while operator.status(STACK).await?.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let change_set = operator.cloudformation().create_change_set().stack_name(STACK).change_set_name("theirs");
    let change_set = change_set.change_set_type(aws_sdk_cloudformation::types::ChangeSetType::Create);
    change_set.template_body(r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#).send().await?;
    expect(&operator.run(&["status"]).await?, 3, &["REVIEW_IN_PROGRESS", "the stack contains only a change set"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn native_stacks_and_foreign_boundaries_are_looked_at_like_any_other() -> Outcome {
    let operator = Operator::start().await?;
    let native = ["deploy", "--native", "--bucket", BUCKET, "--yes", "--stack-name", "native"];
    expect(&operator.run(&native).await?, 0, &[])?;
    let status = ["status", "--stack-name", "native"];
    // The engine's CloudFormation leaves out the boundary of a role.
    let (iam, role) = (operator.iam(), operator.outputs("native").await?["RoleName"].clone());
    expect(&operator.run(&status).await?, 3, &["the permissions boundary of role", "is empty and should be"])?;
    let resources = operator.cloudformation().describe_stack_resources().stack_name("native").send().await?;
    let boundary = resources.stack_resources().iter().find(|it| it.logical_resource_id() == Some("Boundary"));
    let boundary = boundary.and_then(|it| it.physical_resource_id()).ok_or("no boundary")?;
    iam.put_role_permissions_boundary().role_name(&role).permissions_boundary(boundary).send().await?;
    expect(&operator.run(&status).await?, 0, &["the volume role: ", "the volume policy: ", "the boundary: "])?;
    iam.put_role_policy().role_name(&role).policy_name("more").policy_document(OPEN).send().await?;
    expect(&operator.run(&status).await?, 3, &["has inline policy more", "aws iam delete-role-policy"])?;
    let trust = OPEN.replace("\"Action\": \"*\"", "\"Action\": \"sts:AssumeRole\"");
    let trust = trust.replace("\"Resource\": \"*\"", "\"Principal\": {\"AWS\": \"210987654321\"}");
    iam.update_assume_role_policy().role_name(&role).policy_document(trust).send().await?;
    let foreign = operator.run(&status).await?;
    expect(&foreign, 3, &["210987654321", "aws iam update-assume-role-policy", "EXTERNAL-ID"])?;
    let external_id = operator.outputs("native").await?["ExternalId"].clone();
    assert!(!in_one_line(&foreign).contains(&external_id), "a pipe may be a log: {}", in_one_line(&foreign));

    let cap = iam.create_policy().policy_name("cap").policy_document(OPEN).send().await?;
    let cap = cap.policy.and_then(|policy| policy.arn).ok_or("no ARN")?;
    let given = format!("PermissionsBoundaryArn={cap}");
    operator.deployed(&["--bucket", BUCKET, "--param", &given]).await?;
    let resources = operator.cloudformation().describe_stack_resources().stack_name(STACK).send().await?;
    let provider = resources.stack_resources().iter().find(|it| it.logical_resource_id() == Some("ProviderRole"));
    let provider = provider.and_then(|it| it.physical_resource_id()).ok_or("no role")?;
    iam.put_role_permissions_boundary().role_name(provider).permissions_boundary(&cap).send().await?;
    let fine = operator.run(&["status"]).await?;
    expect(&fine, 0, &["the volume role: ", &cap, "it allows more than this volume, such as s3:GetObject"])?;
    let role = operator.outputs(STACK).await?["RoleName"].clone();
    iam.delete_role_permissions_boundary().role_name(&role).send().await?;
    expect(&operator.run(&["status"]).await?, 3, &["the permissions boundary of role", "is empty and should be"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_template_that_trusts_somebody_else_is_no_success() -> Outcome {
    let operator = Operator::start().await?;
    expect(&operator.run(&["deploy", "--native", "--bucket", BUCKET, "--yes"]).await?, 0, &[])?;
    let client = operator.cloudformation();
    let template = client.get_template().stack_name(STACK).send().await?.template_body.unwrap_or_default();
    let foreign =
        template.replace("arn:aws:iam::151136852077:role/volume-connection", "arn:aws:iam::210987654321:root");
    assert_ne!(foreign, template);
    let parameter = |name: &str| aws_sdk_cloudformation::types::Parameter::builder().parameter_key(name);
    let update = client.update_stack().stack_name(STACK).template_body(foreign);
    let update = update.parameters(parameter("BucketName").parameter_value(BUCKET).build());
    let update = update.parameters(parameter("ExternalId").use_previous_value(true).build());
    update.capabilities(aws_sdk_cloudformation::types::Capability::CapabilityNamedIam).send().await?;
    let output = operator.run(&["status", "--watch"]).await?;
    let trusted = "the stack's template trusts \"arn:aws:iam::210987654321:root\" in place of Cavatica's";
    expect(&output, 3, &[trusted, "verify arn:aws:cloudformation"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

/// Random valid parameters of a template.
fn random_parameters(random: &mut fastrand::Rng, is_native: bool) -> Vec<String> {
    let mut parameters = Vec::new();
    let mut set = |random: &mut fastrand::Rng, name: &str, values: &[&str]| {
        if random.bool() {
            parameters.push(format!("{name}={}", values[random.usize(..values.len())]));
        }
    };
    set(random, "Prefix", &["raw", "raw/2026", "a b/c'd", "x=y+z", "100%"]);
    set(random, "AccessMode", &["ReadOnly", "ReadWrite"]);
    set(random, "ProjectLocations", &["us-east-1", "us-west-2", "us-east-1,us-west-2"]);
    set(random, "MaxSessionDuration", &["3600", "43200", "7200"]);
    set(random, "Description", &["For the lab", "Grüße, #1: \"x\"", "a=b, c = d"]);
    set(random, "OmitObjectAcls", &["true", "false"]);
    set(random, "ExternalId", &["a-secret-of-32-characters-0000001", "none"]);
    if is_native {
        // The engine's policy simulator, which the function asks, errs for such roles and ignores a prefix as context.
        set(random, "RestrictListing", &["true", "false"]);
        set(random, "RoleName", &["my-role", "Role.With+All=Of,Them@x"]);
        set(random, "IamPath", &["/lab/", "/a/b/"]);
    } else {
        set(random, "RoleName", &["my-role", "My_Role.2"]);
        set(random, "Tags", &["a=1, b=2", " team = genomics ,cost=7", "k=v", "empty="]);
        set(random, "Checks", &["Enforce", "Report"]);
        set(random, "ConfigureCors", &["true", "false"]);
        set(random, "LogRetentionDays", &["1", "365"]);
    }
    parameters
}

#[tokio::test]
async fn right_after_a_deploy_with_any_parameters_status_exits_0() -> Outcome {
    let operator = Operator::start().await?;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..8 {
        let is_native = round % 2 == 1;
        let given = random_parameters(&mut random, is_native);
        let params: Vec<_> = given.iter().flat_map(|pair| ["--param", pair.as_str()]).collect();
        let source: &[&str] = if is_native { &["--native"] } else { &["--zip", &operator.zip] };
        let deploy = [&["deploy", "--bucket", BUCKET, "--yes"], source, params.as_slice()].concat();
        let context = format!("seed {seed}, {given:?}");
        expect(&operator.run(&deploy).await?, 0, &[]).map_err(|error| format!("{context}: {error}"))?;
        if is_native {
            // The engine's CloudFormation leaves out the boundary of a role.
            let resources = operator.cloudformation().describe_stack_resources().stack_name(STACK).send().await?;
            let boundary = resources.stack_resources().iter().find(|it| it.logical_resource_id() == Some("Boundary"));
            let boundary = boundary.and_then(|it| it.physical_resource_id()).ok_or("no boundary")?;
            let role = operator.outputs(STACK).await?["RoleName"].clone();
            operator
                .iam()
                .put_role_permissions_boundary()
                .role_name(role)
                .permissions_boundary(boundary)
                .send()
                .await?;
        }
        expect(&operator.run(&["status"]).await?, 0, &[]).map_err(|error| format!("{context}: {error}"))?;
        let destroyed = operator.run(&["destroy", "--yes"]).await?;
        expect(&destroyed, 0, &[]).map_err(|error| format!("{context}: {error}"))?;
    }
    operator.publisher.engine.stop().await?;
    Ok(())
}
