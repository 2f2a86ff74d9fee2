//! The statements of Cavatica's permission and trust policies: the one place that says which actions Cavatica gets.
//!
//! Statement IDs and actions are those of Cavatica's manual, so that its support recognises them. The same statements
//! make the role's policy, the boundary in the template and the printed documents.

use serde::Serialize;

use crate::document::{Document, Principal, Statement};
use crate::volume::AccessMode;

/// Actions of Cavatica on a bucket itself. Source: Cavatica's manual, read-only policy.
pub const READ_BUCKETS: [&str; 3] = ["s3:ListBucket", "s3:GetBucketCORS", "s3:GetBucketLocation"];
/// Actions of Cavatica on objects that it reads. Source: Cavatica's manual, read-only policy.
pub const READ_OBJECTS: [&str; 1] = ["s3:GetObject"];
/// Actions of Cavatica on objects that it writes. Source: Cavatica's manual, read-write policy.
pub const WRITE_OBJECTS: [&str; 5] =
    ["s3:PutObject", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];
/// The one of [`READ_BUCKETS`] that shows the names of objects.
pub const LIST: &str = "s3:ListBucket";
/// Those of [`WRITE_OBJECTS`] that mean nothing to a bucket whose ACLs are disabled.
pub const OBJECT_ACLS: [&str; 2] = ["s3:GetObjectAcl", "s3:PutObjectAcl"];
/// Actions of S3 on the bucket's key to read. Source: S3, "Using server-side encryption with AWS KMS keys".
pub const DECRYPT: [&str; 1] = ["kms:Decrypt"];
/// Actions of S3 on the bucket's key to write; a multipart upload decrypts too. Source: as above.
pub const ENCRYPT: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];

/// The ID of the statement about the platform's own buckets.
const COPY_SOURCES: &str = "RequestReadOnCopySourceObjects";

/// An action, and the sentences about it. `{bucket}`, `{folder}` (with a slash at its end) and `{platform}` are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// IAM action.
    pub action: &'static str,
    /// ID of the statement that has to allow the action; any statement where there is none.
    pub statement: Option<&'static str>,
    /// End of "PLATFORM can …" where a statement allows the action.
    pub can: &'static str,
    /// The same where the statement is about a folder.
    pub can_in_folder: Option<&'static str>,
    /// End of "PLATFORM cannot …" where the statement is about a folder.
    pub cannot_outside: Option<&'static str>,
    /// End of "PLATFORM cannot …" where no statement allows the action.
    pub cannot: Option<&'static str>,
}

impl Permission {
    const fn new(action: &'static str, can: &'static str) -> Self {
        Self { action, statement: None, can, can_in_folder: None, cannot_outside: None, cannot: None }
    }
}

const LOOK_AT_SETTINGS: &str = "look up the region and the CORS rules of {bucket}";
const UPLOAD_IN_PARTS: &str = "continue and abort its own uploads of large objects";
const ACCESS_LISTS: &str = "read and set the access lists (ACLs) of those objects";

/// Every action that a policy of ours can allow, and the one that people ask about most. Page, mail, `documents`,
/// `deploy` and SECURITY.md read it.
pub const PERMISSIONS: [Permission; 13] = [
    Permission {
        can_in_folder: Some("list the names of objects under {folder} in {bucket}"),
        ..Permission::new(LIST, "list the names of all objects in {bucket}")
    },
    Permission {
        statement: Some("GrantReadOnObjects"),
        can_in_folder: Some("read the objects under {folder} in {bucket}"),
        cannot_outside: Some("read objects outside {folder}"),
        ..Permission::new("s3:GetObject", "read every object in {bucket}")
    },
    Permission::new("s3:GetBucketLocation", LOOK_AT_SETTINGS),
    Permission::new("s3:GetBucketCORS", LOOK_AT_SETTINGS),
    Permission {
        cannot: Some("write or replace anything"),
        ..Permission::new("s3:PutObject", "write objects there, and so replace existing ones")
    },
    Permission::new("s3:AbortMultipartUpload", UPLOAD_IN_PARTS),
    Permission::new("s3:ListMultipartUploadParts", UPLOAD_IN_PARTS),
    Permission::new("s3:GetObjectAcl", ACCESS_LISTS),
    Permission::new("s3:PutObjectAcl", ACCESS_LISTS),
    Permission {
        statement: Some(COPY_SOURCES),
        ..Permission::new("s3:GetObject", "copy from {platform}'s own storage into the bucket")
    },
    Permission::new("kms:Decrypt", "decrypt with the bucket's KMS key"),
    Permission::new("kms:GenerateDataKey", "encrypt with the bucket's KMS key"),
    Permission { cannot: Some("delete anything"), ..Permission::new("s3:DeleteObject", "delete objects there") },
];

/// End of "PLATFORM cannot …" where no statement is about anything but the bucket, its key and the platform's own
/// buckets.
pub const NOTHING_ELSE: &str = "use another bucket, or anything else in the account";

/// `GrantReadOnBuckets`, on bucket ARNs.
#[must_use]
pub fn read_buckets<T>(buckets: Vec<T>) -> Statement<T> {
    Statement::allow("GrantReadOnBuckets", &READ_BUCKETS, buckets)
}

/// Returns the rest of `GrantReadOnBuckets` where listing is restricted, on bucket ARNs. Ours, not the manual's.
#[must_use]
pub fn read_bucket_settings<T>(buckets: Vec<T>) -> Statement<T> {
    let settings: Vec<_> = READ_BUCKETS.into_iter().filter(|action| *action != LIST).collect();
    Statement::allow("GrantReadOnBucketSettings", &settings, buckets)
}

