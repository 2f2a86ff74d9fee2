//! Access as Cavatica has it: attempts to use the volume, each with its decision and with who decided.
//!
//! On the local engine the platform is another account with its own role, and what is granted is really done by its
//! calls. The engine enforces no policies, so whether something is granted is decided by evaluating the documents that
//! IAM holds at that moment. In a real account nobody can play the vendor's principal: there IAM's simulator decides on
//! the permissions, and an evaluation of the trust policy on who may assume the role.

use aws_config::SdkConfig;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};

use super::fixture::Fixture;
use super::{StepError, refused};
use crate::local_platform::role::RoleDocuments;

/// An external ID that no stack makes.
const OTHER_ID: &str = "AROAANOTHERUSERSEXTERNALID";

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
        let Some(documents) = RoleDocuments::read(&fixture.iam, role).await? else {
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
            (_, true) if !documents.lets_in(&fixture.account.platform().principal, id)? => {
                answer(false, "trust policy")
            }
            (None, true) => answer(true, "trust policy"),
            (Some(platform), true) => {
                platform.caller.assume(&documents.arn, id).await?;
                answer(true, "trust policy; done")
            }
            (Some(platform), false) if is_allowed(&documents, *attempt, fixture)? => {
                let config = platform.caller.assume(&documents.arn, id).await?;
                let seen = call(&config, &fixture.bucket(), *attempt).await?;
                answer(true, &format!("policies; done: {seen}"))
            }
            (Some(_), false) => answer(false, "policies"),
            (None, false) => answer(simulated(fixture, &documents.arn, *attempt).await?, "IAM's simulator"),
        });
    }
    Ok(answers)
}

/// True if the role's policies allow an attempt, under its boundary.
fn is_allowed(documents: &RoleDocuments, attempt: Attempt, fixture: &Fixture) -> Result<bool, StepError> {
    Ok(documents.allows(attempt.action(), &attempt.resource(&fixture.bucket()), &fixture.account.id)?)
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
