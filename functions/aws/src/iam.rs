//! Reads of IAM.

use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType, PolicyUsageType, ResourceSpecificResult, Tag,
};
use cavatica_access::names::{PolicyArn, RoleArn, RoleName};
use cavatica_access::owner::Tags;
use cavatica_access::port::{
    Failure, FailureKind, Layer, Policy, PolicyEntity, Question, Role, Usage, Verdict, Version,
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::failure;

/// IAM, as far as it is read.
#[derive(Debug, Clone)]
pub(super) struct Iam(pub(super) aws_sdk_iam::Client);

impl Iam {
    pub(super) async fn role_tags(&self, name: &RoleName) -> Result<Option<Tags>, Failure> {
        let pages = self.0.list_role_tags().role_name(name.as_str()).into_paginator().items().send();
        let all = pages.try_collect().await.map_err(failure::of);
        Ok(unless_absent(all)?.map(|all| tags(Some(all))))
    }

    pub(super) async fn role(&self, name: &RoleName) -> Result<Option<Role>, Failure> {
        let answer = self.0.get_role().role_name(name.as_str()).send().await.map_err(failure::of);
        let Some(role) = unless_absent(answer)?.and_then(|answer| answer.role) else { return Ok(None) };
        let boundary = role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
        Ok(Some(Role {
            arn: RoleArn::observed(&role.arn).ok_or_else(|| failure::unexpected("a role whose ARN cannot be read"))?,
            id: role.role_id,
            tags: tags(role.tags),
            trust: document(role.assume_role_policy_document.as_deref())?,
            description: role.description.unwrap_or_default(),
            max_session_duration: role.max_session_duration.and_then(|s| u32::try_from(s).ok()).unwrap_or(3_600),
            boundary: boundary.and_then(|arn| arn.parse().ok()),
        }))
    }

    pub(super) async fn policy(&self, arn: &PolicyArn) -> Result<Option<Policy>, Failure> {
        let answer = self.0.get_policy().policy_arn(arn.as_str()).send().await.map_err(failure::of);
        let Some(policy) = unless_absent(answer)?.and_then(|answer| answer.policy) else { return Ok(None) };
        Ok(Some(Policy {
            arn: read_arn(policy.arn)?,
            tags: tags(policy.tags),
            default_version: policy.default_version_id.unwrap_or_default(),
        }))
    }

    pub(super) async fn attached_policies(&self, role: &RoleName) -> Result<Vec<PolicyArn>, Failure> {
        let pages = self.0.list_attached_role_policies().role_name(role.as_str()).into_paginator().items().send();
        let attached = pages.try_collect().await.map_err(failure::of)?;
        attached.into_iter().map(|policy| read_arn(policy.policy_arn)).collect()
    }

    pub(super) async fn inline_policies(&self, role: &RoleName) -> Result<Vec<String>, Failure> {
        let pages = self.0.list_role_policies().role_name(role.as_str()).into_paginator().items().send();
        pages.try_collect().await.map_err(failure::of)
    }

    pub(super) async fn instance_profiles(&self, role: &RoleName) -> Result<Vec<String>, Failure> {
        let pages = self.0.list_instance_profiles_for_role().role_name(role.as_str()).into_paginator().items().send();
        let profiles = pages.try_collect().await.map_err(failure::of)?;
        Ok(profiles.into_iter().map(|profile| profile.instance_profile_name).collect())
    }

    pub(super) async fn policy_versions(&self, arn: &PolicyArn) -> Result<Vec<Version>, Failure> {
        let pages = self.0.list_policy_versions().policy_arn(arn.as_str()).into_paginator().items().send();
        let mut versions = pages.try_collect().await.map_err(failure::of)?;
        // Numbers are never used again, so the lowest is the oldest.
        let number = |id: Option<&str>| id.and_then(|id| id.strip_prefix('v')?.parse::<u64>().ok()).unwrap_or(0);
        versions.sort_by_key(|version| number(version.version_id()));
        let read = |version: aws_sdk_iam::types::PolicyVersion| Version {
            id: version.version_id.unwrap_or_default(),
            is_default: version.is_default_version,
        };
        Ok(versions.into_iter().map(read).collect())
    }

    pub(super) async fn policy_document(&self, arn: &PolicyArn, version: &str) -> Result<Value, Failure> {
        let call = self.0.get_policy_version().policy_arn(arn.as_str()).version_id(version);
        let answer = call.send().await.map_err(failure::of)?;
        document(answer.policy_version.and_then(|version| version.document).as_deref())
    }

    pub(super) async fn policy_carriers(&self, arn: &PolicyArn, usage: Usage) -> Result<Vec<PolicyEntity>, Failure> {
        let usage = match usage {
            Usage::Permissions => PolicyUsageType::PermissionsPolicy,
            Usage::Boundary => PolicyUsageType::PermissionsBoundary,
        };
        let call = self.0.list_entities_for_policy().policy_arn(arn.as_str()).policy_usage_filter(usage);
        let mut pages = call.into_paginator().send();
        let mut entities = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(failure::of)?;
            entities
                .extend(page.policy_roles.into_iter().flatten().filter_map(|r| r.role_name).map(PolicyEntity::Role));
            entities
                .extend(page.policy_users.into_iter().flatten().filter_map(|u| u.user_name).map(PolicyEntity::User));
            entities
                .extend(page.policy_groups.into_iter().flatten().filter_map(|g| g.group_name).map(PolicyEntity::Group));
        }
        Ok(entities)
    }

    pub(super) async fn simulate(&self, role: &RoleArn, question: &Question) -> Result<Vec<Verdict>, Failure> {
        let mut call = self.0.simulate_principal_policy().policy_source_arn(role.to_string());
        call = call.set_action_names(Some(question.actions.iter().map(ToString::to_string).collect()));
        call = call.set_resource_arns(Some(question.resources.clone()));
        for (key, value) in &question.context {
            let entry = ContextEntry::builder().context_key_name(*key).context_key_values(value);
            call = call.context_entries(entry.context_key_type(ContextKeyTypeEnum::String).build());
        }
        let results = call.into_paginator().items().send().try_collect().await.map_err(failure::of)?;
        // A result is about one action, on each resource or on all there are.
        let verdicts = results.into_iter().flat_map(|result| {
            let forbidden_by = forbidden_by(
                &result.eval_decision,
                result.organizations_decision_detail.as_ref().map(|detail| detail.allowed_by_organizations),
                result.permissions_boundary_decision_detail.as_ref().map(|d| d.allowed_by_permissions_boundary),
            );
            let resource = result.eval_resource_name.unwrap_or_default();
            let whole = Verdict { action: result.eval_action_name, resource, forbidden_by };
            let specific = result.resource_specific_results.unwrap_or_default();
            if specific.is_empty() {
                return vec![whole];
            }
            let read = |result: ResourceSpecificResult| Verdict {
                action: whole.action.clone(),
                resource: result.eval_resource_name,
                forbidden_by: self::forbidden_by(
                    &result.eval_resource_decision,
                    // It is said once for all resources.
                    Some(whole.forbidden_by != Some(Layer::Organisation)),
                    result.permissions_boundary_decision_detail.map(|d| d.allowed_by_permissions_boundary),
                ),
            };
            specific.into_iter().map(read).collect()
        });
        Ok(verdicts.collect())
    }
}

