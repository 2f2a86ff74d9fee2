//! Changes that somebody makes by hand: each has to be shown by the inspection, and put back.

use aws_sdk_iam::types::Tag;
use serde_json::{Value, json};

use super::super::{Report, StepError, refused};
use super::{Scenario, check, mismatch};
use crate::deploy::change_set::{ChangeSet, Proposal};
use crate::deploy::inspection::Inspection;
use crate::deploy::stack::Stack;
use crate::deploy::stacks::new_token;

/// A change by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ManualChange {
    Detach,
    Trust,
    Session,
    NoBoundary,
    WiderPolicy,
    Untag,
    Inline,
    Attach,
    WiderBoundary,
    ProviderInline,
    Timeout,
}

impl ManualChange {
    /// Those that an update puts back.
    const REPAIRED: [Self; 5] = [Self::Detach, Self::Trust, Self::Session, Self::NoBoundary, Self::WiderPolicy];

    /// Those that only their author puts back, or CloudFormation's administrator.
    const UNDONE: [Self; 6] =
        [Self::Untag, Self::Inline, Self::Attach, Self::WiderBoundary, Self::ProviderInline, Self::Timeout];

    /// Part of the difference that has to be shown.
    fn shown(self) -> &'static str {
        match self {
            Self::Detach => "is not attached to role",
            Self::Trust => "the trust policy of role",
            Self::Session => "the longest session in seconds of role",
            Self::NoBoundary => "the permissions boundary of role",
            Self::WiderPolicy | Self::WiderBoundary => "has a statement that should not be there",
            Self::Untag => "tag cavatica-connect:resource of role",
            Self::Inline | Self::ProviderInline => "has inline policy by-hand and should not",
            Self::Attach => "is attached to role",
            Self::Timeout => "the timeout in seconds of function",
        }
    }
}

/// Name of inline policies of a rehearsal.
const INLINE: &str = "by-hand";

/// The parts of the main stack that are changed.
struct Parts {
    role: String,
    policy: String,
    boundary: String,
    provider: String,
    function: String,
    /// The boundary's own document.
    cap: Value,
}

