//! Between the Lambda runtime and the provider: the event as raw text, whatever it is, and the time there is.
//!
//! The runtime would refuse a body that is not JSON before any of our code sees it, and nobody would answer. So the
//! body is handed on as one JSON string.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use cavatica_access::port::Account;
use lambda_runtime::tower::{Layer, Service};
use lambda_runtime::{Error, LambdaEvent, LambdaInvocation, Runtime, service_fn};

use crate::delivery::Post;
use crate::provider::Provider;

/// Serves invocations until Lambda ends the process.
pub async fn run<I, P>(provider: Provider<I, P>) -> Result<(), Error>
where
    I: Account + Send + 'static,
    P: Post + Send + 'static,
{
    let provider = Arc::new(provider);
    let handler = service_fn(move |event: LambdaEvent<String>| {
        let provider = Arc::clone(&provider);
        // Boxed: the future holds every IAM call there is, and its type would outgrow the compiler's limits.
        let served: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> = Box::pin(async move {
            let time = remaining(&event.context);
            provider.serve(&event.payload, time).await.map_err(Error::from)
        });
        served
    });
    Runtime::new(handler).layer(RawEvents).run().await
}

/// Returns the time that Lambda leaves, by the wall clock.
#[allow(clippy::disallowed_methods, reason = "the adapter that turns Lambda's deadline into a duration")]
fn remaining(context: &lambda_runtime::Context) -> Duration {
    let deadline = UNIX_EPOCH + Duration::from_millis(context.deadline);
    deadline.duration_since(std::time::SystemTime::now()).unwrap_or_default()
}

/// Turns every body into a JSON string.
#[derive(Debug, Clone, Copy)]
struct RawEvents;

impl<S> Layer<S> for RawEvents {
    type Service = RawEventService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RawEventService { inner }
    }
}

#[derive(Debug, Clone)]
struct RawEventService<S> {
    inner: S,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for RawEventService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> Self::Future {
        let text = String::from_utf8_lossy(&invocation.body);
        invocation.body = serde_json::to_vec(text.as_ref()).unwrap_or_default().into();
        self.inner.call(invocation)
    }
}
