//! What the administrator takes away from the stack.

use cavatica_access::permissions;
use cavatica_access::volume::AccessMode;

use crate::cfn::Expr as E;
use crate::cfn::Output;

use super::stack_uuid;

pub(super) fn outputs() -> Vec<Output> {
    let attribute = |name| E::GetAtt("VolumeAccess", name);
    let output = |name, description, value| Output { name, description, condition: None, value };
    vec![
        output("RoleArn", "Paste into Cavatica as Role ARN.", attribute("RoleArn")),
        Output {
            condition: Some("HasExternalId"),
            ..output("ExternalId", "Paste into Cavatica as External ID.", attribute("ExternalId"))
        },
        output("PolicyArn", "The policy that says what Cavatica may do.", attribute("PolicyArn")),
        output("RoleName", "The role that Cavatica assumes.", attribute("RoleName")),
        output(
            "CreateVolumeRequest",
            "The same for Cavatica's API: the body of POST https://cavatica-api.sbgenomics.com/v2/storage/volumes.",
            create_volume_request(),
        ),
        output(
            "Findings",
            "What may keep Cavatica from using the bucket, as far as AWS lets anyone know.",
            attribute("Findings"),
        ),
        Output {
            condition: Some("HasKmsKey"),
            ..output(
                "KeyPolicyStatement",
                "To add to the KMS key's policy, unless that leaves permissions to IAM as a key's first policy does.",
                key_policy_statement(),
            )
        },
        output("NextSteps", "What to do now, and before deleting this stack.", next_steps()),
        output("Release", "The code that made the role.", E::reference("AssetKey")),
    ]
}

/// The body that attaches the volume. Cavatica takes no hyphens in a volume's name, so it is made from the stack's ID.
fn create_volume_request() -> E {
    let body = concat!(
        r#"{"name":"volume_${Id}","description":"s3://${BucketName}/${Prefix}","access_mode":"${Mode}","#,
        r#""service":{"type":"s3","bucket":"${BucketName}","prefix":"${Prefix}","endpoint":"s3.amazonaws.com","#,
        r#""credentials":{"role_arn":"${VolumeAccess.RoleArn}"${ExternalIdField}},"#,
        r#""properties":{"sse_algorithm":${Encryption}}}}"#,
    );
    let external_id = E::sub(r#","external_id":"${VolumeAccess.ExternalId}""#);
    let kms = E::sub(r#""aws:kms","sse_aws_kms_key_id":"${KmsKeyArn}""#);
    E::Sub(
        body.to_owned(),
        vec![
            ("Id", E::select(0, E::split("-", stack_uuid()))),
            ("Mode", E::when("IsReadWrite", "RW".into(), "RO".into())),
            ("ExternalIdField", E::when("HasExternalId", external_id, "".into())),
            ("Encryption", E::when("HasKmsKey", kms, r#""AES256""#.into())),
        ],
    )
}

/// The key policy's part of the permission, as text to paste.
fn key_policy_statement() -> E {
    let statement = |ability| {
        let role = "${VolumeAccess.RoleArn}".to_owned();
        let region = "${Region}".to_owned();
        let statement = permissions::key_policy(role, format!("s3.{region}.amazonaws.com"), ability);
        let text = serde_json::to_string(&statement).unwrap_or_default();
        E::Sub(text, vec![("Region", E::select(3, E::split(":", E::reference("KmsKeyArn"))))])
    };
    E::when("IsReadWrite", statement(AccessMode::ReadWrite), statement(AccessMode::ReadOnly))
}

fn next_steps() -> E {
    E::sub(
        "NOW: in Cavatica, attach a volume for Amazon S3 with IAM role authentication: bucket ${BucketName}, then paste RoleArn and \
         ExternalId from these outputs (or post CreateVolumeRequest to the API). If IAM role authentication is not offered, ask \
         Cavatica's support to switch it on for you. BEFORE DELETING THIS STACK: deactivate the volume in Cavatica, delete \
         the files imported from it, delete the volume. Otherwise its files stay behind unreadable.",
    )
}
