//! Runs the function as Lambda does: again after an error or a death, and at times twice at once.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cavatica_provider::provider::Provider;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::history::EventFaults;
use super::simulator::Simulator;
use super::world::{Account, AnswerRecorder};
use crate::Error;

/// Time limit of the function, as in the template.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(180);
/// Waits of Lambda before it runs an event again. Source: "How Lambda handles errors and retries with asynchronous
/// invocation".
const LAMBDA_WAITS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
impl Simulator<'_> {
    /// Runs the function as Lambda does: again after an error or a death, up to twice, and at times twice at once.
    pub(super) async fn deliver(&self, event: &Value, faults: &EventFaults) -> Result<(), Error> {
        let text = event.to_string();
        let first = async {
            for attempt in 0..=LAMBDA_WAITS.len() {
                if self.attempt(attempt, &text, faults).await? {
                    break;
                }
                if let Some(wait) = LAMBDA_WAITS.get(attempt) {
                    sleep(*wait).await;
                }
            }
            Ok::<_, Error>(())
        };
        let second = async {
            if let Some(after) = faults.duplicate {
                sleep(after).await;
                self.attempt(LAMBDA_WAITS.len() + 1, &text, faults).await?;
            }
            Ok::<_, Error>(())
        };
        let (first, second) = tokio::join!(first, second);
        first.and(second)
    }

    /// One run of the function; whether it ended well.
    async fn attempt(&self, attempt: usize, event: &str, faults: &EventFaults) -> Result<bool, Error> {
        let world = self.world;
        let number = u32::try_from(attempt)?;
        let id = serde_json::from_str::<Value>(event)?["RequestId"].take();
        let pins =
            self.deployed.as_ref().map(|requested| requested.deployment.pins.clone()).ok_or("nothing is deployed")?;
        let provider = Provider {
            account: Account(world),
            post: AnswerRecorder { world, attempt: number },
            pins: Ok(pins),
            is_local: false,
        };
        let polls = faults.kills.get(attempt).copied().unwrap_or(u32::MAX);
        let served = killed_after(polls, provider.serve(event, FUNCTION_TIMEOUT));
        match timeout(FUNCTION_TIMEOUT, served).await {
            Err(_elapsed) => {
                world.invariants(|invariants| invariants.violation("(a) no end before Lambda's time-out".to_owned()));
                Ok(false)
            }
            Ok(None) => {
                world.tell(|| format!("attempt {number} is killed"));
                Ok(false)
            }
            Ok(Some(Err(error))) => {
                world.tell(|| format!("attempt {number} ends with: {error}"));
                if faults.answer_faults.is_empty() {
                    world.invariants(|invariants| {
                        invariants.violation(format!("(a) undelivered without need: {error}"))
                    });
                }
                Ok(false)
            }
            Ok(Some(Ok(()))) => {
                let is_own = |body: &str| serde_json::from_str::<Value>(body).is_ok_and(|body| body["RequestId"] == id);
                let own = world.answers().iter().filter(|(by, body)| *by == number && is_own(body)).count();
                let most = if faults.answer_faults.is_empty() { 1 } else { 1 + faults.answer_faults.len() };
                if own == 0 || own > most {
                    world.invariants(|invariants| invariants.violation(format!("(a) {own} answers of one attempt")));
                }
                Ok(true)
            }
        }
    }
}

/// Drops a future after so many polls, as a killed function's is.
async fn killed_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    std::future::poll_fn(|context| {
        if polled >= polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Nobody would poll again before the next event of the future itself; that is when it dies.
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
