//! How one container is.

use super::fault::Symptom;

/// What a container is for in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It must end well before the next one starts.
    Init,
    /// It must run: a main container, or an init container with `restartPolicy: Always`.
    Runs,
    /// It must run to its end: a Job's. The Job counts its failures.
    Completes,
}

/// How a container is.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// As it should be.
    Fine,
    /// On its way; the gap in few words.
    Coming(String),
    /// Faulty.
    Faulty(Box<Symptom>),
}

impl From<Symptom> for Outlook {
    fn from(symptom: Symptom) -> Self {
        Self::Faulty(Box::new(symptom))
    }
}
