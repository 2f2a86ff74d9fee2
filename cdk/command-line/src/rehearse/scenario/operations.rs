//! The operations that the steps are made of: a stack proposed, carried out, followed and deleted, and looks at IAM
//! until it shows what was done.

use std::collections::BTreeMap;

use cavatica_access::document::same_meaning;
use cavatica_access::volume::Volume;
use cavatica_generator::documents::{Subject, documents};
use cavatica_generator::template::{Config, provided};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::{StepError, refused, unexpected};
use super::{Fixture, Outcome, Scenario, check, mismatch};
use crate::deploy::change_set::{ChangeSet, Proposal, Purpose};
use crate::deploy::failure_log;
use crate::deploy::follow::{KnownEvents, Operation, Progress, first_cause};
use crate::deploy::inspection::{Documents, Inspection, inspect};
use crate::deploy::stack::{Stack, TemplateKind, parameters};
use crate::deploy::stacks::new_token;
use crate::waits::{BETWEEN_REHEARSED_LOOKS, REHEARSED_CHANGE_WITHIN};

impl Scenario<'_> {
    /// Returns the main stack, as CloudFormation describes it.
    pub(super) async fn stack(&self) -> Result<Stack, StepError> {
        let id = self.stack.as_ref().ok_or(StepError::NoStack)?;
        self.fixture.stacks.find(id).await?.ok_or(StepError::NoStack)
    }

    pub(super) async fn inspected(&self, stack: &Stack) -> Result<Inspection, StepError> {
        Ok(inspect(&self.fixture.account, &self.fixture.stacks, stack, TemplateKind::ByFunction).await?)
    }

    pub(super) async fn proposal(
        &self,
        name: &str,
        purpose: Purpose,
        given: &[(&str, &str)],
    ) -> Result<Proposal, StepError> {
        let before = match purpose {
            Purpose::Update => Some(self.stack().await?),
            Purpose::NewStack | Purpose::EmptyStack => None,
        };
        let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let template = provided::template(&Config::of(self.fixture.account.platform()));
        let names: Vec<_> = template.parameters().map(|parameter| parameter.name).collect();
        Ok(Proposal {
            stack_name: name.to_owned(),
            purpose,
            template: self.template.clone().ok_or(StepError::NoStack)?,
            parameters: parameters(&names, &given, before.as_ref()),
            names_iam: false,
        })
    }

    /// Changes the main stack.
    pub(super) async fn change(&mut self, given: &[(&str, &str)]) -> Result<Outcome, StepError> {
        self.stack().await?;
        let name = self.fixture.name.to_string();
        self.operate(&name, Purpose::Update, given).await
    }

    /// Proposes an operation, carries it out and follows it to its end.
    pub(super) async fn operate(
        &mut self,
        name: &str,
        purpose: Purpose,
        given: &[(&str, &str)],
    ) -> Result<Outcome, StepError> {
        let proposal = self.proposal(name, purpose, given).await?;
        self.tell.start_waiting("asking CloudFormation what would change");
        let change_set = ChangeSet::new(&proposal);
        let change_set = self.fixture.stacks.propose(&proposal, &change_set).await?;
        self.tell.stop_waiting();
        let Some(change_set) = change_set else {
            return Err(StepError::Mismatch { what: "the proposal", found: "nothing would change".to_owned() });
        };
        let is_main = name == self.fixture.name.to_string();
        let mut known = if is_main { std::mem::take(&mut self.known) } else { KnownEvents::default() };
        self.fixture.stacks.catch_up(&change_set.stack_id, &mut known).await?;
        let operation = self.fixture.stacks.execute(&change_set, &new_token()).await?;
        let outcome = self.follow(&operation, &mut known).await;
        if is_main {
            self.known = known;
        }
        outcome
    }

    pub(super) async fn delete(&mut self, stack: &str, known: &mut KnownEvents) -> Result<(), StepError> {
        self.fixture.stacks.catch_up(stack, known).await?;
        let operation = self.fixture.stacks.delete(stack).await?;
        self.follow(&operation, known).await?.is("DELETE_COMPLETE").map(drop)
    }

    pub(super) async fn follow(
        &mut self,
        operation: &Operation,
        known: &mut KnownEvents,
    ) -> Result<Outcome, StepError> {
        let stack = operation.stack_id.as_str();
        let begun = known.all.len();
        self.tell.start_waiting("waiting for CloudFormation");
        let Fixture { account, stacks, .. } = self.fixture;
        let followed = failure_log::follow(account, stacks, operation, known, |progress| match progress {
            Progress::Event(event) => event.print(&self.tell, true),
            Progress::Trouble(error) => self.tell.note(&format!("{error}. This command keeps trying")),
        });
        let followed = followed.await;
        self.tell.stop_waiting();
        let followed = followed?;
        let events = &known.all[begun..];
        // A stack's ID is `arn:…:stack/NAME/UUID`.
        self.unexpected.extend(unexpected::of_events(events, stack.split('/').nth(1).unwrap_or_default()));
        self.unexpected.extend(followed.hooks);
        for line in &followed.log {
            self.tell.text(&format!("the function's log: {line}"));
        }
        let cause = first_cause(events).unwrap_or_else(|| "CloudFormation names none".to_owned());
        Ok(Outcome { stack: stack.to_owned(), status: followed.ending.status, cause })
    }

    /// Looks until IAM shows something, and notes how late that was.
    pub(super) async fn shown<T>(
        &mut self,
        what: &'static str,
        look: impl AsyncFn(&Self) -> Result<Option<T>, StepError>,
    ) -> Result<T, StepError> {
        let begun = Instant::now();
        loop {
            if let Some(shown) = look(self).await? {
                self.unexpected.extend(unexpected::of_wait(what, begun.elapsed()));
                return Ok(shown);
            }
            if begun.elapsed() > REHEARSED_CHANGE_WITHIN {
                let found = format!("IAM does not show {what} within {} s", REHEARSED_CHANGE_WITHIN.as_secs());
                return Err(StepError::Mismatch { what: "IAM", found });
            }
            tokio::time::sleep(BETWEEN_REHEARSED_LOOKS).await;
        }
    }

    /// Sees that IAM holds what the function would make, and that this is what `documents` prints.
    pub(super) async fn as_asked(&mut self, stack: &Stack, volume: &Volume) -> Result<Documents, StepError> {
        let inspection = self.shown("what the stack asks for", async |scenario| {
            let inspection = scenario.inspected(stack).await?;
            Ok(inspection.is_as_requested().then_some(inspection))
        });
        let observed_role = inspection.await?.documents;
        let promised = documents(Subject {
            volumes: vec![volume.clone()],
            platform: self.fixture.account.platform().clone(),
            locations: Vec::new(),
            external_id: stack.outputs.get("ExternalId").and_then(|id| id.parse().ok()),
            trusted_principal: None,
            partition: "aws".parse().map_err(|found: &str| mismatch("the partition", found))?,
            restrict_listing: false,
            omit_object_acls: false,
        })?;
        for (what, observed_role, promised) in [
            ("the permission policy in IAM", &observed_role.permissions.observed, &promised["permissions"]),
            ("the trust policy in IAM", &observed_role.trust.observed, &promised["trust"]),
        ] {
            check(what, same_meaning(observed_role, promised), observed_role)?;
        }
        Ok(observed_role)
    }

    pub(super) fn check_outputs(&self, outputs: &BTreeMap<String, String>) -> Result<(), StepError> {
        let output = |name: &str| outputs.get(name).map(String::as_str).unwrap_or_default();
        let is_its = output("RoleArn").ends_with(output("RoleName")) && !output("RoleName").is_empty();
        check("the output RoleArn", is_its, outputs)?;
        let request: Option<Value> = serde_json::from_str(output("CreateVolumeRequest")).ok();
        let service = request.map(|request| request["service"].clone()).unwrap_or_default();
        let is_ready = service["credentials"]
            == json!({"role_arn": output("RoleArn"), "external_id": output("ExternalId")})
            && service["bucket"] == self.fixture.bucket();
        check("the output CreateVolumeRequest", is_ready, outputs)?;
        self.tell.checked(
            &"CreateVolumeRequest is JSON with this role and external ID, ready to post to the platform's API",
        );
        Ok(())
    }

    /// Everything about somebody else's role that a stack could have changed.
    pub(super) async fn foreign_role(&self) -> Result<Vec<String>, StepError> {
        let (iam, name) = (&self.fixture.iam, self.fixture.foreign_role());
        let doing = "look at somebody else's role";
        let role = iam.get_role().role_name(&name).send().await.map_err(refused(doing))?.role;
        let attached = iam.list_attached_role_policies().role_name(&name).send().await.map_err(refused(doing))?;
        let inline = iam.get_role_policy().role_name(&name).policy_name("upload").send().await;
        let inline = inline.map_err(refused(doing))?;
        Ok(vec![format!("{role:?}"), format!("{:?}", attached.attached_policies), inline.policy_document])
    }
}
