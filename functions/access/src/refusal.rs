//! Refusals: reasons why an event fails, as sentences for the administrator with the obstacle and the remedy.

use std::fmt;
use std::time::Duration;

use crate::limits;
use crate::names::{AccountId, PolicyArn, RoleName};
use crate::owner::{self, Owner, Tags};
use crate::port::{Action, Change, Failure, FailureKind, Look, PolicyEntity};
use crate::recognition::Sign;
use crate::volume::BucketName;

/// Kind of IAM resource that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ResourceKind {
    Role,
    Policy,
}

impl fmt::Display for ResourceKind {
    /// As the first word of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "Role",
            Self::Policy => "Policy",
        })
    }
}

/// Reason for the answer `FAILED`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The function runs in another account than its stack.
    #[error(
        "The function runs in account {caller} but its stack is in account {stack}: a custom resource must be served \
         from its own account. Nothing was changed. Deploy the function in account {stack}."
    )]
    WrongAccount {
        /// The function's account.
        caller: AccountId,
        /// The stack's account.
        stack: AccountId,
    },

    /// A role or policy of that name belongs to somebody else.
    #[error("{kind} {name} already exists and is not this stack's: {holder}. It was left as it is. {remedy}.")]
    Taken {
        /// Kind of resource.
        kind: ResourceKind,
        /// Name.
        name: String,
        /// Owner, as far as the tags tell.
        holder: String,
        /// The remedy.
        remedy: String,
    },

    /// Only the letter case of a name was changed.
    #[error(
        "{kind} {old} was asked to become {new}: IAM ignores letter case in names, so the clean-up of one would delete \
         the other. Nothing was changed. Choose a name that differs in more than case."
    )]
    LetterCase {
        /// Kind of resource.
        kind: ResourceKind,
        /// Current value.
        old: String,
        /// Requested value.
        new: String,
    },

    /// The policy's name was changed alone.
    #[error(
        "PolicyName was changed from {old} to {new} alone: it may change only together with RoleName, because a rollback \
         could not restore it. Nothing was changed. Change both names, or keep {old}."
    )]
    PolicyRenamedAlone {
        /// Current value.
        old: String,
        /// Requested value.
        new: String,
    },

    /// The path was changed without both names.
    #[error(
        "{kind} {name} lives under another path than asked for: names are unique across paths, so Path may change only \
         when RoleName and PolicyName both change. Nothing was changed. Change both names too, or keep the path."
    )]
    PathChanged {
        /// Kind of resource.
        kind: ResourceKind,
        /// Name.
        name: String,
    },

    /// The trusted principal was changed alone.
    #[error(
        "TrustedPrincipalArn was changed from {old} to {new} alone: it may change only together with RoleName, because a \
         rollback could not restore it. Nothing was changed. Change RoleName too, or keep {old}."
    )]
    PrincipalChangedAlone {
        /// Current value.
        old: String,
        /// Requested value.
        new: String,
    },

    /// The function may not trust this principal.
    #[error(
        "TrustedPrincipalArn is {asked}, but this function was deployed to trust {pinned} and nobody else. Nothing was \
         changed. Update the stack so that both name the same principal."
    )]
    PrincipalNotPinned {
        /// The principal of the properties.
        asked: String,
        /// The principal of the function's environment.
        pinned: String,
    },

    /// The boundary was changed alone.
    #[error(
        "PermissionsBoundaryArn was changed from {old} to {new} alone: it may change only together with RoleName, because a \
         rollback could not restore it. Nothing was changed. Change RoleName too, or keep {old}."
    )]
    BoundaryChangedAlone {
        /// Current value.
        old: String,
        /// Requested value.
        new: String,
    },

    /// A role or policy of this stack lost its owner tags.
    #[error(
        "{what}, but lost the tags that say it is this stack's, so it was left as it is, and keeps its access. If it is the stack's, run `{command}` and repeat the operation. If somebody else made it, delete the stack and \
         retain {resource}."
    )]
    LostTags {
        /// The role or policy, and why it seems to be ours all the same.
        what: String,
        /// The command that tags it again.
        command: String,
        /// The logical ID of the custom resource.
        resource: String,
    },

    /// Something that somebody did stands in the way of a deletion.
    #[error("{what}, so it cannot be deleted. Nothing was removed. Run `{command}` and delete the stack again.")]
    InTheWay {
        /// The obstacle.
        what: String,
        /// The command that removes it.
        command: String,
    },

    /// Cavatica could not use what was asked for.
    #[error(
        "{found} Checks is Enforce, so nothing was left like this. Mend it and try again, or set Checks to Report."
    )]
    Unusable {
        /// The findings, as sentences.
        found: String,
    },

    /// A bucket has as many CORS rules as S3 takes.
    #[error(
        "Bucket {bucket} already has {most} CORS rules, as many as S3 takes, so this stack's does not fit. They were left as they are. \
         Remove one that is not needed, or set ConfigureCors to false.",
        most = limits::CORS_RULES
    )]
    CorsIsFull {
        /// The bucket.
        bucket: BucketName,
    },

    /// Somebody else changes a bucket's CORS configuration all the time.
    #[error(
        "Somebody else keeps changing the CORS rules of bucket {bucket} at the same time: S3 replaces all of them at once and offers \
         no way to lock them, so each overwrites the other. Let the other side finish, then try again."
    )]
    CorsIsContested {
        /// The bucket.
        bucket: BucketName,
    },

    /// S3 was too slow, or did not answer.
    #[error(
        "S3 did not finish with the CORS rules of bucket {bucket} in the {} s that there are for them. Try again: S3's health is at \
         https://health.aws.amazon.com.",
        limit.as_secs()
    )]
    CorsTookTooLong {
        /// The bucket.
        bucket: BucketName,
        /// The time that there was.
        limit: Duration,
    },

    /// A bucket's CORS rule of ours could not be taken out.
    #[error(
        "{cause} The role and its policy are gone, but the CORS rule {id} of bucket {bucket} may be left. Remove it in the S3 console \
         (the bucket's Permissions, Cross-origin resource sharing), then delete the stack again; if that fails too, choose to retain \
         {resource}: nothing else of it is left."
    )]
    CorsRuleStays {
        /// Cause.
        cause: Box<Refusal>,
        /// The rule's ID.
        id: String,
        /// The bucket.
        bucket: BucketName,
        /// The logical ID of the resource.
        resource: String,
    },

    /// AWS refused or did not answer.
    #[error("While {doing}, AWS answered {failure}. {advice}.")]
    Aws {
        /// The call, as part of a sentence.
        doing: String,
        /// The answer of AWS.
        failure: Box<Failure>,
        /// The remedy.
        advice: String,
    },
}

