//! Names and ARNs of roles and policies: what is a valid one, how it is written, when two are the same.
//!
//! IAM names are unique ignoring case within an account, whatever their path.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// The rule that a name breaks, as a sentence fragment that completes "must be …".
pub type Rule = &'static str;

/// Defines a string newtype that can only be made through its `FromStr`.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Returns the text as AWS takes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use text;

text! {
    /// The name of a role: 1-64 of `[\w+=,.@-]`.
    RoleName
}

text! {
    /// The name of a customer managed policy: 1-128 of `[\w+=,.@-]`.
    PolicyName
}

text! {
    /// An IAM path: `/`, or `/…/` of printable ASCII; at most 64 characters here.
    IamPath
}

text! {
    /// An AWS account: 12 digits.
    AccountId
}

text! {
    /// An AWS partition, such as `aws`.
    Partition
}

/// True if IAM takes the character in a name.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

impl RoleName {
    /// The rule in words. Source: `CreateRole`, parameter `RoleName`.
    pub const RULE: Rule = "1 to 64 characters out of letters, digits and _+=,.@-";
    /// The rule as a pattern for CloudFormation, without anchors.
    pub const PATTERN: &str = r"[\w+=,.@-]{1,64}";

    /// True if IAM takes both for the same role.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl FromStr for RoleName {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = (1..=limits::ROLE_NAME).contains(&text.len()) && text.chars().all(is_name_char);
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

impl PolicyName {
    /// The rule in words. Source: `CreatePolicy`, parameter `PolicyName`.
    pub const RULE: Rule = "1 to 128 characters out of letters, digits and _+=,.@-";
    /// The rule as a pattern for CloudFormation, without anchors.
    pub const PATTERN: &str = r"[\w+=,.@-]{1,128}";

    /// True if IAM takes both for the same policy.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl From<&RoleName> for PolicyName {
    /// Returns the default name of a role's policy is the role's own.
    fn from(role: &RoleName) -> Self {
        Self(role.0.clone())
    }
}

impl FromStr for PolicyName {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = (1..=limits::POLICY_NAME).contains(&text.len()) && text.chars().all(is_name_char);
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

impl IamPath {
    /// The rule in words. Source: `CreateRole`, parameter `Path`; the length is ours.
    pub const RULE: Rule = "/ alone, or begin and end with / around letters, digits and _+=,.@-, at most 64 characters";
    /// The rule as a pattern for CloudFormation, without anchors; the length is stated beside it.
    pub const PATTERN: &str = r"/([\w+=,.@-]+/)*";
}

impl Default for IamPath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for IamPath {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let inner = text.strip_prefix('/').ok_or(Self::RULE)?;
        let segments = inner.strip_suffix('/').map(|s| s.split('/').collect::<Vec<_>>());
        let fits = match segments {
            None => inner.is_empty(),
            Some(parts) => parts.iter().all(|part| !part.is_empty() && part.chars().all(is_name_char)),
        };
        (fits && text.len() <= limits::PATH).then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

impl AccountId {
    /// The rule in words.
    pub const RULE: Rule = "an AWS account ID of 12 digits";
}

impl FromStr for AccountId {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

impl Partition {
    /// The rule in words.
    pub const RULE: Rule = "an AWS partition such as aws, aws-us-gov or aws-cn";
}

impl FromStr for Partition {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = text.starts_with("aws") && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

/// The ARN of a role: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleArn {
    /// The account's partition.
    pub partition: Partition,
    /// The account that holds the role.
    pub account: AccountId,
    /// The path, not part of the name's uniqueness.
    pub path: IamPath,
    /// The name.
    pub name: RoleName,
}

impl RoleArn {
    /// The rule in words.
    pub const RULE: Rule = "the ARN of an IAM role, such as arn:aws:iam::123456789012:role/NAME";
    /// The rule as a pattern for CloudFormation, without anchors.
    pub const PATTERN: &str = r"arn:aws[a-z-]*:iam::\d{12}:role/([\w+=,.@-]+/)*[\w+=,.@-]{1,64}";

    /// True if IAM takes both for the same role: the name's case does not count, everything else does.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name.is_same(&other.name)
            && (&self.partition, &self.account, &self.path) == (&other.partition, &other.account, &other.path)
    }

