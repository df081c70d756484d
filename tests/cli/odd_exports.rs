//! `import` of what is malformed, hostile, or says less than it seems: no route that is broader
//! than what was there, and no table that `check` refuses.

use serde_json::{Value, json};

use crate::support::{Program, Ran};

const ARN: &str = "arn:aws:lambda:us-east-1:111122223333:function:orders";

fn import(kind: &str, text: &str, rest: &[&str]) -> Ran {
    let program = Program::new();
    program.write("in", text);
    let ran = program.run(&[&["import", kind, "in"][..], rest].concat());
    if ran.code == Some(0) {
        let url = "url = \"https://u.lambda-url.us-east-1.on.aws\"";
        program.write("countersign.toml", &ran.out.replace("url = \"\"", url));
        let check = program.run(&["check"]);
        assert_eq!(check.code, Some(0), "{check:?}\n{}", ran.out);
    }
    ran
}

/// An operation that leads to the function of an ARN, and what else is said of it.
fn to(uri: &str, more: Value) -> Value {
    let mut operation = json!({"x-amazon-apigateway-integration": {
        "type": "aws_proxy", "payloadFormatVersion": "2.0", "uri": uri
    }});
    let more = more.as_object().unwrap().clone();
    operation.as_object_mut().unwrap().extend(more);
    operation
}

fn export(paths: Value, more: Value) -> String {
    let mut document = json!({"openapi": "3.0.1", "info": {"title": "t"}, "paths": paths});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document.to_string()
}

fn openapi(paths: Value, more: Value) -> Ran {
    import("openapi", &export(paths, more), &[])
}

fn sam(resources: Value, globals: Value) -> Ran {
    import("sam", &json!({"Globals": globals, "Resources": resources}).to_string(), &[])
}

/// A SAM function with one event.
fn function(kind: &str, event: Value) -> Value {
    json!({"Type": "AWS::Serverless::Function", "Properties": {
        "Events": {"E": {"Type": kind, "Properties": event}}
    }})
}

#[test]
fn an_arn_that_would_choose_the_host_that_is_asked_is_none() {
    for region in ["evil.example/?x=", "evil.example#", "a\nb"] {
        let ran = openapi(
            json!({"/a": {"get": to(&ARN.replace("us-east-1", region), json!({}))}}),
            json!({}),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.err.contains("GET /a rejects with 501: its `uri` names no function"),
            "{ran:?}"
        );
        assert!(!ran.out.contains("function_arn"), "{ran:?}");
    }
    let named = json!({"Type": "AWS::Serverless::Function", "Properties": {
        "FunctionName": "orders", "Events": {"E": {"Type": "HttpApi"}}
    }});
    let template = json!({
        "Parameters": {
            "AWS::Region": {"Default": "evil.example/?x="}, "AWS::AccountId": {"Default": "1"}
        },
        "Resources": {"F": named}
    });
    let ran = import("sam", &template.to_string(), &[]);
    assert!(!ran.out.contains("evil.example"), "{ran:?}");
}

#[test]
fn what_only_ends_like_the_default_route_takes_no_more_than_its_path() {
    let ran = openapi(json!({"/a/$default": {"get": to(ARN, json!({}))}}), json!({}));
    assert!(ran.out.contains("path = \"/a/$default\"\n"), "{ran:?}");
}

#[test]
fn a_method_in_capitals_is_one_and_what_cannot_be_told_rejects() {
    let ran = openapi(
        json!({
            "/a": {"GET": to(ARN, json!({}))}, "/b": {"Fn::If": ["X", {}, {}]},
            "/{proxy+}": {"get": to(ARN, json!({}))}
        }),
        json!({}),
    );
    assert!(ran.out.contains("path = \"/a\"\nmethods = [\"GET\"]\ntarget"), "{ran:?}");
    assert!(ran.out.contains("path = \"/b\"\nreject"), "{ran:?}");
}

