//! What variables and flags make of a configuration, and which of several sources wins.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use countersign::config::load::{Flags, Inputs, load};
use countersign::config::problem::Problems;
use countersign::config::{AccessLog, Config, Listen, Logged, LoggedPath, Proxy};

const URL: &str = "https://abc.lambda-url.us-east-1.on.aws";
const FILE: &str = "[[routes]]\ntarget = \"https://abc.lambda-url.us-east-1.on.aws\"\n";

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn try_load(file: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let mut environment = variables(environment);
    if !file.is_empty() {
        environment.push(("COUNTERSIGN_CONFIG_TOML".to_owned(), file.to_owned()));
    }
    load(&Inputs { environment, ..Inputs::default() })
}

fn loaded(file: &str, environment: &[(&str, &str)]) -> Config {
    try_load(file, environment).unwrap_or_else(|problems| panic!("{problems}"))
}

fn told(file: &str, environment: &[(&str, &str)]) -> String {
    match try_load(file, environment) {
        Ok(_) => panic!("there is no problem"),
        Err(problems) => problems.to_string(),
    }
}

fn tcp(address: &str) -> Listen {
    Listen::Tcp { address: address.parse::<SocketAddr>().unwrap(), optional: false }
}

#[test]
fn ignores_what_kubernetes_says_of_a_service_of_our_name() {
    let config = loaded(
        FILE,
        &[
            ("COUNTERSIGN_SERVICE_HOST", "10.0.0.11"),
            ("COUNTERSIGN_SERVICE_PORT", "8480"),
            ("COUNTERSIGN_SERVICE_PORT_HTTP", "8480"),
            ("COUNTERSIGN_PORT", "tcp://10.0.0.11:8480"),
            ("COUNTERSIGN_PORT_8480_TCP", "tcp://10.0.0.11:8480"),
            ("COUNTERSIGN_PORT_8480_TCP_PROTO", "tcp"),
            ("COUNTERSIGN_PORT_8480_TCP_PORT", "8480"),
            ("COUNTERSIGN_PORT_8480_TCP_ADDR", "10.0.0.11"),
        ],
    );
    assert_eq!(config.warnings, []);
}

#[test]
fn warns_of_other_unknown_variables() {
    let config = loaded(
        FILE,
        &[
            ("COUNTERSIGN_LISTENN", "127.0.0.1:1"),
            ("COUNTERSIGN_LIMITS__CONECTIONS", "7"),
            ("COUNTERSIGN_ADMIN_SERVICE_HOST", "10.0.0.12"),
            ("HOME", "/root"),
        ],
    );
    let warned: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warned.len(), 3, "{warned:?}");
    let has = |text: &str| warned.iter().any(|warning| warning == text);
    assert!(has("COUNTERSIGN_LISTENN: `listenn`: unknown key\n  hint: did you mean `listen`?"));
    assert!(has(
        "COUNTERSIGN_LIMITS__CONECTIONS: `limits.conections`: unknown key\n  hint: did you mean `connections`?"
    ));
    assert!(warned.iter().any(|warning| warning.starts_with("COUNTERSIGN_ADMIN_SERVICE_HOST: ")));
}

