//! `config init`: writes a commented config.toml as a starting point.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::catalogue::Id;
use crate::command_line::{RepeatedFlags, quoted};
use crate::error::{Error, Kind};
use crate::flags::Global;
use crate::report::Streams;
use crate::session::cluster_session;
use crate::settings::handsctl::Profile;
use crate::settings::{FirstValues, KeyReference};

/// Write a config.toml to start with: model, API key, host, storage and memory
///
/// On a terminal it asks for the model and for the name of the environment variable with the API key. Enter keeps the
/// default; --yes keeps both.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl config init\n  handsctl config init --yes\n  handsctl config init --all - | less     # every key and its meaning"
)]
pub struct ConfigInitArgs {
    /// File to write; `-` prints it to stdout
    #[arg(value_name = "FILE", default_value = "config.toml")]
    pub file: PathBuf,
    /// Write every key, commented out
    #[arg(long)]
    pub all: bool,
    /// Profile that is set in the file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<ProfileArg>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

/// A value of `deploy.profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// OpenHands on any cluster.
    App,
    /// The pod of `handsctl dev` instead of OpenHands.
    Dev,
    /// A Route instead of an Ingress.
    Openshift,
    /// A load balancer, and the key file of a Google Cloud account.
    Gke,
}

/// Runs `config init`.
pub(crate) async fn run(
    global: &Global,
    arguments: &ConfigInitArgs,
    streams: &Streams,
) -> anyhow::Result<u8> {
    let reference = KeyReference::default();
    let profile = arguments.profile.map(profile);
    let is_printed = arguments.file.as_os_str() == "-";
    if !is_printed && !arguments.force && arguments.file.exists() {
        return Err(already_exists(&arguments.file).into());
    }
    let defaults = reference.first_values();
    let (text, key_variable) = if arguments.all {
        (reference.file(profile), None)
    } else {
        let is_asked = !is_printed && !global.yes;
        let values = if is_asked { ask(defaults, streams).await? } else { defaults };
        (reference.short_file(&values, profile), Some(values.key_variable))
    };
    if is_printed {
        let _written = streams.out(&text)?;
        return Ok(0);
    }
    write(&arguments.file, &text, arguments.force)?;
    let file = arguments.file.display();
    let flag = if arguments.file == Path::new("config.toml") {
        String::new()
    } else {
        format!(" --config {}", quoted(&file.to_string()))
    };
    let command = match (&key_variable, profile) {
        // Every key is commented out.
        (None, _) => "handsctl config check",
        // These are profiles of clusters that others created.
        (_, Some(Profile::OpenShift | Profile::Gke)) => "handsctl deploy",
        _ => "handsctl up",
    };
    let is_exported = |wanted: &str| {
        cluster_session::variables().iter().any(|(name, value)| name == wanted && !value.is_empty())
    };
    let unset = key_variable.filter(|name| !name.is_empty() && !is_exported(name));
    let export = unset.map_or_else(String::new, |name| format!("next: export {name}=…\n"));
    let command = RepeatedFlags::new(global).insert_into(&format!("{command}{flag}"));
    streams.err(&format!("{file}  written\n{export}next: {command}\n"));
    Ok(0)
}

/// Asks for the values that differ from user to user. Without a terminal they are the defaults.
async fn ask(defaults: FirstValues, streams: &Streams) -> Result<FirstValues, Error> {
    let model = loop {
        let Some(model) = streams.ask("Model", &defaults.model).await? else { return Ok(defaults) };
        match FirstValues::check_model(&model) {
            Ok(()) => break model,
            Err(reason) => streams.err(&format!("{reason}\n")),
        }
    };
    loop {
        let question = "Environment variable with its API key";
        let Some(key_variable) = streams.ask(question, &defaults.key_variable).await? else {
            return Ok(FirstValues { model, ..defaults });
        };
        match FirstValues::check_variable(&key_variable) {
            Ok(()) => return Ok(FirstValues { model, key_variable }),
            Err(reason) => streams.err(&format!("{reason}\n")),
        }
    }
}

const fn profile(argument: ProfileArg) -> Profile {
    match argument {
        ProfileArg::App => Profile::App,
        ProfileArg::Dev => Profile::Dev,
        ProfileArg::Openshift => Profile::OpenShift,
        ProfileArg::Gke => Profile::Gke,
    }
}

/// Writes the file. Without `force` it does not overwrite an existing file, which may contain the user's work.
fn write(file: &Path, text: &str, force: bool) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return already_exists(file);
        }
        let message = format!("cannot write {}", file.display());
        Error::new(Id::ConfigUnreadable, Kind::Config, message).caused_by(error)
    })
}

fn already_exists(file: &Path) -> Error {
    let message = format!("cannot write {}: it already exists", file.display());
    Error::new(Id::Usage, Kind::Usage, message)
        .hint("--force overwrites it")
        .hint("handsctl config set KEY=VALUE changes it, handsctl config init - prints a new one")
}
