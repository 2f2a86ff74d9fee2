//! Random inputs, each of which the page has to take as the generator does.

use std::process::Command;

use cavatica_access::document::in_ascii;
use cavatica_access::platform::{CAVATICA, Platform};
use cavatica_access::volume::{AccessMode, Prefix, Volume};
use cavatica_generator::cfn::Parameter;
use cavatica_generator::documents::{Subject, documents};
use cavatica_generator::launch::url::{Launch, launch_url};
use cavatica_generator::meaning::{Meaning, meaning};
use cavatica_generator::page::html;
use cavatica_generator::template::files;
use cavatica_tests::browser::{REGIONS, at};
use cavatica_tests::{Error, Outcome};
use fastrand::Rng;
use serde_json::Value;

use super::setting::{Setting, fragment, template};

const INPUTS: usize = 400;
/// Values of each field beside those that are known to be hard.
const RANDOM_VALUES: usize = 6;
const SEED: u64 = 20_261_126;

fn pick<'t>(rng: &mut Rng, texts: &[&'t str]) -> &'t str {
    texts[rng.usize(..texts.len())]
}

/// Values that the template takes, in its order; those that are as they are by themselves are left out.
fn given(rng: &mut Rng, is_native: bool) -> Vec<(String, String)> {
    let folders = ["raw", "raw/2026", "a b/c'd", "x&y=z+1", "~(!)", "100%", "#1", "deep/er/and/deeper"];
    let more = ["β/日本", "😀", "été 2026"];
    let folder = if is_native || rng.bool() { pick(rng, &folders) } else { pick(rng, &more) };
    let key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let texts = ["it's \"fine\"", "a;b|c>d $HOME `id` $(id)", "-x --y", "\\'\\\"", "x"];
    let mut values =
        vec![("BucketName", pick(rng, &["my-bucket", "genomics.lab", "a1b2", "x".repeat(63).as_str()]).to_owned())];
    let mut maybe = |rng: &mut Rng, name: &'static str, value: &str| {
        if rng.bool() {
            values.push((name, value.to_owned()));
        }
    };
    maybe(rng, "Prefix", folder);
    maybe(rng, "AccessMode", "ReadWrite");
    maybe(rng, "KmsKeyArn", key);
    if !is_native {
        maybe(rng, "BucketOwnerAccountId", "210987654321");
    }
    maybe(rng, "RoleName", "lab-role_1+2=3,4.5@x");
    maybe(rng, "IamPath", "/lab/");
    let description = pick(rng, &texts);
    maybe(rng, "Description", description);
    if !is_native {
        maybe(rng, "Tags", "a=b,c d=e@f");
    }
    let location = pick(rng, &["us-east-1", "us-west-2"]);
    maybe(rng, "ProjectLocations", location);
    maybe(rng, "MaxSessionDuration", "43200");
    if !is_native {
        maybe(rng, "Checks", "Report");
        maybe(rng, "ConfigureCors", "true");
    }
    maybe(rng, "RestrictListing", "true");
    maybe(rng, "OmitObjectAcls", "true");
    // The template refuses a CORS rule in the bucket of another account.
    if values.iter().any(|(name, _)| *name == "BucketOwnerAccountId") {
        values.retain(|(name, _)| *name != "ConfigureCors");
    }
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn value<'g>(given: &'g [(String, String)], name: &str) -> Option<&'g str> {
    given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn expected(given: &[(String, String)]) -> Result<Value, Error> {
    let is = |name: &str, wanted: &str| value(given, name) == Some(wanted);
    let location = value(given, "ProjectLocations");
    Ok(documents(Subject {
        volumes: vec![Volume {
            bucket: value(given, "BucketName").unwrap_or_default().parse()?,
            prefix: Prefix::read(value(given, "Prefix").unwrap_or_default())?,
            access: if is("AccessMode", "ReadWrite") { AccessMode::ReadWrite } else { AccessMode::ReadOnly },
            kms_key: value(given, "KmsKeyArn").map(str::parse).transpose()?,
            bucket_owner: None,
        }],
        platform: CAVATICA.clone(),
        locations: location.map(str::to_owned).into_iter().collect(),
        external_id: Some("in-its-place".parse()?),
        trusted_principal: None,
        partition: "aws".parse()?,
        restrict_listing: is("RestrictListing", "true"),
        omit_object_acls: is("OmitObjectAcls", "true"),
    })?)
}