#[test]
fn warns_of_a_target_that_only_a_variable_names() {
    let (name, url) = ("ORDER", "https://id.lambda-url.us-east-1.on.aws");
    let file = format!(
        "[targets.orders]\nurl = \"{url}\"\n[targets.spare]\nurl = \"{url}\"\n[[routes]]\ntarget = \"orders\"\n"
    );
    let warned = |name: &str| {
        let config = loaded(&file, &[(&format!("COUNTERSIGN_TARGETS__{name}__URL"), url)]);
        config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = "COUNTERSIGN_TARGETS__ORDER__URL: `targets.order`: no route sends to this target\n  hint: did you mean `orders`?";
    assert_eq!(warned(name), [told]);
    assert_eq!(warned("ORDERS"), [] as [&str; 0]);
    assert_eq!(warned("SPARE"), [] as [&str; 0], "the file has it as well");
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let file = &format!("workers = 2\nlog = \"warn\"\nadmin = false\n{FILE}");
    assert_eq!(loaded(FILE, &[]).workers, 1);
    assert_eq!(loaded(file, &[]).workers, 2);
    assert_eq!(loaded(file, &[("COUNTERSIGN_WORKERS", "3")]).workers, 3);
    let environment = variables(&[
        ("COUNTERSIGN_CONFIG_TOML", file),
        ("COUNTERSIGN_WORKERS", "3"),
        ("COUNTERSIGN_LOG", "error"),
    ]);
    let flags = Flags { workers: Some(4), ..Flags::default() };
    let config = load(&Inputs { environment, flags, ..Inputs::default() }).unwrap();
    assert_eq!((config.workers, config.log.as_str(), config.admin), (4, "error", None));
}

#[test]
fn a_flag_that_is_wrong_is_told_by_its_name() {
    let flags = Flags {
        target: Some("http://orders.example.com".to_owned()),
        admin: Some("0.0.0.0:1".to_owned()),
        log_format: Some("xml".to_owned()),
        ..Flags::default()
    };
    let told = load(&Inputs { flags, ..Inputs::default() }).unwrap_err().to_string();
    assert_eq!(
        told,
        "--admin: `admin`: `0.0.0.0:1` is not loopback: whoever reaches it acts as the role\n  \
         hint: use 127.0.0.1, or say `allow_remote = true`\n\
         --log-format: `log_format`: `xml` is not known here\n  hint: write `json` or `text`\n\
         TARGET: `target`: `http://orders.example.com` is not https: a signature must not travel in the clear\n  \
         hint: write `https://`; plain http is for loopback only"
    );
}

#[test]
fn a_variable_replaces_one_key_of_a_table() {
    let file = "[targets.orders]\nurl = \"https://old.lambda-url.us-east-1.on.aws\"\n\
                credentials = { profile = \"dev\" }\n\n[[routes]]\ntarget = \"orders\"\n";
    let config = loaded(file, &[("COUNTERSIGN_TARGETS__ORDERS__URL", URL)]);
    let target = config.routes.routes()[0].destination.foremost();
    assert_eq!(target.host, "abc.lambda-url.us-east-1.on.aws");
    assert_eq!(target.credentials.profile.as_deref(), Some("dev"), "the rest is the file's");
}

#[test]
fn what_a_variable_leaves_alone_stays_the_files_mistake() {
    let file = &format!("[upstream]\nidle = 20\nrots = \"system\"\n\n{FILE}");
    assert_eq!(
        told(file, &[("COUNTERSIGN_UPSTREAM", "{ roots = \"mozilla\" }")]),
        "COUNTERSIGN_CONFIG_TOML:2:1: `upstream.idle`: `20` is a number\n  hint: write a duration such as `\"30s\"`\n\
         COUNTERSIGN_CONFIG_TOML:3:1: `upstream.rots`: unknown key\n  hint: did you mean `roots`?\n\
         COUNTERSIGN_UPSTREAM: `upstream.roots`: `mozilla` is not known here\n  hint: write `built-in` or `system`"
    );
}

#[test]
fn routes_in_a_variable_take_the_place_of_the_files() {
    let file = "[[routes]]\nname = \"old\"\ntarget = \"nowhere\"\n\n[[routes]]\nname = \"older\"\ntarget = \"nowhere\"\n";
    let routes = format!("[{{ name = \"new\", target = \"{URL}\" }}]");
    let config = loaded(file, &[("COUNTERSIGN_ROUTES", &routes)]);
    let names: Vec<&str> = config.routes.routes().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["new"]);
    assert_eq!(
        told(file, &[("COUNTERSIGN_ROUTES", "[{ name = \"new\", target = \"nowhere\" }]")]),
        "COUNTERSIGN_ROUTES: `routes[0].target`: there is no target `nowhere`\n  \
         hint: write `[targets.nowhere]` with its `url`, or the URL itself",
        "not a line of the file"
    );
}

