//! `image load`: brings images of this computer's container engine to the nodes of a kind cluster.

use std::time::Duration;

use super::count;
use crate::catalogue::Id;
use crate::cli::{Global, ImageArgs};
use crate::commands::run::{self, Deadline};
use crate::commands::session::{self, Session};
use crate::error::{Error, Kind};
use crate::event::{Event, Finished};
use crate::plan::pull;
use crate::provider::kind::{Brought, Pick};
use crate::provider::{self, Environment};
use crate::report::Streams;
use crate::settings::Settings;

const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Runs `image load`.
pub(super) async fn run(global: &Global, arguments: &ImageArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::after(arguments.timeout.unwrap_or(TIMEOUT));
    run::run(global, "image load", arguments.output, streams, deadline, |events, _| async move {
        let loaded = session::load_without_secrets(global)?;
        session::tell(&loaded, &events).await;
        let session = Session::to_change(global, loaded, streams).await?;
        let context = &session.connection.choice.context;
        let target = format!("nodes of {context}");
        events.send(Event::Started { command: "image load".to_owned(), target }).await;
        let cluster = provider::kind_cluster(context).ok_or_else(|| no_kind_cluster(context))?;
        let pick = pick(&arguments.images, &session.settings);
        let brought = provider::load_images(&Environment::read()?, cluster, &pick, &events).await?;
        Ok(Finished { message: message(&brought), ..Finished::default() })
    })
    .await
}

/// What was named, else what of the configuration's images is there.
fn pick(named: &[String], settings: &Settings) -> Pick {
    if named.is_empty() {
        Pick::Present(pull::sources(settings).into_iter().map(|source| source.image).collect())
    } else {
        Pick::Named(named.to_vec())
    }
}

fn message(brought: &[Brought]) -> String {
    let with = |test: fn(&Brought) -> bool| brought.iter().filter(|it| test(it)).count();
    let loaded = with(|it| it.nodes.is_some_and(|nodes| nodes.loaded > 0));
    let had = with(|it| it.nodes.is_some_and(|nodes| nodes.loaded == 0));
    let absent = with(|it| it.nodes.is_none());
    let first =
        if loaded > 0 { format!("{} loaded", count(loaded, "image")) } else { "nothing to load".to_owned() };
    let mut parts = vec![first];
    if had > 0 {
        parts.push(format!("{} there before", count(had, "image")));
    }
    if absent > 0 {
        parts.push(format!("{} not on this computer: handsctl image pull", count(absent, "image")));
    }
    parts.join(", ")
}

fn no_kind_cluster(context: &str) -> Error {
    let message =
        format!("context {context} is no kind cluster: its nodes are no containers of this computer");
    Error::new(Id::NoNodesHere, Kind::Prerequisite, message)
        .hint("handsctl image pull has the nodes pull the images themselves")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::kind::Nodes;

    #[test]
    fn what_came_of_it_in_words() {
        let brought = |nodes| Brought { image: String::new(), nodes };
        let loaded = brought(Some(Nodes { loaded: 1, had: 1 }));
        let had = brought(Some(Nodes { loaded: 0, had: 2 }));
        assert_eq!(message(std::slice::from_ref(&had)), "nothing to load, 1 image there before");
        assert_eq!(message(std::slice::from_ref(&loaded)), "1 image loaded");
        assert_eq!(
            message(&[loaded.clone(), loaded, had, brought(None)]),
            "2 images loaded, 1 image there before, 1 image not on this computer: handsctl image pull"
        );
    }
}