impl Scenario<'_> {
    /// Changes things by hand, sees each of them shown, and has them put back.
    pub(super) async fn changed_by_hand(&mut self) -> Result<Report, StepError> {
        let stack = self.stack().await?;
        let parts = self.parts(&stack).await?;
        let fine = self.inspected(&stack).await?;
        check("the stack before anything is changed by hand", fine.is_as_requested(), &texts(&fine))?;
        self.change_by_hand(&stack, &parts, &ManualChange::REPAIRED).await?;
        let repaired = self.repair(&stack).await?;
        self.as_requested(&repaired, "that everything is put back").await?;
        self.change_by_hand(&repaired, &parts, &ManualChange::UNDONE).await?;
        for change in ManualChange::UNDONE {
            self.undo(&parts, change).await?;
        }
        self.as_requested(&repaired, "that the changes are undone").await?;
        let (by_update, by_hand) = (ManualChange::REPAIRED.len(), ManualChange::UNDONE.len());
        Ok(Report::of(format!("{by_update} by update, {by_hand} by hand")))
    }

    async fn as_requested(&mut self, stack: &Stack, what: &'static str) -> Result<(), StepError> {
        self.shown(what, async |scenario| Ok(scenario.inspected(stack).await?.is_as_requested().then_some(()))).await
    }

    async fn parts(&self, stack: &Stack) -> Result<Parts, StepError> {
        let resources = self.fixture.stacks.resources(&stack.id).await?;
        let resource = |name: &str| resources.get(name).cloned().unwrap_or_default();
        let output = |name: &str| stack.outputs.get(name).cloned().unwrap_or_default();
        let boundary = resource("Boundary");
        let cap = self.fixture.policy_document(&boundary).await?;
        Ok(Parts {
            role: output("RoleName"),
            policy: output("PolicyArn"),
            provider: resource("ProviderRole"),
            function: resource("ProviderFunction"),
            boundary,
            cap,
        })
    }

    /// Makes changes, and waits until the inspection shows every one of them.
    async fn change_by_hand(
        &mut self,
        stack: &Stack,
        parts: &Parts,
        manual_changes: &[ManualChange],
    ) -> Result<(), StepError> {
        for change in manual_changes {
            self.act(parts, *change).await?;
        }
        let found = self.shown("all changes by hand", async |scenario| {
            let found = texts(&scenario.inspected(stack).await?);
            let is_shown = |change: &ManualChange| found.iter().any(|text| text.contains(change.shown()));
            Ok(manual_changes.iter().all(is_shown).then_some(found))
        });
        found.await?.iter().for_each(|text| self.tell.text(text));
        Ok(())
    }

    async fn act(&self, parts: &Parts, change: ManualChange) -> Result<(), StepError> {
        let iam = &self.fixture.iam;
        let open = json!({"Version": "2012-10-17", "Statement": [{
            "Sid": "ByHand", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]});
        let own = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", self.fixture.account.id)}}]});
        let widened = |arn: &str| {
            let version = iam.create_policy_version().policy_arn(arn).policy_document(open.to_string());
            version.set_as_default(true)
        };
        let inline =
            |role: &str| iam.put_role_policy().role_name(role).policy_name(INLINE).policy_document(open.to_string());
        let doing = "change something by hand";
        let Parts { role, policy, boundary, provider, function, .. } = parts;
        match change {
            ManualChange::Detach => {
                let call = iam.detach_role_policy().role_name(role).policy_arn(policy);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Trust => {
                let call = iam.update_assume_role_policy().role_name(role).policy_document(own.to_string());
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Session => {
                let call = iam.update_role().role_name(role).max_session_duration(43_200);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::NoBoundary => {
                let call = iam.delete_role_permissions_boundary().role_name(role);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::WiderPolicy => widened(policy).send().await.map(drop).map_err(refused(doing)),
            ManualChange::WiderBoundary => widened(boundary).send().await.map(drop).map_err(refused(doing)),
            ManualChange::Untag => {
                let call = iam.untag_role().role_name(role).tag_keys(cavatica_access::owner::RESOURCE);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Inline => inline(role).send().await.map(drop).map_err(refused(doing)),
            ManualChange::ProviderInline => inline(provider).send().await.map(drop).map_err(refused(doing)),
            ManualChange::Attach => {
                let call = iam.attach_role_policy().role_name(role).policy_arn(boundary);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Timeout => {
                let lambda = self.fixture.account.lambda(self.fixture.region);
                let call = lambda.update_function_configuration().function_name(function).timeout(60);
                call.send().await.map(drop).map_err(refused(doing))
            }
        }
    }

    async fn undo(&self, parts: &Parts, change: ManualChange) -> Result<(), StepError> {
        let iam = &self.fixture.iam;
        let doing = "undo a change by hand";
        let Parts { role, boundary, provider, function, cap, .. } = parts;
        match change {
            ManualChange::Untag => {
                let tag = Tag::builder().key(cavatica_access::owner::RESOURCE).value("VolumeAccess").build().ok();
                let call = iam.tag_role().role_name(role).set_tags(tag.map(|tag| vec![tag]));
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Inline => {
                let call = iam.delete_role_policy().role_name(role).policy_name(INLINE);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::ProviderInline => {
                let call = iam.delete_role_policy().role_name(provider).policy_name(INLINE);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Attach => {
                let call = iam.detach_role_policy().role_name(role).policy_arn(boundary);
                call.send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::WiderBoundary => {
                let version = iam.create_policy_version().policy_arn(boundary).policy_document(cap.to_string());
                version.set_as_default(true).send().await.map(drop).map_err(refused(doing))
            }
            ManualChange::Timeout => {
                let lambda = self.fixture.account.lambda(self.fixture.region);
                let call = lambda.update_function_configuration().function_name(function).timeout(180);
                call.send().await.map(drop).map_err(refused(doing))
            }
            // An update has put these back.
            ManualChange::Detach
            | ManualChange::Trust
            | ManualChange::Session
            | ManualChange::NoBoundary
            | ManualChange::WiderPolicy => Ok(()),
        }
    }

    /// Has the function put everything back, by an update that changes nothing else.
    async fn repair(&mut self, stack: &Stack) -> Result<Stack, StepError> {
        let proposal = Proposal::repair(&self.fixture.name.to_string(), stack);
        let proposal = proposal.ok_or_else(|| mismatch("the repair", "the template has no parameter for it"))?;
        let change_set = ChangeSet::new(&proposal);
        let Some(change_set) = self.fixture.stacks.propose(&proposal, &change_set).await? else {
            return Err(mismatch("the repair", "nothing would change"));
        };
        let mut known = std::mem::take(&mut self.known);
        self.fixture.stacks.catch_up(&change_set.stack_id, &mut known).await?;
        let operation = self.fixture.stacks.execute(&change_set, &new_token()).await?;
        let outcome = self.follow(&operation, &mut known).await;
        self.known = known;
        outcome?.is("UPDATE_COMPLETE")?;
        self.stack().await
    }
}

fn texts(inspection: &Inspection) -> Vec<String> {
    let unseen = inspection.unseen().map(|what| format!("not seen: {what}"));
    inspection.differences().map(|difference| difference.text.clone()).chain(unseen).collect()
}
