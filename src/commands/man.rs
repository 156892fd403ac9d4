//! `man`: writes the manual pages.

use std::path::{Path, PathBuf};

use clap::{Args, Command};

use crate::error::Error;
use crate::phrase;
use crate::report::Streams;

/// Write the manual pages, one per command
///
/// In order: create the folder if it is missing, write `handsctl.1`, `handsctl-deploy.1` and so on. Existing pages are
/// replaced.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl man ~/.local/share/man/man1\n  handsctl man pages && man -l pages/handsctl.1"
)]
pub struct ManArgs {
    /// Folder of the pages
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Runs `man`. `command_line` defines all commands and flags.
pub(crate) fn run(arguments: &ManArgs, command_line: Command, streams: &Streams) -> anyhow::Result<u8> {
    let folder = &arguments.folder;
    let failed = |path: &Path, error| Error::file(format!("cannot write {}", path.display()), error);
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    // The page of `help` and its copies of all commands would say nothing new.
    let mut command_line = command_line.disable_help_subcommand(true);
    command_line.build();
    let pages = pages(&command_line)?;
    for (name, page) in &pages {
        let path = folder.join(name);
        std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    streams.err(&format!("{} written to {}\n", phrase::count(pages.len(), "page"), folder.display()));
    Ok(0)
}

/// The pages of a command and of those below it, each with the name of its file.
fn pages(command: &Command) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let page = clap_mangen::Man::new(command.clone())
        .source(concat!("handsctl ", env!("CARGO_PKG_VERSION")))
        .manual("OpenHands on Kubernetes");
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error| Error::file("cannot write a manual page", error))?;
    let mut all = vec![(page.get_filename(), text)];
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        all.extend(pages(child)?);
    }
    Ok(all)
}