#[test]
fn a_key_that_only_a_variable_wrote_tells_of_it() {
    let environment = [("COUNTERSIGN_TARGETS__ORDERS__REGION", "us-east-1")];
    assert_eq!(
        told("[[routes]]\ntarget = \"orders\"\n", &environment),
        "COUNTERSIGN_TARGETS__ORDERS__REGION: `targets.orders`: `url` is missing\n  \
         hint: write `url = \"https://ID.lambda-url.REGION.on.aws\"`"
    );
}

#[test]
fn lists_are_written_with_commas_or_as_toml() {
    let both = vec![tcp("127.0.0.1:1"), tcp("[::1]:2")];
    for value in
        ["127.0.0.1:1,[::1]:2", " 127.0.0.1:1 , [::1]:2 ,", "[\"127.0.0.1:1\", \"[::1]:2\"]"]
    {
        assert_eq!(loaded(FILE, &[("COUNTERSIGN_LISTEN", value)]).listen, both, "{value}");
    }
    let brackets = loaded(FILE, &[("COUNTERSIGN_LISTEN", "[::1]:2,127.0.0.1:1")]).listen;
    assert_eq!(brackets, [tcp("[::1]:2"), tcp("127.0.0.1:1")], "an address may begin with `[`");
    let hosts = loaded(FILE, &[("COUNTERSIGN_ALLOWED_HOSTS", "")]).guard.hosts;
    assert_eq!(hosts, []);
}

#[test]
fn text_means_what_its_key_says() {
    let config = loaded(
        FILE,
        &[
            ("COUNTERSIGN_CREDENTIALS__PROFILE", "123"),
            ("COUNTERSIGN_ALLOW_REMOTE", "true"),
            ("COUNTERSIGN_LISTEN", "0.0.0.0:8480"),
            ("COUNTERSIGN_ADMIN", "false"),
            ("COUNTERSIGN_LIMITS__CONNECTIONS", "17"),
            ("COUNTERSIGN_TIMEOUTS__CONNECT", "250ms"),
            ("COUNTERSIGN_ACCESS_LOG__LOG", "errors"),
            ("COUNTERSIGN_ACCESS_LOG__SAMPLE", "0.25"),
        ],
    );
    let profile = &config.targets[0].credentials.profile;
    assert_eq!(profile.as_deref(), Some("123"), "a name of digits is no number");
    assert_eq!(config.listen, [tcp("0.0.0.0:8480")]);
    assert_eq!(config.admin, None);
    assert_eq!(config.limits.connections, 17);
    assert_eq!(config.timeouts.connect, Duration::from_millis(250));
    let expected =
        AccessLog { log: Logged::Errors, sample: 0.25, slow: None, path: LoggedPath::Full };
    assert_eq!(config.access_log, expected);
}

#[test]
fn text_that_its_key_does_not_take_is_told() {
    let environment = [
        ("COUNTERSIGN_ALLOW_REMOTE", "yes"),
        ("COUNTERSIGN_WORKERS", "many"),
        ("COUNTERSIGN_TIMEOUTS__CONNECT", "5"),
    ];
    assert_eq!(
        told(FILE, &environment),
        "COUNTERSIGN_ALLOW_REMOTE: `allow_remote`: `yes` does not fit here\n  hint: write `true` or `false`\n\
         COUNTERSIGN_WORKERS: `workers`: `many` does not fit here\n  hint: write a whole number from 1 up\n\
         COUNTERSIGN_TIMEOUTS__CONNECT: `timeouts.connect`: `5` is no duration\n  \
         hint: write a number and ms, s, m or h: `500ms`, `30s`"
    );
}

