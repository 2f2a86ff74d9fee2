//! The stage of a rehearsal: a bucket, a role of somebody else, and the names of the stacks. Each has the rehearsal's
//! name in its own, and is removed only with a sign on it that says it is the rehearsal's.

use std::fmt;
use std::str::FromStr;

use aws_sdk_iam::types::Tag as RoleTag;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, Tag, Tagging as Tags};
use serde_json::{Value, json};

use super::StepError;
use crate::account::{Account, AwsError, Call};
use crate::deploy::assets;
use crate::deploy::follow::KnownEvents;
use crate::deploy::stack::NextOperation;
use crate::deploy::stacks::Stacks;
use crate::local_platform::{LocalAccess, role};
use crate::publish::Place;

/// The objects of the bucket.
pub(super) const OBJECTS: [&str; 3] = ["raw/2026/sample-1.vcf", "raw/2026/sample-2.vcf", "notes/private.txt"];

/// The tag on bucket and role; its value is the rehearsal's name.
const SIGN: &str = "rehearsal-of-cavatica-connect";

/// The name of a rehearsal, which begins the names of all that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Returns a name that nobody has.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("cavatica-rehearsal-{:08x}", getrandom::u32().unwrap_or_default()))
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let has_succeeded = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = (3..=40).contains(&text.len())
            && text.chars().all(has_succeeded)
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-');
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err("3 to 40 lower-case letters, digits and hyphens, such as rehearsal-2")
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The account in which it takes place, and what it makes there.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The account.
    pub account: Account,
    /// The region.
    pub region: &'static str,
    /// The rehearsal's name, which is the main stack's, too.
    pub name: Name,
    /// Platform on the local engine; `None` in a real account.
    pub(super) platform: Option<LocalAccess>,
    pub(super) stacks: Stacks,
    pub(super) iam: aws_sdk_iam::Client,
    s3: aws_sdk_s3::Client,
}

impl Fixture {
    /// Returns a stage, with nothing on it.
    #[must_use]
    pub fn new(account: Account, region: &'static str, name: Name) -> Self {
        let (stacks, iam, s3) = (Stacks::of(&account, region), account.iam(region), account.s3(region));
        Self { account, region, name, platform: None, stacks, iam, s3 }
    }

    /// Returns the same with the platform on the local engine.
    #[must_use]
    pub fn with_platform(self, platform: LocalAccess) -> Self {
        Self { platform: Some(platform), ..self }
    }

    /// Returns the command that removes what is left.
    #[must_use]
    pub fn clean_up(&self) -> String {
        self.account
            .invocation
            .command(&["rehearse", "--clean-up", "--name", &self.name.to_string()], Some(self.region))
    }

    /// Returns the bucket, which has the function's code, too.
    pub(super) fn bucket(&self) -> String {
        format!("{}-data", self.name)
    }

    /// Returns the place of the function's code.
    pub(super) fn place(&self) -> Place {
        Place { region: self.region.to_owned(), bucket: self.bucket() }
    }

    /// Returns a bucket that does not exist.
    pub(super) fn missing_bucket(&self) -> String {
        format!("{}-not-there", self.name)
    }

    /// Returns the role that somebody else has.
    pub(super) fn foreign_role(&self) -> String {
        format!("{}-of-somebody-else", self.name)
    }

    /// Returns the stack that asks for a bucket that does not exist.
    pub(super) fn lost_stack(&self) -> String {
        format!("{}-wrong-bucket", self.name)
    }

    /// Returns the stack that asks for somebody else's role.
    pub(super) fn greedy_stack(&self) -> String {
        format!("{}-taken-name", self.name)
    }

    fn call(&self, doing: &'static str, action: &'static str, on: String) -> Call {
        self.account.call(doing, action, on, self.region)
    }

    fn on_bucket(&self, doing: &'static str, action: &'static str) -> Call {
        self.call(doing, action, format!("bucket {}", self.bucket()))
    }

    fn on_role(&self, doing: &'static str, action: &'static str) -> Call {
        self.call(doing, action, format!("role {}", self.foreign_role()))
    }