#[test]
fn an_api_key_beside_iam_is_asked_for_still() {
    let schemes = json!({"components": {"securitySchemes": {
        "sigv4": {"type": "apiKey", "name": "Authorization", "x-amazon-apigateway-authtype": "awsSigv4"},
        "key": {"type": "apiKey", "name": "x-api-key", "in": "header"}
    }}});
    for security in [
        json!([{"sigv4": []}, {"key": []}]),
        json!([{"sigv4": [], "key": []}]),
        json!([{}, {"key": []}]),
        json!({"Fn::If": ["X", [], []]}),
    ] {
        let one = to(ARN, json!({ "security": security }));
        let ran = openapi(json!({"/a": {"get": one}}), schemes.clone());
        assert!(ran.err.contains("GET /a rejects with 501: an "), "{ran:?}");
    }
    let iam = to(ARN, json!({"security": [{"sigv4": []}]}));
    let ran = openapi(json!({"/a": {"get": iam}}), schemes);
    assert!(!ran.out.contains("reject"), "{ran:?}");
}

#[test]
fn a_base_path_that_is_none_is_told_with_what_to_write() {
    for (url, variables) in [
        ("https://x/{stage}", json!({})),
        ("https://x/{b}", json!({"b": {"default": "a b#\u{1b}"}})),
    ] {
        let servers = json!({"servers": [{"url": url, "variables": variables}]});
        for path in ["/a", "/$default"] {
            let ran = openapi(json!({path: {"get": to(ARN, json!({}))}}), servers.clone());
            assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
            assert!(ran.err.contains("is no base path\n  hint: write the one"), "{ran:?}");
        }
    }
    let prod = json!({"servers": [{"url": "https://x/prod"}]});
    let ran = openapi(json!({"orders": {"get": to(ARN, json!({}))}}), prod);
    assert!(ran.err.contains("a path begins with `/`"), "{ran:?}");
    let ran = openapi(json!({"/a\u{1b}[2J": {"get": to(ARN, json!({}))}}), json!({}));
    assert!(ran.code == Some(1) && ran.err.contains("`GET /a\\u{1b}[2J`"), "{ran:?}");
}

#[test]
fn no_time_is_no_time_out() {
    let mut one = to(ARN, json!({}));
    one["x-amazon-apigateway-integration"]["timeoutInMillis"] = json!(0);
    let ran = openapi(json!({"/a": {"get": one}}), json!({}));
    assert!(ran.code == Some(0) && !ran.out.contains("response_head"), "{ran:?}");
}

#[test]
fn what_a_condition_says_is_never_read_as_everything_or_everybody() {
    let condition = json!({"Fn::If": ["X", "a", "b"]});
    for event in
        [json!({"Path": condition, "Method": "get"}), json!({"Path": "/a", "Method": condition})]
    {
        for kind in ["Api", "HttpApi"] {
            let ran = sam(
                json!({"F": function(kind, event.clone()), "G": function("HttpApi", json!({"Path": "/g", "Method": "get"}))}),
                json!({}),
            );
            assert!(ran.err.contains("the event `E` of `F`: its path or its method"), "{ran:?}");
            assert_eq!(ran.out.matches("[[routes]]").count(), 1, "{ran:?}");
        }
    }
    for auth in [
        json!({"Authorizer": condition}),
        json!({"ApiKeyRequired": condition}),
        json!({"Fn::If": ["X", {"Authorizer": "A"}, {}]}),
    ] {
        let event = json!({"Path": "/a", "Method": "get", "Auth": auth});
        let ran = sam(json!({"F": function("Api", event)}), json!({}));
        assert!(ran.err.contains("GET /Prod/a rejects with 501: "), "{ran:?}");
    }
}

#[test]
fn an_authorizer_of_globals_stands_beside_what_the_api_itself_says() {
    let event = json!({"Path": "/a", "Method": "get", "RestApiId": {"Ref": "A"}});
    let api = json!({"Type": "AWS::Serverless::Api", "Properties": {
        "StageName": "s", "Auth": {"ApiKeyRequired": false},
        "DefinitionBody": {"paths": {"/b": {"get": to(ARN, json!({}))}}}
    }});
    let ran = sam(
        json!({"F": function("Api", event), "A": api}),
        json!({"Api": {"Auth": {"DefaultAuthorizer": "Staff"}}}),
    );
    for path in ["/s/a", "/s/b"] {
        let told = format!("GET {path} rejects with 501: the authorizer `Staff`");
        assert!(ran.err.contains(&told), "{ran:?}");
    }
}

