//! Reads the end of a log file, whatever its size is.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Returns at most the last `limit` bytes of a log, which have the cause of a failure. A first line marks the cut.
pub(super) fn read(log: &Path, limit: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    let is_cut = length > limit;
    if is_cut {
        file.seek(SeekFrom::Start(length - limit))?;
    }
    let mut end = Vec::new();
    file.take(limit).read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    Ok(if is_cut { format!("(the last {limit} of {length} bytes)\n{end}") } else { end.into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        std::fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(read(&log, 8).unwrap(), "one\ntwo\n");
        assert_eq!(read(&log, 4).unwrap(), "(the last 4 of 8 bytes)\ntwo\n");
        assert_eq!(read(&folder.path().join("b"), 8).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
