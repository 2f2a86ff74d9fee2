//! The command line as people meet it: what it prints, where, and with which exit code.

use std::process::{Command, Output};

use cavatica_access::request::Request;
use cavatica_access::{blueprint, permissions};
use cavatica_generator::cfn::read;
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:123456789012:stack/my-volume/0a1b2c3d-0001-0002-0003-000400050006";

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_cavatica-connect")).args(arguments).output()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn documents_are_exactly_those_that_the_lambda_would_create() -> Outcome {
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";
    let table: [(&[&str], Value); 4] = [
        (&["--bucket", "my-bucket"], json!({"Volumes": [{"BucketName": "my-bucket"}]})),
        (
            &["--bucket", "my-bucket", "--prefix", "/raw/", "--access", "read-write", "--location", "us-west-2"],
            json!({"Volumes": [{"BucketName": "my-bucket", "Prefix": "raw", "AccessMode": "ReadWrite"}],
                   "ProjectLocations": ["us-west-2"]}),
        ),
        (
            &["--bucket", "my-bucket", "--kms-key-arn", key, "--external-id", "lab-1234"],
            json!({"Volumes": [{"BucketName": "my-bucket", "KmsKeyArn": key}], "ExternalId": "lab-1234"}),
        ),
        (
            &[
                "--volume",
                "my-bucket/a:rw",
                "--volume",
                "other-bucket",
                "--trusted-principal",
                "arn:aws:iam::999999999999:role/x",
            ],
            json!({"Volumes": [{"BucketName": "my-bucket", "Prefix": "a", "AccessMode": "ReadWrite"}, {"BucketName": "other-bucket"}],
                   "TrustedPrincipalArn": "arn:aws:iam::999999999999:role/x"}),
        ),
    ];
    for (arguments, mut properties) in table {
        let has_external_id = arguments.contains(&"--external-id");
        let without: &[&str] = if has_external_id { &[] } else { &["--external-id", "none"] };
        let output = run(&[&["documents"], arguments, without].concat())?;
        assert!(
            output.status.success() && stderr(&output).contains("external ID") != has_external_id,
            "{arguments:?}: {}",
            stderr(&output)
        );
        properties["RoleName"] = json!("any");
        let request = Request::parse(&properties)?;
        let mut expected = json!({
            "permissions": blueprint::permissions(&request, &"aws".parse()?).to_value(),
            "trust": blueprint::trust(&request).to_value(),
        });
        if let Some(key) = &request.volumes[0].kms_key {
            let through = format!("s3.{}.amazonaws.com", key.region());
            let statement =
                permissions::key_policy("Cavatica", "ARN-OF-THE-ROLE".to_owned(), through, request.volumes[0].access);
            expected["keyPolicyStatements"] = json!([{"key": key.as_str(), "statement": statement}]);
        }
        assert_eq!(serde_json::from_str::<Value>(&stdout(&output))?, expected, "{arguments:?}");
    }
    let beyond_ascii = run(&["documents", "--bucket", "my-bucket", "--prefix", "日本/ä"])?;
    let said = stdout(&beyond_ascii);
    assert!(said.is_ascii() && said.contains(r"my-bucket/\u65e5\u672c/\u00e4/*"), "{said}");
    let elsewhere = ["documents", "--bucket", "my-bucket", "--partition", "aws-us-gov"];
    let trusted = ["--trusted-principal", "arn:aws-us-gov:iam::999999999999:role/x"];
    assert!(stdout(&run(&[&elsewhere[..], &trusted].concat())?).contains("arn:aws-us-gov:s3:::my-bucket/*"));
    let refused = run(&elsewhere)?;
    assert!(
        refused.status.code() == Some(2)
            && stderr(&refused).contains("pass --trusted-principal with a role in aws-us-gov")
    );
    Ok(())
}

