//! `countersign policy`: the least IAM policy that the route table needs, and the function's side.
//! Both actions with both conditions, for a Function URL asks for both:
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>.

mod document;
mod principal;

use std::sync::Arc;

pub(super) use principal::Principal;

use crate::cli::arguments::Policy;
use crate::cli::policy::document::{Document, Lambda, is_web_function};
use crate::cli::shell::quoted;
use crate::cli::{Environment, Exit, inputs, print, refuse, tell};
use crate::config::load::load;
use crate::config::{Config, Target};

pub(super) fn run(arguments: &Policy, environment: Environment) -> Exit {
    let config = match load(&inputs(arguments.file.config.clone(), environment)) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let targets = match routed(&config, &arguments.target) {
        Ok(targets) => targets,
        Err(unknown) => {
            tell(format_args!(
                "error: no route sends to a target `{unknown}`\n  \
                 hint: `countersign check` lists the routes"
            ));
            return Exit::Failure;
        }
    };
    match &arguments.principal {
        Some(principal) => resource_side(&targets, principal),
        None => identity_side(&targets),
    }
}

/// The targets that routes send to, their mirrors too, each once; of these the named ones, where any are named.
fn routed<'c>(config: &'c Config, named: &[String]) -> Result<Vec<&'c Target>, String> {
    let routes = config.routes.routes().iter();
    let all: Vec<&Arc<Target>> = routes.flat_map(|route| route.targets()).collect();
    if let Some(unknown) = named.iter().find(|name| all.iter().all(|known| known.name != **name)) {
        return Err(unknown.clone());
    }
    let mut targets: Vec<&Target> = Vec::new();
    for target in all {
        let wanted = named.is_empty() || named.contains(&target.name);
        if wanted && targets.iter().all(|known| known.name != target.name) {
            targets.push(target);
        }
    }
    Ok(targets)
}

fn identity_side(targets: &[&Target]) -> Exit {
    let mut document = Document::default();
    for target in targets {
        let region = &target.scope.region;
        match target.scope.service.as_str() {
            _ if !target.tls => note(target, "is on this machine: there is nothing to allow", None),
            "lambda" => match document.lambda(target) {
                Lambda::Function => {}
                Lambda::AnyFunction => {
                    let what =
                        format!("has no `function_arn`: any function in {region} is allowed");
                    note(target, &what, Some(WRITE_ARN));
                }
                Lambda::AnyWebFunction => {
                    let what = format!("is a web function: any in {region} is allowed");
                    note(target, &what, Some("write its ARN in place of the `*`"));
                }
            },
            "execute-api" => document.api(target),
            service => {
                let what = format!("is signed for `{service}`, whose actions are not known here");
                let by_hand =
                    "allow them by hand: <https://docs.aws.amazon.com/service-authorization/>";
                note(target, &what, Some(by_hand));
            }
        }
    }
    roles(&mut document, targets);
    let credentials = targets.iter().map(|target| &target.credentials);
    if let Some(first) = targets.first()
        && credentials.into_iter().any(|other| *other != first.credentials)
    {
        tell(
            "note: the targets are not all signed with the same credentials\n  \
             hint: `--target NAME` prints what the role of one of them needs",
        );
    }
    match document.text() {
        Some(text) => {
            print(text);
            Exit::Success
        }
        None => {
            tell("error: there is nothing that a policy could allow");
            Exit::Failure
        }
    }
}

/// Who may assume the roles of targets: not the roles themselves.
fn roles(document: &mut Document, targets: &[&Target]) {
    let called = targets.iter().filter(|target| target.tls);
    let roles: Vec<_> =
        called.filter_map(|target| target.credentials.assume_role.as_ref()).collect();
    for role in &roles {
        document.role(role);
    }
    if !roles.is_empty() {
        tell(
            "note: `AssumeRolesOfTargets` is for what countersign starts with; the roles that it assumes need \
             the statements of their targets\n  \
             hint: the trust policy of each such role must name the former",
        );
    }
}

const WRITE_ARN: &str =
    "write `function_arn = \"arn:aws:lambda:…\"` beside its `url`, in `[targets.NAME]`";

fn note(target: &Target, what: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    tell(format_args!("note: target `{}` {what}{hint}", target.name));
}

/// 1 where a function is missing: what is printed is not all that is needed.
fn resource_side(targets: &[&Target], principal: &Principal) -> Exit {
    let mut exit = Exit::Success;
    let mut text = String::new();
    for target in targets {
        match (&target.function_arn, target.scope.service.as_str()) {
            (Some(arn), "lambda") if !is_web_function(target) => {
                text.push_str(&permissions(target, arn, principal))
            }
            (None, "lambda") if target.tls && !is_web_function(target) => {
                note(target, "has no `function_arn`: it is left out", Some(WRITE_ARN));
                exit = Exit::Failure;
            }
            _ => note(target, "has no Function URL: there is no permission to add", None),
        }
    }
    print(text);
    exit
}

/// The two lines of one function.
fn permissions(target: &Target, arn: &str, principal: &Principal) -> String {
    let parts: Vec<&str> = arn.splitn(8, ':').collect();
    let (account, qualifier) = (parts.get(4).copied().unwrap_or_default(), parts.get(7));
    let function = parts.get(..7).unwrap_or_default().join(":");
    let qualifier = qualifier.map(|name| format!(" --qualifier {}", quoted(name)));
    let begin = format!(
        "aws lambda add-permission --region {} --function-name {}{} --principal {}",
        quoted(&target.scope.region),
        quoted(&function),
        qualifier.unwrap_or_default(),
        quoted(principal.as_str()),
    );
    let enough = if principal.account() != account {
        "another account: the caller's own policy is needed too (`countersign policy`)"
    } else if principal.is_account() {
        "the whole account: its roles still need a policy of their own (`countersign policy`)"
    } else {
        "the same account: this alone is enough, or the caller's own policy alone"
    };
    let id = principal.id();
    format!(
        "# {}: {enough}\n\
         {begin} --statement-id countersign-url-{id} \
         --action lambda:InvokeFunctionUrl --function-url-auth-type AWS_IAM\n\
         {begin} --statement-id countersign-invoke-{id} \
         --action lambda:InvokeFunction --invoked-via-function-url\n",
        target.name.escape_debug(), // a comment ends with its line
    )
}
