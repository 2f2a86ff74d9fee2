//! The page as people meet it: with the keyboard, by a link, in the dark, on a telephone, without scripts.

use cavatica_tests::Outcome;
use serde_json::{Value, json};

use super::setting::Setting;

#[tokio::test]
async fn axe_finds_nothing_in_either_theme_at_any_width() -> Outcome {
    let setting = Setting::prepare().await?;
    let states = [
        ("empty", "#"),
        ("filled", "#v=0.0.9&BucketName=my-bucket&Prefix=raw/2026&AccessMode=ReadWrite&zz=1"),
        ("refused", "#BucketName=My_Bucket&Prefix=raw*&region=mars"),
        ("native", "#kind=native&BucketName=my-bucket"),
    ];
    for page in [setting.file(), setting.unreleased()] {
        let found = setting.browser.run("accessibility", &json!({"page": page, "states": states})).await?;
        assert_eq!(found["findings"], json!([]));
        assert!(found["rules"].as_u64().is_some_and(|rules| rules >= 20), "axe looked: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn works_with_the_keyboard_and_by_link_and_shows_errors_in_place() -> Outcome {
    let setting = Setting::prepare().await?;
    let http = setting.serve().await?;
    let seen = setting.browser.run("use", &json!({"file": setting.file(), "http": http})).await?;
    let text = |name: &str| seen[name].as_str().unwrap_or_default();

    assert_eq!(text("firstFocus"), "field-BucketName");
    assert_eq!(text("whileTyping"), "", "nothing is said while somebody types");
    assert!(text("afterLeaving").starts_with("It must be a bucket's name: 3 to 63"), "{seen:#}");
    assert_eq!(text("described"), "field-BucketName-error field-BucketName-hint");
    assert_eq!(text("invalid"), "true");
    assert!(text("summary").contains("It must be a bucket's name"), "{seen:#}");
    assert_eq!((text("summaryFocus"), text("linkFocus")), ("summary", "field-BucketName"));
    assert_eq!(seen["opened"], 2, "the console did not open: the first blank page and this one");
    assert_eq!(text("tidied"), "raw/2026");
    assert_eq!(text("live"), "Documents updated");
    assert!(text("fragment").contains("BucketName=my-bucket&Prefix=raw%2F2026"), "{}", text("fragment"));
    assert_eq!((text("reloaded"), text("back"), text("forward")), ("my-bucket", "my-bucket", "another-bucket"));
    assert_eq!(text("pasted"), "arn:aws:s3:::pasted-bucket");
    assert!(text("notCopied").contains("does not let the page copy"), "{seen:#}");
    assert!(text("selection").starts_with("https://us-east-1.console.aws.amazon.com/"), "{}", text("selection"));
    assert_eq!(seen["troubles"], json!([]));

    assert_eq!(text("copied"), "Copied.");
    assert!(text("clipboard").starts_with(&http) && text("clipboard").contains("#v=0.1.0&"), "{}", text("clipboard"));
    assert_eq!(
        (&seen["reopened"]["BucketName"], &seen["reopened"]["Prefix"]),
        (&json!("my-bucket"), &json!("raw/2026"))
    );

    assert_eq!(text("kindFocus"), "field-kind");
    let ids: Vec<String> = serde_json::from_value(seen["ids"].clone())?;
    let is_random = |id: &String| id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
    assert!(ids.iter().all(is_random) && ids[0] != ids[1], "{ids:?}");
    let everywhere_else =
        [&seen["native"]["launch"], &seen["native"]["mail"], &seen["native"]["aws"], &seen["nativeFragment"]];
    let has_id = |text: &&Value| ids.iter().any(|id| text.to_string().contains(id));
    assert!(!everywhere_else.iter().any(has_id), "the external ID is in no link, mail or command: {seen:#}");
    assert_eq!(seen["servedTroubles"], json!([]));

    for part in ["runs no scripts", "aws cloudformation deploy", "create a role: choose a custom trust policy"] {
        assert!(text("withoutScript").contains(part), "{part}: {}", text("withoutScript"));
    }
    assert!(!text("withoutScript").contains("Copy the link"), "{}", text("withoutScript"));
    Ok(())
}