impl Refusal {
    /// Returns a role or policy that is not ours.
    #[must_use]
    pub fn taken(kind: ResourceKind, name: &str, tags: &Tags, owner: &Owner) -> Self {
        let holder = match (tags.get(owner::STACK), tags.get(owner::RESOURCE)) {
            (Some(stack), Some(resource)) if *stack == owner.stack.as_str() => {
                format!("it belongs to the resource {resource} of the same stack")
            }
            (Some(stack), _) => format!("it belongs to the stack {stack}"),
            (None, _) => "it has no tag of cavatica-connect, so somebody made it by other means".to_owned(),
        };
        let word = kind.to_string().to_lowercase();
        let remedy = format!("Choose another {kind}Name, or remove the {word} and try again");
        Self::Taken { kind, name: name.to_owned(), holder, remedy }
    }

    /// True if the role's name is taken by a role that is not the stack's.
    #[must_use]
    pub fn is_foreign_role(&self) -> bool {
        matches!(self, Self::Taken { kind: ResourceKind::Role, .. })
    }

    /// Returns a role that lost its tags; the sign says that it is the stack's.
    #[must_use]
    pub fn role_lost_tags(role: &RoleName, sign: Sign, owner: &Owner) -> Self {
        Self::LostTags {
            what: format!("Role {role} {sign}"),
            command: format!("aws iam tag-role --role-name {role} --tags {}", tags_to_set(owner.tags())),
            resource: owner.resource.clone(),
        }
    }

    /// Returns a policy that lost its tags; the role that is ours says that it is its policy.
    #[must_use]
    pub fn policy_lost_tags(policy: &PolicyArn, role: &RoleName, owner: &Owner) -> Self {
        let mut tags = owner.tags();
        tags.insert(owner::ROLE.to_owned(), owner::role_tag(role));
        Self::LostTags {
            what: format!("Policy {} serves this stack's role {role}", policy.name()),
            command: format!("aws iam tag-policy --policy-arn {policy} --tags {}", tags_to_set(tags)),
            resource: owner.resource.clone(),
        }
    }

    /// Returns a role that an instance profile holds.
    #[must_use]
    pub fn in_instance_profile(role: &RoleName, profile: &str) -> Self {
        Self::InTheWay {
            what: format!("Role {role} is in the instance profile {profile}"),
            command: format!(
                "aws iam remove-role-from-instance-profile --instance-profile-name {profile} --role-name {role}"
            ),
        }
    }

