//! The cache of programs: one folder for each set, version, platform and origin (download or build). A program appears
//! in it atomically.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base16ct::lower;
use sha2::{Digest as _, Sha256};

use super::pinned::Module;
use super::program::{Program, ProgramSet};
use super::release::Platform;
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::provider::private_file;

/// The cache folder of one set in one version.
#[derive(Debug, Clone)]
pub(super) struct CacheEntry {
    /// The folder, which is locked while a program is added.
    pub(super) folder: PathBuf,
}

/// The programs of one origin in a cache entry.
#[derive(Debug, Clone)]
pub(super) struct CacheDir(pub(super) PathBuf);

impl CacheEntry {
    pub(super) fn new(cache: &Path, set: ProgramSet, version: &str, platform: Platform) -> Self {
        let name = format!("{set}-{version}-{}-{}", platform.os, platform.arch);
        Self { folder: cache.join("assets").join(name) }
    }

    /// Returns the folder of the downloaded programs.
    pub(super) fn released(&self) -> CacheDir {
        CacheDir(self.folder.join("release"))
    }

    /// Returns the folder of the programs that were built from exactly this module.
    pub(super) fn built(&self, module: Module) -> CacheDir {
        let mut hash = Sha256::new();
        hash.update(module.manifest);
        hash.update(module.sums);
        CacheDir(self.folder.join(format!("go-{}", &lower::encode_string(&hash.finalize())[..12])))
    }
}

impl CacheDir {
    /// Returns the path of a program. If the file exists, it is complete.
    pub(super) fn program(&self, program: Program) -> PathBuf {
        self.0.join(program.name())
    }

    /// Returns the path of an incomplete program. Only the holder of the entry's lock writes to it.
    pub(super) fn incomplete(&self, program: Program) -> PathBuf {
        self.0.join(format!(".{program}.incomplete"))
    }

    pub(super) fn create(&self) -> Result<()> {
        private_file::folder(&self.0)
            .map_err(|error| Error::file(format!("cannot create {}", self.0.display()), error))
    }

    /// Renames the file at [`CacheDir::incomplete`] to the program.
    pub(super) fn complete(&self, program: Program) -> Result<()> {
        let from = self.incomplete(program);
        let finish = || -> io::Result<()> {
            std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o755))?;
            // Without the sync, a power failure could leave an empty file under the final name.
            std::fs::File::open(&from)?.sync_all()?;
            std::fs::rename(&from, self.program(program))
        };
        finish()
            .map_err(|error| Error::file(format!("cannot write {program} to {}", self.0.display()), error))
    }
}

/// Checks that nobody else can have changed the cached programs, which are run without another check of their content.
///
/// # Errors
/// `HC2010` if a program or its folder belongs to another user, or others may write to it.
pub(super) fn ensure_unchanged(folder: &Path, set: ProgramSet) -> Result<()> {
    let programs = set.programs().iter().map(|program| folder.join(program.name()));
    for path in std::iter::once(folder.to_owned()).chain(programs) {
        let reason = private_file::changeable_by_others(&path)
            .map_err(|error| Error::file(format!("cannot check {}", path.display()), error))?;
        if let Some(reason) = reason {
            let message =
                format!("cannot run {set} from the cache: others may have changed {}", path.display());
            return Err(Error::new(Id::AssetMissing, Kind::Prerequisite, message).caused_by(reason).hint(
                format!("rm -r {}  deletes it; the next run gets the programs again", folder.display()),
            ));
        }
    }
    Ok(())
}