/// Listing of one bucket under some prefixes. A listing asks for a prefix, with the slash at its end or without;
/// without it the names that merely begin like the prefix are shown too.
///
/// Ours, not the manual's, and without a statement ID: there may be several. Source: S3, "Bucket policy examples using
/// condition keys", `s3:prefix`.
#[must_use]
pub fn list_under<T>(bucket: T, prefixes: Vec<T>) -> Statement<T> {
    let list = Statement { sid: None, ..Statement::allow("", &[LIST], vec![bucket]) };
    list.only_if_any("StringLike", "s3:prefix", prefixes)
}

/// `GrantReadOnObjects`, on object ARNs (`BUCKET/*`: the bucket's ARN alone matches no object).
#[must_use]
pub fn read_objects<T>(objects: Vec<T>) -> Statement<T> {
    Statement::allow("GrantReadOnObjects", &READ_OBJECTS, objects)
}

/// `GrantWriteOnObjects`, on object ARNs.
#[must_use]
pub fn write_objects<T>(objects: Vec<T>, omit_acls: bool) -> Statement<T> {
    let is_granted = |action: &&str| !(omit_acls && OBJECT_ACLS.contains(action));
    let actions: Vec<_> = WRITE_OBJECTS.into_iter().filter(is_granted).collect();
    Statement::allow("GrantWriteOnObjects", &actions, objects)
}

/// `RequestReadOnCopySourceObjects`, on the vendor's buckets.
#[must_use]
pub fn read_copy_sources<T>(objects: Vec<T>) -> Statement<T> {
    Statement::allow(COPY_SOURCES, &READ_OBJECTS, objects)
}

/// `GrantUseOfKmsKeys`, on the keys of read-write volumes.
#[must_use]
pub fn use_keys<T>(keys: Vec<T>) -> Statement<T> {
    Statement::allow("GrantUseOfKmsKeys", &ENCRYPT, keys)
}

/// `GrantUseOfKmsKeys` where no volume is written to, and `GrantDecryptWithKmsKeys` beside it where some are.
#[must_use]
pub fn decrypt_with_keys<T>(keys: Vec<T>, others_encrypt: bool) -> Statement<T> {
    let sid = if others_encrypt { "GrantDecryptWithKmsKeys" } else { "GrantUseOfKmsKeys" };
    Statement::allow(sid, &DECRYPT, keys)
}

/// Returns the statement that the policy of a KMS key needs where it does not leave permissions to IAM: that the role
/// may use the key through S3. Source: KMS, "Key policies", "Allowing users to use the KMS key", `kms:ViaService`.
#[must_use]
pub fn key_policy<T: From<&'static str>>(platform: &str, role: T, through: T, access: AccessMode) -> Statement<T> {
    let actions: &[_] = match access {
        AccessMode::ReadOnly => &DECRYPT,
        AccessMode::ReadWrite => &ENCRYPT,
    };
    // In a key's policy the resource is the key itself.
    // IAM takes letters and digits in a statement's ID. Source: "IAM JSON policy elements: Sid".
    let name: String = platform.chars().filter(char::is_ascii_alphanumeric).collect();
    let statement = Statement::allow(format!("Let{name}UseTheKeyThroughS3"), actions, vec![T::from("*")]);
    Statement { principal: Some(Principal::Aws(role)), ..statement }.only_if("StringEquals", "kms:ViaService", through)
}

/// The resources of the statements, as ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants<T = String> {
    /// Every bucket that may be listed as a whole.
    pub buckets: Vec<T>,
    /// Every other bucket, with the patterns of what may be listed in it.
    pub listed_under: Vec<(T, Vec<T>)>,
    /// The objects of every volume.
    pub readable: Vec<T>,
    /// The objects of the read-write volumes.
    pub writable: Vec<T>,
    /// The objects that Cavatica may copy from, when there is a read-write volume.
    pub copy_sources: Vec<T>,
    /// The keys of read-only volumes.
    pub decrypt_keys: Vec<T>,
    /// The keys of read-write volumes.
    pub encrypt_keys: Vec<T>,
    /// True if writing goes without the objects' ACLs.
    pub omit_acls: bool,
}

/// Returns the permission policy. Volumes share statements, so it grows by a line a volume.
#[must_use]
pub fn permissions<T: Clone>(grants: Grants<T>) -> Document<T> {
    let others_encrypt = !grants.encrypt_keys.is_empty();
    let restricted = grants.listed_under.iter().map(|(bucket, _)| bucket.clone()).collect();
    let mut statements = vec![read_buckets(grants.buckets), read_bucket_settings(restricted)];
    statements.extend(grants.listed_under.into_iter().map(|(bucket, prefixes)| list_under(bucket, prefixes)));
    statements.extend([
        read_objects(grants.readable),
        write_objects(grants.writable, grants.omit_acls),
        read_copy_sources(grants.copy_sources),
        use_keys(grants.encrypt_keys),
        decrypt_with_keys(grants.decrypt_keys, others_encrypt),
    ]);
    Document::new(statements.into_iter().filter(|statement| !statement.resource.is_empty()).collect())
}

/// Returns the trust policy: who may assume the role, and with which external ID.
#[must_use]
pub fn trust<T>(principal: T, external_id: Option<T>) -> Document<T> {
    let statement = Statement::trust(Principal::Aws(principal), "sts:AssumeRole");
    Document::new(vec![match external_id {
        Some(id) => statement.only_if("StringEquals", "sts:ExternalId", id),
        None => statement,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_that_can_be_granted_has_its_sentence() {
        let granted = [&READ_BUCKETS[..], &READ_OBJECTS, &WRITE_OBJECTS, &DECRYPT, &ENCRYPT].concat();
        let missing: Vec<_> =
            granted.iter().filter(|action| !PERMISSIONS.iter().any(|it| it.action == **action)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
