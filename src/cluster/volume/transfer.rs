//! Runs the commands that read and write a volume, and connects their streams with readers and writers of this computer.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::programs;
use crate::catalogue::Id;
use crate::cluster::app::exec::{self, ExecRequest, RemoteCommand};
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::object::pod_spec::ClaimMount;

/// The bytes of a chunk.
const CHUNK: usize = 64 * 1024;
/// The chunks between the network and a file.
const CHUNKS: usize = 16;
/// The longest kept output of a short command, and the longest error text.
const LARGEST_TEXT: usize = 8 << 20;

/// How many lines of a failed command's errors a message has.
const MAX_LINES: usize = 5;

/// A volume that a running container mounts.
#[derive(Debug, Clone)]
pub struct MountedVolume {
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The claim, the container, and the folder in it.
    pub mount: ClaimMount,
    /// Whether something may write to the volume.
    pub is_live: bool,
}

/// Which files of a volume are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFiles {
    /// The volume's own.
    Current,
    /// Those that were written beside them.
    Unpacked,
}

impl MountedVolume {
    /// Reads the files as a tar stream on a thread of its own, and returns what `consume` returns.
    ///
    /// # Errors
    /// The command fails, the connection is lost, or those of `consume`.
    pub async fn read<T: Send + 'static>(
        &self,
        api: &Api,
        files: ReadFiles,
        consume: impl FnOnce(ChunkReader) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let end = random_end()?;
        let command = match files {
            ReadFiles::Current => programs::pack(&self.mount.path, self.is_live, &end),
            ReadFiles::Unpacked => programs::pack(&programs::unpacked(&self.mount.path), false, &end),
        };
        let mut remote = self.start(api, &command, true).await?;
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let consuming = tokio::task::spawn_blocking(move || consume(ChunkReader::new(receiver)));
        let (stdin, stdout) = (remote.stdin.take(), remote.stdout.take());
        let errors = tokio::spawn(read_text(remote.stderr.take()));
        let forwarded = match stdout {
            Some(stdout) => forward(stdout, &sender, end.as_bytes()).await,
            None => Forwarded::Incomplete,
        };
        if forwarded == Forwarded::NotRead {
            // The rest of the stream is of no interest.
            drop((sender, remote));
            errors.abort();
            return joined(consuming).await;
        }
        if let Some(mut stdin) = stdin {
            // The command may end now: all of its output has arrived.
            let _it_has_ended = stdin.write_all(b"\n").await;
        }
        let text = errors.await.unwrap_or_default();
        let ended = self.ensure_success(remote, "read", &text).await;
        if ended.is_ok() && forwarded == Forwarded::Complete {
            // Only now the reader learns that the stream is complete.
            let _reader_has_failed = sender.send(Chunk::End).await;
        }
        drop(sender);
        let consumed = joined(consuming).await;
        ended.and(consumed)
    }

    /// Writes a tar stream beside the files of the volume. `produce` writes it on a thread of its own.
    ///
    /// # Errors
    /// The command fails, the connection is lost, or those of `produce`.
    pub async fn unpack(
        &self,
        api: &Api,
        produce: impl FnOnce(ChunkWriter) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        self.run(api, &programs::prepare_restore(&self.mount.path), "prepare").await?;
        let mut remote = self.start(api, &programs::unpack(&self.mount.path), true).await?;
        let (sender, mut receiver) = mpsc::channel::<Bytes>(CHUNKS);
        let producing = tokio::task::spawn_blocking(move || produce(ChunkWriter { sender }));
        let (stdin, stdout, stderr) = (remote.stdin.take(), remote.stdout.take(), remote.stderr.take());
        let forward = async {
            let Some(mut stdin) = stdin else { return };
            while let Some(bytes) = receiver.recv().await {
                if stdin.write_all(&bytes).await.is_err() {
                    // The command has ended; its exit code says why.
                    break;
                }
            }
            let _ended_before = stdin.shutdown().await;
            receiver.close();
        };
        let ((), _, text) = tokio::join!(forward, read_text(stdout), read_text(stderr));
        let ended = self.ensure_success(remote, "write", &text).await;
        let produced = joined(producing).await;
        ended.and(produced)
    }

    /// Replaces the files of the volume by the unpacked ones. The earlier ones are kept until [`Self::clean`].
    ///
    /// # Errors
    /// The command fails, or the connection is lost.
    pub async fn swap(&self, api: &Api) -> Result<()> {
        self.run(api, &programs::swap(&self.mount.path), "replace").await.map(drop)
    }

    /// Deletes the unpacked files. A swap that has begun is not touched.
    ///
    /// # Errors
    /// The command fails, or the connection is lost.
    pub async fn discard(&self, api: &Api) -> Result<()> {
        self.run(api, &programs::discard(&self.mount.path), "delete").await.map(drop)
    }

    /// Deletes what a restore left in the volume: the earlier files.
    ///
    /// # Errors
    /// The command fails, or the connection is lost.
    pub async fn clean(&self, api: &Api) -> Result<()> {
        self.run(api, &programs::clean(&self.mount.path), "delete").await.map(drop)
    }

    /// Lists the paths of the first two levels.
    ///
    /// # Errors
    /// The command fails, or the connection is lost.
    pub async fn list(&self, api: &Api) -> Result<Vec<String>> {
        let output = self.run(api, &programs::list(&self.mount.path), "list").await?;
        let paths = output.lines().filter_map(|line| line.strip_prefix("./"));
        Ok(paths.map(str::to_owned).collect())
    }

    /// Runs a short command, and returns its standard output.
    async fn run(&self, api: &Api, command: &[String], verb: &str) -> Result<String> {
        let mut remote = self.start(api, command, false).await?;
        let (stdout, stderr) = (remote.stdout.take(), remote.stderr.take());
        let (output, text) = tokio::join!(read_text(stdout), read_text(stderr));
        self.ensure_success(remote, verb, &text).await?;
        Ok(output)
    }

    async fn start(&self, api: &Api, command: &[String], stdin: bool) -> Result<RemoteCommand> {
        let request = ExecRequest {
            namespace: &self.namespace,
            pod: &self.pod,
            container: Some(&self.mount.container),
            command,
            stdin,
            terminal: None,
        };
        exec::start(api, request).await
    }

    async fn ensure_success(&self, remote: RemoteCommand, verb: &str, text: &str) -> Result<()> {
        let action =
            format!("cannot {verb} the files of volume claim {} in pod/{}", self.mount.claim, self.pod);
        match remote.end().await.exit_code(&action)? {
            0 => Ok(()),
            code => {
                let error = Error::new(Id::VolumeCommandFailed, Kind::Rejected, action);
                let lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
                let cause = if lines.is_empty() {
                    format!("the command in the container exited with {code}")
                } else {
                    lines.join("\n")
                };
                Err(error.caused_by(cause))
            }
        }
    }
}

