//! Each kind of source that the AWS chain knows, standing beside the program.

use std::net::TcpListener;

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
    for address in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(address).is_err() {
            continue; // no IPv6 here
        }
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
    let agent = Stub::start("127.0.0.1:0", |request| match request.header("authorization") {
        Some("the-pods-own-token") => (200, given(KEY)),
        other => (401, format!("{other:?}")),
    });
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

#[test]
fn version_two_of_imds() {
    let imds = Stub::start("127.0.0.1:0", |request| {
        let first = request.line.as_str();
        let token = request.header("x-aws-ec2-metadata-token");
        let ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds");
        let role = "/latest/meta-data/iam/security-credentials/";
        let extended = "/latest/meta-data/iam/security-credentials-extended/";
        match (first, token) {
            ("PUT /latest/api/token HTTP/1.1", None) if ttl.is_some() => (200, "imds-token".into()),
            (get, Some("imds-token")) if get == format!("GET {role} HTTP/1.1") => {
                (200, "the-role".into())
            }
            (get, Some("imds-token")) if get == format!("GET {role}the-role HTTP/1.1") => {
                (200, given(KEY))
            }
            (get, Some("imds-token")) if get.contains(extended) => (404, String::new()),
            _ => (401, String::new()),
        }
    });
    let running = Setup::new()
        .with("AWS_EC2_METADATA_DISABLED", "false")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url())
        .start();
    running.signs_with_the_known();
    let lines: Vec<_> = imds.arrived().into_iter().map(|request| request.line).collect();
    assert!(lines.iter().any(|line| line.starts_with("PUT /latest/api/token")), "{lines:?}");
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
