//! Turns the tar streams of volumes into a backup.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use base16ct::lower;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::contents::is_foreign;
use super::entry_path::{self, SeenPaths};
use super::manifest::{Consistency, FileEntry, LeftOut, MANIFEST, Manifest, Part};

/// The last entry of a stream that the program in the container has checked: its `StreamReport`.
const REPORT: &str = ".handsctl-report.json";
/// The longest report in bytes.
const LARGEST_REPORT: u64 = 64 << 20;
/// The first bytes of a `SQLite` database (<https://www.sqlite.org/fileformat.html#magic_header_string>).
const SQLITE: &[u8] = b"SQLite format 3\0";
/// Fast: the connection to the API server is mostly slower than any level.
const LEVEL: Compression = Compression::new(3);

/// What the program in the container noticed while it read a volume.
#[derive(Debug, Default, Deserialize)]
struct StreamReport {
    changed: Vec<String>,
    databases: Vec<String>,
    unsafe_databases: Vec<String>,
    left_out: Vec<(String, String)>,
}

/// A volume to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSource {
    /// The folder in the archive: `state`.
    pub name: String,
    /// The volume claim.
    pub claim: String,
    /// The requested size of the claim.
    pub size: Option<String>,
    /// Whether nothing writes to the volume.
    pub is_at_rest: bool,
}

/// Writes a backup.
pub struct ArchiveWriter<W: Write> {
    tar: Builder<GzEncoder<W>>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins a backup.
    pub fn new(output: W) -> Self {
        Self { tar: Builder::new(GzEncoder::new(output, LEVEL)) }
    }

    /// Adds the files of a volume from a tar stream. Calls `on_bytes` with the number of bytes as they are read.
    ///
    /// # Errors
    /// The stream ends early, or the output cannot be written.
    pub fn add_part(
        &mut self,
        source: PartSource,
        stream: impl Read,
        mut on_bytes: impl FnMut(u64),
    ) -> io::Result<Part> {
        let mut archive = Archive::new(stream);
        let mut part = PartBuilder::default();
        let folder = folder_header();
        append(&mut self.tar, folder, &source.name, io::empty())?;
        for entry in archive.entries()? {
            let mut entry = entry?;
            if entry.path_bytes().as_ref() == REPORT.as_bytes() {
                part.report = Some(read_report(&mut entry)?);
                continue;
            }
            self.add_entry(&source, &mut part, entry, &mut on_bytes)?;
        }
        // The sender must not block on what follows the end of the archive.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        Ok(part.finish(source))
    }

    fn add_entry(
        &mut self,
        source: &PartSource,
        part: &mut PartBuilder,
        mut entry: Entry<'_, impl Read>,
        on_bytes: &mut impl FnMut(u64),
    ) -> io::Result<()> {
        let path = match entry_path::relative(&entry.path_bytes()) {
            Ok(path) if path.is_empty() || is_foreign(&path) => return Ok(()),
            Ok(path) => path,
            Err(reason) => {
                part.leave_out(String::from_utf8_lossy(&entry.path_bytes()).into_owned(), reason);
                return Ok(());
            }
        };
        let kind = entry.header().entry_type();
        let link = match checked_link(kind, &path, &entry, &part.seen) {
            Ok(link) => link,
            Err(reason) => {
                part.leave_out(path, reason);
                return Ok(());
            }
        };
        if let Err(reason) = part.seen.add(&path, kind.is_dir(), kind.is_symlink()) {
            part.leave_out(path, reason);
            return Ok(());
        }
        let name = format!("{}/{path}", source.name);
        let header = header_of(entry.header(), kind)?;
        if let Some(target) = link {
            let target = if kind.is_hard_link() { format!("{}/{target}", source.name) } else { target };
            let mut header = header;
            return self.tar.append_link(&mut header, &name, &target);
        }
        if kind.is_dir() {
            return append(&mut self.tar, header, &name, io::empty());
        }
        let size = entry.size();
        let mut content = HashingReader::new(&mut entry, on_bytes);
        let mut header = header;
        header.set_size(size);
        append(&mut self.tar, header, &name, &mut content)?;
        let (read, sha256, is_database) = content.finish();
        if read != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream of files ended early"));
        }
        if is_database {
            part.raw_databases.insert(path.clone());
        }
        part.files.push(FileEntry { path, size, sha256 });
        Ok(())
    }

    /// Writes the manifest and ends the file.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self, manifest: &Manifest) -> io::Result<W> {
        let text = serde_json::to_vec(manifest)?;
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(manifest.created.as_second()).unwrap_or_default());
        header.set_size(text.len() as u64);
        append(&mut self.tar, header, MANIFEST, text.as_slice())?;
        self.tar.into_inner()?.finish()
    }
}

