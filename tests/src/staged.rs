//! An account that something happens to at each call: the domain's port with a stage in front of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use cavatica_access::names::{AccountId, PolicyArn, RoleArn, RoleName};
use cavatica_access::owner::Tags;
use cavatica_access::port::{
    Account, Action, Bucket, Carrier, Change, CorsRule, Failure, Policy, Question, ReadAccount, Receipt, Role, Usage,
    Verdict, Version,
};
use cavatica_access::volume::{BucketName, Region};
use cavatica_memory::MemoryAccount;
use cavatica_provider::delivery::Post;
use cavatica_provider::secret::ResponseUrl;
use serde_json::Value;

/// What happens before a call; `None` is the call to STS.
pub type Stage = Box<dyn Fn(Option<Action>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The account in memory with a stage.
pub struct Staged {
    /// The account itself.
    pub account: MemoryAccount,
    /// What happens before each call.
    pub stage: Stage,
}

impl Staged {
    /// Every call takes so long.
    #[must_use]
    pub fn taking(account: MemoryAccount, latency: Duration) -> Self {
        Self { account, stage: Box::new(move |_| Box::pin(tokio::time::sleep(latency))) }
    }
}

impl ReadAccount for Staged {
    async fn caller_account(&self) -> Result<AccountId, Failure> {
        (self.stage)(None).await;
        self.account.caller_account().await
    }

    async fn role(&self, name: &RoleName) -> Result<Option<Role>, Failure> {
        (self.stage)(Some(Action::GetRole)).await;
        self.account.role(name).await
    }

    async fn role_tags(&self, name: &RoleName) -> Result<Option<Tags>, Failure> {
        (self.stage)(Some(Action::ListRoleTags)).await;
        self.account.role_tags(name).await
    }

    async fn policy(&self, arn: &PolicyArn) -> Result<Option<Policy>, Failure> {
        (self.stage)(Some(Action::GetPolicy)).await;
        self.account.policy(arn).await
    }

    async fn attached_policies(&self, role: &RoleName) -> Result<Vec<PolicyArn>, Failure> {
        (self.stage)(Some(Action::ListAttachedRolePolicies)).await;
        self.account.attached_policies(role).await
    }

    async fn inline_policies(&self, role: &RoleName) -> Result<Vec<String>, Failure> {
        (self.stage)(Some(Action::ListRolePolicies)).await;
        self.account.inline_policies(role).await
    }

    async fn instance_profiles(&self, role: &RoleName) -> Result<Vec<String>, Failure> {
        (self.stage)(Some(Action::ListInstanceProfilesForRole)).await;
        self.account.instance_profiles(role).await
    }

    async fn policy_versions(&self, arn: &PolicyArn) -> Result<Vec<Version>, Failure> {
        (self.stage)(Some(Action::ListPolicyVersions)).await;
        self.account.policy_versions(arn).await
    }

    async fn policy_document(&self, arn: &PolicyArn, version: &str) -> Result<Value, Failure> {
        (self.stage)(Some(Action::GetPolicyVersion)).await;
        self.account.policy_document(arn, version).await
    }

    async fn policy_carriers(&self, arn: &PolicyArn, usage: Usage) -> Result<Vec<Carrier>, Failure> {
        (self.stage)(Some(Action::ListEntitiesForPolicy)).await;
        self.account.policy_carriers(arn, usage).await
    }

    async fn simulate(&self, role: &RoleArn, question: &Question) -> Result<Vec<Verdict>, Failure> {
        (self.stage)(Some(Action::SimulatePrincipalPolicy)).await;
        self.account.simulate(role, question).await
    }

    async fn bucket_region(&self, name: &BucketName, owner: &AccountId) -> Result<Region, Failure> {
        (self.stage)(Some(Action::GetBucketLocation)).await;
        self.account.bucket_region(name, owner).await
    }

    async fn bucket_key(&self, bucket: &Bucket) -> Result<Option<String>, Failure> {
        (self.stage)(Some(Action::GetEncryptionConfiguration)).await;
        self.account.bucket_key(bucket).await
    }

    async fn cors(&self, bucket: &Bucket) -> Result<Vec<CorsRule>, Failure> {
        (self.stage)(Some(Action::GetBucketCORS)).await;
        self.account.cors(bucket).await
    }
}

impl Account for Staged {
    async fn apply(&self, change: &Change) -> Result<Receipt, Failure> {
        (self.stage)(Some(change.action())).await;
        self.account.apply(change).await
    }
}

/// Keeps what is sent, each after a while.
#[derive(Debug, Default)]
pub struct Posted {
    /// How long sending takes.
    pub latency: Duration,
    bodies: Mutex<Vec<Value>>,
}

impl Posted {
    /// Sending takes so long.
    #[must_use]
    pub fn taking(latency: Duration) -> Self {
        Self { latency, bodies: Mutex::default() }
    }

    /// What was sent, in order.
    #[must_use]
    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().map(|bodies| bodies.clone()).unwrap_or_default()
    }
}

impl Post for Posted {
    async fn put(&self, _url: &ResponseUrl, body: String) -> Result<u16, String> {
        tokio::time::sleep(self.latency).await;
        let body = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        self.bodies.lock().map_err(|error| error.to_string())?.push(body);
        Ok(200)
    }
}
