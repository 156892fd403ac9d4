//! Checks a backup, returns the stream of one volume, and compares a volume with it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::read::GzDecoder;
use tar::{Archive, Builder, Entry, EntryType};

use super::contents::is_foreign;
use super::entry_path::{self, SeenPaths};
use super::manifest::{FileEntry, MANIFEST, Manifest, Part};
use super::write::HashingReader;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::reason;

/// The largest manifest in bytes: some millions of files.
const LARGEST_MANIFEST: u64 = 1 << 30;

/// Reads the whole backup, and checks the size and the checksum of every file. Calls `on_bytes` with the number of bytes
/// as they are read.
///
/// # Errors
/// Exit 2 if the file is not a backup, is damaged or incomplete, or has an unsafe path.
pub fn verify(file: impl Read, mut on_bytes: impl FnMut(u64)) -> Result<Manifest> {
    let mut archive = Archive::new(GzDecoder::new(file));
    let mut contents = Contents::default();
    let mut manifest = None;
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        if manifest.is_some() {
            return Err(invalid("it has entries after its manifest"));
        }
        if entry.path_bytes().as_ref() == MANIFEST.as_bytes() {
            let mut text = Vec::new();
            entry.by_ref().take(LARGEST_MANIFEST).read_to_end(&mut text).map_err(|error| damaged(&error))?;
            manifest = Some(Manifest::parse(&text)?);
            continue;
        }
        contents.add(entry, &mut on_bytes)?;
    }
    // The checksum of the compressed stream is at its end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| damaged(&error))?;
    let manifest = manifest.ok_or_else(|| invalid("it has no manifest: it is incomplete"))?;
    contents.compare(&manifest)?;
    Ok(manifest)
}

/// Writes the files of one part of a backup as a tar stream, with paths relative to the volume.
///
/// # Errors
/// The file cannot be read any more, or the output cannot be written.
pub fn copy_part(file: impl Read, name: &str, output: impl Write) -> io::Result<()> {
    let mut archive = Archive::new(GzDecoder::new(file));
    let mut tar = Builder::new(output);
    let prefix = format!("{name}/");
    let mut is_in_part = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        let Some(path) = path.strip_prefix(prefix.as_bytes()) else {
            // The entries of a part follow each other, and the rest need not be decompressed.
            if is_in_part {
                break;
            }
            continue;
        };
        is_in_part = true;
        let path = String::from_utf8_lossy(path).trim_end_matches('/').to_owned();
        if path.is_empty() {
            continue;
        }
        let mut header = entry.header().clone();
        let kind = header.entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            let target =
                target.strip_prefix(prefix.as_bytes()).filter(|_| kind.is_hard_link()).unwrap_or(&target);
            let target = String::from_utf8_lossy(target).into_owned();
            tar.append_link(&mut header, &path, &target)?;
        } else {
            tar.append_data(&mut header, &path, &mut entry)?;
        }
    }
    tar.into_inner()?.flush()
}

/// Compares the tar stream of a volume with the part that was restored to it.
///
/// # Errors
/// Exit 70 with the first files that differ, or if the stream ends early.
pub fn compare_part(stream: impl Read, part: &Part, mut on_bytes: impl FnMut(u64)) -> Result<()> {
    let failed = |error: io::Error| Error::io("cannot read the restored files", error);
    let mut archive = Archive::new(stream);
    let mut live = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry_path::relative(&entry.path_bytes()).unwrap_or_default();
        if entry.header().entry_type() != EntryType::Regular || is_foreign(&path) {
            continue;
        }
        let (size, sha256) = checksum(&mut entry, &mut on_bytes).map_err(failed)?;
        live.insert(path, (size, sha256));
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
    let differing = differing(&part.files, &live);
    let Some(first) = differing.first() else { return Ok(()) };
    let message = format!("the volume does not have {first} as in the backup");
    Err(Error::new(Id::RestoreFailed, Kind::Internal, message)
        .fact("files", format!("{} of {} differ", differing.len(), part.files.len())))
}

/// Returns the paths that differ.
fn differing<'a>(files: &'a [FileEntry], live: &'a BTreeMap<String, (u64, String)>) -> Vec<&'a str> {
    let is_same = |file: &&FileEntry| {
        live.get(&file.path).is_some_and(|(size, sha256)| *size == file.size && *sha256 == file.sha256)
    };
    files.iter().filter(|file| !is_same(file)).map(|file| file.path.as_str()).collect()
}

fn checksum(entry: &mut impl Read, on_bytes: &mut impl FnMut(u64)) -> io::Result<(u64, String)> {
    let mut content = HashingReader::new(entry, on_bytes);
    io::copy(&mut content, &mut io::sink())?;
    let (size, sha256, _) = content.finish();
    Ok((size, sha256))
}

