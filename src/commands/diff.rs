//! `diff`: shows the changes that a deploy would make, object by object, and who caused each. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::catalogue::Id;
use crate::cluster::diff::{self, DiffInput, ListedSet};
use crate::cluster::inspect::{self, ClusterState, SecretRights};
use crate::deploy::{prepare, replaced_images};
use crate::error::{Error, Kind, Result};
use crate::event::{Events, Finished};
use crate::flags::{Format, Global, parse_duration, parse_revision};
use crate::object::ObjectId;
use crate::object::kind::{KindInfo, SECRET};
use crate::phrase;
use crate::plan::changes::{ChangePolicy, Changes, Live};
use crate::plan::checks::secret_refs;
use crate::plan::diff::{self as plan_diff, Compared, DiffOutcome};
use crate::plan::goal::{Desired, Goal};
use crate::plan::inventory::restorable::RestoreTarget;
use crate::plan::manifests::extra_manifests;
use crate::plan::ownership::policy::Ownership;
use crate::plan::{self, Plan, SecretNaming, rejection_words};
use crate::report::{DiffBasis, DiffReport, ReadingProgress, Streams, Written};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::long_calls::read_until;
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;
use crate::settings::Settings;
use crate::settings::secrets::value::SecretSource;

/// Show what deploy would change
///
/// Exit code 0: no differences; 1: differences; 8: the API server would reject one; another: an error.
///
/// With --revision: what `rollback` to that revision would change, so the cluster against the revision. `history diff`
/// compares two revisions.
///
/// In order: read config.toml, inspect the cluster, send changed objects to the API server as a dry run, print the
/// differences. Nothing is changed. Each field names its cause: you, another manager (drift), or the server. Fields
/// that others added are listed, and are not a difference: deploy keeps them. Secret values are never shown. A new
/// object takes one line, except the application's configuration; `render` prints it in full. With read-only rights, or
/// without the value of a secret, the rest is compared, and the output lists what was not.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl diff\n  handsctl diff --revision 5\n  handsctl diff --set kubernetes.resource_memory_limit=4Gi\n  handsctl diff -o json | jq '.objects[].effects'\n  handsctl diff -o markdown | gh pr comment --body-file -"
)]
pub struct DiffArgs {
    /// Compare the cluster with this revision instead of config.toml: what `rollback` to it would change
    #[arg(long, value_name = "REVISION", value_parser = parse_revision)]
    pub revision: Option<u64>,
    /// As with deploy: also delete volumes that are no longer configured
    #[arg(long)]
    pub delete_data: bool,
    /// As with deploy: overwrite what others changed
    #[arg(long)]
    pub force_conflicts: bool,
    /// As with deploy: adopt existing objects of the same names
    #[arg(long)]
    pub adopt: bool,
    /// Time limit of the whole command [default: 5m]
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: DiffFormat,
}

/// The output format of `diff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Text for people.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Markdown for a comment on a pull request.
    Markdown,
}

impl DiffFormat {
    /// Returns the format that all commands share; None for one that only `diff` has.
    #[must_use]
    pub const fn format(self) -> Option<Format> {
        match self {
            Self::Table => Some(Format::Table),
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
            Self::Markdown => None,
        }
    }
}

/// Longer than for other commands that read: a dry run of each changed object may wait for admission webhooks.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Runs `diff`.
pub(crate) async fn run(global: &Global, arguments: &DiffArgs, streams: &Streams) -> anyhow::Result<u8> {
    let deadline = Deadline::of(arguments.timeout, TIMEOUT);
    // A rollback needs no value of the configuration.
    let secrets = if arguments.revision.is_some() { Secrets::Unneeded } else { Secrets::IfAvailable };
    let output = output_form(arguments.output.format());
    let progress = ReadingProgress::EventsOnly;
    let reading = ReadInvocation { global, command: "diff", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, secrets, streams).await?;
        cluster_session::report_config(&loaded, secrets, events).await;
        let session = Session::to_read(global, loaded, streams, deadline).await?;
        events.target("diff", session.target()).await;
        let comparison = compare(&session, arguments, events);
        let compared = read_until(deadline, &session, streams, comparison).await;
        let compared = compared.map_err(|error| session.with_credentials_hint(error))?;
        ensure_any_compared(&compared)?;
        let finished = finished(&compared);
        Ok(((session, compared), finished))
    };
    let (session, compared) = reading.run(work).await?;
    let report = DiffReport {
        context: &session.connection.choice.context,
        namespace: session.settings.deploy.namespace.as_str(),
        name: session.settings.deploy.name.as_str(),
        basis: DiffBasis::Cluster,
        compared: &compared,
        now: session.connection.api.clock().now(),
    };
    streams.diff_step_summary(&report);
    let written = match arguments.output {
        DiffFormat::Markdown => streams.diff_markdown(&report)?,
        DiffFormat::Table | DiffFormat::Json | DiffFormat::Yaml => streams.diff(&report, output)?,
    };
    if written == Written::Closed {
        return Ok(0);
    }
    let rejections = compared.iter().filter_map(|compared| compared.deploy_error.as_ref());
    for error in rejections {
        streams.error(error);
    }
    Ok(exit_code(&compared))
}

