//! The check of the role by IAM's policy simulator, for each action on each volume.
//!
//! The simulator does not evaluate an organisation's policies that have conditions, and is known to err there: what it
//! blames on the organisation is only reported. Source: "IAM policy testing with the IAM policy simulator".

use std::collections::BTreeMap;

use crate::blueprint::Blueprint;
use crate::checks::Finding;
use crate::document::Statement;
use crate::names::AccountId;
use crate::port::{Layer, Question, Verdict};

/// The object that is asked about where a statement is about all objects under a prefix. It need not exist.
const SOME_OBJECT: &str = "cavatica-connect";

/// Returns the questions: one for each statement of the role's policy and each owner of its buckets.
#[must_use]
pub fn questions(blueprint: &Blueprint) -> Vec<Question> {
    // The simulator sees no key policy, and without one it denies what is another account's.
    let is_seen = |arn: &&String| !is_key(arn) || account(arn) == Some(blueprint.role.account.as_str());
    let of_statement = |statement: &Statement| {
        let mut by_owner: BTreeMap<Option<&AccountId>, Vec<&String>> = BTreeMap::new();
        for arn in statement.resource.iter().filter(is_seen) {
            by_owner.entry(owner(blueprint, arn)).or_default().push(arn);
        }
        by_owner.into_iter().map(|(owner, resources)| question(statement, owner, &resources)).collect::<Vec<_>>()
    };
    blueprint.permissions.statements().iter().flat_map(of_statement).collect()
}

/// Returns the owner of a volume's bucket; nothing for a key, and for a copy bucket of the vendor.
fn owner<'b>(blueprint: &'b Blueprint, arn: &str) -> Option<&'b AccountId> {
    let bucket = arn.split(":::").nth(1)?.split('/').next()?;
    let volume = blueprint.request.volumes.iter().find(|volume| volume.bucket.as_str() == bucket)?;
    Some(volume.bucket_owner.as_ref().unwrap_or(&blueprint.role.account))
}

fn is_key(arn: &str) -> bool {
    arn.split(':').nth(2) == Some("kms")
}

fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

fn question(statement: &Statement, owner: Option<&AccountId>, resources: &[&String]) -> Question {
    let mut context: Vec<_> = statement
        .condition
        .iter()
        .filter_map(|condition| Some((condition.key, condition.values.first()?.clone())))
        .collect();
    // The boundary demands the bucket's owner. The simulator knows no owners of the buckets that it is asked about.
    context.extend(owner.map(|owner| ("aws:ResourceAccount", owner.to_string())));
    // The boundary lets a key be used through S3 only.
    let regions = resources.iter().filter_map(|arn| arn.split(':').nth(3).filter(|_| is_key(arn)));
    context.extend(regions.take(1).map(|region| ("kms:ViaService", format!("s3.{region}.amazonaws.com"))));
    let some =
        |arn: &&String| arn.strip_suffix('*').map_or_else(|| (*arn).clone(), |under| format!("{under}{SOME_OBJECT}"));
    Question { actions: statement.action.clone(), resources: resources.iter().map(some).collect(), context }
}

/// True if the verdict may change by itself: the simulator need not know yet what was just made.
#[must_use]
pub fn may_pass<'v>(mut verdicts: impl Iterator<Item = &'v Verdict>) -> bool {
    verdicts.any(|verdict| matches!(verdict.forbidden_by, Some(Layer::Statement | Layer::Boundary)))
}

/// Returns the findings about forbidden actions: a sentence for each layer that forbids something.
#[must_use]
pub fn judge(blueprint: &Blueprint, verdicts: &[Verdict]) -> Vec<Finding> {
    let layers = [Layer::Statement, Layer::Boundary, Layer::Deny, Layer::Organisation];
    layers
        .into_iter()
        .filter_map(|layer| {
            let forbidden: Vec<_> = verdicts
                .iter()
                .filter(|verdict| verdict.forbidden_by == Some(layer))
                .map(|verdict| format!("{} on {}", verdict.action, verdict.resource.replace(SOME_OBJECT, "*")))
                .collect();
            (!forbidden.is_empty()).then(|| finding(blueprint, layer, &forbidden.join(", ")))
        })
        .collect()
}

