//! `config schema`: for editors and other tools.

use crate::report::{Output, Streams};
use crate::settings;

/// Runs `config schema`.
pub(super) fn run(streams: &Streams) -> anyhow::Result<u8> {
    let _nobody_reads = streams.value(&settings::json_schema(), Output::Json)?;
    Ok(0)
}
