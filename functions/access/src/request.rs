//! Request: the properties of `Custom::CavaticaVolumeAccess`, read and validated.
//!
//! CloudFormation turns every scalar into a string; both forms are accepted. All problems are reported, not only the
//! first. Old properties and those of a Delete are not validated: [`OldProperties`] reads what is readable.

mod fields;

use fields::{Fields, scalar};
pub use fields::{Invalid, Problem, shown};
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};
use serde_json::Value;

use crate::limits;
use crate::lineage::ReplacedRole;
use crate::names::{AccountId, IamPath, PolicyArn, PolicyName, RoleArn, RoleName, Rule};
use crate::owner::{self, Tags};
use crate::platform::{self, CAVATICA, ProjectLocation};
use crate::volume::{AccessMode, BucketName, KmsKeyArn, Prefix, Region, Volume};

/// The resource type in the template.
pub const RESOURCE_TYPE: &str = "Custom::CavaticaVolumeAccess";

/// Properties that belong to CloudFormation itself.
const CLOUDFORMATION_PROPERTIES: [&str; 2] = ["ServiceToken", "ServiceTimeout"];

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The role to make.
    pub role_name: RoleName,
    /// The policy to make; named like the role unless asked otherwise.
    pub policy_name: PolicyName,
    /// The path of both.
    pub path: IamPath,
    /// The volumes; at least one.
    pub volumes: Vec<Volume>,
    /// Buckets of the platform that it copies results from when it writes to a volume.
    pub copy_buckets: Vec<String>,
    /// Name of the platform in texts.
    pub platform: String,
    /// Origin of the platform's web interface, for the buckets' CORS rule.
    pub cors_origin: String,
    /// The principal that may assume the role.
    pub trusted_principal: RoleArn,
    /// The external ID that it has to give.
    pub external_id: Option<ExternalId>,
    /// The role's permissions boundary.
    pub permissions_boundary: Option<PolicyArn>,
    /// The longest session, in seconds.
    pub max_session_duration: u32,
    /// On the role.
    pub description: Option<String>,
    /// On role and policy.
    pub tags: Tags,
    /// True if only names under the volumes' prefixes may be listed.
    pub restrict_listing: bool,
    /// True if the platform gets no rights on objects' ACLs.
    pub omit_object_acls: bool,
    /// Consequence of a finding that the platform could not use a volume.
    pub checks: Checks,
    /// True if the buckets get a CORS rule for the platform's web interface.
    pub configure_cors: bool,
}

/// Consequence of a finding that the platform could not use a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checks {
    /// The event fails.
    #[default]
    Enforce,
    /// The finding is reported, and nothing else happens.
    Report,
    /// Nothing is checked.
    Off,
}

impl Checks {
    /// The rule in words.
    pub const RULE: Rule = "Enforce, Report or Off, spelled like that";
    /// All, as they are spelled in properties and parameters; the default first.
    pub const ALL: [(Self, &str); 3] = [(Self::Enforce, "Enforce"), (Self::Report, "Report"), (Self::Off, "Off")];
}

impl std::str::FromStr for Checks {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(checks, _)| *checks).ok_or(Self::RULE)
    }
}

crate::names::text! {
    /// An external ID: 6-1224 of `[\w+=,.@:/-]`.
    ExternalId
}

impl ExternalId {
    /// The rule in words. Source: `AssumeRole`, parameter `ExternalId`; Cavatica's manual asks for 6 or more.
    pub const RULE: Rule = "6 to 1224 characters out of letters, digits and _+=,.@:/-";
    /// The rule as a pattern for CloudFormation, without anchors and length (1,224 exceeds what some engines repeat).
    pub const PATTERN: &str = r"[\w+=,.@:/-]{6,}";

    /// Returns bytes as an external ID of hexadecimal digits.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl std::str::FromStr for ExternalId {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let fits = (limits::EXTERNAL_ID_MIN..=limits::EXTERNAL_ID_MAX).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c));
        fits.then(|| Self(text.to_owned())).ok_or(Self::RULE)
    }
}

/// The rule for `MaxSessionDuration` in words. Source: `CreateRole`.
const SESSION_RULE: Rule = "a whole number of seconds from 3600 to 43200";
/// The rule for a boundary's ARN in words. Ours: see [`limits::BOUNDARY_ARN`], and a policy that AWS maintains, such as
/// `AdministratorAccess`, caps a role at nothing that this stack chose.
pub const BOUNDARY_RULE: Rule = "the ARN of a managed policy of your own account, such as \
     arn:aws:iam::123456789012:policy/NAME, of at most 250 characters; a policy of AWS, arn:aws:iam::aws:policy/NAME, is no cap";