#[test]
fn the_file_is_the_flags_then_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, workers: usize| {
        let path = folder.path().join(name);
        fs::write(&path, format!("workers = {workers}\n{FILE}")).unwrap();
        path
    };
    let (flagged, named) = (write("flag.toml", 5), write("variable.toml", 6));
    let environment = variables(&[("COUNTERSIGN_CONFIG", named.to_str().unwrap())]);
    let both =
        Inputs { config: Some(flagged), environment: environment.clone(), ..Inputs::default() };
    assert_eq!(load(&both).unwrap().workers, 5);
    assert_eq!(load(&Inputs { environment, ..Inputs::default() }).unwrap().workers, 6);
    let empty = [("COUNTERSIGN_CONFIG", "")];
    assert_eq!(loaded(FILE, &empty).workers, 1, "an empty variable names no file");
}

#[test]
fn two_whole_configurations_are_a_problem() {
    assert_eq!(
        told(FILE, &[("COUNTERSIGN_CONFIG", "a.toml")]),
        "COUNTERSIGN_CONFIG: COUNTERSIGN_CONFIG_TOML holds a whole configuration too\n  \
         hint: leave one of the two out"
    );
}

#[test]
fn a_file_that_is_not_there_is_told_by_who_named_it() {
    assert_eq!(
        told("", &[("COUNTERSIGN_CONFIG", "no/where.toml")]),
        "COUNTERSIGN_CONFIG: `no/where.toml` cannot be read: No such file or directory (os error 2)\n  \
         hint: name a file that is there and that this user may read"
    );
    let inputs = Inputs { config: Some("no/where.toml".into()), ..Inputs::default() };
    assert!(load(&inputs).unwrap_err().to_string().starts_with("--config: `no/where.toml` "));
}

#[test]
fn without_any_configuration_the_smallest_one_is_shown() {
    let told = told("", &[]);
    assert!(told.starts_with("there is no configuration\n  hint: "), "{told}");
    for shown in ["countersign https://", "[[routes]]\n", "countersign demo"] {
        assert!(told.contains(shown), "{shown}: {told}");
    }
    let start = told.find("[[routes]]").unwrap();
    let end = told[start..].find("\n  or").unwrap();
    let smallest = told[start..start + end].replace("REGION", "us-east-1");
    assert_eq!(loaded(&smallest, &[]).routes.routes().len(), 1, "what the hint shows works");
}

#[test]
fn one_target_is_enough() {
    for config in [
        loaded("", &[("COUNTERSIGN_TARGET", URL)]),
        load(&Inputs {
            flags: Flags { target: Some(URL.to_owned()), ..Flags::default() },
            ..Inputs::default()
        })
        .unwrap(),
    ] {
        assert_eq!(config.routes.routes().len(), 1);
        assert_eq!(config.targets[0].scope.region, "us-east-1");
        assert_eq!(config.warnings, []);
    }
}

#[test]
fn a_target_of_the_command_line_puts_the_files_routes_out_of_work() {
    let environment = variables(&[("COUNTERSIGN_CONFIG_TOML", FILE)]);
    let flags = Flags {
        target: Some("https://def.lambda-url.eu-west-1.on.aws".to_owned()),
        ..Flags::default()
    };
    let config = load(&Inputs { environment, flags, ..Inputs::default() }).unwrap();
    assert_eq!(config.targets[0].scope.region, "eu-west-1");
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(
        config.warnings[0].to_string(),
        "COUNTERSIGN_CONFIG_TOML:1:3: `routes`: the routes are not used, for one target takes everything\n  \
         hint: leave the target out to use them"
    );
}

#[test]
fn a_region_without_a_target_on_the_command_line_is_told() {
    let flags = Flags { region: Some("us-east-1".to_owned()), ..Flags::default() };
    let environment = variables(&[("COUNTERSIGN_CONFIG_TOML", FILE)]);
    let told = load(&Inputs { environment, flags, ..Inputs::default() }).unwrap_err().to_string();
    assert_eq!(
        told,
        "--region: `region`: this is for a URL on the command line\n  \
         hint: write `region` beside the `url` of a target, in `[targets.NAME]`"
    );
}

