//! The texts of `--help`: the groups of commands, and the options of every command in one place. Pure.

use clap::builder::styling::Styles;
use clap::{Arg, ArgAction, Command};

/// The groups of `handsctl --help` with their commands, in the order in which people need them. `options` is named below
/// them, as kubectl does.
const GROUPS: &[(&str, &[&str])] = &[
    ("Commands to start", &["up", "deploy", "open", "teardown", "completion", "man"]),
    (
        "Commands for every day",
        &[
            "status", "logs", "exec", "diff", "restart", "backup", "restore", "history", "rollback", "list",
            "doctor", "dev", "explain",
        ],
    ),
    ("Configuration commands", &["config", "render", "rbac", "schema"]),
    ("Cluster commands", &["cluster", "image", "version"]),
];

/// The last line of every help text.
const OPTIONS_LINE: &str = "handsctl options lists the options of every command";

/// The width of the list of commands. clap wraps all other texts at the width of the terminal.
const WIDTH: usize = 80;

/// The column at which the description of a command begins.
const DESCRIPTION_COLUMN: usize = 14;

/// Arranges the help texts: the list of commands has groups, and the help of a command shows only its own options. What is
/// parsed stays the same.
pub(crate) fn arranged(root: Command) -> Command {
    let groups = list_of_commands(&root);
    let template = format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{{after-help}}");
    let hidden = |flag: Arg| if flag.is_global_set() { flag.hide(true) } else { flag };
    let root = root.help_template(template).mut_args(hidden);
    with_options_line(root.disable_help_flag(true).arg(help_flag().hide(true)))
}

/// Returns the text of `handsctl options`; `root` defines the command line.
pub(crate) fn options(root: &Command) -> String {
    let global = root.get_arguments().filter(|flag| flag.is_global_set()).cloned();
    let visible = global.map(|flag| flag.global(false).hide(false).help_heading(None::<&str>));
    let mut all = Command::new("options")
        .styles(Styles::plain())
        .max_term_width(100)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .help_template("{options}")
        .args(visible)
        .arg(help_flag().global(false));
    let list = all.render_help().to_string();
    format!(
        "Options of every command. A command rejects an option that it does not use.\n\n{}\n",
        list.trim_end()
    )
}

/// Returns the commands as the manual pages describe them: as `--help` does, and the page of `options` has the options.
pub(crate) fn manual(root: Command) -> Command {
    let global: Vec<Arg> = root.get_arguments().filter(|flag| flag.is_global_set()).cloned().collect();
    arranged(root).mut_subcommand("options", |page| {
        let missing =
            global.iter().filter(|flag| page.get_arguments().all(|own| own.get_id() != flag.get_id()));
        let missing: Vec<Arg> = missing.cloned().collect();
        page.args(missing).mut_args(|flag| flag.hide(false))
    })
}

/// clap's own flag has one description per command, and cannot be hidden.
fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .global(true)
        .help("Print help: a summary with -h, everything with --help")
}

