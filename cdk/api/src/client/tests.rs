use std::collections::VecDeque;
use std::sync::Mutex;

use cavatica_access::platform::CAVATICA;

use super::*;
use crate::credentials::Places;
use crate::model::Mode;

type Answer = Result<(u16, &'static str), HttpFailure>;
type TestOutcome = Result<(), Box<dyn std::error::Error>>;

/// Transport that gives answers from a list and records the requests.
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
}

impl Transport for &Script {
    async fn exchange(
        &self,
        method: &'static str,
        address: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Exchange, HttpFailure> {
        assert!(headers.contains(&(TOKEN_HEADER, "token-1")) && address.starts_with("http://127.0.0.1:1/v2/"));
        let path = address.trim_start_matches("http://127.0.0.1:1/v2");
        if let Ok(mut requests) = self.requests.lock() {
            requests.push(format!("{method} {path} {body}").trim_end().to_owned());
        }
        let answer = self.answers.lock().ok().and_then(|mut answers| answers.pop_front()).unwrap_or(Ok((200, "{}")));
        answer.map(|(status, body)| Exchange { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }
}

fn script(answers: &[Answer]) -> Script {
    Script { answers: Mutex::new(answers.to_vec().into()), requests: Mutex::default() }
}

fn api(script: &Script) -> Result<Api<&Script>, Box<dyn std::error::Error>> {
    let places = Places {
        endpoint: Some("http://127.0.0.1:1/v2/".to_owned()),
        token: Some(Secret::new("token-1".to_owned())),
        ..Places::default()
    };
    let credentials = Credentials::choose(&places, &CAVATICA)?;
    Ok(Api::new(
        script,
        &credentials,
        || 1_000,
        |line| assert!(!line.contains("token-1") && !line.contains("secret-1"), "{line}"),
    ))
}

fn requests(script: &Script) -> Vec<String> {
    script.requests.lock().map(|requests| requests.clone()).unwrap_or_default()
}

fn volume() -> NewVolume {
    NewVolume {
        name: "my_bucket".to_owned(),
        description: String::new(),
        mode: Mode::ReadOnly,
        bucket: "my-bucket".to_owned(),
        prefix: String::new(),
        role_arn: "arn".to_owned(),
        external_id: Some(Secret::new("secret-1".to_owned())),
        kms_key: None,
    }
}

const VOLUME: &str =
    r#"{"id":"lab/my_bucket","service":{"type":"S3","bucket":"my-bucket","credentials":{"external_id":"secret-1"}}}"#;

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_and_creations_are_not() -> TestOutcome {
    let lost = Err(HttpFailure::Connection);
    let reading = script(&[lost, Ok((504, "<html>")), Ok((503, r#"{"code":0}"#)), Ok((200, r#"{"username":"ann"}"#))]);
    assert_eq!(api(&reading)?.user().await?.username, "ann");
    assert_eq!(requests(&reading).len(), 4);

    for answer in [lost, Ok((504, "<html>"))] {
        let creating = script(&[answer]);
        let failed = api(&creating)?.create(&volume()).await;
        assert!(matches!(failed, Err(ApiError::Lost { .. })), "{failed:?}");
        assert_eq!(requests(&creating).len(), 1);
    }
    let limited = script(&[Ok((429, r#"{"code":1000}"#)), Ok((201, VOLUME))]);
    assert_eq!(api(&limited)?.create(&volume()).await?.id.as_str(), "lab/my_bucket", "a limit is no effect");

    let deleting = script(&[lost, Ok((404, r#"{"code":9007}"#))]);
    api(&deleting)?.delete(&"lab/my_bucket".parse()?).await?;
    assert_eq!(requests(&deleting), ["DELETE /storage/volumes/lab/my_bucket"; 2]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_read_and_the_token_stays_with_the_endpoint() -> TestOutcome {
    let next = r#"{"items":[{"id":"a/b"}],"links":[{"rel":"NEXT","href":"http://127.0.0.1:1/v2/storage/volumes?offset=100"}]}"#;
    let paged = script(&[Ok((200, next)), Ok((200, r#"{"items":[{"id":"c/d"}],"links":[]}"#))]);
    let ids: Vec<_> = api(&paged)?.volumes().await?.into_iter().map(|volume| volume.id.to_string()).collect();
    assert_eq!(ids, ["a/b", "c/d"]);

    let elsewhere = r#"{"items":[],"links":[{"rel":"next","href":"https://evil.example/v2?continuation_token=x"}]}"#;
    let diverted = script(&[Ok((200, elsewhere))]);
    let error = api(&diverted)?.volumes().await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("https://evil.example/v2,") && !error.contains("continuation"), "{error}");
    assert_eq!(requests(&diverted).len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn locations_and_ids_reach_the_api_as_they_are() -> TestOutcome {
    let script = script(&[]);
    let (api, id) = (api(&script)?, "lab/my-old.volume".parse()?);
    drop(api.object(&id, "raw/a+b & ü.txt").await);
    drop(api.browse(&id, "raw/", 1).await?);
    drop(api.transfers(TransferKind::Import, &id, "RUNNING").await?);
    assert_eq!(
        requests(&script),
        [
            "GET /storage/volumes/lab/my-old.volume/object?location=raw%2Fa%2Bb+%26+%C3%BC.txt",
            "GET /storage/volumes/lab/my-old.volume/list?prefix=raw%2F&limit=1&fields=_all",
            "GET /storage/imports?volume=lab%2Fmy-old.volume&state=RUNNING&offset=0&limit=100",
        ]
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_as_documented_are_named_without_their_text() -> TestOutcome {
    let odd = script(&[Ok((200, r#"{"username": {"token": "x-secret"}}"#))]);
    let error = api(&odd)?.user().await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("does not understand (status 200, line 1") && !error.contains("x-secret"), "{error}");
    Ok(())
}
