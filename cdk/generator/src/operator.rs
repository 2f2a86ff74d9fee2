//! The rights of whoever creates, updates and deletes the stack, as a policy document ready to attach.
//!
//! CloudFormation makes the stack's resources with the rights of whoever asks it to. What it calls for each resource
//! type is in that type's schema, under `handlers`; a test compares this document with them, action by action. The
//! volume role can only be looked at where the function makes it: the function has the rights to change it.

use cavatica_access::document::{Document, Statement};
use cavatica_access::platform::Platform;

/// Longest part of a stack's name that the names of all its resources have: CloudFormation cuts it where they are
/// limited.
const KEPT: usize = 24;

/// Resources of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Stack,
    Everything,
    PublishedObjects,
    /// Bucket of CloudFormation's console for uploaded templates.
    UploadedTemplates,
    Role,
    Policy,
    Function,
    LogGroup,
    Volume,
    Buckets,
}

/// Which of the two templates a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Both,
    ByFunction,
    Native,
}

/// Caller of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The operator too.
    Anyone,
    /// CloudFormation alone, for a stack operation of the operator. Source: IAM, "AWS global condition context keys",
    /// `aws:CalledVia`.
    CloudFormation,
    /// Caller that passes the role to Lambda.
    Passing,
}

/// Every statement: its ID, which template it is for, what it is about, who may make the calls, and the actions.
const RIGHTS: &[(&str, For, On, By, &[&str])] = &[
    (
        "RunTheStack",
        For::Both,
        On::Stack,
        By::Anyone,
        &[
            "cloudformation:CreateStack",
            "cloudformation:UpdateStack",
            "cloudformation:DeleteStack",
            "cloudformation:CancelUpdateStack",
            "cloudformation:ContinueUpdateRollback",
            "cloudformation:CreateChangeSet",
            "cloudformation:DescribeChangeSet",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:ListChangeSets",
            "cloudformation:DescribeStacks",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStackResource",
            "cloudformation:DescribeStackResources",
            "cloudformation:DetectStackDrift",
            "cloudformation:DetectStackResourceDrift",
            "cloudformation:DescribeStackResourceDrifts",
            "cloudformation:ListStackResources",
            "cloudformation:GetTemplate",
        ],
    ),
    (
        "ReadTemplatesBeforeThereIsAStack",
        For::Both,
        On::Everything,
        By::Anyone,
        &[
            "cloudformation:GetTemplateSummary",
            "cloudformation:ValidateTemplate",
            "cloudformation:CreateUploadBucket",
            "cloudformation:DescribeStackDriftDetectionStatus",
        ],
    ),
    ("UploadTemplatesInTheConsole", For::Both, On::UploadedTemplates, By::Anyone, &["s3:PutObject", "s3:GetObject"]),
    // For the command line: findings of hooks and validations, other stacks, the account's alias, and whose a bucket
    // is.
    (
        "ReadFindingsAndOtherStacks",
        For::Both,
        On::Everything,
        By::Anyone,
        &[
            "cloudformation:GetHookResult",
            "cloudformation:DescribeEvents",
            "cloudformation:ListStacks",
            "iam:ListAccountAliases",
            "s3:ListAllMyBuckets",
        ],
    ),
    ("FetchTemplateAndCode", For::Both, On::PublishedObjects, By::Anyone, &["s3:GetObject", "s3:GetObjectVersion"]),
    (
        "MakeTheRole",
        For::Both,
        On::Role,
        By::CloudFormation,
        &[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
            "iam:UpdateAssumeRolePolicy",
            "iam:PutRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:DeleteRolePermissionsBoundary",
            "iam:TagRole",
            "iam:UntagRole",
        ],
    ),
    (
        "LookAtTheRole",
        For::Both,
        On::Role,
        By::Anyone,
        &[
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListRolePolicies",
            "iam:ListAttachedRolePolicies",
            "iam:ListRoleTags",
        ],
    ),
    ("AttachThePolicy", For::Native, On::Role, By::CloudFormation, &["iam:AttachRolePolicy"]),
    (
        "MakeThePolicy",
        For::Both,
        On::Policy,
        By::CloudFormation,
        &["iam:CreatePolicy", "iam:DeletePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicyVersion"],
    ),
    (
        "LookAtThePolicy",
        For::Both,
        On::Policy,
        By::Anyone,
        &["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions", "iam:ListEntitiesForPolicy"],
    ),
    ("GiveTheFunctionItsRole", For::ByFunction, On::Role, By::Passing, &["iam:PassRole"]),
    (
        "MakeAndInvokeTheFunction",
        For::ByFunction,
        On::Function,
        By::Anyone,
        &[
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:GetFunction",
            "lambda:GetFunctionConfiguration",
            "lambda:GetPolicy",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:InvokeFunction",
            "lambda:PutFunctionEventInvokeConfig",
            "lambda:GetFunctionEventInvokeConfig",
            "lambda:UpdateFunctionEventInvokeConfig",
            "lambda:DeleteFunctionEventInvokeConfig",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:GetFunctionScalingConfig",
            "lambda:GetRuntimeManagementConfig",
            "lambda:TagResource",
            "lambda:UntagResource",
            "lambda:ListTags",
        ],
    ),
    (
        "MakeAndReadItsLog",
        For::ByFunction,
        On::LogGroup,
        By::Anyone,
        &[
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
            "logs:DeleteRetentionPolicy",
            "logs:GetDataProtectionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
            "logs:ListTagsForResource",
            "logs:DescribeLogStreams",
            "logs:FilterLogEvents",
            "logs:GetLogEvents",
        ],
    ),
    // For the command line: `status` and `destroy` look at what the function makes, and neither changes it.
    (
        "LookAtTheVolumeRole",
        For::ByFunction,
        On::Volume,
        By::Anyone,
        &[
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListRolePolicies",
            "iam:ListAttachedRolePolicies",
            "iam:ListInstanceProfilesForRole",
            "iam:SimulatePrincipalPolicy",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:ListPolicyVersions",
            "iam:ListEntitiesForPolicy",
        ],
    ),
    (
        "LookAtBuckets",
        For::Both,
        On::Buckets,
        By::Anyone,
        &["s3:GetBucketLocation", "s3:GetEncryptionConfiguration", "s3:GetBucketCORS", "s3:ListBucket"],
    ),
    // CloudWatch Logs takes no single log group for these.
    (
        "FindTheLogGroup",
        For::ByFunction,
        On::Everything,
        By::Anyone,
        &["logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:DescribeIndexPolicies"],
    ),
];

