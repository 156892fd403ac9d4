//! The text of `docs/diagnosis.md`.

use std::fmt::Write as _;
use std::time::Duration;

use super::failures::Grace;
use super::peers::{CAP, PeerRun};
use super::{Ready, Row, median};

/// The longest text of a peer in the table.
const LONGEST: usize = 160;

const INTRODUCTION: &str = "\
# Diagnosis

What handsctl, `kubectl rollout status` and `helm upgrade --install --wait` report about the same failed rollout, and after
how long. The command that measures the figures also writes this page:

```sh
cargo bench --bench diagnosis              # prints the table
cargo bench --bench diagnosis -- --write   # and writes this page
```

";

const METHOD: &str = "
## How it is measured

- **Cluster.** A real kube-apiserver with etcd, scheduler and controllers on 2 cores, and simulated nodes (provider `kwok`), on
  which no container runs. Where a kubelet would report, the bench writes the same pod status or Event through the API.
  `tests/failures.rs` has every failure; the suite asserts id, evidence, setting and exit code of each.
- **The same failure twice.** `handsctl deploy` runs in one namespace with the grace periods of the default configuration. In
  another one `helm upgrade --install --wait --wait-for-jobs` deploys the output of `handsctl render`, and `kubectl rollout
  status` follows its Deployment from the moment when it exists.
- **Report → exit.** From the moment when a watch of the bench shows the object with the cause (a pod's status, an Event, a
  condition), until the process has ended. handsctl's figure is what remains after its *grace*, the documented time in which
  such a fault may heal: a key of `[deploy.tolerate]`, or a fixed time. Times in objects are whole seconds, so a grace may end up to
  one second early; such a figure is shown as 0.
- **The cap.** The peers run with `--timeout=60s`, so that the bench ends. Without it `kubectl rollout status` waits for the
  Deployment's progress deadline (10 minutes in this configuration) and helm for 5 minutes.
- **The claim.** Where the bench plays the kubelet, it also binds the pod to its node by hand, and nobody provisions the pod's
  volume. So helm's text names the claim beside the Deployment, for which it waits as well.
- **An application that does not answer** is reported by no kubelet: handsctl repeats its request for 1.5 s, and the figure is the
  time of these attempts.
- **What a peer does not follow.** `kubectl rollout status` follows one Deployment: a failed Job or an unbound claim beside it is
  not its subject.
";

/// Returns the page.
pub(crate) fn page(rows: &[Row], ready: &Ready, versions: &[String]) -> String {
    let mut text = INTRODUCTION.to_owned();
    let _infallible = writeln!(text, "Beside {}.\n\n{}", versions.join(", "), summary(rows, ready));
    text.push_str("## Failures\n\n");
    text.push_str("| failure | handsctl | names the setting | grace | report → exit | `kubectl rollout status` | `helm --wait` |\n");
    text.push_str("|---|---|---|---:|---:|---|---|\n");
    for row in rows {
        let diagnosis = &row.diagnosis;
        let setting = diagnosis.setting.as_deref().unwrap_or("–");
        let (grace, after) = match row.failure.grace {
            Grace::Timeout(seconds) => (format!("`--timeout {seconds}s`"), "at the timeout".to_owned()),
            Grace::None => ("–".to_owned(), seconds(diagnosis.after)),
            Grace::Key(..) | Grace::Fixed(_) => {
                (format!("{} s", diagnosis.grace.as_secs()), seconds(diagnosis.after))
            }
        };
        let _infallible = writeln!(
            text,
            "| {} | {}, exit {} | {setting} | {grace} | {after} | {} | {} |",
            row.failure.name,
            diagnosis.id,
            diagnosis.exit,
            cell(row.kubectl.as_ref()),
            cell(row.helm.as_ref()),
        );
    }
    text.push_str(METHOD);
    text
}

fn summary(rows: &[Row], ready: &Ready) -> String {
    let final_rows = || rows.iter().filter(|row| !matches!(row.failure.grace, Grace::Timeout(_)));
    let times: Vec<Duration> = final_rows().map(|row| row.diagnosis.after).collect();
    let longest = times.iter().max().copied().unwrap_or_default();
    let slow: Vec<&str> = final_rows()
        .filter(|row| row.diagnosis.after > Duration::from_secs(2))
        .map(|row| row.failure.name)
        .collect();
    let named = rows.iter().filter(|row| row.diagnosis.setting.is_some()).count();
    let count = |peer: usize, test: fn(&PeerRun) -> bool| {
        let runs = rows.iter().filter_map(|row| [&row.kubectl, &row.helm][peer].as_ref());
        runs.filter(|run| test(run)).count()
    };
    let (kubectl, helm) = (0, 1);
    let capped = |run: &PeerRun| run.is_capped && run.exit != 0;
    let good = |run: &PeerRun| run.exit == 0;
    let time = |time: Option<Duration>| time.map_or_else(|| "–".to_owned(), milliseconds);
    let missed =
        if slow.is_empty() { "met".to_owned() } else { format!("**missed** by: {}", slow.join("; ")) };
    let p4 = if ready.handsctl <= Duration::from_millis(100) { "met" } else { "**missed**" };
    format!(
        "- Of {total} failures handsctl names the setting of {named}; the others have none in `config.toml`.\n\
         - At the cap of {cap} s `kubectl rollout status` still waits for {kubectl_capped} of them and `helm --wait` for \
         {helm_capped}; they report success for {kubectl_good} and {helm_good}.\n\
         - **P5**, a report → exit with its cause in at most 2 s beyond the grace: median {median}, longest {longest}; {missed}.\n\
         - **P4**, last pod ready → exit in at most 100 ms: {ready}, median of a successful rollout; {p4} (kubectl \
         {ready_kubectl}, helm {ready_helm}).\n",
        total = rows.len(),
        cap = CAP.as_secs(),
        kubectl_capped = count(kubectl, capped),
        helm_capped = count(helm, capped),
        kubectl_good = count(kubectl, good),
        helm_good = count(helm, good),
        median = seconds(median(times).unwrap_or_default()),
        longest = seconds(longest),
        ready = milliseconds(ready.handsctl),
        ready_kubectl = time(ready.kubectl),
        ready_helm = time(ready.helm),
    )
}

fn cell(run: Option<&PeerRun>) -> String {
    let Some(run) = run else { return "–".to_owned() };
    let says = run.says.replace('|', "\\|").replace('`', "'");
    let says = match says.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &says[..end]),
        None => says,
    };
    match run.after {
        _ if run.is_capped && run.exit != 0 => format!("still waiting after {} s: `{says}`", CAP.as_secs()),
        Some(after) => format!("exit {} after {}: `{says}`", run.exit, seconds(after)),
        None => format!("exit {} before the report: `{says}`", run.exit),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
