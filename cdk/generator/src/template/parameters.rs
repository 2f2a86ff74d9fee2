//! Parameters, in the order of the console's form: the three that matter first, what should stay
//! as it is last. The rules are the domain's, as far as a pattern can see them.

use cavatica_access::limits;
use cavatica_access::names::{IamPath, PolicyName, RoleName};
use cavatica_access::request::{self, BOUNDARY_PATTERN, BOUNDARY_RULE, Checks, ExternalId};
use cavatica_access::volume::{AccessMode, BucketName, KmsKeyArn, Prefix};

use super::Config;
use crate::cfn::{Group, Parameter, ParameterKind};

/// A prefix as the form takes it: like the domain's rule, and besides without slashes at its ends and without quotes,
/// backslashes and dollars, since the form's text goes into `CreateVolumeRequest` as it is. Neither address nor ARN,
/// and no blank of Unicode at either end.
const PREFIX: &str = concat!(
    r"|(?![A-Za-z][A-Za-z0-9+.-]*://|[sS]3[aAnN]?:/|[aA][rR][nN]:)",
    r#"[^/*?$"\\\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"#,
    r#"([^*?$"\\\x00-\x1f\x7f-\x9f]*[^/*?$"\\\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?"#
);

/// The same of printable ASCII characters. IAM takes no others in a document as they are; the function escapes them,
/// CloudFormation does not. Source: `CreatePolicy`, parameter `PolicyDocument`.
const ASCII_PREFIX: &str = r"|(?![A-Za-z][A-Za-z0-9+.-]*://|[sS]3[aAnN]?:/|[aA][rR][nN]:)[!#%-)+-.0->@-\[\]-~]([ !#%-)+->@-\[\]-~]*[!#%-)+-.0->@-\[\]-~])?";

/// The rule in words.
const PREFIX_RULE: &str = r#"a prefix such as raw/2026, the path of a folder in the bucket: without address, ARN or bucket in front, without a slash or blank at either end, and without * ? $ " and \"#;

/// Days that CloudWatch Logs keeps events. Source: `PutRetentionPolicy`, parameter `retentionInDays`.
const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub(super) fn groups(config: &Config) -> Vec<Group> {
    vec![
        Group { label: "1. Your bucket".to_owned(), parameters: bucket(PREFIX, "") },
        Group {
            label: "2. Only if your bucket is encrypted with a key of yours, or belongs to another account".to_owned(),
            parameters: vec![kms_key(), bucket_owner()],
        },
        Group { label: "3. Names, if you want your own".to_owned(), parameters: [names(), vec![tags()]].concat() },
        Group { label: "4. How {platform} gets in".to_owned(), parameters: entry(config, automatic_external_id()) },
        Group { label: "5. Checks, and the bucket's CORS configuration".to_owned(), parameters: checks() },
        Group {
            label: "6. Less than {platform}'s manual grants, if you want it tighter".to_owned(),
            parameters: tightening(),
        },
        Group {
            label: match config.release {
                Some(_) => "7. Leave as it is".to_owned(),
                None => "7. Where the function's code is; leave the rest as it is".to_owned(),
            },
            parameters: internals(config),
        },
    ]
}

/// Returns those of the template without a function, which lacks the ones that only a function can do something with.
pub(super) fn native_groups(config: &Config) -> Vec<Group> {
    vec![
        Group {
            label: "1. Your bucket".to_owned(),
            parameters: bucket(
                ASCII_PREFIX,
                ". Only printable ASCII characters: IAM takes no others from CloudFormation. For a prefix with others use the \
                 template with the function, {slug}-volume.template, which writes them as IAM wants them",
            ),
        },
        Group {
            label: "2. Only if your bucket is encrypted with a key of yours".to_owned(),
            parameters: vec![kms_key()],
        },
        // CloudFormation takes no text for tags; those of the stack go to the role by themselves.
        Group { label: "3. Names, if you want your own".to_owned(), parameters: names() },
        Group { label: "4. How {platform} gets in".to_owned(), parameters: entry(config, own_external_id()) },
        Group {
            label: "5. Less than {platform}'s manual grants, if you want it tighter".to_owned(),
            parameters: tightening(),
        },
    ]
}