/// Returns the rights for stacks whose names begin like this, of the template with the function or the native one.
#[must_use]
pub fn policy(platform: &Platform, stack_name: &str, is_native: bool) -> Document {
    let is_for = |which: For| match which {
        For::Both => true,
        For::ByFunction => !is_native,
        For::Native => is_native,
    };
    let rights = RIGHTS.iter().filter(|(_, which, ..)| is_for(*which));
    let statement = |(sid, _, on, by, actions): &(&'static str, For, On, By, &[&'static str])| {
        let statement = Statement::allow(*sid, actions, resources(platform, *on, stack_name, is_native));
        match by {
            By::Anyone => statement,
            By::CloudFormation => {
                let service = "cloudformation.amazonaws.com".to_owned();
                statement.only_if("ForAnyValue:StringEquals", "aws:CalledVia", service)
            }
            By::Passing => statement.only_if("StringEquals", "iam:PassedToService", "lambda.amazonaws.com".to_owned()),
        }
    };
    Document::new(rights.map(statement).collect())
}

fn resources(platform: &Platform, on: On, stack_name: &str, is_native: bool) -> Vec<String> {
    // Beginning of the names of volume role and policy, unless others are asked for.
    let volume = format!("{}-", platform.stack_name());
    let kept: String = stack_name.chars().take(KEPT).collect();
    // With the function, CloudFormation makes one role and one policy, and both have their logical ID in the name: the
    // volume role, whose name may begin like the stack's, is not among them.
    let in_iam = |kind: &str, logical_id: &str| {
        let of_stack = format!("arn:aws:iam::*:{kind}/{kept}*");
        let of_volume = format!("arn:aws:iam::*:{kind}/{volume}*");
        match is_native {
            false => vec![format!("{of_stack}-{logical_id}-*")],
            true if volume.starts_with(&kept) => vec![of_stack],
            true => vec![of_stack, of_volume],
        }
    };
    match on {
        On::Stack => vec![format!("arn:aws:cloudformation:*:*:stack/{stack_name}*/*")],
        On::Everything => vec!["*".to_owned()],
        On::PublishedObjects => {
            let template = format!("arn:aws:s3:::*/{}*.template.*", platform.stack_name());
            let code = "arn:aws:s3:::*/cavatica-connect/*".to_owned();
            if is_native { vec![template] } else { vec![template, code] }
        }
        On::UploadedTemplates => vec!["arn:aws:s3:::cf-templates-*/*".to_owned()],
        On::Volume => ["role", "policy"].map(|kind| format!("arn:aws:iam::*:{kind}/{volume}*")).to_vec(),
        On::Buckets => vec!["arn:aws:s3:::*".to_owned()],
        On::Role => in_iam("role", "ProviderRole"),
        On::Policy => in_iam("policy", "Boundary"),
        On::Function => vec![format!("arn:aws:lambda:*:*:function:{kept}*")],
        On::LogGroup => vec![format!("arn:aws:logs:*:*:log-group:{kept}*")],
    }
}