/// Returns the exit code: that of the first error of a deploy, else 1 for differences.
fn exit_code(compared: &[Compared]) -> u8 {
    let differs = compared.iter().any(|compared| compared.difference.outcome.is_difference());
    match compared.iter().find_map(|compared| compared.deploy_error.as_ref()) {
        Some(error) => error.kind().exit_code(),
        None if differs => Kind::Differences.exit_code(),
        None => 0,
    }
}

/// Returns the result for the last event.
fn finished(compared: &[Compared]) -> Finished {
    if let Some(error) = compared.iter().find_map(|compared| compared.deploy_error.as_ref()) {
        return Finished::of_error(error);
    }
    let differing = compared.iter().filter(|compared| compared.difference.outcome.is_difference()).count();
    let message = match differing {
        0 => "no differences".to_owned(),
        _ => phrase::count(differing, "difference"),
    };
    Finished { exit: exit_code(compared), message, ..Finished::default() }
}

/// Without a right to list anything, "no differences" would be no answer.
///
/// # Errors
/// Exit 6 if no object was compared.
fn ensure_any_compared(compared: &[Compared]) -> Result<()> {
    let reason = |compared: &Compared| match &compared.difference.outcome {
        DiffOutcome::NotCompared(reason) => Some(reason.clone()),
        _ => None,
    };
    let Some(mut reasons) = compared.iter().map(reason).collect::<Option<Vec<_>>>() else { return Ok(()) };
    reasons.sort();
    reasons.dedup();
    if reasons.is_empty() {
        return Ok(());
    }
    let error = Error::new(Id::Forbidden, Kind::Forbidden, "cannot compare any object of the installation");
    Err(error.caused_by(reasons.join(", ")).hint("the ClusterRole view has the rights for most objects"))
}

async fn compare(session: &Session, arguments: &DiffArgs, events: &Events) -> Result<Vec<Compared>> {
    let api = &session.connection.api;
    let settings = &session.settings;
    session.server_version().await?;
    let goal = match arguments.revision {
        Some(number) => Goal::Revision(Some(number)),
        None => Goal::Configuration,
    };
    if goal == Goal::Configuration {
        extra_manifests::check(settings)?;
        session.warn_of_cluster_differences(events).await?;
    }
    let secrets = secret_refs::secret_refs(settings);
    let kinds = extra_manifests::unknown_kinds(settings);
    // A revision is a Secret.
    let rights = if goal == Goal::Configuration { SecretRights::Optional } else { SecretRights::Needed };
    let mut state = inspect::inspect_with(api, &session.set(), &secrets, &kinds, rights, events).await?;
    state.warn_of_incomplete_secrets(events).await;
    let desired = prepare::desired(settings, goal, &state)?;
    state.set.extra_kinds.extend(extra_kinds(&desired));
    let listed = diff::list_set(api, &state.set).await?;
    let (plan, not_compared) = planned(desired, session, &state, &listed)?;
    warn_of_unlisted(&listed, &plan, events).await;
    let policy = change_policy(settings, arguments);
    let referenced = if state.secrets_listed {
        listed.referenced_names(policy.revision_history)
    } else {
        events
            .warn(Id::Forbidden, "no right to list secrets: unused ConfigMaps and Secrets are not shown")
            .await;
        listed.member_names()
    };
    let live = Live {
        members: &listed.live,
        parent: state.parent.as_ref(),
        history: &state.history,
        key_is_stored: state.key.stored,
        referenced: &referenced,
    };
    let changes = Changes::between(plan, live, &policy);
    if let Some(followers) = listed.followers().filter(|_| changes.stopping.is_empty()) {
        replaced_images::warn(session, followers, events).await;
    }
    let input = DiffInput {
        changes: &changes,
        listed: &listed,
        missing_namespaces: &state.missing_namespaces(),
        not_compared: &not_compared,
        ownership: &policy.ownership,
    };
    let compared = diff::compare(api, input, events).await?;
    Ok(compared.into_iter().map(|compared| explained(compared, settings)).collect())
}

/// Returns the comparison with its rejection as `deploy` reports it: in words, with the keys that cause it.
fn explained(compared: Compared, settings: &Settings) -> Compared {
    let deploy_error = compared.deploy_error.map(|error| rejection_words::explained(error, settings));
    Compared { deploy_error, ..compared }
}

