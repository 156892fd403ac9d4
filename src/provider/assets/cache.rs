//! The cache: one folder for each set, version, platform and way of getting it. A program appears in it in one step.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::pinned::Module;
use super::program::{Program, ProgramSet};
use super::release::Platform;
use crate::error::{Error, Result};

/// The cache of one set in one version.
#[derive(Debug, Clone)]
pub(super) struct CacheEntry {
    /// What is locked while something is added.
    pub(super) folder: PathBuf,
}

/// A folder of the cache that one way of getting programs fills.
#[derive(Debug, Clone)]
pub(super) struct CacheDir(pub(super) PathBuf);

impl CacheEntry {
    pub(super) fn new(cache: &Path, set: ProgramSet, version: &str, platform: Platform) -> Self {
        let name = format!("{set}-{version}-{}-{}", platform.os, platform.arch);
        Self { folder: cache.join("assets").join(name) }
    }

    /// What was downloaded.
    pub(super) fn released(&self) -> CacheDir {
        CacheDir(self.folder.join("release"))
    }

    /// What was built from exactly this module.
    pub(super) fn built(&self, module: Module) -> CacheDir {
        let mut hash = Sha256::new();
        hash.update(module.manifest);
        hash.update(module.sums);
        CacheDir(self.folder.join(format!("go-{}", &hex(&hash.finalize())[..12])))
    }
}

impl CacheDir {
    /// The file of a program; it is complete when it exists.
    pub(super) fn program(&self, program: Program) -> PathBuf {
        self.0.join(program.name())
    }

    /// Where a program is written to before it is complete. Only the holder of the shelf's lock does.
    pub(super) fn incomplete(&self, program: Program) -> PathBuf {
        self.0.join(format!(".{program}.incomplete"))
    }

    pub(super) fn make(&self) -> Result<()> {
        std::fs::create_dir_all(&self.0)
            .map_err(|error| Error::io(format!("cannot make {}", self.0.display()), error))
    }

    /// Turns what was written to [`Bin::incomplete`] into the program.
    pub(super) fn complete(&self, program: Program) -> Result<()> {
        let from = self.incomplete(program);
        let finish = || -> io::Result<()> {
            std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o755))?;
            // Otherwise a power cut could leave the name without the content.
            std::fs::File::open(&from)?.sync_all()?;
            std::fs::rename(&from, self.program(program))
        };
        finish().map_err(|error| Error::io(format!("cannot put {program} into {}", self.0.display()), error))
    }
}

/// Lowercase hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _a_string_never_fails = write!(text, "{byte:02x}");
        text
    })
}
