//! CloudFormation's part, played in its documented order: which event follows which answer, and what an answer must be.
//!
//! No I/O: the caller carries out the steps and returns the answers. Sources: "Custom resources",
//! "Update behaviors of stack resources", "Continue rolling back an update", "CloudFormation quotas".

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::events;

/// Longest body of an answer, in bytes.
const LONGEST_BODY: usize = 4_096;
/// Longest physical ID, in bytes.
const LONGEST_ID: usize = 1_024;

/// Requested state of a stack. `D` is the state of its other resources.
#[derive(Debug)]
pub struct StackRequest<D> {
    /// The custom resource's properties.
    pub properties: Value,
    /// The provider role, the function and whatever else comes before the custom resource.
    pub deployment: D,
}

/// Operation on the stack.
#[derive(Debug)]
pub enum Operation<D> {
    /// `CreateStack`.
    Create {
        /// As asked.
        requested: Arc<StackRequest<D>>,
        /// Another resource fails after ours succeeded.
        sibling_fails: bool,
    },
    /// `UpdateStack`.
    Update {
        /// As asked.
        requested: Arc<StackRequest<D>>,
        /// Another resource fails after ours succeeded.
        sibling_fails: bool,
        /// Order of a rollback, if there is one.
        rollback: Rollback,
    },
    /// `ContinueUpdateRollback`.
    ContinueRollback,
    /// `DeleteStack`.
    Delete {
        /// `RetainResources`, possible after a failed delete.
        retain: bool,
    },
}

/// Order of a rollback, as far as the documentation leaves it open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rollback {
    /// The custom resource is reverted before the provider role and the function, not after them.
    pub resource_first: bool,
    /// The ID that a failed update answered is forgotten.
    pub forgets_failed_id: bool,
}

/// Next step of an operation.
#[derive(Debug)]
pub enum Step<D> {
    /// The other resources become as asked.
    Deploy(Arc<StackRequest<D>>),
    /// The custom resource is sent an event.
    Send(Value),
}

/// A stack's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not created yet.
    New,
    /// `CREATE_COMPLETE`, `UPDATE_COMPLETE` or `UPDATE_ROLLBACK_COMPLETE`.
    Complete,
    /// `ROLLBACK_FAILED`: a failed create, and its delete failed too.
    CreateRollbackFailed,
    /// `UPDATE_ROLLBACK_FAILED`.
    UpdateRollbackFailed,
    /// `DELETE_FAILED`.
    DeleteFailed,
    /// `ROLLBACK_COMPLETE` or `DELETE_COMPLETE`: the custom resource was deleted.
    Gone,
    /// Deleted with `RetainResources`.
    Retained,
}

/// An answer that CloudFormation takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Why it failed; `None` is success.
    pub failure: Option<String>,
    /// Physical ID from now on.
    pub physical_id: String,
    /// The attribute `Findings`; empty when there is none.
    pub findings: String,
}

/// Purpose of an event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Create,
    Update,
    Reverse,
    /// The Delete after a failed create.
    CreateRollback,
    /// The Delete of what was replaced; it is never sent again.
    CleanUp,
    Delete,
}

/// A stack with our custom resource in it.
#[derive(Debug)]
pub struct Stack<D> {
    status: Status,
    /// As the last operation that went well left it.
    now: Option<Arc<StackRequest<D>>>,
    /// State that an update requests.
    next: Option<Arc<StackRequest<D>>>,
    physical_id: String,
    sibling_fails: bool,
    rollback: Rollback,
    /// The ID before the update.
    settled_id: String,
    steps: VecDeque<Step<D>>,
    sent: Option<(Purpose, Value)>,
    is_reverse_unanswered: bool,
    is_new_id_unknown: bool,
    purposes: VecDeque<Purpose>,
    requests: u32,
    response_url: String,
}

