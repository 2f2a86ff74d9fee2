use std::collections::VecDeque;
use std::sync::Mutex;

use cavatica_access::platform::CAVATICA;
use cavatica_api::Credentials;
use cavatica_api::credentials::Places;
use cavatica_aws::http::{Exchange, HttpFailure};

use super::*;

type Answer = Result<(u16, &'static str), HttpFailure>;
type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Transport that gives answers from a list, and records method and path of each request.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
}

impl Transport for &Script {
    async fn exchange(
        &self,
        method: &'static str,
        address: &str,
        _: &[(&'static str, &str)],
        _: &str,
    ) -> Result<Exchange, HttpFailure> {
        let path = address.trim_start_matches("http://127.0.0.1:1/v2").split('?').next().unwrap_or_default();
        self.requests.lock().map_err(|_| HttpFailure::NotSent)?.push(format!("{method} {path}"));
        let answer = self.answers.lock().map_err(|_| HttpFailure::NotSent)?.pop_front();
        let (status, body) = answer.unwrap_or(Ok((500, "no more answers")))?;
        Ok(Exchange { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }
}

fn script(answers: &[Answer]) -> Script {
    Script { answers: Mutex::new(answers.to_vec().into()), ..Script::default() }
}

fn api(script: &Script) -> Result<Api<&Script>, Box<dyn std::error::Error>> {
    let endpoint = Some("http://127.0.0.1:1/v2".to_owned());
    let places = Places { endpoint, token: Some(Secret::new("token-1".to_owned())), ..Places::default() };
    Ok(Api::new(script, &Credentials::choose(&places, &CAVATICA)?, || 0, |_| {}))
}

fn count(script: &Script, request: &str) -> usize {
    script.requests.lock().map(|all| all.iter().filter(|one| one.as_str() == request).count()).unwrap_or_default()
}

fn stack() -> StackVolume {
    StackVolume {
        bucket: "lab-data".to_owned(),
        prefix: "raw".to_owned(),
        mode: Mode::ReadOnly,
        role_arn: "arn:aws:iam::123456789012:role/vol".to_owned(),
        external_id: Some(Secret::new("secret-1".to_owned())),
        kms_key: None,
    }
}

const NONE: &str = r#"{"items":[],"links":[]}"#;
const VOLUME: &str =
    r#"{"id":"ann/lab_data","access_mode":"RO","active":true,"service":{"bucket":"lab-data","prefix":"raw"}}"#;
const ONE: &str = r#"{"items":[{"id":"ann/lab_data","access_mode":"RO","active":true,"service":{"bucket":"lab-data","prefix":"raw"}}]}"#;
const NO_ACCESS: &str = r#"{"status":400,"code":9001,"message":"no access"}"#;
const TAKEN: &str = r#"{"status":409,"code":9010,"message":"exists"}"#;
const CREATE: &str = "POST /storage/volumes";

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leads_to_no_second_volume() -> TestResult {
    for lost in [Err(HttpFailure::Connection), Ok((504, "<html>"))] {
        let script = script(&[Ok((200, NONE)), lost, Ok((200, ONE))]);
        let attached = attach(&api(&script)?, &stack(), None).await?;
        assert_eq!((attached.volume.id.as_str(), attached.was_there), ("ann/lab_data", false));
        assert_eq!(count(&script, CREATE), 1);
    }
    // The effect of a lost creation shows only after the second one.
    for name in [None, Some("lab_data")] {
        let lost = Err(HttpFailure::Connection);
        let late = script(&[Ok((200, NONE)), lost, Ok((200, NONE)), Ok((409, TAKEN)), Ok((200, ONE))]);
        let attached = attach(&api(&late)?, &stack(), name).await?;
        assert_eq!((attached.volume.id.as_str(), attached.was_there, count(&late, CREATE)), ("ann/lab_data", false, 2));
    }
    // A request that never arrived is sent again once, and its second loss is reported.
    let absent = script(&[Ok((200, NONE)), Err(HttpFailure::Connection), Ok((200, NONE)), Ok((201, VOLUME))]);
    assert_eq!(attach(&api(&absent)?, &stack(), None).await?.volume.id.as_str(), "ann/lab_data");
    let lost = Err(HttpFailure::Connection);
    let twice = script(&[Ok((200, NONE)), lost, Ok((200, NONE)), lost]);
    assert!(attach(&api(&twice)?, &stack(), None).await.is_err());
    assert_eq!(count(&twice, CREATE), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_new_role_is_waited_for_two_minutes() -> TestResult {
    let denied = Ok((400, NO_ACCESS));
    let script = script(&[&[Ok((200, NONE))][..], &[denied; 5], &[Ok((201, VOLUME))]].concat());
    let begun = Instant::now();
    attach(&api(&script)?, &stack(), None).await?;
    assert_eq!((count(&script, CREATE), begun.elapsed().as_secs()), (6, 2 + 4 + 8 + 15 + 15));

    let never = self::script(&[&[Ok((200, NONE))][..], &[denied; 20]].concat());
    let begun = Instant::now();
    let error = attach(&api(&never)?, &stack(), None).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("code 9001") && begun.elapsed() <= ROLE_IN_FORCE_WITHIN, "{error}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_gets_an_end_unless_the_user_chose_it() -> TestResult {
    let script = script(&[Ok((200, NONE)), Ok((409, TAKEN)), Ok((200, NONE)), Ok((201, VOLUME))]);
    attach(&api(&script)?, &stack(), None).await?;
    let chosen = self::script(&[Ok((200, NONE)), Ok((409, TAKEN)), Ok((200, NONE))]);
    let error = attach(&api(&chosen)?, &stack(), Some("mine")).await.err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("the name mine is taken by a volume for another bucket or prefix: give another --volume-name")
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_differs_is_not_adopted() -> TestResult {
    for (volume, parts) in [
        (
            r#"{"items":[{"id":"a/b","active":false,"service":{"bucket":"lab-data","prefix":"raw"}}]}"#,
            ["deactivated", "`repair`"],
        ),
        (
            r#"{"items":[{"id":"a/b","service":{"bucket":"lab-data","prefix":"raw","credentials":{"access_key_id":"AKIA"}}}]}"#,
            ["access keys", "would break"],
        ),
        (
            r#"{"items":[{"id":"a/b","service":{"bucket":"lab-data","prefix":"raw/","credentials":{"role_arn":"other"}}}]}"#,
            ["role other", "`repair`"],
        ),
    ] {
        let script = script(&[Ok((200, volume))]);
        let error =
            attach(&api(&script)?, &stack(), None).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(parts.iter().all(|part| error.contains(part)) && !error.contains("secret-1"), "{error}");
        assert_eq!(count(&script, CREATE), 0);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_stays_is_not_said_to_be_gone() -> TestResult {
    let id: VolumeId = "ann/lab_data".parse()?;
    let stays = script(&[Ok((200, VOLUME)), Ok((204, "")), Ok((200, VOLUME))]);
    assert!(matches!(detach(&api(&stays)?, &id, &[], false).await, Err(AttachmentError::StillThere(_))));
    let lost = script(&[Ok((200, VOLUME)), Err(HttpFailure::Connection), Ok((404, "{}")), Ok((404, "{}"))]);
    detach(&api(&lost)?, &id, &[], false).await?;
    let other = r#"{"id":"a/b","service":{"bucket":"other","prefix":"raw"}}"#;
    let volume: Volume = serde_json::from_str(other)?;
    let refused = repair(&api(&script(&[]))?, &stack(), &volume).await.err().map(|error| error.to_string());
    assert!(refused.is_some_and(|error| error.contains("s3://other/raw/")));
    Ok(())
}
