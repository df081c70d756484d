//! What is signed is what is sent: judged by the emulator, and by the bytes on the wire.

use crate::support::{Setup, Target, function, sha256};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_function_url_accepts_what_is_signed_for_odd_paths_and_queries() {
    let proxy = Setup::to(function().await).start().await;
    let odd = [
        "/",
        "/?",
        "/a//b/../c/./d",
        "/%2F%2f/x",
        "/a%20b/%E4%BD%A0",
        "/%E9/%FF",
        "/a:b@c!$&'()*+,;=",
        "/~user/-_.",
        "/a%",
        "/%zz",
        "/?a=b&a=a&a=",
        "/?a&b=&=c",
        "/?a=+&b=%2B",
        "/?&&a=1&&",
        "/?q=%E9%FF",
        "/?q=!'()*",
        "/?b=2&a=1&A=3",
        "/?q=a/b?c:d@e",
        "/?q=%7E~",
        "/?x=a=b=c",
        "/?X-Amz-Signature=abc&keep=1",
        "/.",
        "/..",
        "/../../x",
        "/a/..",
        "//",
        "/?%61=1&a=0",
        "/?q=`{}|^",
        "/a;b=c",
    ];
    for path in odd {
        let answer = proxy.ask(get(path)).await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        // The built-in function knows none of these paths; a wrong signature would be 403.
        assert_eq!(answer.status(), 404, "{path}: {body}");
        assert_eq!(answer.json()["error"], "Not Found", "{path}");
    }
}

#[tokio::test]
async fn a_function_url_accepts_every_method_and_its_body() {
    let proxy = Setup::to(function().await).start().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"] {
        let request =
            format!("{method} /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\na+b");
        let answer = proxy.ask(request).await;
        assert_eq!(answer.status(), 404, "{method}");
        assert_eq!(answer.json()["method"], method);
    }
    let health = proxy.ask(get("/health")).await;
    assert_eq!(health.json()["caller"], "arn:aws:iam::111122223333:user/caller");
}

