//! From an export to a request: what `import` writes is served as it is, in front of functions
//! that verify signatures and say which path they saw.

use std::process::Command;

use crate::support::{Proxy, function, serve};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/import");

/// What a request is answered: by a function, with the path that it saw, or by a rejection.
enum Is {
    /// The function's base path in the test, and the path.
    Seen(&'static str),
    Rejected,
    Nothing,
}
use Is::{Nothing, Rejected, Seen};

/// The table of an export, each function at a path of its own of the one stand-in.
async fn imported(kind: &str, name: &str, more: &[&str]) -> Proxy {
    let run = |urls: &[&str]| {
        let file = format!("{FIXTURES}/{name}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command.args(["import", kind, &file]).args(more).args(urls).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let function = function().await;
    let mut urls = serde_json::Map::new();
    let mut target = "";
    let table = run(&[]);
    for line in table.lines() {
        if let Some(name) = line.strip_prefix("[targets.") {
            target = name.trim_end_matches(']');
        }
        let arn = line.strip_prefix("function_arn = ").map(|arn| arn.trim_matches('"'));
        let id = line.strip_prefix("# the function `").and_then(|rest| rest.split('`').next());
        if let Some(id) = arn.or(id) {
            urls.insert(id.to_owned(), format!("http://{function}/{target}").into());
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&urls).unwrap()).unwrap();
    let table = run(&["--urls", file.path().to_str().unwrap()]);
    // The stand-in is in one region, whatever the ARNs say.
    let table =
        table.replace("region = \"eu-west-1\"\n", "").replace("region = \"us-west-2\"\n", "");
    let table = table.replace("region = \"us-east-1\"\n", "");
    let table =
        table.replace("service = \"lambda\"\n", "service = \"lambda\"\nregion = \"us-east-1\"\n");
    serve(&format!("listen = [\"127.0.0.1:0\"]\nadmin = false\n{table}")).await
}

async fn answers(proxy: &Proxy, cases: &[(&str, Is)]) {
    for (asked, is) in cases {
        let request = format!("{asked} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        let answer = proxy.ask(request).await;
        let body = answer.json();
        match is {
            // The stand-in knows no such path, and says so once the signature was right.
            Seen(path) => assert_eq!(body["path"], *path, "{asked}: {body}"),
            Rejected => {
                assert_eq!(
                    (answer.status(), &body["code"]),
                    (501, &"rejected_by_route".into()),
                    "{asked}"
                );
            }
            Nothing => {
                let code = body["code"].as_str().unwrap_or_default();
                assert!(["no_route", "method_not_allowed"].contains(&code), "{asked}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn a_rest_api_is_served_below_its_stage() {
    let proxy = imported("openapi", "rest-oas3.json", &[]).await;
    answers(
        &proxy,
        &[
            ("GET /prod", Seen("/home/")),
            ("GET /prod/", Seen("/home/")),
            ("GET /prod/orders", Seen("/orders-live/orders")),
            ("POST /prod/orders", Rejected),
            ("OPTIONS /prod/orders", Rejected),
            ("GET /prod/orders/7", Rejected),
            ("PUT /prod/orders/7", Seen("/home/orders/7")),
            ("GET /prod/partner/a/b", Rejected),
            ("GET /prod/reports", Rejected),
            ("DELETE /prod/a%2Fb/c", Seen("/home/a%2Fb/c")),
            ("GET /orders", Nothing),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_swagger_file_is_served_below_its_base_path() {
    let proxy =
        imported("openapi", "rest-swagger2.yaml", &["--stage-variable", "alias=live"]).await;
    answers(
        &proxy,
        &[
            ("GET /v1/users", Seen("/users-live/users")),
            ("POST /v1/users", Seen("/users-live/users")),
            ("PATCH /v1/users/7", Seen("/users-live/users/7")),
            ("DELETE /v1/users/7", Rejected),
            ("GET /v1/users/7/avatar", Rejected),
            ("GET /v1/internal", Rejected),
            ("PUT /v1/users", Nothing),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_http_api_is_served_with_its_default_route() {
    let proxy = imported("openapi", "http-oas3.json", &[]).await;
    answers(
        &proxy,
        &[
            ("PUT /cart", Seen("/cart/cart")),
            ("POST /cart/checkout", Rejected),
            ("POST /events", Rejected),
            ("GET /legacy/a/b", Seen("/cart-2/legacy/a/b")),
            ("POST /legacy/a/b", Rejected),
            ("GET /backend", Rejected),
        ],
    )
    .await;
    let proxy = imported("openapi", "http-default.yaml", &[]).await;
    answers(
        &proxy,
        &[
            ("GET /dev/search", Seen("/search/search")),
            ("GET /dev/search/books/a/b", Seen("/search/search/books/a/b")),
            ("PUT /dev/search/books/a", Seen("/search-index/search/books/a")),
            ("POST /dev/anything", Seen("/rest/anything")),
            ("GET /dev/forgotten", Rejected),
            ("GET /elsewhere", Nothing),
        ],
    )
    .await;
}

#[tokio::test]
async fn templates_are_served_with_the_stages_of_their_apis() {
    let proxy = imported("sam", "sam.yaml", &[]).await;
    answers(
        &proxy,
        &[
            ("GET /Prod/orders", Seen("/orders-live-current/orders")),
            ("PUT /Prod/orders/7", Seen("/orders-live-current/orders/7")),
            ("DELETE /live/orders", Rejected),
            ("GET /live/health", Seen("/orders-live-current/health")),
            ("GET /pages/a", Seen("/web-function/pages/a")),
            ("GET /anything/else", Seen("/web-function/anything/else")),
        ],
    )
    .await;
    let proxy = imported("sam", "cloudformation.yaml", &[]).await;
    answers(
        &proxy,
        &[
            ("GET /prod/", Rejected),
            ("GET /prod/entries", Seen("/ledger-live/entries")),
            ("GET /prod/entries/7", Rejected),
            ("GET /search/a/b", Seen("/search/search/a/b")),
            ("POST /other", Seen("/search/other")),
        ],
    )
    .await;
}
