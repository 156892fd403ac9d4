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
            .map_err(|error| Error::file(format!("cannot read {}", kubeconfig.display()), error))?;
        let value = parse(kubeconfig, &text)?;
        let data = |pointer: &str| {
            if let Some(data) = value.pointer(&format!("{pointer}-data")).and_then(Value::as_str) {
                return Ok(data.to_owned());
            }
            let path = value.pointer(pointer).and_then(Value::as_str).map(PathBuf::from);
            let path = path.ok_or_else(|| invalid(kubeconfig, format!("no {pointer}").into()))?;
            let bytes = std::fs::read(&path)
                .map_err(|error| Error::file(format!("cannot read {}", path.display()), error))?;
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

/// Returns the server of the first cluster of a kubeconfig that handsctl has written; None: there is no such file, or it names none.
///
/// # Errors
/// The file cannot be read, or is not a kubeconfig.
pub(crate) fn server(path: &Path) -> Result<Option<String>> {
    let Some(text) = file::read_blocking(path)? else { return Ok(None) };
    let server = parse(path, &text)?.pointer("/clusters/0/cluster/server").cloned();
    Ok(server.and_then(|server| server.as_str().map(str::to_owned)))
}

/// Returns the owner of the context with this name.
pub(crate) async fn owner(path: &Path, name: &str) -> Result<ContextOwner> {
    match file::read(path).await? {
        None => Ok(ContextOwner::Nobody),
        Some(text) => Ok(edit::owner(&parse(path, &text)?, name)),
    }
}

/// Checks before a cluster is created whether its entry could be merged: `path` is not locked and can be written, and no
/// context of its name belongs to somebody else. Changes nothing.
///
/// # Errors
/// Exit 14 if the entry could not be merged.
pub(crate) async fn check(path: &Path, all: &[PathBuf], name: &str) -> Result<()> {
    for file in read_with(path, all) {
        if owner(file, name).await? == ContextOwner::Foreign {
            return Err(foreign_context(file, name));
        }
    }
    file::check_lock(path).await
}

/// Adds or updates the entry. Sets the current context only if none of the user's files has one. Changes nothing if the
/// context of its name leads to the same cluster, whoever wrote it.
///
/// # Errors
/// Exit 14 if a context, a cluster or a user of its name belongs to somebody else, also in another of the files that
/// kubectl reads together with `path`: the entry would hide it.
pub(crate) async fn merge(path: &Path, all: &[PathBuf], entry: &ContextEntry) -> Result<MergeChange> {
    if is_merged(path, entry).await? {
        return Ok(MergeChange { created: false, changed: false });
    }
    let mut make_current = true;
    for other in all {
        make_current &= !has_current(other).await?;
    }
    let lock = file::lock(path).await?;
    for file in read_with(path, all) {
        let config = file::read(file).await?.map_or(Ok(Value::Null), |text| parse(file, &text))?;
        if edit::owner(&config, &entry.name) != ContextOwner::Foreign {
            continue;
        }
        return if edit::leads_to_cluster(&config, entry) {
            Ok(MergeChange { created: false, changed: false })
        } else {
            Err(foreign_context(file, &entry.name))
        };
    }
    let before = file::read(path).await?;
    let after = edit::merged(before.as_deref().unwrap_or_default(), entry, make_current)
        .map_err(|cause| invalid(path, cause.into()))?;
    file::replace(&lock, &after)?;
    Ok(MergeChange { created: before.is_none(), changed: true })
}

/// Removes the context if handsctl wrote it. Deletes the file if handsctl `created` it and it has no other entry.
pub(crate) async fn remove(path: &Path, name: &str, created: bool) -> Result<()> {
    if owner(path, name).await? != ContextOwner::Ours {
        return Ok(());
    }
    let lock = file::lock(path).await?;
    // Another program may have replaced it before the lock was acquired.
    let Some(before) = file::read(path).await? else { return Ok(()) };
    if edit::owner(&parse(path, &before)?, name) != ContextOwner::Ours {
        return Ok(());
    }
    let after = edit::removed(&before, name).map_err(|cause| invalid(path, cause.into()))?;
    if created && edit::is_empty(&parse(path, &after)?) {
        file::delete(&lock)
    } else {
        file::replace(&lock, &after)
    }
}

/// Returns the files that kubectl reads together with this one; an explicit file is read alone.
fn read_with<'a>(path: &'a Path, all: &'a [PathBuf]) -> Vec<&'a Path> {
    let others = all.iter().map(PathBuf::as_path).filter(|other| *other != path);
    let is_one_of_all = all.iter().any(|file| file == path);
    std::iter::once(path).chain(others.filter(|_| is_one_of_all)).collect()
}

/// Returns the error for a context that handsctl did not write.
fn foreign_context(path: &Path, name: &str) -> Error {
    let message =
        format!("the kubeconfig {} has a context {name} that handsctl did not write", path.display());
    Error::new(Id::ForeignContext, Kind::Prerequisite, message)
        .hint(format!("kubectl config rename-context {name} NEW-NAME --kubeconfig {}", path.display()))
        .hint("another [cluster] name, or another file with --kubeconfig")
}

async fn is_merged(path: &Path, entry: &ContextEntry) -> Result<bool> {
    match file::read(path).await? {
        None => Ok(false),
        Some(text) => Ok(edit::contains(&parse(path, &text)?, entry)),
    }
}

async fn has_current(path: &Path) -> Result<bool> {
    match file::read(path).await? {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "kind-x";

    fn entry() -> ContextEntry {
        ContextEntry {
            name: NAME.to_owned(),
            provider: "kind",
            server: "https://127.0.0.1:20000".to_owned(),
            certificate_authority: "Q0E=".to_owned(),
            client_certificate: "Q0VSVA==".to_owned(),
            client_key: "S0VZ".to_owned(),
        }
    }

    /// A kubeconfig of somebody else whose context has our name.
    fn foreign(server: &str, authority: &str) -> String {
        format!(
            "clusters:\n- name: {NAME}\n  cluster: {{server: '{server}', certificate-authority-data: {authority}}}\n\
             users:\n- name: {NAME}\n  user: {{token: theirs}}\n\
             contexts:\n- name: {NAME}\n  context: {{cluster: {NAME}, user: {NAME}}}\n"
        )
    }

    /// The kubeconfigs of a folder: `a` is merged into, `b` is read with it.
    fn files(folder: &Path, a: &str, b: &str) -> Vec<PathBuf> {
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            if !text.is_empty() {
                std::fs::write(&path, text).unwrap();
            }
            path
        };
        vec![file("a", a), file("b", b)]
    }

    #[tokio::test]
    async fn context_cluster_or_user_of_somebody_else_is_kept() {
        let user = format!("users:\n- name: {NAME}\n  user: {{token: theirs}}\n");
        let cluster = format!("clusters:\n- name: {NAME}\n  cluster: {{server: 'https://prod'}}\n");
        for theirs in
            [foreign("https://prod", "Q0E="), foreign("https://127.0.0.1:20000", "T1RIRVI="), user, cluster]
        {
            for [a, b] in [[theirs.as_str(), ""], ["", theirs.as_str()]] {
                let folder = tempfile::tempdir().unwrap();
                let all = files(folder.path(), a, b);
                let error = merge(&all[0], &all, &entry()).await.unwrap_err();
                assert_eq!((error.id(), error.kind().exit_code()), (Id::ForeignContext, 14), "{theirs}");
                let error = check(&all[0], &all, NAME).await.unwrap_err();
                assert_eq!(error.id(), Id::ForeignContext);
                let unchanged = files(folder.path(), "", "");
                let text = |path: &Path| file::read_blocking(path).unwrap().unwrap_or_default();
                assert_eq!([text(&unchanged[0]).as_str(), text(&unchanged[1]).as_str()], [a, b]);
            }
        }
    }

    #[tokio::test]
    async fn explicit_file_is_merged_beside_foreign_contexts_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let all = files(folder.path(), "", &foreign("https://prod", "Q0E="));
        let explicit = folder.path().join("explicit");
        check(&explicit, &all, NAME).await.unwrap();
        assert!(merge(&explicit, &all, &entry()).await.unwrap().created);
    }

    #[tokio::test]
    async fn context_that_kind_exported_again_is_kept_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let exported = foreign("https://127.0.0.1:20000", "Q0E=");
        let all = files(folder.path(), &exported, "");
        let change = merge(&all[0], &all, &entry()).await.unwrap();
        assert_eq!(change, MergeChange { created: false, changed: false });
        remove(&all[0], NAME, false).await.unwrap();
        assert_eq!(std::fs::read_to_string(&all[0]).unwrap(), exported);
    }

    #[tokio::test]
    async fn context_replaced_before_the_lock_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let all = files(folder.path(), "", "");
        merge(&all[0], &all, &entry()).await.unwrap();
        let theirs = foreign("https://prod", "Q0E=");
        let held = file::lock(&all[0]).await.unwrap();
        let replaced = async {
            tokio::task::yield_now().await;
            file::replace(&held, &theirs).unwrap();
            drop(held);
        };
        let (removed, ()) = tokio::join!(remove(&all[0], NAME, true), replaced);
        removed.unwrap();
        assert_eq!(std::fs::read_to_string(&all[0]).unwrap(), theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn stale_lock_is_found_by_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let all = files(folder.path(), "kind: Config\n", "");
        let stale = folder.path().join("a.lock");
        std::fs::write(&stale, "").unwrap();
        let error = check(&all[0], &all, NAME).await.unwrap_err();
        assert_eq!(error.kind().exit_code(), 14);
        assert!(format!("{error:?}").contains("a.lock"), "{error:?}");
        std::fs::remove_file(&stale).unwrap();
        check(&all[0], &all, NAME).await.unwrap();
        assert!(!stale.exists());
        // Nothing is created for a kubeconfig whose folder does not exist yet.
        check(&folder.path().join("new/config"), &[], NAME).await.unwrap();
        assert!(!folder.path().join("new").exists());
    }

    #[tokio::test]
    async fn unusable_kubeconfig_is_found_by_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let all = files(folder.path(), "- a list\n", "");
        assert_eq!(check(&all[0], &all, NAME).await.unwrap_err().id(), Id::KubeconfigInvalid);
        let file = folder.path().join("b");
        std::fs::write(&file, "").unwrap();
        // A file is where the folder would be.
        assert!(check(&file.join("config"), &[], NAME).await.is_err());
        assert!(check(folder.path(), &[], NAME).await.is_err());
    }
}
