//! The config file that `config set` and `config edit` change: read, check of an edit, replacement.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::cluster_session::{request, variables};
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Kind, Result};
use crate::flags::Global;
use crate::phrase;
use crate::provider::replace_file;
use crate::report::Streams;
use crate::settings::{
    added_diagnostics, config_files, overridden_keys, read_checking_secrets, read_without_secrets,
};

/// A config file as it was read.
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
}

/// What an edit changes about the diagnostics of the configuration.
pub(crate) struct EditCheck {
    /// Errors that the configuration did not have before.
    pub(crate) errors: Vec<Diagnostic>,
    /// Warnings that it did not have before.
    pub(crate) warnings: Vec<Diagnostic>,
    /// The number of errors that it had before and still has.
    pub(crate) remaining: usize,
}

impl ConfigFile {
    /// Reads the one config file of the command line, the environment or the folder.
    ///
    /// # Errors
    /// Exit 2 if there are several, exit 3 if there is none or it cannot be read.
    pub(crate) fn read(global: &Global) -> Result<Self> {
        let (mut files, _) = config_files(&global.config, &variables());
        let (Some(path), true) = (files.pop(), files.is_empty()) else {
            let message = format!(
                "there are {}, and the command changes one",
                phrase::count(files.len() + 1, "config file")
            );
            return Err(Error::new(Id::Usage, Kind::Usage, message).hint("--config FILE names one"));
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) => {
                let is_missing = error.kind() == ErrorKind::NotFound;
                let message = format!("cannot read {}", path.display());
                let error = Error::new(Id::ConfigUnreadable, Kind::Config, message).caused_by(error);
                Err(if is_missing { error.hint("handsctl config init writes one") } else { error })
            }
        }
    }

    /// Returns the content.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the path as the user wrote it.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Checks an edited text of the file with each `KEY=VALUE` of `set` over it, as `config check` does.
    pub(crate) fn check(&self, global: &Global, text: &str, set: &[String], streams: &Streams) -> EditCheck {
        let before = self.diagnostics(global, &self.text, &[], streams);
        let after = self.diagnostics(global, text, set, streams);
        let errors = |all: &[Diagnostic]| all.iter().filter(|one| one.severity == Severity::Error).count();
        let all = errors(&after);
        let (errors, warnings): (Vec<_>, Vec<_>) = added_diagnostics(&before, after)
            .into_iter()
            .partition(|diagnostic| diagnostic.severity == Severity::Error);
        EditCheck { remaining: all - errors.len(), errors, warnings }
    }

    fn diagnostics(&self, global: &Global, text: &str, set: &[String], streams: &Streams) -> Vec<Diagnostic> {
        let mut request = request(global);
        request.files = vec![self.path.clone()];
        request.edited = Some((self.path.clone(), text.to_owned()));
        request.set = set.to_vec();
        match read_checking_secrets(&request, &variables(), Path::new(".")) {
            Ok(loaded) => {
                streams.hide(loaded.settings.known_secrets());
                loaded.warnings
            }
            Err(error) => error.diagnostics().to_vec(),
        }
    }

    /// Returns a warning for each of these keys that has no effect in the written file, because a variable or another key
    /// overrides it.
    pub(crate) fn overridden(&self, global: &Global, keys: &[String], text: &str) -> Vec<Diagnostic> {
        let mut request = request(global);
        request.files = vec![self.path.clone()];
        request.edited = Some((self.path.clone(), text.to_owned()));
        // Errors that the file had before are reported already.
        let Ok(loaded) = read_without_secrets(&request, &variables(), Path::new(".")) else {
            return Vec::new();
        };
        overridden_keys(&loaded.settings, keys)
            .into_iter()
            .map(|overridden| Diagnostic {
                id: Id::Overridden,
                severity: Severity::Warning,
                message: overridden.to_string(),
                location: None,
                label: String::new(),
                masked: false,
            })
            .collect()
    }

    /// Returns the error of an edit with new mistakes, which is not written.
    pub(crate) fn rejected(&self, errors: Vec<Diagnostic>) -> Error {
        let message = format!("{} was not changed: {}", self.name(), phrase::count(errors.len(), "error"));
        Error::config(message, errors)
    }

    /// Replaces the content atomically and keeps the mode of the file.
    ///
    /// # Errors
    /// Somebody else changed the file meanwhile, or it cannot be written.
    pub(crate) fn replace(&self, text: &str) -> Result<()> {
        let name = self.name();
        match std::fs::read_to_string(&self.path) {
            Ok(now) if now == self.text => {}
            _ => {
                let message = format!("{name} was not changed: another program changed it meanwhile");
                return Err(Error::new(Id::ConfigUnreadable, Kind::Config, message));
            }
        }
        replace_file(&self.path, text).map_err(|error| Error::file(format!("cannot write {name}"), error))
    }
}
