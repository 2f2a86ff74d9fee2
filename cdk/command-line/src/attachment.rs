//! Attachment of a stack's volume in the platform, by the platform's API with the user's own token.
//!
//! # Flow
//!
//! - [`attach`] looks for a volume with the stack's bucket and prefix. If there is one that agrees, it is adopted; otherwise a
//!   volume is created. A new role may not be in force yet, so a denied access is tried again for two minutes.
//! - [`check`] compares a volume with the stack, lists it through the role, and looks at its first object.
//! - [`repair`] sends role and external ID again and activates the volume.
//! - [`detach`] deactivates the volume, removes the files that point into it, deletes it, and looks for it once more.
//!
//! # Guarantees
//!
//! - No second volume is created: after a lost answer, and if the name is taken, the volumes are listed before anything else.
//! - No volume of another bucket or prefix is repaired or detached.
//! - A volume is never deleted and created again to repair it: the files imported from it would break.
//! - No object of the bucket is changed or deleted.
//! - The external ID is in no message.
//!
//! # Assumptions
//!
//! - The API may leave out role and external ID in its answers. Then they are unknown, not different.
//! - Projects that the user cannot see may have imported files too. They are not counted.
//!
//! # Errors
//!
//! [`AttachmentError`]. A refusal of the API with several possible causes is explained from AWS by the commands.

use std::time::Duration;

use cavatica_api::client::TransferKind;
use cavatica_api::model::{File, Item, Mode, NewVolume, Volume, VolumeId, credentials, name_for};
use cavatica_api::refusal::Kind;
use cavatica_api::transport::Transport;
use cavatica_api::{Api, ApiError};
use cavatica_aws::http::Secret;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::deploy::stack::Stack;
use crate::waits::ROLE_IN_FORCE_WITHIN;

/// Pauses while a new role comes into force, in seconds; the last one repeats.
const PAUSES: [u64; 4] = [2, 4, 8, 15];

/// Volume that a stack grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackVolume {
    /// Bucket.
    pub bucket: String,
    /// Prefix, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// Mode.
    pub mode: Mode,
    /// ARN of the volume role.
    pub role_arn: String,
    /// External ID; `None` if the stack has none.
    pub external_id: Option<Secret>,
    /// ARN of the KMS key that encrypts the bucket.
    pub kms_key: Option<String>,
}

/// Failure to attach, check, repair or detach a volume.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// The stack has no role yet.
    #[error("stack {0} is in {1} and has no output RoleArn: deploy it first")]
    NoRole(String, String),
    /// The API refused or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// There is a volume for bucket and prefix that differs.
    #[error("volume {id} is attached to {place} already, and differs: {differences}. {remedy}")]
    Differs {
        /// ID of the volume.
        id: VolumeId,
        /// Bucket and prefix.
        place: String,
        /// Differences, as the end of a sentence.
        differences: String,
        /// Remedy, a sentence.
        remedy: String,
    },
    /// The name belongs to a volume for another place.
    #[error("the name {name} is taken by a volume for another bucket or prefix: give another --volume-name")]
    NameTaken {
        /// Name.
        name: String,
    },
    /// There is no volume for the stack.
    #[error("no volume of {user} is attached to {place}: attach it with `attach`, or name the volume with --volume")]
    NotAttached {
        /// User of the token.
        user: String,
        /// Bucket and prefix.
        place: String,
    },
    /// There is no volume of this ID.
    #[error("{user} sees no volume {id}: `volumes` lists those that there are")]
    NoVolume {
        /// User of the token.
        user: String,
        /// ID.
        id: VolumeId,
    },
    /// The volume that the user named is attached to another bucket or prefix.
    #[error(
        "volume {id} is attached to {found}, and the stack grants {place}: name another volume, or a stack that grants its bucket and prefix"
    )]
    OtherPlace {
        /// ID of the volume.
        id: VolumeId,
        /// Bucket and prefix of the volume.
        found: String,
        /// Bucket and prefix of the stack.
        place: String,
    },
    /// The volume still exists after its deletion.
    #[error("volume {0} still exists after its deletion: run the same command again")]
    StillThere(VolumeId),
}

/// Difference between a volume and the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The volume uses the keys of an IAM user.
    Keys,
    /// The volume uses another role.
    Role(String),
    /// The volume has another mode.
    Mode(Mode),
    /// The volume is deactivated.
    Inactive,
    /// The volume has another bucket or prefix.
    Place(String),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keys => f.write_str("it uses the access keys of an IAM user"),
            Self::Role(role) => write!(f, "it uses role {role}"),
            Self::Mode(mode) => write!(f, "it is {mode}"),
            Self::Inactive => f.write_str("it is deactivated"),
            Self::Place(place) => write!(f, "it is attached to {place}"),
        }
    }
}

