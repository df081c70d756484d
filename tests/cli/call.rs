//! `call`: one signed request, what it prints and how it ends.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Program, Ran, TOKEN, Target, read_request};

/// The arguments of a call that says service and region.
pub(crate) fn call<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["call", "--service", "lambda", "--region", "us-east-1"][..], rest].concat()
}

#[test]
fn call_prints_the_body_and_nothing_else() {
    let target = Target::answering(vec![
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
    ]);
    let url = format!("{}/health?b=2&a=1", target.url);
    let ran = Program::new().run(&call(&["GET", &url, "-H", "x-one: 1"]));
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "hello", ""));
    let request = target.requests().remove(0);
    assert!(request.starts_with("GET /health?b=2&a=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nx-one: 1\r\n"), "{request}");
    assert_eq!(request.matches("authorization: AWS4-HMAC-SHA256 ").count(), 1, "{request}");
    assert!(request.contains(&format!("\r\nx-amz-security-token: {TOKEN}\r\n")), "{request}");
}

#[test]
fn call_ends_with_1_from_400_up_and_still_prints_the_body() {
    for (answer, code) in [
        ("HTTP/1.1 399 Odd\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno", 0),
        ("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno", 1),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno", 1),
    ] {
        let target = Target::answering(vec![answer]);
        let ran = Program::new().run(&call(&["GET", &target.url]));
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), "no"), "{ran:?}");
        assert_eq!(ran.err.starts_with("error: the answer is "), code == 1, "{ran:?}");
        assert_eq!(target.requests().len(), 1);
    }
}

#[test]
fn call_prints_the_head_too_when_asked() {
    let target = Target::answering(vec![
        "HTTP/1.1 201 Created\r\nX-Two: 2\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
    ]);
    let ran = Program::new().run(&call(&["-i", "GET", &target.url]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.starts_with("HTTP/1.1 201 Created\n"), "{ran:?}");
    assert!(ran.out.contains("\nx-two: 2\n"), "{ran:?}");
    assert!(ran.out.ends_with("\n\nok"), "{ran:?}");
    target.requests();
}

#[test]
fn call_sends_a_body_from_the_line_a_file_or_standard_input() {
    const OK: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    let target = Target::answering(vec![OK, OK, OK]);
    let program = Program::new();
    program.write("body.json", "{\"from\":\"a file\"}");
    assert_eq!(program.run(&call(&["POST", &target.url, "-d", "a=1"])).code, Some(0));
    let json = ["POST", &target.url, "-d", "@body.json", "-H", "Content-Type: application/json"];
    assert_eq!(program.run(&call(&json)).code, Some(0));
    let mut command = program.command(&call(&["PUT", &target.url, "--data", "@-"]));
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    assert!(child.wait().unwrap().success());
    let requests = target.requests();
    let form = "\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    assert!(requests[0].contains(form) && requests[0].ends_with("\r\n\r\na=1"), "{requests:?}");
    assert!(requests[1].contains("\r\ncontent-type: application/json\r\n"), "{requests:?}");
    assert!(!requests[1].contains("urlencoded"), "{requests:?}");
    assert!(requests[1].ends_with("\r\n\r\n{\"from\":\"a file\"}"), "{requests:?}");
    assert!(requests[2].ends_with("\r\n\r\nfrom a pipe"), "{requests:?}");
}

#[test]
fn call_tells_what_was_typed_wrong() {
    let program = Program::new();
    for (arguments, told) in [
        (&["GET", "http://127.0.0.1:1/", "-H", "nothing"][..], "error: `nothing` is no header\n"),
        (&["GET", "/health"], "error: `/health` is no URL with a host\n"),
        (
            &["GET", "http://127.0.0.1:1/", "-d", "@no-file"],
            "error: cannot read the body from `@no-file`\n",
        ),
    ] {
        let ran = program.run(&call(arguments));
        let code = if told.contains("cannot read") { 1 } else { 2 };
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran:?}");
        assert!(ran.err.starts_with(told) && ran.err.contains("\n  hint: "), "{ran:?}");
    }
    let remote = program.run(&call(&["GET", "http://orders.example.com/"]));
    assert_eq!(remote.code, Some(78), "{remote:?}");
    assert!(remote.err.contains("is not https: a signature must not travel in the clear"));
}

#[test]
fn call_without_a_method_says_where_it_stands() {
    for (typed, said) in [
        ("https://a.lambda-url.us-east-1.on.aws/x", "as in `GET https://a.lambda-url.us-east-1"),
        ("/health", "as in `GET /health`"),
        ("G(T", "a method is one word, such as GET"),
    ] {
        let ran = Program::new().run(&call(&[typed]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
    }
}

#[test]
fn call_without_credentials_says_so_and_where_it_looked_within_seconds() {
    let program = Program::new();
    let mut command = program.command(&call(&["GET", "http://127.0.0.1:1/"]));
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    let began = Instant::now();
    let ran = Ran::of(command.output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with("error: no credentials: "), "{ran:?}");
    assert!(ran.err.contains("\n  hint: tried: environment (AWS_ACCESS_KEY_ID), "), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 2, "said once: {ran:?}");
}

#[test]
fn call_ends_when_nobody_reads_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let endless = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").unwrap();
        (0..1024).any(|_| stream.write_all(&[b'x'; 65536]).is_err())
    });
    let mut child = Program::new().command(&call(&["GET", &url])).spawn().unwrap();
    let mut head = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut head).unwrap(); // and drops the pipe
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(endless.join().unwrap(), "it read on for 64 MiB");
}

#[test]
fn call_says_that_a_cut_answer_is_not_whole() {
    let target = Target::answering(vec![
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\nhalf",
    ]);
    let ran = Program::new().run(&call(&["GET", &target.url]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "half"), "{ran:?}");
    assert!(ran.err.contains("what was printed is not whole"), "{ran:?}");
    target.requests();
}
