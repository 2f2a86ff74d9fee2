//! The real Lambda binary over real HTTP: events as CloudFormation sends them in, the local engine's IAM behind, and a
//! strict mailbox for the answers. The events come in CloudFormation's documented order, which the engine does not
//! keep.

use std::time::Duration;

use cavatica_local::engine::Engine;
use cavatica_local::workspace::Workspace;
use cavatica_provider::task::ROLE_IS_FOREIGN;
use cavatica_simulation::events::{EXTERNAL_ID, ROLE, event, text, with};
use cavatica_tests::answer_server::AnswerServer;
use cavatica_tests::function::{Environment, Function, InvocationResult};
use cavatica_tests::system::{self, System};
use cavatica_tests::{Error, Outcome};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

/// Runs one event and returns the one answer it gave.
async fn answer_to(function: &mut Function, fixture: &str) -> Result<Value, Error> {
    let answer_server = AnswerServer::start().await?;
    answer_in(function, &answer_server, &event(fixture, &answer_server.response_url())?).await
}

async fn answer_in(function: &mut Function, answer_server: &AnswerServer, event: &Value) -> Result<Value, Error> {
    let end = function.invoke(event, TIME).await?;
    if end != InvocationResult::Returned {
        return Err(format!("the invocation ended with {end:?}").into());
    }
    let answer = answer_server.only_answer()?;
    for id in ["StackId", "RequestId", "LogicalResourceId"] {
        if answer[id] != event[id] {
            return Err(format!("{id} is not echoed: {answer}").into());
        }
    }
    Ok(answer)
}

fn arn(role: &str) -> String {
    format!("arn:aws:iam::{}:role/{role}", Engine::ACCOUNT)
}

