//! Plans as tables: (desired, observed) to steps, a line a stage.

use serde_json::{Value, json};

use super::*;
use crate::blueprint::Blueprint;
use crate::desired::RoleToDelete;
use crate::names::{PolicyArn, RoleArn};
use crate::observed::RemainingPolicy;
use crate::owner::{Owner, Tags};
use crate::platform::CAVATICA;
use crate::port::{Policy, PolicyEntity, Role, Version};
use crate::recognition::Evidence;
use crate::request::{OldProperties, Request};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/my-volume-Boundary-1A2B3C4D5E6F";
const OTHER_BOUNDARY: &str = "arn:aws:iam::123456789012:policy/cap";
const ROLE: &str = "arn:aws:iam::123456789012:role/vol";
const POLICY: &str = "arn:aws:iam::123456789012:policy/vol";
const SIBLING: &str = "arn:aws:iam::999999999999:role/sibling";

fn owner() -> Result<Owner, Box<dyn std::error::Error>> {
    let stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/my-volume/5e1b8ce0-1111-11f0-8000-0a1b2c3d4e5f";
    Ok(Owner { stack: stack.parse()?, resource: "VolumeAccess".to_owned() })
}

/// Properties of a read-only volume, with one changed; `Null` removes it.
fn properties(name: &str, value: Value) -> Value {
    let mut properties = json!({
        "RoleName": "vol", "ExternalId": "lab-1234", "PermissionsBoundaryArn": BOUNDARY,
        "Volumes": [{"BucketName": "my-bucket"}],
    });
    match (properties.as_object_mut(), value.is_null()) {
        (Some(properties), true) => drop(properties.remove(name)),
        (Some(properties), false) => drop(properties.insert(name.to_owned(), value)),
        (None, _) => {}
    }
    properties
}

/// Returns the properties of before.
fn old() -> Value {
    properties("Release", json!("old"))
}

fn create(properties: &Value) -> Result<Desired, Box<dyn std::error::Error>> {
    Ok(Desired {
        blueprint: Blueprint::new(Request::parse(properties)?, owner()?)?,
        pinned_principal: CAVATICA.principal.parse()?,
        replaced_role: None,
        old_properties: OldProperties::default(),
        old_blueprint: None,
        is_new: true,
    })
}

fn update(old: &Value, new: &Value) -> Result<Desired, Box<dyn std::error::Error>> {
    let before = Blueprint::new(Request::parse(old)?, owner()?)?;
    let created = create(new)?;
    let from = Some(before.role.clone()).filter(|from| *from != created.blueprint.role);
    Ok(Desired {
        replaced_role: from,
        old_properties: OldProperties::read(old),
        old_blueprint: Some(before),
        is_new: false,
        ..created
    })
}

/// Returns the state that properties made, where they name the role of before.
fn made(old: &Value) -> Result<ObservedState, Box<dyn std::error::Error>> {
    let desired = update(old, old)?;
    let before = &desired.blueprint;
    Ok(ObservedState::expected(before, &desired))
}

/// Returns the plan of an update, as text.
fn steps(new: &Value, observed: &ObservedState) -> Result<String, Box<dyn std::error::Error>> {
    Ok(Plan::to_ensure(&update(&old(), new)?, observed)?.to_string())
}

#[test]
fn an_empty_account_gets_role_and_policy_at_once_then_the_attachment() -> Outcome {
    let plan = Plan::to_ensure(&create(&old())?, &ObservedState::default())?;
    assert_eq!(plan.to_string(), "creating role vol | creating policy vol\nattaching policy vol to role vol\n");
    Ok(())
}

#[test]
fn each_changed_property_costs_the_steps_it_needs_and_no_more() -> Outcome {
    let read_write = json!([{"BucketName": "my-bucket", "AccessMode": "ReadWrite", "Prefix": "raw"}]);
    for (name, value, expected) in [
        ("Release", json!("another"), ""),
        ("Volumes", read_write, "making a new version of policy vol\n"),
        ("ExternalId", json!("other-id"), "setting the trust policy of role vol\n"),
        ("Description", json!("For the lab"), "setting description and session duration of role vol\n"),
        ("MaxSessionDuration", json!("7200"), "setting description and session duration of role vol\n"),
        ("Tags", json!(["team=genomics"]), "tagging role vol | tagging policy vol\n"),
    ] {
        let new = properties(name, value);
        assert_eq!(steps(&new, &made(&old())?)?, expected, "{name}");
        assert_eq!(steps(&new, &made(&new)?)?, "", "{name}: the plan of what was applied is empty");
    }
    Ok(())
}

#[test]
fn update_creates_missing_resources_again() -> Outcome {
    type Loss = fn(&mut ObservedState);
    let table: [(Loss, &str); 3] = [
        (|state| state.attached.clear(), "attaching policy vol to role vol\n"),
        (|state| (state.policy, state.document) = (None, None), "creating policy vol\n"),
        (
            |state| (state.role, state.attached) = (None, Vec::new()),
            "creating role vol\nattaching policy vol to role vol\n",
        ),
    ];
    for (lose, expected) in table {
        let mut observed = made(&old())?;
        lose(&mut observed);
        assert_eq!(steps(&old(), &observed)?, expected);
    }
    Ok(())
}