/// Returns an action more in the policy is said by the page too: nothing of its sentences is fixed.
#[tokio::test]
async fn an_action_that_is_granted_is_said_and_no_longer_denied() -> Outcome {
    let setting = Setting::prepare().await?;
    let pairs = [("v", "0.1.0"), ("kind", "provided"), ("BucketName", "my-bucket"), ("AccessMode", "ReadWrite")];
    let fragment = fragment(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let said = async |setting: &Setting| -> Result<(String, String), Error> {
        let state = setting.states(std::slice::from_ref(&fragment)).await?.remove(0);
        Ok((state["can"].to_string(), state["cannot"].to_string()))
    };
    let (can, cannot) = said(&setting).await?;
    assert!(!can.contains("delete") && cannot.contains("delete anything"), "{can} {cannot}");
    setting.change_page(|page| {
        let (before, after) = page.split_once("\"permissions\":").unwrap_or((page, ""));
        // The policy of the page names its one script by its digest.
        let before = before.replace("script-src 'sha256-", "script-src 'unsafe-inline' 'none-");
        format!("{before}\"permissions\":{}", after.replacen("s3:AbortMultipartUpload", "s3:DeleteObject", 2))
    })?;
    let (can, cannot) = said(&setting).await?;
    assert!(can.contains("delete objects there") && !cannot.contains("delete"), "{can} {cannot}");
    Ok(())
}

/// Without its file the command would connect the bucket to Cavatica.
#[tokio::test]
async fn the_command_of_another_platforms_page_names_its_file() -> Outcome {
    let setting = Setting::prepare().await?;
    let other = Platform { name: "Other Platform".into(), slug: "other".into(), ..CAVATICA.clone() };
    let pairs = [("v", "0.1.0"), ("kind", "provided"), ("BucketName", "my-bucket")];
    let fragment = fragment(&pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let own = async |setting: &Setting| -> Result<Vec<String>, Error> {
        let state = setting.states(std::slice::from_ref(&fragment)).await?.remove(0);
        Ok(state["own"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect())
    };
    assert!(!own(&setting).await?.contains(&"--platform".to_owned()));
    setting.change_page(|_| html("0.1.0", &other, Some(&at())))?;
    let words = own(&setting).await?;
    assert!(words.windows(2).any(|pair| pair == ["--platform", "other.yaml"]), "{words:?}");
    Ok(())
}

/// Returns the words of a command line as a shell reads them; every program in it is a function that prints its
/// arguments.
fn read_by_shell(commands: &str) -> Result<Vec<String>, Error> {
    let print = "{ printf '%s\\0' \"$@\"; }";
    let script = format!("aws() {print}\nconnect() {print}\nopenssl() {{ printf secret; }}\n{commands}\n");
    let output = Command::new("sh").args(["-c", &script]).env_clear().output()?;
    assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.split('\0').map(str::to_owned).collect())
}

#[tokio::test]
async fn documents_link_and_commands_are_those_of_the_generator() -> Outcome {
    let setting = Setting::prepare().await?;
    let mut rng = Rng::with_seed(SEED);
    let cases: Vec<_> = (0..INPUTS)
        .map(|_| {
            let (is_native, region) = (rng.u8(..3) == 0, pick(&mut rng, &REGIONS));
            (is_native, region, given(&mut rng, is_native))
        })
        .collect();
    let fragments = cases.iter().map(|(is_native, region, given)| {
        let kind = if *is_native { "native" } else { "provided" };
        let pairs = [("v", "0.1.0"), ("kind", kind), ("region", region), ("stack", "lab-1")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fragment(&[&pairs[..], given].concat())
    });
    let fragments: Vec<_> = fragments.collect();
    let states = setting.states(&fragments).await?;
    assert_eq!(states.len(), INPUTS);
    for (state, (is_native, region, given)) in states.iter().zip(&cases) {
        let (expected, template) = (expected(given)?, template(*is_native));
        assert_eq!(state["errors"], serde_json::json!({}), "{given:?}");
        assert_eq!(state["permissions"], expected["permissions"], "{given:?}");
        let mut trust = state["trust"].clone();
        trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = "in-its-place".into();
        assert_eq!(trust, expected["trust"]);
        let bucket = value(given, "BucketName").unwrap_or_default();
        let Meaning { can, cannot } = meaning(&expected["permissions"], &CAVATICA, bucket, value(given, "Prefix"));
        assert_eq!((&state["can"], &state["cannot"]), (&Value::from(can), &Value::from(cannot)), "{given:?}");
        let size = in_ascii(&expected["permissions"].to_string()).len();
        let told = state["size"].as_str().unwrap_or_default().replace(',', "");
        assert_eq!(told, format!("{size} of 6144 characters"), "{given:?}");

        let (name, bucket) = (files::name(&CAVATICA, *is_native), format!("releases-{region}"));
        let key = at().templates.get(&name).cloned().unwrap_or_default();
        let launch = Launch {
            template_url: format!("https://{bucket}.s3.{region}.amazonaws.com/{key}"),
            region: (*region).to_owned(),
            stack_name: "lab-1".parse()?,
            parameters: given.clone(),
        };
        assert_eq!(state["launch"], launch_url(&template, &launch)?, "{given:?}");

        let aws = read_by_shell(state["aws"].as_str().unwrap_or_default())?;
        let own = state["own"].as_str().unwrap_or_default().replacen("cavatica-connect deploy", "connect deploy", 1);
        let own = read_by_shell(&own)?;
        for (name, value) in given {
            assert!(aws.contains(&format!("{name}={value}")), "{name}={value}: {aws:?}");
            let option = match name.as_str() {
                "BucketName" => format!("--bucket={value}"),
                "Prefix" => format!("--prefix={value}"),
                "AccessMode" => "read-write".to_owned(),
                _ => format!("--param={name}={value}"),
            };
            assert!(own.contains(&option), "{option}: {own:?}");
        }
        assert_eq!(aws.contains(&"ExternalId=secret".to_owned()), *is_native);
        assert_eq!(state["troubles"], serde_json::json!([]));
    }
    Ok(())
}

#[tokio::test]
async fn without_a_release_the_mail_has_the_commands_and_no_link_to_the_console() -> Outcome {
    let setting = Setting::prepare().await?;
    let pairs = [("BucketName", "my-bucket"), ("Prefix", "it's raw")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let input = serde_json::json!({"page": setting.unreleased(), "fragments": [fragment(&pairs)]});
    let state = &setting.browser.run("states", &input).await?[0];
    assert_eq!((&state["launch"], &state["troubles"]), (&Value::Null, &serde_json::json!([])));
    let (mail, commands) = (state["mail"].as_str().unwrap_or_default(), state["aws"].as_str().unwrap_or_default());
    assert!(mail.contains(commands) && mail.contains("attached cavatica-volume-native.template.yaml"), "{mail}");
    assert!(!mail.contains("console.aws.amazon.com"), "{mail}");
    assert!(read_by_shell(commands)?.contains(&"Prefix=it's raw".to_owned()), "{commands}");
    Ok(())
}

#[tokio::test]
async fn a_field_says_what_the_template_says() -> Outcome {
    let setting = Setting::prepare().await?;
    let mut rng = Rng::with_seed(SEED);
    let alphabet: Vec<char> = "ab19-._/:*?$\"'\\{}@,+= AZ\u{7}éβ".chars().collect();
    let values = [
        "",
        "My_Bucket",
        "s3://my-bucket/x",
        "arn:aws:s3:::x",
        "1.2.3.4",
        "raw*",
        "сырые",
        "папка/1",
        "xn--x",
        "${x}",
        "3600",
        "43201",
        "+3600",
        "x y",
        "/x/",
        "us-west-2",
        "Report",
        "true",
        "90",
        "a=b",
        "a=b,c d=e@f",
        "team",
        "=x",
        " =x",
        "Team=1,team=2",
        "aws:x=1",
        "Cavatica-Connect:x=1",
        "k=\u{24d0}",
        "k=e\u{301}",
        "k=\u{bd}\u{aa}\u{a0}\u{2028}x",
        "k=\u{1d4b3}",
        "k=a;b",
        "k=\u{200b}",
        "s3a://my-bucket/raw/2026/",
        "S3N://my-bucket",
        "gs://my-bucket/a b",
        "file:///data/raw",
        "https://my-bucket.s3.amazonaws.com/raw/x",
        "https://my.bucket.s3.eu-west-1.amazonaws.com/raw?versionId=1",
        "https://s3-eu-west-1.amazonaws.com/my-bucket/raw%20x",
        "https://us-east-1.console.aws.amazon.com/s3/buckets/my-bucket?prefix=raw/2026/&tab=objects",
        "http://lab.example/raw",
        "arn:aws:s3:::my-bucket/raw",
        "arn:aws:iam::123456789012:role/x",
        "my-bucket/app1",
        "/my-bucket/app1/x/",
        "My_Bucket/x",
        " my-bucket",
        "raw/2026 ",
        "/ raw",
        "\u{3000}raw",
        "chr1:1-100",
        "C:/data",
    ];
    let mut cases = Vec::new();
    for is_native in [false, true] {
        let template = template(is_native);
        let parameters = template.parameters().filter(|it| !it.no_echo).enumerate();
        let columns: Vec<(_, Vec<String>)> = parameters
            .map(|(turn, parameter)| {
                // In each state every field has another of them.
                let known = values.iter().cycle().skip(turn).take(values.len()).map(|value| (*value).to_owned());
                let mut random = || (0..rng.usize(1..12)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect();
                (parameter.clone(), known.chain((0..RANDOM_VALUES).map(|_| random())).collect())
            })
            .collect();
        for at in 0..values.len() + RANDOM_VALUES {
            let row = columns.iter().map(|(parameter, column)| (parameter.clone(), column[at].clone()));
            cases.push((is_native, row.collect::<Vec<_>>()));
        }
    }
    // What people copy along is taken away as they type, and a link has what was typed.
    let fragments = cases.iter().map(|(is_native, fields)| {
        let kind = if *is_native { "native" } else { "provided" };
        let mut pairs = vec![("kind".to_owned(), kind.to_owned())];
        pairs.extend(fields.iter().map(|(parameter, value)| (parameter.name.to_owned(), value.clone())));
        fragment(&pairs)
    });
    let fragments: Vec<_> = fragments.collect();
    let states = setting.states(&fragments).await?;
    let has_owner = |fields: &[(Parameter, String)]| {
        fields.iter().any(|(parameter, value)| parameter.name == "BucketOwnerAccountId" && !value.is_empty())
    };
    let (mut compared, mut refused) = (0, 0);
    for (state, (_, fields)) in states.iter().zip(&cases) {
        for (parameter, value) in fields {
            let said = state["errors"][parameter.name].as_str();
            compared += 1;
            match parameter.check(value) {
                // An empty field is none that a link filled in.
                _ if value.is_empty() => assert_eq!(said, None),
                Ok(()) if parameter.name == "ConfigureCors" && value == "true" && has_owner(fields) => {
                    assert!(
                        said.is_some_and(|said| said.contains("its owner has to configure CORS there")),
                        "{said:?}"
                    );
                    refused += 1;
                }
                Ok(()) => assert_eq!(said, None, "{} {value:?}", parameter.name),
                // The generator names the pair that has no equals sign.
                Err(_) if parameter.name == "Tags" => assert!(said.is_some(), "Tags {value:?}"),
                Err(rule) => {
                    refused += 1;
                    let sentence = format!("{}{}.", rule[..1].to_uppercase(), &rule[1..]);
                    assert_eq!(said, Some(sentence.as_str()), "{} {value:?}", parameter.name);
                }
            }
        }
    }
    assert!(refused > 200, "{refused} of {compared}");
    Ok(())
}

#[tokio::test]
async fn a_hostile_link_does_no_more_than_fill_in_fields() -> Outcome {
    let setting = Setting::prepare().await?;
    let mut rng = Rng::with_seed(SEED);
    let evil = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "\"><svg onload=alert(1)>",
        "__proto__",
        "constructor",
        "toString",
        "${BucketName}",
        "{{title}}",
        "{bucket}",
        "%",
        "%zz",
        "\u{202e}",
        "\u{0}",
        "'; drop",
        "//evil.example/",
        "@evil.example",
        "us-east-1.evil.example",
        "\r\nBcc: x@evil.example",
    ];
    let names = [
        "v",
        "kind",
        "region",
        "stack",
        "BucketName",
        "Prefix",
        "Description",
        "ExternalId",
        "AccessMode",
        "__proto__",
        "x",
    ];
    let mut fragments = vec!["#".to_owned() + &"a=b&".repeat(2_500), "#BucketName=my-bucket".to_owned()];
    for _ in 0..400 {
        let pairs = (0..rng.usize(1..6)).map(|_| {
            let value: String = (0..rng.usize(1..4)).map(|_| pick(&mut rng, &evil)).collect();
            let name = if rng.u8(..4) == 0 { pick(&mut rng, &evil) } else { pick(&mut rng, &names) };
            (name.to_owned(), value)
        });
        let pairs: Vec<_> = pairs.collect();
        let raw = || pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        fragments.push(if rng.bool() {
            fragment(&pairs)
        } else {
            format!("#{}", raw().replace(['\r', '\n', '\0'], ""))
        });
    }
    let states = setting.states(&fragments).await?;
    let most = states.iter().filter_map(|state| state["elements"].as_u64()).max().unwrap_or_default();
    let usual = states[1]["elements"].as_u64().unwrap_or_default();
    // An option for a choice that there is not, and two sentences more of what Cavatica can do.
    assert!(most <= usual + 12, "{most} elements, and usually {usual}");
    for (state, fragment) in states.iter().zip(&fragments) {
        assert_eq!(state["troubles"], serde_json::json!([]), "{fragment}");
        let link = state["launch"].as_str();
        let leads_to_aws = |link: &str| {
            REGIONS.iter().any(|region| {
                link.starts_with(&format!(
                    "https://{region}.console.aws.amazon.com/cloudformation/home?region={region}#/"
                ))
            })
        };
        assert!(link.is_none_or(leads_to_aws), "{fragment}: {link:?}");
        let templates = link.map(|link| link.matches("templateURL=https%3A%2F%2Freleases-").count());
        assert!(templates.is_none_or(|count| count == 1), "{fragment}: {link:?}");
        let mailto = state["mailto"].as_str().unwrap_or_default();
        assert!(mailto.starts_with("mailto:?subject=") && !mailto.contains('\n'), "{mailto}");
        assert_eq!(mailto.matches('&').count(), 1, "the body alone: {mailto}");
        let subject = mailto.split('&').next().unwrap_or_default();
        assert!(!subject.contains("%0A") && !subject.contains("%0D"), "no other header: {subject}");
        assert!(!link.unwrap_or_default().contains("ExternalId"), "{fragment}");
        // No command line can carry that character, and no field takes it.
        read_by_shell(&state["aws"].as_str().unwrap_or_default().replace('\0', ""))?;
    }
    let notice = states[0]["notice"].as_str().unwrap_or_default();
    assert!(notice.contains("more than 8192 characters"), "{notice}");
    Ok(())
}
