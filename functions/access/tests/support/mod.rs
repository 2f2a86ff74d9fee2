//! Fixtures of this crate's tests: an account, a stack in it, and its events.

#![allow(dead_code, reason = "each test file uses its part")]

use cavatica_access::activity::Activities;
use cavatica_access::blueprint::Blueprint;
use cavatica_access::desired::{Deletion, Desired, RoleToDelete};
use cavatica_access::names::{PolicyArn, RoleArn, RoleName, Rule};
use cavatica_access::observe::Observer;
use cavatica_access::owner::Owner;
use cavatica_access::plan::Plan;
use cavatica_access::platform::CAVATICA;
use cavatica_access::recognition::Evidence;
use cavatica_access::reconcile::{self, Context, Reconciled};
use cavatica_access::refusal::Refusal;
use cavatica_access::request::{OldProperties, Request};
use cavatica_memory::{MemoryAccount, wide_boundary};
use serde_json::{Value, json};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

pub const STACK: &str =
    "arn:aws:cloudformation:us-east-1:123456789012:stack/my-volume/5e1b8ce0-1111-11f0-8000-0a1b2c3d4e5f";
pub const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/my-volume-Boundary-1A2B3C4D5E6F";

/// An account with the stack's boundary in it, and the stack's custom resource.
pub struct Bench {
    pub account: MemoryAccount,
    pub activities: Activities,
    pub owner: Owner,
}

impl Bench {
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Self::with(MemoryAccount::new("123456789012".parse()?))
    }

    pub fn with(account: MemoryAccount) -> Result<Self, Box<dyn std::error::Error>> {
        let account = account.with_bucket("my-bucket")?;
        account.by_hand(&wide_boundary(BOUNDARY.parse()?))?;
        Ok(Self { account, activities: Activities::default(), owner: owner()? })
    }

    pub fn context(&self) -> Context<'_, MemoryAccount, cavatica_memory::VirtualClock> {
        Context { account: &self.account, clock: self.account.clock(), activities: &self.activities }
    }

    pub async fn ensure(&self, desired: &Desired) -> Result<Reconciled, Refusal> {
        reconcile::ensure(&self.context(), desired).await
    }

    pub async fn delete(&self, deletion: &Deletion) -> Result<Reconciled, Refusal> {
        reconcile::delete(&self.context(), deletion).await
    }

    fn observer(&self) -> Observer<'_, MemoryAccount, cavatica_memory::VirtualClock> {
        Observer {
            account: &self.account,
            clock: self.account.clock(),
            activities: &self.activities,
            owner: &self.owner,
        }
    }

    /// Returns the plan as text, or the first words of a refusal.
    pub async fn plan(&self, desired: &Desired) -> Result<String, Refusal> {
        Ok(reconcile::preview(&self.context(), desired).await?.plan.to_string())
    }

    /// Returns the plan of a Delete as text.
    pub async fn plan_removal(&self, deletion: &Deletion) -> Result<String, Refusal> {
        Ok(Plan::to_delete(deletion, &self.observer().remaining_roles_of(deletion).await?)?.to_string())
    }
}

pub fn owner() -> Result<Owner, Rule> {
    Ok(Owner { stack: STACK.parse()?, resource: "VolumeAccess".to_owned() })
}

/// Properties of a read-only volume under a role's name.
pub fn properties(role: &str) -> Value {
    json!({
        "ServiceToken": "token", "RoleName": role, "ExternalId": "lab-1234", "PermissionsBoundaryArn": BOUNDARY,
        "Volumes": [{"BucketName": "my-bucket"}],
    })
}

/// Returns the same with one property changed.
pub fn with(mut properties: Value, name: &str, value: Value) -> Value {
    properties[name] = value;
    properties
}

/// Returns the desired state of a Create.
pub fn create(properties: &Value) -> Result<Desired, Box<dyn std::error::Error>> {
    let blueprint = Blueprint::new(Request::parse(properties)?, owner()?)?;
    Ok(Desired {
        blueprint,
        pinned_principal: CAVATICA.principal.parse()?,
        replaced_role: None,
        old_properties: OldProperties::default(),
        old_blueprint: None,
        is_new: true,
    })
}

/// Returns the desired state of an Update with a physical ID.
pub fn update(physical: &str, old: &Value, new: &Value) -> Result<Desired, Box<dyn std::error::Error>> {
    let mut desired = create(new)?;
    let from: RoleArn = physical.parse()?;
    desired.replaced_role = Some(from).filter(|from| *from != desired.blueprint.role);
    desired.is_new = false;
    desired.old_properties = OldProperties::read(old);
    desired.old_blueprint = Request::parse(old).ok().and_then(|request| Blueprint::new(request, owner().ok()?).ok());
    Ok(desired)
}

/// Returns the deletion of a role.
pub fn delete(role: &str) -> Result<Deletion, Box<dyn std::error::Error>> {
    delete_of(&properties(role))
}

/// Returns the deletion that a Delete with these properties asks for.
pub fn delete_of(properties: &Value) -> Result<Deletion, Box<dyn std::error::Error>> {
    let old = OldProperties::read(properties);
    let evidence = Evidence::from(&old);
    let name: RoleName = old.role_name.ok_or("no RoleName")?;
    let arn: RoleArn = role_arn(name.as_str()).parse()?;
    let policies = old.policy_name.into_iter().chain([(&name).into()]).collect();
    Ok(Deletion {
        owner: owner()?,
        role: Some(RoleToDelete {
            name,
            arn: Some(arn),
            other_role: None,
            path: Default::default(),
            policies,
            evidence,
        }),
        cors_buckets: vec!["my-bucket".parse()?],
        is_abandoned: false,
    })
}

pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

pub fn policy_arn(name: &str) -> Result<PolicyArn, Rule> {
    format!("arn:aws:iam::123456789012:policy/{name}").parse()
}