fn finding(blueprint: &Blueprint, layer: Layer, forbidden: &str) -> Finding {
    let role = &blueprint.role.name;
    let boundary = blueprint.request.permissions_boundary.as_ref().map_or("none", |arn| arn.as_str());
    match layer {
        Layer::Statement => Finding::fails(format!(
            "Role {role} is not allowed {forbidden}: its policy lacks it, which is a mistake of this release or of whoever changed the \
             policy since. Update the stack again; if it stays, report it."
        )),
        Layer::Boundary => Finding::fails(format!(
            "The boundary {boundary} does not allow role {role} {forbidden}. Have it allow that, or leave PermissionsBoundaryArn empty \
             for the stack's own."
        )),
        Layer::Deny => Finding::fails(format!(
            "A policy denies role {role} {forbidden}. Look at what else is attached to the role, and at its boundary {boundary}, for \
             a statement with the effect Deny."
        )),
        Layer::Organisation => Finding::reported(format!(
            "IAM's simulator says that a service control policy of your organisation forbids role {role} {forbidden}. It does not know \
             conditions and may err: ask the administrators of the organisation's policies."
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::told;
    use crate::owner::Owner;
    use crate::request::Request;

    fn blueprint() -> Result<Blueprint, Box<dyn std::error::Error>> {
        let stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/s/5e1b8ce0-0000".parse()?;
        let request = Request::parse(&json!({"RoleName": "cavatica", "RestrictListing": "true", "Volumes": [{
            "BucketName": "my-bucket", "Prefix": "raw", "AccessMode": "ReadWrite",
            "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/abc"}]}))?;
        Ok(Blueprint::new(request, Owner { stack, resource: "VolumeAccess".to_owned() })?)
    }

    #[test]
    fn each_statement_is_asked_about_with_what_its_conditions_need() -> Result<(), Box<dyn std::error::Error>> {
        let questions = questions(&blueprint()?);
        let about = |action| questions.iter().find(|question| question.actions.contains(&action)).ok_or(action);
        assert_eq!(about("s3:GetObject")?.resources, ["arn:aws:s3:::my-bucket/raw/cavatica-connect"]);
        let account = ("aws:ResourceAccount", "123456789012".to_owned());
        assert_eq!(about("s3:ListBucket")?.context, [("s3:prefix", "raw".to_owned()), account.clone()]);
        assert_eq!(about("s3:PutObject")?.context, [account]);
        assert_eq!(about("kms:Decrypt")?.context, [("kms:ViaService", "s3.eu-west-1.amazonaws.com".to_owned())]);
        let actions: Vec<_> = questions.iter().flat_map(|question| &question.actions).collect();
        assert_eq!(actions.len(), 12, "{actions:?}");
        Ok(())
    }

    #[test]
    fn the_simulator_is_not_asked_about_a_key_of_another_account() -> Result<(), Box<dyn std::error::Error>> {
        let mut blueprint = blueprint()?;
        let mut elsewhere = blueprint.request.volumes[0].clone();
        elsewhere.kms_key = Some("arn:aws:kms:eu-west-1:210987654321:key/def".parse()?);
        let questions_of = |request: Request, owner: &Owner| -> Result<Vec<String>, Box<dyn std::error::Error>> {
            let questions = questions(&Blueprint::new(request, owner.clone())?);
            Ok(questions.into_iter().flat_map(|question| question.resources).filter(|arn| is_key(arn)).collect())
        };
        let owner = blueprint.owner.clone();
        blueprint.request.volumes.push(elsewhere.clone());
        assert_eq!(questions_of(blueprint.request.clone(), &owner)?, ["arn:aws:kms:eu-west-1:123456789012:key/abc"]);
        blueprint.request.volumes = vec![elsewhere];
        assert_eq!(questions_of(blueprint.request, &owner)?, [""; 0]);
        Ok(())
    }

    #[test]
    fn a_forbidden_action_is_named_with_resource_and_layer() -> Result<(), Box<dyn std::error::Error>> {
        let verdict = |action: &str, forbidden_by| Verdict {
            action: action.to_owned(),
            resource: "arn:aws:s3:::my-bucket/raw/cavatica-connect".to_owned(),
            forbidden_by,
        };
        for (layer, fails, part) in [
            (Layer::Statement, true, "its policy lacks it"),
            (Layer::Boundary, true, "leave PermissionsBoundaryArn empty"),
            (Layer::Deny, true, "effect Deny"),
            (Layer::Organisation, false, "service control policy"),
        ] {
            let verdicts = [verdict("s3:GetObject", Some(layer)), verdict("s3:PutObject", None)];
            let findings = judge(&blueprint()?, &verdicts);
            let said = told(&findings);
            assert_eq!(findings.iter().any(Finding::is_failure), fails, "{said}");
            assert!(said.contains(part) && said.contains("s3:GetObject on arn:aws:s3:::my-bucket/raw/*"), "{said}");
            assert!(!said.contains("s3:PutObject"), "{said}");
        }
        assert!(judge(&blueprint()?, &[verdict("s3:GetObject", None)]).is_empty());
        Ok(())
    }
}
