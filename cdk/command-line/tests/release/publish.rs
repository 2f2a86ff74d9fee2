//! Publishing as people do it: the command, a package and the local engine's S3.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use cavatica_access::platform::CAVATICA;
use cavatica_connect::account::Account;
use cavatica_connect::publish::audience::Audience;
use cavatica_connect::publish::bucket::PublisherBucket;
use cavatica_connect::publish::execute;
use cavatica_connect::publish::plan::{DesiredBucket, Obstacle};
use cavatica_connect::publish::versions::{self, Published, Versions};
use cavatica_connect::publish::{CodeVersions, Place, ReleaseParts};
use cavatica_connect::release::package::{Content, Package};
use cavatica_local::engine::Engine;
use futures_util::future::join_all;

use crate::audience::ACCOUNT_BLOCK;
use crate::faulty_aws::{Fault, FaultyAws};
use crate::publisher::{Outcome, Publisher, REGIONS, bucket, said};

#[tokio::test]
async fn three_regions_have_the_same_release_and_a_second_run_changes_nothing() -> Outcome {
    let publisher = Publisher::start().await?;
    let dry = publisher.publish(&["--create-buckets", "--audience=public", "--dry-run"]).await?;
    assert!(dry.status.success() && said(&dry).contains("create"), "{}", said(&dry));
    assert!(publisher.s3("us-east-1").list_buckets().send().await?.buckets().is_empty(), "a dry run writes nothing");

    let first = publisher.publish(&["--create-buckets", "--audience=public"]).await?;
    assert!(first.status.success(), "{}", said(&first));
    for region in REGIONS {
        let (s3, versions) = (publisher.s3(region), publisher.versions(region).await?);
        let bucket = bucket(region);
        assert_eq!((versions.releases.len(), &versions.bucket), (1, &bucket));
        for file in &versions.find(None)?.files {
            let object = s3.get_object().bucket(&bucket).key(&file.key).send().await?;
            assert_eq!(object.cache_control(), Some("public, max-age=31536000, immutable"));
            assert_eq!(Content::of(&object.body.collect().await?.to_vec()), file.content, "{}", file.key);
        }
        assert!(said(&first).contains(&format!("https://{bucket}.s3.{region}.amazonaws.com/{}", versions::KEY)));
    }
    let second = publisher.publish(&["--create-buckets", "--audience=public"]).await?;
    assert!(second.status.success() && !said(&second).contains("write "), "{}", said(&second));
    assert_eq!(publisher.versions("us-east-1").await?.releases.len(), 1);
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_publication_lists_only_objects_that_exist() -> Outcome {
    let publisher = Publisher::start().await?;
    let mut completed = 0;
    for milliseconds in (0..).step_by(15) {
        let mut killed = publisher.command(&["--create-buckets", "--audience=public"]).stdout(Stdio::null()).spawn()?;
        let ended = tokio::time::timeout(Duration::from_millis(milliseconds), killed.wait()).await;
        killed.kill().await?;
        for region in REGIONS {
            let Ok(versions) = publisher.versions(region).await else { continue };
            for file in &versions.find(None)?.files {
                let head = publisher.s3(region).head_object().bucket(&versions.bucket).key(&file.key);
                head.send().await?;
            }
        }
        if ended.is_ok_and(|status| status.is_ok_and(|status| status.success())) {
            completed += 1;
            break;
        }
    }
    assert_eq!(completed, 1);
    for region in REGIONS {
        assert_eq!(publisher.versions(region).await?.releases.len(), 1, "{region}");
        let policy = publisher.s3(region).get_bucket_policy().bucket(bucket(region)).send().await?;
        assert!(policy.policy().is_some_and(|text| text.contains("EncryptedConnectionsOnly")));
    }
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_key_with_other_bytes_stops_everything_before_anything_is_written() -> Outcome {
    let publisher = Publisher::start().await?;
    for region in REGIONS {
        publisher.make_versioned_bucket(&bucket(region), region).await?;
    }
    let code = publisher.parts()?.code;
    let theirs = publisher.s3("eu-west-1").put_object().bucket(bucket("eu-west-1")).key(&code.key);
    theirs.body(b"theirs".to_vec().into()).send().await?;
    let output = publisher.publish(&[]).await?;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [&Content::of(b"theirs").sha256, &code.content.sha256, "eu-west-1", "nothing was written"] {
        assert!(said.contains(part), "{said}");
    }
    for region in ["us-east-1", "ap-southeast-2"] {
        let listed = publisher.s3(region).list_objects_v2().bucket(bucket(region)).send().await?;
        assert!(listed.contents().is_empty(), "{region}");
    }
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_failure_in_one_region_keeps_the_others_and_a_second_run_completes() -> Outcome {
    let publisher = Publisher::start().await?;
    let (parts, desired) = (publisher.parts()?, DesiredBucket { create_buckets: true, audience: None });
    let account = Account::of(publisher.engine.sdk_config()).await?;
    let plans = execute::survey(&account, &parts, &desired).await.plans.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert!(execute::prepare(&account, &plans, &|_, _| {}).await.iter().all(Result::is_ok));
    let code = execute::write_code(&account, &parts, &plans, &|_, _| {}).await;
    let code = code.into_iter().collect::<Result<Vec<_>, _>>()?;
    let publication = execute::publication_of(&parts, &code);
    // After the plans were made, somebody writes something else.
    let page = publication.generated.last().ok_or("no objects")?;
    let s3 = publisher.s3("eu-west-1");
    s3.put_object().bucket(bucket("eu-west-1")).key(&page.key).body(b"x".to_vec().into()).send().await?;
    let written = execute::write(&account, &publication, &plans, &code, &|_, _| {}).await;
    let failed: Vec<_> = parts.places.iter().zip(&written).filter(|(_, result)| result.is_err()).collect();
    assert!(matches!(&failed[..], [(place, Err(Obstacle::OtherBytes { .. }))] if place.region == "eu-west-1"));
    assert!(publisher.versions("eu-west-1").await.is_err(), "no link can begin there");
    assert_eq!(publisher.versions("us-east-1").await?.releases, std::slice::from_ref(&publication.entry));

    s3.delete_object().bucket(bucket("eu-west-1")).key(&page.key).send().await?;
    let again = publisher.publish(&[]).await?;
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(publisher.versions("eu-west-1").await?.releases, [publication.entry]);
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn releases_that_are_listed_at_the_same_time_are_all_listed() -> Outcome {
    let publisher = Publisher::start().await?;
    publisher.make_versioned_bucket(&bucket("us-east-1"), "us-east-1").await?;
    let account = Account::of(publisher.engine.sdk_config()).await?;
    let place = publisher.places().into_iter().find(|place| place.region == "us-east-1");
    let bucket = PublisherBucket::new(&account, &place.ok_or("no such place")?);
    let entry = publisher.parts()?.publication(CodeVersions::new()).entry;
    let entries: Vec<_> = (0..6).map(|i| Published { version: format!("0.{i}.0"), ..entry.clone() }).collect();
    for listed in join_all(entries.iter().chain(&entries).map(|entry| bucket.list(entry))).await {
        listed?;
    }
    let mut versions: Vec<_> =
        publisher.versions("us-east-1").await?.releases.into_iter().map(|it| it.version).collect();
    versions.sort();
    assert_eq!(versions, ["0.0.0", "0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0"]);
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_named_with_the_remedy() -> Outcome {
    let publisher = Publisher::start().await?;
    publisher.make_versioned_bucket("in-europe", "eu-west-1").await?;
    publisher.make_versioned_bucket("with-a-policy", "us-east-1").await?;
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:Get*",
                     "Resource": "arn:aws:s3:::with-a-policy/*"}]}"#;
    publisher.s3("us-east-1").put_bucket_policy().bucket("with-a-policy").policy(policy).send().await?;
    for (arguments, expected) in [
        (
            &["--bucket=in-europe", "--regions=us-east-1"][..],
            "bucket in-europe is in eu-west-1, and Lambda takes code only",
        ),
        (&["--bucket=not-there", "--regions=us-east-1"], "there is no bucket not-there: add --create-buckets"),
        (
            &["--bucket=with-a-policy", "--regions=us-east-1", "--audience=public"],
            "bucket with-a-policy has a policy that this program did not write",
        ),
    ] {
        let output = publisher.publish(arguments).await?;
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    let kept = publisher.s3("us-east-1").get_bucket_policy().bucket("with-a-policy").send().await?;
    assert_eq!(kept.policy(), Some(policy));
    let without = publisher.publish(&["--bucket=with-a-policy", "--regions=us-east-1"]).await?;
    assert!(without.status.success(), "{}", said(&without));
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn every_call_names_the_account_that_has_to_own_the_bucket() -> Outcome {
    let publisher = Publisher::start().await?;
    let recorder = Recorder { within: connector(), seen: Arc::default() };
    let shared = SharedHttpConnector::new(recorder.clone());
    let config = publisher.engine.sdk_config().to_builder().http_client(http_client_fn(move |_, _| shared.clone()));
    let account = Account::of(config.build()).await?;
    let name = |region: &str| format!("releases-{}-{region}-an", Engine::ACCOUNT);
    let places = REGIONS.map(|region| Place { region: region.to_owned(), bucket: name(region) });
    let parts = ReleaseParts::of(&Package::read(publisher.folder.path(), &CAVATICA)?, &CAVATICA, places.to_vec());
    let desired = DesiredBucket { create_buckets: true, audience: Some(Audience::Public) };
    // Once to make everything, and once to look at what there is then.
    for _ in 0..2 {
        execute::all(&account, &parts, &desired).await?;
    }
    publisher.engine.stop().await?;
    let seen = recorder.seen.lock().map_err(|_| "poisoned")?;
    assert!(seen.len() > 60, "{} calls", seen.len());
    // Only the call that creates a bucket cannot say whose it is; in the account's namespace it can be nobody else's.
    let of_account = |request: &str| request == ACCOUNT_BLOCK || request.starts_with("GET /v20180820/");
    let is_without = |(request, owner): &&Noted| owner.as_deref() != Some(Engine::ACCOUNT) && !of_account(request);
    // Nor does the read that everybody can do, without credentials.
    let without: Vec<_> = seen.iter().filter(is_without).collect();
    let makes_bucket =
        |request: &str| REGIONS.iter().any(|region| request.trim_end_matches('/') == format!("PUT /{}", name(region)));
    let is_regional = |namespace: &Option<String>| namespace.as_deref() == Some("account-regional");
    assert!(
        without.len() == REGIONS.len()
            && without.iter().all(|(request, namespace)| makes_bucket(request) && is_regional(namespace)),
        "{without:?}"
    );
    Ok(())
}

#[tokio::test]
async fn credentials_that_aws_does_not_take_are_explained() -> Outcome {
    let publisher = Publisher::start().await?;
    let output =
        publisher.command(&[]).env_remove("AWS_ACCESS_KEY_ID").env("AWS_EC2_METADATA_DISABLED", "true").output();
    let output = output.await?;
    assert_eq!(output.status.code(), Some(1));
    let error = said(&output).lines().find(|line| line.starts_with("error: ")).map(str::to_owned).unwrap_or_default();
    assert!(error.contains("there are no AWS credentials") && error.contains("aws sso login"), "{}", said(&output));
    for (code, region, expected) in [
        ("ExpiredToken", "us-east-1", "have expired: sign in again"),
        ("InvalidClientTokenId", "us-east-1", "AWS does not accept these credentials (InvalidClientTokenId)"),
        ("InvalidClientTokenId", "eu-south-2", "region eu-south-2 does not accept these credentials"),
        (
            "AccessDenied",
            "us-east-1",
            "these credentials may not ask whose credentials these are: allow them sts:GetCallerIdentity",
        ),
    ] {
        let answers = refusing_everything_with(code)?;
        let output = publisher.command(&[]).env("AWS_ENDPOINT_URL", answers).env("AWS_REGION", region).output().await?;
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    publisher.engine.stop().await?;
    Ok(())
}

/// Something that answers every request like AWS's query APIs with one error, until the test's process ends.
fn refusing_everything_with(code: &'static str) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message></Message></Error></ErrorResponse>");
            let mut request = [0; 16 << 10];
            let _ = stream.read(&mut request);
            let _ = write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Ok(url)
}

/// A request's method and path, and the account that it says has to own the bucket.
type Noted = (String, Option<String>);

/// A connector that notes S3's requests.
#[derive(Debug, Clone)]
struct Recorder {
    within: SharedHttpConnector,
    seen: Arc<Mutex<Vec<Noted>>>,
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let path = request.uri().split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        let owner = request.headers().get("x-amz-expected-bucket-owner").map(str::to_owned);
        let is_s3 = request.headers().get("authorization").is_some_and(|text| text.contains("/s3/"));
        if let (true, Ok(mut seen)) = (is_s3, self.seen.lock()) {
            let path = path.unwrap_or_default();
            // The call that creates a bucket names a namespace in place of the owner.
            let namespace = request.headers().get("x-amz-bucket-namespace").map(str::to_owned);
            let request = format!("{} {}", request.method(), path.trim_end_matches("?x-id=CreateBucket"));
            seen.push((request, owner.or(namespace)));
        }
        self.within.call(request)
    }
}

fn connector() -> SharedHttpConnector {
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
    SharedHttpConnector::new(connector)
}

/// Links and templates of earlier releases name those buckets.
#[tokio::test]
async fn a_bucket_that_an_earlier_release_created_goes_on_to_be_used() -> Outcome {
    let publisher = Publisher::start().await?;
    publisher.make_versioned_bucket("releases-eu-west-1", "eu-west-1").await?;
    let output = publisher.publish(&["--create-buckets"]).await?;
    assert!(output.status.success(), "{}", said(&output));
    let has = async |name: &str, region: &str| publisher.s3(region).head_bucket().bucket(name).send().await.is_ok();
    assert!(!has(&bucket("eu-west-1"), "eu-west-1").await, "no second bucket in the region that has one");
    for region in ["us-east-1", "ap-southeast-2"] {
        assert!(has(&bucket(region), region).await && !has(&format!("releases-{region}"), region).await, "{region}");
    }
    let list = publisher.s3("eu-west-1").get_object().bucket("releases-eu-west-1").key(versions::KEY).send().await?;
    let list = Versions::read(&list.body.collect().await?.to_vec())?;
    assert_eq!(list.releases.len(), 1);
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn templates_wait_until_every_bucket_has_the_code() -> Outcome {
    let publisher = Publisher::start().await?;
    let aws = FaultyAws::start(publisher.engine.url()).await?;
    let code = publisher.parts()?.code.key;
    aws.spoil(&format!("PUT /{}/{code}", bucket("eu-west-1")), 0, 9, Fault::Refused("AccessDenied", "not for you"));
    let output = publisher.command(&["--create-buckets"]).env("AWS_ENDPOINT_URL", &aws.url).output().await?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in ["no template was written", "s3:PutObject", "The same command goes on"] {
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    for region in ["us-east-1", "ap-southeast-2"] {
        let listed = publisher.s3(region).list_objects_v2().bucket(bucket(region)).send().await?;
        let keys: Vec<_> = listed.contents().iter().filter_map(|object| object.key()).collect();
        assert!(keys.len() == 2 && keys.contains(&code.as_str()), "{keys:?}");
    }
    let again = publisher.publish(&[]).await?;
    assert!(again.status.success(), "{}", said(&again));
    for region in REGIONS {
        let release = publisher.versions(region).await?.find(None)?.clone();
        assert_eq!(release.code_versions.keys().collect::<Vec<_>>(), release.buckets.keys().collect::<Vec<_>>());
        let version = &release.code_versions[region];
        let pinned = publisher.s3(region).get_object().bucket(bucket(region)).key(&code).version_id(version);
        let bytes = pinned.send().await?.body.collect().await?.to_vec();
        assert_eq!(Content::of(&bytes).sha256, release.code_sha256);
    }
    publisher.engine.stop().await?;
    Ok(())
}
