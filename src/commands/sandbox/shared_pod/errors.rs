//! Why the conversations of the application's pod are not available, as errors.

use crate::catalogue::Id;
use crate::cluster::app::keyed_request::KeyedRequestError;
use crate::error::{Error, Kind};
use crate::object::ObjectId;

/// The hint of an application that does not answer.
pub(super) const SHOWS_WHY: &str = "handsctl status shows why";

/// Returns the error of a request to the application. `action` is what could not be done; `keys` is the Secret with its key.
pub(super) fn of_request(error: KeyedRequestError, action: &str, keys: &ObjectId) -> Error {
    match error {
        KeyedRequestError::KeyRejected => {
            let message = format!("{action}: the application does not accept the key of {keys}");
            Error::new(Id::AppKeyRejected, Kind::Down, message).hint(
                "handsctl restart starts it again with the keys of the Secret, if they are those of its volume",
            )
        }
        KeyedRequestError::Forbidden(why) => {
            Error::new(Id::Forbidden, Kind::Forbidden, format!("{action}: {why}")).hint(
                "the account needs the verb create on pods/portforward, or the verbs of the request on services/proxy",
            )
        }
        KeyedRequestError::NotAnswered(why) => {
            let message = format!("{action}: the application does not answer: {why}");
            Error::new(Id::ProbeFailed, Kind::Down, message).hint(SHOWS_WHY)
        }
    }
}

/// Returns the error of an installation without a ready pod.
pub(super) fn no_ready_pod(name: &str, namespace: &str) -> Error {
    let message =
        format!("no pod of `{name}` in namespace {namespace} is ready, and it has the conversations");
    Error::new(Id::NotReady, Kind::Down, message).hint(SHOWS_WHY)
}

/// Returns the error of an installation whose Secret has no key for its API.
pub(super) fn no_keys(keys: &ObjectId) -> Error {
    let message =
        format!("{} does not hold the key that the application's API requires", keys.with_namespace());
    Error::new(Id::EncryptionKeyChanged, Kind::Prerequisite, message)
        .hint("put the Secret back from its backup, with its labels and its type")
}
