//! The user's editor: `VISUAL`, else `EDITOR`, else `vi`, as of git and kubectl.

use std::path::Path;

use tokio::process::Command;

use super::signals::ForegroundPrograms;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::reason;

/// The editor if no variable names one. POSIX requires it.
const DEFAULT: &str = "vi";

/// The user's editor.
pub(crate) struct Editor {
    /// A command of the shell, as git and kubectl read the variables: `code --wait`.
    command: String,
    foreground: ForegroundPrograms,
}

impl Editor {
    /// Chooses the editor by the environment. The default needs a terminal.
    ///
    /// # Errors
    /// Exit 14 if no variable names an editor and there is no terminal: the default would wait for ever.
    pub(crate) fn from_environment(has_terminal: bool) -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
        let named = set("VISUAL").or_else(|| set("EDITOR"));
        let default = has_terminal.then(|| DEFAULT.to_owned());
        let command = named.or(default).ok_or_else(unnamed)?;
        Ok(Self { command, foreground: ForegroundPrograms::new() })
    }

    /// Opens a file and waits until the editor ends.
    ///
    /// # Errors
    /// Exit 14 if the editor cannot be started or fails.
    pub(crate) async fn open(&self, file: &Path) -> Result<()> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{} \"$@\"", self.command)).arg(&self.command).arg(file);
        // `status` starts the program at once, so it is called only when Ctrl-C is for the program.
        let ended = self.foreground.run(async { command.status().await }).await;
        let status = ended.map_err(|error| self.failed(reason::of_io(&error)))?;
        if status.success() { Ok(()) } else { Err(self.failed(status.to_string())) }
    }

    fn failed(&self, cause: String) -> Error {
        let message = format!("the editor `{}` failed", self.command);
        Error::new(Id::EditorFailed, Kind::Prerequisite, message).caused_by(cause).hint(NAMING)
    }
}

/// The hint that names the editor.
const NAMING: &str = "the variable EDITOR names the editor: export EDITOR=nano";

/// Returns the error for an unnamed editor without a terminal.
fn unnamed() -> Error {
    let message = "no editor is named, and there is no terminal for vi";
    Error::new(Id::EditorFailed, Kind::Prerequisite, message)
        .hint(NAMING)
        .hint("handsctl config set KEY=VALUE changes a key without an editor")
}
