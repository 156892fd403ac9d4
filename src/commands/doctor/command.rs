//! `doctor`: runs the checks and exits with the worst result.

use std::time::{Duration, Instant};

use clap::Args;

use super::examination::Examination;
use super::installation;
use super::output::{event, value};
use super::print::{text, totals};
use crate::command_line::RepeatedFlags;
use crate::commands::status;
use crate::doctor::check::{Category, Check, exit_code};
use crate::doctor::{configuration, examine};
use crate::error::Result;
use crate::event::{Event, Events, Finished};
use crate::flags::{Format, Global, ReadArgs};
use crate::report::{Output, ReadingProgress, Streams};
use crate::session::cluster_session::{self, Secrets, Session};
use crate::session::output::output_form;
use crate::session::reading::ReadInvocation;
use crate::session::step::Deadline;
use crate::settings::Loaded;

/// Check everything that a deploy of this configuration needs
///
/// Exit code 0: nothing to fix; 11: warnings; 12: the application is down; 14, or the code of the error: a check failed. What could not be checked
/// changes no exit code.
///
/// In order: read the configuration and its secrets, connect to the cluster, then check at the same time this computer,
/// the API server, the account's rights, storage, network, nodes, what sandboxes need and what is deployed, print each check, print each
/// problem with the command that fixes it. Nothing is changed; where a pod of the application runs, the command connects
/// from it to the API server and to the application's Service. Of Agent Canvas it loads the page without the key, and the
/// settings with it.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl doctor\n  handsctl doctor -o json | jq '.checks[] | select(.problem)'"
)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened into the flags of the command")]
    pub read: ReadArgs,
    /// Output format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
}

/// Runs `doctor`.
pub(crate) async fn run(global: &Global, arguments: &DoctorArgs, streams: &Streams) -> anyhow::Result<u8> {
    let began = Instant::now();
    let deadline = Deadline::of(arguments.read.timeout, ReadArgs::DEFAULT);
    let (progress, output) = (ReadingProgress::EventsOnly, output_form(Some(arguments.output)));
    let reading = ReadInvocation { global, command: "doctor", progress, deadline, output, streams };
    let work = async |events: &Events| {
        let loaded = cluster_session::load_until(deadline, global, Secrets::Checked, streams).await?;
        events.send(Event::Config { message: loaded.summary.clone() }).await;
        let examining = examine(global, loaded, streams, deadline);
        let Ok(examination) = tokio::time::timeout_at(deadline.at, examining).await else {
            return Err(deadline.passed(Some("not every check has ended")));
        };
        let mut examination = examination?;
        let flags = RepeatedFlags::new(global);
        let checks = std::mem::take(&mut examination.checks).into_iter();
        examination.checks = checks.map(|check| check.map_commands(|text| flags.insert_into(text))).collect();
        examination.checks.sort_by_key(|check| check.category);
        if let Some(target) = &examination.target {
            events.target("doctor", target.as_str()).await;
        }
        for check in &examination.checks {
            events.send(event(check)).await;
        }
        let (exit, message) = (exit_code(&examination.checks), totals(&examination.checks));
        Ok((examination, Finished { exit, message, ..Finished::default() }))
    };
    let mut examination = reading.run(work).await?;
    examination.took = began.elapsed();
    let exit = exit_code(&examination.checks);
    let _written = match output {
        Output::Human => streams.text(&text(&examination, streams))?,
        output => streams.result(&value(&examination), output)?,
    };
    Ok(exit)
}

async fn examine(
    global: &Global,
    loaded: Loaded,
    streams: &Streams,
    deadline: Deadline,
) -> Result<Examination> {
    let mut checks = configuration::checks(&loaded.summary, &loaded.warnings);
    let settings = loaded.settings.clone();
    let kubeconfig = global.kubeconfig.as_deref();
    let opened = Session::to_read(global, loaded, streams, deadline).await;
    let session = opened.as_ref().ok();
    let environment = cluster_session::read_environment();
    let concerns_computer = examine::concerns_computer(session, &settings);
    let computer = async {
        if concerns_computer {
            examine::computer(&environment, &settings, kubeconfig).await
        } else {
            Vec::new()
        }
    };
    let cluster = async {
        match session {
            Some(session) => Box::pin(examine::cluster(session)).await,
            None => Vec::new(),
        }
    };
    let installed = async {
        match session {
            Some(session) => installation_checks(session).await,
            None => Vec::new(),
        }
    };
    let (computer, cluster, installed) = tokio::join!(computer, cluster, installed);
    checks.extend(computer);
    checks.extend(cluster);
    checks.extend(installed);
    let (target, context, settings) = match opened {
        Ok(session) => {
            (Some(session.target()), Some(session.connection.choice.context.clone()), session.settings)
        }
        Err(error) => {
            checks.push(Check::failed(Category::Api, "cluster", error));
            (None, None, settings)
        }
    };
    Ok(Examination { target, context, settings, checks, took: Duration::ZERO })
}

async fn installation_checks(session: &Session) -> Vec<Check> {
    examine::within(Category::App, "installation", async {
        match Box::pin(status::read_judged(session, status::Drift::Noted)).await {
            Ok(report) => installation::checks(&report),
            Err(error) => installation::unjudged(error).into_iter().collect(),
        }
    })
    .await
}
