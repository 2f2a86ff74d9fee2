use super::*;
use crate::names::Rule;
use crate::port::Bucket;

/// Returns every kind of Reason, with each of its advices.
fn every_refusal() -> Result<Vec<Refusal>, Rule> {
    let owner = Owner {
        stack: "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000".parse()?,
        resource: "VolumeAccess".to_owned(),
    };
    let role: RoleName = "vol".parse()?;
    let policy: PolicyArn = "arn:aws:iam::123456789012:policy/vol".parse()?;
    let bucket: BucketName = "my-bucket".parse()?;
    let account: AccountId = "123456789012".parse()?;
    let (old, new, name) = ("old".to_owned(), "new".to_owned(), "vol".to_owned());
    let foreign = Tags::from([(owner::STACK.to_owned(), "other".to_owned())]);
    let carrier = PolicyEntity::User("alice".to_owned());
    let renamed = |kind| Refusal::LetterCase { kind, old: old.clone(), new: new.clone() };
    let mut all = vec![
        Refusal::WrongAccount { caller: account.clone(), stack: account },
        Refusal::taken(ResourceKind::Role, "vol", &Tags::new(), &owner),
        Refusal::taken(ResourceKind::Policy, "vol", &foreign, &owner),
        renamed(ResourceKind::Role),
        Refusal::PolicyRenamedAlone { old: old.clone(), new: new.clone() },
        Refusal::PathChanged { kind: ResourceKind::Policy, name },
        Refusal::PrincipalChangedAlone { old: old.clone(), new: new.clone() },
        Refusal::PrincipalNotPinned { asked: old.clone(), pinned: new.clone() },
        Refusal::BoundaryChangedAlone { old, new },
        Refusal::role_lost_tags(&role, Sign::ExternalId, &owner),
        Refusal::policy_lost_tags(&policy, &role, &owner),
        Refusal::in_instance_profile(&role, "web"),
        Refusal::used_as_boundary(&policy, &carrier),
        Refusal::Unusable { found: "Bucket my-bucket does not exist.".to_owned() },
        Refusal::CorsIsFull { bucket: bucket.clone() },
        Refusal::CorsIsContested { bucket: bucket.clone() },
        Refusal::CorsTookTooLong { bucket: bucket.clone(), limit: Duration::from_secs(15) },
        Refusal::CorsRuleStays {
            cause: Box::new(Refusal::CorsIsContested { bucket: bucket.clone() }),
            id: "rule".to_owned(),
            bucket: bucket.clone(),
            resource: owner.resource,
        },
    ];
    let failures = [
        FailureKind::NotFound,
        FailureKind::AlreadyExists,
        FailureKind::DeleteConflict,
        FailureKind::LimitExceeded,
        FailureKind::MalformedDocument,
        FailureKind::ConcurrentModification,
        FailureKind::TemporarilyUnmodifiable,
        FailureKind::Denied,
        FailureKind::Throttled,
        FailureKind::Server,
        FailureKind::Connection,
        FailureKind::Other,
    ];
    let changes = [
        Change::Detach { from: carrier, arn: policy.clone() },
        Change::Detach { from: PolicyEntity::Role("vol".to_owned()), arn: policy.clone() },
        Change::Attach { role: role.clone(), arn: policy.clone() },
        Change::PutBoundary { role: role.clone(), boundary: policy },
        Change::DeleteRole { role: role.clone() },
        Change::PutCors {
            bucket: Box::new(Bucket {
                name: bucket.clone(),
                owner: "123456789012".parse()?,
                region: "us-east-1".parse()?,
            }),
            rules: Vec::new(),
        },
    ];
    for (kind, message) in failures.into_iter().flat_map(|kind| [(kind, "It broke."), (kind, "no principal")]) {
        let failure = || Failure {
            kind,
            code: "Code".to_owned(),
            message: message.to_owned(),
            request_id: Some("id".to_owned()),
        };
        all.extend(changes.iter().map(|change| Refusal::while_changing(change, failure())));
        all.extend(
            [Look::BucketRegion(bucket.clone(), owner.stack.account.clone()), Look::Role(role.clone())]
                .map(|look| Refusal::while_looking(&look, failure())),
        );
    }
    Ok(all)
}

/// CloudFormation's event is one text; sentences without a full stop run into each other there.
#[test]
fn every_refusal_is_made_of_whole_sentences() -> Result<(), Rule> {
    for refusal in every_refusal()? {
        let text = refusal.to_string();
        assert!(text.starts_with(char::is_uppercase), "{text}");
        assert!(text.ends_with('.') && !text.contains("..") && !text.contains(". ."), "{text}");
        let ends_with_a_command =
            text.strip_suffix('.').and_then(|text| text.rsplit_once("aws ")).map(|(_, tail)| tail);
        assert!(ends_with_a_command.is_none_or(|tail| tail.contains('`')), "a command with a full stop behind: {text}");
    }
    Ok(())
}
