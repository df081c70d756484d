//! An IAM policy. JSON has no comments: what is wider than it could be has a name (`Sid`) that
//! says so.

use serde::Serialize;

use crate::config::{AssumeRole, Target};

/// What is allowed, by kind.
#[derive(Debug, Default)]
pub(super) struct Document {
    functions: Vec<String>,
    any_function: Vec<String>,
    any_web_function: Vec<String>,
    apis: Vec<String>,
    roles: Vec<String>,
}

/// How well a function is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lambda {
    /// By its ARN.
    Function,
    /// Not at all: all functions of its region are allowed.
    AnyFunction,
    /// Not at all: all web functions of its region are allowed.
    AnyWebFunction,
}

/// Whether a target is a web function: they have an action of their own.
pub(super) fn is_web_function(target: &Target) -> bool {
    target.authority.host().contains(".lambda-web.")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy<'d> {
    version: &'static str,
    statement: Vec<Statement<'d>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'d> {
    sid: &'static str,
    effect: &'static str,
    action: &'static str,
    resource: &'d [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<serde_json::Value>,
}

impl Document {
    /// Allows the calls to a Function URL, or to a web function:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/web-functions-permissions.html>.
    pub(super) fn lambda(&mut self, target: &Target) -> Lambda {
        if is_web_function(target) {
            let region = &target.scope.region;
            let partition = partition(region);
            let arn = format!("arn:{partition}:lambda:{region}:*:web-function/*/endpoint/*");
            add(&mut self.any_web_function, arn);
            return Lambda::AnyWebFunction;
        }
        if let Some(arn) = &target.function_arn {
            add(&mut self.functions, arn.clone());
            return Lambda::Function;
        }
        let region = &target.scope.region;
        add(
            &mut self.any_function,
            format!("arn:{}:lambda:{region}:*:function:*", partition(region)),
        );
        Lambda::AnyFunction
    }

    /// Allows the calls to an API of API Gateway. Which part of the path is a stage, the URL does
    /// not tell (`$default` is none), so all of the API is allowed.
    pub(super) fn api(&mut self, target: &Target) {
        let region = &target.scope.region;
        let host = target.authority.host();
        let id = match host.split_once(".execute-api.") {
            // ID-vpce-…, through an endpoint of a VPC
            Some((name, _)) => name.split('-').next().unwrap_or(name),
            None => "*",
        };
        add(&mut self.apis, format!("arn:{}:execute-api:{region}:*:{id}/*", partition(region)));
    }

    /// Allows what assumes a target's role to do so; what is called is then the role's own matter.
    pub(super) fn role(&mut self, role: &AssumeRole) {
        add(&mut self.roles, role.arn.clone());
    }

    /// The policy; none where it would be empty, which IAM does not take.
    pub(super) fn text(&self) -> Option<String> {
        let via_url =
            || serde_json::json!({"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}});
        let invoked = || serde_json::json!({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}});
        let (url, invoke) = ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction");
        let web = "lambda:InvokeWebFunctionEndpoint";
        let statements = [
            ("CallFunctionUrls", url, &self.functions, Some(via_url())),
            ("InvokeThroughFunctionUrls", invoke, &self.functions, Some(invoked())),
            ("CallFunctionUrlsOfUnknownArn", url, &self.any_function, Some(via_url())),
            ("InvokeThroughFunctionUrlsOfUnknownArn", invoke, &self.any_function, Some(invoked())),
            ("CallAnyWebFunction", web, &self.any_web_function, None),
            ("CallApis", "execute-api:Invoke", &self.apis, None),
            ("AssumeRolesOfTargets", "sts:AssumeRole", &self.roles, None),
        ];
        let statement: Vec<Statement<'_>> = statements
            .into_iter()
            .filter(|(_, _, resource, _)| !resource.is_empty())
            .map(|(sid, action, resource, condition)| Statement {
                sid,
                effect: "Allow",
                action,
                resource,
                condition,
            })
            .collect();
        if statement.is_empty() {
            return None;
        }
        let policy = Policy { version: "2012-10-17", statement };
        let text = serde_json::to_string_pretty(&policy).expect("strings and lists are JSON");
        Some(text + "\n")
    }
}

fn add(resources: &mut Vec<String>, arn: String) {
    if !resources.contains(&arn) {
        resources.push(arn);
    }
}

/// The partition that a region is in, as ARNs begin.
pub(super) fn partition(region: &str) -> &'static str {
    match region.split('-').take(2).collect::<Vec<_>>().as_slice() {
        ["cn", _] => "aws-cn",
        ["us", "gov"] => "aws-us-gov",
        ["us", "iso"] => "aws-iso",
        ["us", "isob"] => "aws-iso-b",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn knows_the_partition_of_a_region() {
        assert_eq!(partition("eu-west-1"), "aws");
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
        assert_eq!(partition("cn-north-1"), "aws-cn");
    }
}