    /// Whatever has a name that the rehearsal would give.
    pub async fn taken(&self) -> Result<Option<String>, StepError> {
        for name in [self.name.to_string(), self.lost_stack(), self.greedy_stack()] {
            if self.stacks.find(&name).await?.is_some_and(|stack| stack.status != "DELETE_COMPLETE") {
                return Ok(Some(format!("stack {name}")));
            }
        }
        if self.role_sign().await?.is_some() {
            return Ok(Some(format!("role {}", self.foreign_role())));
        }
        match self.s3.head_bucket().bucket(self.bucket()).send().await {
            Ok(_) => Ok(Some(format!("bucket {}", self.bucket()))),
            // Answers to HEAD have no code.
            Err(error) => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(404) => Ok(None),
                Some(301 | 403) => Ok(Some(format!("bucket {}", self.bucket()))),
                _ => Err(self.on_bucket("look for", "s3:ListBucket").failed(error).into()),
            },
        }
    }

    /// Makes the bucket with its objects, and somebody else's role.
    pub(super) async fn set(&self) -> Result<(), AwsError> {
        let bucket = self.bucket();
        let place = (self.region != "us-east-1").then(|| {
            let place = BucketLocationConstraint::from(self.region);
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let made = self.s3.create_bucket().bucket(&bucket).set_create_bucket_configuration(place).send().await;
        made.map_err(|error| self.on_bucket("make", "s3:CreateBucket").failed(error))?;
        let sign = Tag::builder().key(SIGN).value(self.name.to_string()).build();
        let tags = sign.and_then(|sign| Tags::builder().tag_set(sign).build()).ok();
        let tagged = self.s3.put_bucket_tagging().bucket(&bucket).set_tagging(tags).send().await;
        tagged.map_err(|error| self.on_bucket("tag", "s3:PutBucketTagging").failed(error))?;
        for key in OBJECTS {
            let body = format!("content of {key}").into_bytes();
            let put = self.s3.put_object().bucket(&bucket).key(key).body(body.into()).send().await;
            put.map_err(|error| self.on_bucket("write an object to", "s3:PutObject").failed(error))?;
        }
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
        let document = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "s3:PutObject", "Resource": format!("arn:aws:s3:::{bucket}/raw/*")}]});
        let role = self.foreign_role();
        let sign = RoleTag::builder().key(SIGN).value(self.name.to_string()).build().ok();
        let made = self.iam.create_role().role_name(&role).assume_role_policy_document(trust.to_string());
        let made = made.set_tags(sign.map(|sign| vec![sign])).send().await;
        made.map_err(|error| self.on_role("make", "iam:CreateRole").failed(error))?;
        let inline = self.iam.put_role_policy().role_name(role).policy_name("upload");
        let inline = inline.policy_document(document.to_string()).send().await;
        inline.map_err(|error| self.on_role("write the policy of", "iam:PutRolePolicy").failed(error))?;
        Ok(())
    }

    /// Returns the document of a policy that is in force.
    pub(super) async fn policy_document(&self, arn: &str) -> Result<Value, StepError> {
        Ok(role::policy_document(&self.iam, arn).await?)
    }

    /// Returns the keys in the bucket.
    pub(super) async fn keys(&self) -> Result<Vec<String>, AwsError> {
        let listed = self.s3.list_objects_v2().bucket(self.bucket()).send().await;
        let listed = listed.map_err(|error| self.on_bucket("list", "s3:ListBucket").failed(error))?;
        Ok(listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    /// Removes whatever the rehearsal has in the account, at whatever step it ended; returns what could not be removed.
    /// Nothing is removed that has only the name.
    pub async fn clear(&self) -> Vec<StepError> {
        let mut failures = Vec::new();
        for name in [self.greedy_stack(), self.lost_stack(), self.name.to_string()] {
            failures.extend(self.clear_stack(&name).await.err());
        }
        failures.extend(self.clear_role().await.err());
        failures.extend(self.clear_bucket().await.err());
        failures
    }

    async fn clear_stack(&self, name: &str) -> Result<(), StepError> {
        let Some(stack) = self.stacks.find(name).await?.filter(|stack| stack.status != "DELETE_COMPLETE") else {
            return Ok(());
        };
        let ours = [self.bucket(), self.missing_bucket()];
        let is_ours = match stack.status.as_str() {
            // A stack that was only proposed has no parameters yet.
            "REVIEW_IN_PROGRESS" => self.stacks.change_sets(name).await?.foreign.is_empty(),
            _ => stack.parameters.get("BucketName").is_some_and(|bucket| ours.contains(bucket)),
        };
        if !is_ours {
            return Err(StepError::NotOurs(format!("stack {name}")));
        }
        // CloudFormation deletes no stack in the middle of an update; and a function that is still at work on a
        // creation writes its log after the deletion.
        if NextOperation::of(&stack.status) == NextOperation::Wait {
            let (operation, mut known) = self.stacks.current_operation(&stack.id).await?;
            self.stacks.follow(&operation, &mut known, |_| {}).await?;
        }
        let operation = self.stacks.delete(&stack.id).await?;
        let status = self.stacks.follow(&operation, &mut KnownEvents::default(), |_| {}).await?.status;
        if status == "DELETE_COMPLETE" {
            return Ok(());
        }
        Err(StepError::Failed { stack: stack.id, status, cause: "see its events".to_owned() })
    }

    /// Returns the sign on the role; nothing if there is no role, empty if it has none.
    async fn role_sign(&self) -> Result<Option<String>, AwsError> {
        match self.iam.get_role().role_name(self.foreign_role()).send().await {
            Ok(answer) => {
                let tags = answer.role.and_then(|role| role.tags).unwrap_or_default();
                Ok(Some(tags.into_iter().find(|tag| tag.key == SIGN).map(|tag| tag.value).unwrap_or_default()))
            }
            Err(error) if error.code() == Some("NoSuchEntity") => Ok(None),
            Err(error) => Err(self.on_role("look for", "iam:GetRole").failed(error)),
        }
    }

    async fn clear_role(&self) -> Result<(), StepError> {
        match self.role_sign().await? {
            None => return Ok(()),
            Some(sign) if sign == self.name.to_string() => {}
            Some(_) => return Err(StepError::NotOurs(format!("role {}", self.foreign_role()))),
        }
        let role = self.foreign_role();
        match self.iam.delete_role_policy().role_name(&role).policy_name("upload").send().await {
            Err(error) if error.code() != Some("NoSuchEntity") => {
                return Err(self.on_role("delete the policy of", "iam:DeleteRolePolicy").failed(error).into());
            }
            _ => {}
        }
        let deleted = self.iam.delete_role().role_name(&role).send().await;
        deleted.map_err(|error| self.on_role("delete", "iam:DeleteRole").failed(error))?;
        Ok(())
    }

    async fn clear_bucket(&self) -> Result<(), StepError> {
        let (bucket, owner) = (self.bucket(), &self.account.id);
        let tags = match self.s3.get_bucket_tagging().bucket(&bucket).expected_bucket_owner(owner).send().await {
            Ok(answer) => answer.tag_set,
            Err(error) if error.code() == Some("NoSuchBucket") => return Ok(()),
            Err(error) if error.code() == Some("NoSuchTagSet") => Vec::new(),
            Err(error) => return Err(self.on_bucket("look at", "s3:GetBucketTagging").failed(error).into()),
        };
        if !tags.iter().any(|tag| tag.key == SIGN && tag.value == self.name.to_string()) {
            return Err(StepError::NotOurs(format!("bucket {bucket}")));
        }
        assets::remove(&self.account, &self.place()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_the_names_of_buckets_and_roles() {
        for (text, has_succeeded) in [
            ("cavatica-rehearsal-0a9211e0", true),
            ("lab", true),
            ("a", false),
            ("Lab", false),
            ("1lab", false),
            ("lab-", false),
            ("lab_1", false),
            (&"a".repeat(41), false),
        ] {
            assert_eq!(text.parse::<Name>().is_ok(), has_succeeded, "{text}");
        }
        let longest = Name("a".repeat(40));
        assert!(format!("{longest}-not-there").len() <= 63, "a bucket");
        assert!(format!("{longest}-of-somebody-else").len() <= 64, "a role");
        assert!(Name::random().to_string().parse::<Name>().is_ok());
    }
}
