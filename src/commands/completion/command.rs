//! `completion`: prints a completion script for a shell.

use clap::{Args, ValueEnum};

use super::script;
use crate::report::Streams;

/// Print the completion script for a shell
///
/// The scripts for bash, zsh and fish, and the file for kubectl, run handsctl at each Tab. It completes commands, options,
/// contexts, namespaces, installations, revisions, containers, config keys and ids. It takes at most 0.1 s, also without a
/// response of the cluster; `HANDSCTL_COMPLETION_LIMIT=1s` waits longer for a remote cluster. It never runs a credential
/// plugin. The scripts for elvish and powershell complete commands and options.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionArgs {
    /// Shell for which the script is printed
    pub shell: CompletionShell,
}

const EXAMPLES: &str = "\
Examples:
  source <(handsctl completion bash)                 # in ~/.bashrc
  handsctl completion zsh > \"${fpath[1]}/_handsctl\"
  handsctl completion fish > ~/.config/fish/completions/handsctl.fish
  handsctl completion kubectl > ~/.local/bin/kubectl_complete-hands";

/// What reads the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
    /// Bash 3.2 or newer.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// `kubectl hands`: the executable file `kubectl_complete-hands` in a folder of PATH.
    Kubectl,
    /// `PowerShell`.
    #[value(name = "powershell")]
    PowerShell,
    /// Zsh.
    Zsh,
}

/// Runs `completion`. `command_line` defines all commands and flags.
pub(crate) fn run(
    arguments: &CompletionArgs,
    command_line: clap::Command,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let script = match arguments.shell {
        CompletionShell::Bash => script::BASH.to_owned(),
        CompletionShell::Fish => script::FISH.to_owned(),
        CompletionShell::Kubectl => script::KUBECTL.to_owned(),
        CompletionShell::Zsh => script::ZSH.to_owned(),
        CompletionShell::Elvish => generated(clap_complete::Shell::Elvish, command_line),
        CompletionShell::PowerShell => generated(clap_complete::Shell::PowerShell, command_line),
    };
    let _written = streams.out(&script)?;
    Ok(0)
}

/// The script of a shell that has no values to complete: clap writes all commands and flags into it.
fn generated(shell: clap_complete::Shell, mut command_line: clap::Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line, "handsctl", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