#[test]
fn the_region_is_written_or_the_hosts_or_the_environments() {
    let file = "[targets.a]\nurl = \"https://a.example.com\"\nservice = \"lambda\"\n[[routes]]\ntarget = \"a\"\n";
    let region = |file: &str, environment: &[(&str, &str)]| {
        loaded(file, environment).targets[0].scope.region.clone()
    };
    let two = [("AWS_DEFAULT_REGION", "eu-north-1"), ("AWS_REGION", "eu-west-1")];
    assert_eq!(region(file, &two), "eu-west-1");
    assert_eq!(region(file, &two[..1]), "eu-north-1");
    assert_eq!(region(FILE, &two), "us-east-1", "the host knows better");
    let written = file.replace("[[", "region = \"sa-east-1\"\n[[");
    assert_eq!(region(&written, &two), "sa-east-1");
    let empty = [("AWS_REGION", "")];
    assert!(told(file, &empty).contains("the signing region of `a.example.com` cannot be told"));
}

#[test]
fn a_files_paths_are_relative_to_it() {
    let pem = Path::new("tests/fixtures/config/valid/corporate-ca.pem");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(pem, folder.path().join("ca.pem")).unwrap();
    let path = folder.path().join("countersign.toml");
    fs::write(&path, format!("[upstream]\nca_file = \"ca.pem\"\n\n{FILE}")).unwrap();
    let config = load(&Inputs { config: Some(path), ..Inputs::default() }).unwrap();
    assert_eq!(config.upstream.ca_pem, Some(fs::read(pem).unwrap()));
}

#[test]
fn the_proxys_variables_are_read_only_when_asked_for() {
    let environment = [("HTTPS_PROXY", "http://jane:hunter2@squid:3128"), ("NO_PROXY", "a,b")];
    assert_eq!(loaded(FILE, &environment).upstream.proxy, Proxy::None);
    let asked = format!("[upstream]\nproxy = \"environment\"\n\n{FILE}");
    let config = loaded(&asked, &environment);
    let Proxy::Environment { https: Some(_), no } = &config.upstream.proxy else {
        panic!("{:?}", config.upstream.proxy)
    };
    assert_eq!(no.as_deref(), Some("a,b"));
    assert!(!format!("{config:?}").contains("hunter2"), "a password is printed");
}

#[test]
fn a_proxy_of_the_environment_is_judged_like_any_other() {
    let asked = format!("[upstream]\nproxy = \"environment\"\n\n{FILE}");
    let Proxy::Environment { https: Some(url), .. } =
        loaded(&asked, &[("HTTPS_PROXY", "squid:3128")]).upstream.proxy
    else {
        panic!("`host:port` alone is not taken")
    };
    assert_eq!(url.expose(), "http://squid:3128");
    for (url, expected) in [
        ("https://jane:hunter2@squid:3128", "HTTPS_PROXY holds no URL of an http proxy"),
        ("socks5://squid:1080", "HTTPS_PROXY holds no URL of an http proxy"),
        ("http://127.0.0.1:8480", "this proxy is our own listener"),
        ("localhost:8480", "this proxy is our own listener"),
    ] {
        let told = told(&asked, &[("HTTPS_PROXY", url)]);
        assert!(told.contains(expected) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_route_for_any_host_does_not_open_the_guard() {
    let file = format!(
        "[[routes]]\nhost = \"*\"\ntarget = \"{URL}\"\n[[routes]]\nhost = \"a.internal\"\ntarget = \"{URL}\"\n"
    );
    let hosts = loaded(&file, &[]).guard.hosts;
    assert_eq!(hosts.len(), 1);
    assert!(hosts[0].takes("a.internal") && !hosts[0].takes("evil.example"));
}