#[tokio::test]
async fn the_function_sees_the_body_and_the_content_type_is_signed() {
    let proxy = Setup::to(function().await).start().await;
    let body = r#"{"hello":"wörld"}"#;
    let answer = proxy
        .ask(format!(
            "POST /process HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json; \
             charset=utf-8\r\nx-amz-meta-a:   two  spaces  \r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["received"], serde_json::json!({"hello": "wörld"}));
}

#[tokio::test]
async fn only_what_is_on_the_list_changes_in_path_and_query() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let sent = [
        // the exceptions
        ("/a//b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("//", "/"),
        ("/../..", "/"),
        ("/p?a=b+c&d=+", "/p?a=b%20c&d=%20"),
        ("/p?&&a=1&&b=2&", "/p?a=1&b=2"),
        ("/p?a=1&X-Amz-Signature=x&x-amz-date=y&b=2", "/p?a=1&b=2"),
        ("/p?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-SignedHeaders=h&X-Amz-Expires=9", "/p"),
        ("/p?%58-Amz-Security-Token=t&c=3", "/p?c=3"),
        // and no other
        ("/a%2Fb%2f%2e%2E/%41", "/a%2Fb%2f%2e%2E/%41"),
        ("/a:b@c!$&'()*+,;=~", "/a:b@c!$&'()*+,;=~"),
        ("/%E9%zz%", "/%E9%zz%"),
        ("/p?b=2&a=1&b=1", "/p?b=2&a=1&b=1"),
        ("/p?a&b=&=c&d=%2B", "/p?a&b=&=c&d=%2B"),
        ("/p?q=a/b?c:d@e'{}|^`", "/p?q=a/b?c:d@e'{}|^`"),
        ("/p?q=//../.", "/p?q=//../."),
        ("/p?x-amz-other=1", "/p?x-amz-other=1"),
    ];
    for (asked, expected) in sent {
        let seen = target.sees(&proxy, get(asked)).await;
        assert_eq!(seen.line(), format!("GET {expected} HTTP/1.1"), "{asked}");
    }
}

#[tokio::test]
async fn a_request_leaves_with_one_complete_signature() {
    let target = Target::bind().await;
    let proxy = Setup::to(target.address()).start().await;
    let seen = target.sees(&proxy, get("/")).await;
    let authorization = seen.text("authorization").unwrap();
    let (credential, rest) = authorization.split_once(", SignedHeaders=").unwrap();
    let date = seen.text("x-amz-date").unwrap();
    let scope = format!("{}/us-east-1/lambda/aws4_request", &date[..8]);
    assert_eq!(credential, format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}"));
    let (signed, signature) = rest.split_once(", Signature=").unwrap();
    assert_eq!(signed, "host;x-amz-content-sha256;x-amz-date;x-amz-security-token");
    assert_eq!(signature.len(), 64);
    assert_eq!(seen.text("host").unwrap(), target.address().to_string());
    assert_eq!(seen.text("x-amz-content-sha256").unwrap(), sha256(b""));
    assert_eq!(seen.text("x-amz-security-token").unwrap(), crate::support::TOKEN);
}

#[tokio::test]
async fn a_rewritten_path_is_the_one_that_is_sent() {
    let target = Target::bind().await;
    let base = format!("http://{}/base", target.address());
    let cases = [
        ("prefix = \"/orders\"\nstrip_prefix = \"/orders\"", "/orders/7?a=+", "/base/7?a=%20"),
        ("prefix = \"/orders\"\nstrip_prefix = \"/orders\"", "/x/..//orders", "/base/"),
        (
            "path = \"/v1/{proxy+}\"\nrewrite = \"/v2/{proxy}\"",
            "/v1/a%2Fb/c?x",
            "/base/v2/a%2Fb/c?x",
        ),
        ("path = \"/v1/{proxy+}\"\nrewrite = \"/{proxy}/more\"", "/v1/a/", "/base/a/more"),
        ("path = \"/v1/{id}\"\nrewrite = \"/../{id}\"", "/v1/a", "/base/a"),
        ("path = \"/{id}/{what}\"\nrewrite = \"/{what}/{id}\"", "/%41/b+c", "/base/b+c/%41"),
        ("", "/as/it/is", "/base/as/it/is"),
    ];
    for (route, asked, expected) in cases {
        let proxy = Setup::to_url(&base).route(route).start().await;
        let seen = target.sees(&proxy, get(asked)).await;
        assert_eq!(seen.asked(), expected, "{asked} by {route}");
    }
}

#[tokio::test]
async fn a_rewritten_path_is_signed_as_it_is_sent() {
    let base = format!("http://{}/proc", function().await);
    let rewrite = "path = \"/v1/{rest}\"\nrewrite = \"/../{rest}\"";
    let strip = "prefix = \"/orders\"\nstrip_prefix = \"/orders\"";
    for (route, asked) in [(strip, "/orders/a%20b/c?x=+&y"), (strip, "/orders"), (rewrite, "/v1/a")]
    {
        let proxy = Setup::to_url(&base).route(route).start().await;
        let answer = proxy.ask(get(asked)).await;
        assert_eq!(answer.status(), 404, "{asked}: {:?}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.json()["error"], "Not Found");
    }
}

#[tokio::test]
async fn a_request_in_absolute_form_is_routed_by_its_authority() {
    let (orders, users) = (Target::bind().await, Target::bind().await);
    let proxy = Setup::to(orders.address())
        .route("host = \"orders.internal\"")
        .tables(&format!(
            "[targets.users]\nurl = \"http://{}\"\nservice = \"lambda\"\nregion = \"us-east-1\"\n\
             [[routes]]\ntarget = \"users\"\nhost = \"users.internal\"",
            users.address()
        ))
        .start()
        .await;
    let absolute = "GET http://Users.Internal:80/a//b?q HTTP/1.1\r\nhost: orders.internal\r\n\r\n";
    let seen = users.sees(&proxy, absolute).await;
    assert_eq!(seen.line(), "GET /a/b?q HTTP/1.1");
    assert_eq!(seen.text("host").unwrap(), users.address().to_string());
    assert_eq!(seen.text("x-forwarded-host").unwrap(), "Users.Internal:80");
    let seen = orders.sees(&proxy, "GET / HTTP/1.1\r\nhost: orders.internal\r\n\r\n").await;
    assert_eq!(seen.text("host").unwrap(), orders.address().to_string());
    let root = "GET http://users.internal HTTP/1.1\r\nhost: users.internal\r\n\r\n";
    assert_eq!(users.sees(&proxy, root).await.asked(), "/");
}