fn list_of_commands(root: &Command) -> String {
    let groups = GROUPS.iter().map(|(heading, names)| {
        let rows: String = names.iter().filter_map(|name| root.find_subcommand(name)).map(row).collect();
        format!("{heading}:\n{rows}")
    });
    groups.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn row(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let lines = textwrap::wrap(&about, WIDTH - DESCRIPTION_COLUMN);
    let indent = " ".repeat(DESCRIPTION_COLUMN);
    let name_width = DESCRIPTION_COLUMN - 2;
    format!("  {:<name_width$}{}\n", command.get_name(), lines.join(&format!("\n{indent}")))
}

fn with_options_line(command: Command) -> Command {
    let text = match command.get_after_help() {
        Some(text) => format!("{text}\n\n{OPTIONS_LINE}"),
        None => OPTIONS_LINE.to_owned(),
    };
    command.after_help(text).mut_subcommands(with_options_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definition;

    /// Every command below the root, with its words: `cluster up`.
    fn commands() -> Vec<(String, Command)> {
        fn collect(command: &Command, path: &str, all: &mut Vec<(String, Command)>) {
            for child in command.get_subcommands() {
                let path = format!("{path} {}", child.get_name()).trim_start().to_owned();
                all.push((path.clone(), child.clone()));
                collect(child, &path, all);
            }
        }
        let mut all = Vec::new();
        collect(&definition(), "", &mut all);
        assert!(all.len() > 25, "{all:?}");
        all
    }

    /// The help of a command as it is printed: `words` are those behind `handsctl`.
    fn help(words: &str) -> String {
        let line = ["handsctl"].into_iter().chain(words.split_whitespace());
        arranged(definition()).try_get_matches_from(line).unwrap_err().render().to_string()
    }

    #[test]
    fn every_command_is_in_one_group() {
        let root = definition();
        let mut expected: Vec<&str> = root.get_subcommands().map(Command::get_name).collect();
        expected.retain(|name| *name != "options");
        expected.sort_unstable();
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        listed.sort_unstable();
        assert_eq!(listed, expected);
        let text = help("--help");
        for (heading, _) in GROUPS {
            assert!(text.contains(&format!("\n\n{heading}:\n  ")), "{text}");
        }
        assert!(text.ends_with(&format!("{OPTIONS_LINE}\n")), "{text}");
    }

    #[test]
    fn list_has_one_line_for_each_command() {
        for (_, names) in GROUPS {
            for name in *names {
                let row = row(definition().find_subcommand(name).unwrap());
                assert_eq!(row.lines().count(), 1, "{row}");
            }
        }
    }

    #[test]
    fn help_of_a_command_shows_only_its_own_options() {
        let shared = help("options --help");
        for (path, command) in commands() {
            let text = help(&format!("{path} --help"));
            for flag in definition().get_arguments().filter(|flag| flag.is_global_set()) {
                let long = format!("--{} ", flag.get_long().unwrap());
                let described = text.lines().any(|line| line.trim_start().starts_with(&long));
                assert!(!described, "{path} describes {long}\n{text}");
            }
            for flag in command.get_arguments().filter(|flag| !flag.is_positional() && !flag.is_hide_set()) {
                assert!(text.contains(&format!("--{}", flag.get_long().unwrap())), "{path}: {flag}\n{text}");
            }
            assert!(text.ends_with(&format!("{OPTIONS_LINE}\n")), "{path}\n{text}");
        }
        assert!(!shared.contains("--kubeconfig <"), "{shared}");
    }

    #[test]
    fn options_lists_every_global_option_once() {
        let text = options(&definition());
        for flag in definition().get_arguments().filter(|flag| flag.is_global_set()) {
            let long = format!("--{}", flag.get_long().unwrap());
            let is_described = |line: &&str| {
                let option =
                    line.split("  ").map(str::trim).find(|part| !part.is_empty()).unwrap_or_default();
                option.starts_with('-') && option.split([' ', ',', '.']).any(|word| word == long)
            };
            let lines = text.lines().filter(|line| line.starts_with("  ")).filter(is_described);
            assert_eq!(lines.count(), 1, "{long}\n{text}");
        }
        assert!(text.contains("-h, --help"), "{text}");
    }

    #[test]
    fn summary_is_shorter_than_the_help() {
        for (path, _) in commands().into_iter().filter(|(_, command)| !command.has_subcommands()) {
            let [short, long] = ["-h", "--help"].map(|flag| help(&format!("{path} {flag}")));
            assert!(short.lines().count() < long.lines().count(), "{path}\n{short}\n{long}");
        }
        assert!(help("-h").len() < help("--help").len());
    }

    /// The verbs with which a description may begin.
    const VERBS: &[&str] = &[
        "Add", "Apply", "Back", "Change", "Check", "Compare", "Create", "Delete", "Edit", "Explain", "Get",
        "List", "Load", "Manage", "Open", "Print", "Pull", "Put", "Replace", "Report", "Restart", "Restore",
        "Run", "Set", "Show", "Start", "Stop", "Update", "Wait", "Watch", "Write",
    ];

    #[test]
    fn help_begins_with_an_imperative_sentence() {
        for (path, command) in commands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let first = about.split_whitespace().next().unwrap_or_default().trim_end_matches(',');
            assert!(VERBS.contains(&first), "{path}: {about}");
            assert!(!about.ends_with('.') && !about.contains('\n'), "{path}: {about}");
        }
    }

    #[test]
    fn command_with_arguments_has_an_example_of_80_columns() {
        for (path, command) in commands() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let takes_arguments =
                command.get_arguments().any(|argument| !argument.is_global_set() && !argument.is_hide_set());
            let own = format!("  handsctl {path}");
            assert!(!takes_arguments || examples.contains(&own), "{path}: {examples}");
            for line in examples.lines() {
                assert!(line.chars().count() <= WIDTH, "{path}: {line}");
            }
        }
    }

    #[test]
    fn command_with_several_steps_lists_them_in_order() {
        for path in [
            "up",
            "deploy",
            "diff",
            "status",
            "open",
            "logs",
            "rollback",
            "restart",
            "backup",
            "restore",
            "teardown",
            "render",
            "dev",
            "image load",
            "image pull",
            "cluster up",
            "cluster down",
            "cluster status",
            "cluster list",
            "config check",
        ] {
            assert!(help(&format!("{path} --help")).contains("In order: "), "{path}");
        }
    }
}
