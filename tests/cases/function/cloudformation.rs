//! CloudFormation's part, played back as text: what is done, what is answered, and which event comes next.

use std::sync::Arc;

use cavatica_simulation::cloudformation::{Operation, Rollback, Stack, StackRequest, Status, Step, read};
use cavatica_tests::Outcome;
use serde_json::{Value, json};

fn requested(name: &str) -> Arc<StackRequest<String>> {
    Arc::new(StackRequest { properties: json!({"RoleName": name}), deployment: name.to_owned() })
}

fn create(name: &str) -> Operation<String> {
    Operation::Create { requested: requested(name), sibling_fails: false }
}

fn update(name: &str) -> Operation<String> {
    Operation::Update { requested: requested(name), sibling_fails: false, rollback: Rollback::default() }
}

fn failing(name: &str, rollback: Rollback) -> Operation<String> {
    Operation::Update { requested: requested(name), sibling_fails: true, rollback }
}

fn delete() -> Operation<String> {
    Operation::Delete { retain: false }
}

/// Carries an operation out; each event is answered with the next of `answers`: `ok ID`, `failed ID` or `nothing`. The
/// steps as text, and the status at the end.
fn described(stack: &mut Stack<String>, operation: Operation<String>, answers: &[&str]) -> Result<String, String> {
    let mut answers = answers.iter();
    let mut lines = Vec::new();
    if !stack.begin(operation) {
        return Ok("not possible".to_owned());
    }
    while let Some(step) = stack.step() {
        match step {
            Step::Deploy(requested) => lines.push(format!("deploy {}", requested.deployment)),
            Step::Send(event) => {
                let name = |properties: &Value| properties["RoleName"].as_str().unwrap_or("-").to_owned();
                let id = event["PhysicalResourceId"].as_str().unwrap_or("-");
                let (new, old) = (name(&event["ResourceProperties"]), name(&event["OldResourceProperties"]));
                lines.push(format!("{} {id} {new} {old}", event["RequestType"].as_str().unwrap_or_default()));
                let answer = answers.next().ok_or_else(|| format!("one event too many: {lines:?}"))?;
                let body = answer.split_once(' ').map(|(status, id)| {
                    let status = if status == "ok" { "SUCCESS" } else { "FAILED" };
                    let mut body = json!({"Status": status, "PhysicalResourceId": id, "Reason": "because"});
                    for echoed in ["StackId", "RequestId", "LogicalResourceId"] {
                        body[echoed] = event[echoed].clone();
                    }
                    body.to_string()
                });
                stack.take(body.as_deref())?;
            }
        }
    }
    lines.push(format!("{:?}", stack.status()));
    Ok(lines.join("; "))
}

/// Returns a stack that was created as `a`.
fn created() -> Result<Stack<String>, String> {
    let mut stack = Stack::new("");
    described(&mut stack, create("a"), &["ok A"])?;
    Ok(stack)
}

#[test]
fn a_failed_create_is_followed_by_a_delete_of_what_was_answered_or_made_up() -> Outcome {
    for (answers, steps) in [
        (vec!["ok A"], "deploy a; Create - a -; Complete"),
        (vec!["failed A", "ok A"], "deploy a; Create - a -; Delete A a -; Gone"),
        (vec!["failed A", "failed A"], "deploy a; Create - a -; Delete A a -; CreateRollbackFailed"),
        (
            vec!["nothing", "ok my-volume-VolumeAccess-ABCDEFGHIJKL"],
            "deploy a; Create - a -; Delete my-volume-VolumeAccess-ABCDEFGHIJKL a -; Gone",
        ),
    ] {
        assert_eq!(described(&mut Stack::new(""), create("a"), &answers)?, steps);
    }
    let sibling = Operation::Create { requested: requested("a"), sibling_fails: true };
    assert_eq!(
        described(&mut Stack::new(""), sibling, &["ok A", "ok A"])?,
        "deploy a; Create - a -; Delete A a -; Gone"
    );
    Ok(())
}

#[test]
fn a_replacement_is_followed_by_one_delete_whose_failure_is_ignored() -> Outcome {
    for (answers, steps) in [
        (vec!["ok A"], "deploy b; Update A b a; Complete"),
        (vec!["ok B", "ok A"], "deploy b; Update A b a; Delete A a -; Complete"),
        (vec!["ok B", "failed A"], "deploy b; Update A b a; Delete A a -; Complete"),
        (vec!["ok B", "nothing"], "deploy b; Update A b a; Delete A a -; Complete"),
    ] {
        let mut stack = created()?;
        assert_eq!(described(&mut stack, update("b"), &answers)?, steps);
    }
    Ok(())
}

