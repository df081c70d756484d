//! Pages of other sites: which of them a route lets in, what their browsers are told, and that
//! all others are refused as before.

use crate::support::{Answer, OK, Proxy, Setup, Target, sha256};

const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evil.example";
/// A route for pages of [`APP`] beside the one for everything else.
const ROUTE: &str = "[[routes]]\npath = \"/orders\"\nmethods = [\"GET\", \"POST\"]\ntarget = \"only\"\n\
                     cors = { origins = [\"https://app.example.com\"], headers = [\"content-type\", \"x-api-key\"], \
                     expose_headers = [\"x-total\", \"x-page\"], max_age = \"10m\" }\n";
const ALLOWING: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
];

async fn proxy(target: &Target, more: &str) -> Proxy {
    Setup::to(target.address()).tables(&format!("{ROUTE}{more}")).start().await
}

fn ask(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost:8480\r\n{headers}\r\n")
}

fn from(origin: &str) -> String {
    format!("origin: {origin}\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: cors\r\n")
}

fn preflight(path: &str, origin: &str, method: &str) -> String {
    let wanted = format!(
        "access-control-request-method: {method}\r\naccess-control-request-headers: content-type\r\n"
    );
    ask("OPTIONS", path, &(from(origin) + &wanted))
}

fn allows(answer: &Answer) -> Vec<&str> {
    ALLOWING.into_iter().filter(|name| answer.head.has(name)).collect()
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    let mut client = proxy.connect().await;
    client.send(preflight("/orders", APP, "POST")).await;
    let head = client.head().await;
    assert_eq!(head.line(), "HTTP/1.1 204 No Content");
    assert_eq!(head.text("access-control-allow-origin").unwrap(), APP);
    assert_eq!(head.text("access-control-allow-methods").unwrap(), "GET, POST");
    assert_eq!(head.text("access-control-allow-headers").unwrap(), "content-type, x-api-key");
    assert_eq!(head.text("access-control-max-age").unwrap(), "600");
    assert_eq!(head.text("vary").unwrap(), "origin, access-control-request-method");
    for none in ["access-control-allow-credentials", "access-control-expose-headers"] {
        assert!(!head.has(none), "{none}");
    }
    for none in ["content-type", "content-length", "transfer-encoding", "proxy-status"] {
        assert!(!head.has(none), "{none}");
    }
    client.send(preflight("/orders", APP, "GET")).await; // the connection goes on
    assert_eq!(client.head().await.status(), 204);
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_preflight_of_another_page_is_promised_nothing() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    for origin in [EVIL, "null", "https://app.example.com.evil.example", "http://app.example.com"] {
        let mut client = proxy.connect().await;
        client.send(preflight("/orders", origin, "POST")).await;
        let head = client.head().await;
        assert_eq!(head.status(), 204);
        assert!(ALLOWING.iter().all(|name| !head.has(name)), "{origin}");
        assert!(head.has("vary"));
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn a_preflight_asks_about_the_route_of_its_method() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    // DELETE is for the other route, which has no `cors`: that is the guard's to say.
    for (path, method) in [("/orders", "DELETE"), ("/else", "POST"), ("/orders", "post")] {
        let answer = proxy.ask(preflight(path, APP, method)).await;
        assert_eq!((answer.status(), answer.code().as_str()), (403, "origin_not_allowed"));
        assert_eq!(allows(&answer), [""; 0]);
    }
    // What is no preflight is a request like others.
    let answer = proxy.ask(ask("OPTIONS", "/orders", &from(APP))).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "origin_not_allowed"));
    let answer = proxy.ask(preflight("/orders", APP, "P@ST")).await;
    assert_eq!(answer.status(), 403);
    assert!(target.is_untouched().await);
    target.sees(&proxy, ask("OPTIONS", "/orders", "")).await;
}

#[tokio::test]
async fn a_preflight_needs_a_host_that_is_known() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    let rebound = preflight("/orders", APP, "POST").replace("localhost:8480", "evil.example");
    let answer = proxy.ask(rebound).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "host_not_allowed"));
}

#[tokio::test]
async fn a_page_that_the_route_names_may_ask_and_read() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    let post = ask("POST", "/orders", &(from(APP) + "content-length: 2\r\n")) + "hi";
    let (seen, answer) = target.exchange(&proxy, post, OK).await;
    assert_eq!(seen.text("origin").unwrap(), APP);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), APP);
    assert_eq!(answer.head.text("access-control-expose-headers").unwrap(), "x-total, x-page");
    assert_eq!(answer.head.text("vary").unwrap(), "origin");
    assert_eq!(allows(&answer).len(), 2);
    let upper = ask("GET", "/orders", &from("https://APP.example.com"));
    let (_, answer) = target.exchange(&proxy, upper, OK).await;
    assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), "https://APP.example.com");
}

