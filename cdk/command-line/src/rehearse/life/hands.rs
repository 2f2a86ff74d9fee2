//! Changes that somebody makes by hand: each has to be shown by the inspection, and put back.

use aws_sdk_iam::types::Tag;
use serde_json::{Value, json};

use super::super::{Report, StepError, refused};
use super::{Life, check, mismatch};
use crate::deploy::change_set::{ChangeSet, Proposal};
use crate::deploy::client::new_token;
use crate::deploy::inspection::Inspection;
use crate::deploy::standing::Stack;

/// A change by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
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

impl Hand {
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

impl Life<'_> {
    /// Changes things by hand, sees each of them shown, and has them put back.
    pub(super) async fn changed_by_hand(&mut self) -> Result<Report, StepError> {
        let stack = self.stack().await?;
        let parts = self.parts(&stack).await?;
        let fine = self.inspected(&stack).await?;
        check("the stack before anything is changed by hand", fine.is_as_requested(), &texts(&fine))?;
        self.change_by_hand(&stack, &parts, &Hand::REPAIRED).await?;
        let repaired = self.repair(&stack).await?;
        self.as_requested(&repaired, "that everything is put back").await?;
        self.change_by_hand(&repaired, &parts, &Hand::UNDONE).await?;
        for hand in Hand::UNDONE {
            self.undo(&parts, hand).await?;
        }
        self.as_requested(&repaired, "that the changes are undone").await?;
        let (by_update, by_hand) = (Hand::REPAIRED.len(), Hand::UNDONE.len());
        Ok(Report::of(format!("{by_update} by update, {by_hand} by hand")))
    }

    async fn as_requested(&mut self, stack: &Stack, what: &'static str) -> Result<(), StepError> {
        self.shown(what, async |life| Ok(life.inspected(stack).await?.is_as_requested().then_some(()))).await
    }

    async fn parts(&self, stack: &Stack) -> Result<Parts, StepError> {
        let resources = self.stage.stacks.resources(&stack.id).await?;
        let resource = |name: &str| resources.get(name).cloned().unwrap_or_default();
        let output = |name: &str| stack.outputs.get(name).cloned().unwrap_or_default();
        let boundary = resource("Boundary");
        let cap = self.stage.policy_document(&boundary).await?;
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
    async fn change_by_hand(&mut self, stack: &Stack, parts: &Parts, hands: &[Hand]) -> Result<(), StepError> {
        for hand in hands {
            self.act(parts, *hand).await?;
        }
        let found = self.shown("all changes by hand", async |life| {
            let found = texts(&life.inspected(stack).await?);
            let is_shown = |hand: &Hand| found.iter().any(|text| text.contains(hand.shown()));
            Ok(hands.iter().all(is_shown).then_some(found))
        });
        found.await?.iter().for_each(|text| self.tell.say(text));
        Ok(())
    }

    async fn act(&self, parts: &Parts, hand: Hand) -> Result<(), StepError> {
        let iam = &self.stage.iam;
        let open = json!({"Version": "2012-10-17", "Statement": [{
            "Sid": "ByHand", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]});
        let own = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", self.stage.account.id)}}]});
        let widened = |arn: &str| {
            let version = iam.create_policy_version().policy_arn(arn).policy_document(open.to_string());
            version.set_as_default(true)
        };
        let inline =
            |role: &str| iam.put_role_policy().role_name(role).policy_name(INLINE).policy_document(open.to_string());
        let doing = "change something by hand";
        let Parts { role, policy, boundary, provider, function, .. } = parts;
        match hand {
            Hand::Detach => {
                let call = iam.detach_role_policy().role_name(role).policy_arn(policy);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::Trust => {
                let call = iam.update_assume_role_policy().role_name(role).policy_document(own.to_string());
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::Session => {
                let call = iam.update_role().role_name(role).max_session_duration(43_200);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::NoBoundary => {
                let call = iam.delete_role_permissions_boundary().role_name(role);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::WiderPolicy => widened(policy).send().await.map(drop).map_err(refused(doing)),
            Hand::WiderBoundary => widened(boundary).send().await.map(drop).map_err(refused(doing)),
            Hand::Untag => {
                let call = iam.untag_role().role_name(role).tag_keys(cavatica_access::owner::RESOURCE);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::Inline => inline(role).send().await.map(drop).map_err(refused(doing)),
            Hand::ProviderInline => inline(provider).send().await.map(drop).map_err(refused(doing)),
            Hand::Attach => {
                let call = iam.attach_role_policy().role_name(role).policy_arn(boundary);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::Timeout => {
                let lambda = self.stage.account.lambda(self.stage.region);
                let call = lambda.update_function_configuration().function_name(function).timeout(60);
                call.send().await.map(drop).map_err(refused(doing))
            }
        }
    }

    async fn undo(&self, parts: &Parts, hand: Hand) -> Result<(), StepError> {
        let iam = &self.stage.iam;
        let doing = "undo a change by hand";
        let Parts { role, boundary, provider, function, cap, .. } = parts;
        match hand {
            Hand::Untag => {
                let tag = Tag::builder().key(cavatica_access::owner::RESOURCE).value("VolumeAccess").build().ok();
                let call = iam.tag_role().role_name(role).set_tags(tag.map(|tag| vec![tag]));
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::Inline => {
                let call = iam.delete_role_policy().role_name(role).policy_name(INLINE);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::ProviderInline => {
                let call = iam.delete_role_policy().role_name(provider).policy_name(INLINE);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::Attach => {
                let call = iam.detach_role_policy().role_name(role).policy_arn(boundary);
                call.send().await.map(drop).map_err(refused(doing))
            }
            Hand::WiderBoundary => {
                let version = iam.create_policy_version().policy_arn(boundary).policy_document(cap.to_string());
                version.set_as_default(true).send().await.map(drop).map_err(refused(doing))
            }
            Hand::Timeout => {
                let lambda = self.stage.account.lambda(self.stage.region);
                let call = lambda.update_function_configuration().function_name(function).timeout(180);
                call.send().await.map(drop).map_err(refused(doing))
            }
            // An update has put these back.
            Hand::Detach | Hand::Trust | Hand::Session | Hand::NoBoundary | Hand::WiderPolicy => Ok(()),
        }
    }

    /// Has the function put everything back, by an update that changes nothing else.
    async fn repair(&mut self, stack: &Stack) -> Result<Stack, StepError> {
        let proposal = Proposal::repair(&self.stage.name.to_string(), stack);
        let proposal = proposal.ok_or_else(|| mismatch("the repair", "the template has no parameter for it"))?;
        let change_set = ChangeSet::new(&proposal);
        let Some(change_set) = self.stage.stacks.propose(&proposal, &change_set).await? else {
            return Err(mismatch("the repair", "nothing would change"));
        };
        let mut known = std::mem::take(&mut self.known);
        self.stage.stacks.catch_up(&change_set.stack_id, &mut known).await?;
        let operation = self.stage.stacks.execute(&change_set, &new_token()).await?;
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