/// Returns the kinds of the desired objects that not every installation has.
fn extra_kinds(desired: &Desired) -> BTreeSet<KindInfo> {
    match desired {
        Desired::Configuration(plan) => plan.set.extra_kinds.clone(),
        Desired::Revision { .. } => desired.extra_kinds(),
    }
}

/// Returns the plan, and the members that cannot be compared, with the reasons.
///
/// # Errors
/// The revision cannot be restored.
fn planned(
    desired: Desired,
    session: &Session,
    state: &ClusterState,
    listed: &ListedSet,
) -> Result<(Plan, BTreeMap<ObjectId, String>)> {
    match desired {
        Desired::Configuration(plan) => without_unknown_secrets(plan, &session.settings, state, listed),
        Desired::Revision { number, .. } => {
            let configured = session.set();
            let target = RestoreTarget { set: &state.set, configured: &configured, live: &listed.live };
            let plan = desired.into_plan(target);
            let plan = plan.map_err(|error| prepare::restore_error(number, error, &state.set))?;
            Ok((plan, BTreeMap::new()))
        }
    }
}

/// Returns the plan with the names and versions of the live Deployment in place of those that depend on unknown
/// Secrets, and the members that cannot be compared, with the reasons.
fn without_unknown_secrets(
    plan: Plan,
    settings: &Settings,
    state: &ClusterState,
    listed: &ListedSet,
) -> Result<(Plan, BTreeMap<ObjectId, String>)> {
    let reason = reason_not_to_compare_secret(settings, state);
    if reason.is_none() && state.unreadable_secrets.is_empty() {
        return Ok((plan, BTreeMap::new()));
    }
    let mut versions = state.secret_versions.clone();
    versions.extend(plan_diff::recorded_versions(&state.unreadable_secrets, &listed.live));
    let stem = format!("{}-env", state.set.name);
    let name = plan_diff::referenced_name(&stem, &listed.live).unwrap_or_else(|| format!("{stem}-unknown"));
    let naming = match reason {
        Some(_) => SecretNaming::Assumed { name: &name, versions: &versions },
        None => SecretNaming::Keyed { key: &state.key.key, versions: &versions },
    };
    let plan = plan::build(settings, naming, &state.kinds)?;
    let secret = SECRET.id(&state.set.namespace, &name);
    let not_compared = reason.into_iter().map(|reason| (secret.clone(), reason)).collect();
    Ok((plan, not_compared))
}

/// Returns the reason why the set's own Secret cannot be compared; `None` if it can, or if the set has none.
fn reason_not_to_compare_secret(settings: &Settings, state: &ClusterState) -> Option<String> {
    let has_own = |(_, source): (&str, &SecretSource)| !matches!(source, SecretSource::Reference { .. });
    if !state.secrets_listed && settings.sources().any(has_own) {
        return Some("no right to list secrets".to_owned());
    }
    let unread = settings.sources().filter_map(|(_, source)| match source {
        SecretSource::NotRead(_) => Some(source.to_string()),
        SecretSource::Value(_) | SecretSource::Placeholder | SecretSource::Reference { .. } => None,
    });
    let unread: BTreeSet<String> = unread.collect();
    let unread: Vec<&str> = unread.iter().map(String::as_str).collect();
    (!unread.is_empty()).then(|| format!("no value for {}", unread.join(", ")))
}

/// Returns the policy of a deploy with the same flags.
fn change_policy(settings: &Settings, arguments: &DiffArgs) -> ChangePolicy {
    let deploy = &settings.deploy;
    ChangePolicy {
        ownership: Ownership::new(&deploy.ownership, arguments.force_conflicts, arguments.adopt),
        revision_history: deploy.revision_history as usize,
        delete_data: arguments.delete_data,
        changes_edition: false,
        waits: true,
    }
}

async fn warn_of_unlisted(listed: &ListedSet, plan: &Plan, events: &Events) {
    for plural in listed.unlisted_kinds(plan) {
        let message = format!(
            "no right to list {plural}: those that an earlier configuration left behind are not shown"
        );
        events.warn(Id::Forbidden, message).await;
    }
    if !listed.followers_listed() {
        let message = "no right to list pods and replicasets: unused ConfigMaps and Secrets are not shown";
        events.warn(Id::Forbidden, message).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::SERVICE;
    use crate::plan::diff::Difference;

    #[test]
    fn nothing_compared_exits_6() {
        let compared = |outcome| Compared::from(Difference::new(SERVICE.id("n", "oh"), outcome));
        let not_compared = || compared(DiffOutcome::NotCompared("no right to list services".into()));
        let error = ensure_any_compared(&[not_compared(), not_compared()]).err().unwrap();
        assert_eq!(
            (error.kind(), error.causes()),
            (Kind::Forbidden, vec!["no right to list services".to_owned()])
        );
        ensure_any_compared(&[not_compared(), compared(DiffOutcome::Unchanged)]).unwrap();
        ensure_any_compared(&[]).unwrap();
    }
}