/// A volume whose files are being added.
#[derive(Default)]
struct PartBuilder {
    files: Vec<FileEntry>,
    seen: SeenPaths,
    left_out: Vec<LeftOut>,
    /// Files that begin as a database does.
    raw_databases: BTreeSet<String>,
    report: Option<StreamReport>,
}

impl PartBuilder {
    fn leave_out(&mut self, path: String, reason: &str) {
        self.left_out.push(LeftOut { path, reason: reason.to_owned() });
    }

    fn finish(self, source: PartSource) -> Part {
        let Self { files, mut left_out, raw_databases, report, .. } = self;
        let is_checked = report.is_some();
        let report = report.unwrap_or_default();
        left_out.extend(report.left_out.into_iter().map(|(path, reason)| LeftOut { path, reason }));
        let unsafe_databases = if is_checked {
            report.unsafe_databases
        } else if source.is_at_rest {
            Vec::new()
        } else {
            raw_databases.into_iter().collect()
        };
        let consistency = Consistency {
            is_checked,
            changed: report.changed,
            databases: report.databases,
            unsafe_databases,
            left_out,
        };
        Part { name: source.name, claim: source.claim, size: source.size, consistency, files }
    }
}

/// Returns the target of a link; None for other entries.
///
/// # Errors
/// The reason if an archive cannot have the entry.
fn checked_link(
    kind: EntryType,
    path: &str,
    entry: &Entry<'_, impl Read>,
    seen: &SeenPaths,
) -> Result<Option<String>, &'static str> {
    let target = entry.link_name_bytes().unwrap_or_default();
    if kind.is_symlink() {
        entry_path::ensure_link_inside(path, &target)?;
        return Ok(Some(String::from_utf8_lossy(&target).into_owned()));
    }
    if kind.is_hard_link() {
        let target = entry_path::relative(&target)?;
        return if seen.is_file(&target) {
            Ok(Some(target))
        } else {
            Err("a link to a file that is not there")
        };
    }
    match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => Ok(None),
        EntryType::Fifo => Err("a pipe"),
        EntryType::Char | EntryType::Block => Err("a device"),
        _ => Err("neither a file nor a folder nor a link"),
    }
}

/// Returns a header with the mode and the time of an entry. Owners are those of the volume that it is restored to.
fn header_of(entry: &Header, kind: EntryType) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(if kind == EntryType::Continuous { EntryType::Regular } else { kind });
    header.set_mode(entry.mode()? & 0o777);
    header.set_mtime(entry.mtime()?);
    header.set_size(0);
    Ok(header)
}

fn folder_header() -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    header
}

fn append<W: Write>(
    tar: &mut Builder<W>,
    mut header: Header,
    name: &str,
    content: impl Read,
) -> io::Result<()> {
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, name, content)
}

fn read_report(entry: &mut impl Read) -> io::Result<StreamReport> {
    let mut text = Vec::new();
    entry.take(LARGEST_REPORT).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Computes the checksum of what passes through it.
pub(super) struct HashingReader<R, F> {
    inner: R,
    hash: Sha256,
    count: u64,
    head: Vec<u8>,
    on_bytes: F,
}

impl<R: Read, F: FnMut(u64)> HashingReader<R, F> {
    pub(super) fn new(inner: R, on_bytes: F) -> Self {
        Self { inner, hash: Sha256::new(), count: 0, head: Vec::new(), on_bytes }
    }

    /// Returns the number of bytes, their checksum, and whether they begin as a database does.
    pub(super) fn finish(self) -> (u64, String, bool) {
        (self.count, lower::encode_string(&self.hash.finalize()), self.head == SQLITE)
    }
}

impl<R: Read, F: FnMut(u64)> Read for HashingReader<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = &buffer[..count];
        self.hash.update(bytes);
        self.count += count as u64;
        let missing = SQLITE.len() - self.head.len();
        self.head.extend_from_slice(&bytes[..missing.min(count)]);
        (self.on_bytes)(count as u64);
        Ok(count)
    }
}

