//! Rights of the Lambda: exactly the calls of the domain's port, each only on resources of this stack.
//!
//! Derived from [`Action`], so that role and code cannot drift apart. IAM itself enforces ownership: by the exact name
//! where something is made, by our tag where something is changed or removed. Tags and not names for the latter,
//! because a rename updates this role first and sends the Delete for the old name last.

use cavatica_access::document::{Document, Principal, Statement};
use cavatica_access::owner;
use cavatica_access::port::Action;
use cavatica_access::requested_tags::REQUESTED;

use super::values::{TemplateCondition, boundary_arn, policy_name, role_name};
use crate::cfn::{Expr as E, Resource};

/// Resources and conditions of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    /// The role of the wanted name under whatever path, and any policy: whether something exists has to be found out
    /// before its tags can be known. The name alone is asked about where there is none.
    LookAtRole,
    LookAtPolicies,
    /// Any role's tags: of an older role's name, which no statement has, they tell whether it exists and whose it is.
    /// They show no trust policy, and so no external ID of others.
    LookAtTags,
    /// Resources with the owner tag.
    LookIntoOurs,
    /// The exact role, with our tag and the boundary from the first moment.
    CreateRole,
    /// The exact policy, with our tag from the first moment.
    CreatePolicy,
    /// The exact names, setting our tag, on what has none yet or ours already.
    Tag,
    /// Roles with our tag, setting our tag: whichever of role and resource CloudFormation reverts first, the role that
    /// is in use has to say so.
    TagOurRole,
    /// The exact names, if ours; our own keys never.
    Untag,
    /// Roles with our tag and the boundary.
    ChangeRole,
    /// The same, and only our policy.
    Attach,
    /// The exact policy, if ours.
    ChangePolicy,
    /// Resources with the owner tag.
    Remove,
    /// Our policy, from whoever carries it.
    DetachOurs,
    /// The stack's bucket, whoever owns it.
    LookAtBucket,
    /// While CORS is asked for, the account's own buckets: when the rule goes out of a bucket, this role knows another
    /// one already. Otherwise the stack's, to take the rule out.
    ConfigureCors,
}

/// Every grant with the ID of its statement, in the order of the document.
const GRANTS: [(Grant, &str); 16] = [
    (Grant::LookAtRole, "LookAtTheRole"),
    (Grant::LookAtPolicies, "LookAtPolicies"),
    (Grant::LookAtTags, "LookAtTagsOfRoles"),
    (Grant::LookIntoOurs, "LookIntoOurs"),
    (Grant::CreateRole, "CreateTheRole"),
    (Grant::CreatePolicy, "CreateThePolicy"),
    (Grant::Tag, "TagOurs"),
    (Grant::TagOurRole, "TagOurRoles"),
    (Grant::Untag, "UntagOursButNotOurKeys"),
    (Grant::ChangeRole, "ChangeOurCappedRole"),
    (Grant::Attach, "AttachOnlyOurPolicy"),
    (Grant::ChangePolicy, "ChangeThePolicy"),
    (Grant::Remove, "RemoveOurs"),
    (Grant::DetachOurs, "DetachOurPolicyFromAnyone"),
    (Grant::LookAtBucket, "LookAtTheBucket"),
    (Grant::ConfigureCors, "ConfigureCorsOfOurBuckets"),
];