impl StackVolume {
    /// Returns the volume of a stack, by its outputs and parameters.
    pub fn of(name: &str, stack: &Stack) -> Result<Self, AttachmentError> {
        let output = |name: &str| stack.outputs.get(name).filter(|value| !value.is_empty()).cloned();
        let parameter = |name: &str| stack.parameters.get(name).filter(|value| !value.is_empty()).cloned();
        let role_arn = output("RoleArn");
        let (Some(role_arn), Some(bucket)) = (role_arn, parameter("BucketName")) else {
            return Err(AttachmentError::NoRole(name.to_owned(), stack.status.clone()));
        };
        let is_read_write = parameter("AccessMode").as_deref() == Some("ReadWrite");
        Ok(Self {
            bucket,
            prefix: parameter("Prefix").unwrap_or_default().trim_matches('/').to_owned(),
            mode: if is_read_write { Mode::ReadWrite } else { Mode::ReadOnly },
            role_arn,
            external_id: output("ExternalId").map(Secret::new),
            kms_key: parameter("KmsKeyArn"),
        })
    }

    /// Returns bucket and prefix as an address.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.bucket, &self.prefix)
    }

    /// Refuses a volume that is attached to another bucket or prefix, or whose bucket and prefix the API does not show.
    pub fn require_place(&self, volume: &Volume) -> Result<(), AttachmentError> {
        let found = match volume.place() {
            Some(found) if found == (&self.bucket, &self.prefix) => return Ok(()),
            Some((bucket, prefix)) => place(bucket, prefix),
            None => "a place that the API does not show".to_owned(),
        };
        Err(AttachmentError::OtherPlace { id: volume.id.clone(), found, place: self.place() })
    }

    /// Returns the differences of a volume, as far as the API shows its properties.
    #[must_use]
    pub fn differences(&self, volume: &Volume) -> Vec<Difference> {
        let mut differences = Vec::new();
        let credentials = volume.service.as_ref().and_then(|service| service.credentials.as_ref());
        if let Some((bucket, prefix)) = volume.place().filter(|found| *found != (&self.bucket, &self.prefix)) {
            differences.push(Difference::Place(place(bucket, prefix)));
        }
        if credentials.is_some_and(|credentials| credentials.access_key_id.is_some()) {
            differences.push(Difference::Keys);
        }
        if let Some(role) = volume.role_arn().filter(|role| *role != self.role_arn) {
            differences.push(Difference::Role(role.to_owned()));
        }
        if let Some(mode) = volume.access_mode.filter(|mode| *mode != self.mode) {
            differences.push(Difference::Mode(mode));
        }
        if volume.active == Some(false) {
            differences.push(Difference::Inactive);
        }
        differences
    }
}

fn place(bucket: &str, prefix: &str) -> String {
    if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}/") }
}

/// Attached volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// Volume.
    pub volume: Volume,
    /// True if it existed already.
    pub was_there: bool,
}

/// Attaches the stack's volume, or adopts the one that is attached already.
pub async fn attach<T: Transport>(
    api: &Api<T>,
    stack: &StackVolume,
    name: Option<&str>,
) -> Result<Attached, AttachmentError> {
    if let Some(volume) = of_place(api.volumes().await?, stack) {
        return adopt(volume, stack);
    }
    let mut volume = NewVolume {
        name: name.map_or_else(|| name_for(&stack.bucket, None), str::to_owned),
        description: stack.place(),
        mode: stack.mode,
        bucket: stack.bucket.clone(),
        prefix: stack.prefix.clone(),
        role_arn: stack.role_arn.clone(),
        external_id: stack.external_id.clone(),
        kms_key: stack.kms_key.clone(),
    };
    let begun = Instant::now();
    let mut pauses = PAUSES.iter().copied().chain(std::iter::repeat(PAUSES[PAUSES.len() - 1]));
    let (mut is_distinct, mut was_lost) = (name.is_some(), false);
    loop {
        let error = match api.create(&volume).await {
            Ok(created) => return Ok(Attached { volume: created, was_there: false }),
            Err(error) => error,
        };
        let kind = error.refusal().map(cavatica_api::refusal::Refusal::kind);
        match (&error, kind) {
            (ApiError::Lost { .. }, _) if !was_lost => {
                // The effect may show late.
                sleep(Duration::from_secs(PAUSES[0])).await;
                if let Some(volume) = of_place(api.volumes().await?, stack) {
                    return adopt(volume, stack).map(|attached| Attached { was_there: false, ..attached });
                }
                was_lost = true;
            }
            (_, Some(Kind::NameTaken)) => {
                // A lost creation, or another run's, may have taken it for this stack since.
                if let Some(volume) = of_place(api.volumes().await?, stack) {
                    return adopt(volume, stack).map(|attached| Attached { was_there: !was_lost, ..attached });
                }
                if is_distinct {
                    return Err(AttachmentError::NameTaken { name: volume.name });
                }
                volume.name = name_for(&stack.bucket, Some(&stack.place()));
                is_distinct = true;
            }
            (_, Some(Kind::NoReadAccess)) => {
                let pause = Duration::from_secs(pauses.next().unwrap_or_default());
                if begun.elapsed() + pause > ROLE_IN_FORCE_WITHIN {
                    return Err(error.into());
                }
                sleep(pause).await;
            }
            _ => return Err(error.into()),
        }
    }
}

