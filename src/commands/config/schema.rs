//! `config schema`: prints the JSON Schema of config.toml.

use clap::Args;

use crate::report::{Output, Streams};
use crate::settings;

/// Print the JSON Schema of config.toml, for editors
///
/// Editors that use Taplo load it if config.toml starts with the line `#:schema ./config.schema.json`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl config schema > config.schema.json")]
pub struct ConfigSchemaArgs {}

/// Runs `config schema`.
pub(crate) fn run(streams: &Streams) -> anyhow::Result<u8> {
    let _written = streams.value(&settings::json_schema(), Output::Json)?;
    Ok(0)
}