#[test]
fn an_external_id_that_was_not_given_is_made_at_random() -> Outcome {
    let made = || -> Result<String, Box<dyn std::error::Error>> {
        let output = run(&["documents", "--bucket", "my-bucket"])?;
        assert!(stderr(&output).contains("made at random: enter the same ID in Cavatica"), "{}", stderr(&output));
        let documents: Value = serde_json::from_str(&stdout(&output))?;
        let id = &documents["trust"]["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"];
        Ok(id.as_str().ok_or("no external ID")?.to_owned())
    };
    let (one, other) = (made()?, made()?);
    assert!(one.len() == 32 && one != other, "{one} {other}");
    let none = run(&["documents", "--bucket", "my-bucket", "--external-id", "none"])?;
    assert!(!stdout(&none).contains("ExternalId") && stderr(&none).contains("any user of Cavatica who knows"));
    Ok(())
}

/// Returns the platform that the document describes; it does not exist.
fn other_platform() -> Result<&'static str, &'static str> {
    let document = include_str!("../../../docs/platforms.md");
    document.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).ok_or("no example")
}

/// Returns every text that the program generates for another platform names that platform alone. Excepted are the
/// ownership tags, the logical ID's type and the program's own name, which are the same for every platform.
#[test]
fn generated_files_for_another_platform_do_not_name_cavatica() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("other.yaml").display().to_string();
    std::fs::write(&file, other_platform()?)?;
    let out = folder.path().join("templates");
    let written = run(&["synth", "--platform", &file, "--out", &out.display().to_string()])?;
    assert!(written.status.success(), "{}", stderr(&written));
    let mut generated = Vec::new();
    for entry in std::fs::read_dir(&out)? {
        let path = entry?.path();
        generated.push((path.display().to_string(), std::fs::read_to_string(&path)?));
    }
    assert_eq!(generated.len(), 3, "{:?}", generated.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let volume = [
        "--bucket",
        "my-bucket",
        "--access",
        "read-write",
        "--kms-key-arn",
        "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    ];
    for arguments in [
        [&["documents"][..], &volume].concat(),
        vec!["documents", "--operator", "--native"],
        vec!["documents", "--operator"],
        [
            &["launch-url", "--region", "us-east-1", "--format", "json", "--template-url"][..],
            &["https://bkt.s3.amazonaws.com/k"],
        ]
        .concat(),
    ] {
        let output = run(&[&arguments[..], &["--platform", &file]].concat())?;
        assert!(output.status.success(), "{}", stderr(&output));
        generated.push((arguments.join(" "), stdout(&output) + &stderr(&output)));
    }
    for (name, text) in &generated {
        let text = ["cavatica-connect", "CavaticaVolumeAccess", "CAVATICA_STACK_ID", "CAVATICA_TRUSTED_PRINCIPAL_ARN"]
            .iter()
            .fold(text.clone(), |text, own| text.replace(own, ""));
        for trace in ["cavatica", "sbgenomics", "sbg-main", "151136852077", "{platform}", "{slug}", "{api}", "{web}"] {
            let found = text.to_lowercase().find(trace);
            let around = found.map(|at| text.chars().skip(at.saturating_sub(80)).take(200).collect::<String>());
            assert_eq!(around, None, "{name} has {trace}");
        }
    }
    let template =
        generated.iter().find(|(name, _)| name.ends_with("other-volume.template.yaml")).ok_or("no template")?;
    for part in ["CopiesFromApSoutheast2", "other-main-eu/*", "us-east-1,eu-central-1,ap-southeast-2", "CorsOrigin"] {
        assert!(template.1.contains(part), "{part}");
    }
    Ok(())
}

#[test]
fn a_platform_that_cannot_be_is_refused_by_every_command() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("other.yaml").display().to_string();
    for (text, said) in [
        (other_platform()?.replace("arn:aws:", "arn:aws-cn:"), "must be in the partition aws"),
        (other_platform()?.replace("slug: other", "slug: Other"), "slug is"),
        ("- a list".to_owned(), "is not a platform"),
    ] {
        std::fs::write(&file, text)?;
        for command in [&["synth"][..], &["documents", "--bucket", "my-bucket"], &["status"]] {
            let refused = run(&[command, &["--platform", &file]].concat())?;
            assert!(refused.status.code() == Some(2) && stderr(&refused).contains(said), "{}", stderr(&refused));
        }
    }
    let missing = folder.path().join("missing.yaml").display().to_string();
    let refused = run(&["synth", "--platform", &missing])?;
    assert!(refused.status.code() == Some(2) && stderr(&refused).contains("cannot be read"), "{}", stderr(&refused));
    Ok(())
}

