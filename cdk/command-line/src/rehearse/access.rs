//! Access as Cavatica has it: attempts to use the volume, each with its decision and with who decided.
//!
//! On the local engine the platform is another account with its own role, and what is granted is really done by its
//! calls. The engine enforces no policies, so whether something is granted is decided by evaluating the documents that
//! IAM holds at that moment. In a real account nobody can play the vendor's principal: there IAM's simulator decides on
//! the permissions, and an evaluation of the trust policy on who may assume the role.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use cavatica_access::names::RoleArn;
use cavatica_access::platform::Platform;
use cavatica_local::engine::Engine;
use iam_rs::{Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, PolicyEvaluator, Principal, PrincipalId};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::fixture::Fixture;
use super::{StepError, refused};

/// An external ID that no stack makes.
const OTHER_ID: &str = "AROAANOTHERUSERSEXTERNALID";

/// The platform on the local engine: the credentials of its role.
#[derive(Debug, Clone)]
pub struct PlatformCaller {
    config: SdkConfig,
}

/// An attempt to use the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Assume the role with the external ID of the stack.
    Assume,
    /// Assume it without any.
    AssumeWithoutId,
    /// Assume it with that of somebody else.
    AssumeWithOtherId,
    /// List a folder.
    List(&'static str),
    /// Read an object.
    Read(&'static str),
    /// Write an object.
    Write(&'static str),
    /// Delete an object.
    Delete(&'static str),
}

/// The answer to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The attempt.
    pub attempt: Attempt,
    /// True if it is granted.
    pub is_granted: bool,
    /// The way in which this was decided.
    pub decided_by: String,
}

/// Role as IAM holds it.
struct ObservedRole {
    arn: String,
    trust: Value,
    permissions: Vec<Value>,
    boundary: Option<Value>,
}

impl PlatformCaller {
    /// Settles a platform on the engine: its role, in an account of its own.
    pub async fn on(engine: &Engine, platform: &Platform) -> Result<Self, StepError> {
        let role = platform
            .principal
            .parse::<RoleArn>()
            .map_err(|rule| StepError::Mismatch { what: "the platform's principal", found: rule.to_owned() })?;
        let config = engine.sdk_config_of(role.account.as_str());
        let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", role.account)}}]});
        let call = aws_sdk_iam::Client::new(&config).create_role().role_name(role.name.as_str());
        call.assume_role_policy_document(trust.to_string())
            .send()
            .await
            .map_err(refused("make the platform's role"))?;
        Ok(Self { config: assumed(&config, &platform.principal, None).await? })
    }
}

impl Attempt {
    /// Returns the IAM action.
    fn action(self) -> &'static str {
        match self {
            Self::Assume | Self::AssumeWithoutId | Self::AssumeWithOtherId => "sts:AssumeRole",
            Self::List(_) => "s3:ListBucket",
            Self::Read(_) => "s3:GetObject",
            Self::Write(_) => "s3:PutObject",
            Self::Delete(_) => "s3:DeleteObject",
        }
    }

    fn resource(self, bucket: &str) -> String {
        match self {
            Self::Read(key) | Self::Write(key) | Self::Delete(key) => format!("arn:aws:s3:::{bucket}/{key}"),
            _ => format!("arn:aws:s3:::{bucket}"),
        }
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Assume => f.write_str("assume the role with its external ID"),
            Self::AssumeWithoutId => f.write_str("assume it without an external ID"),
            Self::AssumeWithOtherId => f.write_str("assume it with another external ID"),
            Self::List(folder) => write!(f, "list {folder}"),
            Self::Read(key) => write!(f, "read {key}"),
            Self::Write(key) => write!(f, "write {key}"),
            Self::Delete(key) => write!(f, "delete {key}"),
        }
    }
}

/// Makes attempts with a role, in their order.
pub(super) async fn attempt(
    fixture: &Fixture,
    role: &str,
    external_id: &str,
    attempts: &[Attempt],
) -> Result<Vec<Answer>, StepError> {
    let mut answers = Vec::new();
    for attempt in attempts {
        let answer =
            |is_granted, decided_by: &str| Answer { attempt: *attempt, is_granted, decided_by: decided_by.to_owned() };
        let Some(observed_role) = observed_role(fixture, role).await? else {
            answers.push(answer(false, "IAM has no such role"));
            continue;
        };
        let id = match attempt {
            Attempt::AssumeWithoutId => None,
            Attempt::AssumeWithOtherId => Some(OTHER_ID),
            _ => Some(external_id),
        };
        let is_assumed = attempt.action() == "sts:AssumeRole";
        answers.push(match (&fixture.platform, is_assumed) {
            (_, true) if !observed_role.lets_in(&fixture.account.platform().principal, id)? => {
                answer(false, "trust policy")
            }
            (None, true) => answer(true, "trust policy"),
            (Some(platform), true) => {
                assumed(&platform.config, &observed_role.arn, id).await?;
                answer(true, "trust policy; done")
            }
            (Some(platform), false) if observed_role.allows(*attempt, fixture)? => {
                let config = assumed(&platform.config, &observed_role.arn, id).await?;
                let seen = call(&config, &fixture.bucket(), *attempt).await?;
                answer(true, &format!("policies; done: {seen}"))
            }
            (Some(_), false) => answer(false, "policies"),
            (None, false) => answer(simulated(fixture, &observed_role.arn, *attempt).await?, "IAM's simulator"),
        });
    }
    Ok(answers)
}