/// Returns a tar stream as a container sends it: each entry with its kind, path, and content or target.
#[cfg(test)]
pub(super) fn stream(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (kind, path, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content);
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, io::empty()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
    }
    tar.into_inner().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: EntryType = EntryType::Regular;

    fn add(stream: &[u8], is_at_rest: bool) -> io::Result<Part> {
        let mut writer = ArchiveWriter::new(Vec::new());
        let source =
            PartSource { name: "state".to_owned(), claim: "oh-state".to_owned(), size: None, is_at_rest };
        writer.add_part(source, stream, |_| {})
    }

    #[test]
    fn unsafe_entries_are_left_out_and_reported() {
        let entries = stream(&[
            (EntryType::Directory, "./", b""),
            (FILE, "./a", b"x"),
            (FILE, "../b", b"x"),
            (FILE, "/c", b"x"),
            (EntryType::Symlink, "./out", b"/etc"),
            (EntryType::Symlink, "./in", b"a"),
            (FILE, "./in/d", b"x"),
            (EntryType::Link, "./hard", b"./a"),
            (EntryType::Link, "./dangling", b"./nothing"),
            (EntryType::Fifo, "./pipe", b""),
            (FILE, "./lost+found/x", b"x"),
            (FILE, "./.handsctl-restore/x", b"x"),
        ]);
        let part = add(&entries, false).unwrap();
        assert_eq!(part.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a"]);
        let left_out: Vec<_> =
            part.consistency.left_out.iter().map(|left| (left.path.as_str(), left.reason.as_str())).collect();
        assert_eq!(
            left_out,
            [
                ("../b", "its path contains `..`"),
                ("/c", "its path is absolute"),
                ("out", "a link that leads out of the volume"),
                ("in/d", "its path leads through a link"),
                ("dangling", "a link to a file that is not there"),
                ("pipe", "a pipe"),
            ]
        );
    }

    #[test]
    fn database_copied_byte_by_byte_is_unsafe_unless_at_rest() {
        let database = [SQLITE, b"rest"].concat();
        let entries = stream(&[(FILE, "./openhands.db", &database), (FILE, "./x", b"SQLite")]);
        let part = add(&entries, false).unwrap();
        assert_eq!(part.consistency.unsafe_databases, ["openhands.db"]);
        assert!(!part.consistency.is_checked);
        assert!(add(&entries, true).unwrap().consistency.unsafe_databases.is_empty());
    }

    #[test]
    fn report_of_the_container_is_the_consistency() {
        let report = br#"{"changed": ["a"], "databases": ["openhands.db"], "unsafe_databases": [], "left_out": [["s", "a socket"]]}"#;
        let database = [SQLITE, b"rest"].concat();
        let entries = stream(&[(FILE, "openhands.db", &database), (FILE, "a", b""), (FILE, REPORT, report)]);
        let part = add(&entries, false).unwrap();
        let Consistency { is_checked, changed, databases, unsafe_databases, left_out } = part.consistency;
        assert!(is_checked && unsafe_databases.is_empty());
        assert_eq!((changed, databases), (vec!["a".to_owned()], vec!["openhands.db".to_owned()]));
        assert_eq!(left_out, [LeftOut { path: "s".to_owned(), reason: "a socket".to_owned() }]);
        assert_eq!(part.files.len(), 2, "the report is no file of the volume");
    }

    #[test]
    fn stream_that_ends_early_is_an_error() {
        let entries = stream(&[(FILE, "./a", &[1; 2000])]);
        for length in [600, 1500, 2511] {
            assert!(add(&entries[..length], false).is_err(), "{length} bytes");
        }
        assert!(add(b"", false).unwrap().files.is_empty(), "the exit code of the program decides");
    }
}
