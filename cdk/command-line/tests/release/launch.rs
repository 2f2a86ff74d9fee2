//! Links from a published release.

use std::error::Error;
use std::process::Output;

use cavatica_connect::publish::versions;
use cavatica_local::workspace::Workspace;

use crate::publisher::{Outcome, Publisher, REGIONS, bucket, said};

#[tokio::test]
async fn a_link_is_made_from_the_list_of_the_region_that_it_is_for() -> Outcome {
    let publisher = Publisher::start().await?;
    assert!(publisher.publish(&["--create-buckets"]).await?.status.success());
    let list = |region: &str| format!("https://{}.s3.{region}.amazonaws.com/{}", bucket(region), versions::KEY);
    let file = publisher.folder.path().join("versions.json");
    std::fs::write(&file, publisher.versions("us-east-1").await?.to_json())?;
    let (list_here, file) = (list("us-east-1"), file.display().to_string());
    let launch = async |arguments: &[&str]| -> Result<Output, Box<dyn Error>> {
        let bucket = ["launch-url", "--param", "BucketName=my-bucket"];
        Ok(publisher.connect(&[&bucket, arguments].concat()).output().await?)
    };
    for (arguments, region) in [
        (&["--release", &list_here][..], "us-east-1"),
        (&["--release", &file], "us-east-1"),
        (&["--release", &list_here, "--region", "eu-west-1", "--native"], "eu-west-1"),
        (&["--release", &list_here, "--version", "0.1.0", "--region", "ap-southeast-2"], "ap-southeast-2"),
    ] {
        let output = launch(arguments).await?;
        let link = String::from_utf8(output.stdout.clone())?;
        let template =
            format!("templateURL=https%3A%2F%2F{}.s3.{region}.amazonaws.com%2Fcavatica-connect%2F", bucket(region));
        assert!(
            link.starts_with(&format!("https://{region}.console")) && link.contains(&template),
            "{}",
            said(&output)
        );
        let is_native = arguments.contains(&"--native");
        assert_eq!(link.contains("cavatica-volume-native.template.yaml"), is_native, "{link}");
        assert_eq!(output.stderr.is_empty(), !is_native, "{}", said(&output));
    }
    let at_other_region = list("eu-west-1");
    for (arguments, expected) in [
        (&["--release", &file, "--region", "eu-west-1"][..], format!("that of eu-west-1 is at {at_other_region}")),
        (
            &["--release", &list_here, "--region", "eu-west-2"],
            "is not published in eu-west-2: take ap-southeast-2 or".to_owned(),
        ),
        (&["--release", &list_here, "--version", "0.2.0"], "there is no release 0.2.0 in it: it has 0.1.0".to_owned()),
        (&["--release", &list("us-west-2")], format!("there is no object at https://{}.s3", bucket("us-west-2"))),
        (&["--release", "nowhere/versions.json"], "cannot read nowhere/versions.json".to_owned()),
    ] {
        let output = launch(arguments).await?;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        assert!(said(&output).contains(&expected), "{}", said(&output));
    }
    let hidden = launch(&["--release", &list_here, "--param", "AssetKey=x"]).await?;
    assert!(
        said(&hidden).contains("no parameter \"AssetKey\""),
        "checked against the published template: {}",
        said(&hidden)
    );
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_list_that_differs_from_the_given_one_is_not_followed() -> Outcome {
    let publisher = Publisher::start().await?;
    assert!(publisher.publish(&["--create-buckets"]).await?.status.success());
    // Somebody else's bucket by now, with their code behind the same version.
    let mut theirs = publisher.versions("eu-west-1").await?;
    for release in &mut theirs.releases {
        release.buckets.insert("eu-west-1".to_owned(), "their-bucket".to_owned());
    }
    let s3 = publisher.s3("eu-west-1");
    let put = s3.put_object().bucket(bucket("eu-west-1")).key(versions::KEY).body(theirs.to_json().into_bytes().into());
    put.send().await?;
    let list = format!("https://{}.s3.us-east-1.amazonaws.com/{}", bucket("us-east-1"), versions::KEY);
    let output = publisher.connect(&["launch-url", "--release", &list, "--region", "eu-west-1"]).output().await?;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(said(&output).contains("does not have release 0.1.0 as the given list has it"), "{}", said(&output));
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_release_whose_template_this_program_does_not_make_is_left_to_its_own_program() -> Outcome {
    let publisher = Publisher::start().await?;
    assert!(publisher.publish(&["--create-buckets"]).await?.status.success());
    let mut list = publisher.versions("us-east-1").await?;
    for file in list.releases.iter_mut().flat_map(|release| &mut release.files) {
        file.content.sha256 = "0".repeat(64);
    }
    let file = publisher.folder.path().join("versions.json");
    std::fs::write(&file, list.to_json())?;
    let output = publisher.connect(&["launch-url", "--release", &file.display().to_string()]).output().await?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("use the cavatica-connect of that release"), "{}", said(&output));
    publisher.engine.stop().await?;
    Ok(())
}

/// Runs the commands of docs/publishing.md as they stand there.
#[tokio::test]
async fn the_commands_of_the_publishing_document_publish_and_make_a_link() -> Outcome {
    let publisher = Publisher::start().await?;
    let document = std::fs::read_to_string(Workspace::locate()?.root.join("docs/publishing.md"))?.replace("\\\n", " ");
    let line = |command: &str| -> Result<Vec<String>, Box<dyn Error>> {
        let found = document.lines().find(|line| line.starts_with(&format!("cargo connect {command} ")));
        Ok(found.ok_or("no such line")?.split_whitespace().skip(2).map(str::to_owned).collect())
    };
    let folder = publisher.folder.path().display().to_string();
    let mut publish = line("publish")?;
    publish.extend(["--package".to_owned(), folder]);
    for (arguments, expected) in
        [(publish, "✓ eu-west-1"), (line("launch-url")?, "https://us-east-1.console.aws.amazon.com/")]
    {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = publisher.connect(&arguments).output().await?;
        assert!(output.status.success() && said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn the_page_of_a_release_is_the_one_that_is_published_beside_its_templates() -> Outcome {
    let publisher = Publisher::start().await?;
    assert!(publisher.publish(&["--create-buckets"]).await?.status.success());
    let list = publisher.places()[0].object(versions::KEY).to_string();
    let out = publisher.folder.path().join("page").display().to_string();
    let written = publisher.connect(&["page", "--release", &list, "--out", &out]).output().await?;
    assert!(written.status.success(), "{}", said(&written));
    let page = std::fs::read(format!("{out}/launch.html"))?;

    for region in REGIONS {
        let listed = publisher.versions(region).await?;
        let file = listed.releases[0].file("launch.html").ok_or("no page in the list")?;
        let call = publisher.s3(region).get_object().bucket(bucket(region)).key(&file.key);
        let object = call.send().await?;
        assert_eq!(object.content_type(), Some("text/html; charset=utf-8"));
        assert_eq!(object.body.collect().await?.to_vec(), page, "{region}");
    }
    let refused =
        publisher.connect(&["page", "--release", &list, "--version", "9.9.9", "--out", &out]).output().await?;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    publisher.engine.stop().await?;
    Ok(())
}
