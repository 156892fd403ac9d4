//! The output format of a result, and the conversion of foreign errors.

use crate::error::Error;
use crate::flags::Format;
use crate::report::Output;

/// Returns the output format of a command's result and errors.
pub(crate) fn output_form(format: Option<Format>) -> Output {
    match format {
        None | Some(Format::Table) => Output::Human,
        Some(Format::Json) => Output::Json,
        Some(Format::Yaml) => Output::Yaml,
    }
}

/// Converts any error: a foreign one becomes an internal error.
pub(crate) fn into_error(error: anyhow::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|other| {
        let message = other.to_string();
        match other.chain().nth(1) {
            Some(cause) => Error::internal(message).caused_by(cause.to_string()),
            None => Error::internal(message),
        }
    })
}
