//! `health`: what it asks, what it says and how it ends.

use std::time::{Duration, Instant};

use crate::support::{Program, Ran, Serving, Target};

/// The answer of an admin listener.
fn answering(status: &'static str, body: &'static str) -> Target {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Target::answering(vec![answer.leak()])
}

fn address(target: &Target) -> String {
    target.url.replace("http://", "")
}

#[test]
fn asks_whether_it_was_ready_once() {
    let admin = answering("200 OK", "ok\n");
    let address = address(&admin);
    let ran = Program::new().run(&["health", "--admin", &address]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, format!("ok: it runs, and was ready ({address})\n"));
    let request = admin.requests().remove(0);
    assert!(request.starts_with("GET /startupz?verbose HTTP/1.0\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")), "{request}");
}

#[test]
fn asks_whether_it_is_ready_now_and_says_why_not() {
    let body = "[+]configuration\n[-]credentials: expired\n[-]draining\nnot ready\n";
    let admin = answering("503 Service Unavailable", body);
    let ran = Program::new().run(&["health", "--ready", "--admin", &address(&admin)]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(69), ""), "{ran:?}");
    assert_eq!(ran.err, "not healthy: it runs, but is not ready: credentials: expired; draining\n");
    assert!(admin.requests().remove(0).starts_with("GET /readyz?verbose "));
}

#[test]
fn nobody_there_is_69_with_the_address() {
    let address = "127.0.0.1:1";
    let ran = Program::new().run(&["health", "--admin", address]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    let expected =
        format!("not healthy: nobody listens on {address}; does it run, with this `admin`?\n");
    assert_eq!(ran.err, expected);
}

#[test]
fn an_answer_of_something_else_is_69() {
    let other = answering("404 Not Found", "who?");
    let ran = Program::new().run(&["health", "--admin", &address(&other)]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.err.contains("no admin listener: it answers `HTTP/1.1 404 Not Found`"), "{ran:?}");
    other.requests();
}

#[test]
fn finds_the_address_where_run_finds_it_even_in_a_file_that_is_wrong() {
    let admin = answering("200 OK", "ok\n");
    let program =
        Program::with_config(&format!("admin = \"{}\"\nwrokers = 1\n[[routes]\n", address(&admin)));
    assert_eq!(program.run(&["check"]).code, Some(78));
    assert_eq!(program.run(&["health"]).code, Some(0));
    admin.requests();
}

#[test]
fn a_listener_that_is_switched_off_is_a_matter_of_the_configuration() {
    let ran = Program::with_config("admin = false\n").run(&["health"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("switched off\n  hint: "), "{ran:?}");
}

#[test]
fn waits_until_it_is_healthy_and_no_longer_than_told() {
    let admin = Target::answering(vec![
        "HTTP/1.1 503 Service Unavailable\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ]);
    let program = Program::new();
    let ran = program.run(&["health", "--wait", "60s", "--admin", &address(&admin)]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(admin.requests().len(), 3);
    let began = Instant::now();
    let ran = program.run(&["health", "--wait", "300ms", "--admin", "127.0.0.1:1"]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    let ran = program.run(&["health", "--wait", "30"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("`30` is no duration; write a number and ms, s, m or h"), "{ran:?}");
}

const RUN: [&str; 9] = [
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--service",
    "lambda",
    "--region",
    "us-east-1",
    "http://127.0.0.1:9",
];

/// The admin listener's address, from the line that tells it.
fn admin_of(serving: &mut Serving) -> String {
    let line = serving.until("countersign is listening");
    let at = line.split("\"admin\":\"http://").nth(1).unwrap_or_else(|| panic!("{line}"));
    at.split('"').next().unwrap().to_owned()
}

#[test]
fn a_process_without_credentials_runs_but_was_not_ready() {
    let mut serving = Serving::start(&RUN);
    let ran = Program::new().run(&["health", "--admin", &admin_of(&mut serving)]);
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.err.starts_with("not healthy: it runs, but was not ready yet"), "{ran:?}");
    assert_eq!(serving.interrupt(), Some(0));
}

#[test]
fn a_process_with_credentials_is_healthy_and_ready() {
    let program = Program::new();
    let mut serving = Serving::of(program.command(&RUN));
    let address = admin_of(&mut serving);
    for flags in [&[][..], &["--ready"]] {
        let arguments = [&["health", "--wait", "60s", "--admin", &address][..], flags].concat();
        let ran = program.run(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    assert_eq!(serving.interrupt(), Some(0));
    let gone = Ran::of(program.command(&["health", "--admin", &address]).output().unwrap());
    assert_eq!(gone.code, Some(69), "{gone:?}");
}
