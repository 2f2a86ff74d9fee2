//! Which account a command works in, and how it gets there: profiles, proxies, silence, no credentials.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::faulty_aws::{Fault, FaultyAws};
use crate::operator::{BUCKET, Operator, STACK, expect, in_one_line};
use crate::publisher::{Outcome, Publisher};

const LAB: &str = "222222222222";

/// Configuration files with a profile of another account and one without a region.
fn configure(publisher: &Publisher) -> Outcome {
    let folder = publisher.folder.path().join(".aws");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("config"), "[profile lab]\nregion = us-east-1\n[profile nowhere-yet]\n")?;
    let keys = |profile: &str| format!("[{profile}]\naws_access_key_id = {LAB}\naws_secret_access_key = x\n");
    std::fs::write(folder.join("credentials"), keys("lab") + &keys("nowhere-yet"))?;
    Ok(())
}

#[tokio::test]
async fn an_explicit_profile_alone_decides_the_account() -> Outcome {
    let operator = Operator::start().await?;
    operator.deployed(&["--bucket", BUCKET]).await?;
    configure(&operator.publisher)?;
    let profile = ["--profile", "lab"];
    // The environment has keys of the account with the stack; the profile is another account's.
    for (arguments, code) in [
        (&["destroy", "--yes"][..], 0),
        (&["list"], 0),
        (&["status"], 1),
        (&["deploy", "--dry-run", "--native", "--bucket", BUCKET], 1),
    ] {
        let output = operator.run(&[arguments, &profile].concat()).await?;
        expect(&output, code, &[]).map_err(|error| format!("{arguments:?}: {error}"))?;
        let text = in_one_line(&output);
        assert!(text.contains(LAB) || text.contains("there is no stack"), "{arguments:?}: {text}");
        assert!(!text.contains("123456789012"), "{arguments:?}: {text}");
    }
    assert_eq!(operator.status(STACK).await?.as_deref(), Some("CREATE_COMPLETE"));
    // AWS_PROFILE behaves as in the SDK: keys in the environment beat it.
    let output = operator.publisher.connect(&["list"]).env("AWS_PROFILE", "lab").output().await?;
    expect(&output, 0, &["123456789012", STACK])?;
    let mut without_keys = operator.publisher.connect(&["list"]);
    let without_keys = without_keys.env_remove("AWS_ACCESS_KEY_ID").env("AWS_PROFILE", "lab").output().await?;
    expect(&without_keys, 0, &[LAB, "none"])?;
    operator.publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_missing_profile_is_named_before_any_call() -> Outcome {
    let publisher = Publisher::start().await?;
    configure(&publisher)?;
    let aws = FaultyAws::start(publisher.engine.url()).await?;
    for command in ["list", "status", "verify", "destroy"] {
        let arguments: &[&str] = match command {
            "verify" => &["verify", "stack", "--package", "x"],
            "destroy" => &["destroy", "--yes"],
            _ => &[command],
        };
        let arguments = [arguments, &["--profile", "lap"]].concat();
        let output = publisher.connect(&arguments).env("AWS_ENDPOINT_URL", &aws.url).output().await?;
        let files = ["there is no profile lap in ~/.aws/config or ~/.aws/credentials: choose one of lab, nowhere-yet"];
        expect(&output, 1, &files).map_err(|error| format!("{command}: {error}"))?;
    }
    assert_eq!(aws.calls(), [""; 0], "no call");
    let elsewhere = publisher.folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "[profile other]\n")?;
    let mut command = publisher.connect(&["list", "--profile", "lab2"]);
    let output = command.env("AWS_CONFIG_FILE", &elsewhere).output().await?;
    expect(&output, 1, &[&format!("there is no profile lab2 in {}", elsewhere.display())])?;
    let mut without_region = publisher.connect(&["list", "--profile", "nowhere-yet"]);
    let without_region = without_region.env_remove("AWS_REGION").output().await?;
    expect(&without_region, 2, &["and profile nowhere-yet has none: give it with --region"])?;
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn proxies_of_the_environment_are_used_and_a_refusal_is_named() -> Outcome {
    let publisher = Publisher::start().await?;
    let proxy = FaultyAws::start(publisher.engine.url()).await?;
    let endpoint = "http://aws.example.invalid";
    let through = |variable: &str| {
        let mut command = publisher.connect(&["list"]);
        command.env("AWS_ENDPOINT_URL", endpoint).env(variable, &proxy.url);
        command
    };
    for variable in ["HTTP_PROXY", "http_proxy"] {
        let before = proxy.proxied();
        expect(&through(variable).output().await?, 0, &["none"])?;
        assert!(proxy.proxied() > before, "{variable} counts no request");
    }
    let before = proxy.proxied();
    let direct = through("HTTP_PROXY").env("NO_PROXY", "example.invalid").output().await?;
    expect(&direct, 1, &["cannot ask whose credentials these are: AWS does not answer"])?;
    assert_eq!(proxy.proxied(), before, "NO_PROXY is honoured");
    let begun = Instant::now();
    let mut refused = publisher.connect(&["list"]);
    refused.env_remove("AWS_ENDPOINT_URL").env("HTTPS_PROXY", &proxy.url);
    let refused = refused.output().await?;
    expect(&refused, 1, &["cannot ask whose credentials these are: AWS does not answer", "proxy"])?;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn without_credentials_one_line_has_the_remedy() -> Outcome {
    let publisher = Publisher::start().await?;
    for command in [&["list"][..], &["deploy", "--dry-run", "--native", "--bucket", BUCKET], &["destroy", "--yes"]] {
        let begun = Instant::now();
        let output = publisher.connect(command).env_remove("AWS_ACCESS_KEY_ID").output().await?;
        expect(&output, 1, &["error: there are no AWS credentials: sign in, for example with `aws sso login`"])?;
        let text = in_one_line(&output).to_lowercase();
        assert!(!text.contains("metadata") && !text.contains("imds"), "{text}");
        // The metadata service is asked four times on a machine where it does not answer at all.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_silent_server_is_named_within_ten_seconds() -> Outcome {
    let publisher = Publisher::start().await?;
    let aws = FaultyAws::start(publisher.engine.url()).await?;
    let host = aws.url.trim_start_matches("http://").to_owned();
    aws.spoil("GetCallerIdentity", 0, 99, Fault::Silent);
    let begun = Instant::now();
    let output = publisher.connect(&["list"]).env("AWS_ENDPOINT_URL", &aws.url).output().await?;
    expect(&output, 1, &[&format!("{host} has not answered for 5 s"), "AWS does not answer"])?;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    let aws = FaultyAws::start(publisher.engine.url()).await?;
    let host = aws.url.trim_start_matches("http://").to_owned();
    aws.spoil("ListStacks", 0, 99, Fault::Silent);
    let mut command = publisher.connect(&["list"]);
    command.env("AWS_ENDPOINT_URL", &aws.url).stderr(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::null());
    let mut running = command.spawn()?;
    let stderr = running.stderr.take().ok_or("no standard error")?;
    let printed = tokio::time::timeout(Duration::from_secs(10), async {
        let (mut printed, mut stderr) = (String::new(), stderr);
        while !printed.contains("waiting on") && stderr.read_u8().await.map(|byte| printed.push(byte.into())).is_ok() {}
        printed
    });
    let printed = printed.await?;
    assert!(printed.contains(&format!("{host} has not answered")), "{printed}");
    running.kill().await?;
    publisher.engine.stop().await?;
    Ok(())
}

/// Returns a server that opens TLS in front of a plain one, as some proxies do; returns its port and its certificate.
async fn opened_tls(plain: &str) -> Result<(u16, String), Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (port, plain) = (listener.local_addr()?.port(), plain.trim_start_matches("http://").to_owned());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut server = tokio::net::TcpStream::connect(plain).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok((port, made.cert.pem()))
}

#[tokio::test]
async fn certificates_of_a_proxy_that_opens_tls_are_taken_from_two_variables() -> Outcome {
    let publisher = Publisher::start().await?;
    let (port, certificate) = opened_tls(publisher.engine.url()).await?;
    let bundle = publisher.folder.path().join("ca.pem");
    std::fs::write(&bundle, certificate)?;
    let through_tls = || {
        let mut command = publisher.connect(&["list"]);
        command.env("AWS_ENDPOINT_URL", format!("https://localhost:{port}"));
        command
    };
    for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let output = through_tls().env(variable, &bundle).output().await?;
        expect(&output, 0, &["none"]).map_err(|error| format!("{variable}: {error}"))?;
    }
    let refused = through_tls().output().await?;
    expect(&refused, 1, &["AWS does not answer", "certificate"])?;
    publisher.engine.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_bundle_of_certificates_that_cannot_be_used_is_named() -> Outcome {
    let publisher = Publisher::start().await?;
    for (bundle, expected) in [("/nowhere/ca.pem", "cannot read /nowhere/ca.pem"), ("/etc/hostname", "no certificate")]
    {
        let output = publisher.connect(&["list"]).env("AWS_CA_BUNDLE", bundle).output().await?;
        expect(&output, 1, &[expected, "AWS_CA_BUNDLE"])?;
    }
    publisher.engine.stop().await?;
    Ok(())
}