    /// Returns a policy that somebody uses as boundary.
    #[must_use]
    pub fn used_as_boundary(policy: &PolicyArn, carrier: &PolicyEntity) -> Self {
        let command = match carrier {
            PolicyEntity::Role(name) => format!("aws iam delete-role-permissions-boundary --role-name {name}"),
            PolicyEntity::User(name) | PolicyEntity::Group(name) => {
                format!("aws iam delete-user-permissions-boundary --user-name {name}")
            }
        };
        Self::InTheWay {
            what: format!("Policy {} is used as the permissions boundary of {carrier}", policy.name()),
            command,
        }
    }

    /// Returns a look that failed.
    #[must_use]
    pub fn while_looking(at: &Look, failure: Failure) -> Self {
        let advice = advice(at.action(), &failure);
        Self::Aws { doing: at.to_string(), failure: Box::new(failure), advice }
    }

    /// Returns a change that failed.
    #[must_use]
    pub fn while_changing(change: &Change, failure: Failure) -> Self {
        let advice = match (change, failure.kind) {
            (Change::Detach { .. } | Change::Attach { .. }, FailureKind::Denied) => by_hand(change),
            (Change::CreateRole(_) | Change::PutBoundary { .. }, FailureKind::NotFound) => {
                "IAM does not find the boundary: check PermissionsBoundaryArn".to_owned()
            }
            _ => advice(Some(change.action()), &failure),
        };
        Self::Aws { doing: change.to_string(), failure: Box::new(failure), advice }
    }
}

/// Tags as the AWS CLI takes them.
fn tags_to_set(tags: Tags) -> String {
    let pairs: Vec<_> = tags.into_iter().map(|(key, value)| format!("Key={key},Value={value}")).collect();
    pairs.join(" ")
}

/// Returns the stack's own role may attach only the policy that the stack has now, and detach only that one from
/// others: what somebody did to an older one has to be undone by a person.
fn by_hand(change: &Change) -> String {
    let (carrier, arn, verb) = match change {
        Change::Detach { from: PolicyEntity::User(name), arn } => (format!("user --user-name {name}"), arn, "detach"),
        Change::Detach { from: PolicyEntity::Group(name), arn } => {
            (format!("group --group-name {name}"), arn, "detach")
        }
        Change::Detach { from: PolicyEntity::Role(name), arn } => (format!("role --role-name {name}"), arn, "detach"),
        Change::Attach { role, arn } => (format!("role --role-name {role}"), arn, "attach"),
        _ => return String::new(),
    };
    let (kind, name) = carrier.split_once(' ').unwrap_or((&carrier, ""));
    format!(
        "Either another policy, such as an organisation's, forbids {} here, or it is an older policy that somebody attached \
         or detached, which the stack's own role may not undo. In the second case run `aws iam {verb}-{kind}-policy {name} \
         --policy-arn {arn}` and try again",
        change.action().name()
    )
}

/// Returns the remedy of a failure, for an administrator.
fn advice(action: Option<Action>, failure: &Failure) -> String {
    let action_name = action.map_or("sts:GetCallerIdentity", Action::name);
    match failure.kind {
        FailureKind::Denied if action_name.starts_with("s3:") => format!(
            "The stack's own role allows {action_name} here, so a bucket policy or an organisation's policy forbids it, or the bucket \
             is another account's by now: have it allowed, then try again"
        ),
        FailureKind::Denied => format!(
            "The stack's own role allows {action_name} here, so another policy forbids it. The usual cause is an organisation's \
             policy that allows IAM changes only to some roles or only through CloudFormation: ask whoever keeps it for an \
             exception, then try again"
        ),
        FailureKind::MalformedDocument if failure.message.to_lowercase().contains("principal") => {
            "IAM does not know the principal in the trust policy: check TrustedPrincipalArn, and ask the platform's support \
             whether its role changed"
                .to_owned()
        }
        FailureKind::AlreadyExists => "The name is taken, under another path or in other letter case: by something that is not \
             this stack's, or by what an update of it that failed left behind. Choose another RoleName and PolicyName"
            .to_owned(),
        FailureKind::LimitExceeded => "The account's IAM quota is used up: remove what is not needed, or have the quota raised \
             (Service Quotas, AWS Identity and Access Management), then try again"
            .to_owned(),
        FailureKind::Throttled | FailureKind::Server | FailureKind::Connection => {
            "AWS did not take the call in the time there was; what is half done is finished by the next try: update or delete \
             the stack again"
                .to_owned()
        }
        FailureKind::DeleteConflict => {
            "Another person or program keeps attaching policies: see the IAM console, remove what was added, then delete the stack again".to_owned()
        }
        FailureKind::NotFound => "It was removed by somebody else meanwhile: try again".to_owned(),
        FailureKind::MalformedDocument | FailureKind::ConcurrentModification | FailureKind::TemporarilyUnmodifiable | FailureKind::Other => {
            "Try again; if it stays, report it with this text".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
