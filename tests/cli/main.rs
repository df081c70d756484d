//! The program as it is run: verbs, what they print and where, and how they end.

#![allow(clippy::unwrap_used)]

mod check;
mod files;
mod health;
mod import;
mod odd_exports;
mod pages;
mod policy;
mod sign;
mod split;
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Program, Ran, Serving, TOKEN, Target, ask, read_request, url};

const CONFIG: &str = "\
[targets.orders]
url = \"https://abc.lambda-url.us-east-1.on.aws/base\"

[[routes]]
name = \"orders\"
path = \"/orders/{id}\"
methods = [\"GET\"]
rewrite = \"/v2/{id}\"
target = \"orders\"

[[routes]]
name = \"rest of orders\"
prefix = \"/orders\"
target = \"orders\"

[[routes]]
name = \"elsewhere\"
host = \"a.internal\"
target = \"orders\"
";

#[test]
fn check_sums_up_what_is_right() {
    let ran = Program::with_config(CONFIG).run(&["check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.out,
        "route `orders` → abc.lambda-url.us-east-1.on.aws (lambda, us-east-1)\n\
         route `rest of orders` → abc.lambda-url.us-east-1.on.aws (lambda, us-east-1)\n\
         route `elsewhere` → abc.lambda-url.us-east-1.on.aws (lambda, us-east-1)\n\
         ok: 3 routes\n"
    );
    assert_eq!(ran.err, "");
}

const REJECTING: &str = "\n[[routes]]\nname = \"old\"\npath = \"/orders/old\"\nreject = 410\n";

#[test]
fn check_and_explain_tell_the_routes_that_reject() {
    let program = Program::with_config(&format!("{CONFIG}{REJECTING}"));
    let ran = program.run(&["check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.ends_with("route `old` rejects (410)\nok: 4 routes\n"), "{ran:?}");
    let ran = program.run(&["explain", "GET", "/orders/old"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("`old`: takes it\n"), "{ran:?}");
    let told = "\nroute `old` rejects it: 410 Gone, the route table rejects this request\n";
    assert!(ran.out.ends_with(told), "{ran:?}");
}

#[test]
fn check_warns_and_goes_on() {
    let program = Program::with_config(CONFIG);
    let output = program.command(&["check"]).env("COUNTERSIGN_LISTENN", "x").output().unwrap();
    let ran = Ran::of(output);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.starts_with("warning: COUNTERSIGN_LISTENN: `listenn`: unknown key"), "{ran:?}");
}

#[test]
fn every_verb_that_reads_the_file_refuses_a_wrong_one_with_78() {
    let program = Program::with_config("workers = 0\nlog = \"a=b=c\"\n\n[[routes]]\n");
    let expected = "countersign.toml:1:1: `workers`: `0` would let nothing through\n  \
                    hint: write a number from 1 up\n\
                    countersign.toml:2:1: `log`: `a=b=c` is no log filter: ";
    for arguments in [
        &["check"][..],
        &["run"],
        &[],
        &["explain", "GET", "/"],
        &["sign", "GET", "/"],
        &["check", "--config", "countersign.toml"],
    ] {
        let ran = program.run(arguments);
        assert_eq!(ran.code, Some(78), "{arguments:?}: {ran:?}");
        assert!(ran.err.starts_with(expected), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("countersign.toml:4:1: `routes[0]`: `target` is missing"));
        assert_eq!(ran.out, "", "{arguments:?}");
    }
}

#[test]
fn a_log_level_that_is_none_is_refused_before_anything_listens() {
    let ran = Program::with_config(CONFIG).run(&["--log-level", "countersign=loud"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(
        ran.err.starts_with("--log-level: `log`: `countersign=loud` is no log filter: "),
        "{ran:?}"
    );
}

#[test]
fn without_a_configuration_it_says_how_to_begin() {
    let ran = Program::new().run(&[]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.starts_with("there is no configuration\n  hint: "), "{ran:?}");
    assert!(ran.err.contains("countersign demo"), "{ran:?}");
}

#[test]
fn usage_mistakes_end_with_2() {
    let program = Program::new();
    for arguments in [
        &["--no-such-flag"][..],
        &["explain", "GET"],
        &["sign"],
        &["demo", "--listen", "nowhere"],
        &["check", "extra"],
    ] {
        let ran = program.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("--help"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_mistyped_verb_is_told_with_the_one_that_was_meant() {
    let program = Program::new();
    for (arguments, code, verb) in [
        (&["chekc"][..], 78, "check"),
        (&["halth", "--ready"], 2, "health"),
        (&["polcy", "--config", "nowhere.toml"], 78, "policy"),
    ] {
        let ran = program.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(&format!("did you mean the verb `{verb}`?\n")), "{ran:?}");
    }
    for arguments in [&["nothing-like-it"][..], &["https://x.example"], &["--listen"], &["check"]] {
        let ran = program.run(arguments);
        assert!(!ran.err.contains("the verb"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn what_is_neither_a_path_nor_a_url_ends_with_2() {
    let program = Program::with_config(CONFIG);
    for arguments in [
        &["explain", "GET", "orders.example"][..],
        &["sign", "GET", "orders.example"],
        &["sign", "GET", "/orders/7", "-H", "nothing"],
        &["emulate", "--invoke", "localhost:9000"],
        &["emulate", "--invoke", "https://localhost:9000"],
    ] {
        let ran = program.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.starts_with("error: "), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn check_tells_what_would_stop_run() {
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let program = Program::with_config(&format!("upstream.ca_file = \"ca.pem\"\n{CONFIG}"));
    program.write("ca.pem", broken);
    for arguments in [&["check"][..], &["run", "--listen", "127.0.0.1:0", "--admin", "false"]] {
        let ran = program.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(78), ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("`upstream.ca_file` is malformed"), "{ran:?}");
        assert!(ran.err.contains("\n  hint: "), "{ran:?}");
    }
}

#[test]
fn a_full_disk_for_messages_changes_no_exit_code() {
    let program = Program::with_config("workers = 0\n");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = program.command(&["check"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(78));
}

#[test]
fn says_its_version_and_its_help() {
    let program = Program::new();
    let version = program.run(&["--version"]);
    let expected = format!("countersign {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.out), (Some(0), expected));
    let help = program.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for verb in [
        "run",
        "demo",
        "emulate",
        "check",
        "explain",
        "sign",
        "call",
        "policy",
        "import",
        "health",
        "init",
        "schema",
        "completions",
        "man",
    ] {
        assert!(help.out.contains(&format!("\n  {verb} ")), "{verb}: {}", help.out);
    }
}

#[test]
fn explain_says_who_takes_a_request_and_why_the_others_do_not() {
    let ran = Program::with_config(CONFIG).run(&["explain", "GET", "/orders/7?a=b+c"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.out,
        "`orders`: takes it\n\
         `rest of orders`: would take it, but another one is more specific\n\
         `elsewhere`: passed over: it is for the host `a.internal`\n\n\
         route `orders` takes it\n\
         sent:   GET https://abc.lambda-url.us-east-1.on.aws/base/v2/7?a=b%20c\n\
         signed: host, content-type, x-amz-* for lambda in us-east-1\n"
    );
}

#[test]
fn check_and_explain_tell_a_routes_mirror() {
    let program = Program::with_config(
        "[[routes]]\ntarget = \"https://abc.lambda-url.us-east-1.on.aws\"\nname = \"orders\"\n\
         mirror = { target = \"https://def.lambda-url.eu-west-1.on.aws/v2\", sample = 0.1 }\n",
    );
    let ran = program.run(&["check"]);
    assert_eq!(
        ran.out,
        "route `orders` → abc.lambda-url.us-east-1.on.aws (lambda, us-east-1)\n  \
         mirrored to def.lambda-url.eu-west-1.on.aws (lambda, eu-west-1)\nok: 1 route\n"
    );
    let ran = program.run(&["explain", "GET", "/"]);
    let mirror = "mirror: https://def.lambda-url.eu-west-1.on.aws/v2, sample 0.1\n";
    assert!(ran.out.ends_with(mirror), "{ran:?}");
    let ran = program.run(&["explain", "POST", "/"]);
    assert!(ran.out.ends_with("mirror: not for POST\n"), "{ran:?}");
}

#[test]
fn explain_ends_with_1_where_no_route_takes_it() {
    let program = Program::with_config(CONFIG);
    let ran = program.run(&["explain", "GET", "http://b.internal/users"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.out,
        "`orders`: passed over: it is for the path `/orders/{id}`\n\
         `rest of orders`: passed over: it is for the path `/orders` and all below it\n\
         `elsewhere`: passed over: it is for the host `a.internal`\n\n\
         no route takes it: the answer is `no_route`\n"
    );
    let taken = program.run(&["explain", "POST", "http://a.internal/users"]);
    assert_eq!(taken.code, Some(0), "{taken:?}");
    let only = CONFIG.split("[[routes]]").take(2).collect::<Vec<_>>().join("[[routes]]");
    let ran = Program::with_config(&only).run(&["explain", "POST", "/orders/7"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("`orders`: passed over: it is for GET\n"), "{ran:?}");
    assert!(ran.out.contains("the answer is `method_not_allowed`"), "{ran:?}");
}

#[test]
fn sign_prints_the_three_steps_and_no_secret() {
    let arguments = ["sign", "POST", "/orders/new/item?b=2&a=1", "-H", "X-Amz-Meta: m", "-d", "{}"];
    let ran = Program::with_config(CONFIG).run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let begin = "canonical request:\nPOST\n/base/orders/new/item\na=1&b=2\n\
                 content-type:application/x-www-form-urlencoded\n\
                 host:abc.lambda-url.us-east-1.on.aws\n";
    assert!(ran.out.starts_with(begin), "{ran:?}");
    // The SHA-256 of `{}`.
    let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert!(ran.out.contains(&format!("\n{digest}\n\nstring to sign:\nAWS4-HMAC-SHA256\n")));
    assert!(ran.out.contains("\nx-amz-meta:m\n"), "{ran:?}");
    let last = ran.out.split("authorization:\n").last().unwrap();
    assert!(last.starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/"), "{last}");
    let signed = "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta;x-amz-security-token";
    assert!(last.contains(signed), "{last}");
    let signature = last.trim_end().split("Signature=").last().unwrap();
    let is_hex = signature.bytes().filter(u8::is_ascii_hexdigit).count() >= 16;
    assert!(!is_hex, "a signature is printed: {last}");
}

#[test]
fn sign_asks_curl_for_a_head_in_its_own_words() {
    let ran = Program::with_config(CONFIG).run(&["sign", "--curl", "HEAD", "/orders/new/item"]);
    assert!(ran.out.contains(" --head ") && !ran.out.contains("-X"), "{ran:?}");
}

#[test]
fn sign_takes_the_url_of_a_target_without_any_configuration() {
    let url = "https://def.lambda-url.eu-west-1.on.aws/health";
    let ran = Program::new().run(&["sign", "GET", url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("host:def.lambda-url.eu-west-1.on.aws\n"), "{ran:?}");
    assert!(ran.out.contains("/eu-west-1/lambda/aws4_request\n"), "{ran:?}");
}

#[test]
fn sign_prints_a_line_for_curl_with_variables_for_secrets() {
    let arguments = [
        "sign",
        "--curl",
        "POST",
        "/orders/it's?a[]={1}",
        "-H",
        "x-it: it's",
        "-d",
        "a'b $(reboot)",
    ];
    let program = Program::with_config(CONFIG);
    let ran = program.run(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in [
        "--aws-sigv4 'aws:amz:us-east-1:lambda'",
        "\"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"",
        "$AWS_SESSION_TOKEN",
    ] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    assert!(!ran.out.contains("AKIA"), "{ran:?}");
    let syntax = Command::new("sh").args(["-nc", &ran.out]).output().unwrap();
    assert!(syntax.status.success(), "{syntax:?}: {}", ran.out);
    // What a shell makes of it: curl's arguments, one a line.
    let shell = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{}", ran.out);
    let mut command = Command::new("sh");
    command.args(["-c", &shell]).env_clear().env("AWS_ACCESS_KEY_ID", "id");
    command.env("AWS_SECRET_ACCESS_KEY", "secret").env("AWS_SESSION_TOKEN", "to ken");
    let output = command.output().unwrap();
    let given = String::from_utf8(output.stdout).unwrap();
    let given: Vec<&str> = given.lines().collect();
    for argument in [
        "id:secret",
        "x-amz-security-token: to ken",
        "x-it: it's",
        "a'b $(reboot)",
        "https://abc.lambda-url.us-east-1.on.aws/base/orders/it's?a[]={1}",
        "--globoff",
    ] {
        assert!(given.contains(&argument), "{argument}: {given:?}");
    }
}

fn call<'a>(rest: &[&'a str]) -> Vec<&'a str> {
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

#[test]
fn demo_prints_lines_that_work_and_ends_with_0() {
    let mut demo = Serving::start(&["demo", "--listen", "127.0.0.1:0"]);
    let banner = demo.until("Ctrl-C ends it.");
    let lines: Vec<&str> =
        banner.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
    let [health, process, stream, unsigned] = lines.as_slice() else { panic!("{banner}") };
    let (status, answer) = ask(url(health), "GET", "", "");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("healthy"), "{answer}");
    let body = process.split('\'').nth(1).unwrap();
    let (status, answer) = ask(url(process), "POST", "content-type: application/json\r\n", body);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("hello"), "{answer}");
    let (status, answer) = ask(url(stream), "GET", "", "");
    assert!(status == 200 && answer.contains("data:"), "{answer}");
    let (status, answer) = ask(url(unsigned), "GET", "", "");
    assert_eq!(status, 403, "unsigned, it is refused: {answer}");
    let page = banner.split_whitespace().find(|word| word.ends_with('/')).unwrap();
    let (status, answer) = ask(&format!("{page}requests"), "GET", "", "");
    assert!(status == 200 && answer.contains("\"/process\""), "{answer}");
    assert_eq!(demo.interrupt(), Some(0));
}

#[test]
fn emulate_refuses_what_is_not_signed_and_takes_what_call_signs() {
    let mut emulator = Serving::start(&["emulate", "--listen", "127.0.0.1:0"]);
    let printed = emulator.until("AWS_SECRET_ACCESS_KEY=");
    let address = url(&printed).to_owned();
    let health = format!("{address}/health");
    let (status, answer) = ask(&health, "GET", "", "");
    assert_eq!(status, 403, "{answer}");
    assert!(answer.to_lowercase().contains("\r\nx-amzn-errortype: "), "{answer}");
    let value = |name: &str| {
        let from = printed.split(&format!("export {name}=")).nth(1).unwrap();
        from.lines().next().unwrap().to_owned()
    };
    let program = Program::new();
    let mut command = program.command(&call(&["GET", &health]));
    command.env_remove("AWS_SESSION_TOKEN");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env(name, value(name));
    }
    let signed = Ran::of(command.output().unwrap());
    assert_eq!(signed.code, Some(0), "{signed:?}");
    assert!(signed.out.contains("healthy"), "{signed:?}");
    let wrong = program.run(&call(&["GET", &health]));
    assert_eq!(wrong.code, Some(1), "an unknown token is refused: {wrong:?}");
    assert_eq!(emulator.interrupt(), Some(0));
}

#[test]
fn a_second_interrupt_ends_the_emulator_at_once() {
    let mut emulator = Serving::start(&["emulate", "--listen", "127.0.0.1:0"]);
    let printed = emulator.until("http://");
    let address = url(&printed).strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked_for = [0; 12];
    stream.read_exact(&mut asked_for).unwrap(); // it is at work on the request
    assert_eq!(&asked_for, b"HTTP/1.1 100");
    emulator.signal(Signal::SIGINT);
    while TcpStream::connect(address).is_ok() {
        std::thread::sleep(Duration::from_millis(10)); // until it has heard the first
    }
    assert_eq!(emulator.interrupt(), Some(1));
}

#[test]
fn demo_signs_with_a_wrong_secret_of_its_example_key() {
    let answered = |variables: &[(&str, &str)]| {
        let program = Program::new();
        let mut command = program.command(&["demo", "--listen", "127.0.0.1:0"]);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let mut demo = Serving::of(command);
        let banner = demo.until("Ctrl-C ends it.");
        let health = banner.lines().find(|line| line.contains("/health")).unwrap();
        let (status, answer) = ask(url(health), "GET", "", "");
        if status == 403 {
            assert!(answer.contains("InvalidSignature"), "{answer}");
            demo.until("signature_mismatch");
        }
        assert_eq!(demo.interrupt(), Some(0));
        status
    };
    let wrong = ("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_eq!(answered(&[wrong]), 403);
    assert_eq!(answered(&[wrong, ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")]), 403);
    // A key of somebody's own is no matter of the demo's.
    assert_eq!(answered(&[wrong, ("AWS_ACCESS_KEY_ID", "AKIDOTHER")]), 200);
}

#[test]
fn demo_ends_with_its_terminal() {
    let mut demo = Serving::start(&["demo", "--listen", "127.0.0.1:0"]);
    demo.until("Ctrl-C ends it.");
    demo.signal(Signal::SIGHUP);
    demo.signal(Signal::SIGINT); // ends it where the first one did not
    let ended = demo.child.wait().unwrap();
    assert_eq!(ended.signal(), Some(Signal::SIGHUP as i32), "{ended:?}");
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        &["--listen", &address, "--admin", "false"][..],
        &["demo", "--listen", &address],
        &["emulate", "--listen", &address],
    ] {
        let ran = Program::with_config(CONFIG).run(arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(&format!("cannot listen on `{address}`")), "{ran:?}");
        assert!(ran.err.contains("\n  hint: ") && ran.err.contains("`--listen`"), "{ran:?}");
    }
}
