//! Desired state of an event: a role and its policy that exist as requested, or that are deleted.

use crate::blueprint::Blueprint;
use crate::lineage::ReplacedRole;
use crate::names::{IamPath, PolicyArn, PolicyName, RoleArn, RoleName};
use crate::owner::Owner;
use crate::port::Role;
use crate::recognition::Evidence;
use crate::request::OldProperties;
use crate::volume::{BucketName, Volume};

/// Desired state: the role and its policy exist as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Role and policy as requested.
    pub blueprint: Blueprint,
    /// Only principal that the function may trust. The template pins it, so that a forged event cannot choose another.
    pub pinned_principal: RoleArn,
    /// Role that this update replaces. CloudFormation deletes it afterwards.
    pub replaced_role: Option<RoleArn>,
    /// Properties before the update, as far as they are readable; the default for a Create.
    pub old_properties: OldProperties,
    /// Blueprint of the properties before the update; `None` for a Create, and if they are invalid.
    pub old_blueprint: Option<Blueprint>,
    /// True for a Create. CloudFormation deletes everything if it fails.
    pub is_new: bool,
}

impl Desired {
    /// Returns the keys of the tags that the old properties request, even if those properties are invalid now.
    #[must_use]
    pub fn old_tag_keys(&self) -> Vec<String> {
        match &self.old_blueprint {
            Some(before) => before.request.requested_tags().into_keys().collect(),
            None => self.old_properties.tag_keys.clone(),
        }
    }

    /// True for an update that keeps the role.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        !self.is_new && self.replaced_role.is_none()
    }

    /// True if the old properties name the same bucket of the same account.
    #[must_use]
    pub fn knows_bucket(&self, volume: &Volume) -> bool {
        let before = self.old_blueprint.iter().flat_map(|before| &before.request.volumes);
        before.into_iter().any(|known| known.bucket == volume.bucket && known.bucket_owner == volume.bucket_owner)
    }

    /// True if the old properties request CORS rules.
    #[must_use]
    pub fn knows_cors(&self) -> bool {
        self.old_blueprint.as_ref().is_some_and(|before| before.request.configure_cors)
    }
}

/// Desired state: the role and its policy are deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Owner of the role and its policy.
    pub owner: Owner,
    /// Role to delete; `None` if the Create cannot have made one.
    pub role: Option<RoleToDelete>,
    /// Buckets whose CORS configuration may have a rule for the role.
    pub cors_buckets: Vec<BucketName>,
    /// True if CloudFormation made up the physical ID, because the Create did not answer in time or was cancelled. That
    /// Create may still be running.
    pub is_abandoned: bool,
}

/// Role to delete, as the event describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleToDelete {
    /// Name.
    pub name: RoleName,
    /// ARN, if it is the physical resource ID.
    pub arn: Option<RoleArn>,
    /// Role that the properties name, if it is not the one of the physical resource ID. A failed update whose rollback
    /// failed too leaves two roles.
    pub other_role: Option<ReplacedRole>,
    /// Path of the policies if the role no longer exists.
    pub path: IamPath,
    /// Possible names of the policy, besides the name in the role's tags.
    pub policies: Vec<PolicyName>,
    /// Properties that identify the role if it lost its owner tags.
    pub evidence: Evidence,
}

impl RoleToDelete {
    /// Returns an older role, of which only the names are known.
    #[must_use]
    pub fn older(replaced: ReplacedRole) -> Self {
        let mut policies = vec![replaced.policy, PolicyName::from(&replaced.role)];
        policies.dedup();
        Self {
            name: replaced.role,
            arn: None,
            other_role: None,
            path: replaced.path,
            policies,
            evidence: Evidence::default(),
        }
    }

    /// True if an observed role of this name is the one to delete.
    #[must_use]
    pub fn is(&self, role: &Role) -> bool {
        self.arn.as_ref().is_none_or(|arn| arn.is_same(&role.arn))
    }

    /// Returns the role's ARN; an assumed one if only the name is known.
    #[must_use]
    pub fn role(&self, owner: &Owner) -> RoleArn {
        self.arn.clone().unwrap_or_else(|| RoleArn {
            partition: owner.stack.partition.clone(),
            account: owner.stack.account.clone(),
            path: self.path.clone(),
            name: self.name.clone(),
        })
    }

    /// Returns the possible ARNs of the policy, each once.
    #[must_use]
    pub fn candidates(&self, owner: &Owner) -> Vec<PolicyArn> {
        let role = self.role(owner);
        let mut arns: Vec<PolicyArn> = Vec::new();
        for arn in self.policies.iter().map(|policy| role.beside(policy)) {
            if !arns.iter().any(|known| known.is_same(&arn)) {
                arns.push(arn);
            }
        }
        arns
    }
}