    /// Returns the ARN of a policy beside this role, under the same path.
    #[must_use]
    pub fn beside(&self, policy: &PolicyName) -> PolicyArn {
        PolicyArn(format!("arn:{}:iam::{}:policy{}{policy}", self.partition, self.account, self.path))
    }
}

impl RoleArn {
    /// Reads an ARN that IAM shows. Somebody else's path can be longer than ours and of any printable characters.
    #[must_use]
    pub fn observed(text: &str) -> Option<Self> {
        let (head, resource) = text.split_once(":role/")?;
        let (path, name) = resource.rsplit_once('/').map_or((String::new(), resource), |(p, n)| (format!("{p}/"), n));
        let bare: Self = format!("{head}:role/{name}").parse().ok()?;
        Some(Self { path: IamPath(format!("/{path}")), ..bare })
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:iam::{}:role{}{}", self.partition, self.account, self.path, self.name)
    }
}

impl FromStr for RoleArn {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let parse = || {
            let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
            let partition = parts.next()?.parse().ok()?;
            (parts.next()? == "iam" && parts.next()?.is_empty()).then_some(())?;
            let account = parts.next()?.parse().ok()?;
            let (path, name) = split_resource(parts.next()?.strip_prefix("role")?)?;
            Some(Self { partition, account, path, name: name.parse().ok()? })
        };
        parse().ok_or(Self::RULE)
    }
}

/// The ARN of a managed policy, ours, somebody's or AWS's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyArn(String);

impl PolicyArn {
    /// The rule in words.
    pub const RULE: Rule = "the ARN of a managed policy, such as arn:aws:iam::123456789012:policy/NAME";
    /// The rule as a pattern for CloudFormation, without anchors.
    pub const PATTERN: &str = r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/([\w+=,.@-]+/)*[\w+=,.@-]{1,128}";

    /// Returns the text as AWS takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the policy's name, without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the account that holds it: 12 digits, or `aws` for AWS's own.
    #[must_use]
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// True if IAM takes both for the same policy, whatever the letters' case.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PolicyArn {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = || {
            let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
            parts.next()?.parse::<Partition>().ok()?;
            (parts.next()? == "iam" && parts.next()?.is_empty()).then_some(())?;
            let account = parts.next()?;
            (account == "aws" || account.parse::<AccountId>().is_ok()).then_some(())?;
            // AWS's own policies and other people's may have longer paths than we would make.
            let resource = parts.next()?.strip_prefix("policy/")?;
            let name = resource.rsplit('/').next()?;
            name.parse::<PolicyName>().ok()?;
            resource.chars().all(|c| c.is_ascii_graphic()).then_some(())
        };
        fits().map(|()| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

/// Splits `/PATH/NAME` into `/PATH/` and `NAME`.
fn split_resource(resource: &str) -> Option<(IamPath, &str)> {
    let at = resource.rfind('/')?;
    let (path, name) = resource.split_at(at + 1);
    Some((path.parse().ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_reads_back_as_it_was_written() {
        for text in [
            "arn:aws:iam::123456789012:role/cavatica",
            "arn:aws:iam::123456789012:role/labs/genomics/cavatica",
            "arn:aws-us-gov:iam::123456789012:role/a,b=c@d.e+f_g-h",
        ] {
            assert_eq!(text.parse::<RoleArn>().map(|arn| arn.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn reads_long_paths_of_foreign_roles() {
        for path in ["", "team:lab/", &format!("{}/", "x".repeat(80)), "a!b/c d/"] {
            let text = format!("arn:aws:iam::123456789012:role/{path}x");
            assert_eq!(RoleArn::observed(&text).map(|arn| arn.to_string()), Some(text));
        }
        assert_eq!(RoleArn::observed("arn:aws:iam::123456789012:policy/x"), None);
    }

    #[test]
    fn refuses_texts_that_are_no_role_arn() {
        for text in [
            "",
            "cavatica",
            "arn:aws:iam::123456789012:policy/x",
            "arn:aws:iam::1234:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:s3:::bucket",
            "arn:aws:iam::123456789012:role",
            "arn:aws:iam::123456789012:role//x",
        ] {
            assert_eq!(text.parse::<RoleArn>(), Err(RoleArn::RULE), "{text}");
        }
    }

    #[test]
    fn a_path_begins_and_ends_with_a_slash() {
        for (path, valid) in [
            ("/", true),
            ("/labs/", true),
            ("/labs/a/", true),
            ("labs/", false),
            ("/labs", false),
            ("//", false),
            ("", false),
        ] {
            assert_eq!(path.parse::<IamPath>().is_ok(), valid, "{path}");
        }
        assert!(format!("/{}/", "a".repeat(62)).parse::<IamPath>().is_ok());
        assert!(format!("/{}/", "a".repeat(63)).parse::<IamPath>().is_err());
    }

    #[test]
    fn names_that_differ_by_case_are_the_same_to_iam() -> Result<(), Rule> {
        assert!("Cavatica".parse::<RoleName>()?.is_same(&"cavatica".parse()?));
        assert!("a".repeat(64).parse::<RoleName>().is_ok());
        assert!("a".repeat(65).parse::<RoleName>().is_err());
        Ok(())
    }

    #[test]
    fn the_policies_of_aws_itself_have_arns_too() -> Result<(), Rule> {
        let arn: PolicyArn = "arn:aws:iam::aws:policy/service-role/AWSLambdaRole".parse()?;
        assert_eq!((arn.account(), arn.name()), ("aws", "AWSLambdaRole"));
        Ok(())
    }
}
