//! The vendor's Python client and ours, against the platform's API on this machine: both read its answers, and send the same
//! requests but for the differences that are listed here.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use cavatica_access::platform::CAVATICA;
use cavatica_api::client::TransferKind;
use cavatica_api::credentials::Places;
use cavatica_api::model::{Mode, NewVolume};
use cavatica_api::{Api, Credentials};
use cavatica_aws::http::{HttpClient, Secret};
use cavatica_connect::local_platform::PlatformCaller;
use cavatica_connect::local_platform::server::{LocalPlatform, ReceivedRequest};
use cavatica_local::engine::Engine;
use cavatica_local::python;
use cavatica_local::workspace::Workspace;
use cavatica_tests::{Error, Outcome};
use serde_json::{Value, json};

const REQUIREMENTS: &str = include_str!("../checkers/sevenbridges.txt");
const CLIENT: &str = include_str!("../checkers/sevenbridges_client.py");
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const BUCKET: &str = "lab-data";
const ROLE: &str = "arn:aws:iam::123456789012:role/vol";
const EXTERNAL_ID: &str = "AROA0A1B2C3D4E5F60718";

/// Differences of our requests: operation, place, the vendor's value, ours, and the reason.
const DIFFERENCES: &[(&str, &str, &str, &str, &str)] = &[
    ("POST /storage/volumes", "body.description", "absent", "\"s3://lab-data/raw/\"", "the volume says where it is"),
    (
        "POST /storage/volumes",
        "body.service.endpoint",
        "absent",
        "\"s3.amazonaws.com\"",
        "the vendor's manual gives it",
    ),
    (
        "POST /storage/volumes",
        "body.service.properties",
        "absent",
        "{\"sse_algorithm\":\"AES256\"}",
        "the default, said",
    ),
    ("POST /storage/volumes", "body.service.type", "\"S3\"", "\"s3\"", "the vendor's manual writes it so"),
    ("GET /storage/imports", "query.fields", "_all", "absent", "transfers are only counted"),
    ("GET /storage/exports", "query.fields", "_all", "absent", "transfers are only counted"),
    ("GET /storage/volumes", "query.offset", "absent", "0", "the default, said"),
    ("GET /storage/imports", "query.offset", "absent", "0", "the default, said"),
    ("GET /storage/imports", "query.limit", "absent", "100", "fewer pages"),
    ("GET /storage/exports", "query.offset", "absent", "0", "the default, said"),
    ("GET /storage/exports", "query.limit", "absent", "100", "fewer pages"),
];