impl<D> Stack<D> {
    /// Returns a stack that answers go to at an address.
    #[must_use]
    pub fn new(response_url: &str) -> Self {
        Self {
            status: Status::New,
            now: None,
            next: None,
            physical_id: String::new(),
            sibling_fails: false,
            rollback: Rollback::default(),
            settled_id: String::new(),
            steps: VecDeque::new(),
            sent: None,
            is_reverse_unanswered: false,
            is_new_id_unknown: false,
            purposes: VecDeque::new(),
            requests: 0,
            response_url: response_url.to_owned(),
        }
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns the current physical ID.
    #[must_use]
    pub fn physical_id(&self) -> &str {
        &self.physical_id
    }

    /// Returns the state of the last successful operation.
    #[must_use]
    pub fn now(&self) -> Option<&Arc<StackRequest<D>>> {
        self.now.as_ref()
    }

    /// Returns the state that an update in progress requests.
    #[must_use]
    pub fn next(&self) -> Option<&Arc<StackRequest<D>>> {
        self.next.as_ref()
    }

    /// True if a rollback failed and left open which of two roles exists: one of its answers did not arrive, or the
    /// update itself was not answered, so that its new ID is known to nobody.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status == Status::UpdateRollbackFailed && (self.is_reverse_unanswered || self.is_new_id_unknown)
    }

    /// Begins an operation; `false` when the stack's status does not allow it.
    pub fn begin(&mut self, operation: Operation<D>) -> bool {
        match (self.status, operation) {
            (Status::New, Operation::Create { requested, sibling_fails }) => {
                self.sibling_fails = sibling_fails;
                self.steps.push_back(Step::Deploy(Arc::clone(&requested)));
                let event = self.event("Create", &requested.properties, None);
                self.now = Some(requested);
                self.send(Purpose::Create, event);
            }
            (Status::Complete, Operation::Update { requested, sibling_fails, rollback }) => {
                (self.sibling_fails, self.rollback) = (sibling_fails, rollback);
                self.settled_id.clone_from(&self.physical_id);
                self.steps.push_back(Step::Deploy(Arc::clone(&requested)));
                let event = self.update(&requested);
                self.next = Some(requested);
                self.send(Purpose::Update, event);
            }
            (Status::UpdateRollbackFailed, Operation::ContinueRollback) => self.reverse(),
            (Status::DeleteFailed | Status::CreateRollbackFailed, Operation::Delete { retain: true }) => {
                self.status = Status::Retained
            }
            (
                Status::Complete | Status::UpdateRollbackFailed | Status::DeleteFailed | Status::CreateRollbackFailed,
                Operation::Delete { .. },
            ) => {
                let event = self.delete(&self.physical_id.clone(), self.now.clone().as_ref());
                self.send(Purpose::Delete, event);
            }
            _ => return false,
        }
        true
    }

    /// Returns the next step, until the operation has ended.
    pub fn step(&mut self) -> Option<Step<D>> {
        let step = self.steps.pop_front()?;
        if let Step::Send(event) = &step {
            self.sent = self.purposes.pop_front().map(|purpose| (purpose, event.clone()));
        }
        Some(step)
    }

    /// Takes the answer to the event that was sent last, or that there is none. An answer that breaks the protocol is
    /// told.
    pub fn take(&mut self, body: Option<&str>) -> Result<(), String> {
        let Some((purpose, event)) = self.sent.take() else { return Err("nothing was asked".to_owned()) };
        let answer = body.map(|body| read(&event, body)).transpose()?;
        let succeeded = answer.as_ref().is_some_and(|answer| answer.failure.is_none());
        match purpose {
            Purpose::Create => {
                // Without an answer CloudFormation makes an ID up.
                let made_up = || "my-volume-VolumeAccess-ABCDEFGHIJKL".to_owned();
                self.physical_id = answer.map_or_else(made_up, |answer| answer.physical_id);
                if succeeded && !self.sibling_fails {
                    self.status = Status::Complete;
                } else {
                    let event = self.delete(&self.physical_id.clone(), self.now.clone().as_ref());
                    self.send(Purpose::CreateRollback, event);
                }
            }
            Purpose::Update => {
                self.is_reverse_unanswered = false;
                let taken = answer.filter(|_| succeeded || !self.rollback.forgets_failed_id);
                self.is_new_id_unknown = taken.is_none();
                if let Some(answer) = taken {
                    self.physical_id = answer.physical_id;
                }
                if succeeded && !self.sibling_fails {
                    let before = std::mem::replace(&mut self.now, self.next.take());
                    self.status = Status::Complete;
                    self.clean_up(&self.settled_id.clone(), before.as_ref());
                } else {
                    if !self.rollback.resource_first {
                        self.steps.extend(self.now.clone().map(Step::Deploy));
                    }
                    self.reverse();
                }
            }
            Purpose::Reverse => match answer.filter(|_| succeeded) {
                None => {
                    self.is_reverse_unanswered |= body.is_none();
                    self.status = Status::UpdateRollbackFailed;
                }
                Some(answer) => {
                    if answer.physical_id != self.settled_id {
                        return Err(format!("the reverse Update answered {answer:?}, not {}", self.settled_id));
                    }
                    let newer = std::mem::replace(&mut self.physical_id, answer.physical_id);
                    let next = self.next.take();
                    self.status = Status::Complete;
                    if self.rollback.resource_first {
                        self.steps.extend(self.now.clone().map(Step::Deploy));
                    }
                    self.clean_up(&newer, next.as_ref());
                }
            },
            Purpose::CreateRollback if !succeeded => self.status = Status::CreateRollbackFailed,
            Purpose::Delete if !succeeded => self.status = Status::DeleteFailed,
            Purpose::CreateRollback | Purpose::Delete => self.status = Status::Gone,
            Purpose::CleanUp => {}
        }
        Ok(())
    }