#[test]
fn the_operators_policy_is_a_document_ready_to_attach() -> Outcome {
    for (arguments, role) in [
        (vec!["documents", "--operator"], "arn:aws:iam::*:role/cavatica-volume*-ProviderRole-*"),
        (vec!["documents", "--operator", "--native", "--stack-name", "lab"], "arn:aws:iam::*:role/lab*"),
    ] {
        let output = run(&arguments)?;
        assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
        let policy: Value = serde_json::from_str(&stdout(&output))?;
        let statements = policy["Statement"].as_array().ok_or("no statements")?;
        let roles = statements.iter().find(|it| it["Sid"] == "MakeTheRole").ok_or("no rights on roles")?;
        assert_eq!(roles["Resource"][0], role);
    }
    Ok(())
}

#[test]
fn wrong_arguments_are_named_with_their_rule_on_stderr_with_exit_code_2() -> Outcome {
    let url = "https://bkt.s3.amazonaws.com/k";
    let table: [(&[&str], &str); 27] = [
        (&[], "Usage"),
        (&["documents"], "--bucket"),
        (&["documents", "--bucket", "My-Bucket"], "lower case letters"),
        (&["documents", "--bucket", "my-bucket", "--prefix", "a*"], "IAM would read them as patterns"),
        (&["documents", "--bucket", "my-bucket", "--prefix", "s3://my-bucket/raw"], "give raw"),
        (&["documents", "--volume", "my-bucket/arn:aws:s3:::my-bucket/a"], "give a"),
        (&["documents", "--operator", "--bucket", "my-bucket"], "cannot be used with"),
        (&["documents", "--bucket", "my-bucket", "--access", "readonly"], "read-only, read-write"),
        (&["documents", "--bucket", "my-bucket", "--external-id", "12345"], "6 to 1224 characters"),
        (&["documents", "--operator", "--stack-name", "*"], "must be a stack's name"),
        (&["documents", "--bucket", "my-bucket", "--kms-key-arn", "alias/x"], "an alias is not enough"),
        (&["documents", "--bucket", "my-bucket", "--volume", "my-bucket"], "cannot be used with"),
        (&["documents", "--volume", "my-bucket:rx"], "\"rx\" after the colon is unknown: write :ro or :rw"),
        (&["documents", "--bucket", "s3://my-bucket/raw"], "the bucket is my-bucket; give raw as Prefix"),
        (&["documents", "--volume", "s3://my-bucket/raw:rw"], "without an address"),
        (&["launch-url", "--template-url", url, "--region", "us-east-1", "--param", "BucketName"], "NAME=VALUE"),
        (&["launch-url", "--region", "us-east-1"], "--release <FILE|URL>|--template-url <URL>"),
        (&["launch-url", "--template-url", url, "--region", "us-east1"], "did you mean us-east-1?"),
        (&["launch-url", "--template-url", url, "--update", "my-stack"], "must be the ID of a CloudFormation stack"),
        (&["launch-url", "--template-url", url, "--update", STACK, "--param", "Prefix=a"], "cannot be used with"),
        (&["launch-url", "--release", "http://b.s3.amazonaws.com/k"], "the https address of an object in S3"),
        (&["publish", "--regions", "us-east-1"], "--bucket-prefix <PREFIX>|--bucket <NAME>"),
        (&["publish", "--bucket", "b", "--bucket-prefix", "p", "--regions", "us-east-1"], "cannot be used with"),
        (&["publish", "--bucket-prefix", "p", "--regions", "us-east-1,us-west3"], "did you mean us-west-"),
        (&["publish", "--bucket-prefix", "p", "--regions", "us-gov-west-1"], "another AWS partition"),
        (
            &["publish", "--bucket-prefix", "p", "--regions", "us-east-1", "--audience", "all"],
            "must be private, public, org:",
        ),
        (&["nonsense"], "nonsense"),
    ];
    for (arguments, said) in table {
        let output = run(arguments)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    Ok(())
}

#[test]
fn wrong_input_exits_with_2_and_a_failure_with_1_each_with_one_sentence() -> Outcome {
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("missing").display().to_string();
    let many: Vec<String> = (0..60).map(|i| format!("a-long-bucket-name-of-a-laboratory-{i}")).collect();
    let many: Vec<&str> = ["documents"].into_iter().chain(many.iter().flat_map(|name| ["--volume", name])).collect();
    let launch = |url: &'static str, parameter: &'static str| {
        vec!["launch-url", "--template-url", url, "--region", "us-east-1", "--param", parameter]
    };
    let in_s3 = "https://bkt.s3.amazonaws.com/k";
    let drifted = run(&["synth", "--check", "--out", &missing])?;
    assert!(drifted.status.code() == Some(3) && stderr(&drifted).contains("cargo connect synth --out"));
    for (arguments, said) in [
        (many, "fewer volumes at once"),
        (vec!["documents", "--bucket", "my-bucket", "--prefix", "my-bucket/raw"], "the prefix alone: give raw"),
        (vec!["documents", "--bucket", "my-bucket", "--location", "eu-west-1"], "us-east-1 or us-west-2"),
        (launch("https://example.org/k", "BucketName=my-bucket"), "not the https address of an object in S3"),
        (
            vec!["publish", "--bucket", "releases", "--regions", "us-east-1,eu-west-1"],
            "--bucket is for a single region",
        ),
        (
            vec!["publish", "--bucket-prefix", "Releases", "--regions", "us-east-1"],
            "\"Releases-ACCOUNT-us-east-1-an\" cannot be",
        ),
        (vec!["publish", "--bucket-prefix", "our.org", "--regions", "us-east-1"], "without dots"),
        (
            vec![
                "launch-url",
                "--template-url",
                in_s3,
                "--update",
                "arn:aws:cloudformation:us-gov-west-1:123456789012:stack/a/b",
            ],
            "another AWS partition",
        ),
        (launch(in_s3, "Bucket=my-bucket"), "no parameter \"Bucket\""),
        (launch(in_s3, "BucketName=My-Bucket"), "cannot be \"My-Bucket\""),
        (
            [launch(in_s3, "ConfigureCors=true"), vec!["--param", "BucketOwnerAccountId=210987654321"]].concat(),
            "its owner has to configure CORS there",
        ),
    ] {
        let output = run(&arguments)?;
        let sentence = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && sentence.contains(said), "{sentence}");
        assert!(sentence.starts_with("error: ") && sentence.trim_end().lines().count() == 1, "{sentence}");
    }
    Ok(())
}

