//! `policy`: what a role needs, and what a function must allow.

use std::process::Command;

use crate::support::{Program, Ran};

const CONFIG: &str = "\
[targets.orders]
url = \"https://abc.lambda-url.us-east-1.on.aws\"
function_arn = \"arn:aws:lambda:us-east-1:111122223333:function:orders\"

[targets.users]
url = \"https://def.lambda-url.eu-west-1.on.aws\"
function_arn = \"arn:aws:lambda:eu-west-1:444455556666:function:users:live\"

[targets.reports]
url = \"https://ghi.lambda-url.us-east-1.on.aws\"

[targets.gateway]
url = \"https://a1b2c3.execute-api.us-east-1.amazonaws.com/prod\"

[targets.web]
url = \"https://live.shop.lambda-web.eu-central-1.on.aws\"

[targets.search]
url = \"https://search.example.com\"
service = \"es\"
region = \"us-east-1\"

[targets.unused]
url = \"https://zzz.lambda-url.us-east-1.on.aws\"

[[routes]]
prefix = \"/orders\"
target = \"orders\"

[[routes]]
prefix = \"/more-orders\"
target = \"orders\"

[[routes]]
prefix = \"/users\"
target = \"users\"

[[routes]]
prefix = \"/reports\"
target = \"reports\"

[[routes]]
prefix = \"/shop\"
target = \"web\"

[[routes]]
prefix = \"/search\"
target = \"search\"

[[routes]]
target = \"gateway\"
";

#[test]
fn allows_both_actions_of_each_function_and_no_more() {
    let ran = Program::with_config(CONFIG).run(&["policy"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, include_str!("../fixtures/policy/several.json"));
    let policy: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    for statement in policy["Statement"].as_array().unwrap() {
        let sid = statement["Sid"].as_str().unwrap();
        assert!(sid.chars().all(|c| c.is_ascii_alphanumeric()), "IAM refuses `{sid}`");
    }
    assert_eq!(
        ran.err,
        "note: target `reports` has no `function_arn`: any function in us-east-1 is allowed\n  \
         hint: write `function_arn = \"arn:aws:lambda:…\"` beside its `url`, in `[targets.NAME]`\n\
         note: target `web` is a web function: any in eu-central-1 is allowed\n  \
         hint: write its ARN in place of the `*`\n\
         note: target `search` is signed for `es`, whose actions are not known here\n  \
         hint: allow them by hand: <https://docs.aws.amazon.com/service-authorization/>\n"
    );
}

#[test]
fn allows_the_mirrors_of_routes_too() {
    let program = Program::with_config(
        "[targets.old]\nurl = \"https://abc.lambda-url.us-east-1.on.aws\"\n\
         function_arn = \"arn:aws:lambda:us-east-1:111122223333:function:old\"\n\
         [targets.new]\nurl = \"https://def.lambda-url.us-east-1.on.aws\"\n\
         function_arn = \"arn:aws:lambda:us-east-1:111122223333:function:new\"\n\
         [[routes]]\ntarget = \"old\"\nmirror = { target = \"new\" }\n",
    );
    let ran = program.run(&["policy"]);
    for function in ["function:old", "function:new"] {
        assert!(ran.out.contains(function), "{ran:?}");
    }
}

#[test]
fn prints_one_targets_part_where_roles_differ() {
    let config = CONFIG.replace(
        "service = \"es\"\n",
        "service = \"es\"\ncredentials = { profile = \"search\" }\n",
    );
    let program = Program::with_config(&config);
    let ran = program.run(&["policy"]);
    assert!(ran.err.contains("not all signed with the same credentials"), "{ran:?}");
    let ran = program.run(&["policy", "--target", "orders"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.out, include_str!("../fixtures/policy/orders.json"));
    let ran = program.run(&["policy", "--target", "search"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let ran = program.run(&["policy", "--target", "unused"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("no route sends to a target `unused`"), "{ran:?}");
}

#[test]
fn allows_to_assume_the_roles_of_targets_each_once() {
    let role =
        "credentials = { assume_role = { arn = \"arn:aws:iam::444455556666:role/caller\" } }";
    let target = |name: &str| {
        format!(
            "[targets.{name}]\nurl = \"https://{name}.lambda-url.us-east-1.on.aws\"\n{role}\n\
             [[routes]]\nprefix = \"/{name}\"\ntarget = \"{name}\"\n"
        )
    };
    let ran = Program::with_config(&(target("a") + &target("b"))).run(&["policy"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let policy: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let assume: Vec<_> = statements.iter().filter(|s| s["Action"] == "sts:AssumeRole").collect();
    assert_eq!(assume.len(), 1, "{policy}");
    assert_eq!(assume[0]["Sid"], "AssumeRolesOfTargets");
    let role = serde_json::json!(["arn:aws:iam::444455556666:role/caller"]);
    assert_eq!(assume[0]["Resource"], role);
    assert_eq!(ran.err.matches("is for what countersign starts with").count(), 1, "{ran:?}");
}

#[test]
fn prints_the_functions_side_for_the_same_account_and_for_another() {
    let ran = permissions("arn:aws:iam::111122223333:role/app");
    assert_eq!(ran.code, Some(1), "a function without an ARN is missing: {ran:?}");
    assert_eq!(ran.out, include_str!("../fixtures/policy/permissions.sh"));
    assert!(ran.err.contains("target `reports` has no `function_arn`: it is left out"), "{ran:?}");
    let other = permissions("111122223333");
    let id = |ran: &Ran| ran.out.split("--statement-id ").nth(1).unwrap()[..40].to_owned();
    assert_ne!(id(&ran), id(&other), "another principal has statements of its own");
    assert!(other.out.contains("# orders: the whole account: "), "{other:?}");
}

#[test]
fn the_functions_side_is_a_script_that_a_shell_takes() {
    let ran = permissions("arn:aws:iam::111122223333:role/app");
    let shell = format!("aws() {{ printf '%s|' \"$@\"; echo; }}\n{}", ran.out);
    let output = Command::new("sh").args(["-ec", &shell]).env_clear().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 4, "two actions, two functions: {lines}");
    assert!(lines.contains("|--principal|arn:aws:iam::111122223333:role/app|"), "{lines}");
    assert!(lines.contains("|--qualifier|live|"), "{lines}");
}

#[test]
fn a_session_is_no_principal() {
    let session = "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0";
    let ran = permissions(session);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("write the role's ARN"), "{ran:?}");
    let ran = Program::with_config(CONFIG).run(&["policy", "--resource"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

fn permissions(principal: &str) -> Ran {
    Program::with_config(CONFIG).run(&["policy", "--resource", "--principal", principal])
}
