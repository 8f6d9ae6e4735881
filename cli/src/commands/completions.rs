//! `llbc completions` and `llbc man`: made from the definition of the arguments.

use clap::CommandFactory;

use crate::args::Cli;
use crate::failure::{Failure, Result};
use crate::printer;

/// The completion script of a shell.
pub(super) fn shell(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "llbc", &mut script);
    printer::data(&script)
}

/// The manual page: the program first, then each command.
pub(super) fn manual() -> Result<()> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let pages = std::iter::once(&command).chain(command.get_subcommands().filter(|sub| !sub.is_hide_set()));
    for part in pages {
        clap_mangen::Man::new(part.clone()).render(&mut page).map_err(Failure::io("write", "the manual page"))?;
    }
    printer::data(&page)
}
