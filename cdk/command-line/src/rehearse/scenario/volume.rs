//! The volume in the platform: attached, repaired after a rename, and detached. On the local engine alone.

use cavatica_api::model::{Item, NewVolume, name_for};
use cavatica_aws::http::Secret;

use super::super::{Report, StepError};
use super::{Scenario, check, mismatch};
use crate::attachment::{self, StackVolume};
use crate::console::Tone;
use crate::local_platform::LocalAccess;

/// External ID of another stack.
const OTHER_ID: &str = "AROAANOTHERUSERSEXTERNALID";

impl Scenario<'_> {
    fn platform(&self) -> Result<&LocalAccess, StepError> {
        self.fixture.platform.as_ref().ok_or_else(|| mismatch("the platform", "it is not on this machine"))
    }

    async fn stack_volume(&self) -> Result<StackVolume, StepError> {
        Ok(StackVolume::of(&self.fixture.name.to_string(), &self.stack().await?)?)
    }

    /// Attaches the volume: refused with another external ID, and listed with the stack's.
    pub(super) async fn attach(&mut self) -> Result<Report, StepError> {
        let (stack, api) = (self.stack_volume().await?, &self.platform()?.api);
        let with_other_id = NewVolume {
            name: name_for(&stack.bucket, None),
            description: String::new(),
            mode: stack.mode,
            bucket: stack.bucket.clone(),
            prefix: stack.prefix.clone(),
            role_arn: stack.role_arn.clone(),
            external_id: Some(Secret::new(OTHER_ID.to_owned())),
            kms_key: None,
        };
        let refused = api.create(&with_other_id).await.err().map(|error| error.to_string()).unwrap_or_default();
        check("the answer to another external ID", refused.contains("code 9001"), &refused)?;
        let attached = attachment::attach(api, &stack, None).await?;
        let first = self.listed(&stack, attached.volume.id.as_str()).await?;
        let lines = [
            (Tone::Denied, "refused".to_owned(), "with the external ID of another stack (code 9001)".to_owned()),
            (Tone::Good, "attached".to_owned(), format!("{}: it lists {first}", attached.volume.id)),
        ];
        Ok(Report::default().with(lines))
    }

    /// Repairs the volume after the stack's role got another name.
    pub(super) async fn repair_volume(&mut self) -> Result<Report, StepError> {
        let (stack, api) = (self.stack_volume().await?, &self.platform()?.api);
        let volume = attachment::find(api, &stack, None).await?;
        let refused = attachment::check(api, &stack, &volume.id).await.err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        check("the answer for the role of before", refused.contains("code 9001"), &refused)?;
        attachment::repair(api, &stack, &volume).await?;
        let first = self.listed(&stack, volume.id.as_str()).await?;
        let lines = [
            (Tone::Denied, "refused".to_owned(), "a listing through the role of before (code 9001)".to_owned()),
            (Tone::Good, "repaired".to_owned(), format!("now {}: it lists {first}", stack.mode)),
        ];
        Ok(Report::default().with(lines))
    }

    /// Detaches the volume, and looks for it once more.
    pub(super) async fn detach(&mut self) -> Result<Report, StepError> {
        let (stack, api) = (self.stack_volume().await?, &self.platform()?.api);
        let volume = attachment::find(api, &stack, None).await?;
        let usage = attachment::usage(api, &volume.id).await?;
        attachment::detach(api, &volume.id, &usage.files, false).await?;
        Ok(Report::of("it does not exist any more"))
    }

    /// Checks a volume; returns its first object.
    async fn listed(&self, stack: &StackVolume, id: &str) -> Result<String, StepError> {
        let id = id.parse().map_err(|rule: &str| mismatch("the volume's ID", rule))?;
        let checked = attachment::check(&self.platform()?.api, stack, &id).await?;
        check("the volume", checked.differences.is_empty(), &checked.differences)?;
        let first = checked.first.map(|Item { location }| location);
        first.ok_or_else(|| mismatch("the volume", "it is empty"))
    }
}
