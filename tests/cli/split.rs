//! A route with several targets, as the verbs tell it: each of its targets is named.

use std::net::TcpListener;

use crate::support::{Program, Target};

const CONFIG: &str = "\
[targets.orders]
url = \"https://abc.lambda-url.us-east-1.on.aws\"
function_arn = \"arn:aws:lambda:us-east-1:111122223333:function:orders\"

[targets.gateway]
url = \"https://def.execute-api.eu-west-1.amazonaws.com/prod\"

[targets.standby]
url = \"https://ghi.lambda-url.us-west-2.on.aws\"

[[routes]]
name = \"canary\"
prefix = \"/orders\"
strip_prefix = \"/orders\"
split = [{ target = \"gateway\", weight = 90 }, { target = \"orders\", weight = 30 }, { target = \"standby\", weight = 0 }]
sticky = \"header:x-user-id\"
";

#[test]
fn explain_tells_what_each_target_of_a_split_gets() {
    let ran = Program::with_config(CONFIG).run(&["explain", "GET", "/orders/7?a=b+c"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = "\nroute `canary` takes it\n\
        split:  90 of 120 to `gateway`\n\
        split:  30 of 120 to `orders`\n\
        split:  none to `standby`, a standby\n\
        sticky: the same target for the same `header:x-user-id`\n\
        sent:   GET https://def.execute-api.eu-west-1.amazonaws.com/prod/7?a=b%20c\n\
        signed: host, content-type, x-amz-* for execute-api in eu-west-1\n\
        sent:   GET https://abc.lambda-url.us-east-1.on.aws/7?a=b%20c\n\
        signed: host, content-type, x-amz-* for lambda in us-east-1\n\
        sent:   GET https://ghi.lambda-url.us-west-2.on.aws/7?a=b%20c\n\
        signed: host, content-type, x-amz-* for lambda in us-west-2\n";
    assert!(ran.out.ends_with(told), "{ran:?}");
}

#[test]
fn check_lists_every_target_of_a_split() {
    let ran = Program::with_config(CONFIG).run(&["check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.out,
        "route `canary` →\n  \
           90 of 120 to def.execute-api.eu-west-1.amazonaws.com (execute-api, eu-west-1)\n  \
           30 of 120 to abc.lambda-url.us-east-1.on.aws (lambda, us-east-1)\n  \
           0 of 120 to ghi.lambda-url.us-west-2.on.aws (lambda, us-west-2)\n\
         ok: 1 route\n"
    );
}

#[test]
fn policy_allows_every_target_of_a_split() {
    let ran = Program::with_config(CONFIG).run(&["policy"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in ["function:orders", "execute-api:eu-west-1:*:def/", "lambda:us-west-2:"] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
}

#[test]
fn sign_says_which_target_of_a_split_it_is_for() {
    let program = Program::with_config(CONFIG);
    let ran = program.run(&["sign", "GET", "/orders/7"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("note: route `canary` has several targets: this is for `gateway`"));
    assert!(ran.out.starts_with("canonical request:\nGET\n/prod/7\n"), "{ran:?}");
    let ran = program.run(&["sign", "--curl", "GET", "/orders/7"]);
    let signed = "https://def.execute-api.eu-west-1.amazonaws.com/prod/7";
    assert!(ran.out.contains(signed), "{ran:?}");
}

/// Two targets on this machine, of which one gets everything.
fn between(one: &str, other: &str) -> Program {
    let target = |name: &str, url: &str| {
        format!("[targets.{name}]\nurl = \"{url}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n")
    };
    let split = "[[routes]]\nsplit = [{ target = \"one\", weight = 1 }, { target = \"other\", weight = 0 }]\n";
    Program::with_config(&(target("one", one) + &target("other", other) + split))
}

#[test]
fn call_names_the_targets_that_may_have_answered() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    let one = Target::answering(vec![answer]);
    let ran = between(&one.url, "http://127.0.0.1:1").run(&["check", "--call", "GET /health"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let place = one.url.replace("http://", "");
    let told = format!("GET /health by route `/*` to {place} or 127.0.0.1:1\n");
    assert!(ran.out.contains(&told), "{ran:?}");
    assert_eq!(one.requests().len(), 1);
}

#[test]
fn connect_tries_every_target_of_a_split() {
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, other] = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap());
    let program = between(&format!("http://{one}"), &format!("http://{other}"));
    let ran = program.run(&["check", "--connect"]);
    for (name, address) in [("one  ", one), ("other", other)] {
        let told = format!("{name}  TCP, TLS     ok      {address} in ");
        assert!(ran.out.contains(&told), "{told}: {ran:?}");
    }
}