/// Returns a text that no file contains.
fn random_end() -> Result<String> {
    let mut bytes = [0_u8; 16];
    let random = getrandom::fill(&mut bytes);
    random.map_err(|error| Error::internal(format!("no random numbers: {error}")))?;
    Ok(format!("handsctl-end-{:032x}", u128::from_be_bytes(bytes)))
}

/// How far a stream was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forwarded {
    /// To its end.
    Complete,
    /// The stream ended without its end.
    Incomplete,
    /// Its reader has failed before.
    NotRead,
}

/// Forwards a stream until the bytes of its end arrive, which are not forwarded.
async fn forward(mut stream: impl AsyncRead + Unpin, sender: &mpsc::Sender<Chunk>, end: &[u8]) -> Forwarded {
    let mut buffer = vec![0; CHUNK];
    let mut held: Vec<u8> = Vec::new();
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => 0,
            Ok(count) => count,
        };
        held.extend_from_slice(&buffer[..count]);
        let is_complete = held.ends_with(end);
        // The last bytes may be a part of the end.
        let rest = if count == 0 && !is_complete {
            Vec::new()
        } else {
            held.split_off(held.len().saturating_sub(end.len()))
        };
        if !held.is_empty() && sender.send(Chunk::Bytes(std::mem::take(&mut held).into())).await.is_err() {
            return Forwarded::NotRead;
        }
        held = rest;
        match (is_complete, count) {
            (true, _) => return Forwarded::Complete,
            (false, 0) => return Forwarded::Incomplete,
            (false, _) => {}
        }
    }
}

