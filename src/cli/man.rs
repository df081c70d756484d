//! `countersign man`: the manual page of the program, or of one verb, made from the command line's
//! own description.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::arguments::Arguments;
use crate::cli::{Exit, complain, print, tell};

pub(super) fn run(verb: Option<&str>) -> Exit {
    let mut program = Arguments::command().disable_help_subcommand(true); // it has no page
    program.build(); // gives verbs their full names
    let page = match verb {
        None => page(&program),
        Some(verb) => match verb.split([' ', '-']).try_fold(&program, Command::find_subcommand) {
            Some(verb) => plain(verb),
            None => {
                tell(format_args!(
                    "error: there is no verb `{verb}`\n  hint: `countersign help` lists them"
                ));
                return Exit::Failure;
            }
        },
    };
    match page {
        Ok(page) => {
            print(page);
            Exit::Success
        }
        Err(error) => {
            complain(&error, None);
            Exit::Failure
        }
    }
}

fn plain(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    titled(command).render(&mut text)?;
    Ok(text)
}

/// When the pages last changed: not the day of the build, which would make each build another.
const PAGES: &str = "2026-11-24";

fn titled(command: &Command) -> Man {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    Man::new(command.clone())
        .title(name.to_uppercase())
        .date(PAGES)
        .source(concat!("countersign ", env!("CARGO_PKG_VERSION")))
}

/// The program's page also says how it ends and what it reads.
fn page(program: &Command) -> std::io::Result<Vec<u8>> {
    let man = titled(program);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    man.render_subcommands_section(&mut text)?;
    let mut roff = Roff::new();
    for (heading, entries) in [
        ("EXIT STATUS", &EXIT_STATUS[..]),
        ("FILES", &FILES[..]),
        ("ENVIRONMENT", &ENVIRONMENT[..]),
    ] {
        roff.control("SH", [heading]);
        for (name, meaning) in entries {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.to_writer(&mut text)?;
    man.render_version_section(&mut text)?;
    Ok(text)
}

const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "Success; for run: a clean drain after SIGTERM."),
    ("1", "Failure, or a drain that was cut short."),
    ("2", "The command line is wrong."),
    ("69", "health: it is not healthy."),
    ("78", "The configuration is wrong."),
];

const FILES: [(&str, &str); 2] = [
    (
        "./countersign.toml",
        "The configuration, unless --config, COUNTERSIGN_CONFIG or COUNTERSIGN_CONFIG_TOML give it.",
    ),
    ("/etc/countersign/countersign.toml", "The configuration where there is none of the above."),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("COUNTERSIGN_CONFIG", "The configuration file."),
    ("COUNTERSIGN_CONFIG_TOML", "The whole configuration, for images without a shell."),
    (
        "COUNTERSIGN_KEY, COUNTERSIGN_TABLE__KEY",
        "Any key of the file but routes, with two underscores between levels.",
    ),
    ("AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, ...", "As the AWS CLI reads them."),
];
