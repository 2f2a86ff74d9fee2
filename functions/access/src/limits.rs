//! Limits that AWS or Cavatica set, each with its unit and source; where ours is tighter, it says why.

/// Longest role name, in characters. AWS: "IAM and AWS STS quotas", name lengths.
pub const ROLE_NAME: usize = 64;

/// Longest policy name, in characters. AWS: "IAM and AWS STS quotas", name lengths.
pub const POLICY_NAME: usize = 128;

/// Longest path we accept, in characters. IAM takes 512; 64 keeps every ARN within a policy statement and a tag.
pub const PATH: usize = 64;

/// Longest ARN of a permissions boundary that we accept, in characters. IAM would take one of 700; the provider role
/// names it several times, and its inline policies share 10,240 characters.
pub const BOUNDARY_ARN: usize = 250;

/// Longest role description, in characters. AWS: `CreateRole`, parameter `Description`.
pub const DESCRIPTION: usize = 1_000;

/// Shortest external ID, in characters. Cavatica's manual asks for at least 6; AWS would take 2.
pub const EXTERNAL_ID_MIN: usize = 6;

/// Longest external ID, in characters. AWS: `AssumeRole`, parameter `ExternalId`.
pub const EXTERNAL_ID_MAX: usize = 1_224;

/// Shortest and longest session, in seconds. AWS: `CreateRole`, parameter `MaxSessionDuration`.
pub const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 3_600..=43_200;

/// Longest managed policy, in characters without white space. AWS: "IAM and AWS STS quotas", character limits.
pub const MANAGED_POLICY: usize = 6_144;

/// Longest trust policy, in characters, unless an account had it raised. AWS: "IAM and AWS STS quotas".
pub const TRUST_POLICY: usize = 2_048;

/// Versions a managed policy can have. AWS: "IAM and AWS STS quotas", IAM object quotas.
pub const POLICY_VERSIONS: usize = 5;

/// Managed policies that can be attached to one role, unless raised. AWS: "IAM and AWS STS quotas".
pub const ATTACHED_POLICIES: usize = 10;

/// Tags one role or policy can carry. AWS: "IAM and AWS STS quotas", tags.
pub const TAGS: usize = 50;

/// Longest tag key, in characters. AWS: "Tags for IAM resources", naming rules.
pub const TAG_KEY: usize = 128;

/// Longest tag value, in characters. AWS: "Tags for IAM resources", naming rules.
pub const TAG_VALUE: usize = 256;

/// Longest object key and so longest prefix, in bytes of UTF-8. AWS: S3 "Naming Amazon S3 objects".
pub const PREFIX: usize = 1_024;

/// Rules that a bucket's CORS configuration can have. AWS: `PutBucketCors`.
pub const CORS_RULES: usize = 100;