/// Returns the layer that forbids what a decision does not allow.
fn forbidden_by(
    decision: &PolicyEvaluationDecisionType,
    allowed_by_organisation: Option<bool>,
    allowed_by_boundary: Option<bool>,
) -> Option<Layer> {
    match decision {
        PolicyEvaluationDecisionType::Allowed => None,
        _ if allowed_by_organisation == Some(false) => Some(Layer::Organisation),
        PolicyEvaluationDecisionType::ExplicitDeny => Some(Layer::Deny),
        _ if allowed_by_boundary == Some(false) => Some(Layer::Boundary),
        _ => Some(Layer::Statement),
    }
}

/// Absent is an answer, not a failure.
fn unless_absent<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn read_arn(arn: Option<String>) -> Result<PolicyArn, Failure> {
    arn.unwrap_or_default().parse().map_err(|_| failure::unexpected("a policy whose ARN cannot be read"))
}

/// IAM gives documents percent-encoded (RFC 3986).
fn document(text: Option<&str>) -> Result<Value, Failure> {
    let text = percent_decode_str(text.unwrap_or_default()).decode_utf8_lossy();
    serde_json::from_str(&text).map_err(|_| failure::unexpected("a policy document that is not JSON"))
}

fn tags(tags: Option<Vec<Tag>>) -> Tags {
    tags.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_layer_that_forbids_an_action() {
        use PolicyEvaluationDecisionType as D;
        for (decision, by_organisation, by_boundary, layer) in [
            (D::Allowed, Some(true), Some(true), None),
            (D::ImplicitDeny, None, None, Some(Layer::Statement)),
            (D::ImplicitDeny, Some(true), Some(true), Some(Layer::Statement)),
            (D::ImplicitDeny, Some(true), Some(false), Some(Layer::Boundary)),
            (D::ExplicitDeny, None, Some(false), Some(Layer::Deny)),
            (D::ExplicitDeny, Some(false), Some(true), Some(Layer::Organisation)),
            (D::ImplicitDeny, Some(false), Some(false), Some(Layer::Organisation)),
        ] {
            assert_eq!(forbidden_by(&decision, by_organisation, by_boundary), layer, "{decision:?}");
        }
    }
}