#[tokio::test]
async fn a_form_of_another_page_is_refused_before_anything_is_sent() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n";
    let two = format!("origin: {APP}\r\norigin: {EVIL}\r\n");
    let nameless = "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n".to_owned();
    for page in [from(EVIL), from("null"), two, nameless] {
        let answer = proxy.ask(ask("POST", "/orders", &(page.clone() + form)) + "a=b").await;
        let told = (answer.status(), answer.code());
        assert_eq!(told, (403, "origin_not_allowed".to_owned()), "{page}");
        assert_eq!(allows(&answer), [""; 0]);
    }
    // The page that a route names is a stranger to all others, and to other methods.
    for (method, path) in [("POST", "/else"), ("DELETE", "/orders"), ("GET", "/orders/7")] {
        let answer = proxy.ask(ask(method, path, &from(APP))).await;
        let told = (answer.status(), answer.code());
        assert_eq!(told, (403, "origin_not_allowed".to_owned()), "{method} {path}");
    }
    assert!(target.is_untouched().await);
}

#[tokio::test]
async fn strangers_learn_nothing_of_the_route_table() {
    let target = Target::bind().await;
    let old = "[[routes]]\npath = \"/old\"\nreject = 410\n";
    let proxy = Setup::to(target.address())
        .route("path = \"/a\"\nmethods = [\"PUT\"]")
        .tables(&format!("{ROUTE}{old}"))
        .start()
        .await;
    for path in ["/nowhere", "/a", "/old"] {
        let answer = proxy.ask(ask("GET", path, &from(APP))).await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (403, "origin_not_allowed"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn methods_of_cors_bound_what_pages_may_do() {
    let target = Target::bind().await;
    let reading = "[[routes]]\nprefix = \"/r\"\ntarget = \"only\"\n\
                   cors = { origins = [\"https://app.example.com\"], methods = [\"GET\"] }\n";
    let proxy = proxy(&target, reading).await;
    target.sees(&proxy, ask("GET", "/r", &from(APP))).await;
    target.sees(&proxy, ask("POST", "/r", "")).await;
    let answer = proxy.ask(ask("POST", "/r", &from(APP))).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "origin_not_allowed"));
}

#[tokio::test]
async fn a_caller_that_is_no_browser_passes_as_before() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    for headers in ["", "origin: http://localhost:8480\r\n"] {
        let (_, answer) = target.exchange(&proxy, ask("GET", "/orders", headers), OK).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(allows(&answer), [""; 0]);
        assert_eq!(answer.head.text("vary").unwrap(), "origin");
    }
    let (_, answer) = target.exchange(&proxy, ask("GET", "/else", ""), OK).await;
    assert!(!answer.head.has("vary"));
}

#[tokio::test]
async fn what_the_function_says_of_cors_is_replaced_and_its_vary_kept() {
    let target = Target::bind().await;
    let proxy = proxy(&target, "").await;
    let own = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\
               access-control-allow-origin: *\r\naccess-control-allow-origin: https://x.example\r\n\
               access-control-allow-credentials: true\r\naccess-control-expose-headers: x-own\r\n\
               access-control-allow-methods: PUT\r\naccess-control-allow-headers: x-own\r\n\
               access-control-max-age: 1\r\nvary: accept-encoding\r\n\r\nok";
    let (_, answer) = target.exchange(&proxy, ask("GET", "/orders", &from(APP)), own).await;
    assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), APP);
    assert_eq!(answer.head.text("access-control-expose-headers").unwrap(), "x-total, x-page");
    assert_eq!(allows(&answer).len(), 2);
    assert_eq!(answer.head.all("vary"), [b"accept-encoding".as_slice(), b"origin"]);
    let varies = own.replace("accept-encoding", "Accept, Origin");
    let (_, answer) = target.exchange(&proxy, ask("GET", "/orders", &from(APP)), varies).await;
    assert_eq!(answer.head.text("vary").unwrap(), "Accept, Origin");
    // Where a route has no `cors`, the function's own passes.
    let (_, answer) = target.exchange(&proxy, ask("GET", "/else", ""), own).await;
    assert_eq!(answer.head.all("access-control-allow-origin").len(), 2);
}

#[tokio::test]
async fn a_page_may_read_why_it_was_turned_away() {
    let target = Target::bind().await;
    let more = format!(
        "[api_keys.app]\nsha256 = \"{}\"\n[[routes]]\npath = \"/keyed\"\ntarget = \"only\"\n\
         api_keys = [\"app\"]\ncors = {{ origins = [\"{APP}\"] }}\n\
         throttle = {{ rate = \"1/h\", burst = 1 }}\n",
        sha256(b"key-of-the-app")
    );
    for style in ["problem", "api-gateway"] {
        let proxy = Setup::to(target.address())
            .top(&format!("error_style = \"{style}\""))
            .tables(&more)
            .start()
            .await;
        for _ in 0..3 {
            let mut client = proxy.connect().await; // without a key, and not counted
            client.send(preflight("/keyed", APP, "GET")).await;
            assert_eq!(client.head().await.text("access-control-allow-origin").unwrap(), APP);
        }
        let answer = proxy.ask(ask("GET", "/keyed", &from(APP))).await;
        assert_eq!(answer.status(), 403);
        assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), APP, "{style}");
        let with_key = ask("GET", "/keyed", &(from(APP) + "x-api-key: key-of-the-app\r\n"));
        target.sees(&proxy, &with_key).await;
        let answer = proxy.ask(&with_key).await;
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), APP, "{style}");
    }
}

