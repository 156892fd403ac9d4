//! `config init`: a config.toml to begin with.

use std::io::Write as _;
use std::path::Path;

use crate::catalogue::Id;
use crate::cli::{self, ConfigInitArgs};
use crate::error::{Error, Kind};
use crate::report::Streams;
use crate::settings::Manual;
use crate::settings::handsctl::Profile;

/// Runs `config init`.
pub(super) fn run(arguments: &ConfigInitArgs, streams: &Streams) -> anyhow::Result<u8> {
    let text = Manual::default().file(arguments.profile.map(profile));
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

const fn profile(typed: cli::Profile) -> Profile {
    match typed {
        cli::Profile::App => Profile::App,
        cli::Profile::Dev => Profile::Dev,
        cli::Profile::Openshift => Profile::OpenShift,
        cli::Profile::Gke => Profile::Gke,
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
