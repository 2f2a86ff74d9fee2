//! Outputs of the stacks.

use cavatica_access::permissions;
use cavatica_access::platform::Platform;
use cavatica_access::volume::AccessMode;

use super::values::{TemplateCondition, stack_uuid};
use crate::cfn::{Expr as E, Output};

/// Expressions of the created resources.
pub(super) struct Made {
    pub(super) role_arn: E,
    pub(super) role_name: E,
    pub(super) policy_arn: E,
    pub(super) external_id: E,
    /// The release of the function that made it, which also tells what it found.
    pub(super) release: Option<E>,
}

impl Made {
    /// By the custom resource.
    pub(super) fn by_function(release: E) -> Self {
        let attribute = |name| E::GetAtt("VolumeAccess", name);
        Self {
            role_arn: attribute("RoleArn"),
            role_name: attribute("RoleName"),
            policy_arn: attribute("PolicyArn"),
            external_id: attribute("ExternalId"),
            release: Some(release),
        }
    }

    pub(super) fn outputs(&self, platform: &Platform) -> Vec<Output> {
        let output = |name, description: &str, value| Output {
            name,
            description: description.to_owned(),
            condition: None,
            value,
        };
        let prefix = E::when(TemplateCondition::HasPrefix, E::sub("${Prefix}/"), "".into());
        let grants = E::Sub("${AccessMode} on s3://${BucketName}/${Folder}".to_owned(), vec![("Folder", prefix)]);
        let mut outputs = vec![
            // First, so that a mistyped parameter, which the AWS CLI ignores, is seen.
            output("Grants", "What {platform} may do, and where.", grants),
            output("RoleArn", "Paste into {platform} as Role ARN.", self.role_arn.clone()),
            Output {
                condition: Some(TemplateCondition::HasExternalId.into()),
                ..output("ExternalId", "Paste into {platform} as External ID.", self.external_id.clone())
            },
            output("PolicyArn", "The policy that says what {platform} may do.", self.policy_arn.clone()),
            output("RoleName", "The role that {platform} assumes.", self.role_name.clone()),
            output(
                "CreateVolumeRequest",
                "The same for {platform}'s API: the body of POST {api}/storage/volumes.",
                self.create_volume_request(),
            ),
            Output {
                condition: Some(TemplateCondition::HasKmsKey.into()),
                ..output(
                    "KeyPolicyStatement",
                    "To add to the KMS key's policy, unless that leaves permissions to IAM as a key's first policy does.",
                    self.key_policy_statement(platform),
                )
            },
            output("NextSteps", "What to do now, and before deleting this stack.", self.next_steps()),
        ];
        if let Some(release) = &self.release {
            outputs.extend([
                output(
                    "Findings",
                    "What may keep {platform} from using the bucket, as far as this can be checked.",
                    E::GetAtt("VolumeAccess", "Findings"),
                ),
                output("Release", "The code that made the role.", release.clone()),
            ]);
        }
        outputs
    }

    /// Returns the body that attaches the volume. Cavatica takes no hyphens in a volume's name, so it is made from the
    /// stack's ID.
    fn create_volume_request(&self) -> E {
        let body = concat!(
            r#"{"name":"volume_${Id}","description":"s3://${BucketName}/${Prefix}","access_mode":"${Mode}","#,
            r#""service":{"type":"s3","bucket":"${BucketName}","prefix":"${Prefix}","endpoint":"s3.amazonaws.com","#,
            r#""credentials":{"role_arn":"${RoleArn}"${ExternalIdField}},"#,
            r#""properties":{"sse_algorithm":${Encryption}}}}"#,
        );
        let external_id = E::Sub(r#","external_id":"${Given}""#.to_owned(), vec![("Given", self.external_id.clone())]);
        let kms = E::sub(r#""aws:kms","sse_aws_kms_key_id":"${KmsKeyArn}""#);
        E::Sub(
            body.to_owned(),
            vec![
                ("Id", E::select(0, E::split("-", stack_uuid()))),
                ("Mode", E::when(TemplateCondition::IsReadWrite, "RW".into(), "RO".into())),
                ("RoleArn", self.role_arn.clone()),
                ("ExternalIdField", E::when(TemplateCondition::HasExternalId, external_id, "".into())),
                ("Encryption", E::when(TemplateCondition::HasKmsKey, kms, r#""AES256""#.into())),
            ],
        )
    }

    /// Returns the key policy's part of the permission, as text to paste.
    fn key_policy_statement(&self, platform: &Platform) -> E {
        let statement = |access| {
            let through = "s3.${Region}.amazonaws.com".to_owned();
            let statement = permissions::key_policy(&platform.name, "${RoleArn}".to_owned(), through, access);
            let region = E::select(3, E::split(":", E::reference("KmsKeyArn")));
            let text = serde_json::to_string(&statement).unwrap_or_default();
            E::Sub(text, vec![("RoleArn", self.role_arn.clone()), ("Region", region)])
        };
        E::when(TemplateCondition::IsReadWrite, statement(AccessMode::ReadWrite), statement(AccessMode::ReadOnly))
    }

    /// Steps for the administrator: now, and before the stack is deleted.
    fn next_steps(&self) -> E {
        let folder = E::when(TemplateCondition::HasPrefix, E::sub(", prefix ${Prefix}"), "".into());
        let paste = E::when(
            TemplateCondition::HasExternalId,
            "RoleArn and ExternalId".into(),
            "RoleArn (there is no external ID)".into(),
        );
        let unchecked = match self.release {
            Some(_) => "",
            None => {
                "Nobody has checked whether the bucket exists and {platform} can use it: list the volume in {platform} to see. "
            }
        };
        let text = format!(
            "NOW: in {{platform}}, attach a volume for Amazon S3 with IAM role authentication: bucket ${{BucketName}}${{Folder}}, then paste \
             ${{Paste}} from these outputs (or post CreateVolumeRequest to the API). {unchecked}If IAM role authentication is not \
             offered, ask {{platform}}'s support to switch it on for you. BEFORE DELETING THIS STACK: deactivate the volume in \
             {{platform}}, delete the files imported from it, delete the volume. Otherwise its files stay behind unreadable."
        );
        E::Sub(text, vec![("Folder", folder), ("Paste", paste)])
    }
}
