//! The changes: one call of AWS for each.

use aws_sdk_iam::types::Tag;
use cavatica_access::owner::Tags;
use cavatica_access::port::{Change, Failure, NewPolicy, PolicyEntity, Receipt};

use super::{AwsAccount, failure};

impl AwsAccount {
    /// Makes one change.
    // Long, because it is a table: one call for each change.
    pub(super) async fn change(&self, change: &Change) -> Result<Receipt, Failure> {
        /// Sends a call whose answer says nothing.
        macro_rules! send {
            ($call:expr) => {
                $call.send().await.map(|_| ()).map_err(failure::of)?
            };
        }
        let iam = &self.iam.0;
        match change {
            Change::CreateRole(new) => {
                let call = iam
                    .create_role()
                    .role_name(new.arn.name.as_str())
                    .path(new.arn.path.as_str())
                    .assume_role_policy_document(&new.trust)
                    .set_description(Some(new.description.clone()).filter(|text| !text.is_empty()))
                    .max_session_duration(seconds(new.max_session_duration))
                    .set_permissions_boundary(new.boundary.as_ref().map(ToString::to_string))
                    .set_tags(Some(sdk_tags(&new.tags)?));
                let answer = call.send().await.map_err(failure::of)?;
                return Ok(Receipt { role_id: answer.role.map(|role| role.role_id) });
            }
            Change::TagRole { role, tags } => {
                send!(iam.tag_role().role_name(role.as_str()).set_tags(Some(sdk_tags(tags)?)));
            }
            Change::UntagRole { role, keys } => {
                send!(iam.untag_role().role_name(role.as_str()).set_tag_keys(Some(keys.clone())));
            }
            Change::UpdateRole { role, description, max_session_duration } => {
                let call = iam.update_role().role_name(role.as_str()).description(description);
                send!(call.max_session_duration(seconds(*max_session_duration)));
            }
            Change::UpdateTrust { role, trust } => {
                send!(iam.update_assume_role_policy().role_name(role.as_str()).policy_document(trust));
            }
            Change::PutBoundary { role, boundary } => {
                let call = iam.put_role_permissions_boundary().role_name(role.as_str());
                send!(call.permissions_boundary(boundary.as_str()));
            }
            Change::CreatePolicy(new) => {
                let NewPolicy { arn, path, document, description, tags } = new.as_ref();
                let call = iam.create_policy().policy_name(arn.name()).path(path.as_str()).policy_document(document);
                send!(call.description(description).set_tags(Some(sdk_tags(tags)?)));
            }
            Change::TagPolicy { arn, tags } => {
                send!(iam.tag_policy().policy_arn(arn.as_str()).set_tags(Some(sdk_tags(tags)?)));
            }
            Change::UntagPolicy { arn, keys } => {
                send!(iam.untag_policy().policy_arn(arn.as_str()).set_tag_keys(Some(keys.clone())));
            }
            Change::CreatePolicyVersion { arn, document } => {
                let call = iam.create_policy_version().policy_arn(arn.as_str()).policy_document(document);
                send!(call.set_as_default(true));
            }
            Change::Attach { role, arn } => {
                send!(iam.attach_role_policy().role_name(role.as_str()).policy_arn(arn.as_str()));
            }
            Change::Detach { from: PolicyEntity::Role(name), arn } => {
                send!(iam.detach_role_policy().role_name(name).policy_arn(arn.as_str()));
            }
            Change::Detach { from: PolicyEntity::User(name), arn } => {
                send!(iam.detach_user_policy().user_name(name).policy_arn(arn.as_str()));
            }
            Change::Detach { from: PolicyEntity::Group(name), arn } => {
                send!(iam.detach_group_policy().group_name(name).policy_arn(arn.as_str()));
            }
            Change::DeleteInlinePolicy { role, name } => {
                send!(iam.delete_role_policy().role_name(role.as_str()).policy_name(name));
            }
            Change::DeletePolicyVersion { arn, version } => {
                send!(iam.delete_policy_version().policy_arn(arn.as_str()).version_id(version));
            }
            Change::DeletePolicy { arn } => send!(iam.delete_policy().policy_arn(arn.as_str())),
            Change::DeleteRole { role } => send!(iam.delete_role().role_name(role.as_str())),
            Change::PutCors { bucket, rules } => self.buckets.put_cors(bucket, rules).await?,
        }
        Ok(Receipt::default())
    }
}

fn sdk_tags(tags: &Tags) -> Result<Vec<Tag>, Failure> {
    let tag = |(key, value)| Tag::builder().key(key).value(value).build();
    tags.iter().map(tag).collect::<Result<_, _>>().map_err(|_| failure::unexpected("a tag without key or value"))
}

fn seconds(duration: u32) -> i32 {
    i32::try_from(duration).unwrap_or(i32::MAX)
}
