//! Reads a source of bounded size: a path may lead to a device or a pipe without an end. `read` opens the files.

use std::io::{Error, ErrorKind, Read, Result};

/// Reads to the end, at most this many MiB.
///
/// # Errors
/// The source cannot be read, or has more.
pub(super) fn read(source: impl Read, limit: u32) -> Result<Vec<u8>> {
    let largest = u64::from(limit) << 20;
    let mut bytes = Vec::new();
    let length = source.take(largest + 1).read_to_end(&mut bytes)?;
    if u64::try_from(length).is_ok_and(|length| length > largest) {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {limit} MiB")));
    }
    Ok(bytes)
}

/// The same for a text.
///
/// # Errors
/// The source cannot be read, has more, or is not UTF-8.
pub(super) fn read_text(source: impl Read, limit: u32) -> Result<String> {
    String::from_utf8(read(source, limit)?).map_err(|_not_utf8| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_without_end_is_an_error() {
        let error = read(std::io::repeat(b'x'), 1).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::FileTooLarge, "it has more than 1 MiB")
        );
        let largest = read_text(std::io::repeat(b'x').take(1 << 20), 1).unwrap();
        assert_eq!(largest.len(), 1 << 20);
        assert_eq!(read_text(&[0xff][..], 1).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
