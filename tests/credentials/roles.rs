//! Roles that targets assume, at an STS on loopback.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::*;

/// An STS that gives `ASIA` and the role's name to whoever asks.
fn sts() -> Stub {
    Stub::start("127.0.0.1:0", |request| (200, given_by_sts("AssumeRole", &key_of(&request.body))))
}

fn key_of(body: &str) -> String {
    format!("ASIA{}", body.split_once("%3Arole%2F").unwrap().1.split('&').next().unwrap())
}

/// A table of targets, each with a route of its name, and what its `credentials` say.
fn targets(setup: Setup, named: &[(&str, &str)]) -> Setup {
    let url = setup.target.url();
    let table = |(name, credentials): &(&str, &str)| {
        format!(
            "[targets.{name}]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
             credentials = {credentials}\n\
             [[routes]]\npath = \"/{name}/{{proxy+}}\"\ntarget = \"{name}\"\n"
        )
    };
    Setup { config: named.iter().map(table).collect(), ..setup }
}

fn role(name: &str) -> String {
    format!("{{ assume_role = {{ arn = \"arn:aws:iam::111122223333:role/{name}\" }} }}")
}

#[test]
fn a_role_is_assumed_with_what_the_chain_gives() {
    let sts = sts();
    let setup = Setup::new()
        .with_keys()
        .with("AWS_ENDPOINT_URL_STS", &sts.url())
        .with("AWS_REGION", "eu-central-1");
    let everything = "{ assume_role = { arn = \"arn:aws:iam::111122223333:role/orders\", \
                      external_id = \"the-id\", session_name = \"me@here\", duration = \"15m\" } }";
    let running = targets(setup, &[("orders", everything), ("users", &role("users"))]).start();
    for (name, key) in [("orders", "ASIAorders"), ("users", "ASIAusers")] {
        assert_eq!(running.get(&format!("/{name}/1")).0, 200);
        let arrived = running.target.arrived().pop().unwrap();
        assert_eq!((arrived.key(), arrived.header("x-amz-security-token")), (key, Some(TOKEN)));
    }
    let asked = sts.arrived();
    assert_eq!(asked.len(), 2);
    for request in &asked {
        let authorization = request.header("authorization").unwrap();
        assert!(authorization.contains(&format!("Credential={KEY}/")), "{authorization}");
        assert!(authorization.contains("/eu-central-1/sts/aws4_request"), "{authorization}");
        assert_eq!(request.header("x-amz-security-token"), Some(TOKEN));
    }
    let body = |name: &str| {
        let of_role = asked.iter().find(|request| request.body.contains(name));
        of_role.unwrap().body.split('&').map(str::to_owned).collect::<Vec<_>>()
    };
    let orders = body("orders");
    for parameter in [
        "ExternalId=the-id",
        "RoleSessionName=me%40here",
        "DurationSeconds=900",
        "Action=AssumeRole",
    ] {
        assert!(orders.iter().any(|has| has == parameter), "no {parameter} in {orders:?}");
    }
    let users = body("users");
    for parameter in ["RoleSessionName=countersign", "DurationSeconds=3600"] {
        assert!(users.iter().any(|has| has == parameter), "no {parameter} in {users:?}");
    }
    assert!(!users.iter().any(|has| has.starts_with("ExternalId")), "{users:?}");
    for request in &asked {
        let written = running.output.lines.lock().unwrap().join("\n");
        assert!(!written.contains(request.signature()), "a signature in:\n{written}");
    }
    running.stop();
}

#[test]
fn roles_of_one_base_ask_its_source_once() {
    let (sts, agent) = (sts(), Stub::agent("127.0.0.1:0"));
    let setup = Setup::new()
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())
        .with("AWS_ENDPOINT_URL_STS", &sts.url());
    let (one, two) = (role("one"), role("two"));
    let named =
        [("one", one.as_str()), ("two", two.as_str()), ("again", one.as_str()), ("plain", "{}")];
    let running = targets(setup, &named).start();
    for (name, key) in
        [("one", "ASIAone"), ("two", "ASIAtwo"), ("again", "ASIAone"), ("plain", KEY)]
    {
        assert_eq!(running.get(&format!("/{name}/1")).0, 200);
        assert_eq!(running.target.arrived().pop().unwrap().key(), key);
    }
    assert_eq!((agent.arrived().len(), sts.arrived().len()), (1, 2));
    running.stop();
}