#[test]
fn an_update_that_fails_is_reversed_and_what_is_newer_deleted_last() -> Outcome {
    let (first, last) = (Rollback::default(), Rollback { resource_first: true, ..Rollback::default() });
    let forgetting = Rollback { forgets_failed_id: true, ..Rollback::default() };
    for (operation, answers, steps) in [
        (update("b"), vec!["failed A", "ok A"], "deploy b; Update A b a; deploy a; Update A a b; Complete"),
        (update("b"), vec!["nothing", "ok A"], "deploy b; Update A b a; deploy a; Update A a b; Complete"),
        (
            update("b"),
            vec!["failed B", "ok A", "ok B"],
            "deploy b; Update A b a; deploy a; Update B a b; Delete B b -; Complete",
        ),
        (
            failing("b", first),
            vec!["ok B", "ok A", "failed B"],
            "deploy b; Update A b a; deploy a; Update B a b; Delete B b -; Complete",
        ),
        (
            failing("b", last),
            vec!["ok B", "ok A", "ok B"],
            "deploy b; Update A b a; Update B a b; deploy a; Delete B b -; Complete",
        ),
        (
            Operation::Update { requested: requested("b"), sibling_fails: false, rollback: forgetting },
            vec!["failed B", "ok A"],
            "deploy b; Update A b a; deploy a; Update A a b; Complete",
        ),
    ] {
        assert_eq!(described(&mut created()?, operation, &answers)?, steps);
    }
    Ok(())
}

#[test]
fn a_rollback_that_failed_is_continued_or_the_stack_deleted() -> Outcome {
    let mut stack = created()?;
    described(&mut stack, failing("b", Rollback::default()), &["ok B", "failed A"])?;
    assert_eq!((stack.status(), stack.physical_id()), (Status::UpdateRollbackFailed, "B"));
    assert_eq!(described(&mut stack, update("c"), &[])?, "not possible");
    assert_eq!(
        described(&mut stack, Operation::ContinueRollback, &["failed A"])?,
        "Update B a b; UpdateRollbackFailed"
    );
    assert_eq!(
        described(&mut stack, Operation::ContinueRollback, &["ok A", "ok B"])?,
        "Update B a b; Delete B b -; Complete"
    );

    let mut stack = created()?;
    described(&mut stack, failing("b", Rollback::default()), &["ok B", "failed A"])?;
    assert_eq!(described(&mut stack, delete(), &["ok B"])?, "Delete B a -; Gone");
    Ok(())
}

#[test]
fn a_delete_that_failed_can_be_tried_again_or_given_up() -> Outcome {
    let mut stack = created()?;
    assert_eq!(described(&mut stack, delete(), &["failed A"])?, "Delete A a -; DeleteFailed");
    assert_eq!(described(&mut stack, delete(), &["nothing"])?, "Delete A a -; DeleteFailed");
    assert_eq!(described(&mut stack, Operation::Delete { retain: true }, &[])?, "Retained");
    let mut stack = created()?;
    described(&mut stack, delete(), &["failed A"])?;
    assert_eq!(described(&mut stack, delete(), &["ok A"])?, "Delete A a -; Gone");
    Ok(())
}

#[test]
fn an_answer_that_breaks_the_protocol_is_told() {
    let event = json!({"RequestType": "Delete", "StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "PhysicalResourceId": "A"});
    let sound = json!({"Status": "SUCCESS", "StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "PhysicalResourceId": "A"});
    assert!(read(&event, &sound.to_string()).is_ok());
    let with = |name: &str, value: Value| {
        let mut answer = sound.clone();
        answer[name] = value;
        read(&event, &answer.to_string()).err().unwrap_or_default()
    };
    for (name, value, said) in [
        ("StackId", json!("other"), "another StackId"),
        ("RequestId", json!("other"), "another RequestId"),
        ("LogicalResourceId", json!("other"), "another LogicalResourceId"),
        ("PhysicalResourceId", json!("B"), "another PhysicalResourceId"),
        ("PhysicalResourceId", json!(""), "no usable PhysicalResourceId"),
        ("PhysicalResourceId", json!("x".repeat(1_025)), "no usable PhysicalResourceId"),
        ("Status", json!("FAILED"), "FAILED without a Reason"),
        ("Status", json!("Success"), "no Status"),
        ("Data", json!("x".repeat(4_096)), "more than 4,096 bytes"),
    ] {
        assert!(with(name, value.clone()).contains(said), "{name} {value}: {}", with(name, value.clone()));
    }
}
