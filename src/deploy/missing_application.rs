//! Explains to a command that needs the application why there is none.

use crate::catalogue::Id;
use crate::cluster::watch::deployed;
use crate::error::{Error, Kind};
use crate::plan::inventory::first_deploy::DeployProgress;
use crate::session::cluster_session::Session;

/// Returns the error for a missing Deployment. `action` is "nothing to restart". Without the right to read the
/// installation's record, only that it does not exist is known.
pub(crate) async fn error(session: &Session, action: &str) -> Error {
    let set = session.set();
    let record = deployed::read_record(&session.connection.api, &set).await.ok();
    let (revisions, parent) =
        record.map_or_else(Default::default, |record| (record.revisions.unwrap_or_default(), record.parent));
    let progress = DeployProgress::new(&revisions, parent.as_ref());
    let (name, namespace) = (&set.name, &set.namespace);
    let message = match (progress, progress.unfinished_text()) {
        (_, Some(text)) => format!("{action}: `{name}` in namespace {namespace} has no Deployment; {text}"),
        (DeployProgress::Finished, None) => {
            format!("{action}: the Deployment of `{name}` in namespace {namespace} does not exist any more")
        }
        (_, None) => format!("{action}: there is no installation `{name}` in namespace {namespace}"),
    };
    let error = Error::new(Id::NothingDeployed, Kind::Down, message);
    progress.next_commands().into_iter().fold(error, Error::hint)
}
