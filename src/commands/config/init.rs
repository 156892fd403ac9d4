//! `config init`: writes a commented config.toml as a starting point.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::report::Streams;
use crate::settings::KeyReference;
use crate::settings::handsctl::Profile;

/// Write a config.toml with every key, its meaning and its default
///
/// All keys are commented out: the file changes nothing until you take a `#` away. An existing file is kept, unless
/// --force is given.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl config init\n  handsctl config init - | less")]
pub struct ConfigInitArgs {
    /// File to write; `-` prints it to stdout
    #[arg(value_name = "FILE", default_value = "config.toml")]
    pub file: PathBuf,
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
pub(crate) fn run(arguments: &ConfigInitArgs, streams: &Streams) -> anyhow::Result<u8> {
    let text = KeyReference::default().file(arguments.profile.map(profile));
    if arguments.file.as_os_str() == "-" {
        let _written = streams.out(&text)?;
        return Ok(0);
    }
    write(&arguments.file, &text, arguments.force)?;
    let file = arguments.file.display();
    let next = if arguments.file == Path::new("config.toml") {
        "handsctl config check".to_owned()
    } else {
        format!("handsctl config check --config {file}")
    };
    streams.err(&format!("{file}  written; the values behind `#` are the defaults\nnext: {next}\n"));
    Ok(0)
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
        let message = format!("cannot write {}", file.display());
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Error::new(Id::Usage, Kind::Usage, format!("{message}: it already exists"))
                .hint("--force overwrites it")
                .hint("handsctl config init - prints it");
        }
        Error::new(Id::ConfigUnreadable, Kind::Config, message).caused_by(error)
    })
}