/// Returns the three that matter; which prefixes are possible depends on who writes the documents.
///
/// Their labels are their names: the AWS CLI ignores a parameter that the template lacks, so a label that is typed as a
/// name would open the whole bucket.
fn bucket(prefix: &str, further_rule: &str) -> Vec<Parameter> {
    vec![
        text("BucketName", "Bucket name", "Name of the S3 bucket that {platform} may use.", BucketName::PATTERN)
            .longest(63)
            .must_be("a bucket's name: 3 to 63 lower case letters, digits, dots and hyphens")
            .read_by(|value| BucketName::read(value).map(|_| ()).map_err(|rule| must_be(&rule)))
            .refuses(&no_bucket(), BucketName::RULE)
            .required(),
        text("Prefix", "Prefix", "Prefix (folder) of the objects that {platform} may use, such as raw/2026; empty for the whole bucket. The names of all objects stay \
             visible to {platform}.", prefix)
            .longest(limits::PREFIX)
            .must_be(&format!("{PREFIX_RULE}{further_rule}"))
            .read_by(|value| Prefix::read(value).map(|_| ()).map_err(|rule| must_be(&rule)))
            .refuses(r"[*?\x00-\x1f\x7f-\x9f]|\$\{", Prefix::RULE),
        text("AccessMode", "Access mode", "ReadOnly lists and reads. ReadWrite also writes results to the bucket.", "")
            .one_of(AccessMode::ALL.map(|(_, name)| name.to_owned()).to_vec())
            .by_default("ReadOnly"),
    ]
}

/// Whatever is no bucket's name by [`BucketName::RULE`], as a pattern.
fn no_bucket() -> String {
    let byte = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)";
    let (begins, ends) = (BucketName::RESERVED_PREFIXES.join("|"), BucketName::RESERVED_SUFFIXES.join("|"));
    let ends = ends.replace('.', r"\.");
    format!(r"[^a-z0-9.-]|^[.-]|[.-]$|\.\.|^.{{0,2}}$|^.{{64,}}$|^{byte}(?:\.{byte}){{3}}$|^(?:{begins})|(?:{ends})$")
}

fn kms_key() -> Parameter {
    text(
        "KmsKeyArn",
        "KMS key",
        "ARN of the KMS key that encrypts the bucket; leave empty if the bucket uses S3's default encryption (SSE-S3).",
        &optional(KmsKeyArn::PATTERN),
    )
    .must_be(KmsKeyArn::RULE)
}

fn bucket_owner() -> Parameter {
    text(
        "BucketOwnerAccountId",
        "Bucket owner",
        "Account that owns the bucket if it is not this one; its bucket policy must allow the role too.",
        r"|\d{12}",
    )
    .must_be("an AWS account ID of 12 digits, or empty")
}

fn names() -> Vec<Parameter> {
    vec![
        text(
            "RoleName",
            "Role name",
            "Leave empty to get a name such as {slug}-volume-357a6228. Changing it later makes a new role, and {platform} needs \
             its new ARN.",
            &optional(RoleName::PATTERN),
        )
        .must_be(RoleName::RULE),
        text(
            "PolicyName",
            "Policy name",
            "Leave empty to use the role's name. It can change only together with the role's name.",
            &optional(PolicyName::PATTERN),
        )
        .must_be(PolicyName::RULE),
        text("IamPath", "IAM path", "IAM path of role and policy. It can change only together with both names.", IamPath::PATTERN)
            .by_default("/")
            .longest(limits::PATH)
            .must_be(IamPath::RULE),
        text("Description", "Description", "Shown on the role.", r"[\t\n\r\x20-\x7e\xa1-\xff]*")
            .longest(limits::DESCRIPTION)
            .must_be("at most 1,000 characters of Latin text"),
    ]
}

