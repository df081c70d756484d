//! The verbs that make files: `init`, `schema`, `completions`, `man`.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Program;

#[test]
fn init_writes_a_file_that_check_takes() {
    let program = Program::new();
    let ran = program.run(&["init"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.starts_with("wrote countersign.toml: "), "{ran:?}");
    let checked = program.run(&["check"]);
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{checked:?}");
    assert!(checked.out.ends_with("ok: 1 route\n"), "{checked:?}");
}

#[test]
fn init_does_not_write_over_a_file_unless_told_so() {
    let program = Program::with_config("workers = 2\n");
    let read = || std::fs::read_to_string(program.path().join("countersign.toml")).unwrap();
    let ran = program.run(&["init"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with("error: `countersign.toml` was not written\n"), "{ran:?}");
    assert!(ran.err.contains("\n  hint: `countersign init -` prints the starter"), "{ran:?}");
    assert_eq!(read(), "workers = 2\n");
    assert_eq!(program.run(&["init", "--force"]).code, Some(0));
    assert!(read().contains("[[routes]]"));
}

#[test]
fn init_prints_the_starter_where_the_file_is_a_dash() {
    let program = Program::new();
    let ran = program.run(&["init", "-"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, include_str!("../../config/starter.toml"));
    assert_eq!(std::fs::read_dir(program.path()).unwrap().count(), 0);
    let ran = program.run(&["init", "no/such/folder.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let ran = program.run(&["init", ".", "--force"]);
    assert!(ran.err.contains("\n  hint: this is a folder: "), "{ran:?}");
}

/// Each line that begins with `# ` and a key or a table is one that somebody may switch on.
#[test]
fn every_key_that_the_starter_offers_is_one() {
    let starter = include_str!("../../config/starter.toml");
    let mut offered = 0;
    for line in starter.lines().filter_map(|line| line.strip_prefix("# ")) {
        let is_key = line
            .split_once(" = ")
            .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        if !is_key || line.starts_with("ca_file") {
            continue;
        }
        offered += 1;
        let switched_on = starter.replace(&format!("# {line}"), line);
        let switched_on = match line.split(' ').next().unwrap() {
            // Those that stand below a table that is not switched on itself.
            "target" => continue,
            "allowed_hosts" => format!("{line}\n{starter}"),
            "response_head" => format!("{starter}\n[defaults]\n{line}"),
            "proxy" => format!("{starter}\n[upstream]\n{line}"),
            _ => switched_on,
        };
        let ran = Program::with_config(&switched_on).run(&["check"]);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
    }
    assert!(offered >= 10, "only {offered} keys are offered");
}

#[test]
fn schema_prints_what_the_repository_holds() {
    let ran = Program::new().run(&["schema"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, include_str!("../../config/countersign.schema.json"));
}

#[test]
fn completions_are_scripts_that_know_the_verbs() {
    let program = Program::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = program.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("emulate") && ran.out.contains("allow-remote"), "{shell}");
    }
    let script = program.run(&["completions", "bash"]).out;
    let mut bash = Command::new("bash");
    let mut bash = bash.arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn man_prints_a_page_of_the_program_and_of_each_verb() {
    let program = Program::new();
    let page = program.run(&["man"]);
    assert_eq!(page.code, Some(0), "{page:?}");
    for heading in [".SH NAME\n", ".SH OPTIONS\n", ".SH \"EXIT STATUS\"\n", ".SH ENVIRONMENT\n"] {
        assert!(page.out.contains(heading), "{heading}: {}", page.out);
    }
    let page = program.run(&["man", "health"]);
    assert_eq!(page.code, Some(0), "{page:?}");
    assert!(page.out.contains(".TH COUNTERSIGN-HEALTH 1"), "{}", page.out);
    for page in ["import-openapi", "import openapi"] {
        let page = program.run(&["man", page]);
        assert!(page.out.contains(".TH COUNTERSIGN-IMPORT-OPENAPI 1"), "{page:?}");
        assert!(page.out.contains("stage\\-variable"), "{}", page.out);
    }
    for none in ["no-such-verb", "import-nothing", "help"] {
        assert_eq!(program.run(&["man", none]).code, Some(1), "{none}");
    }
}
