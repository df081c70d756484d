//! `countersign completions`: made from the command line's own description, so that they cannot
//! say anything else.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::arguments::Arguments;
use crate::cli::{Exit, print};

pub(super) fn run(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "countersign", &mut text);
    print(text);
    Exit::Success
}
