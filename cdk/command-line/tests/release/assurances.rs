//! Every sentence of assurance of `deploy`, `destroy` and `status`: the reads behind it, and the test that makes it
//! false.

use cavatica_local::workspace::Workspace;

use crate::publisher::Outcome;

/// Part of the sentence, the reads that have to show it, and the test in this folder in which another hand or a fault
/// makes it false and the sentence is not printed.
const ASSURANCES: &[(&str, &str, &str)] = &[
    (
        "exists in {bucket_region} and belongs to account",
        "GetBucketLocation with ExpectedBucketOwner",
        "a_mistyped_bucket",
    ),
    ("encrypts without a KMS key of yours", "GetBucketEncryption", "sentences_about_a_bucket_name_the_current_bucket"),
    (
        "encrypts with the KMS key that is given",
        "GetBucketEncryption",
        "sentences_about_a_bucket_name_the_current_bucket",
    ),
    ("there are objects under", "ListObjectsV2", "sentences_about_a_bucket_name_the_current_bucket"),
    (
        "{}: {}",
        "the template (GetTemplate) evaluated, and of each role GetRole, ListAttachedRolePolicies, ListRolePolicies, GetRolePolicy; \
         of each policy GetPolicy, ListPolicyVersions, GetPolicyVersion, ListEntitiesForPolicy; of the function \
         GetFunctionConfiguration, GetPolicy, GetFunctionEventInvokeConfig",
        "the_status_tells_each_change_by_hand",
    ),
    (
        "repaired: the function would change nothing in IAM now",
        "the same reads after the update",
        "a_repair_that_does_not_show_is_no_success",
    ),
    ("Nothing was changed{remark}", "DeleteChangeSet, DescribeStacks", "a_change_set_that_stays_is_named"),
    (
        "The change set was withdrawn; this command changed nothing",
        "DeleteChangeSet, DescribeStacks, ListChangeSets",
        "a_refused_execution_withdraws",
    ),
    (
        "The change set was withdrawn; nothing was changed",
        "DeleteChangeSet, DescribeStacks, ListChangeSets",
        "a_signal_at_each_phase",
    ),
    (
        "What the administrator copies into {}",
        "DescribeStackEvents with the operation's token, DescribeStacks later than it",
        "outputs_of_before_are_not_printed",
    ),
    ("CloudFormation knows no stack", "DescribeStacks", "an_explicit_profile_alone_decides_the_account"),
    (
        "{part} is gone",
        "after DELETE_COMPLETE with the operation's token: GetRole, GetPolicy, GetFunctionConfiguration, DescribeLogGroups, \
         GetBucketLocation, GetBucketCors",
        "a_part_that_is_left_is_named",
    ),
    ("bucket {bucket} is gone", "DeleteBucket", "destroy_assets_deletes_the_code_bucket_with_the_last_stack_only"),
    ("stays, for stack", "ListStacks", "destroy_assets_deletes_the_code_bucket_with_the_last_stack_only"),
    (
        "The role is gone, so {platform} cannot use the bucket",
        "GetRole",
        "a_failed_deletion_says_that_the_role_is_open",
    ),
    ("The role still exists, so {platform} can still use", "GetRole", "a_failed_deletion_says_that_the_role_is_open"),
    ("The function is gone, so CloudFormation alone", "GetFunctionConfiguration", "a_failed_deletion_says"),
    ("answered that volume {} {verb}", "POST or GET /storage/volumes", "unusable_tokens_and_names_are_named"),
    ("answered that {} may {}", "POST /storage/volumes/ID/members", "unusable_tokens_and_names_are_named"),
    ("lists the volume{with}{content}", "GET /storage/volumes/ID/list", "a_role_that_changed_since_is_explained"),
    ("answered that volume {} does not exist any more", "GET /storage/volumes/ID", "a_volume_is_attached_once_checked"),
];

/// Beginnings of assurances in the source.
const MARKERS: [&str; 3] = ["checked(&format!(", "checked(&\"", "Fine(format!("];

#[test]
fn every_assurance_has_its_reads_and_a_test_that_falsifies_it() -> Outcome {
    let root = Workspace::locate()?.root.join("cdk/command-line");
    let read = |names: &[&str]| -> Result<String, std::io::Error> {
        names.iter().map(|name| std::fs::read_to_string(root.join(name))).collect()
    };
    // Literals that go on in the next line are one line here.
    let in_one_line = |text: String| {
        let text = text.replace("\\\n", " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let source = in_one_line(read(&[
        "src/commands/deploy.rs",
        "src/commands/deploy/unchanged.rs",
        "src/commands/destroy.rs",
        "src/commands/attach.rs",
        "src/commands/detach.rs",
        "src/commands/volume_api.rs",
        "src/operation/inspection.rs",
        "src/operation/outputs.rs",
        "src/operation/clients.rs",
        "src/operation/change.rs",
        "src/deploy/preflight.rs",
    ])?);
    let tests = read(&[
        "tests/release/attachment.rs",
        "tests/release/bucket_and_code.rs",
        "tests/release/connection.rs",
        "tests/release/deploy.rs",
        "tests/release/destroy.rs",
        "tests/release/following.rs",
        "tests/release/interruption.rs",
        "tests/release/status.rs",
    ])?;
    for (sentence, reads, test) in ASSURANCES {
        assert!(source.contains(sentence), "nobody prints \"{sentence}\" any more");
        assert!(!reads.is_empty());
        assert!(tests.contains(&format!("async fn {test}")), "no test {test} for \"{sentence}\"");
    }
    for marker in MARKERS {
        for (at, _) in source.match_indices(marker) {
            let after = source[at + marker.len()..].trim_start_matches([' ', '"']);
            let literal = after.split('"').next().unwrap_or_default();
            assert!(
                ASSURANCES.iter().any(|(sentence, ..)| literal.contains(sentence)),
                "\"{literal}\" has no row in the table"
            );
        }
    }
    Ok(())
}
