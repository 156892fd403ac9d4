//! Hides the keys of the application, which it may log, in every output of a command that quotes its logs.

use super::cluster_session::Session;
use crate::cluster::apply::app_keys;
use crate::error::{Kind, Result};
use crate::plan::inventory::app_keys::{AppKeys, StoredAppKeys};

/// Reads the keys of the installation and hides them from now on; None if there are none. An account that may not read them
/// gets the logs as they are, as with kubectl.
///
/// # Errors
/// The server does not respond.
pub(crate) async fn read_and_hide(session: &Session) -> Result<Option<AppKeys>> {
    match app_keys::read(&session.connection.api, &session.set()).await {
        Ok(StoredAppKeys::Keys(keys)) => {
            hide(session, &keys);
            Ok(Some(keys))
        }
        Ok(StoredAppKeys::Absent | StoredAppKeys::Invalid) => Ok(None),
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::Ownership) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Hides these keys from now on.
pub(crate) fn hide(session: &Session, keys: &AppKeys) {
    session.connection.secrets.extend(keys.mask());
}