/// The files of an archive, with its folder before their path.
#[derive(Default)]
struct Contents {
    files: BTreeMap<String, (u64, String)>,
    seen: SeenPaths,
}

impl Contents {
    fn add(&mut self, mut entry: Entry<'_, impl Read>, on_bytes: &mut impl FnMut(u64)) -> Result<()> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let unsafe_entry = |reason: &str| invalid(&format!("its entry {name} is refused: {reason}"));
        let path = entry_path::relative(&entry.path_bytes()).map_err(unsafe_entry)?;
        let kind = entry.header().entry_type();
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        match kind {
            EntryType::Regular | EntryType::Directory => {}
            EntryType::Symlink => {
                entry_path::ensure_link_inside(within_part(&path), &target).map_err(unsafe_entry)?;
            }
            EntryType::Link => {
                let target = entry_path::relative(&target).map_err(unsafe_entry)?;
                if !self.seen.is_file(&target) {
                    return Err(unsafe_entry("a link to a file that is not there"));
                }
            }
            _ => return Err(unsafe_entry("neither a file nor a folder nor a link")),
        }
        self.seen.add(&path, kind.is_dir(), kind.is_symlink()).map_err(unsafe_entry)?;
        if kind == EntryType::Regular {
            let size = entry.size();
            let (read, sha256) = checksum(&mut entry, on_bytes).map_err(|error| damaged(&error))?;
            if read != size {
                return Err(invalid("it ends early"));
            }
            self.files.insert(path, (read, sha256));
        }
        Ok(())
    }

    /// Checks that the files are exactly those of the manifest.
    fn compare(mut self, manifest: &Manifest) -> Result<()> {
        for part in &manifest.parts {
            for file in &part.files {
                let path = format!("{}/{}", part.name, file.path);
                match self.files.remove(&path) {
                    None => return Err(invalid(&format!("it has no {path}, which its manifest lists"))),
                    Some((size, sha256)) if size != file.size || sha256 != file.sha256 => {
                        return Err(invalid(&format!("the checksum of {path} is wrong")));
                    }
                    Some(_) => {}
                }
            }
        }
        match self.files.keys().next() {
            Some(path) => Err(invalid(&format!("its manifest does not list {path}"))),
            None => Ok(()),
        }
    }
}

/// Returns the path below the folder of its part: `state/…`, `sandboxes/CLAIM/…`.
fn within_part(path: &str) -> &str {
    let rest = path.split_once('/').map_or(path, |(_, rest)| rest);
    match path.strip_prefix("sandboxes/") {
        Some(sandbox) => sandbox.split_once('/').map_or(sandbox, |(_, rest)| rest),
        None => rest,
    }
}

fn invalid(reason: &str) -> Error {
    Error::new(Id::BackupInvalid, Kind::Usage, "the file is not a complete backup").caused_by(reason)
}