fn reason(answer: &Value) -> &str {
    answer["Reason"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn create_update_rename_and_delete_leave_nothing() -> Outcome {
    let system = System::start().await?;
    system.add_foreign(Some("bystander"), Some("bystander")).await?;
    let before = system.account().await?;
    let mut function =
        Function::start(&system::binary().await?, Environment::of_the_fixtures(system.engine.url())).await?;

    let created = answer_to(&mut function, "create").await?;
    assert_eq!((&created["Status"], &created["PhysicalResourceId"]), (&json!("SUCCESS"), &json!(arn(ROLE))));
    let data = &created["Data"];
    assert_eq!(data["RoleArn"], arn(ROLE));
    assert_eq!(data["PolicyName"], ROLE);
    assert_eq!(data["ExternalId"], EXTERNAL_ID);
    assert_eq!(data["AccountId"], Engine::ACCOUNT);
    assert!(data["RoleId"].as_str().is_some_and(|id| id.starts_with("AROA")), "{data}");
    let repeated = answer_to(&mut function, "create").await?;
    assert_eq!(repeated["Data"], *data, "a repeat of the same event finds its own work");

    let updated = answer_to(&mut function, "update-in-place").await?;
    assert_eq!(updated["Data"], *data, "an update in place keeps role and policy");
    let held = &system.account().await?[&format!("arn:aws:iam::123456789012:policy/{ROLE}")];
    assert!(held["document"].to_string().contains("s3:PutObject"), "{held}");

    let renamed = answer_to(&mut function, "update-rename").await?;
    assert_eq!(renamed["PhysicalResourceId"], arn("lab-volume"), "a new ID makes it a replacement");
    let both = system.account().await?;
    assert!(
        both.contains_key(&arn(ROLE)) && both.contains_key(&arn("lab-volume")),
        "the old role serves until it is deleted"
    );
    answer_to(&mut function, "delete").await?;
    assert!(!system.account().await?.contains_key(&arn(ROLE)));

    let answer_server = AnswerServer::start().await?;
    let mut delete = event("delete", &answer_server.response_url())?;
    delete["PhysicalResourceId"] = json!(arn("lab-volume"));
    for name in ["RoleName", "PolicyName"] {
        delete["ResourceProperties"][name] = json!("lab-volume");
    }
    answer_in(&mut function, &answer_server, &delete).await?;
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_a_sibling_rolls_back_leaves_the_first_role_in_use() -> Outcome {
    let system = System::start().await?;
    let mut function =
        Function::start(&system::binary().await?, Environment::of_the_fixtures(system.engine.url())).await?;
    answer_to(&mut function, "create").await?;
    answer_to(&mut function, "update-rename").await?;
    let reversed = answer_to(&mut function, "update-rename-reversed").await?;
    assert_eq!(reversed["PhysicalResourceId"], arn(ROLE));

    let answer_server = AnswerServer::start().await?;
    let mut delete = event("delete", &answer_server.response_url())?;
    delete["PhysicalResourceId"] = json!(arn("lab-volume"));
    answer_in(&mut function, &answer_server, &delete).await?;
    let account = system.account().await?;
    assert!(account.contains_key(&arn(ROLE)) && !account.contains_key(&arn("lab-volume")), "{account:#?}");
    assert_eq!(account[&arn(ROLE)]["attached"], json!([format!("arn:aws:iam::123456789012:policy/{ROLE}")]));
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_role_or_policy_survives_a_failed_create_and_its_delete() -> Outcome {
    for (role, policy, kind) in
        [(Some(ROLE), None, "Role"), (None, Some(ROLE), "Policy"), (Some(ROLE), Some(ROLE), "Role")]
    {
        let system = System::start().await?;
        system.add_foreign(role, policy).await?;
        let before = system.account().await?;
        let mut function =
            Function::start(&system::binary().await?, Environment::of_the_fixtures(system.engine.url())).await?;
        let failed = answer_to(&mut function, "create").await?;
        assert!(reason(&failed).contains(&format!("{kind} {ROLE} already exists and is not this stack's")), "{failed}");
        let id = if kind == "Role" { ROLE_IS_FOREIGN.to_owned() } else { arn(ROLE) };
        assert_eq!(failed["PhysicalResourceId"], id);
        // CloudFormation follows a failed Create with a Delete of the ID that was answered.
        let answer_server = AnswerServer::start().await?;
        let mut delete = event("delete", &answer_server.response_url())?;
        delete["PhysicalResourceId"] = json!(id);
        let deleted = answer_in(&mut function, &answer_server, &delete).await?;
        assert_eq!(deleted["Status"], "SUCCESS", "{deleted}");
        assert_eq!(system.account().await?, before, "{role:?} {policy:?}");
        system.engine.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_no_rollback_could_undo_are_refused() -> Outcome {
    let system = System::start().await?;
    let mut function =
        Function::start(&system::binary().await?, Environment::of_the_fixtures(system.engine.url())).await?;
    answer_to(&mut function, "create").await?;
    let before = system.account().await?;
    for (fixture, said) in [
        ("update-policy-name-alone", "may change only together with RoleName"),
        ("update-letter-case-alone", "IAM ignores letter case in names"),
    ] {
        let refused = answer_to(&mut function, fixture).await?;
        assert!(refused["Status"] == "FAILED" && reason(&refused).contains(said), "{refused}");
        assert_eq!(refused["PhysicalResourceId"], arn(ROLE), "the ID stays, or a Delete of the live role would follow");
        // The rollback asks for what there is.
        let answer_server = AnswerServer::start().await?;
        let mut reverse = event(fixture, &answer_server.response_url())?;
        reverse["OldResourceProperties"] = reverse["ResourceProperties"].clone();
        reverse["ResourceProperties"] = event("create", "")?["ResourceProperties"].clone();
        let reversed = answer_in(&mut function, &answer_server, &reverse).await?;
        assert_eq!(reversed["Status"], "SUCCESS", "{reversed}");
        assert_eq!(system.account().await?, before, "{fixture}");
    }
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_finds_its_role_by_name_when_cloudformation_made_the_id_up() -> Outcome {
    let system = System::start().await?;
    let before = system.account().await?;
    let mut function =
        Function::start(&system::binary().await?, Environment::of_the_fixtures(system.engine.url())).await?;
    answer_to(&mut function, "create").await?;
    let answer_server = AnswerServer::start().await?;
    let delete = event("delete-with-an-id-that-cloudformation-made-up", &answer_server.response_url())?;
    // A Create that was cancelled may still be running: the Delete waits for it, for a minute if there is so much time.
    assert_eq!(function.invoke(&delete, Duration::from_secs(24)).await?, InvocationResult::Returned);
    let deleted = answer_server.only_answer()?;
    assert_eq!(deleted["PhysicalResourceId"], "my-volume-VolumeAccess-ABCDEFGHIJKL", "a Delete echoes the ID");
    assert_eq!(system.account().await?, before);
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_property_value_and_rule_before_any_aws_call() -> Outcome {
    let aws = AnswerServer::start().await?;
    let mut function = Function::start(&system::binary().await?, Environment::of_the_fixtures(aws.address())).await?;
    let too_long = "r".repeat(65);
    let long_boundary = format!("arn:aws:iam::123456789012:policy/{}/b", "p".repeat(216));
    for (pointer, value, property, rule) in [
        ("/Volumes/0/BucketName", "Genomics-Lab", "Volumes[0].BucketName", "lower case letters"),
        ("/Volumes/0/Prefix", "raw/*", "Volumes[0].Prefix", "IAM would read them as patterns"),
        ("/Volumes/0/Prefix", "s3://genomics-lab-data/raw", "Volumes[0].Prefix", "give raw"),
        ("/Volumes/0/Prefix", "genomics-lab-data/raw", "Volumes[0].Prefix", "the prefix alone: give raw"),
        ("/PermissionsBoundaryArn", long_boundary.as_str(), "PermissionsBoundaryArn", "at most 250 characters"),
        ("/Buckets", "genomics-lab-data", "Buckets", "is not a property of Custom::CavaticaVolumeAccess"),
        ("/Volumes/0/AccessMode", "read-only", "Volumes[0].AccessMode", "ReadOnly or ReadWrite"),
        ("/ExternalId", "12345", "ExternalId", "6 to 1224 characters"),
        ("/RoleName", too_long.as_str(), "RoleName", "1 to 64 characters"),
    ] {
        let answer_server = AnswerServer::start().await?;
        let create = with(event("create", &answer_server.response_url())?, pointer, json!(value));
        let refused = answer_in(&mut function, &answer_server, &create).await?;
        let said = reason(&refused);
        let names_value = said.contains(value.get(..100).unwrap_or(value)) || pointer == "/Buckets";
        assert!(said.contains(property) && names_value && said.contains(rule), "{said}");
        assert_eq!(refused["PhysicalResourceId"], "cavatica-connect-nothing-was-made");

        let answer_server = AnswerServer::start().await?;
        let update = with(event("update-in-place", &answer_server.response_url())?, pointer, json!(value));
        let refused = answer_in(&mut function, &answer_server, &update).await?;
        assert_eq!(refused["PhysicalResourceId"], arn(ROLE), "a refused update keeps the ID");
    }
    for (fixture, said) in [
        ("create-of-another-stack", "serves only"),
        ("create-of-another-type", "Custom::SomethingElse"),
        ("read", "none of Create, Update and Delete"),
    ] {
        let refused = answer_to(&mut function, fixture).await?;
        assert!(refused["Status"] == "FAILED" && reason(&refused).contains(said), "{refused}");
    }
    for (fixture, status) in [("create", "FAILED"), ("update-in-place", "FAILED"), ("delete", "SUCCESS")] {
        for no_id in [json!(null), json!("")] {
            let answer_server = AnswerServer::start().await?;
            let mut nameless = event(fixture, &answer_server.response_url())?;
            nameless["LogicalResourceId"] = no_id;
            function.invoke(nameless.to_string(), TIME).await?;
            let answer = answer_server.only_answer()?;
            assert_eq!(answer["Status"], status, "{answer}");
            assert!(status == "SUCCESS" || reason(&answer).contains("no LogicalResourceId"), "{answer}");
        }
    }
    let deleted = answer_to(&mut function, "delete-after-nothing-was-made").await?;
    assert_eq!(deleted["Status"], "SUCCESS", "{deleted}");

    let answer_server = AnswerServer::start().await?;
    let cut = text("create-cut-in-the-middle.txt", &answer_server.response_url())?;
    assert_eq!(function.invoke(cut, TIME).await?, InvocationResult::Returned);
    assert!(
        reason(&answer_server.only_answer()?).contains("could not be read"),
        "an event that is not JSON is answered too"
    );
    assert_eq!(aws.requests().len(), 0, "no AWS call");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_response_url_nor_external_id_is_in_the_log_of_a_whole_run() -> Outcome {
    let system = System::start().await?;
    let mut function =
        Function::start(&system::binary().await?, Environment::of_the_fixtures(system.engine.url())).await?;
    for fixture in ["create", "update-in-place", "update-policy-name-alone", "update-rename", "delete", "read"] {
        answer_to(&mut function, fixture).await?;
    }
    // Refused because of the external ID itself, and not delivered at first.
    let answer_server = AnswerServer::answering([500]).await?;
    let bad = with(event("create", &answer_server.response_url())?, "/ExternalId", json!("bad secret!"));
    let refused = answer_in(&mut function, &answer_server, &bad).await?;
    assert!(reason(&refused).contains("bad secret!"), "the administrator is told: {refused}");
    let cut = text("create-cut-in-the-middle.txt", &answer_server.response_url())?;
    function.invoke(cut, TIME).await?;

    let log = function.log().await;
    assert!(log.contains("\"reconciled\"") && log.contains("FAILED"), "the log tells what was done: {log}");
    for secret in ["do-not-log-me", "X-Amz-Signature", EXTERNAL_ID, "bad secret!"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
    system.engine.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_its_pins_answers_what_is_missing() -> Outcome {
    let engine = Engine::start(&Workspace::locate()?).await?;
    let environment = Environment::of_the_fixtures(engine.url()).without("CAVATICA_STACK_ID");
    let mut function = Function::start(&system::binary().await?, environment).await?;
    let refused = answer_to(&mut function, "create").await?;
    assert!(reason(&refused).contains("lacks CAVATICA_STACK_ID"), "{refused}");
    engine.stop().await?;
    Ok(())
}
