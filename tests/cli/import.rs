//! `import`: what comes of each form of export, and how URLs are found.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Program, Ran, Target};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/import");

/// Each input, how it is read, and with what.
const INPUTS: [(&str, &str, &[&str]); 6] = [
    ("rest-oas3.json", "openapi", &[]),
    ("rest-swagger2.yaml", "openapi", &["--stage-variable", "alias=live"]),
    ("http-oas3.json", "openapi", &[]),
    ("http-default.yaml", "openapi", &[]),
    ("sam.yaml", "sam", &[]),
    (
        "cloudformation.yaml",
        "sam",
        &["--parameter", "AWS::Region=us-east-1", "--parameter", "AWS::AccountId=111122223333"],
    ),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURES).join(name)
}

fn import(program: &Program, (name, kind, more): (&str, &str, &[&str]), rest: &[&str]) -> Ran {
    let file = fixture(name);
    let file = file.to_str().unwrap();
    program.run(&[&["import", kind, file][..], more, rest].concat())
}

/// The ARNs and logical ids of a table's targets.
fn functions(table: &str) -> Vec<String> {
    let named = |line: &str| {
        let arn = line.strip_prefix("function_arn = \"").and_then(|rest| rest.strip_suffix('"'));
        let id = line.strip_prefix("# the function `").and_then(|rest| rest.split('`').next());
        arn.or(id).map(str::to_owned)
    };
    table.lines().filter_map(named).collect()
}

