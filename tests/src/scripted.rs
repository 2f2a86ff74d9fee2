//! An account that something happens to at each call: the domain's port with a stage in front of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use cavatica_access::port::{Account, Action, Change, Failure, Look, Observation, ReadAccount, Receipt};
use cavatica_memory::MemoryAccount;
use cavatica_provider::delivery::{Post, Secret};
use serde_json::Value;

/// Action before a call; `None` is the call to STS.
pub type Script = Box<dyn Fn(Option<Action>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The account in memory with a stage.
pub struct ScriptedAccount {
    /// The account itself.
    pub account: MemoryAccount,
    /// Action before each call.
    pub stage: Script,
}

impl ScriptedAccount {
    /// Returns every call takes so long.
    #[must_use]
    pub fn taking(account: MemoryAccount, latency: Duration) -> Self {
        Self { account, stage: Box::new(move |_| Box::pin(tokio::time::sleep(latency))) }
    }
}

impl ReadAccount for ScriptedAccount {
    async fn look(&self, look: &Look) -> Result<Observation, Failure> {
        (self.stage)(look.action()).await;
        self.account.look(look).await
    }
}

impl Account for ScriptedAccount {
    async fn apply(&self, change: &Change) -> Result<Receipt, Failure> {
        (self.stage)(Some(change.action())).await;
        self.account.apply(change).await
    }
}

/// Keeps what is sent, each after a while.
#[derive(Debug, Default)]
pub struct RecordedAnswers {
    /// Duration of sending.
    pub latency: Duration,
    bodies: Mutex<Vec<Value>>,
}

impl RecordedAnswers {
    /// Sending takes so long.
    #[must_use]
    pub fn taking(latency: Duration) -> Self {
        Self { latency, bodies: Mutex::default() }
    }

    /// Sent answers, in order.
    #[must_use]
    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().map(|bodies| bodies.clone()).unwrap_or_default()
    }
}

impl Post for RecordedAnswers {
    async fn put(&self, _url: &Secret, body: String) -> Result<u16, String> {
        tokio::time::sleep(self.latency).await;
        let body = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        self.bodies.lock().map_err(|error| error.to_string())?.push(body);
        Ok(200)
    }
}