#[cfg(test)]
mod tests {
    use cavatica_access::limits;
    use cavatica_access::platform::CAVATICA;

    use super::*;

    #[test]
    fn both_fit_a_managed_policy_and_name_no_service_that_their_template_does_not_use() {
        for is_native in [false, true] {
            let text = policy(&CAVATICA, &"s".repeat(128), is_native).to_json();
            assert!(text.len() <= limits::MANAGED_POLICY, "{}", text.len());
            assert_eq!(text.contains("lambda:") || text.contains("logs:"), !is_native, "{text}");
        }
    }

    #[test]
    fn the_native_templates_own_names_are_in_it_whatever_the_stack_is_called() {
        let text = policy(&CAVATICA, "lab", true).to_json();
        assert!(text.contains("role/lab*") && text.contains("policy/cavatica-volume-*"), "{text}");
        assert!(!policy(&CAVATICA, "cavatica-volume", true).to_json().contains("cavatica-volume-*"));
    }

    /// By these an operator could open the bucket to somebody else: by another trust policy of the volume role.
    #[test]
    fn no_operator_changes_the_functions_role_or_calls_iam_alone() {
        for (stack, is_native) in [("cavatica-volume", false), ("lab", false), ("cavatica-volume", true)] {
            let document = policy(&CAVATICA, stack, is_native);
            let is_write = |action: &&str| {
                action.starts_with("iam:")
                    && *action != "iam:PassRole"
                    && !["Get", "List", "Simulate"].iter().any(|verb| action[4..].starts_with(verb))
            };
            let writes = document.statements().iter().filter(|it| it.action.iter().any(is_write));
            for statement in writes {
                let keys: Vec<_> = statement.condition.iter().map(|condition| condition.key).collect();
                assert_eq!(keys, ["aws:CalledVia"], "{:?}", statement.sid);
                let names = ["-ProviderRole-*", "-Boundary-*"];
                let is_narrow = |resource: &String| names.iter().any(|name| resource.ends_with(name));
                assert!(is_native || statement.resource.iter().all(is_narrow), "{:?}", statement.resource);
            }
        }
    }

    #[test]
    fn the_provider_role_is_readable_and_unchangeable_under_any_stack_name() {
        let document = policy(&CAVATICA, "lab", false);
        let on_volume = |it: &&Statement| it.resource.iter().any(|resource| resource.contains("cavatica-volume-"));
        let actions: Vec<_> = document.statements().iter().filter(on_volume).flat_map(|it| it.action.iter()).collect();
        assert!(actions.contains(&&"iam:GetRole"), "{actions:?}");
        let only_reads = |action: &&&str| ["Get", "List", "Simulate"].iter().any(|verb| action[4..].starts_with(verb));
        assert!(actions.iter().all(only_reads), "{actions:?}");
    }
}
