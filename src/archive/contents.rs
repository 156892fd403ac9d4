//! What a volume holds, from the names of its files.

use std::collections::BTreeSet;

use crate::phrase;

/// Files that begin with this are handsctl's own: those of an unfinished restore.
const OWN_PREFIX: &str = ".handsctl-";
/// The folder of the file system itself.
const LOST_AND_FOUND: &str = "lost+found";
/// Files that the application creates when it starts for the first time (seen with 0.59 and 1.6).
const GENERATED: &[&str] = &[".jwt_secret", "openhands.db"];
/// Files that `SQLite` keeps beside a database.
pub const DATABASE_FILES: &[&str] = &["-journal", "-wal", "-shm"];

/// Returns whether a file at the top of a volume belongs to neither the application nor a conversation.
#[must_use]
pub fn is_foreign(path: &str) -> bool {
    let top = path.split('/').next().unwrap_or_default();
    top == LOST_AND_FOUND || top.starts_with(OWN_PREFIX)
}

/// Describes the data of the application's volume: `settings and 3 conversations`; None if there is none. `paths` are the
/// paths of the first two levels.
#[must_use]
pub fn data_of_state<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (mut conversations, mut has_settings, mut others) = (0_usize, false, BTreeSet::new());
    for path in paths.into_iter().filter(|path| !path.is_empty() && !is_foreign(path)) {
        match path.split_once('/') {
            Some(("sessions", _)) => conversations += 1,
            None if path == "settings.json" || path == "secrets.json" => has_settings = true,
            None if path == "sessions" || is_generated(path) => {}
            _ => {
                others.insert(path.split('/').next().unwrap_or_default());
            }
        }
    }
    let mut data = Vec::new();
    data.extend(has_settings.then(|| "settings".to_owned()));
    data.extend((conversations > 0).then(|| phrase::count(conversations, "conversation")));
    data.extend((!others.is_empty()).then(|| others.into_iter().collect::<Vec<_>>().join(", ")));
    (!data.is_empty()).then(|| data.join(" and "))
}

fn is_generated(path: &str) -> bool {
    GENERATED.iter().any(|name| {
        path.strip_prefix(name).is_some_and(|suffix| suffix.is_empty() || DATABASE_FILES.contains(&suffix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_first_start_is_no_data() {
        let fresh = [
            ".jwt_secret",
            "openhands.db",
            "openhands.db-wal",
            "lost+found",
            ".handsctl-restore",
            "sessions",
        ];
        assert_eq!(data_of_state(fresh), None);
        assert_eq!(data_of_state([]), None);
        for (paths, data) in [
            (&["settings.json"][..], "settings"),
            (&["sessions", "sessions/a", "sessions/b"], "2 conversations"),
            (&["secrets.json", "sessions/a"], "settings and 1 conversation"),
            (&["notes", "notes/a", "x.txt"], "notes, x.txt"),
            (&[".jwt_secret.old"], ".jwt_secret.old"),
        ] {
            assert_eq!(data_of_state(paths.iter().copied()).as_deref(), Some(data), "{paths:?}");
        }
    }
}
