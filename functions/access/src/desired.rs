//! The goal of an event: a role and its policy as they should be, or gone.

use crate::blueprint::Blueprint;
use crate::lineage::ReplacedRole;
use crate::names::{IamPath, PolicyArn, PolicyName, RoleArn, RoleName};
use crate::owner::Owner;
use crate::port::Role;
use crate::recognition::Evidence;
use crate::request::OldProperties;
use crate::volume::{BucketName, Volume};

/// That a role and its policy are as a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// How they should be.
    pub blueprint: Blueprint,
    /// The only principal that may be trusted, whatever the request says.
    pub pinned_principal: RoleArn,
    /// The role that is being replaced and for which a Delete will come, if there is one.
    pub replaced_role: Option<RoleArn>,
    /// The old properties, as far as they can be read.
    pub old_properties: OldProperties,
    /// The same as a whole, if it was valid.
    pub old_blueprint: Option<Blueprint>,
    /// True for a Create: when it fails, all of it is removed.
    pub is_new: bool,
}

impl Desired {
    /// The keys of the tags that were asked for before: by the code that makes them, or of old properties that are not
    /// valid any more, as far as they can be read.
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

    /// True if the bucket was asked for before too, as the same account's.
    #[must_use]
    pub fn knows_bucket(&self, volume: &Volume) -> bool {
        let before = self.old_blueprint.iter().flat_map(|before| &before.request.volumes);
        before.into_iter().any(|known| known.bucket == volume.bucket && known.bucket_owner == volume.bucket_owner)
    }

    /// True if CORS rules were asked for before too.
    #[must_use]
    pub fn knows_cors(&self) -> bool {
        self.old_blueprint.as_ref().is_some_and(|before| before.request.configure_cors)
    }
}

/// That a role and its policy are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Whose they would be.
    pub owner: Owner,
    /// Their names; `None` when nothing can have been made.
    pub role: Option<RoleToDelete>,
    /// The buckets whose CORS configuration may have a rule for it.
    pub cors_buckets: Vec<BucketName>,
    /// True if CloudFormation made the physical ID up, because a Create did not answer in time or was cancelled: that Create
    /// may still run.
    pub is_abandoned: bool,
}

/// A role that should go, by what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleToDelete {
    /// Its name.
    pub name: RoleName,
    /// Its ARN, when the physical resource ID says so.
    pub arn: Option<RoleArn>,
    /// The role that the properties name, when the physical resource ID is another's: an update that failed, and whose
    /// rollback failed, leaves two.
    pub other_role: Option<ReplacedRole>,
    /// The path of its policies when the role is gone.
    pub path: IamPath,
    /// Names its policy may have, beside the one that its tags say.
    pub policies: Vec<PolicyName>,
    /// The properties that tell it from others' roles without its tags.
    pub evidence: Evidence,
}

impl RoleToDelete {
    /// A role of which only the names are known.
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

    /// True if the role that was found under the name is the one meant.
    #[must_use]
    pub fn is(&self, role: &Role) -> bool {
        self.arn.as_ref().is_none_or(|arn| arn.is_same(&role.arn))
    }

    /// The ARN of the role, as far as it is known.
    #[must_use]
    pub fn role(&self, owner: &Owner) -> RoleArn {
        self.arn.clone().unwrap_or_else(|| RoleArn {
            partition: owner.stack.partition.clone(),
            account: owner.stack.account.clone(),
            path: self.path.clone(),
            name: self.name.clone(),
        })
    }

    /// The ARNs its policy may have, each once.
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