fn tags() -> Parameter {
    // Without an AllowedPattern: AWS does not document whether one may name classes such as \p{L}. The function refuses
    // tags.
    Parameter { kind: ParameterKind::Texts, ..text("Tags", "Tags", "For role and policy, as Key=Value,Key=Value.", "") }
        .read_by(|value| match value.split(',').find(|pair| !pair.is_empty() && !pair.contains('=')) {
            Some(pair) => Err(format!("\"{pair}\" has no \"=\": write {pair}=value")),
            None => request::check_tags(value.split(',')).map_err(must_be),
        })
}

/// Hidden, so that the console drops it from links: who mails a link must not know the ID, nor do without one.
fn automatic_external_id() -> Parameter {
    Parameter {
        no_echo: true,
        ..text(
            "ExternalId",
            "External ID",
            "auto: a random one, made with the stack and shown in its outputs. none: no external ID (not recommended: it is what keeps \
             other users of {platform} out). Anything else is used as it is. No link can fill this in.",
            &format!("auto|none|{}", ExternalId::PATTERN),
        )
    }
    .by_default("auto")
    .longest(limits::EXTERNAL_ID_MAX)
    .must_be("auto, none, or 6 to 1224 characters out of letters, digits and _+=,.@:/-")
}

/// Returns the same where nothing can make one: hidden, without a default, and long enough not to be guessed.
fn own_external_id() -> Parameter {
    Parameter {
        no_echo: true,
        ..text(
            "ExternalId",
            "External ID",
            "A secret that {platform} has to give, at least 16 random characters, such as this prints: openssl rand -hex 16. none: no \
             external ID (not recommended: it is what keeps other users of {platform} out). No link can fill this in.",
            r"none|[\w+=,.@:/-]{16,}",
        )
    }
    .required()
    .longest(limits::EXTERNAL_ID_MAX)
    .must_be("none, or at least 16 random characters out of letters, digits and _+=,.@:/-, such as openssl rand -hex 16 prints")
}

fn entry(config: &Config, external_id: Parameter) -> Vec<Parameter> {
    let locations: Vec<_> = config.platform.locations.iter().map(|location| location.region.to_string()).collect();
    let all = locations.join(",");
    // All, or any one; a single location is both.
    let choices = [vec![all.clone()], locations].concat();
    let choices = if config.platform.locations.len() == 1 { vec![all.clone()] } else { choices };
    vec![
        external_id,
        text(
            "ProjectLocations",
            "Project locations",
            "Regions of the projects that write to the bucket; matters only for ReadWrite.",
            "",
        )
        .one_of(choices)
        .by_default(&all),
        Parameter {
            kind: ParameterKind::Number(limits::SESSION_SECONDS),
            ..text("MaxSessionDuration", "Maximum session duration", "In seconds, 3600 to 43200.", "").by_default("3600")
        },
        text(
            "PermissionsBoundaryArn",
            "Permissions boundary",
            "Leave empty for the stack's own, which caps {platform}'s role at this bucket. If your organisation demands a \
             boundary, its ARN: it is then set on every role of the stack, in place of the stack's own.",
            &optional(BOUNDARY_PATTERN),
        )
        .longest(limits::BOUNDARY_ARN)
        .must_be(BOUNDARY_RULE),
    ]
}

/// Returns a choice between off, the default, and on.
fn switch(name: &'static str, label: &'static str, description: &str) -> Parameter {
    text(name, label, description, "").one_of(["false", "true"].map(str::to_owned).to_vec()).by_default("false")
}