/// Reads all documents that decide on a role.
async fn observed_role(fixture: &Fixture, role: &str) -> Result<Option<ObservedRole>, StepError> {
    let (iam, doing) = (&fixture.iam, "read the role's documents");
    let found = match iam.get_role().role_name(role).send().await {
        Ok(answer) => answer.role,
        Err(error) if error.code() == Some("NoSuchEntity") => None,
        Err(error) => return Err(refused(doing)(error)),
    };
    let Some(found) = found else { return Ok(None) };
    let mut permissions = Vec::new();
    let attached = iam.list_attached_role_policies().role_name(role).into_paginator().items().send();
    for policy in attached.try_collect().await.map_err(refused(doing))? {
        permissions.push(fixture.policy_document(policy.policy_arn().unwrap_or_default()).await?);
    }
    for name in iam.list_role_policies().role_name(role).send().await.map_err(refused(doing))?.policy_names {
        let inline = iam.get_role_policy().role_name(role).policy_name(name).send().await.map_err(refused(doing))?;
        permissions.push(document(&inline.policy_document)?);
    }
    let boundary = found.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
    let boundary = match boundary {
        Some(arn) => Some(fixture.policy_document(&arn).await?),
        None => None,
    };
    let trust = document(found.assume_role_policy_document.as_deref().unwrap_or_default())?;
    Ok(Some(ObservedRole { arn: found.arn, trust, permissions, boundary }))
}

/// Reads a document as IAM returns it.
pub(super) fn document(text: &str) -> Result<Value, StepError> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&text)
        .map_err(|error| StepError::Mismatch { what: "a document in IAM", found: format!("{error}: {text}") })
}

impl ObservedRole {
    /// True if the trust policy lets the platform's role in.
    fn lets_in(&self, principal: &str, external_id: Option<&str>) -> Result<bool, StepError> {
        let context = external_id.map(|id| ("sts:ExternalId", id.to_owned()));
        // The statements of a trust policy are about the role that has it, and name no resource; the evaluator wants
        // one.
        let mut trust = self.trust.clone();
        for statement in trust["Statement"].as_array_mut().into_iter().flatten() {
            statement["Resource"] = json!(self.arn);
        }
        is_allowed(principal, &[trust], "sts:AssumeRole", &self.arn, context)
    }

    /// True if the role's policies allow an attempt, under its boundary.
    fn allows(&self, attempt: Attempt, fixture: &Fixture) -> Result<bool, StepError> {
        let (resource, owner) = (attempt.resource(&fixture.bucket()), fixture.account.id.clone());
        let may = |documents: &[Value]| {
            is_allowed(
                &fixture.account.platform().principal,
                documents,
                attempt.action(),
                &resource,
                Some(("aws:ResourceAccount", owner.clone())),
            )
        };
        Ok(may(&self.permissions)? && self.boundary.as_ref().map_or(Ok(true), |cap| may(std::slice::from_ref(cap)))?)
    }
}

/// Evaluates documents as IAM does: denied unless a statement allows it and none denies it.
fn is_allowed(
    principal: &str,
    documents: &[Value],
    action: &str,
    resource: &str,
    context: Option<(&str, String)>,
) -> Result<bool, StepError> {
    let unreadable = |error: String| StepError::Mismatch { what: "a document in IAM", found: error };
    let policies = documents.iter().map(|document| serde_json::from_value::<IAMPolicy>(document.clone()));
    let policies = policies.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.to_string()))?;
    let mut known = Context::new();
    if let Some((key, value)) = context {
        known.insert(key.to_owned(), ContextValue::String(value));
    }
    let platform = Principal::Aws(PrincipalId::String(principal.to_owned()));
    let resource = Arn::parse(resource).map_err(|error| unreadable(error.to_string()))?;
    let request = IAMRequest::new_with_context(platform, action, resource, known);
    let result = PolicyEvaluator::with_policies(policies).evaluate(&request);
    Ok(result.map_err(|error| unreadable(error.to_string()))?.decision == Decision::Allow)
}

/// Asks IAM's simulator about an attempt of the role's.
async fn simulated(fixture: &Fixture, role: &str, attempt: Attempt) -> Result<bool, StepError> {
    let owner = ContextEntry::builder().context_key_name("aws:ResourceAccount").context_key_values(&fixture.account.id);
    let call = fixture.iam.simulate_principal_policy().policy_source_arn(role).action_names(attempt.action());
    let call = call.resource_arns(attempt.resource(&fixture.bucket()));
    let call = call.context_entries(owner.context_key_type(ContextKeyTypeEnum::String).build());
    let answer = call.send().await.map_err(refused("ask its simulator"))?;
    let decisions: Vec<_> = answer.evaluation_results().iter().map(|result| result.eval_decision()).collect();
    Ok(!decisions.is_empty() && decisions.iter().all(|decision| **decision == PolicyEvaluationDecisionType::Allowed))
}