    fn send(&mut self, purpose: Purpose, event: Value) {
        self.purposes.push_back(purpose);
        self.steps.push_back(Step::Send(event));
    }

    /// Asks for what there was before.
    fn reverse(&mut self) {
        let Some(event) = self.now.clone().map(|now| self.reverse_event(&now)) else { return };
        self.send(Purpose::Reverse, event);
    }

    fn reverse_event(&mut self, now: &StackRequest<D>) -> Value {
        let next = self.next.as_ref().map(|next| next.properties.clone());
        self.event("Update", &now.properties, next)
    }

    fn update(&mut self, requested: &StackRequest<D>) -> Value {
        let old = self.now.as_ref().map(|now| now.properties.clone());
        self.event("Update", &requested.properties, old)
    }

    /// Deletes the replaced resource, at the end and once.
    fn clean_up(&mut self, id: &str, requested: Option<&Arc<StackRequest<D>>>) {
        if id != self.physical_id {
            let event = self.delete(id, requested);
            self.send(Purpose::CleanUp, event);
        }
    }

    fn delete(&mut self, id: &str, requested: Option<&Arc<StackRequest<D>>>) -> Value {
        let properties = requested.map(|requested| requested.properties.clone()).unwrap_or_default();
        let mut event = self.event("Delete", &properties, None);
        event["PhysicalResourceId"] = json!(id);
        event
    }

    fn event(&mut self, kind: &str, properties: &Value, old: Option<Value>) -> Value {
        self.requests += 1;
        let mut event = json!({
            "RequestType": kind,
            "ResponseURL": self.response_url,
            "StackId": events::STACK,
            "RequestId": format!("request-{}", self.requests),
            "LogicalResourceId": "VolumeAccess",
            "ResourceType": cavatica_access::request::RESOURCE_TYPE,
            "ResourceProperties": properties,
        });
        if kind != "Create" {
            event["PhysicalResourceId"] = json!(self.physical_id);
        }
        if let Some(old) = old {
            event["OldResourceProperties"] = old;
        }
        event
    }
}

/// Reads an answer to an event as strictly as CloudFormation does, and more strictly where a slip would go unnoticed.
pub fn read(event: &Value, body: &str) -> Result<Answer, String> {
    let broken = |what: &str| Err(format!("{what} in the answer to {}: {body}", event["RequestType"]));
    if body.len() > LONGEST_BODY {
        return broken("more than 4,096 bytes");
    }
    let Ok(answer) = serde_json::from_str::<Value>(body) else { return broken("no JSON") };
    for id in ["StackId", "RequestId", "LogicalResourceId"] {
        if answer[id] != event[id] {
            return broken(&format!("another {id}"));
        }
    }
    let physical_id = answer["PhysicalResourceId"].as_str().unwrap_or_default().to_owned();
    if physical_id.is_empty() || physical_id.len() > LONGEST_ID {
        return broken("no usable PhysicalResourceId");
    }
    if event["RequestType"] == "Delete" && event["PhysicalResourceId"] != physical_id.as_str() {
        return broken("another PhysicalResourceId than the Delete's");
    }
    let failure = match (answer["Status"].as_str(), answer["Reason"].as_str()) {
        (Some("SUCCESS"), _) => None,
        (Some("FAILED"), Some(reason)) if !reason.is_empty() => Some(reason.to_owned()),
        _ => return broken("no Status, or FAILED without a Reason,"),
    };
    let findings = answer["Data"]["Findings"].as_str().unwrap_or_default().to_owned();
    Ok(Answer { failure, physical_id, findings })
}
