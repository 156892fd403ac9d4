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
    /// Reads the entry from a cluster's own kubeconfig and embeds the certificate files that it refers to, so that the
    /// user's kubeconfig depends on no other file.
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
            provider: provider.name(),
            server: server.ok_or_else(|| invalid(kubeconfig, "no server".into()))?.to_owned(),
            certificate_authority: data("/clusters/0/cluster/certificate-authority")?,
            client_certificate: data("/users/0/user/client-certificate")?,
            client_key: data("/users/0/user/client-key")?,
        })
    }
}

/// The changes of a [`merge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MergeChange {
    /// Whether the file did not exist before.
    pub(crate) created: bool,
    /// Whether the file was written.
    pub(crate) changed: bool,
}

/// Returns the owner of the context with this name.
pub(crate) fn owner(path: &Path, name: &str) -> Result<ContextOwner> {
    match file::read(path)? {
        None => Ok(ContextOwner::Nobody),
        Some(text) => Ok(edit::owner(&parse(path, &text)?, name)),
    }
}

/// Adds or updates the entry. Sets the current context only if none of the user's files has one.
pub(crate) async fn merge(path: &Path, all: &[PathBuf], entry: &ContextEntry) -> Result<MergeChange> {
    if is_merged(path, entry)? {
        return Ok(MergeChange { created: false, changed: false });
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
    Ok(MergeChange { created: before.is_none(), changed: true })
}

/// Removes the context if handsctl wrote it. Deletes the file if handsctl `created` it and it has no other entry.
pub(crate) async fn remove(path: &Path, name: &str, created: bool) -> Result<()> {
    if owner(path, name)? != ContextOwner::Ours {
        return Ok(());
    }
    let lock = file::lock(path).await?;
    let Some(before) = file::read(path)? else { return Ok(()) };
    let after = edit::removed(&before, name).map_err(|cause| invalid(path, cause.into()))?;
    if created && edit::is_empty(&parse(path, &after)?) {
        file::delete(&lock)
    } else {
        file::replace(&lock, &after)
    }
}

fn is_merged(path: &Path, entry: &ContextEntry) -> Result<bool> {
    match file::read(path)? {
        None => Ok(false),
        Some(text) => Ok(edit::contains(&parse(path, &text)?, entry)),
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
