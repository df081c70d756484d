//! What can be typed. Flags cover what a one-target user needs; the file covers everything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::check::{Asked, Format};
use crate::cli::policy::Principal;
use crate::config::{admin, duration};

/// Call IAM-protected Lambda Function URLs from anything that speaks plain HTTP.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "`countersign demo` shows it working without an AWS account.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    #[command(flatten)]
    pub(super) run: Run,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Serve until told to stop (the default)
    Run(Run),
    /// Show it working: a Function URL on loopback and the proxy in front of it
    Demo(Demo),
    /// Stand in for a Function URL, verifying every signature
    Emulate(Emulate),
    /// Tell every problem of the configuration
    Check(Check),
    /// Tell which route takes a request, and what its target sees
    Explain(Explain),
    /// Show the signature of one request, step by step
    Sign(Sign),
    /// Send one signed request and print the answer
    Call(Call),
    /// Print the least IAM policy that the route table needs
    Policy(Policy),
    /// Make a route table from an API Gateway export or a SAM template
    Import(Import),
    /// Ask a running countersign whether it is healthy; exit code 69 where it is not
    Health(Health),
    /// Write a commented configuration file to start from
    Init(Init),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Print completions for a shell
    #[command(
        after_help = "Example: countersign completions bash > /etc/bash_completion.d/countersign"
    )]
    Completions {
        /// Which: bash, elvish, fish, powershell or zsh
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example: countersign man | man -l -")]
    Man {
        /// The page of this verb instead
        verb: Option<String>,
    },
}

/// Where the configuration is.
#[derive(Args, Debug, Default)]
pub(super) struct ConfigFile {
    /// The configuration file [default: COUNTERSIGN_CONFIG, else ./countersign.toml, else
    /// /etc/countersign/countersign.toml]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// Who signs, where no file says so.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Signing {
    /// The signing region, where the host does not tell it
    #[arg(long)]
    pub(super) region: Option<String>,
    /// The signing service, where the host does not tell it
    #[arg(long)]
    pub(super) service: Option<String>,
    /// The profile of the AWS configuration files that signs
    #[arg(long)]
    pub(super) profile: Option<String>,
}

#[derive(Args, Debug, Default)]
pub(super) struct Run {
    /// Send everything to this URL
    #[arg(value_name = "TARGET")]
    pub(super) target: Option<String>,
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// An address for apps, such as 127.0.0.1:8480 or unix:/run/app.sock (repeatable)
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<String>,
    /// The address for probes and people; `false` for none
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// Listen on addresses other than loopback too
    #[arg(long)]
    pub(super) allow_remote: bool,
    #[command(flatten)]
    pub(super) signing: Signing,
    /// Which requests are logged: all, errors or off
    #[arg(long, value_name = "WHICH")]
    pub(super) access_log: Option<String>,
    /// json or text
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// What is logged, such as info or countersign=debug
    #[arg(long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// Threads that serve
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<usize>,
}

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Where the proxy listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8480")]
    pub(super) listen: SocketAddr,
}

#[derive(Args, Debug)]
pub(super) struct Emulate {
    /// Where the Function URL listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8490")]
    pub(super) listen: SocketAddr,
    /// Post each event to this Lambda runtime emulator instead of the built-in function,
    /// such as http://localhost:9000/2015-03-31/functions/function/invocations
    #[arg(long, value_name = "URL", value_parser = plain_http)]
    pub(super) invoke: Option<http::Uri>,
    /// The region that signatures must be for
    #[arg(long, default_value = "us-east-1")]
    pub(super) region: String,
}

#[derive(Args, Debug)]
#[command(after_help = "Example: countersign check --connect --call 'GET /health'")]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// Also try credentials, DNS, TLS and clock for every target; nothing is invoked
    #[arg(long)]
    pub(super) connect: bool,
    /// Also send one real signed request and explain its answer
    #[arg(long, value_name = "METHOD PATH")]
    pub(super) call: Option<Asked>,
    /// Send it by this route, or fail
    #[arg(long, value_name = "NAME", requires = "call")]
    pub(super) route: Option<String>,
    /// How `--connect` tells its table: text or json
    #[arg(long, default_value = "text", requires = "connect")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    pub(super) format: Format,
}

#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The method, such as GET
    #[arg(value_parser = method)]
    pub(super) method: http::Method,
    /// A path, or the URL as the app writes it
    #[arg(value_name = "PATH|URL")]
    pub(super) url: http::Uri,
    #[command(flatten)]
    pub(super) file: ConfigFile,
}