#[test]
fn two_roles_never_mix() {
    let sts = sts();
    let setup = Setup::new().with_keys().with("AWS_ENDPOINT_URL_STS", &sts.url());
    let running = targets(setup, &[("one", &role("one")), ("two", &role("two"))]).start();
    thread::scope(|scope| {
        for connection in 0..64 {
            let running = &running;
            scope.spawn(move || {
                for number in 0..5 {
                    let name = if (connection + number) % 2 == 0 { "one" } else { "two" };
                    assert_eq!(running.get(&format!("/{name}/{connection}")).0, 200);
                }
            });
        }
    });
    let arrived = running.target.arrived();
    assert_eq!(arrived.len(), 64 * 5);
    for request in &arrived {
        let expected = if request.line.contains("/one/") { "ASIAone" } else { "ASIAtwo" };
        assert_eq!(request.key(), expected, "{}", request.line);
    }
    running.stop();
}

#[test]
fn a_profile_beside_a_role_is_its_base() {
    let sts = sts();
    let setup = Setup::new()
        .with("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
        .with("AWS_SECRET_ACCESS_KEY", SECRET)
        .with("AWS_ENDPOINT_URL_STS", &sts.url())
        .file(".aws/credentials", &profile("dev", KEY))
        .file(".aws/config", "[profile dev]\nregion = eu-west-3\n");
    let with_profile = role("one").replacen("{ ", "{ profile = \"dev\", ", 1);
    let running = targets(setup, &[("one", &with_profile)]).start();
    assert_eq!(running.get("/one/1").0, 200);
    let asked = sts.arrived();
    assert_eq!((asked.len(), asked[0].key()), (1, KEY));
    let authorization = asked[0].header("authorization").unwrap();
    assert!(authorization.contains("/eu-west-3/sts/"), "not the profile's region: {authorization}");
    running.stop();
}

#[test]
fn a_role_that_may_not_be_assumed_is_named_with_its_remedy() {
    let denied =
        "User: arn:aws:iam::111122223333:user/me is not authorized to perform: sts:AssumeRole";
    let table = [
        (
            "AccessDenied",
            denied,
            "look at the trust policy of `arn:aws:iam::111122223333:role/one`",
        ),
        (
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "write a shorter `duration`",
        ),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            "STS does not take the credentials that the role is assumed with",
        ),
    ];
    for (code, message, remedy) in table {
        let sts = Stub::start("127.0.0.1:0", move |_| (403, refused_by_sts(code, message)));
        let setup = Setup::new().with_keys().with("AWS_ENDPOINT_URL_STS", &sts.url());
        let running = targets(setup, &[("one", &role("one"))]).start();
        let line = running.output.wait_for("credentials could not be loaded");
        for part in ["`arn:aws:iam::111122223333:role/one` could not be assumed", message, remedy] {
            assert!(line.contains(part), "no {part} in {line}");
        }
        assert_eq!(running.admin("/readyz"), 503);
        running.stop();
    }
}

#[test]
fn a_role_without_a_base_tells_what_the_base_lacks() {
    let sts = sts();
    let setup = Setup::new().with("AWS_ENDPOINT_URL_STS", &sts.url());
    let running = targets(setup, &[("one", &role("one"))]).start();
    let line = running.output.wait_for("there is nothing to assume");
    assert!(line.contains("tried: environment"), "{line}");
    assert!(sts.arrived().is_empty());
    running.stop();
}