/// The rule as a pattern for CloudFormation, without anchors and length.
pub const BOUNDARY_PATTERN: &str = r"arn:aws[a-z-]*:iam::\d{12}:policy/([\w+=,.@-]+/)*[\w+=,.@-]{1,128}";
/// The rule for switches in words.
const FLAG_RULE: Rule = "true or false";
/// Rule for `ConfigureCors` and `BucketOwnerAccountId` in words: only its owner can change a bucket's configuration.
const CORS_RULE: Rule = "false for a bucket of another account: its owner has to configure CORS there";
/// The rule for `Description` in words. Source: `CreateRole`.
const DESCRIPTION_RULE: Rule = "at most 1,000 characters of Latin text (up to U+00FF)";
/// The rule for `Tags` in words. Source: IAM, "Tags for IAM resources", less the keys that are ours.
pub const TAGS_RULE: Rule = "Key=Value pairs: keys of 1 to 128 and values of up to 256 letters, numbers, spaces and _.:/=+-@, \
     keys distinct ignoring case and not under aws: or cavatica-connect:, at most 45 of them";

impl Request {
    /// Reads the properties of a Create or Update.
    // Long, because it is a list: one line for each property.
    pub fn parse(properties: &Value) -> Result<Self, Invalid> {
        let mut fields = Fields::of(properties, "");
        fields.known(&CLOUDFORMATION_PROPERTIES);
        // The release is there to be different: CloudFormation sends an Update when the asset changes.
        let _release = fields.optional("Release", |text| Ok::<_, Rule>(text.to_owned()));

        let role_name: Option<RoleName> = fields.required("RoleName", RoleName::RULE, str::parse);
        let policy_name: Option<PolicyName> = fields.optional("PolicyName", str::parse);
        let path = fields.optional("Path", str::parse).unwrap_or_default();
        let volumes = fields.list("Volumes", "a list of at least one volume", volume);
        let platform = fields.optional("PlatformName", platform_name);
        let cors_origin = fields.optional("CorsOrigin", cors_origin);
        let locations = fields.list_of_scalars("CopyBuckets", LOCATION_RULE, location);
        let locations = locations.unwrap_or_else(|| CAVATICA.locations.to_vec());
        let copy_buckets = copy_buckets(&mut fields, &locations);
        let principal = fields.optional("TrustedPrincipalArn", str::parse);
        let external_id = fields.optional("ExternalId", str::parse);
        let permissions_boundary = fields.optional("PermissionsBoundaryArn", permissions_boundary);
        let duration = fields.optional("MaxSessionDuration", session_duration);
        let description = fields.optional("Description", description);
        let tags = fields.optional_value("Tags", TAGS_RULE, tags).unwrap_or_default();
        let restrict_listing = fields.optional("RestrictListing", flag).unwrap_or_default();
        let omit_object_acls = fields.optional("OmitObjectAcls", flag).unwrap_or_default();
        let checks = fields.optional("Checks", str::parse).unwrap_or_default();
        let configure_cors = fields.optional("ConfigureCors", flag).unwrap_or_default();
        let is_others = |volume: &Volume| volume.bucket_owner.is_some();
        if configure_cors && volumes.as_ref().is_some_and(|volumes| volumes.iter().any(is_others)) {
            fields.refuse("ConfigureCors", "true", CORS_RULE);
        }
        let trusted_principal = match principal {
            Some(arn) => Some(arn),
            None => CAVATICA.principal.parse().ok(),
        };
        if fields.is_clean() && volumes.as_ref().is_none_or(Vec::is_empty) {
            fields.refuse("Volumes", "nothing", "a list of at least one volume");
        }

        let (Some(role_name), Some(volumes), Some(trusted_principal), Ok(())) =
            (role_name, volumes, trusted_principal, fields.finish())
        else {
            return Err(fields.into_invalid());
        };
        Ok(Self {
            policy_name: policy_name.unwrap_or_else(|| PolicyName::from(&role_name)),
            role_name,
            path,
            volumes,
            copy_buckets,
            platform: platform.unwrap_or_else(|| CAVATICA.name.to_string()),
            cors_origin: cors_origin.unwrap_or_else(|| CAVATICA.web.to_string()),
            trusted_principal,
            external_id,
            permissions_boundary,
            max_session_duration: duration.unwrap_or(*limits::SESSION_SECONDS.start()),
            description: description.flatten(),
            tags,
            restrict_listing,
            omit_object_acls,
            checks,
            configure_cors,
        })
    }
}

