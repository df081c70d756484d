//! Each kind of source that the AWS chain knows, standing beside the program.

use std::fs;

use crate::support::*;

#[test]
fn variables_of_the_environment() {
    Setup::new().with_keys().start().signs_with_the_known();
}

#[test]
fn the_default_profile_of_a_file() {
    Setup::new().file(".aws/credentials", &profile("default", KEY)).start().signs_with_the_known();
}

#[test]
fn a_profile_that_aws_profile_names() {
    Setup::new()
        .file(".aws/credentials", &(profile("default", "AKIAOTHER") + &profile("dev", KEY)))
        .with("AWS_PROFILE", "dev")
        .start()
        .signs_with_the_known();
}

#[test]
fn a_credential_process() {
    let printed = format!(
        r#"{{"Version":1,"AccessKeyId":"{KEY}","SecretAccessKey":"{SECRET}","SessionToken":"{TOKEN}"}}"#
    );
    let setup = Setup::new().file("printed.json", &printed);
    let process = format!("[default]\ncredential_process = cat {}\n", setup.path("printed.json"));
    setup.file(".aws/config", &process).start().signs_with_the_known();
}

#[test]
fn the_agent_of_ecs() {
    for address in loopbacks() {
        let agent = Stub::agent(address);
        Setup::new()
            .with(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{}/v2/credentials/id", agent.url()),
            )
            .start()
            .signs_with_the_known();
        assert_eq!(agent.arrived().len(), 1);
        assert_eq!(agent.arrived()[0].line, "GET /v2/credentials/id HTTP/1.1");
    }
}

#[test]
fn the_agent_of_eks_pod_identity() {
    for address in loopbacks() {
        let agent = agent_that_takes(address, "the-pods-own-token");
        let setup = Setup::new().file("token", "the-pods-own-token");
        let file = setup.path("token");
        let running = setup
            .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/v1/credentials", agent.url()))
            .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)
            .start();
        running.output.wait_for("credentials loaded");
        assert!(!running.output.lines.lock().unwrap().join("\n").contains("the-pods-own-token"));
        running.signs_with_the_known();
    }
}

const ROLE: &str = "GET /latest/meta-data/iam/security-credentials/";

/// IMDS version 2: nothing without a token that was asked for by PUT, with a lifetime.
fn imds(request: &Arrived) -> (u16, String) {
    let token = request.header("x-aws-ec2-metadata-token");
    let lifetime = request.header("x-aws-ec2-metadata-token-ttl-seconds");
    match (request.line.trim_end_matches(" HTTP/1.1"), token) {
        ("PUT /latest/api/token", None) if lifetime.is_some() => (200, "imds-token".into()),
        (ROLE, Some("imds-token")) => (200, "the-role".into()),
        (get, Some("imds-token")) if get == format!("{ROLE}the-role") => (200, given(KEY)),
        (get, Some("imds-token")) if get.contains("security-credentials-extended/") => {
            (404, String::new())
        }
        _ => (401, String::new()),
    }
}

#[test]
fn version_two_of_imds() {
    for address in loopbacks() {
        let imds = Stub::start(address, imds);
        let running = Setup::new()
            .with("AWS_EC2_METADATA_DISABLED", "false")
            .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url())
            .start();
        running.output.wait_for("credentials loaded");
        assert!(!running.output.lines.lock().unwrap().join("\n").contains("imds-token"));
        running.signs_with_the_known();
        let lines: Vec<_> = imds.arrived().into_iter().map(|request| request.line).collect();
        assert!(lines.iter().any(|line| line.starts_with("PUT /latest/api/token")), "{lines:?}");
    }
}

#[test]
fn a_web_identity() {
    let sts = Stub::start("127.0.0.1:0", |request| {
        let asked = ["Action=AssumeRoleWithWebIdentity", "WebIdentityToken=the-pods-jwt"];
        if !asked.iter().all(|asked| request.body.contains(asked)) {
            return (400, request.body.clone());
        }
        (200, given_by_sts("AssumeRoleWithWebIdentity", KEY))
    });
    let setup = Setup::new().file("jwt", "the-pods-jwt");
    let file = setup.path("jwt");
    let running = setup
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", &file)
        .with("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/caller")
        .with("AWS_ENDPOINT_URL_STS", &sts.url())
        .start();
    running.output.wait_for("credentials loaded");
    assert!(!running.output.lines.lock().unwrap().join("\n").contains("the-pods-jwt"));
    running.signs_with_the_known();
    assert_eq!(sts.arrived().len(), 1);
}

/// An agent that takes one token and gives credentials that are to be asked for again soon.
fn agent_that_takes(address: &str, token: &'static str) -> Stub {
    Stub::start(address, move |request| match request.header("authorization") {
        Some(sent) if sent == token => (200, given(KEY)),
        other => (401, format!("{{\"code\":\"AccessDenied\",\"message\":\"not {other:?}\"}}")),
    })
}

#[test]
fn a_token_file_that_changes_is_read_at_each_load() {
    let agent = agent_that_takes("127.0.0.1:0", "the-second-token");
    let setup = Setup::new().file("token", "the-first-token");
    let file = setup.path("token");
    let running = setup
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)
        .start();
    running.output.wait_for("credentials could not be loaded");
    assert_eq!(running.admin("/readyz"), 503);
    fs::write(&file, "the-second-token").unwrap();
    running.output.wait_for("credentials loaded");
    running.signs_with_the_known();
}

#[test]
fn a_token_file_with_a_newline_is_named() {
    let agent = agent_that_takes("127.0.0.1:0", "the-token");
    let setup = Setup::new().file("token", "the-token\n");
    let file = setup.path("token");
    let running = setup
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file)
        .start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(
        line.contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") && line.contains("newline"),
        "{line}"
    );
    fs::write(&file, "the-token").unwrap();
    running.output.wait_for("credentials loaded");
    running.signs_with_the_known();
}

/// A portal of IAM Identity Center that knows one access token.
fn portal() -> Stub {
    Stub::start("127.0.0.1:0", |request| match request.header("x-amz-sso_bearer_token") {
        Some("the-sso-token") => (
            200,
            format!(
                r#"{{"roleCredentials":{{"accessKeyId":"{KEY}","secretAccessKey":"{SECRET}",
                    "sessionToken":"{TOKEN}","expiration":4070908800000}}}}"#
            ),
        ),
        _ => (401, r#"{"message":"Session token not found or invalid"}"#.into()),
    })
}

#[test]
fn a_login_of_sso_is_picked_up_without_a_restart() {
    let portal = portal();
    let config = "[default]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = dev\n\
                  [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n";
    let running = Setup::new()
        .file(".aws/config", config)
        .with("AWS_ENDPOINT_URL_SSO", &portal.url())
        .start();
    let line = running.output.wait_for("credentials could not be loaded");
    assert!(line.contains("aws sso login"), "{line}");
    let cache = running.home.path().join(".aws/sso/cache");
    fs::create_dir_all(&cache).unwrap();
    let token = r#"{"accessToken":"the-sso-token","expiresAt":"2099-01-01T00:00:00Z"}"#;
    fs::write(cache.join("ee0bfd2552fbd840c02cc48b6e823320543c450f.json"), token).unwrap(); // the SHA-1 of `corp`
    running.output.wait_for("credentials loaded");
    assert!(!running.output.lines.lock().unwrap().join("\n").contains("the-sso-token"));
    running.signs_with_the_known();
}
