//! Exactly one answer on every path that only a fault inside the function can open: panics, and time running out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cavatica_access::owner::Tags;
use cavatica_access::platform::CAVATICA;
use cavatica_access::port::Action;
use cavatica_memory::MemoryAccount;
use cavatica_provider::provider::Provider;
use cavatica_provider::task::Pins;
use cavatica_simulation::events::{ROLE, STACK, event};
use cavatica_tests::scripted::{RecordedAnswers, Script, ScriptedAccount};
use cavatica_tests::{Error, Outcome};
use serde_json::Value;

const URL: &str = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/answer";

fn provider(stage: Script) -> Result<Provider<ScriptedAccount, RecordedAnswers>, Error> {
    let pins = Pins { stack: STACK.parse()?, principal: CAVATICA.principal.parse()? };
    let account = MemoryAccount::new("123456789012".parse()?).with_bucket("genomics-lab-data")?;
    Ok(Provider {
        account: ScriptedAccount { account, stage },
        post: RecordedAnswers::default(),
        pins: Ok(pins),
        is_local: false,
    })
}

fn only(provider: &Provider<ScriptedAccount, RecordedAnswers>) -> Result<Value, Error> {
    match provider.post.bodies().as_slice() {
        [answer] => Ok(answer.clone()),
        answers => Err(format!("{} answers", answers.len()).into()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_any_call_is_answered_with_what_was_being_done() -> Outcome {
    for (action, doing) in [
        (None, "asking which account"),
        (Some(Action::GetRole), "looking at role"),
        (Some(Action::CreateRole), "creating role"),
        (Some(Action::AttachRolePolicy), "attaching policy"),
    ] {
        let provider = provider(Box::new(move |called| {
            Box::pin(async move { assert!(called != action, "a panic that the test asked for") })
        }))?;
        provider.serve(&event("create", URL)?.to_string(), Duration::from_secs(180)).await?;
        let answer = only(&provider)?;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        assert!(answer["Status"] == "FAILED" && reason.contains("error of its own"), "{answer}");
        assert!(reason.contains(doing), "{answer}");
        assert_eq!(answer["PhysicalResourceId"], format!("arn:aws:iam::123456789012:role/{ROLE}"));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_timeout_names_the_pending_calls() -> Outcome {
    for (action, doing) in [
        (Action::GetRole, "looking at role"),
        (Action::CreatePolicy, "creating policy"),
        (Action::AttachRolePolicy, "attaching"),
    ] {
        let provider = provider(Box::new(move |called| {
            let hangs = called == Some(action);
            Box::pin(async move { tokio::time::sleep(Duration::from_secs(if hangs { 3_600 } else { 0 })).await })
        }))?;
        let begun = tokio::time::Instant::now();
        provider.serve(&event("create", URL)?.to_string(), Duration::from_secs(180)).await?;
        assert!(begun.elapsed() <= Duration::from_secs(170), "ten seconds are kept back for the answer");
        let answer = only(&provider)?;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        assert!(reason.contains("Time ran out after 180 s") && reason.contains(doing), "{answer}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_of_the_same_event_at_once_are_both_answered_with_success_and_leave_one_role() -> Outcome {
    let begun = Arc::new(AtomicUsize::new(0));
    let provider = provider(Box::new(move |_| {
        // Calls of the two interleave in changing order.
        let turn = begun.fetch_add(1, Ordering::Relaxed);
        Box::pin(tokio::time::sleep(Duration::from_millis(10 + (turn as u64 * 7) % 13)))
    }))?;
    for name in ["create", "update-in-place", "delete"] {
        let event = event(name, URL)?.to_string();
        let time = Duration::from_secs(180);
        let (one, other) = tokio::join!(provider.serve(&event, time), provider.serve(&event, time));
        one.and(other)?;
    }
    let answers = provider.post.bodies();
    assert_eq!(answers.len(), 6);
    assert!(answers.iter().all(|answer| answer["Status"] == "SUCCESS"), "{answers:#?}");
    let empty = MemoryAccount::new("123456789012".parse()?).with_bucket("genomics-lab-data")?;
    assert_eq!(provider.account.account.snapshot(), empty.snapshot());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_function_without_its_environment_says_so_to_cloudformation() -> Outcome {
    let mut provider = provider(Box::new(|_| Box::pin(async {})))?;
    provider.pins = Err("The function's environment lacks CAVATICA_STACK_ID".to_owned());
    provider.serve(&event("create", URL)?.to_string(), Duration::from_secs(180)).await?;
    let answer = only(&provider)?;
    assert!(answer["Reason"].as_str().is_some_and(|reason| reason.contains("lacks CAVATICA_STACK_ID")), "{answer}");
    assert!(provider.account.account.calls().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_change_of_letter_case_keeps_its_id_whatever_goes_wrong() -> Outcome {
    for panics in [false, true] {
        let provider = provider(Box::new(move |called| {
            let strikes = called == Some(Action::GetRole);
            Box::pin(async move {
                assert!(!(strikes && panics), "a panic that the test asked for");
                tokio::time::sleep(Duration::from_secs(if strikes { 3_600 } else { 0 })).await;
            })
        }))?;
        provider.serve(&event("update-letter-case-alone", URL)?.to_string(), Duration::from_secs(180)).await?;
        let answer = only(&provider)?;
        // With the new ID CloudFormation would send a Delete for it, and IAM would take that for the role in use.
        assert_eq!(answer["PhysicalResourceId"], format!("arn:aws:iam::123456789012:role/{ROLE}"), "{answer}");
    }
    Ok(())
}

/// Returns the rollback of such a Create must not fail for a role that its administrator made by the manual.
#[tokio::test(start_paused = true)]
async fn create_over_a_role_made_by_hand_fails_and_its_delete_succeeds() -> Outcome {
    let provider = provider(Box::new(|_| Box::pin(async {})))?;
    let time = Duration::from_secs(180);
    let mut create = event("create", URL)?;
    create["ResourceProperties"]["PermissionsBoundaryArn"] = "arn:aws:iam::123456789012:policy/Organisation".into();
    create["ResourceProperties"]["ExternalId"] = "lab-1234".into();
    let account = &provider.account.account;
    account.by_hand(&cavatica_memory::wide_boundary("arn:aws:iam::123456789012:policy/Organisation".parse()?))?;
    provider.serve(&create.to_string(), time).await?;
    account.set_role_tags_by_hand(&ROLE.parse()?, Tags::new());
    account.set_policy_tags_by_hand(&format!("arn:aws:iam::123456789012:policy/{ROLE}").parse()?, Tags::new());
    let made_by_hand = account.snapshot();

    provider.serve(&create.to_string(), time).await?;
    let refused = provider.post.bodies().pop().unwrap_or_default();
    assert!(refused["Reason"].as_str().is_some_and(|reason| reason.contains("already exists")), "{refused}");
    let mut delete = create;
    delete["RequestType"] = "Delete".into();
    delete["PhysicalResourceId"] = refused["PhysicalResourceId"].clone();
    let begun = tokio::time::Instant::now();
    provider.serve(&delete.to_string(), time).await?;
    let answer = provider.post.bodies().pop().unwrap_or_default();
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(30), "no Create is waited for that has answered");
    assert_eq!(account.snapshot(), made_by_hand);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_rejected_event_is_answered_in_whole_sentences() -> Outcome {
    type Change = fn(&mut Value);
    let changes: [Change; 6] = [
        |event| event["StackId"] = "another".into(),
        |event| event["ResourceType"] = "Custom::Other".into(),
        |event| event["RequestType"] = "Read".into(),
        |event| event["LogicalResourceId"] = "".into(),
        |event| event["ResourceProperties"]["Path"] = "no slash".into(),
        |event| event["ResourceProperties"]["Unknown"] = "1".into(),
    ];
    for change in changes {
        let provider = provider(Box::new(|_| Box::pin(async {})))?;
        let mut event = event("create", URL)?;
        change(&mut event);
        provider.serve(&event.to_string(), Duration::from_secs(180)).await?;
        let answer = only(&provider)?;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        assert!(reason.contains("Nothing was done.") && reason.ends_with('.') && !reason.contains(".."), "{reason}");
        assert!(!reason.contains("done If"), "{reason}");
    }
    Ok(())
}