fn damaged(error: &io::Error) -> Error {
    invalid(&format!("it is damaged or of another kind: {}", reason::of_io(error)))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{FORMAT, sample};
    use super::super::write::{ArchiveWriter, PartSource, stream};
    use super::*;

    const FILE: EntryType = EntryType::Regular;

    /// Returns a backup of two volumes.
    fn backup(change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new());
        let mut manifest = sample();
        let long = "n".repeat(120);
        let state: &[(EntryType, &str, &[u8])] = &[
            (EntryType::Directory, "./sessions", b""),
            (FILE, "./sessions/a.json", b"{\"id\": 1}"),
            (FILE, "./settings.json", b"{}"),
            (EntryType::Symlink, "./link", b"sessions/a.json"),
            (EntryType::Link, "./hard", b"./settings.json"),
        ];
        let sandbox: &[(EntryType, &str, &[u8])] = &[(FILE, "./x", &[7; 5000]), (FILE, &long[..90], b"")];
        let parts = [state, sandbox];
        for (part, entries) in manifest.parts.iter_mut().zip(parts) {
            let source = PartSource {
                name: part.name.clone(),
                claim: part.claim.clone(),
                size: part.size.clone(),
                is_at_rest: false,
            };
            *part = writer.add_part(source, stream(entries).as_slice(), |_| {}).unwrap();
        }
        change(&mut manifest);
        writer.finish(&manifest).unwrap()
    }

    fn unpacked(file: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        GzDecoder::new(file).read_to_end(&mut bytes).map(|_| bytes)
    }

    fn cause(file: &[u8]) -> String {
        let error = verify(file, |_| {}).unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::BackupInvalid, Kind::Usage), "{error:?}");
        error.with_causes()
    }

    #[test]
    fn written_backup_is_valid() {
        let file = backup(|_| {});
        let mut bytes = 0;
        let manifest = verify(file.as_slice(), |count| bytes += count).unwrap();
        assert_eq!(manifest.parts.iter().map(Part::bytes).sum::<u64>(), bytes);
        assert_eq!((manifest.parts[0].files.len(), manifest.parts[1].files.len()), (2, 2));
        assert_eq!(manifest.part("sandboxes/c-pvc").unwrap().claim, "c-pvc");
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_noticed() {
        let file = backup(|_| {});
        for index in 10..file.len() {
            let mut damaged = file.clone();
            damaged[index] ^= 0x10;
            // Two distances into a run of zeros decompress to the same bytes.
            let is_same = unpacked(&damaged).is_ok_and(|bytes| bytes == unpacked(&file).unwrap());
            assert_eq!(verify(damaged.as_slice(), |_| {}).is_ok(), is_same, "byte {index} of {}", file.len());
        }
        for length in 0..file.len() {
            assert!(verify(&file[..length], |_| {}).is_err(), "{length} of {} bytes", file.len());
        }
    }

    #[test]
    fn manifest_and_files_must_agree() {
        let wrong = |change: fn(&mut Manifest)| cause(&backup(change));
        let sum = wrong(|manifest| manifest.parts[0].files[0].sha256 = "00".to_owned());
        assert!(sum.contains("the checksum of state/sessions/a.json is wrong"), "{sum}");
        let missing = wrong(|manifest| manifest.parts[0].files[0].path = "b".to_owned());
        assert!(missing.contains("it has no state/b"), "{missing}");
        let unlisted = wrong(|manifest| manifest.parts[1].files.clear());
        assert!(unlisted.contains("does not list sandboxes/c-pvc/"), "{unlisted}");
        let format = wrong(|manifest| manifest.format = FORMAT + 1);
        assert!(format.contains("format 2"), "{format}");
        assert!(cause(b"no backup at all").contains("damaged or of another kind"));
    }

    #[test]
    fn unsafe_entry_of_a_crafted_backup_is_refused() {
        let crafted = |entries: &[(EntryType, &str, &[u8])]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&stream(entries)).unwrap();
            cause(&gzip.finish().unwrap())
        };
        for (kind, path, content, reason) in [
            (FILE, "state/../../x", &b""[..], "contains `..`"),
            (FILE, "/etc/x", b"", "absolute"),
            (EntryType::Symlink, "state/x", b"../../etc", "leads out"),
            (EntryType::Symlink, "sandboxes/c/x", b"../other", "leads out"),
            (EntryType::Symlink, "state/x", b"/etc", "leads out"),
            (EntryType::Link, "state/x", b"/etc/passwd", "absolute"),
            (EntryType::Fifo, "state/x", b"", "neither a file"),
        ] {
            let cause = crafted(&[(kind, path, content)]);
            assert!(cause.contains(path) && cause.contains(reason), "{cause}");
        }
        let through = crafted(&[(EntryType::Symlink, "state/d", b"sub"), (FILE, "state/d/x", b"")]);
        assert!(through.contains("leads through a link"), "{through}");
    }

    #[test]
    fn copied_part_is_the_volume_of_before() {
        let file = backup(|_| {});
        let manifest = verify(file.as_slice(), |_| {}).unwrap();
        for part in &manifest.parts {
            let mut copy = Vec::new();
            copy_part(file.as_slice(), &part.name, &mut copy).unwrap();
            compare_part(copy.as_slice(), part, |_| {}).unwrap();
            let mut names = Vec::new();
            for entry in Archive::new(copy.as_slice()).entries().unwrap() {
                let entry = entry.unwrap();
                let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
                names.push((entry.path().unwrap().to_string_lossy().into_owned(), link));
            }
            if part.name == "state" {
                assert!(names.contains(&("hard".to_owned(), Some("settings.json".to_owned()))), "{names:?}");
                assert!(
                    names.contains(&("link".to_owned(), Some("sessions/a.json".to_owned()))),
                    "{names:?}"
                );
            }
        }
        let mut other = manifest.parts[0].clone();
        other.files[0].sha256 = "00".to_owned();
        let mut copy = Vec::new();
        copy_part(file.as_slice(), "state", &mut copy).unwrap();
        let error = compare_part(copy.as_slice(), &other, |_| {}).unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::RestoreFailed, Kind::Internal));
        assert!(error.message().contains("sessions/a.json"), "{}", error.message());
        let error = compare_part(&copy[..700], &manifest.parts[0], |_| {}).unwrap_err();
        assert_eq!(error.message(), "cannot read the restored files");
    }
}
