//! The program as it is run: verbs, what they print and where, and how they end.

#![allow(clippy::unwrap_used)]

mod call;
mod check;
mod emulate;
mod files;
mod health;
mod import;
mod odd_exports;
mod pages;
mod policy;
mod sign;
mod split;
mod support;

use std::net::TcpListener;
use std::process::Command;

use crate::support::{Program, Ran};

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
        &["sign", "GET", "/orders/7", "--profile", "other"],
        &["sign", "GET", "ftp://orders.example/7"],
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