#[test]
fn a_state_machine_and_a_websocket_api_are_no_functions_of_a_path() {
    let machine = json!({"Type": "AWS::Serverless::StateMachine", "Properties": {
        "Events": {"E": {"Type": "Api", "Properties": {"Path": "/run", "Method": "post"}}}
    }});
    let route = |key: &str| {
        json!({"Type": "AWS::ApiGatewayV2::Route", "Properties": {
            "ApiId": {"Ref": "Ws"}, "RouteKey": key, "Target": {"Fn::Sub": "integrations/${I}"}
        }})
    };
    let ran = sam(
        json!({
            "M": machine,
            "Ws": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "WEBSOCKET"}},
            "R1": route("$default"), "R2": route("$connect"),
            "I": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {
                "IntegrationType": "AWS_PROXY", "IntegrationUri": ARN
            }}
        }),
        json!({}),
    );
    assert!(ran.err.contains("POST /Prod/run rejects with 501: a state machine"), "{ran:?}");
    assert!(ran.err.contains("the route `R2` of a WebSocket API"), "{ran:?}");
    assert_eq!(ran.out.matches("[[routes]]").count(), 1, "{ran:?}");
}

#[test]
fn a_method_whose_authorizer_or_verb_a_condition_says_is_no_open_route() {
    let method = |more: Value| {
        let mut properties = json!({
            "RestApiId": {"Ref": "Api"}, "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
            "HttpMethod": "GET", "Integration": {"Type": "AWS_PROXY", "Uri": ARN}
        });
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let more = json!({"HttpMethod": "POST", "RestApiId": {"Ref": "Api"},
            "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]}});
        sam(
            json!({
                "M": {"Type": "AWS::ApiGateway::Method", "Properties": properties},
                "N": {"Type": "AWS::ApiGateway::Method", "Properties": more}
            }),
            json!({}),
        )
    };
    let condition = json!({"Fn::If": ["X", "NONE", "CUSTOM"]});
    let ran = method(json!({"AuthorizationType": condition}));
    assert!(ran.err.contains("GET / rejects with 501: an authorizer"), "{ran:?}");
    let ran = method(json!({"ApiKeyRequired": condition}));
    assert!(ran.err.contains("GET / rejects with 501: an API key"), "{ran:?}");
    let ran = method(json!({"HttpMethod": condition}));
    assert!(ran.err.contains("the method `M`: its path or verb cannot be told"), "{ran:?}");
}

#[test]
fn a_byte_order_mark_and_line_ends_of_windows_are_read() {
    let text =
        format!("\u{feff}openapi: 3.0.1\r\npaths:\r\n  /a:\r\n    get: {}\r\n", to(ARN, json!({})));
    assert!(import("openapi", &text, &[]).out.contains("path = \"/a\"\n"));
    let program = Program::new();
    program.write("in", &export(json!({"/a": {"get": to(ARN, json!({}))}}), json!({})));
    program.write("urls.json", &format!("\u{feff}{{\"{ARN}\": \"https://u.example\"}}"));
    let ran = program.run(&["import", "openapi", "in", "--urls", "urls.json"]);
    assert!(ran.out.contains("url = \"https://u.example\"\n"), "{ran:?}");
    program.write("urls.json", &format!("{{\"{ARN}\": \"\"}}"));
    let ran = program.run(&["import", "openapi", "in", "--urls", "urls.json"]);
    assert!(ran.err.contains("without a URL yet"), "{ran:?}");
}

#[test]
fn names_of_a_template_become_names_of_a_table() {
    let event = json!({"Path": "/a", "Method": "get"});
    let odd = json!({"Path": "/b", "Method": "G\"E\nT"});
    let ran = sam(
        json!({
            "": function("Api", event.clone()), "é\n]": function("Api", json!({"Path": "/c", "Method": "put"})),
            "F": function("Api", odd)
        }),
        json!({}),
    );
    assert!(ran.out.contains("\n[targets.function]\n") && ran.out.contains("\n[targets.---]\n"));
    assert!(
        ran.err.contains("the event `E` of `F`: its path or its method cannot be told"),
        "{ran:?}"
    );
    let uri = "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:orders";
    let ran = openapi(json!({"/a": {"get": to(uri, json!({}))}}), json!({}));
    assert!(ran.err.contains("--parameter AWS::Region=…"), "{ran:?}");
}