#[test]
fn a_base_that_sts_no_longer_takes_is_renewed() {
    let asked = AtomicUsize::new(0);
    let agent = Stub::start("127.0.0.1:0", move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (200, given("AKIAREVOKED")),
        _ => (200, given(KEY)),
    });
    let sts = Stub::start("127.0.0.1:0", |request| match request.key() {
        KEY => (200, given_by_sts("AssumeRole", "ASIAone")),
        _ => (403, refused_by_sts("ExpiredToken", "The security token included is expired")),
    });
    let setup = Setup::new()
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())
        .with("AWS_ENDPOINT_URL_STS", &sts.url());
    let running = targets(setup, &[("one", &role("one"))]).start();
    assert_eq!(running.get("/one/1").0, 200);
    assert_eq!((agent.arrived().len(), sts.arrived().len()), (2, 2));
    let written = running.stop();
    assert!(!written.contains("credentials could not be loaded"), "{written}");
}

#[test]
fn a_base_that_is_down_takes_no_readiness_from_its_roles() {
    let asked = AtomicUsize::new(0);
    let agent = Stub::start("127.0.0.1:0", move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (200, given_until(KEY, &in_seconds(6))),
        _ => (500, "down".into()),
    });
    let sts = sts();
    let setup = Setup::new()
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url())
        .with("AWS_ENDPOINT_URL_STS", &sts.url());
    let running = targets(setup, &[("one", &role("one"))]).start();
    assert_eq!(running.get("/one/1").0, 200);
    running.output.wait_for("credentials could not be loaded");
    thread::sleep(Duration::from_secs(6)); // past the base's expiry
    assert_eq!((running.get("/one/2").0, running.admin("/readyz")), (200, 200));
    running.stop();
}

/// A proxy that lets nobody through; what it is asked for tells where STS is looked for.
fn first_asked_for(setup: Setup) -> String {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = targets(setup.with_keys(), &[("one", &role("one"))]);
    let upstream = format!("upstream.proxy = \"http://{}\"\n", proxy.local_addr().unwrap());
    let running = Setup { config: upstream + &setup.config, ..setup }.start();
    let mut line = String::new();
    BufReader::new(proxy.accept().unwrap().0).read_line(&mut line).unwrap();
    running.stop();
    line.trim_end().to_owned()
}

#[test]
fn sts_is_the_regions_own() {
    let connect = |host: &str| format!("CONNECT {host}:443 HTTP/1.1");
    let of_target = first_asked_for(Setup::new());
    assert_eq!(of_target, connect("sts.us-east-1.amazonaws.com"));
    let of_environment = first_asked_for(Setup::new().with("AWS_REGION", "eu-west-1"));
    assert_eq!(of_environment, connect("sts.eu-west-1.amazonaws.com"));
    let fips = first_asked_for(Setup::new().with("AWS_USE_FIPS_ENDPOINT", "true"));
    assert_eq!(fips, connect("sts-fips.us-east-1.amazonaws.com"));
    let dual_stack = first_asked_for(Setup::new().with("AWS_USE_DUALSTACK_ENDPOINT", "true"));
    assert_eq!(dual_stack, connect("sts.us-east-1.api.aws"));
}

#[test]
fn each_source_has_a_name_of_its_own_in_the_metrics() {
    let sts = sts();
    let setup = Setup::new().with_keys().with("AWS_ENDPOINT_URL_STS", &sts.url());
    let with_id = role("one").replace("\" }", "\", external_id = \"the-id\" }");
    let running = targets(setup, &[("one", &role("one")), ("other", &with_id)]).start();
    assert_eq!((running.get("/one/1").0, running.get("/other/1").0), (200, 200));
    let metrics = get(running.admin, "/metrics").1;
    let named = "/arn:aws:iam::111122223333:role/one/countersign";
    for source in ["default".to_owned(), format!("default{named}"), format!("default{named}#2")] {
        let line = format!("countersign_credentials_usable{{source=\"{source}\"}} 1");
        assert!(metrics.contains(&line), "no {line} in:\n{metrics}");
    }
    assert!(!metrics.contains("the-id"), "{metrics}");
    running.stop();
}