fn checks() -> Vec<Parameter> {
    vec![
        text(
            "Checks",
            "Checks",
            "Enforce: fail, with the reason, if {platform} could not use the bucket as far as this can be checked. Report: only say it in \
             the outputs. Off: do not look.",
            "",
        )
        .one_of(Checks::ALL.map(|(_, name)| name.to_owned()).to_vec())
        .by_default("Enforce"),
        switch(
            "ConfigureCors",
            "Configure CORS",
            "true: add a rule to the bucket's CORS configuration so that {platform} can display raw data in the browser. Rules of others \
             stay; this one goes with the stack.",
        ),
    ]
}

fn tightening() -> Vec<Parameter> {
    vec![
        switch(
            "RestrictListing",
            "Restrict listing",
            "true: {platform} may list only names that begin with the prefix. Goes beyond {platform}'s own policy; without a \
             prefix it changes nothing.",
        ),
        switch(
            "OmitObjectAcls",
            "Omit object ACLs",
            "true: {platform} gets no rights on objects' ACLs. Only for buckets with ACLs disabled; goes beyond {platform}'s own \
             policy.",
        ),
    ]
}

fn internals(config: &Config) -> Vec<Parameter> {
    let log = Parameter {
        kind: ParameterKind::NumberOneOf(RETENTION_DAYS.to_vec()),
        ..text("LogRetentionDays", "Log retention", "Days that the function's log is kept.", "").by_default("90")
    };
    let code = [
        text(
            "AssetBucket",
            "Code bucket",
            "Bucket in this region that holds the function's code.",
            BucketName::PATTERN,
        )
        .must_be("a bucket's name: 3 to 63 lower case letters, digits, dots and hyphens")
        .required(),
        text("AssetKey", "Code key", "Key of the function's code; it names the release.", r"[A-Za-z0-9!_.*'()/-]+")
            .longest(limits::PREFIX)
            .must_be("an object's key")
            .required(),
    ];
    let repair = text(
        "Repair",
        "Repair",
        "Any text that was not here before: the function then looks at role and policy again, and puts back what somebody changed \
         by hand.",
        r"[\w.:-]*",
    )
    .longest(64)
    .must_be("at most 64 letters, digits and _.:-");
    let asked = code.into_iter().filter(|_| config.release.is_none());
    [log, repair].into_iter().chain(asked).collect()
}

/// Returns a text parameter that may be left empty.
fn text(name: &'static str, label: &'static str, description: &str, pattern: &str) -> Parameter {
    Parameter {
        name,
        label,
        description: description.to_owned(),
        default: Some(String::new()),
        kind: ParameterKind::Text { pattern: pattern.to_owned(), longest: None },
        constraint: None,
        refusals: Vec::new(),
        no_echo: false,
        domain_rule: |_| Ok(()),
    }
}

fn must_be(rule: &str) -> String {
    format!("it must be {rule}")
}

/// Returns the pattern, or nothing.
fn optional(pattern: &str) -> String {
    format!("|{pattern}")
}

impl Parameter {
    fn required(mut self) -> Self {
        self.default = None;
        self
    }

    fn one_of(mut self, values: Vec<String>) -> Self {
        self.kind = ParameterKind::OneOf(values);
        self
    }

    fn by_default(mut self, value: &str) -> Self {
        self.default = Some(value.to_owned());
        self
    }

    fn longest(mut self, characters: usize) -> Self {
        if let ParameterKind::Text { longest, .. } = &mut self.kind {
            *longest = Some(characters);
        }
        self
    }

    fn read_by(mut self, domain_rule: fn(&str) -> Result<(), String>) -> Self {
        self.domain_rule = domain_rule;
        self
    }

    /// Says of values that the domain refuses what they break.
    fn refuses(mut self, pattern: &str, rule: &str) -> Self {
        self.refusals.push((pattern.to_owned(), must_be(rule)));
        self
    }

    fn must_be(mut self, rule: &str) -> Self {
        self.constraint = Some(format!("must be {rule}"));
        self
    }
}

#[cfg(test)]
mod tests;