#[tokio::test]
async fn any_origin_and_credentials_are_told_as_browsers_take_them() {
    let target = Target::bind().await;
    let more = format!(
        "[[routes]]\nprefix = \"/any\"\ntarget = \"only\"\n\
         cors = {{ origins = [\"*\"], methods = [\"*\"], headers = [\"*\"] }}\n\
         [[routes]]\nprefix = \"/cookies\"\ntarget = \"only\"\n\
         cors = {{ origins = [\"{APP}\"], credentials = true }}\n"
    );
    let proxy = proxy(&target, &more).await;
    let (_, answer) = target.exchange(&proxy, ask("PATCH", "/any", &from(EVIL)), OK).await;
    assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), "*");
    let mut client = proxy.connect().await;
    client.send(preflight("/any", EVIL, "PATCH")).await;
    let head = client.head().await;
    assert_eq!(head.text("access-control-allow-methods").unwrap(), "*");
    assert_eq!(head.text("access-control-allow-headers").unwrap(), "*");
    let (_, answer) = target.exchange(&proxy, ask("GET", "/cookies", &from(APP)), OK).await;
    assert_eq!(answer.head.text("access-control-allow-origin").unwrap(), APP);
    assert_eq!(answer.head.text("access-control-allow-credentials").unwrap(), "true");
    client.send(preflight("/cookies", APP, "PUT")).await;
    let head = client.head().await;
    assert_eq!(
        head.text("access-control-allow-methods").unwrap(),
        "GET, HEAD, POST, PUT, PATCH, DELETE"
    );
    assert_eq!(head.text("access-control-allow-credentials").unwrap(), "true");
}

#[tokio::test]
async fn an_origin_with_its_schemes_own_port_is_the_one_without() {
    let target = Target::bind().await;
    for origins in ["https://app.example.com:443", "http://app.example.com:80"] {
        let route = format!(
            "[[routes]]\nprefix = \"/ports\"\ntarget = \"only\"\ncors = {{ origins = [\"{origins}\"] }}\n"
        );
        let proxy = proxy(&target, &route).await;
        let (origin, _) = origins.rsplit_once(':').unwrap();
        target.sees(&proxy, ask("GET", "/ports", &from(origin))).await;
        let answer = proxy.ask(ask("GET", "/ports", &from(&format!("{origin}:8080")))).await;
        assert_eq!(answer.status(), 403);
    }
}

#[tokio::test]
async fn a_route_that_names_options_answers_preflights_itself() {
    let target = Target::bind().await;
    let own = "[[routes]]\nname = \"own\"\npath = \"/orders\"\nmethods = [\"OPTIONS\"]\ntarget = \"only\"\n";
    let setup = || Setup::to(target.address()).tables(&format!("{ROUTE}{own}"));
    let proxy = setup().top(&format!("allowed_origins = [\"{APP}\"]")).start().await;
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\nx-own: 1\r\n\r\n";
    let (seen, _) = target.exchange(&proxy, preflight("/orders", APP, "POST"), answer).await;
    assert_eq!(seen.line(), "OPTIONS /orders HTTP/1.1");
    let proxy = setup().start().await;
    let answer = proxy.ask(preflight("/orders", APP, "POST")).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "origin_not_allowed"));
    // One that rejects is no answer to a browser.
    let rejecting = own.replace("target = \"only\"", "reject = 501");
    let proxy = self::proxy(&target, &rejecting).await;
    let mut client = proxy.connect().await;
    client.send(preflight("/orders", APP, "POST")).await;
    assert_eq!(client.head().await.status(), 204);
}

#[tokio::test]
async fn a_preflight_about_a_method_that_is_not_there_hears_that_and_not_of_its_origin() {
    let target = Target::bind().await;
    let route = "path = \"/orders\"\nmethods = [\"GET\"]\ncors = { origins = [\"https://app.example.com\"] }";
    let proxy = Setup::to(target.address()).route(route).start().await;
    let answer = proxy.ask(preflight("/orders", APP, "POST")).await;
    assert_eq!((answer.status(), answer.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.head.text("allow").unwrap(), "GET");
    assert_eq!(allows(&answer), [] as [&str; 0]);
    let answer = proxy.ask(preflight("/orders", EVIL, "POST")).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "origin_not_allowed"));
    assert!(target.is_untouched().await);
}