/// Reads a stream to its end, and returns its beginning as text.
async fn read_text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut text = Vec::new();
    let mut buffer = vec![0; CHUNK];
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        let room = LARGEST_TEXT.saturating_sub(text.len());
        text.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

async fn joined<T>(task: JoinHandle<Result<T>>) -> Result<T> {
    task.await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
}

/// A piece of a stream.
#[derive(Debug)]
enum Chunk {
    Bytes(Bytes),
    /// The stream is complete.
    End,
}

/// Reads a stream on a thread. A stream without its end is an error.
#[derive(Debug)]
pub struct ChunkReader {
    receiver: mpsc::Receiver<Chunk>,
    current: Bytes,
    is_complete: bool,
}

impl ChunkReader {
    fn new(receiver: mpsc::Receiver<Chunk>) -> Self {
        Self { receiver, current: Bytes::new(), is_complete: false }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.is_complete {
            match self.receiver.blocking_recv() {
                Some(Chunk::Bytes(bytes)) => self.current = bytes,
                Some(Chunk::End) => self.is_complete = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended early")),
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Writes a stream on a thread.
#[derive(Debug)]
pub struct ChunkWriter {
    sender: mpsc::Sender<Bytes>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK);
        let chunk = Bytes::copy_from_slice(&bytes[..count]);
        self.sender.blocking_send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stream_is_read_to_its_end_and_no_further() {
        let (sender, receiver) = mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            ChunkReader::new(receiver).read_to_end(&mut bytes).map(|_| bytes)
        });
        for text in ["one ", "two"] {
            assert!(sender.send(Chunk::Bytes(Bytes::from_static(text.as_bytes()))).await.is_ok());
        }
        assert!(sender.send(Chunk::End).await.is_ok());
        assert_eq!(reading.await.unwrap().unwrap(), b"one two");
    }

    #[tokio::test]
    async fn stream_without_end_is_an_error() {
        let (sender, receiver) = mpsc::channel(2);
        let reading = tokio::task::spawn_blocking(move || {
            ChunkReader::new(receiver).read_to_end(&mut Vec::new()).map_err(|error| error.kind())
        });
        assert!(sender.send(Chunk::Bytes(Bytes::from_static(b"one"))).await.is_ok());
        drop(sender);
        assert_eq!(reading.await.unwrap(), Err(io::ErrorKind::UnexpectedEof));
    }

    /// Forwards these pieces of a stream whose end is `END`; returns how far, and the forwarded text.
    async fn forwarded(pieces: &[&str]) -> (Forwarded, String) {
        let (reader, mut writer) = tokio::io::duplex(64);
        let (sender, mut receiver) = mpsc::channel(64);
        let write = async {
            for piece in pieces {
                writer.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            // A complete stream stays open.
            if !pieces.concat().ends_with("END") {
                drop(writer);
            }
        };
        let (result, ()) = tokio::join!(forward(reader, &sender, b"END"), write);
        drop(sender);
        let mut text = String::new();
        while let Some(Chunk::Bytes(bytes)) = receiver.recv().await {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        (result, text)
    }

    #[tokio::test]
    async fn stream_is_complete_with_its_end() {
        for pieces in [&["some text", "END"][..], &["some textE", "N", "D"], &["some", " ", "textEND"]] {
            assert_eq!(forwarded(pieces).await, (Forwarded::Complete, "some text".to_owned()), "{pieces:?}");
        }
        assert_eq!(forwarded(&["END"]).await, (Forwarded::Complete, String::new()));
        assert_eq!(forwarded(&["ENDaEND"]).await, (Forwarded::Complete, "ENDa".to_owned()));
        for pieces in [&["some text"][..], &["some textE", "N"], &[]] {
            let (result, text) = forwarded(pieces).await;
            assert_eq!((result, text), (Forwarded::Incomplete, pieces.concat()), "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn forwarding_stops_when_the_reader_fails() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        assert_eq!(forward(&b"text and more"[..], &sender, b"END").await, Forwarded::NotRead);
    }

    #[tokio::test]
    async fn long_text_is_read_to_its_end_and_cut() {
        let text = read_text(Some(&vec![b'x'; LARGEST_TEXT + 5][..])).await;
        assert_eq!(text.len(), LARGEST_TEXT);
    }
}
