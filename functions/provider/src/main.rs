//! The Lambda's entry: environment, log, clients. Everything else is in the library.

use cavatica_access::waits::DELIVERY_ATTEMPT;
use cavatica_aws::http::HttpClient;
use cavatica_aws::{self as aws, AwsAccount, Surroundings};
use cavatica_provider::delivery;
use cavatica_provider::invocation;
use cavatica_provider::provider::Provider;
use cavatica_provider::task::Pins;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    // The level is fixed: at a finer one the SDK and the runtime would write events, and with them secrets, to the log.
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_current_span(false)
        .without_time()
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));

    let connector = aws::connector();
    let config = aws::configuration(connector.clone(), surroundings());
    let is_local = config.endpoint_url().is_some_and(delivery::is_loopback);
    let provider = Provider {
        account: AwsAccount::new(&config),
        post: HttpClient::new(connector, DELIVERY_ATTEMPT),
        pins: pins(),
        is_local,
    };
    invocation::run(provider).await
}

/// Returns the surroundings as Lambda describes them.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn surroundings() -> Surroundings {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Surroundings {
        region: read("AWS_REGION"),
        access_key_id: read("AWS_ACCESS_KEY_ID"),
        secret_access_key: read("AWS_SECRET_ACCESS_KEY"),
        session_token: read("AWS_SESSION_TOKEN"),
        endpoint_url: read("AWS_ENDPOINT_URL"),
    }
}

/// Returns the pins of the template. A problem with them is told to CloudFormation, not to a log that nobody reads.
#[allow(clippy::disallowed_methods, reason = "main.rs is where the environment is read")]
fn pins() -> Result<Pins, String> {
    let read = |name: &str| std::env::var(name).map_err(|_| format!("The function's environment lacks {name}"));
    let rule = |name: &str, rule: &str| format!("The function's environment variable {name} must be {rule}");
    let (stack, principal) = ("CAVATICA_STACK_ID", "CAVATICA_TRUSTED_PRINCIPAL_ARN");
    Ok(Pins {
        stack: read(stack)?.parse().map_err(|broken| rule(stack, broken))?,
        principal: read(principal)?.parse().map_err(|broken| rule(principal, broken))?,
    })
}