/// Returns the grants of an action.
fn grants(action: Action) -> &'static [Grant] {
    use Action as A;
    match action {
        A::GetRole => &[Grant::LookAtRole, Grant::LookIntoOurs],
        A::ListRoleTags => &[Grant::LookAtTags],
        A::GetPolicy => &[Grant::LookAtPolicies],
        A::ListAttachedRolePolicies
        | A::ListRolePolicies
        | A::ListInstanceProfilesForRole
        | A::GetPolicyVersion
        | A::ListPolicyVersions
        | A::ListEntitiesForPolicy
        | A::SimulatePrincipalPolicy => &[Grant::LookIntoOurs],
        A::CreateRole => &[Grant::CreateRole],
        A::CreatePolicy => &[Grant::CreatePolicy],
        A::TagRole => &[Grant::Tag, Grant::TagOurRole],
        A::TagPolicy => &[Grant::Tag],
        A::UntagRole | A::UntagPolicy => &[Grant::Untag],
        A::UpdateRole | A::UpdateAssumeRolePolicy | A::PutRolePermissionsBoundary => &[Grant::ChangeRole],
        A::AttachRolePolicy => &[Grant::Attach],
        A::CreatePolicyVersion => &[Grant::ChangePolicy],
        A::DetachRolePolicy => &[Grant::Remove, Grant::DetachOurs],
        A::DeleteRolePolicy | A::DeleteRole | A::DeletePolicyVersion | A::DeletePolicy => &[Grant::Remove],
        A::DetachUserPolicy | A::DetachGroupPolicy => &[Grant::DetachOurs],
        A::GetBucketLocation => &[Grant::LookAtBucket, Grant::ConfigureCors],
        A::GetEncryptionConfiguration => &[Grant::LookAtBucket],
        A::GetBucketCORS | A::PutBucketCORS => &[Grant::ConfigureCors],
    }
}

pub(super) fn resource() -> Resource {
    let trust =
        Document::<E>::new(vec![Statement::trust(Principal::Service("lambda.amazonaws.com"), "sts:AssumeRole")]);
    let policy = E::map([("PolicyName", E::text("ProvideVolumeAccess")), ("PolicyDocument", E::json(&document()))]);
    // A stack tag with our key would make this role ours, and with it changeable by itself; the resource's own tag
    // wins.
    let tag = E::map([("Key", E::text(owner::STACK)), ("Value", E::text("provider"))]);
    Resource {
        logical_id: "ProviderRole",
        kind: "AWS::IAM::Role",
        condition: None,
        depends_on: Vec::new(),
        goes_with_stack: false,
        properties: vec![
            (
                "Description",
                E::sub("Lets the function of the stack ${AWS::StackName} make and remove {platform}'s role."),
            ),
            ("AssumeRolePolicyDocument", E::json(&trust)),
            (
                "PermissionsBoundary",
                E::when(TemplateCondition::HasOwnBoundary, E::no_value(), E::reference("PermissionsBoundaryArn")),
            ),
            ("Policies", E::List(vec![policy])),
            ("Tags", E::List(vec![tag])),
        ],
    }
}

fn document() -> Document<E> {
    let mut statements: Vec<_> = GRANTS
        .iter()
        .map(|(grant, sid)| {
            let actions: Vec<_> =
                Action::ALL.iter().filter(|action| grants(**action).contains(grant)).map(|a| a.name()).collect();
            restricted(*grant, Statement::allow(*sid, &actions, resources(*grant)))
        })
        .collect();
    // It may write to its log group but not make one, so that nothing comes back after the stack is gone.
    let log = E::sub(
        "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${ProviderLogGroup}:log-stream:*",
    );
    statements.push(Statement::allow("WriteItsLog", &["logs:CreateLogStream", "logs:PutLogEvents"], vec![log]));
    Document::new(statements)
}

fn resources(grant: Grant) -> Vec<E> {
    let any = |kind: &str| E::sub(format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{kind}/*"));
    match grant {
        Grant::LookAtRole => vec![role_under("role/${Name}"), role_under("role/*/${Name}")],
        Grant::LookAtPolicies => vec![any("policy")],
        Grant::LookAtTags => vec![any("role")],
        Grant::LookIntoOurs | Grant::Remove => vec![any("role"), any("policy")],
        Grant::CreateRole => vec![role_arn()],
        Grant::CreatePolicy | Grant::ChangePolicy => vec![policy_arn()],
        Grant::Tag | Grant::Untag => vec![role_arn(), policy_arn()],
        Grant::TagOurRole | Grant::ChangeRole | Grant::Attach => vec![any("role")],
        Grant::DetachOurs => vec![any("role"), any("user"), any("group")],
        Grant::LookAtBucket => vec![E::sub("arn:${AWS::Partition}:s3:::${BucketName}")],
        Grant::ConfigureCors => {
            let any = E::sub("arn:${AWS::Partition}:s3:::*");
            vec![E::when(TemplateCondition::ConfiguresCors, any, E::sub("arn:${AWS::Partition}:s3:::${BucketName}"))]
        }
    }
}

