//! Whole configuration files: those that are right, and those that are not with the exact text
//! that tells so.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign::config::load::{Inputs, load};
use countersign::config::problem::Problems;
use countersign::config::{
    Config, CorsOrigins, Mirror, MirroredMethods, RetriedAnswers, RetriedMethods, Route,
};
use countersign::telemetry::logs;
use http::header::CONTENT_TYPE;

const VALID: &str = "tests/fixtures/config/valid";
const INVALID: &str = "tests/fixtures/config/invalid";
/// Bodies and their schemas: right and wrong in a build that checks them, refused in any other.
const BODIES: &str = "tests/fixtures/config/bodies";
/// The samples that people copy.
const SAMPLES: &str = "config";

fn read(path: &Path) -> Result<Config, Problems> {
    load(&Inputs {
        config: Some(path.to_owned()),
        log_syntax: Some(logs::is_filter),
        ..Inputs::default()
    })
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

#[test]
fn loads_every_valid_file_without_a_word() {
    for file in files(VALID).into_iter().chain(files(SAMPLES)) {
        match read(&file) {
            Ok(config) => assert_eq!(config.warnings, [], "{}", file.display()),
            Err(problems) => panic!("{}:\n{problems}", file.display()),
        }
    }
}

#[test]
fn tells_every_problem_of_an_invalid_file() {
    let files = files(INVALID);
    assert!(files.len() >= 30, "only {} files are left", files.len());
    for file in files {
        let told = match read(&file) {
            Ok(_) => panic!("{} has no problem", file.display()),
            Err(problems) => format!("{problems}\n"),
        };
        let expected = file.with_extension("txt");
        let expected = fs::read_to_string(&expected)
            .unwrap_or_else(|error| panic!("{}: {error}\n{told}", expected.display()));
        assert_eq!(told, expected, "{}", file.display());
        assert!(!told.contains("hunter2"), "a password is told: {told}");
    }
}

#[test]
fn takes_what_the_readme_says_of_the_configuration() {
    let readme = fs::read_to_string("README.md").unwrap();
    let blocks: Vec<&str> =
        readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 3, "the README shows {} pieces of configuration", blocks.len());
    for block in &blocks {
        // A piece that shows one setting needs a route beside it.
        let route = "[[routes]]\ntarget = \"https://ID.lambda-url.us-east-1.on.aws\"\n";
        let text = if block.contains("[[routes]]") {
            (*block).to_owned()
        } else {
            format!("{block}\n{route}")
        };
        let config = of_text(&text);
        assert_eq!(config.warnings, []);
    }
    // The reference shows defaults: a file that says nothing means the same.
    let reference = blocks.iter().find(|block| block.contains("[timeouts]")).unwrap();
    let (said, meant) =
        (of_text(reference), of_text(&fs::read_to_string("config/smallest.toml").unwrap()));
    assert_eq!(said.limits, meant.limits);
    assert_eq!(said.timeouts, meant.timeouts);
    assert_eq!(said.shutdown, meant.shutdown);
    assert_eq!(said.access_log, meant.access_log);
    assert_eq!(said.admin, meant.admin);
    assert_eq!(said.upstream.idle, meant.upstream.idle);
    assert_eq!(said.upstream.roots, meant.upstream.roots);
    assert_eq!(
        (said.workers, said.log, said.error_style),
        (meant.workers, meant.log, meant.error_style)
    );
    let (said, meant) = (&said.routes.routes()[0], &meant.routes.routes()[0]);
    assert_eq!((said.payload, said.max_body), (meant.payload, meant.max_body));
    assert_eq!(said.authorization, meant.authorization);
}