/// One request, as curl writes it.
#[derive(Args, Debug)]
pub(super) struct OneRequest {
    /// The method, such as GET
    #[arg(value_parser = method)]
    pub(super) method: http::Method,
    /// A header, such as "accept: text/plain" (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// The body; @FILE reads it from a file, @- from standard input
    #[arg(short = 'd', long = "data", value_name = "DATA")]
    pub(super) data: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Sign {
    #[command(flatten)]
    pub(super) request: OneRequest,
    /// A path of the route table, or the target's URL
    #[arg(value_name = "PATH|URL")]
    pub(super) url: http::Uri,
    #[command(flatten)]
    pub(super) file: ConfigFile,
    #[command(flatten)]
    pub(super) signing: Signing,
    /// Print a `curl --aws-sigv4` line instead, with variables where the secrets are
    #[arg(long)]
    pub(super) curl: bool,
}

#[derive(Args, Debug)]
pub(super) struct Call {
    #[command(flatten)]
    pub(super) request: OneRequest,
    /// The target's URL
    #[arg(value_name = "URL")]
    pub(super) url: http::Uri,
    #[command(flatten)]
    pub(super) signing: Signing,
    /// Print the answer's head too
    #[arg(short = 'i', long)]
    pub(super) include: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "Example: countersign policy > policy.json\n         \
                        aws iam put-role-policy --role-name ROLE --policy-name call-functions \
                        --policy-document file://policy.json")]
pub(super) struct Policy {
    /// Print the function's side instead: `aws lambda add-permission` lines
    #[arg(long, requires = "principal")]
    pub(super) resource: bool,
    /// Who is allowed: a role, a user or an account
    #[arg(long, value_name = "ARN", requires = "resource")]
    pub(super) principal: Option<Principal>,
    /// Only for this target, where others have credentials of their own (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(super) target: Vec<String>,
    #[command(flatten)]
    pub(super) file: ConfigFile,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example: countersign import openapi export.json --urls urls.json > countersign.toml\n         \
                        countersign check"
)]
pub(super) struct Import {
    #[command(subcommand)]
    pub(super) from: Imported,
}

/// What a route table is made from.
#[derive(Debug, Subcommand)]
pub(super) enum Imported {
    /// An export of API Gateway: OpenAPI 3.0 or Swagger 2.0, JSON or YAML
    Openapi(ImportedFile),
    /// A SAM or CloudFormation template
    Sam {
        #[command(flatten)]
        file: ImportedFile,
        /// A parameter of the template, or AWS::Region and AWS::AccountId (repeatable)
        #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = assignment)]
        parameters: Vec<(String, String)>,
    },
}

impl Imported {
    /// What both have.
    pub(super) fn file(&self) -> &ImportedFile {
        match self {
            Self::Openapi(file) | Self::Sam { file, .. } => file,
        }
    }

    /// The parameters of a template.
    pub(super) fn parameters(&self) -> &[(String, String)] {
        match self {
            Self::Openapi(_) => &[],
            Self::Sam { parameters, .. } => parameters,
        }
    }

    /// As it is typed.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Openapi(_) => "openapi",
            Self::Sam { .. } => "sam",
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct ImportedFile {
    /// The file; `-` is standard input
    pub(super) file: PathBuf,
    /// URLs of functions: a JSON object of ARNs and URLs, or what `aws lambda
    /// list-function-url-configs` prints (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(super) urls: Vec<PathBuf>,
    /// Ask Lambda for the URLs that no file tells
    #[arg(long)]
    pub(super) resolve: bool,
    /// The region to ask in about a function whose ARN is not known [default: AWS_REGION]
    #[arg(long, requires = "resolve")]
    pub(super) region: Option<String>,
    /// The profile of the AWS configuration files that asks
    #[arg(long, requires = "resolve")]
    pub(super) profile: Option<String>,
    /// A stage variable (repeatable)
    #[arg(long = "stage-variable", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(super) stage_variables: Vec<(String, String)>,
    /// The base path that callers write, in place of the stage; `/` for none
    #[arg(long, value_name = "PATH")]
    pub(super) base_path: Option<String>,
    /// Send on what had an authorizer or needed an API key: whoever reaches the listener may
    /// call it
    #[arg(long)]
    pub(super) without_authorizers: bool,
}

/// A method; who leaves it out learns where it stands.
fn method(typed: &str) -> Result<http::Method, String> {
    typed.parse().map_err(|_| match typed.contains('/') {
        true => format!("a method comes first, as in `GET {typed}`"),
        false => "a method is one word, such as GET".to_owned(),
    })
}

fn assignment(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 healthy, 69 not healthy, 78 the admin listener is off.\n\
                        In a container: HEALTHCHECK CMD [\"/countersign\", \"health\"]")]
pub(super) struct Health {
    /// Ask again until it is healthy, or this time is over
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) wait: Option<Duration>,
    /// Ask whether it can serve now, not only whether it runs and was ready once
    #[arg(long)]
    pub(super) ready: bool,
    /// The address of its admin listener, where configuration and environment do not tell it
    #[arg(long, value_name = "ADDR", value_parser = admin_address)]
    pub(super) admin: Option<String>,
    #[command(flatten)]
    pub(super) file: ConfigFile,
}

/// An address, kept as it was typed.
fn admin_address(text: &str) -> Result<String, &'static str> {
    let known = admin::read(text).map(|_| text.to_owned());
    known.ok_or("write an IP address and a port, such as 127.0.0.1:8481")
}

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The file; `-` is standard output
    #[arg(default_value = "countersign.toml")]
    pub(super) file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    pub(super) force: bool,
}

/// A runtime emulator speaks plain HTTP.
fn plain_http(text: &str) -> Result<http::Uri, String> {
    let url: http::Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.authority()) {
        (Some("http"), Some(_)) => Ok(url),
        _ => Err("write it whole, such as `http://localhost:9000`".to_owned()),
    }
}
