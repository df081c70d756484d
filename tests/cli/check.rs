//! `check --connect` and `check --call`: what they try, what they say of it and how they end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use crate::support::{Program, Ran, Target};

/// A route to a target on this machine.
fn to(url: &str) -> String {
    format!(
        "[targets.t]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\n\
         [[routes]]\nname = \"all\"\ntarget = \"t\"\nrequest_headers = {{ set = {{ x-env = \"prod\" }} }}\n"
    )
}

/// The lines of the table, without the routes before it.
fn table(ran: &Ran) -> Vec<&str> {
    ran.out.split("\n\n").nth(1).unwrap_or_else(|| panic!("{ran:?}")).lines().collect()
}

/// A clock on the network, off by some seconds.
fn clock(off: i64) -> Target {
    #[allow(clippy::disallowed_methods)] // what another machine would say
    let now = SystemTime::now();
    let distance = Duration::from_secs(off.unsigned_abs());
    let date = httpdate::fmt_http_date(if off < 0 { now - distance } else { now + distance });
    let answer = format!("HTTP/1.1 302 Found\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n");
    Target::answering(vec![answer.leak()])
}

fn connect(url: &str, clock: &Target) -> Ran {
    let program = Program::with_config(&to(url));
    let mut command = program.command(&["check", "--connect"]);
    Ran::of(command.env("AWS_ENDPOINT_URL_STS", &clock.url).output().unwrap())
}

#[test]
fn connect_tries_everything_and_invokes_nothing() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let address = target.local_addr().unwrap();
    let sts = clock(0);
    let judge = sts.url.replace("http://", "");
    let ran = connect(&format!("http://{address}"), &sts);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let table = table(&ran);
    assert_eq!(table[0], "t  credentials  ok      no expiry");
    assert_eq!(table[1], "t  DNS          ok      an IP address: nothing to look up");
    assert!(table[2].starts_with(&format!("t  TCP, TLS     ok      {address} in ")), "{table:?}");
    assert!(
        table[3].starts_with("t  clock        ok      ") && table[3].ends_with(&judge),
        "{table:?}"
    );
    assert!(ran.out.ends_with("\n\nok: nothing failed\n"), "{ran:?}");
    let asked = sts.requests().remove(0);
    assert!(asked.starts_with("HEAD / HTTP/1.1\r\n"), "{asked}");
    assert!(!asked.to_lowercase().contains("authorization"), "{asked}");
    let (mut stream, _) = target.accept().unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "nothing was asked of the target");
}

#[test]
fn connect_ends_with_1_and_a_remedy_for_each_thing_that_failed() {
    let sts = clock(-600);
    let ran = connect("http://127.0.0.1:1", &sts);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let table = table(&ran);
    assert!(
        table[2].starts_with("t  TCP, TLS     FAILED  the connection was refused"),
        "{table:?}"
    );
    assert_eq!(
        table[3],
        "                        hint: nobody listens there: check the port in the URL"
    );
    assert!(table[4].starts_with("t  clock        FAILED  ") && table[4].contains(" s ahead of "));
    assert_eq!(table[5], "                        hint: set this machine's clock (NTP)");
    assert!(ran.out.ends_with("\n\n2 checks failed\n"), "{ran:?}");
    sts.requests();
}

#[test]
fn connect_tells_tls_from_tcp() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0]); // until it has heard enough
    });
    let sts = clock(0);
    let ran = connect(&url, &sts);
    answering.join().unwrap();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let table = table(&ran);
    assert!(
        table[2].starts_with("t  TCP, TLS     FAILED  the TLS handshake failed: "),
        "{table:?}"
    );
    assert!(table[3].contains("hint: is it an https port"), "{table:?}");
    sts.requests();
}