fn restricted(grant: Grant, statement: Statement<E>) -> Statement<E> {
    const OURS: &str = "aws:ResourceTag/cavatica-connect:stack";
    const ASKED_AS_OURS: &str = "aws:RequestTag/cavatica-connect:stack";
    let stack = || E::reference("AWS::StackId");
    let only = |statement: Statement<E>, key| statement.only_if("StringEquals", key, stack());
    // Condition keys ignore the case of a tag's key, the function does not: what it makes carries the key as it reads
    // it.
    let exactly =
        |statement: Statement<E>| statement.only_if("ForAnyValue:StringEquals", "aws:TagKeys", E::text(owner::STACK));
    let capped = |statement: Statement<E>| statement.only_if("ArnEquals", "iam:PermissionsBoundary", boundary_arn());
    let our_policy = |statement: Statement<E>| statement.only_if("ArnEquals", "iam:PolicyARN", policy_arn());
    match grant {
        Grant::LookAtRole | Grant::LookAtPolicies | Grant::LookAtTags | Grant::LookAtBucket => statement,
        Grant::LookIntoOurs | Grant::ChangePolicy | Grant::Remove => only(statement, OURS),
        Grant::CreateRole => exactly(capped(only(statement, ASKED_AS_OURS))),
        Grant::CreatePolicy => exactly(only(statement, ASKED_AS_OURS)),
        Grant::Tag => exactly(only(statement, ASKED_AS_OURS).only_if("StringEqualsIfExists", OURS, stack())),
        Grant::TagOurRole => exactly(only(only(statement, ASKED_AS_OURS), OURS)),
        Grant::Untag => {
            let ours = [owner::STACK, owner::RESOURCE, owner::ROLE, owner::POLICY, owner::REPLACES, REQUESTED]
                .map(E::text)
                .to_vec();
            only(statement, OURS).only_if("ForAllValues:StringNotEqualsIgnoreCase", "aws:TagKeys", E::List(ours))
        }
        Grant::ChangeRole => capped(only(statement, OURS)),
        Grant::Attach => our_policy(capped(only(statement, OURS))),
        Grant::DetachOurs => our_policy(statement),
        Grant::ConfigureCors => {
            statement.only_if("StringEquals", "aws:ResourceAccount", E::reference("AWS::AccountId"))
        }
    }
}

fn role_arn() -> E {
    role_under("role${IamPath}${Name}")
}

/// Returns the ARN of a resource of the account with the role's name in it.
fn role_under(resource: &str) -> E {
    let arn = format!("arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{resource}");
    E::Sub(arn, vec![("Name", role_name())])
}

fn policy_arn() -> E {
    let arn = "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy${IamPath}${Name}";
    E::Sub(arn.to_owned(), vec![("Name", policy_name())])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_of_the_port_is_granted_and_no_other() {
        let document = document();
        let granted: BTreeSet<_> = document.statements().iter().flat_map(|s| s.action.iter().copied()).collect();
        let port: BTreeSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        let beside: BTreeSet<_> = granted.difference(&port).copied().collect();
        assert!(port.is_subset(&granted), "{:?}", port.difference(&granted));
        assert_eq!(beside, BTreeSet::from(["logs:CreateLogStream", "logs:PutLogEvents"]));
    }

    #[test]
    fn every_statement_that_writes_is_bound_to_our_tag_our_policy_or_our_account() {
        const READ_OR_LOG: [&str; 5] =
            ["LookAtTheRole", "LookAtPolicies", "LookAtTagsOfRoles", "LookAtTheBucket", "WriteItsLog"];
        const BINDING: [&str; 2] = ["iam:PolicyARN", "aws:ResourceAccount"];
        let writes =
            |statement: &&Statement<E>| !statement.sid.as_ref().is_some_and(|sid| READ_OR_LOG.contains(&sid.as_ref()));
        for statement in document().statements().iter().filter(writes) {
            let keys: Vec<_> = statement.condition.iter().map(|condition| condition.key).collect();
            let is_bound = keys.iter().any(|key| key.ends_with("Tag/cavatica-connect:stack") || BINDING.contains(key));
            assert!(is_bound, "{:?}", statement.sid);
        }
    }
}
