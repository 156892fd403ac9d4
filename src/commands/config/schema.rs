//! `config schema`: for editors and other tools.

use clap::Args;

use crate::report::{Output, Streams};
use crate::settings;

/// Print the JSON Schema of config.toml, for editors
///
/// Editors that use Taplo take it with a first line `#:schema ./config.schema.json` in config.toml.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  handsctl config schema > config.schema.json")]
pub struct ConfigSchemaArgs {}

/// Runs `config schema`.
pub(crate) fn run(streams: &Streams) -> anyhow::Result<u8> {
    let _nobody_reads = streams.value(&settings::json_schema(), Output::Json)?;
    Ok(0)
}
