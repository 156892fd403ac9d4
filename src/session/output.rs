//! The form of a result, and errors of any kind as errors of ours.

use crate::error::Error;
use crate::flags::Format;
use crate::report::Output;

/// The form in which a command prints its result and its errors.
pub(crate) fn output_form(format: Option<Format>) -> Output {
    match format {
        None | Some(Format::Table) => Output::Human,
        Some(Format::Json) => Output::Json,
        Some(Format::Yaml) => Output::Yaml,
    }
}

/// An error that is not ours is an internal one.
pub(crate) fn into_error(error: anyhow::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|other| {
        let message = other.to_string();
        match other.chain().nth(1) {
            Some(cause) => Error::internal(message).caused_by(cause.to_string()),
            None => Error::internal(message),
        }
    })
}
