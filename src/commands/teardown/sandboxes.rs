//! The sandboxes that `teardown --sandboxes` deletes with the installation.

use crate::catalogue::Id;
use crate::cluster::access::{access_review, rules};
use crate::cluster::app::sandbox_objects::{self, OtherApplications};
use crate::cluster::sandbox_teardown::{self, SandboxTeardown, SandboxTeardownResult};
use crate::cluster::teardown::TeardownOptions;
use crate::commands::sandbox::others;
use crate::commands::sandbox::read::{self, AppAnswers};
use crate::error::Result;
use crate::object::ObjectId;
use crate::phrase;
use crate::session::runner::Run;
use crate::status::sandbox::{self, GarbageOptions};

/// The sandboxes to delete, as they are found before the question.
pub(super) struct Sandboxes {
    pub(super) namespace: String,
    options: GarbageOptions,
    answers: AppAnswers,
    conversations: usize,
    objects: Vec<ObjectId>,
}

/// Finds the sandboxes. The application is asked about them only if another application may have some in the same namespace.
///
/// # Errors
/// Exit 6 if the account may not delete them.
pub(super) async fn read(run: &Run<'_>, delete_data: bool) -> Result<Sandboxes> {
    let namespace = run.settings().runtime_namespace();
    access_review::check(run.api(), &rules::for_sandbox_teardown(namespace, delete_data)).await?;
    let listing = sandbox_objects::list(run.api(), namespace).await?;
    let conversations = sandbox::conversations(&listing.objects);
    let ids: Vec<&str> = conversations.iter().map(|conversation| conversation.id).collect();
    let may_be_of_others = if ids.is_empty() {
        // Those that another application creates from now on are not deleted either.
        let others =
            sandbox_objects::other_applications(run.api(), namespace, run.settings().deploy.name.as_str());
        others.await? != OtherApplications::None
    } else {
        others::report(run, namespace, "deleted").await?
    };
    let answers =
        if may_be_of_others { read::ask(run.session, &ids, usize::MAX).await } else { AppAnswers::default() };
    if let Some(why) = &answers.why_unclear {
        let message = format!(
            "the application did not answer which conversations it knows, so the sandboxes of the others are kept: {why}"
        );
        run.events().warn(Id::ProbeFailed, message).await;
    }
    let options = GarbageOptions { delete_data, may_be_of_others };
    let removal = sandbox::removal(&conversations, |id| answers.knowledge(id), options);
    let deleted = &removal.deleted;
    let conversations = deleted.chunk_by(|one, next| one.conversation == next.conversation).count();
    let id = |part, object| sandbox_objects::id_of(part, namespace, object);
    let objects = deleted.iter().map(|object| id(object.part, object.object)).collect();
    Ok(Sandboxes { namespace: namespace.to_owned(), options, answers, conversations, objects })
}

impl Sandboxes {
    /// Whether nothing will be deleted.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Describes them for the question; `most`: how many objects it names.
    pub(super) fn describe(&self, most: usize) -> String {
        let conversations = phrase::count(self.conversations, "conversation");
        let (sandboxes, their) =
            if self.conversations == 1 { ("sandbox", "its") } else { ("sandboxes", "their") };
        let files = if self.options.delete_data { format!(" with {their} files") } else { String::new() };
        let objects = phrase::first_few(self.objects.iter(), most);
        format!("the {sandboxes} of {conversations} in namespace {}{files}: {objects}", self.namespace)
    }

    /// Deletes them, with those that the application has created since they were read.
    ///
    /// # Errors
    /// Exit 10 if an object is not gone in time.
    pub(super) async fn delete(
        &self,
        run: &Run<'_>,
        options: TeardownOptions,
    ) -> Result<SandboxTeardownResult> {
        let sandboxes = SandboxTeardown {
            namespace: &self.namespace,
            options: self.options,
            knowledge: |id: &str| self.answers.knowledge(id),
        };
        sandbox_teardown::teardown(run.api(), &sandboxes, options, run.events()).await
    }
}