/// Reads one volume; `place` is how its properties are named in a problem, such as `Volumes[0].`.
fn volume(item: &Value, place: &str) -> Result<Volume, Vec<Problem>> {
    let mut fields = Fields::of(item, place);
    let bucket: Option<BucketName> = fields.required("BucketName", BucketName::RULE, BucketName::read);
    let prefix = fields.optional("Prefix", Prefix::read).flatten();
    let access = fields.optional("AccessMode", str::parse).unwrap_or(AccessMode::ReadOnly);
    let kms_key = fields.optional("KmsKeyArn", str::parse::<KmsKeyArn>);
    let bucket_owner = fields.optional("BucketOwnerAccountId", str::parse::<AccountId>);
    if let (Some(bucket), Some(prefix)) = (&bucket, &prefix)
        && let Err(rule) = prefix.check_beside(bucket)
    {
        fields.refuse("Prefix", &format!("\"{prefix}\""), rule);
    }
    match (bucket, fields.finish()) {
        (Some(bucket), Ok(())) => Ok(Volume { bucket, prefix, access, kms_key, bucket_owner }),
        _ => Err(fields.into_problems()),
    }
}

/// Rule for an item of `CopyBuckets` in words.
const LOCATION_RULE: Rule = "REGION=BUCKET, such as us-east-1=sbg-main";

fn location(text: &str) -> Result<ProjectLocation, Rule> {
    let (region, bucket) = text.split_once('=').ok_or(LOCATION_RULE)?;
    let is_valid = region.parse::<Region>().is_ok() && bucket.parse::<BucketName>().is_ok();
    let location = || ProjectLocation { region: region.to_owned().into(), copy_bucket: bucket.to_owned().into() };
    is_valid.then(location).ok_or(LOCATION_RULE)
}

/// Reads `ProjectLocations`; returns the copy buckets of the platform there, in the platform's order.
fn copy_buckets(fields: &mut Fields<'_>, locations: &[ProjectLocation]) -> Vec<String> {
    let rule = format!("{}, the regions where the platform runs projects", platform::regions(locations));
    let read = |text: &str| match locations.iter().any(|location| location.region == text.trim()) {
        true => Ok(text.trim().to_owned()),
        false => Err(rule.clone()),
    };
    let asked = fields.list_of_scalars("ProjectLocations", "a list of regions", read);
    if asked.as_ref().is_some_and(Vec::is_empty) {
        fields.refuse("ProjectLocations", "[]", rule);
    }
    platform::copy_buckets(locations, &asked.unwrap_or_default())
}

fn platform_name(text: &str) -> Result<String, Rule> {
    platform::is_name(text).then(|| text.to_owned()).ok_or("the name of a platform")
}

fn cors_origin(text: &str) -> Result<String, Rule> {
    platform::is_origin(text).then(|| text.to_owned()).ok_or(platform::ORIGIN_RULE)
}

fn permissions_boundary(text: &str) -> Result<PolicyArn, Rule> {
    let arn: PolicyArn = text.parse().map_err(|_| BOUNDARY_RULE)?;
    let is_of_account = arn.account().parse::<AccountId>().is_ok();
    if is_of_account && text.len() <= limits::BOUNDARY_ARN { Ok(arn) } else { Err(BOUNDARY_RULE) }
}

fn session_duration(text: &str) -> Result<u32, Rule> {
    text.parse().ok().filter(|seconds| limits::SESSION_SECONDS.contains(seconds)).ok_or(SESSION_RULE)
}

fn flag(text: &str) -> Result<bool, Rule> {
    text.parse().map_err(|_| FLAG_RULE)
}