fn of_place(volumes: Vec<Volume>, stack: &StackVolume) -> Option<Volume> {
    volumes.into_iter().find(|volume| volume.place() == Some((&stack.bucket, &stack.prefix)))
}

fn adopt(volume: Volume, stack: &StackVolume) -> Result<Attached, AttachmentError> {
    let differences = stack.differences(&volume);
    if differences.is_empty() {
        return Ok(Attached { volume, was_there: true });
    }
    let remedy = if differences.contains(&Difference::Keys) {
        "Change its credentials to the role on the platform's website; a new volume would break the files imported from it"
    } else {
        "`repair` sends role and external ID again, sets the mode and activates it"
    };
    let differences = differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(AttachmentError::Differs { id: volume.id, place: stack.place(), differences, remedy: remedy.to_owned() })
}

/// Returns a volume by its ID, or the one that is attached to the stack's bucket and prefix.
pub async fn find<T: Transport>(
    api: &Api<T>,
    stack: &StackVolume,
    id: Option<&VolumeId>,
) -> Result<Volume, AttachmentError> {
    let user = api.user().await?.username;
    match id {
        Some(id) => api.volume(id).await?.ok_or_else(|| AttachmentError::NoVolume { user, id: id.clone() }),
        None => of_place(api.volumes().await?, stack)
            .ok_or_else(|| AttachmentError::NotAttached { user, place: stack.place() }),
    }
}

/// Result of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Volume as the API shows it now.
    pub volume: Volume,
    /// Differences from the stack.
    pub differences: Vec<Difference>,
    /// True if the API shows the volume's role.
    pub shows_role: bool,
    /// Objects and folders of one page.
    pub shown: usize,
    /// First object, if one was looked at.
    pub first: Option<Item>,
}

/// Compares a volume with the stack, lists it through the role, and looks at its first object.
pub async fn check<T: Transport>(api: &Api<T>, stack: &StackVolume, id: &VolumeId) -> Result<Checked, AttachmentError> {
    let user = || async { api.user().await.map(|user| user.username) };
    let volume = match api.volume(id).await? {
        Some(volume) => volume,
        None => return Err(AttachmentError::NoVolume { user: user().await?, id: id.clone() }),
    };
    let differences = stack.differences(&volume);
    let shows_role = volume.role_arn().is_some();
    if volume.active == Some(false) {
        return Ok(Checked { volume, differences, shows_role, shown: 0, first: None });
    }
    let listing = api.browse(id, "", 1).await?;
    let shown = listing.items.len() + listing.prefixes.len();
    let first = match listing.items.into_iter().next() {
        Some(item) => api.object(id, &item.location).await?,
        None => None,
    };
    Ok(Checked { volume, differences, shows_role, shown, first })
}

/// Sends role and external ID again, sets the mode, and activates the volume.
pub async fn repair<T: Transport>(api: &Api<T>, stack: &StackVolume, volume: &Volume) -> Result<(), AttachmentError> {
    stack.require_place(volume)?;
    let properties = json!({
        "access_mode": stack.mode.name(),
        "service": {"credentials": credentials(&stack.role_arn, stack.external_id.as_ref())},
        "active": true,
    });
    Ok(api.change(&volume.id, properties, false).await?)
}

/// Use of a volume by the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// IDs of imported files, in projects that the user sees.
    pub files: Vec<String>,
    /// Number of projects with such files.
    pub projects: usize,
    /// Number of imports and exports that run or wait.
    pub transfers: usize,
}

/// Counts imported files and running transfers.
pub async fn usage<T: Transport>(api: &Api<T>, id: &VolumeId) -> Result<Usage, AttachmentError> {
    let mut usage = Usage::default();
    for kind in [TransferKind::Import, TransferKind::Export] {
        for state in ["RUNNING", "PENDING"] {
            usage.transfers += api.transfers(kind, id, state).await?.len();
        }
    }
    for project in api.projects().await? {
        let before = usage.files.len();
        let mut open = api.files_of_project(&project).await?;
        while let Some(file) = open.pop() {
            if file.kind.as_deref() == Some("folder") {
                open.extend(api.files_of_folder(&file.id).await?);
            } else if points_into(&file, id) {
                usage.files.push(file.id);
            }
        }
        usage.projects += usize::from(usage.files.len() > before);
    }
    Ok(usage)
}

fn points_into(file: &File, id: &VolumeId) -> bool {
    let storage = file.storage.as_ref();
    storage.is_some_and(|storage| storage.kind.as_deref() == Some("VOLUME") && storage.volume.as_ref() == Some(id))
}

/// Deactivates a volume, removes the files that point into it, deletes it, and looks for it once more.
pub async fn detach<T: Transport>(
    api: &Api<T>,
    id: &VolumeId,
    files: &[String],
    force: bool,
) -> Result<(), AttachmentError> {
    api.change(id, json!({"active": false}), force).await?;
    for file in files {
        api.delete_file(file).await?;
    }
    api.delete(id).await?;
    match api.volume(id).await? {
        Some(_) => Err(AttachmentError::StillThere(id.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
