//! Adds a cluster's entry to a kubeconfig, and removes it.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

use super::edit::{self, ContextEntry, ContextOwner};
use super::file;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::local_cluster::LocalProvider;

impl ContextEntry {
    /// What a cluster's own kubeconfig says, with the files that it points to taken in: the user's file is then whole by itself.
    pub(crate) fn read(kubeconfig: &Path, name: &str, provider: LocalProvider) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)
            .map_err(|error| Error::io(format!("cannot read {}", kubeconfig.display()), error))?;
        let value = parse(kubeconfig, &text)?;
        let data = |pointer: &str| {
            if let Some(data) = value.pointer(&format!("{pointer}-data")).and_then(Value::as_str) {
                return Ok(data.to_owned());
            }
            let path = value.pointer(pointer).and_then(Value::as_str).map(PathBuf::from);
            let path = path.ok_or_else(|| invalid(kubeconfig, format!("no {pointer}").into()))?;
            let bytes = std::fs::read(&path)
                .map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?;
            Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
        };
        let server = value.pointer("/clusters/0/cluster/server").and_then(Value::as_str);
        Ok(Self {
            name: name.to_owned(),
            provider: provider.word(),
            server: server.ok_or_else(|| invalid(kubeconfig, "no server".into()))?.to_owned(),
            certificate_authority: data("/clusters/0/cluster/certificate-authority")?,
            client_certificate: data("/users/0/user/client-certificate")?,
            client_key: data("/users/0/user/client-key")?,
        })
    }
}

/// What [`merge`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MergeChange {
    /// The file did not exist before.
    pub(crate) made: bool,
    /// Something was written.
    pub(crate) changed: bool,
}

/// Whose the context of this name is.
pub(crate) fn owner(path: &Path, name: &str) -> Result<ContextOwner> {
    match file::read(path)? {
        None => Ok(ContextOwner::Nobody),
        Some(text) => Ok(edit::owner(&parse(path, &text)?, name)),
    }
}

/// Adds the entry or brings it up to date. The current context is set only if none of the user's files has one.
pub(crate) async fn merge(path: &Path, all: &[PathBuf], entry: &ContextEntry) -> Result<MergeChange> {
    if is_merged(path, entry)? {
        return Ok(MergeChange { made: false, changed: false });
    }
    let mut make_current = true;
    for other in all {
        make_current &= !has_current(other)?;
    }
    let lock = file::lock(path).await?;
    let before = file::read(path)?;
    let after = edit::merged(before.as_deref().unwrap_or_default(), entry, make_current)
        .map_err(|cause| invalid(path, cause.into()))?;
    file::replace(&lock, &after)?;
    Ok(MergeChange { made: before.is_none(), changed: true })
}

/// Takes the context out, if it is ours. A file that handsctl `made` and that has nothing else in it is deleted.
pub(crate) async fn remove(path: &Path, name: &str, made: bool) -> Result<()> {
    if owner(path, name)? != ContextOwner::Ours {
        return Ok(());
    }
    let lock = file::lock(path).await?;
    let Some(before) = file::read(path)? else { return Ok(()) };
    let after = edit::removed(&before, name).map_err(|cause| invalid(path, cause.into()))?;
    if made && edit::is_empty(&parse(path, &after)?) {
        file::delete(&lock)
    } else {
        file::replace(&lock, &after)
    }
}

fn is_merged(path: &Path, entry: &ContextEntry) -> Result<bool> {
    match file::read(path)? {
        None => Ok(false),
        Some(text) => Ok(edit::has(&parse(path, &text)?, entry)),
    }
}

fn has_current(path: &Path) -> Result<bool> {
    match file::read(path)? {
        None => Ok(false),
        Some(text) => Ok(edit::current(&parse(path, &text)?).is_some()),
    }
}

fn parse(path: &Path, text: &str) -> Result<Value> {
    edit::parse(text).map_err(|cause| invalid(path, cause.into()))
}

fn invalid(path: &Path, cause: crate::error::Source) -> Error {
    Error::new(
        Id::KubeconfigInvalid,
        Kind::Prerequisite,
        format!("the kubeconfig {} cannot be used", path.display()),
    )
    .caused_by(io::Error::new(io::ErrorKind::InvalidData, cause))
}