#[test]
fn connect_says_where_credentials_were_looked_for() {
    let sts = clock(0);
    let program = Program::with_config(&to("http://127.0.0.1:1"));
    let mut command = program.command(&["check", "--connect", "--format", "json"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    let ran = Ran::of(command.env("AWS_ENDPOINT_URL_STS", &sts.url).output().unwrap());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let rows: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 4);
    assert_eq!((&rows[0]["target"], &rows[0]["check"]), (&"t".into(), &"credentials".into()));
    assert_eq!(rows[0]["result"], "failed");
    assert!(rows[0]["hint"].as_str().unwrap().starts_with("tried: environment"), "{rows}");
    assert!(rows[3].get("hint").is_none(), "{rows}");
    sts.requests();
}

fn call(target: &Target, asked: &str) -> Ran {
    Program::with_config(&to(&target.url)).run(&["check", "--call", asked])
}

#[test]
fn call_sends_what_the_proxy_sends_and_sums_up_the_answer() {
    let target = Target::answering(vec!["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"]);
    let ran = call(&target, "GET /health?b=2&a=1");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let host = target.url.replace("http://", "");
    assert!(
        ran.out.contains(&format!("\nGET /health?b=2&a=1 by route `all` to {host}\n")),
        "{ran:?}"
    );
    assert!(ran.out.contains("\nanswer: 200 OK after "), "{ran:?}");
    assert!(ran.out.contains("\nbody: 5 bytes, whole after "), "{ran:?}");
    let request = target.requests().remove(0);
    assert!(request.starts_with("GET /health?b=2&a=1 HTTP/1.1\r\n"), "{request}");
    for header in ["authorization: AWS4-HMAC-SHA256 ", "x-env: prod\r\n", "via: 1.1 countersign-"] {
        assert!(request.contains(header), "{header}: {request}");
    }
}

/// What the service says, and what is told of it.
const REFUSALS: [(&str, &str, &str, &str); 6] = [
    (
        "AccessDeniedException",
        "{\"Message\":\"Forbidden\"}",
        "permission_denied",
        "both `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction`",
    ),
    (
        "AccessDeniedException",
        "{\"Message\":null}",
        "unknown_function",
        "check the id and the region",
    ),
    (
        "InvalidSignatureException",
        "{\"message\":\"The request signature we calculated does not match …\"}",
        "signature_mismatch",
        "check the secret key",
    ),
    (
        "InvalidSignatureException",
        "{\"message\":\"Credential should be scoped to correct service: 'lambda'. \"}",
        "wrong_scope",
        "`service` and `region`",
    ),
    (
        "ExpiredTokenException",
        "{\"message\":\"The security token included in the request is expired\"}",
        "expired_token",
        "log in again",
    ),
    (
        "UnrecognizedClientException",
        "{\"message\":\"The security token included in the request is invalid.\"}",
        "unknown_token",
        "credentials",
    ),
];

#[test]
fn call_explains_each_403_of_the_service() {
    for (kind, body, class, remedy) in REFUSALS {
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        // A token that is refused may be tried once more.
        let target = Target::answering(vec![answer.clone().leak(), answer.leak()]);
        let ran = call(&target, "/health");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.out.contains("\nanswer: 403 Forbidden after "), "{ran:?}");
        assert!(ran.out.ends_with(&format!("{body}\n")), "{ran:?}");
        let begin =
            format!("error: the service refused it, before any function ran: {class}\n  hint: ");
        assert!(ran.err.starts_with(&begin), "{ran:?}");
        assert!(ran.err.contains(remedy), "{remedy}: {ran:?}");
    }
}

#[test]
fn call_says_when_the_clock_is_off_though_the_proxy_makes_up_for_it() {
    #[allow(clippy::disallowed_methods)] // what another machine would say
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    let body = "{\"message\":\"Signature expired: T is now earlier than T'\"}";
    let refusal = format!(
        "HTTP/1.1 403 Forbidden\r\ndate: {date}\r\nx-amzn-ErrorType: InvalidSignatureException\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let taken = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let target = Target::answering(vec![refusal.leak(), taken]);
    let ran = call(&target, "GET /health");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.starts_with("note: this machine's clock is "), "{ran:?}");
    assert!(ran.err.contains(" s behind: "), "{ran:?}");
    assert_eq!(target.requests().len(), 2);
}

#[test]
fn call_tells_a_functions_own_failure_from_the_proxys() {
    let target = Target::answering(vec![
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 6\r\n\r\n\x1b[31mno",
    ]);
    let ran = call(&target, "GET /health");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.starts_with("error: the target itself answered 403 Forbidden"), "{ran:?}");
    assert!(!ran.out.contains('\x1b'), "{ran:?}");
    target.requests();
    let ran = Program::with_config(&to("http://127.0.0.1:1")).run(&["check", "--call", "GET /"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.starts_with(
            "error: countersign itself answered (countersign; error=connection_refused"
        ),
        "{ran:?}"
    );
    assert!(ran.err.contains("\n  hint: "), "{ran:?}");
}

#[test]
fn call_takes_the_route_that_is_named_or_none() {
    let target = Target::answering(vec!["HTTP/1.1 204 No Content\r\n\r\n"]);
    let config =
        to(&target.url) + "\n[[routes]]\nname = \"a\"\nhost = \"a.internal\"\ntarget = \"t\"\n";
    let program = Program::with_config(&config);
    let ran = program.run(&["check", "--call", "GET /x", "--route", "a"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("GET /x by route `a` to "), "{ran:?}");
    let request = target.requests().remove(0);
    assert!(request.contains("\r\nx-forwarded-host: a.internal\r\n"), "{request}");
    let ran = program.run(&["check", "--call", "GET http://a.internal/x", "--route", "all"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("route `a` takes this request, not `all`\n  hint: "), "{ran:?}");
    let ran = program.run(&["check", "--call", "GET /x", "--route", "b"]);
    assert!(ran.code == Some(1) && ran.err.contains("there is no route `b`"), "{ran:?}");
}

#[test]
fn what_cannot_be_called_is_a_usage_mistake() {
    let program = Program::with_config(&to("http://127.0.0.1:1"));
    for arguments in [
        &["--call", "GET health"][..],
        &["--call", "G(T /health"],
        &["--route", "all"],
        &["--format", "json"],
    ] {
        let ran = program.run(&[&["check"][..], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
    }
}