#[test]
fn writes_the_table_and_lists_what_is_left_over() {
    for input in INPUTS {
        let ran = import(&Program::new(), input, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for (told, end) in [(&ran.out, "toml"), (&ran.err, "txt")] {
            let expected = fixture(input.0).with_extension(end);
            let expected = fs::read_to_string(&expected)
                .unwrap_or_else(|error| panic!("{}: {error}\n{told}", expected.display()));
            assert_eq!(*told, expected, "{}", input.0);
        }
    }
}

#[test]
fn a_table_passes_check_once_the_urls_are_there_and_names_them_before() {
    for input in INPUTS {
        let program = Program::new();
        let table = import(&program, input, &[]).out;
        let functions = functions(&table);
        program.write("countersign.toml", &table);
        let ran = program.run(&["check"]);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert_eq!(
            ran.err.matches("`: the URL is not known yet\n  hint: ").count(),
            functions.len()
        );
        assert_eq!(ran.err.lines().count(), 2 * functions.len(), "nothing else: {ran:?}");
        let url = |(index, function): (usize, &String)| {
            (function.clone(), format!("https://u{index}.lambda-url.us-east-1.on.aws/").into())
        };
        let urls: serde_json::Map<_, _> = functions.iter().enumerate().map(url).collect();
        program.write("urls.json", &serde_json::to_string(&urls).unwrap());
        let ran = import(&program, input, &["--urls", "urls.json"]);
        assert!(!ran.err.contains("without a URL"), "{ran:?}");
        program.write("countersign.toml", &ran.out);
        let ran = program.run(&["check"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    }
}

#[test]
fn a_placeholder_is_told_with_how_to_find_the_url() {
    let program = Program::new();
    program.write("countersign.toml", &import(&program, INPUTS[0], &[]).out);
    let ran = program.run(&["check"]);
    assert!(
        ran.err.contains(
            "`targets.orders-live.url`: the URL is not known yet\n  hint: `aws lambda \
             get-function-url-config --function-name \
             arn:aws:lambda:us-east-1:111122223333:function:orders --qualifier live` tells it"
        ),
        "{ran:?}"
    );
}

#[test]
fn the_base_path_of_callers_takes_the_stages_place() {
    let ran = import(&Program::new(), INPUTS[0], &["--base-path", "/shop/"]);
    assert!(ran.out.contains("path = \"/shop/orders\"\n"), "{ran:?}");
    assert!(ran.out.contains("strip_prefix = \"/shop\"\n"), "{ran:?}");
    let ran = import(&Program::new(), INPUTS[0], &["--base-path", "/"]);
    assert!(ran.out.contains("path = \"/orders\"\n"), "{ran:?}");
    assert!(!ran.out.contains("strip_prefix ="), "{ran:?}");
}

#[test]
fn sends_on_what_had_an_authorizer_only_where_told() {
    let guarded = "path = \"/prod/orders/{id}\"\nmethods = [\"GET\"]\n";
    let ran = import(&Program::new(), INPUTS[0], &["--without-authorizers"]);
    let sent = format!("{guarded}strip_prefix = \"/prod\"\ntarget = \"orders-live\"\n");
    assert!(ran.out.contains(&sent), "{ran:?}");
    let told = "GET /prod/orders/{id}: the authorizer `check-token`: whoever reaches the listener";
    assert!(ran.err.contains(told), "{ran:?}");
    assert!(
        ran.out.contains("path = \"/prod/reports\"\nmethods = [\"GET\"]\nreject = "),
        "{ran:?}"
    );
}

#[test]
fn what_a_file_holds_stays_in_its_comment_and_its_string() {
    let program = Program::new();
    let evil = serde_json::json!({
        "openapi": "3.0.1", "info": {"title": "a\nadmin = false\u{1b}[2J"},
        "paths": {"/a": {"get": {"x-amazon-apigateway-integration": {"type": "b\nworkers = 9"}}}}
    });
    program.write("evil.json", &evil.to_string());
    let ran = program.run(&["import", "openapi", "evil.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:?}");
    assert!(!ran.out.lines().any(|line| line.starts_with("admin") || line.starts_with("workers")));
    program.write("countersign.toml", &ran.out);
    assert_eq!(program.run(&["check"]).code, Some(0), "{ran:?}");
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let program = Program::new();
    for (kind, text, told) in [
        (
            "openapi",
            "{\n  \"openapi\": }",
            "`in` is malformed\n  because: line 2, column 14: it is no JSON\n  because: ",
        ),
        ("openapi", "openapi: [3\npaths: 4", "`in` is malformed\n  because: line "),
        ("openapi", "openapi: 2.0", "`in`: it is no OpenAPI document"),
        ("openapi", "swagger: '2.0'", "`in`: it has no `paths`"),
        ("openapi", "openapi: 3.0.1\npaths: {}", "`in`: there is no operation in it"),
        (
            "openapi",
            "openapi: 3.0.1\npaths: {/a b: {get: {}}}",
            "`in`: `GET /a b`: ` ` cannot stand in a path",
        ),
        ("sam", "openapi: 3.0.1", "`in`: it is no template: it has no `Resources`"),
        ("sam", "Resources: {}", "`in`: there is no operation in it"),
    ] {
        program.write("in", text);
        let ran = program.run(&["import", kind, "in"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.starts_with(&format!("error: {told}")), "{ran:?}");
        assert!(ran.err.contains("\n  hint: "), "{ran:?}");
    }
    let ran = program.run(&["import", "openapi", "nowhere.json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    program.write("urls.json", "{\"a\": 1}");
    let ran = import(&program, INPUTS[0], &["--urls", "urls.json"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with("error: `urls.json` is no list of URLs\n  because: "), "{ran:?}");
    assert_eq!(program.run(&["import", "openapi"]).code, Some(2));
    let odd = import(&program, INPUTS[0], &["--stage-variable", "alias"]);
    assert_eq!(odd.code, Some(2), "{odd:?}");
}

/// An answer of Lambda.
fn told(status: &str, body: &str) -> &'static str {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .leak()
}

fn resolve(lambda: &Target, input: usize, rest: &[&str]) -> Ran {
    let (name, kind, more) = INPUTS[input];
    let program = Program::new();
    let file = fixture(name);
    let base = ["import", kind, file.to_str().unwrap(), "--resolve"];
    let mut command = program.command(&[&base[..], more, rest].concat());
    Ran::of(command.env("AWS_ENDPOINT_URL_LAMBDA", &lambda.url).output().unwrap())
}

#[test]
fn resolve_asks_lambda_with_a_signed_request_a_function() {
    let config = r#"{"FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:orders:live",
        "FunctionUrl": "https://abc.lambda-url.us-east-1.on.aws/", "AuthType": "NONE"}"#;
    let missing = r#"{"Message": "The resource you requested does not exist."}"#;
    let lambda = Target::answering(vec![told("404 Not Found", missing), told("200 OK", config)]);
    let ran = resolve(&lambda, 0, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains(
            "[targets.orders-live]\n# Anybody may call this URL (AuthType NONE).\n\
             url = \"https://abc.lambda-url.us-east-1.on.aws\"\n"
        ),
        "{ran:?}"
    );
    assert!(ran.err.contains("function:Home`: it has no Function URL yet: "), "{ran:?}");
    assert!(ran.err.contains("  [targets.home]\n"), "{ran:?}");
    let requests = lambda.requests();
    assert!(requests[0].starts_with("GET /2021-10-31/functions/Home/url HTTP/1.1\r\n"));
    let qualified = "GET /2021-10-31/functions/orders/url?Qualifier=live HTTP/1.1\r\n";
    assert!(requests[1].starts_with(qualified), "{requests:?}");
    for request in requests {
        assert!(request.contains("/us-east-1/lambda/aws4_request"), "{request}");
    }
}

#[test]
fn resolve_tells_a_templates_function_its_arn() {
    let config = r#"{"FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:hook",
        "FunctionUrl": "https://h.lambda-url.eu-west-1.on.aws/", "AuthType": "AWS_IAM"}"#;
    let denied = told("403 Forbidden", "{\"Message\": \"no\"}");
    let lambda = Target::answering(vec![told("200 OK", config), denied]);
    let ran = resolve(&lambda, 4, &["--region", "eu-west-1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out
            .contains("function_arn = \"arn:aws:lambda:eu-west-1:111122223333:function:hook\"\n"),
        "{ran:?}"
    );
    assert!(ran.err.contains("`lambda:GetFunctionUrlConfig` is not allowed"), "{ran:?}");
    assert!(
        ran.err.contains("`WebFunction` was not asked for: the template has no name"),
        "{ran:?}"
    );
    assert!(lambda.requests()[0].contains("/eu-west-1/lambda/aws4_request"));
}

#[test]
fn resolve_fails_where_lambda_cannot_be_asked() {
    let program = Program::new();
    let file = fixture("rest-oas3.json");
    let mut command = program.command(&["import", "openapi", file.to_str().unwrap(), "--resolve"]);
    let ran =
        Ran::of(command.env("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1").output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with("error: the target could not be reached\n"), "{ran:?}");
}
