//! Number of AWS calls in sequence, which a stack's administrator waits for.
//!
//! Every call and the answer take exactly one second of virtual time, so the seconds are the round trips.

use std::time::Duration;

use cavatica_access::port::{Action, Change};
use cavatica_memory::MemoryAccount;
use cavatica_provider::provider::Provider;
use cavatica_provider::task::Pins;
use cavatica_simulation::events::{self, ROLE, STACK, with};
use cavatica_tests::scripted::{RecordedAnswers, ScriptedAccount};
use cavatica_tests::{Error, Outcome};
use serde_json::{Value, json};

const TRIP: Duration = Duration::from_secs(1);
/// Nothing is sent there: the answers are kept.
const URL: &str = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/answer";

type Served = Provider<ScriptedAccount, RecordedAnswers>;

fn provider() -> Result<Served, Error> {
    let account = MemoryAccount::new("123456789012".parse()?).with_bucket("genomics-lab-data")?;
    let pins = Pins { stack: STACK.parse()?, principal: cavatica_access::platform::CAVATICA.principal.parse()? };
    Ok(Provider {
        account: ScriptedAccount::taking(account, TRIP),
        post: RecordedAnswers::taking(TRIP),
        pins: Ok(pins),
        is_local: false,
    })
}

/// Serves an event; the round trips it took.
async fn trips(provider: &Served, event: &Value) -> Result<u64, Error> {
    let begun = tokio::time::Instant::now();
    provider.serve(&event.to_string(), Duration::from_secs(180)).await?;
    let answer = provider.post.bodies().pop().unwrap_or_default();
    if answer["Status"] != "SUCCESS" {
        return Err(answer.to_string().into());
    }
    Ok(begun.elapsed().as_secs())
}

/// Returns a fixture as it is, or without checks.
fn event(name: &str, checks: &str) -> Result<Value, Error> {
    let event = events::event(name, URL)?;
    Ok(if event["RequestType"] == "Delete" { event } else { with(event, "/Checks", json!(checks)) })
}

#[tokio::test(start_paused = true)]
async fn an_uncontended_create_takes_four() -> Outcome {
    let provider = provider()?;
    assert_eq!(trips(&provider, &event("create", "Off")?).await?, 4, "look, create, attach, answer");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn checks_add_two_to_a_create_and_one_to_an_update() -> Outcome {
    let provider = provider()?;
    let create = trips(&provider, &event("create", "Enforce")?).await?;
    assert_eq!(create, 6, "look, how the bucket encrypts, create, attach, simulate, answer");
    let update = with(event("update-in-place", "Enforce")?, "/Volumes/0/Prefix", json!("raw"));
    assert_eq!(trips(&provider, &update).await?, 5, "look, look into, new version, simulate, answer");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cors_rule_adds_four_to_a_create() -> Outcome {
    let provider = provider()?;
    let create = with(event("create", "Off")?, "/ConfigureCors", json!("true"));
    assert_eq!(trips(&provider, &create).await?, 8, "where the bucket is, read, write, read back");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_policy_update_takes_four_round_trips_and_five_with_a_full_policy() -> Outcome {
    let provider = provider()?;
    trips(&provider, &event("create", "Off")?).await?;
    for (round, expected) in [(1, 4), (2, 4), (3, 4), (4, 4), (5, 5)] {
        let update = with(event("update-in-place", "Off")?, "/Volumes/0/Prefix", json!(format!("raw/{round}")));
        assert_eq!(trips(&provider, &update).await?, expected, "update {round}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_update_with_nothing_to_change_takes_three() -> Outcome {
    let provider = provider()?;
    let mut update = event("update-in-place", "Off")?;
    update["ResourceProperties"] = event("create", "Off")?["ResourceProperties"].clone();
    trips(&provider, &event("create", "Off")?).await?;
    update["OldResourceProperties"] = update["ResourceProperties"].clone();
    assert_eq!(trips(&provider, &update).await?, 3, "look, look into, answer");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_update_asks_for_role_and_policy_once() -> Outcome {
    let provider = provider()?;
    trips(&provider, &event("create", "Off")?).await?;
    let before = provider.account.account.calls().len();
    let update = with(event("update-in-place", "Off")?, "/Volumes/0/Prefix", json!("raw"));
    trips(&provider, &update).await?;
    let calls = &provider.account.account.calls()[before..];
    let count = |action: Action| calls.iter().filter(|call| **call == action).count();
    assert_eq!((count(Action::GetRole), count(Action::GetPolicy)), (1, 1), "{calls:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn delete_takes_five_round_trips_and_seven_for_an_unknown_policy_name() -> Outcome {
    let provider = provider()?;
    trips(&provider, &event("create", "Off")?).await?;
    trips(&provider, &event("update-in-place", "Off")?).await?;
    let delete = event("delete", "Off")?;
    assert_eq!(trips(&provider, &delete).await?, 5, "look, look into, detach, policy and role, answer");
    assert_eq!(trips(&provider, &delete).await?, 8, "a repeat finds nothing: look, five seconds, look, answer");

    let named = with(event("create", "Off")?, "/PolicyName", json!("another-name"));
    trips(&provider, &named).await?;
    assert_eq!(trips(&provider, &delete).await?, 7, "only the role's tag tells the policy's name");
    trips(&provider, &named).await?;
    let delete = with(delete, "/PolicyName", json!("another-name"));
    assert_eq!(
        trips(&provider, &delete).await?,
        6,
        "nothing but the role leads to it where no retry comes: the role goes last"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn delete_detaches_policies_that_others_attached() -> Outcome {
    let provider = provider()?;
    trips(&provider, &event("create", "Off")?).await?;
    for policy in ["ReadOnlyAccess", "SecurityAudit", "job-function/Billing"] {
        let arn = format!("arn:aws:iam::aws:policy/{policy}").parse()?;
        provider.account.account.by_hand(&Change::Attach { role: ROLE.parse()?, arn })?;
    }
    assert_eq!(trips(&provider, &event("delete", "Off")?).await?, 5);
    let detached = provider.account.account.calls().iter().filter(|call| **call == Action::DetachRolePolicy).count();
    assert_eq!(detached, 4);
    Ok(())
}
