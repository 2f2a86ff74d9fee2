//! Documents of a role, and their evaluation as IAM evaluates them.

use aws_sdk_iam::Client;
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::error::SdkError;
use cavatica_aws::failure;
use iam_rs::{Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, PolicyEvaluator, Principal, PrincipalId};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::LocalPlatformError;

/// Documents that decide on a role.
#[derive(Debug, Clone)]
pub struct RoleDocuments {
    /// ARN of the role.
    pub arn: String,
    trust: Value,
    permissions: Vec<Value>,
    boundary: Option<Value>,
}

fn refused<E>(doing: &'static str) -> impl FnOnce(SdkError<E>) -> LocalPlatformError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |error| LocalPlatformError::Aws { doing, source: failure::of(error) }
}

impl RoleDocuments {
    /// Reads the documents of a role; `None` if there is no such role.
    pub async fn read(iam: &Client, role: &str) -> Result<Option<Self>, LocalPlatformError> {
        let doing = "read the role's documents";
        let found = match iam.get_role().role_name(role).send().await {
            Ok(answer) => answer.role,
            Err(error) if error.code() == Some("NoSuchEntity") => None,
            Err(error) => return Err(refused(doing)(error)),
        };
        let Some(found) = found else { return Ok(None) };
        let mut permissions = Vec::new();
        let attached = iam.list_attached_role_policies().role_name(role).into_paginator().items().send();
        for policy in attached.try_collect().await.map_err(refused(doing))? {
            permissions.push(policy_document(iam, policy.policy_arn().unwrap_or_default()).await?);
        }
        for name in iam.list_role_policies().role_name(role).send().await.map_err(refused(doing))?.policy_names {
            let inline =
                iam.get_role_policy().role_name(role).policy_name(name).send().await.map_err(refused(doing))?;
            permissions.push(document(&inline.policy_document)?);
        }
        let boundary = found.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
        let boundary = match boundary {
            Some(arn) => Some(policy_document(iam, &arn).await?),
            None => None,
        };
        let trust = document(found.assume_role_policy_document.as_deref().unwrap_or_default())?;
        Ok(Some(Self { arn: found.arn, trust, permissions, boundary }))
    }

    /// True if the trust policy lets a principal assume the role with an external ID.
    pub fn lets_in(&self, principal: &str, external_id: Option<&str>) -> Result<bool, LocalPlatformError> {
        let context = external_id.map(|id| ("sts:ExternalId", id));
        // The statements of a trust policy are about the role that has it, and name no resource; the evaluator wants one.
        let mut trust = self.trust.clone();
        for statement in trust["Statement"].as_array_mut().into_iter().flatten() {
            statement["Resource"] = json!(self.arn);
        }
        is_allowed(principal, &[trust], "sts:AssumeRole", &self.arn, context)
    }

    /// True if the role's policies allow an action on a resource of an account, under its boundary.
    pub fn allows(&self, action: &str, resource: &str, owner: &str) -> Result<bool, LocalPlatformError> {
        let context = Some(("aws:ResourceAccount", owner));
        let may = |documents: &[Value]| is_allowed(&self.arn, documents, action, resource, context);
        Ok(may(&self.permissions)? && self.boundary.as_ref().map_or(Ok(true), |cap| may(std::slice::from_ref(cap)))?)
    }
}

/// Reads the default version's document of a managed policy.
pub async fn policy_document(iam: &Client, arn: &str) -> Result<Value, LocalPlatformError> {
    let doing = "read a policy";
    let policy = iam.get_policy().policy_arn(arn).send().await.map_err(refused(doing))?.policy;
    let version = policy.and_then(|policy| policy.default_version_id).unwrap_or_default();
    let read = iam.get_policy_version().policy_arn(arn).version_id(version).send().await;
    let text = read.map_err(refused(doing))?.policy_version.and_then(|version| version.document);
    document(&text.unwrap_or_default())
}

/// Reads a document as IAM returns it.
fn document(text: &str) -> Result<Value, LocalPlatformError> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&text).map_err(|error| LocalPlatformError::Document(format!("{error}: {text}")))
}

/// Evaluates documents as IAM does: denied unless a statement allows it and none denies it.
fn is_allowed(
    principal: &str,
    documents: &[Value],
    action: &str,
    resource: &str,
    context: Option<(&str, &str)>,
) -> Result<bool, LocalPlatformError> {
    let unreadable = LocalPlatformError::Document;
    let policies = documents.iter().map(|document| serde_json::from_value::<IAMPolicy>(document.clone()));
    let policies = policies.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(error.to_string()))?;
    let mut known = Context::new();
    if let Some((key, value)) = context {
        known.insert(key.to_owned(), ContextValue::String(value.to_owned()));
    }
    let principal = Principal::Aws(PrincipalId::String(principal.to_owned()));
    let resource = Arn::parse(resource).map_err(|error| unreadable(error.to_string()))?;
    let request = IAMRequest::new_with_context(principal, action, resource, known);
    let result = PolicyEvaluator::with_policies(policies).evaluate(&request);
    Ok(result.map_err(|error| unreadable(error.to_string()))?.decision == Decision::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINCIPAL: &str = "arn:aws:iam::151136852077:role/volume-connection";
    const ROLE: &str = "arn:aws:iam::123456789012:role/cavatica-volume-0a1b2c3d";

    fn trust(condition: &Value) -> RoleDocuments {
        let statement = json!({"Effect": "Allow", "Principal": {"AWS": PRINCIPAL}, "Action": "sts:AssumeRole",
            "Condition": condition});
        let trust = json!({"Version": "2012-10-17", "Statement": [statement]});
        RoleDocuments { arn: ROLE.to_owned(), trust, permissions: Vec::new(), boundary: None }
    }

    #[test]
    fn a_role_is_assumed_with_its_external_id_and_with_no_other() -> Result<(), LocalPlatformError> {
        let role = trust(&json!({"StringEquals": {"sts:ExternalId": "AROA0A1B2C3D4E5F60718"}}));
        for (id, is_let_in) in
            [(Some("AROA0A1B2C3D4E5F60718"), true), (Some("AROAANOTHERUSERSEXTERNALID"), false), (None, false)]
        {
            assert_eq!(role.lets_in(PRINCIPAL, id)?, is_let_in, "{id:?}");
        }
        // A trust policy without the condition would let everybody in who knows the ARN, and a rehearsal has to see it.
        assert!(trust(&json!({})).lets_in(PRINCIPAL, None)?);
        Ok(())
    }

    #[test]
    fn a_role_of_somebody_else_is_not_the_platforms() -> Result<(), LocalPlatformError> {
        let mut role = trust(&json!({}));
        role.trust["Statement"][0]["Principal"]["AWS"] = json!("arn:aws:iam::111122223333:role/volume-connection");
        assert!(!role.lets_in(PRINCIPAL, None)?);
        Ok(())
    }

    #[test]
    fn an_allow_needs_the_boundary_and_a_deny_always_wins() -> Result<(), LocalPlatformError> {
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
