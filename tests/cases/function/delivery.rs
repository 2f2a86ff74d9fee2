//! The answer's delivery by the real binary: whatever the `ResponseURL` does, the answer arrives as soon as it can,
//! goes nowhere else, and is in time.

use std::net::SocketAddr;
use std::time::Duration;

use cavatica_simulation::events::event;
use cavatica_tests::answer_server::AnswerServer;
use cavatica_tests::function::{Environment, Function, InvocationResult};
use cavatica_tests::{Error, Outcome, system};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// Longest that an event may take here, unless a test says otherwise.
const TIME: Duration = Duration::from_secs(60);
/// Secret that no log may contain.
const SIGNATURE: &str = "do-not-log-me";

/// Returns a function whose AWS nobody calls.
async fn function() -> Result<(Function, AnswerServer), Error> {
    let aws = AnswerServer::start().await?;
    let environment = Environment::of_the_fixtures(aws.address());
    Ok((Function::start(&system::binary().await?, environment).await?, aws))
}

/// Returns an event that needs no AWS, to be answered somewhere.
fn event_to(url: &str) -> Result<Value, Error> {
    event("delete-after-nothing-was-made", url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_is_sent_again_until_it_is() -> Outcome {
    let (mut function, _aws) = function().await?;
    for first in [vec![500, 500], vec![403], vec![503, 403, 500]] {
        let answer_server = AnswerServer::answering(first.clone()).await?;
        assert_eq!(
            function.invoke(event_to(&answer_server.response_url())?, TIME).await?,
            InvocationResult::Returned,
            "{first:?}"
        );
        answer_server.only_answer()?;
        let statuses: Vec<_> = answer_server.requests().iter().map(|request| request.status).collect();
        assert_eq!(statuses, [first, vec![200]].concat());
        let is_empty = |request: &cavatica_tests::answer_server::Request| request.content_type.as_deref() == Some("");
        assert!(answer_server.requests().iter().all(is_empty), "signed for an empty one");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeliverable_answer_fails_the_invocation_before_the_timeout() -> Outcome {
    let (mut function, _aws) = function().await?;
    let forbidden = AnswerServer::answering(std::iter::repeat_n(403, 1_000)).await?;
    // Taken, so that nobody else gets it meanwhile, and not listened at, so that every connection is refused.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let port = socket.local_addr()?.as_socket().ok_or("no port")?.port();
    let closed = format!("http://127.0.0.1:{port}/answer?X-Amz-Signature={SIGNATURE}");
    let place = "cloudformation-custom-resource-response-useast1.s3.no-such-region.amazonaws.com";
    let unknown = format!("https://{place}/answer?X-Amz-Signature={SIGNATURE}");
    for (url, last) in [
        (forbidden.response_url(), "status 403"),
        (closed, "the connection could not be made or broke"),
        // There is no such name, and here no name service either.
        (unknown, "the connection could not be made or broke"),
    ] {
        let begun = tokio::time::Instant::now();
        let end = function.invoke(event_to(&url)?, Duration::from_secs(6)).await?;
        let InvocationResult::Failed(error) = end else { return Err(format!("{last}: {end:?}").into()) };
        assert!(error.contains("did not take the answer") && error.contains(last), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{last}: {:?}", begun.elapsed());
        assert!(!error.contains(SIGNATURE), "{error}");
    }
    assert!(!function.log().await.contains(SIGNATURE));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_cloudformations_is_never_sent_to() -> Outcome {
    let (mut function, _aws) = function().await?;
    for url in [
        "https://answers.example.org/x",
        "https://bucket.s3.amazonaws.com/x",
        "http://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x",
        "",
    ] {
        let mut event = event_to("")?;
        event["ResponseURL"] = json!(url);
        let end = function.invoke(&event, TIME).await?;
        assert!(
            matches!(&end, InvocationResult::Failed(error) if error.contains("nothing was sent")),
            "{url}: {end:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() -> Outcome {
    let (mut function, _aws) = function().await?;
    let elsewhere = AnswerServer::start().await?;
    let answer_server = AnswerServer::redirecting_once(elsewhere.address()).await?;
    assert_eq!(function.invoke(event_to(&answer_server.response_url())?, TIME).await?, InvocationResult::Returned);
    answer_server.only_answer()?;
    let statuses: Vec<_> = answer_server.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [307, 200], "it is asked again where the event says");
    assert_eq!(elsewhere.requests().len(), 0, "the answer would be somebody else's to read");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_takes_the_connection_and_says_nothing_is_tried_again() -> Outcome {
    let (mut function, _aws) = function().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/answer?X-Amz-Signature={SIGNATURE}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        let (_silent, _) = listener.accept().await?;
        let (mut second, _) = listener.accept().await?;
        let mut request = vec![0; 8_192];
        let length = second.read(&mut request).await?;
        tokio::io::AsyncWriteExt::write_all(&mut second, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&request[..length]).into_owned())
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(function.invoke(event_to(&url)?, TIME).await?, InvocationResult::Returned);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(server.await??.starts_with("PUT /answer"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iam_that_never_answers_is_reported_before_a_function_of_ten_seconds_ends() -> Outcome {
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", silent.local_addr()?);
    let mut function = Function::start(&system::binary().await?, Environment::of_the_fixtures(&address)).await?;
    for (fixture, waited_for) in
        [("create", "looking at role"), ("update-in-place", "looking at policy"), ("delete", "looking at role")]
    {
        let answer_server = AnswerServer::start().await?;
        let begun = tokio::time::Instant::now();
        let end = function.invoke(event(fixture, &answer_server.response_url())?, Duration::from_secs(10)).await?;
        let took = begun.elapsed();
        assert_eq!(end, InvocationResult::Returned, "{fixture}");
        assert!(took < Duration::from_secs(9), "{fixture}: {took:?}");
        let answer = answer_server.only_answer()?;
        let reason = answer["Reason"].as_str().unwrap_or_default();
        assert!(answer["Status"] == "FAILED" && reason.contains("Time ran out after"), "{answer}");
        assert!(reason.contains(waited_for), "{answer}");
    }
    assert!(!function.log().await.contains(SIGNATURE));
    Ok(())
}
