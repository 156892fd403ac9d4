//! Whether an application is deployed that can read the state of a backup. Pure.

use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};

/// Adds to the error for an application that is not deployed how to deploy it.
pub(super) fn with_deploy_hint(error: Error) -> Error {
    if error.kind() == Kind::Down {
        error.hint("handsctl deploy creates the installation with an empty volume")
    } else {
        error
    }
}

/// Refuses the state of a newer application.
///
/// # Errors
/// Exit 2 with both versions.
pub(super) fn ensure_not_newer(
    saved: Option<(u32, u32)>,
    image: &str,
    deployed: Option<(u32, u32)>,
) -> Result<()> {
    let (Some(saved), Some(deployed)) = (saved, deployed) else { return Ok(()) };
    if saved <= deployed {
        return Ok(());
    }
    let version = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    let (saved, deployed) = (version(saved), version(deployed));
    let message = format!(
        "the backup is of OpenHands {saved}, and {deployed} is deployed: it may not be able to read newer data; \
         nothing was changed"
    );
    Err(Error::new(Id::VersionDowngrade, Kind::Usage, message)
        .hint(format!("handsctl deploy --set 'deploy.image=\"{image}\"' deploys the version of the backup")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_newer_application_is_refused() {
        for (saved, deployed, is_accepted) in [
            (Some((0, 59)), Some((0, 59)), true),
            (Some((0, 59)), Some((1, 6)), true),
            (Some((1, 6)), Some((0, 59)), false),
            (Some((0, 60)), Some((0, 59)), false),
            (Some((0, 9)), Some((0, 59)), true),
            (None, Some((0, 59)), true),
            (Some((1, 6)), None, true),
        ] {
            let result = ensure_not_newer(saved, "a/openhands:x", deployed);
            assert_eq!(result.is_ok(), is_accepted, "{saved:?} into {deployed:?}");
        }
        let error = ensure_not_newer(Some((1, 6)), "a/openhands:x", Some((0, 59))).unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::VersionDowngrade, Kind::Usage));
        assert!(error.hints()[0].contains("a/openhands:x"), "{:?}", error.hints());
    }
}