#[test]
fn synth_writes_templates_and_page_and_then_finds_no_difference() -> Outcome {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("new").display().to_string();
    let written = run(&["synth", "--out", &out])?;
    assert!(written.status.success() && stdout(&written).lines().count() == 3, "{}", stdout(&written));
    assert!(run(&["synth", "--check", "--out", &out])?.status.success());
    Ok(())
}

#[test]
fn a_template_is_printed_in_either_notation_and_nothing_is_written() -> Outcome {
    let folder = tempfile::tempdir()?;
    for (native, resource) in [(&[][..], "ProviderFunction"), (&["--native"], "VolumeRole")] {
        let printed = |format: &'static str| run(&[&["synth", "--format", format], native].concat());
        let (yaml, json) = (stdout(&printed("yaml")?), stdout(&printed("json")?));
        assert!(json.lines().count() == 1 && json.contains(resource), "{json}");
        assert_eq!(read(&yaml), read(&json));
        assert!(read(&json).is_some());
    }
    let out = folder.path().display().to_string();
    assert_eq!(run(&["synth", "--format", "json", "--out", &out])?.status.code(), Some(2));
    Ok(())
}

#[test]
fn a_launch_url_is_one_line_that_opens_the_consoles_form() -> Outcome {
    let arguments = ["launch-url", "--template-url", "https://bkt.s3.amazonaws.com/k.yaml", "--region", "eu-central-1"];
    let output = run(&[&arguments[..], &["--param", "BucketName=my-bucket", "--param", "Prefix=raw data"]].concat())?;
    let link = stdout(&output);
    let (before, after) = link.split_once("&stackName=cavatica-volume-").ok_or("no stack's name")?;
    assert_eq!(
        before,
        "https://eu-central-1.console.aws.amazon.com/cloudformation/home?region=eu-central-1#/stacks/create/review\
         ?templateURL=https%3A%2F%2Fbkt.s3.amazonaws.com%2Fk.yaml"
    );
    assert_eq!(&after[6..], "&param_BucketName=my-bucket&param_Prefix=raw%20data\n");
    assert_ne!(stdout(&run(&arguments)?), stdout(&run(&arguments)?), "a second launch makes another stack");
    Ok(())
}

