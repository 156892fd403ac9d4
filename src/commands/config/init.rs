//! `config init`: a config.toml to begin with.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::report::Streams;
use crate::settings::KeyReference;
use crate::settings::handsctl::Profile;

/// Write a config.toml with every key, its meaning and its default, all behind `#`
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl config init\n  handsctl config init - | less")]
pub struct ConfigInitArgs {
    /// The file to write; `-` prints it
    #[arg(value_name = "FILE", default_value = "config.toml")]
    pub file: PathBuf,
    /// The kind of cluster, set in the file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<ProfileArg>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// A kind of cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// A cluster like any other.
    App,
    /// Not OpenHands but the pod of `handsctl dev`.
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
        let _nobody_reads = streams.out(&text)?;
        return Ok(0);
    }
    write(&arguments.file, &text, arguments.force)?;
    let file = arguments.file.display();
    let next = if arguments.file == Path::new("config.toml") {
        "handsctl config check".to_owned()
    } else {
        format!("handsctl config check --config {file}")
    };
    streams.err(&format!("{file}  written; what stands behind `#` is the default\nnext: {next}\n"));
    Ok(0)
}

const fn profile(typed: ProfileArg) -> Profile {
    match typed {
        ProfileArg::App => Profile::App,
        ProfileArg::Dev => Profile::Dev,
        ProfileArg::Openshift => Profile::OpenShift,
        ProfileArg::Gke => Profile::Gke,
    }
}

/// A file that is there is somebody's work.
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
        let failed = format!("cannot write {}", file.display());
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Error::new(Id::Usage, Kind::Usage, format!("{failed}: it is there already"))
                .hint("--force replaces it")
                .hint("handsctl config init - prints it");
        }
        Error::new(Id::ConfigUnreadable, Kind::Config, failed).caused_by(error)
    })
}
