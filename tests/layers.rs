//! The layering rule, as a test: who may name whom.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the crate, and the others that it may name.
const LAYERS: [(&str, &[&str]); 14] = [
    ("clock", &[]),
    ("secret", &[]),
    ("routing", &[]),
    ("sigv4", &["clock", "secret"]),
    ("config", &["routing", "secret", "sigv4"]),
    ("net", &["config", "secret"]),
    ("telemetry", &["config"]),
    ("credentials", &["clock", "config", "net", "secret", "sigv4"]),
    ("listen", &["config"]),
    // What a connection is, the request path learns from the listener.
    (
        "proxy",
        &[
            "clock",
            "config",
            "credentials",
            "listen",
            "net",
            "routing",
            "secret",
            "sigv4",
            "telemetry",
        ],
    ),
    ("admin", &["clock", "config", "credentials", "listen", "routing", "secret", "telemetry"]),
    ("emulator", &["clock", "secret"]),
    ("app", &["admin", "clock", "config", "credentials", "listen", "net", "proxy", "telemetry"]),
    (
        "cli",
        &[
            "app",
            "clock",
            "config",
            "credentials",
            "emulator",
            "listen",
            "net",
            "proxy",
            "routing",
            "secret",
            "sigv4",
            "telemetry",
        ],
    ),
];

/// Runtime and HTTP stack, which the pure rooms do not know.
const IMPURE: [&str; 4] = ["tokio", "hyper", "hyper_util", "rustls"];

/// What other systems do not have, or have in another way.
const UNIX: [&str; 5] = ["std::os::", "nix::", "signal::unix", "UnixStream", "UnixListener"];

/// The steps of a request, in its order; each may name those before it. `rejection` and
/// `access_log` go along with all of them.
const STEPS: [&str; 8] =
    ["guard", "route", "limit", "body", "validate", "headers", "upstream", "mirror"];

#[test]
fn a_module_names_only_the_layers_below_it() {
    for (module, below) in LAYERS {
        for (file, code) in sources(&format!("src/{module}")) {
            for name in named(&code, "crate::") {
                let allowed = name == module || below.contains(&name.as_str());
                assert!(allowed, "{}: `{module}` may not name `{name}`", file.display());
            }
        }
    }
}

#[test]
fn every_module_has_a_layer() {
    let mut found: Vec<String> = fs::read_dir("src")
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    found.sort();
    let mut listed: Vec<_> = LAYERS.iter().map(|(module, _)| (*module).to_owned()).collect();
    listed.sort();
    assert_eq!(found, listed);
}

#[test]
fn the_pure_rooms_know_no_runtime() {
    for room in ["config", "routing", "sigv4", "clock", "secret"] {
        for (file, code) in sources(&format!("src/{room}")) {
            for name in IMPURE {
                let found = code.contains(&format!("{name}::"));
                assert!(!found, "{}: `{room}` may not name `{name}`", file.display());
            }
        }
    }
}

#[test]
fn what_only_unix_has_stays_with_sockets_and_signals() {
    for (module, _) in LAYERS.iter().filter(|(module, _)| !matches!(*module, "listen" | "app")) {
        for (file, code) in sources(&format!("src/{module}")) {
            let program = code.split("#[cfg(test)]").next().unwrap_or_default();
            let tests = file.components().any(|part| part.as_os_str() == "tests");
            for name in UNIX {
                let found = !tests && program.contains(name);
                assert!(!found, "{}: `{module}` may not name `{name}`", file.display());
            }
        }
    }
}

#[test]
fn the_emulator_shares_no_code_with_the_signer() {
    for (file, code) in sources("src/emulator") {
        assert!(!code.contains("sigv4::"), "{}", file.display());
    }
}

#[test]
fn a_step_names_only_earlier_steps() {
    for (position, step) in STEPS.iter().enumerate() {
        for (file, code) in sources(&format!("src/proxy/{step}")) {
            for name in named(&code, "crate::proxy::") {
                let later = STEPS.iter().position(|known| *known == name);
                let fine = later.is_none_or(|later| later <= position);
                assert!(fine, "{}: `{name}` comes after `{step}`", file.display());
            }
        }
    }
}

/// The code of a module, which is a file or a folder, without its comments.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let file = PathBuf::from(format!("{module}.rs"));
    if file.is_file() {
        files.push(file);
    } else {
        collect(Path::new(module), &mut files);
    }
    assert!(!files.is_empty(), "there is no `{module}`");
    files.into_iter().map(|file| (file.clone(), without_comments(&file))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false if path.extension().is_some_and(|kind| kind == "rs") => files.push(path),
            false => {}
        }
    }
}

fn without_comments(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    assert!(!code.contains("crate::{"), "{}: write one `use` per module", file.display());
    assert!(!code.contains("super::super"), "{}: name it from `crate::`", file.display());
    code
}

/// The first path segment after each `prefix`.
fn named(code: &str, prefix: &str) -> Vec<String> {
    let after = code.split(prefix).skip(1);
    let segment = |rest: &str| {
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    after.map(segment).collect()
}