#[test]
fn knows_every_key_that_the_readme_offers() {
    let readme = fs::read_to_string("README.md").unwrap();
    let blocks = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let reference = blocks.into_iter().find(|block| block.contains("[timeouts]")).unwrap();
    let mut text = String::new();
    let mut offered = 0;
    for line in reference.lines() {
        match line.strip_prefix("# e.g. ") {
            Some(key) if key.contains(" = ") && !key.starts_with('"') => {
                offered += 1;
                text.push_str(key);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    assert!(offered >= 10, "only {offered} keys are offered");
    let text = text.replace("corporate-ca.pem", &format!("{VALID}/corporate-ca.pem"));
    let text = text.replace("arn:aws:lambda:…", "arn:aws:lambda:us-east-1:111122223333:function:f");
    let config = of_text(&text);
    assert_eq!(config.routes.routes()[0].request_headers.set.len(), 1);
}

/// The configuration that a text means.
fn of_text(text: &str) -> Config {
    let environment = vec![("COUNTERSIGN_CONFIG_TOML".to_owned(), text.to_owned())];
    let inputs = Inputs { environment, log_syntax: Some(logs::is_filter), ..Inputs::default() };
    load(&inputs).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn retries_are_off_unless_said_and_a_table_changes_what_it_names() {
    let smallest = read(Path::new("config/smallest.toml")).unwrap();
    assert_eq!(smallest.routes.routes()[0].retries, None);
    let config = read(&Path::new(VALID).join("retries.toml")).unwrap();
    let [by_default, never, always] = config.routes.routes() else { panic!("three routes") };
    let retries = by_default.retries.as_ref().unwrap();
    assert_eq!(retries.attempts, 2);
    assert_eq!(retries.on, [429, 502, 503, 504]);
    assert_eq!(retries.methods, RetriedMethods::Idempotent);
    assert_eq!(retries.answers, RetriedAnswers::OfTheService);
    assert_eq!(never.retries, None);
    let retries = always.retries.as_ref().unwrap();
    assert_eq!((retries.attempts, retries.methods), (10, RetriedMethods::All));
    assert_eq!(retries.on, [429, 500]);
    assert_eq!(retries.answers, RetriedAnswers::OfFunctionsToo);
}

#[test]
fn a_mirror_is_off_unless_said_and_false_switches_a_default_off() {
    let smallest = read(Path::new("config/smallest.toml")).unwrap();
    assert_eq!(smallest.routes.routes()[0].mirror, None);
    let config = read(&Path::new(VALID).join("mirror.toml")).unwrap();
    let mirrors: Vec<_> =
        config.routes.routes().iter().map(|route| route.mirror.as_ref()).collect();
    let [Some(by_default), None, Some(alone), Some(whole), Some(uncompared)] = mirrors[..] else {
        panic!("{mirrors:?}");
    };
    assert_eq!((by_default.target.name.as_str(), by_default.sample), ("new", 0.1));
    assert_eq!((alone.sample, alone.methods), (1.0, MirroredMethods::Idempotent));
    let compared = |mirror: &Mirror| {
        let comparison = mirror.comparison.clone().unwrap();
        (comparison.headers, comparison.ignored)
    };
    assert_eq!(compared(by_default), (vec![CONTENT_TYPE], vec!["/timestamp".to_owned()]));
    assert_eq!(compared(alone), (vec![CONTENT_TYPE], vec![]));
    let ignored = vec![String::new(), "/a~1b/m~0n/0".to_owned()];
    assert_eq!(compared(whole), (vec![CONTENT_TYPE], ignored));
    assert_eq!((whole.sample, whole.methods), (1.0, MirroredMethods::All));
    assert_eq!(uncompared.comparison, None);
    let names: Vec<&str> = config.targets.iter().map(|target| target.name.as_str()).collect();
    assert!(names.contains(&"ghi.lambda-url.us-east-1.on.aws"), "{names:?}");
}

#[test]
fn a_star_in_what_a_mirror_ignores_is_odd_but_not_wrong() {
    let url = "\"https://abc.lambda-url.us-east-1.on.aws\"";
    let config = of_text(&format!(
        "[[routes]]\ntarget = {url}\nmirror = {{ target = {url}, ignore = [\"/items/*/id\"] }}"
    ));
    let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert_eq!(warning.key, "routes[0].mirror.ignore[0]");
    assert_eq!(warning.message, "`*` in `/items/*/id` stands for itself");
}

#[test]
fn a_routes_own_reject_goes_before_a_default_target() {
    let config = read(&Path::new(VALID).join("reject.toml")).unwrap();
    assert_eq!(config.routes.routes().len(), 1);
    let rejects = config.routes.rejecting().iter().map(|route| &route.reject);
    let rejects: Vec<_> = rejects.map(|r| (r.status.as_u16(), r.message.as_str())).collect();
    let expected = [
        (501, "the route table rejects this request"),
        (410, "old orders are in the archive"),
        (501, "this host is no longer served"),
    ];
    assert_eq!(rejects, expected);
}

#[cfg(feature = "validation")]
#[test]
fn compiles_the_schemas_of_bodies_and_tells_what_is_wrong_with_them() {
    let config =
        read(&Path::new(BODIES).join("valid.toml")).unwrap_or_else(|told| panic!("{told}"));
    let file = Path::new(BODIES).join("order.json");
    assert!(config.files.iter().any(|known| known.path == file), "{:?}", config.files);
    let told = read(&Path::new(BODIES).join("invalid.toml")).unwrap_err();
    let expected = fs::read_to_string(Path::new(BODIES).join("invalid.txt")).unwrap();
    assert_eq!(format!("{told}\n"), expected, "{told}");
}

#[cfg(not(feature = "validation"))]
#[test]
fn a_build_that_checks_no_bodies_says_so() {
    let told = read(&Path::new(BODIES).join("valid.toml")).unwrap_err().to_string();
    let place = format!("{BODIES}/valid.toml:7:10: `routes[0].validate.body`: ");
    assert!(told.starts_with(&format!("{place}this build checks no bodies\n")), "{told}");
    // Once for each `body`, and before a schema's file is looked for.
    assert_eq!(told.matches("build with `--features validation`").count(), 2, "{told}");
    let told = read(&Path::new(BODIES).join("invalid.toml")).unwrap_err().to_string();
    assert!(
        told.contains("this build checks no bodies") && !told.contains("cannot be read"),
        "{told}"
    );
}

#[test]
fn warns_of_a_route_that_any_page_may_call_and_of_a_key_that_no_route_takes() {
    let config = of_text(
        "[api_keys]\nused = { sha256 = \"0101010101010101010101010101010101010101010101010101010101010101\" }\n\
         left = { sha256 = \"0202020202020202020202020202020202020202020202020202020202020202\" }\n\
         [defaults]\ntarget = \"https://abc.lambda-url.us-east-1.on.aws\"\ncors = { origins = [\"*\"] }\n\
         [[routes]]\nprefix = \"/open\"\n[[routes]]\nprefix = \"/open-too\"\n\
         [[routes]]\nprefix = \"/keyed\"\napi_keys = [\"used\"]\n",
    );
    let told: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let [open, left] = told.as_slice() else { panic!("{told:?}") };
    assert!(open.contains("`defaults.cors`: any page that a browser opens may call this route"));
    assert!(left.contains("`api_keys.left`: no route takes this key"), "{left}");
}

#[test]
fn a_route_has_the_api_keys_and_the_cors_that_it_says_or_those_of_the_defaults() {
    let config = read(&Path::new(VALID).join("api-keys.toml")).unwrap();
    let names = |route: &Arc<Route>| {
        let keys = route.api_keys.as_ref()?;
        Some(keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>().join(" "))
    };
    let keys: Vec<_> = config.routes.routes().iter().map(names).collect();
    assert_eq!(keys, [Some("ops team-a team-b".into()), Some("team-a team-b".into()), None]);
    assert!(format!("{config:?}").contains("sha256: [redacted]"));
    let config = read(&Path::new(VALID).join("cors.toml")).unwrap();
    let cors = |index: usize| config.routes.routes()[index].cors.clone();
    let listed = |index| cors(index).unwrap().methods.listed();
    assert_eq!(listed(0), "GET, HEAD, POST, PUT, PATCH, DELETE");
    assert_eq!(listed(1), "GET, PUT");
    let whole = cors(2).unwrap();
    let known = ["https://app.example.com", "http://localhost:3000"].map(str::to_owned);
    assert_eq!(whole.origins, CorsOrigins::Only(known.to_vec()));
    assert_eq!(
        (listed(2), whole.headers.unwrap()),
        ("POST".parse().unwrap(), "content-type, x-api-key".parse().unwrap())
    );
    assert_eq!(whole.max_age, Some(Duration::from_secs(600)));
    assert_eq!(cors(4), None);
}

#[test]
fn a_split_names_targets_with_weights_and_its_smallest_bound_holds() {
    let config = read(&Path::new(VALID).join("split.toml")).unwrap();
    let [canary, standby, done, one] = config.routes.routes() else { panic!("four routes") };
    let told = |route: &Route| {
        let split = route.destination.split().unwrap();
        let shares = split.shares().map(|(target, weight)| format!("{} {weight}", target.name));
        (shares.collect::<Vec<_>>(), split.sticky().unwrap().to_string())
    };
    let names = |all: [&str; 2]| all.map(str::to_owned).to_vec();
    let expected = (names(["orders 90", "gateway 10"]), "header:x-user-id".to_owned());
    assert_eq!(told(canary), expected);
    let nameless = "def.lambda-url.eu-west-1.on.aws 0";
    assert_eq!(told(standby), (names(["gateway 1", nameless]), "cookie:session".to_owned()));
    assert_eq!(told(done).0, ["orders 1000000"]);
    assert!(one.destination.split().is_none());
    assert_eq!(canary.max_body, 6 << 20, "what Lambda takes, though API Gateway takes more");
    assert_eq!(canary.destination.foremost().name, "orders");
    assert_eq!(config.targets.len(), 3);
}