#[test]
fn an_update_link_names_the_stack_and_says_that_aws_does_not_document_it() -> Outcome {
    let output = run(&["launch-url", "--template-url", "https://bkt.s3.amazonaws.com/k.yaml", "--update", STACK])?;
    let link = stdout(&output);
    assert!(link.starts_with("https://eu-central-1.console.aws.amazon.com/") && link.lines().count() == 1, "{link}");
    assert!(link.contains("#/stacks/update/template?stackId=arn%3Aaws%3A") && !link.contains("param_"), "{link}");
    assert!(stderr(&output).contains("AWS does not document links for updates"), "{}", stderr(&output));
    Ok(())
}

#[test]
fn every_form_of_a_link_goes_to_standard_output_alone() -> Outcome {
    let arguments = [
        "launch-url",
        "--template-url",
        "https://bkt.s3.eu-central-1.amazonaws.com/k.yaml",
        "--region",
        "eu-central-1",
    ];
    let of = |form: &str| run(&[&arguments[..], &["--param", "BucketName=my-bucket", "--format", form]].concat());
    let json: Value = serde_json::from_slice(&of("json")?.stdout)?;
    assert_eq!(json["parameters"], json!({"BucketName": "my-bucket"}));
    assert!(json["url"].as_str().is_some_and(|url| url.contains(json["stack_name"].as_str().unwrap_or("none"))));
    assert!(stdout(&of("markdown")?).starts_with("[Connect my-bucket to Cavatica](https://eu-central-1.console"));
    assert!(stdout(&of("html")?).contains("&amp;param_BucketName=my-bucket\">Connect my-bucket to Cavatica</a>"));
    let qr = stdout(&of("qr")?);
    assert!(qr.lines().count() > 20 && qr.lines().all(|line| line.chars().count() < 80), "{qr}");
    Ok(())
}

#[test]
fn a_release_that_could_not_be_written_is_not_built() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a-file");
    std::fs::write(&file, "")?;
    let refused = run(&["package", "--out", &file.join("below").display().to_string()])?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("a-file/below") && stderr(&refused).contains("--out"), "{}", stderr(&refused));
    assert_eq!(stdout(&refused), "", "no build began");
    Ok(())
}

#[test]
fn every_command_completes_in_a_shell_and_has_a_manual_page() -> Outcome {
    const COMMANDS: [&str; 6] = ["synth", "documents", "package", "publish", "launch-url", "verify"];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&run(&["completions", shell])?);
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
    }
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("man1").display().to_string();
    assert!(run(&["man", "--out", &out])?.status.success());
    for command in COMMANDS {
        assert!(folder.path().join(format!("man1/cavatica-connect-{command}.1")).is_file(), "{command}");
    }
    Ok(())
}

/// A changed help shows here, so that each is read. `INSTA_UPDATE=always` renews the snapshot.
#[test]
fn every_help_is_as_in_the_snapshot() -> Outcome {
    let first_screen = stdout(&run(&["--help"])?);
    let names =
        first_screen.lines().skip_while(|line| !line.ends_with("a bucket:")).take_while(|line| *line != "Options:");
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).map(str::to_owned);
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 14, "{names:?}");
    let mut helps = vec![first_screen];
    for name in &names {
        helps.push(stdout(&run(&[name, "--help"])?));
    }
    insta::assert_snapshot!(helps.join("\n────────\n\n").trim_end());
    Ok(())
}
