//! Decisions as tables: (account, desired state) → changes, one line for each stage.

mod support;

use cavatica_access::owner::{self, Tags};
use cavatica_access::port::{Change, PolicyEntity};
use cavatica_memory::{foreign_policy, foreign_role};
use serde_json::json;
use support::*;

const DELETE: &str = "detaching policy vol from role vol\ndeleting policy vol | deleting role vol\n";

#[tokio::test]
async fn create_refuses_a_foreign_role_and_delete_keeps_it() -> Outcome {
    let bench = Bench::new()?;
    bench.account.by_hand(&foreign_role(role_arn("VOL").parse()?))?;
    bench.account.by_hand(&foreign_policy(policy_arn("vol")?))?;
    let before = bench.account.snapshot();
    let said = bench.plan(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("Role VOL already exists") && said.contains("Choose another RoleName"), "{said}");
    assert_eq!(bench.plan_removal(&delete("vol")?).await?, "");
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn a_rename_builds_the_new_role_and_its_clean_up_removes_the_old_one() -> Outcome {
    let bench = Bench::new()?;
    let (old, new) = (properties("vol"), properties("new"));
    bench.ensure(&create(&old)?).await?;
    let desired = update(&role_arn("vol"), &old, &new)?;
    assert_eq!(
        bench.plan(&desired).await?,
        "creating role new | creating policy new\nattaching policy new to role new\n"
    );
    bench.ensure(&desired).await?;
    assert_eq!(bench.plan_removal(&delete("vol")?).await?, DELETE);
    bench.delete(&delete("vol")?).await?;
    // The note that it replaced "vol" goes with the next update.
    let again = update(&role_arn("new"), &new, &new)?;
    assert_eq!(bench.plan(&again).await?, "tagging role new\n");
    bench.ensure(&again).await?;
    assert_eq!(bench.plan(&again).await?, "");
    Ok(())
}

#[tokio::test]
async fn a_policy_that_keeps_its_name_moves_and_survives_the_old_roles_clean_up() -> Outcome {
    let bench = Bench::new()?;
    let old = with(properties("vol"), "PolicyName", json!("shared"));
    let new = with(properties("new"), "PolicyName", json!("shared"));
    bench.ensure(&create(&old)?).await?;
    let desired = update(&role_arn("vol"), &old, &new)?;
    assert_eq!(
        bench.plan(&desired).await?,
        "creating role new | tagging policy shared\nattaching policy shared to role new\n"
    );
    bench.ensure(&desired).await?;
    assert_eq!(
        bench.plan_removal(&delete("vol")?).await?,
        "detaching policy shared from role vol\ndeleting role vol\n"
    );
    Ok(())
}

#[tokio::test]
async fn a_clean_up_that_never_came_is_finished_by_the_next_update_or_delete() -> Outcome {
    let (old, new) = (properties("vol"), properties("new"));
    for finish in ["update", "delete"] {
        let bench = Bench::new()?;
        let before = bench.account.snapshot();
        bench.ensure(&create(&old)?).await?;
        bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
        if finish == "update" {
            let again = update(&role_arn("new"), &new, &new)?;
            // Nothing but the role's tags leads to the policy once it is not in use any more: the role goes last.
            let one_after_the_other = DELETE.replace(" | ", "\n");
            assert_eq!(bench.plan(&again).await?, format!("{one_after_the_other}tagging role new\n"));
            bench.ensure(&again).await?;
            assert_eq!(bench.plan_removal(&delete("vol")?).await?, "");
        }
        bench.delete(&delete("new")?).await?;
        assert_eq!(bench.account.snapshot(), before, "{finish}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rename_that_is_rolled_back_leaves_the_first_role_alone_in_use() -> Outcome {
    let bench = Bench::new()?;
    let (old, new) = (properties("vol"), properties("new"));
    bench.ensure(&create(&old)?).await?;
    let before = bench.account.snapshot();
    bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
    let back = update(&role_arn("new"), &new, &old)?;
    assert_eq!(bench.plan(&back).await?, "tagging role vol\n");
    bench.ensure(&back).await?;
    bench.delete(&delete("new")?).await?;
    bench.ensure(&update(&role_arn("vol"), &old, &old)?).await?;
    // The generation is all that tells the accounts apart.
    bench.account.set_role_tags_by_hand(&"vol".parse()?, create(&old)?.blueprint.role_tags());
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn a_failed_rename_is_cleaned_up_by_its_reverse_but_for_a_policy_that_kept_its_name() -> Outcome {
    let own = (properties("vol"), properties("new"));
    let named = |role| with(properties(role), "PolicyName", json!("shared"));
    let shared = (named("vol"), named("new"));
    for ((old, new), steps) in [
        (
            own,
            "tagging role vol\ndetaching policy new from role new\ndeleting policy new\ndeleting role new\ntagging role vol\n",
        ),
        (
            shared,
            "tagging policy shared\ntagging role vol\ndetaching policy shared from role new\ndeleting role new\ntagging role vol\n",
        ),
    ] {
        let bench = Bench::new()?;
        bench.ensure(&create(&old)?).await?;
        let before = bench.account.snapshot();
        bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
        // CloudFormation kept the old physical ID: no Delete will come for the new one.
        let back = update(&role_arn("vol"), &new, &old)?;
        assert_eq!(bench.plan(&back).await?, steps);
        bench.ensure(&back).await?;
        bench.account.set_role_tags_by_hand(&"vol".parse()?, create(&old)?.blueprint.role_tags());
        assert_eq!(bench.account.snapshot(), before, "but for the generation");
    }
    Ok(())
}

/// A boundary of the organisation, not of the stack.
const ORGANISATION: &str = "arn:aws:iam::123456789012:policy/OrganisationBoundary";

/// Returns a bench with a role under each kind of boundary, and the properties that made it.
async fn under_boundary(boundary: &str) -> Result<(Bench, serde_json::Value), Box<dyn std::error::Error>> {
    let bench = Bench::new()?;
    if boundary != BOUNDARY {
        bench.account.by_hand(&cavatica_memory::wide_boundary(boundary.parse()?))?;
    }
    let properties = with(properties("vol"), "PermissionsBoundaryArn", json!(boundary));
    bench.ensure(&create(&properties)?).await?;
    Ok((bench, properties))
}

/// Returns a Delete that took the role for a foreign one would answer SUCCESS while Cavatica keeps its access.
#[tokio::test]
async fn delete_and_update_refuse_a_role_of_ours_without_tags() -> Outcome {
    let owner_tags = owner()?.tags();
    let only =
        |key: &str| owner_tags.iter().filter(|(name, _)| *name == key).map(|(k, v)| (k.clone(), v.clone())).collect();
    for boundary in [BOUNDARY, ORGANISATION] {
        for left in [Tags::new(), only(owner::STACK), only(owner::RESOURCE)] {
            for is_policy_stripped in [false, true] {
                let (bench, properties) = under_boundary(boundary).await?;
                bench.account.set_role_tags_by_hand(&"vol".parse()?, left.clone());
                if is_policy_stripped {
                    bench.account.set_policy_tags_by_hand(&policy_arn("vol")?, Tags::new());
                }
                let before = bench.account.snapshot();
                let same = update(&role_arn("vol"), &properties, &properties)?;
                let refused = [bench.delete(&delete_of(&properties)?).await.err(), bench.ensure(&same).await.err()];
                for said in refused.map(|refusal| refusal.map(|it| it.to_string()).unwrap_or_default()) {
                    let command = format!("`aws iam tag-role --role-name vol --tags Key={}", owner::RESOURCE);
                    assert!(
                        said.contains(&command) && said.contains("retain VolumeAccess"),
                        "{boundary} {left:?}: {said}"
                    );
                    assert!(!said.contains("lab-1234"), "the external ID is a secret: {said}");
                }
                assert_eq!(bench.account.snapshot(), before, "{boundary} {left:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn delete_keeps_a_role_that_only_resembles_ours() -> Outcome {
    let other_stack = STACK.replace("5e1b8ce0-1111", "5e1b8ce0-2222");
    type Change = fn(&mut serde_json::Value);
    let properties_of_others: [(&str, Change); 3] = [
        ("another external ID", |it| it["ExternalId"] = json!("lab-9999")),
        ("no external ID", |it| it["ExternalId"] = serde_json::Value::Null),
        ("another boundary", |it| it["PermissionsBoundaryArn"] = json!("arn:aws:iam::123456789012:policy/Other")),
    ];
    for (difference, change) in properties_of_others {
        let (bench, mut properties) = under_boundary(ORGANISATION).await?;
        bench.account.set_role_tags_by_hand(&"vol".parse()?, Tags::new());
        change(&mut properties);
        // The policy that the stack made for the role tells all the same.
        let said = bench.delete(&delete_of(&properties)?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
        assert!(said.contains("carries the policy that this stack made for it"), "{difference}: {said}");
        bench.account.set_policy_tags_by_hand(&policy_arn("vol")?, Tags::new());
        if properties["ExternalId"].is_null() {
            properties.as_object_mut().map(|it| it.remove("ExternalId"));
        }
        assert_eq!(bench.delete(&delete_of(&properties)?).await?.notes.len(), 1, "{difference}");
        assert!(bench.account.read(|state| state.role_named("vol").is_some()), "{difference}");
    }
    for (key, value) in [(owner::STACK, other_stack.as_str()), (owner::RESOURCE, "OtherVolume")] {
        let (bench, properties) = under_boundary(ORGANISATION).await?;
        let mut tags = owner()?.tags();
        tags.insert(key.to_owned(), value.to_owned());
        bench.account.set_role_tags_by_hand(&"vol".parse()?, tags);
        assert_eq!(bench.delete(&delete_of(&properties)?).await?.notes.len(), 1, "{key}");
    }
    Ok(())
}

/// Returns an administrator who followed the manual first may have used the same names and the same external ID.
#[tokio::test]
async fn create_refuses_a_role_that_was_made_by_hand_as_foreign() -> Outcome {
    let (bench, properties) = under_boundary(ORGANISATION).await?;
    bench.account.set_role_tags_by_hand(&"vol".parse()?, Tags::new());
    let refused = bench.ensure(&create(&properties)?).await.err();
    assert!(refused.as_ref().is_some_and(cavatica_access::refusal::Refusal::is_foreign_role), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn delete_refuses_a_policy_without_tags_on_a_role_of_ours() -> Outcome {
    for boundary in [BOUNDARY, ORGANISATION] {
        for policy_name in ["vol", "vol-policy"] {
            let (bench, mut properties) = under_boundary(boundary).await?;
            bench.delete(&delete_of(&properties)?).await?;
            properties["PolicyName"] = json!(policy_name);
            bench.ensure(&create(&properties)?).await?;
            bench.account.set_policy_tags_by_hand(&policy_arn(policy_name)?, Tags::new());
            let before = bench.account.snapshot();
            let said =
                bench.delete(&delete_of(&properties)?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
            let command = format!("`aws iam tag-policy --policy-arn {}", policy_arn(policy_name)?);
            assert!(said.contains(&command) && said.contains(owner::ROLE), "{said}");
            assert_eq!(bench.account.snapshot(), before);
            bench
                .account
                .set_policy_tags_by_hand(&policy_arn(policy_name)?, create(&properties)?.blueprint.policy_tags());
            bench.delete(&delete_of(&properties)?).await?;
            assert!(
                bench
                    .account
                    .read(|state| state.policy_tags(&policy_arn(policy_name).ok()?).is_none().then_some(()))
                    .is_some()
            );
        }
    }
    Ok(())
}

/// Returns a policy that another side made under the wanted name while the role was created: the role's Delete leaves
/// it.
#[tokio::test]
async fn delete_keeps_a_policy_that_is_not_attached() -> Outcome {
    let (bench, properties) = under_boundary(ORGANISATION).await?;
    bench.account.set_policy_tags_by_hand(&policy_arn("vol")?, Tags::new());
    bench.account.by_hand(&Change::Detach { from: PolicyEntity::Role("vol".to_owned()), arn: policy_arn("vol")? })?;
    bench.delete(&delete_of(&properties)?).await?;
    assert!(bench.account.read(|state| state.role_named("vol").is_none()));
    Ok(())
}

#[tokio::test]
async fn a_policy_that_lost_its_tags_but_serves_our_role_says_how_to_tag_it() -> Outcome {
    let bench = Bench::new()?;
    bench.ensure(&create(&properties("vol"))?).await?;
    bench.account.set_policy_tags_by_hand(&policy_arn("vol")?, Tags::new());
    let same = update(&role_arn("vol"), &properties("vol"), &properties("vol"))?;
    let said = bench.ensure(&same).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("aws iam tag-policy --policy-arn") && said.contains(owner::STACK), "{said}");
    Ok(())
}

#[tokio::test]
async fn delete_names_an_obstacle_with_the_command_that_removes_it() -> Outcome {
    let bench = Bench::new()?;
    bench.ensure(&create(&properties("vol"))?).await?;
    bench.account.set_instance_profile_by_hand("web", &"vol".parse()?, true);
    let before = bench.account.snapshot();
    let said = bench.delete(&delete("vol")?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(
        said.contains("aws iam remove-role-from-instance-profile --instance-profile-name web --role-name vol"),
        "{said}"
    );
    assert_eq!(bench.account.snapshot(), before);

    bench.account.set_instance_profile_by_hand("web", &"vol".parse()?, false);
    bench.account.by_hand(&foreign_role(role_arn("other").parse()?))?;
    bench.account.by_hand(&Change::PutBoundary { role: "other".parse()?, boundary: policy_arn("vol")? })?;
    let said = bench.delete(&delete("vol")?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("aws iam delete-role-permissions-boundary --role-name other"), "{said}");
    Ok(())
}

#[tokio::test]
async fn only_the_pinned_principal_is_ever_trusted() -> Outcome {
    let bench = Bench::new()?;
    let before = bench.account.snapshot();
    let mut desired = create(&properties("vol"))?;
    desired.pinned_principal = "arn:aws:iam::999999999999:role/sibling".parse()?;
    let said = bench.ensure(&desired).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("deployed to trust arn:aws:iam::999999999999:role/sibling and nobody else"), "{said}");
    assert_eq!(bench.account.snapshot(), before);
    Ok(())
}

#[tokio::test]
async fn another_stack_of_the_same_name_elsewhere_keeps_its_role() -> Outcome {
    let bench = Bench::new()?;
    bench.ensure(&create(&properties("vol"))?).await?;
    // The same stack name in another region: its boundary is named alike, its tags are not ours.
    let mut tags = create(&properties("vol"))?.blueprint.role_tags();
    tags.insert(owner::STACK.to_owned(), STACK.replace("us-east-1", "us-west-2"));
    bench.account.set_role_tags_by_hand(&"vol".parse()?, tags);
    let said = bench.ensure(&create(&properties("vol"))?).await.map_err(|e| e.to_string()).err().unwrap_or_default();
    assert!(said.contains("it belongs to the stack arn:aws:cloudformation:us-west-2"), "{said}");
    let done = bench.delete(&delete("vol")?).await?;
    assert!(done.notes.iter().any(|note| note.contains("role vol") && note.contains("left alone")), "{done:?}");
    assert!(!done.applied.contains(&"deleting role vol".to_owned()), "{done:?}");
    Ok(())
}

#[tokio::test]
async fn an_obstacle_to_deleting_an_older_role_stops_no_update() -> Outcome {
    let bench = Bench::new()?;
    let empty = bench.account.snapshot();
    let (old, new) = (properties("vol"), properties("new"));
    bench.ensure(&create(&old)?).await?;
    bench.account.set_instance_profile_by_hand("web", &"vol".parse()?, true);
    bench.ensure(&update(&role_arn("vol"), &old, &new)?).await?;
    assert!(bench.delete(&delete("vol")?).await.is_err());
    let changed = with(new.clone(), "Description", json!("changed"));
    let done = bench.ensure(&update(&role_arn("new"), &new, &changed)?).await?;
    assert!(
        done.notes.iter().any(|note| note.contains("older role vol") && note.contains("instance profile web")),
        "{done:?}"
    );
    // Once it is out of the way the next update takes it up again.
    bench.account.set_instance_profile_by_hand("web", &"vol".parse()?, false);
    bench.ensure(&update(&role_arn("new"), &changed, &changed)?).await?;
    assert_eq!(bench.plan_removal(&delete("vol")?).await?, "");
    bench.delete(&delete("new")?).await?;
    assert_eq!(bench.account.snapshot(), empty);
    Ok(())
}

#[tokio::test]
async fn three_renames_in_a_circle_never_remove_the_role_in_use() -> Outcome {
    let bench = Bench::new()?;
    let empty = bench.account.snapshot();
    let named = |name: &str| properties(name);
    bench.ensure(&create(&named("a"))?).await?;
    // Both clean-ups fail, then the first name is taken again.
    bench.ensure(&update(&role_arn("a"), &named("a"), &named("b"))?).await?;
    bench.ensure(&update(&role_arn("b"), &named("b"), &named("c"))?).await?;
    bench.ensure(&update(&role_arn("c"), &named("c"), &named("a"))?).await?;
    bench.delete(&delete("c")?).await?;
    assert_eq!(bench.plan_removal(&delete("b")?).await?, "", "c replaced b");
    assert_ne!(bench.plan_removal(&delete("a")?).await?, "", "a is in use");
    bench.delete(&delete("a")?).await?;
    assert_eq!(bench.account.snapshot(), empty);
    Ok(())
}

#[tokio::test]
async fn an_older_role_is_remembered_when_a_later_rename_is_rolled_back() -> Outcome {
    let bench = Bench::new()?;
    let empty = bench.account.snapshot();
    let named = |name: &str| properties(name);
    bench.ensure(&create(&named("a"))?).await?;
    bench.ensure(&update(&role_arn("a"), &named("a"), &named("b"))?).await?;
    // The clean-up of a failed. Now a rename of b is rolled back by a sibling.
    bench.ensure(&update(&role_arn("b"), &named("b"), &named("c"))?).await?;
    bench.ensure(&update(&role_arn("c"), &named("c"), &named("b"))?).await?;
    bench.delete(&delete("c")?).await?;
    bench.delete(&delete("b")?).await?;
    assert_eq!(bench.account.snapshot(), empty, "a is gone too");
    Ok(())
}

#[tokio::test]
async fn a_delete_under_another_path_means_another_role() -> Outcome {
    let bench = Bench::new()?;
    bench.ensure(&create(&properties("vol"))?).await?;
    let mut deletion = delete("vol")?;
    if let Some(target) = &mut deletion.role {
        target.arn = Some("arn:aws:iam::123456789012:role/x/vol".parse()?);
    }
    assert_eq!(bench.plan_removal(&deletion).await?, "");
    Ok(())
}