/// Assumes a role, and returns what its clients need.
async fn assumed(config: &SdkConfig, role: &str, external_id: Option<&str>) -> Result<SdkConfig, StepError> {
    let call = aws_sdk_sts::Client::new(config).assume_role().role_arn(role).role_session_name("rehearsal");
    let answer = call.set_external_id(external_id.map(str::to_owned)).send().await;
    let answer = answer.map_err(|error| {
        let message = error.message().or(error.code()).unwrap_or("no answer").to_owned();
        StepError::Mismatch { what: "the call sts:AssumeRole", found: message }
    })?;
    let given = answer
        .credentials
        .ok_or(StepError::Mismatch { what: "the call sts:AssumeRole", found: "no credentials".to_owned() })?;
    let token = Some(given.session_token);
    let credentials = Credentials::new(given.access_key_id, given.secret_access_key, token, None, "rehearsal");
    Ok(config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build())
}

/// Makes the call of an attempt, and says what came of it.
async fn call(config: &SdkConfig, bucket: &str, attempt: Attempt) -> Result<String, StepError> {
    let s3 = aws_sdk_s3::Client::new(config);
    let failed = |error: &dyn std::fmt::Debug| StepError::Mismatch {
        what: "a call as the platform makes it",
        found: format!("{attempt}: {error:?}"),
    };
    Ok(match attempt {
        Attempt::Assume | Attempt::AssumeWithoutId | Attempt::AssumeWithOtherId => String::new(),
        Attempt::List(folder) => {
            let listed = s3.list_objects_v2().bucket(bucket).prefix(folder).send().await;
            let count = listed.map_err(|error| failed(&error))?.contents().len();
            format!("{count} objects")
        }
        Attempt::Read(key) => {
            let read = s3.get_object().bucket(bucket).key(key).send().await.map_err(|error| failed(&error))?;
            let bytes = read.body.collect().await.map_err(|error| failed(&error))?.to_vec().len();
            format!("{bytes} bytes")
        }
        Attempt::Write(key) => {
            let put = s3.put_object().bucket(bucket).key(key).body(b"a result".to_vec().into()).send().await;
            put.map_err(|error| failed(&error))?;
            "8 bytes".to_owned()
        }
        Attempt::Delete(key) => {
            s3.delete_object().bucket(bucket).key(key).send().await.map_err(|error| failed(&error))?;
            "gone".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINCIPAL: &str = "arn:aws:iam::151136852077:role/volume-connection";
    const ROLE: &str = "arn:aws:iam::123456789012:role/cavatica-volume-0a1b2c3d";

    fn trust(condition: &Value) -> ObservedRole {
        let statement = json!({"Effect": "Allow", "Principal": {"AWS": PRINCIPAL}, "Action": "sts:AssumeRole",
            "Condition": condition});
        let trust = json!({"Version": "2012-10-17", "Statement": [statement]});
        ObservedRole { arn: ROLE.to_owned(), trust, permissions: Vec::new(), boundary: None }
    }

    #[test]
    fn a_role_is_assumed_with_its_external_id_and_with_no_other() -> Result<(), StepError> {
        let observed_role = trust(&json!({"StringEquals": {"sts:ExternalId": "AROA0A1B2C3D4E5F60718"}}));
        for (id, is_let_in) in [(Some("AROA0A1B2C3D4E5F60718"), true), (Some(OTHER_ID), false), (None, false)] {
            assert_eq!(observed_role.lets_in(PRINCIPAL, id)?, is_let_in, "{id:?}");
        }
        // A trust policy without the condition would let everybody in who knows the ARN, and a rehearsal has to see it.
        assert!(trust(&json!({})).lets_in(PRINCIPAL, None)?);
        Ok(())
    }

    #[test]
    fn a_role_of_somebody_else_is_not_the_platforms() -> Result<(), StepError> {
        let mut observed_role = trust(&json!({}));
        observed_role.trust["Statement"][0]["Principal"]["AWS"] =
            json!("arn:aws:iam::111122223333:role/volume-connection");
        assert!(!observed_role.lets_in(PRINCIPAL, None)?);
        Ok(())
    }

    #[test]
    fn an_allow_needs_the_boundary_and_a_deny_always_wins() -> Result<(), StepError> {
        let document = |effect: &str, action: &str, resource: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource}]});
        let read = document("Allow", "s3:GetObject", "arn:aws:s3:::lab/raw/*");
        let allowed = |documents: &[Value], key: &str| {
            is_allowed(PRINCIPAL, documents, "s3:GetObject", &format!("arn:aws:s3:::lab/{key}"), None)
        };
        assert!(allowed(std::slice::from_ref(&read), "raw/a.vcf")?);
        assert!(!allowed(std::slice::from_ref(&read), "notes/a.txt")?);
        assert!(!allowed(&[read, document("Deny", "s3:*", "*")], "raw/a.vcf")?);
        assert!(!allowed(&[document("Allow", "s3:PutObject", "*")], "raw/a.vcf")?);
        Ok(())
    }
}