/// Creates the bucket with an object, and the role of a volume.
async fn prepare(engine: &Engine) -> Outcome {
    let config = engine.sdk_config();
    let s3 = aws_sdk_s3::Client::new(&config);
    s3.create_bucket().bucket(BUCKET).send().await?;
    s3.put_object().bucket(BUCKET).key("raw/sample.vcf").body(b"content".to_vec().into()).send().await?;
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": CAVATICA.principal}, "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}}]});
    let allow = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/raw/*")]}]});
    let iam = aws_sdk_iam::Client::new(&config);
    iam.create_role().role_name("vol").assume_role_policy_document(trust.to_string()).send().await?;
    iam.put_role_policy().role_name("vol").policy_name("volume").policy_document(allow.to_string()).send().await?;
    Ok(())
}

/// Uses a volume by the vendor's client; returns its output.
fn use_vendors_client(workspace: &Workspace, address: &str) -> Result<String, Error> {
    let tools = python::environment(workspace, "sevenbridges", REQUIREMENTS)?;
    let mut client = Command::new(tools.bin("python"))
        .args(["-c", CLIENT, address, BUCKET, ROLE, EXTERNAL_ID])
        .env_remove("HTTP_PROXY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    client.stdin.take().ok_or("no input")?.write_all(TOKEN.as_bytes())?;
    let output = client.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Makes the same requests by our client.
async fn use_our_client(address: &str) -> Outcome {
    let token = Some(Secret::new(TOKEN.to_owned()));
    let places = Places { endpoint: Some(address.to_owned()), token, ..Places::default() };
    let credentials = Credentials::choose(&places, &CAVATICA)?;
    let http = HttpClient::new(cavatica_aws::connector(), std::time::Duration::from_secs(30));
    let api = Api::new(http, &credentials, || 0, |_| {});
    api.user().await?;
    let volume = NewVolume {
        name: "python_client".to_owned(),
        description: "s3://lab-data/raw/".to_owned(),
        mode: Mode::ReadOnly,
        bucket: BUCKET.to_owned(),
        prefix: "raw".to_owned(),
        role_arn: ROLE.to_owned(),
        external_id: Some(Secret::new(EXTERNAL_ID.to_owned())),
        kms_key: None,
    };
    let id = api.create(&volume).await?.id;
    api.volumes().await?;
    api.volume(&id).await?;
    api.browse(&id, "", 1).await?;
    api.object(&id, "sample.vcf").await?;
    api.share(&id, "ben", &["read", "copy"]).await?;
    api.transfers(TransferKind::Import, &id, "RUNNING").await?;
    api.transfers(TransferKind::Export, &id, "RUNNING").await?;
    api.change(&id, json!({"active": false}), false).await?;
    api.delete(&id).await?;
    Ok(())
}

/// Returns every value of a request by its place, such as `body.service.bucket`.
fn values(request: &ReceivedRequest) -> BTreeMap<String, String> {
    fn add(place: String, value: &Value, values: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) if !place.ends_with(".properties") => {
                map.iter().for_each(|(name, value)| add(format!("{place}.{name}"), value, values));
            }
            Value::Null => {}
            value => drop(values.insert(place, value.to_string())),
        }
    }
    let mut values = BTreeMap::new();
    add("body".to_owned(), &request.body, &mut values);
    // An empty parameter means the same as none.
    let query = request.query.iter().filter(|(_, value)| !value.is_empty());
    values.extend(query.map(|(name, value)| (format!("query.{name}"), value.clone())));
    values
}

/// Returns the first request of each operation.
fn by_operation(requests: Vec<ReceivedRequest>) -> BTreeMap<String, ReceivedRequest> {
    let mut found = BTreeMap::new();
    for request in requests {
        found.entry(request.operation.clone()).or_insert(request);
    }
    found
}

#[tokio::test]
async fn the_vendors_client_reads_the_api_on_this_machine_and_ours_sends_the_same() -> Outcome {
    let workspace = Workspace::locate()?;
    let engine = Engine::start(&workspace).await?;
    prepare(&engine).await?;
    let caller = PlatformCaller::on(&engine, &CAVATICA).await?;
    let platform = LocalPlatform::start(&engine, &CAVATICA.principal, caller, &[(TOKEN, "ann")]).await?;
    let address = platform.address().to_owned();
    let said = tokio::task::spawn_blocking(move || {
        use_vendors_client(&workspace, &address).map_err(|error| error.to_string())
    });
    let said = said.await??;
    for line in [
        "user ann",
        "created ann/python_client RO True",
        "listed ['ann/python_client']",
        "got lab-data",
        "content ['sample.vcf'] []",
        "object sample.vcf",
        "imports 0",
        "exports 0",
        "deactivated False",
        "listed []",
        "absent 9007",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let vendors = by_operation(platform.take_requests());
    use_our_client(platform.address()).await?;
    let ours = by_operation(platform.take_requests());

    let mut found = Vec::new();
    for (operation, our) in &ours {
        let vendor = vendors.get(operation).ok_or_else(|| format!("the vendor's client never sends {operation}"))?;
        assert!(our.has_advance_access, "{operation}");
        let (theirs, our) = (values(vendor), values(our));
        for place in theirs.keys().chain(our.keys()).collect::<std::collections::BTreeSet<_>>() {
            let value = |values: &BTreeMap<String, String>| values.get(place).cloned().unwrap_or("absent".to_owned());
            if theirs.get(place) != our.get(place) {
                found.push((operation.clone(), place.clone(), value(&theirs), value(&our)));
            }
        }
    }
    let expected = DIFFERENCES.iter().map(|(operation, place, theirs, ours, _)| {
        ((*operation).to_owned(), (*place).to_owned(), (*theirs).to_owned(), (*ours).to_owned())
    });
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    drop(platform);
    engine.stop().await?;
    Ok(())
}