#[test]
fn a_boundary_that_somebody_changed_is_set_again_before_anything_else() -> Outcome {
    let mut observed = made(&properties("Tags", json!(["old=1"])))?;
    if let Some(role) = &mut observed.role {
        role.boundary = Some(OTHER_BOUNDARY.parse()?);
    }
    let mut new = properties("Tags", json!(["new=2"]));
    new["ExternalId"] = json!("other-id");
    new["Volumes"][0]["Prefix"] = json!("raw");
    let desired = update(&properties("Tags", json!(["old=1"])), &new)?;
    assert_eq!(
        Plan::to_ensure(&desired, &observed)?.to_string(),
        "setting my-volume-Boundary-1A2B3C4D5E6F as boundary of role vol\n\
         setting the trust policy of role vol | making a new version of policy vol\n\
         removing tags from role vol | removing tags from policy vol\n\
         tagging role vol | tagging policy vol\n"
    );
    Ok(())
}

#[test]
fn the_oldest_version_that_is_not_in_force_makes_room() -> Outcome {
    let new = properties("Volumes", json!([{"BucketName": "my-bucket", "Prefix": "raw"}]));
    for (in_force, deleted) in [("v5", "v1"), ("v1", "v2")] {
        let mut observed = made(&old())?;
        let version = |id: &str| Version { id: id.to_owned(), is_default: id == in_force };
        observed.versions = ["v1", "v2", "v3", "v4", "v5"].map(version).to_vec();
        let expected = format!("deleting version {deleted} of policy vol\nmaking a new version of policy vol\n");
        assert_eq!(steps(&new, &observed)?, expected);
    }
    Ok(())
}

#[test]
fn changes_that_no_rollback_could_undo_are_refused_and_their_reverse_is_empty() -> Outcome {
    for (name, value, refusal) in [
        ("PolicyName", json!("other"), "PolicyName was changed from vol to other alone"),
        ("PolicyName", json!("Vol"), "PolicyName was changed from vol to Vol alone"),
        ("RoleName", json!("Vol"), "IAM ignores letter case"),
        ("Path", json!("/labs/"), "names are unique across paths"),
        ("TrustedPrincipalArn", json!(SIBLING), "TrustedPrincipalArn was changed"),
        ("PermissionsBoundaryArn", Value::Null, "PermissionsBoundaryArn was changed"),
        ("PermissionsBoundaryArn", json!(OTHER_BOUNDARY), "to arn:aws:iam::123456789012:policy/cap alone"),
    ] {
        let (new, mut observed) = (properties(name, value), made(&old())?);
        let desired = update(&old(), &new)?;
        if desired.replaced_role.is_some() {
            observed.replaced_role = observed.role.clone();
        }
        let said = Plan::to_ensure(&desired, &observed).map_err(|refusal| refusal.to_string()).err();
        assert!(said.as_ref().is_some_and(|said| said.contains(refusal)), "{name}: {said:?}");
        // The rollback of a refused update comes with the physical ID of before.
        let back = Desired { replaced_role: None, ..update(&new, &old())? };
        assert_eq!(Plan::to_ensure(&back, &made(&old())?)?.to_string(), "", "{name}");
    }
    Ok(())
}

#[test]
fn a_foreign_role_or_policy_is_refused() -> Outcome {
    let ours = made(&old())?;
    let role = ours.role.map(|role| Role { tags: Tags::new(), trust: Value::Null, boundary: None, ..role });
    let policy = ours.policy.map(|policy| Policy { tags: Tags::new(), ..policy });
    let nothing = ObservedState::default();
    for (observed, taken) in [
        (ObservedState { role, ..nothing.clone() }, "Role vol already exists"),
        (ObservedState { policy, ..nothing }, "Policy vol already exists"),
    ] {
        let said = Plan::to_ensure(&create(&old())?, &observed).map_err(|refusal| refusal.to_string()).err();
        assert!(said.as_ref().is_some_and(|said| said.contains(taken) && said.contains("Choose another")), "{said:?}");
    }
    Ok(())
}

#[test]
fn delete_empties_the_role_and_detaches_its_policy_everywhere() -> Outcome {
    let (name, arn, old) = ("vol".parse()?, ROLE.parse::<RoleArn>()?, OldProperties::read(&old()));
    let (policy, state) = (POLICY.parse::<PolicyArn>()?, made(&self::old())?);
    let carrier = |name: &str| PolicyEntity::Role(name.to_owned());
    let entities = vec![carrier("vol"), PolicyEntity::User("ann".to_owned()), PolicyEntity::Group("lab".to_owned())];
    let version = |number: u32| Version { id: format!("v{number}"), is_default: number == 1 };
    let observed_policy: Policy = state.policy.ok_or("no policy")?;
    let role: Role = state.role.ok_or("no role")?;
    let remaining_role = RemainingRole {
        role: Some(role),
        attached: vec![policy.clone(), "arn:aws:iam::aws:policy/ReadOnlyAccess".parse()?],
        inline: vec!["extra".to_owned()],
        policies: vec![RemainingPolicy {
            policy: observed_policy,
            versions: vec![version(1), version(2)],
            entities,
            bounded: Vec::new(),
        }],
        ..RemainingRole::none("vol".parse()?)
    };
    let evidence = Evidence::from(&old);
    let target = RoleToDelete {
        name,
        arn: Some(arn),
        other_role: None,
        path: Default::default(),
        policies: vec!["vol".parse()?],
        evidence,
    };
    let deletion = Deletion { owner: owner()?, role: Some(target), cors_buckets: Vec::new(), is_abandoned: false };
    assert_eq!(
        Plan::to_delete(&deletion, &[remaining_role])?.to_string(),
        "detaching policy vol from role vol | detaching policy ReadOnlyAccess from role vol | \
         deleting inline policy extra of role vol | detaching policy vol from user ann | detaching policy vol from group lab | \
         deleting version v2 of policy vol\n\
         deleting policy vol | deleting role vol\n"
    );
    assert_eq!(Plan::to_delete(&deletion, &[RemainingRole::none("vol".parse()?)])?.to_string(), "");
    Ok(())
}
