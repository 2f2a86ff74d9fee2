//! The boundary that caps the volume role: at most what Cavatica's manual asks for, on this stack's bucket and key.
//!
//! A thief of the provider's credentials cannot create more than a volume role. An organisation's own boundary
//! takes its place when one is given.
//!
//! The bucket's owner is part of the cap. The name of a deleted bucket is free for every AWS account; without the
//! owner, Cavatica would write to the bucket of whoever takes the name and admits the role in a bucket policy. Source:
//! IAM, "AWS global condition context keys", `aws:ResourceAccount`.

use cavatica_access::document::Statement;
use cavatica_access::permissions;
use cavatica_access::platform::{Platform, ProjectLocation};

use super::values::{TemplateCondition, copies_from, document, s3_arn};
use crate::cfn::{Expr as E, Resource};

/// Frozen: a change of it would replace the boundary under every role that carries it.
const DESCRIPTION: &str = "Caps the role that {platform} assumes: only S3 and KMS, only this stack's bucket and key.";

/// `owner`: the account that has to own the bucket.
pub(super) fn resource(platform: &Platform, owner: &E) -> Resource {
    Resource {
        logical_id: "Boundary",
        kind: "AWS::IAM::ManagedPolicy",
        condition: Some(TemplateCondition::HasOwnBoundary.into()),
        depends_on: Vec::new(),
        goes_with_stack: false,
        // No name: it would need CAPABILITY_NAMED_IAM, and the Lambda knows it by the one that CloudFormation gives.
        properties: vec![("Description", E::text(DESCRIPTION)), ("PolicyDocument", at_most(platform, owner))],
    }
}

fn at_most(platform: &Platform, owner: &E) -> E {
    let limits = Limits {
        bucket: &|statement| statement.only_if("StringEquals", "aws:ResourceAccount", owner.clone()),
        keys: &|statement| statement.only_if("StringLike", "kms:ViaService", E::text("s3.*.amazonaws.com")),
    };
    let buckets = E::json(&(limits.bucket)(permissions::read_buckets(vec![bucket()])));
    document([vec![buckets], on_objects(platform, &s3_arn("${BucketName}/*"), &limits)].concat())
}

type Limit<'l> = &'l dyn Fn(Statement<E>) -> Statement<E>;

/// The conditions that the boundary has beyond the role's own policy.
pub(super) struct Limits<'l> {
    /// On the stack's bucket and its objects, not on the vendor's copy buckets.
    pub(super) bucket: Limit<'l>,
    /// On the bucket's key.
    pub(super) keys: Limit<'l>,
}

/// No limits.
pub(super) const UNLIMITED: Limits<'static> = Limits { bucket: &|statement| statement, keys: &|statement| statement };

/// Returns the statements about objects and keys, which the role's own policy in the native template has too.
pub(super) fn on_objects(platform: &Platform, objects: &E, limits: &Limits<'_>) -> Vec<E> {
    let objects = || vec![objects.clone()];
    let key = || vec![E::reference("KmsKeyArn")];
    let copy_source = |location: &ProjectLocation| {
        E::when(copies_from(location), s3_arn(&format!("{}/*", location.copy_bucket)), E::no_value())
    };
    let copy_sources = permissions::read_copy_sources(platform.locations.iter().map(copy_source).collect());
    let keys = E::when(
        TemplateCondition::IsReadWrite,
        E::json(&(limits.keys)(permissions::use_keys(key()))),
        E::json(&(limits.keys)(permissions::decrypt_with_keys(key(), false))),
    );
    let write = |omit_acls| E::json(&(limits.bucket)(permissions::write_objects(objects(), omit_acls)));
    let writes = E::when(TemplateCondition::OmitsObjectAcls, write(true), write(false));
    vec![
        E::json(&(limits.bucket)(permissions::read_objects(objects()))),
        E::when(TemplateCondition::IsReadWrite, writes, E::no_value()),
        E::when(TemplateCondition::IsReadWrite, E::json(&copy_sources), E::no_value()),
        E::when(TemplateCondition::HasKmsKey, keys, E::no_value()),
    ]
}

/// Returns the stack's bucket.
pub(super) fn bucket() -> E {
    s3_arn("${BucketName}")
}
