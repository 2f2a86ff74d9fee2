//! The stack under a name, and the operations that its state allows.

use std::collections::BTreeMap;

use cavatica_access::platform::{CAVATICA, Platform};
use cavatica_generator::template::{native, provided};

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Its ID.
    pub id: String,
    /// Such as `CREATE_COMPLETE`.
    pub status: String,
    /// Its parameters; hidden ones have stars for a value.
    pub parameters: BTreeMap<String, String>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// Time of its last update, in milliseconds since 1970; `None` before the first.
    pub updated_at: Option<i64>,
    /// ID of the change set that was executed last.
    pub change_set: Option<String>,
    /// True while termination protection is on.
    pub is_protected: bool,
}

/// The operation that a stack allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextOperation {
    /// Create: the stack does not exist, or was only proposed.
    Create,
    /// Update.
    Update,
    /// Its creation failed: it has to be deleted before it can be created again.
    DeleteAndCreate,
    /// Something goes on.
    Wait,
    /// An update could not be taken back; that has to go on before anything else.
    ContinueRollback,
    /// Its deletion failed, and nothing but another deletion is possible.
    Delete,
}

impl NextOperation {
    /// Returns the operation that a status allows. Source: "Understand CloudFormation stack creation events", stack
    /// status codes.
    #[must_use]
    pub fn of(status: &str) -> Self {
        match status {
            "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Self::Create,
            "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => Self::DeleteAndCreate,
            "DELETE_FAILED" => Self::Delete,
            "UPDATE_ROLLBACK_FAILED" => Self::ContinueRollback,
            status if status.ends_with("_IN_PROGRESS") => Self::Wait,
            _ => Self::Update,
        }
    }
}

/// The templates of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateKind {
    /// The one whose function makes the role.
    ByFunction,
    /// The one without a function.
    Native,
}

impl TemplateKind {
    /// Returns the template with this description, if it is one of ours. Releases keep the descriptions.
    #[must_use]
    pub fn of(platform: &Platform, description: &str) -> Option<Self> {
        let ours = [(Self::ByFunction, provided::DESCRIPTION), (Self::Native, native::DESCRIPTION)];
        ours.into_iter().find(|(_, known)| platform.fill(known) == description).map(|(kind, _)| kind)
    }

    /// Returns the template with this description, whichever platform it is for.
    #[must_use]
    pub fn of_any_platform(description: &str) -> Option<Self> {
        let before = provided::DESCRIPTION.split("{platform}").next().unwrap_or_default();
        // No platform's name has a colon.
        let name = description.strip_prefix(before)?.split(':').next()?;
        Self::of(&Platform { name: name.to_owned().into(), ..CAVATICA.clone() }, description)
    }
}

/// The origin of a parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterValue {
    /// Given value.
    Given(String),
    /// Value that the stack has.
    Previous,
}

/// Returns the parameters of an operation: those that are given, and the others as the stack has them. What neither has
/// takes the template's default.
#[must_use]
pub fn parameters(
    of_template: &[&str],
    given: &[(String, String)],
    before: Option<&Stack>,
) -> Vec<(String, ParameterValue)> {
    let value = |name: &&str| {
        let given =
            given.iter().find(|(known, _)| known == name).map(|(_, value)| ParameterValue::Given(value.clone()));
        let is_set = before.is_some_and(|stack| stack.parameters.contains_key(*name));
        Some(((*name).to_owned(), given.or_else(|| is_set.then_some(ParameterValue::Previous))?))
    };
    of_template.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_way() {
        for (statuses, way) in [
            (&["REVIEW_IN_PROGRESS", "DELETE_COMPLETE"][..], NextOperation::Create),
            (
                &["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "IMPORT_COMPLETE"],
                NextOperation::Update,
            ),
            (&["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"], NextOperation::DeleteAndCreate),
            (
                &[
                    "CREATE_IN_PROGRESS",
                    "ROLLBACK_IN_PROGRESS",
                    "DELETE_IN_PROGRESS",
                    "UPDATE_IN_PROGRESS",
                    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
                    "UPDATE_ROLLBACK_IN_PROGRESS",
                    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
                ],
                NextOperation::Wait,
            ),
            (&["UPDATE_ROLLBACK_FAILED"], NextOperation::ContinueRollback),
            (&["DELETE_FAILED"], NextOperation::Delete),
        ] {
            for status in statuses {
                assert_eq!(NextOperation::of(status), way, "{status}");
            }
        }
    }

    #[test]
    fn a_stack_of_any_platform_is_known_by_its_description() {
        let other = Platform { name: "Other Platform 2.0".into(), ..CAVATICA.clone() };
        for (description, kind) in
            [(provided::DESCRIPTION, TemplateKind::ByFunction), (native::DESCRIPTION, TemplateKind::Native)]
        {
            for platform in [&CAVATICA, &other] {
                assert_eq!(TemplateKind::of_any_platform(&platform.fill(description)), Some(kind));
            }
            assert_eq!(TemplateKind::of(&CAVATICA, &other.fill(description)), None);
        }
        for foreign in ["", "Connects an S3 bucket to a: b", "Connects an S3 bucket to our mailer"] {
            assert_eq!(TemplateKind::of_any_platform(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn omitted_parameters_keep_their_values_and_new_ones_take_defaults() {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let before =
            Stack { parameters: [set("BucketName", "b"), set("ExternalId", "****")].into(), ..Stack::default() };
        let given = [set("BucketName", "c")];
        let names = ["BucketName", "ExternalId", "Prefix"];
        let (given_value, previous) = (ParameterValue::Given("c".to_owned()), ParameterValue::Previous);
        let expected = vec![("BucketName".to_owned(), given_value.clone()), ("ExternalId".to_owned(), previous)];
        assert_eq!(parameters(&names, &given, Some(&before)), expected);
        assert_eq!(parameters(&names, &given, None), [("BucketName".to_owned(), given_value)]);
    }
}