fn description(text: &str) -> Result<Option<String>, Rule> {
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
    if text.chars().count() > limits::DESCRIPTION || !text.chars().all(is_allowed) {
        return Err(DESCRIPTION_RULE);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Checks tags given as `Key=Value`; one empty text is none.
pub fn check_tags<'a>(pairs: impl Iterator<Item = &'a str>) -> Result<(), Rule> {
    tags(&pairs.map(Value::from).collect()).map(|_| ()).ok_or(TAGS_RULE)
}

/// Reads tags as `[{Key, Value}]`, or as the `Key=Value` strings that a comma-delimited parameter gives.
fn tags(value: &Value) -> Option<Tags> {
    let items = value.as_array()?;
    let mut tags = Tags::new();
    for item in items {
        // CloudFormation trims the items of a list, and a shell's quotes bring blanks along.
        let (key, value) = match (item.as_object(), scalar(item)) {
            (Some(pair), _) if pair.keys().all(|k| k == "Key" || k == "Value") => {
                (scalar(pair.get("Key")?)?, scalar(pair.get("Value")?)?)
            }
            // A parameter that was left empty arrives as one empty string.
            (None, Some(text)) if text.is_empty() && items.len() == 1 => continue,
            (None, Some(text)) => {
                let (key, value) = text.split_once('=')?;
                (key.to_owned(), value.to_owned())
            }
            _ => return None,
        };
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        let is_taken = tags.keys().any(|known| known.to_lowercase() == key.to_lowercase());
        if is_taken || !is_tag_key(&key) || !is_tag_text(&value, limits::TAG_VALUE) {
            return None;
        }
        tags.insert(key, value);
    }
    (tags.len() + owner::OUR_TAGS <= limits::TAGS).then_some(tags)
}

fn is_tag_key(key: &str) -> bool {
    let lower = key.to_lowercase();
    !key.is_empty()
        && is_tag_text(key, limits::TAG_KEY)
        && !RESERVED_TAG_KEYS.iter().any(|reserved| lower.starts_with(reserved))
}

/// Beginnings of tag keys that nobody may ask for.
pub const RESERVED_TAG_KEYS: [&str; 2] = ["aws:", owner::RESERVED];

/// Characters of tag keys and values as a pattern, without anchors. Source: `TagRole`, `Tag`, pattern of `Key` and
/// `Value`.
pub const TAG_TEXT: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*";

fn is_tag_text(text: &str, longest: usize) -> bool {
    text.chars().count() <= longest && text.chars().all(is_tag_character)
}

/// Returns the same as [`TAG_TEXT`]. `char::is_alphanumeric` is wider: it takes combining marks and circled letters
/// too.
fn is_tag_character(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let classes =
        GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Separator).union(GeneralCategoryGroup::Number);
    classes.contains(category) || "_.:/=+-@".contains(character)
}

impl Request {
    /// Returns the tags that role and policy get because they were asked for. A property that becomes a tag is added
    /// here, and is then taken off again when it is not asked for any more.
    #[must_use]
    pub fn requested_tags(&self) -> Tags {
        self.tags.clone()
    }
}

/// Readable part of properties that were not validated: those of a Delete, and old ones, which another release may have
/// accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldProperties {
    /// Role name.
    pub role_name: Option<RoleName>,
    /// Policy name, if there is one.
    pub policy_name: Option<PolicyName>,
    /// The path of both.
    pub path: IamPath,
    /// Trusted principal; Cavatica if none is named.
    pub trusted_principal: Option<RoleArn>,
    /// The external ID in the role's trust policy.
    pub external_id: Option<ExternalId>,
    /// The role's permissions boundary.
    pub permissions_boundary: Option<PolicyArn>,
    /// Keys of the requested tags.
    pub tag_keys: Vec<String>,
    /// Buckets whose CORS configuration got a rule.
    pub cors_buckets: Vec<BucketName>,
}

impl OldProperties {
    /// Reads the readable properties. Never fails.
    #[must_use]
    pub fn read(properties: &Value) -> Self {
        fn get<T: std::str::FromStr>(properties: &Value, name: &str) -> Option<T> {
            scalar(properties.get(name)?)?.parse().ok()
        }
        Self {
            role_name: get(properties, "RoleName"),
            policy_name: get(properties, "PolicyName"),
            path: get(properties, "Path").unwrap_or_default(),
            trusted_principal: match properties.get("TrustedPrincipalArn") {
                Some(_) => get(properties, "TrustedPrincipalArn"),
                None => CAVATICA.principal.parse().ok(),
            },
            external_id: get(properties, "ExternalId"),
            permissions_boundary: get(properties, "PermissionsBoundaryArn"),
            tag_keys: properties.get("Tags").and_then(tags).unwrap_or_default().into_keys().collect(),
            cors_buckets: match get(properties, "ConfigureCors") {
                Some(true) => {
                    let volumes = properties.get("Volumes").and_then(Value::as_array).into_iter().flatten();
                    volumes.filter_map(|volume| get(volume, "BucketName")).collect()
                }
                _ => Vec::new(),
            },
        }
    }

    /// Returns the role they named, and its policy.
    #[must_use]
    pub fn replaced(&self) -> Option<ReplacedRole> {
        let role = self.role_name.clone()?;
        let policy = self.policy_name.clone().unwrap_or_else(|| PolicyName::from(&role));
        Some(ReplacedRole { path: self.path.clone(), role, policy })
    }
}

#[cfg(test)]
mod tests;
