//! What pages show of the configuration and of verbs is what the program takes.

use std::fs;

use crate::support::Program;

const PAGE: &str = "deploy/leaving-api-gateway.md";

fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn check_takes_every_piece_of_configuration_that_the_page_shows() {
    let page = fs::read_to_string(PAGE).unwrap();
    let blocks = blocks(&page, "toml");
    assert!(blocks.len() >= 6, "{} pieces", blocks.len());
    for block in blocks {
        let ran = Program::with_config(block).run(&["check"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{block}\n{ran:?}");
    }
}

#[test]
fn the_program_knows_every_verb_that_the_page_names() {
    let page = fs::read_to_string(PAGE).unwrap();
    let mut found = 0;
    for line in blocks(&page, "console").iter().flat_map(|block| block.lines()) {
        let Some(rest) = line.strip_prefix("$ countersign ") else { continue };
        let verb = rest.split(' ').next().unwrap();
        let ran = Program::new().run(&[verb, "--help"]);
        assert_eq!(ran.code, Some(0), "{line}");
        for flag in rest.split(' ').filter(|word| word.starts_with("--")) {
            let of_import = Program::new().run(&[verb, "openapi", "--help"]);
            assert!(ran.out.contains(flag) || of_import.out.contains(flag), "{line}: {flag}");
        }
        found += 1;
    }
    assert!(found >= 6, "{found} lines");
}
