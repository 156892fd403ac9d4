//! `rbac`: prints the smallest roles for an account that deploys this configuration. Needs no cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::catalogue::Id;
use crate::cluster::access::deployer_role::{self, Impact};
use crate::cluster::access::rules::Permission;
use crate::error::{Error, Kind};
use crate::flags::{Format, Global};
use crate::object::kind::ROUTE;
use crate::object::yaml;
use crate::plan::checks::secret_refs;
use crate::plan::manifests::extra_manifests::{self, ManifestKind};
use crate::plan::{self, SecretNaming};
use crate::report::{self, Output, Streams};
use crate::session::cluster_session::{self, Secrets};
use crate::session::output::output_form;

/// Print the smallest roles for an account that deploys this configuration
///
/// The namespaces come first, because roles need them. A rule that can be left out has a comment that names the
/// consequence. The cluster is not contacted.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl rbac | kubectl apply -f -\n  handsctl rbac user:ana@example.org\n  handsctl rbac serviceaccount:ci:deployer -o table"
)]
pub struct RbacArgs {
    /// Account: user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME [default: a new ServiceAccount, also printed]
    #[arg(value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Output format of the result [default: manifests]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Runs `rbac`.
pub(crate) fn run(global: &Global, arguments: &RbacArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded, streams)?;
    let plan = plan::build(&loaded.settings, SecretNaming::Placeholder, &[])?;
    let permissions = deployer_role::deployer_permissions(&plan, &secret_refs::secret_refs(&loaded.settings));
    let name = format!("{}-deployer", plan.set.name);
    let subject = subject(arguments.account.as_deref(), &plan.set.namespace, &name)?;
    let rows = rows(&permissions);
    let _written = match arguments.output.map(|format| output_form(Some(format))) {
        None | Some(Output::Yaml) => {
            let mut guessed_kinds = extra_manifests::unknown_kinds(&loaded.settings);
            guessed_kinds.retain(|kind| kind.api_version != ROUTE.api_version());
            streams.out(&documents(&rows, &name, &subject, &plan.set.namespace, &guessed_kinds)?)?
        }
        Some(Output::Json) => streams.value(&list(&rows), Output::Json)?,
        Some(Output::Human) => streams.out(&table(&rows))?,
    };
    Ok(0)
}

/// Verbs on one resource that have the same impact when they are missing.
struct Row {
    /// Empty for a cluster-wide permission.
    namespace: String,
    group: String,
    resource: String,
    verbs: Vec<String>,
    impact: Impact,
}

/// Merges permissions into rows. In each namespace the indispensable ones come first.
fn rows(permissions: &BTreeMap<Permission, Impact>) -> Vec<Row> {
    let mut merged: BTreeMap<(&str, Impact, &str, &str), Vec<String>> = BTreeMap::new();
    for (permission, impact) in permissions {
        let key =
            (permission.namespace.as_str(), *impact, permission.group.as_str(), permission.resource.as_str());
        merged.entry(key).or_default().push(permission.verb.clone());
    }
    let row =
        |((namespace, impact, group, resource), verbs): ((&str, Impact, &str, &str), Vec<String>)| Row {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            verbs,
            impact,
        };
    merged.into_iter().map(row).collect()
}

/// Returns the account as a subject of a RoleBinding.
///
/// # Errors
/// Exit 2 if the account has another form.
fn subject(account: Option<&str>, namespace: &str, name: &str) -> Result<Value, Error> {
    let not_an_account = || {
        Error::new(Id::Usage, Kind::Usage, format!("`{}` is not an account", account.unwrap_or_default()))
            .hint("user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME")
    };
    let rbac_subject = |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let Some(account) = account else {
        return Ok(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }));
    };
    let parts: Vec<&str> = account.splitn(3, ':').collect();
    match parts[..] {
        [_, ""] | [_, _, ""] | [_, "", _] => Err(not_an_account()),
        ["user", ..] => Ok(rbac_subject("User", &account["user:".len()..])),
        ["group", ..] => Ok(rbac_subject("Group", &account["group:".len()..])),
        ["serviceaccount", namespace, name] => {
            Ok(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }))
        }
        _ => Err(not_an_account()),
    }
}

/// Returns the manifests for `kubectl apply -f -`, with a comment on each rule that can be left out.
fn documents(
    rows: &[Row],
    name: &str,
    subject: &Value,
    set_namespace: &str,
    guessed_kinds: &BTreeSet<ManifestKind>,
) -> Result<String, Error> {
    let mut out = String::from(
        "# Roles for an account that deploys this configuration with handsctl. Rules with a comment can be left out;\n\
         # the comment names the consequence. An administrator applies them: handsctl rbac | kubectl apply -f -\n",
    );
    for kind in guessed_kinds {
        let (name, version) = (&kind.kind, &kind.api_version);
        let _infallible =
            writeln!(out, "# The plural of {name} in {version} is guessed: the cluster is not contacted.");
    }
    // Without labels: the namespace may exist and belong to somebody else.
    for namespace in rows.iter().map(|row| row.namespace.as_str()).collect::<BTreeSet<_>>() {
        if !namespace.is_empty() {
            let manifest =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            document(&mut out, &yaml::write(&manifest)?);
        }
    }
    if subject["name"] == name && subject["namespace"] == set_namespace {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": set_namespace },
        });
        document(&mut out, &yaml::write(&account)?);
    }
    let namespaces: BTreeSet<&str> = rows.iter().map(|row| row.namespace.as_str()).collect();
    for namespace in namespaces.into_iter().rev() {
        let (role, binding_kind) = if namespace.is_empty() {
            ("ClusterRole", "ClusterRoleBinding")
        } else {
            ("Role", "RoleBinding")
        };
        let mut metadata = json!({ "name": name });
        if namespace.is_empty() {
            // The namespace keeps the ClusterRoles of several sets apart.
            metadata["name"] = json!(format!("{set_namespace}-{name}"));
        } else {
            metadata["namespace"] = json!(namespace);
        }
        let head =
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": role, "metadata": metadata });
        let mut text = yaml::write(&head)?;
        text.push_str("rules:\n");
        for row in rows.iter().filter(|row| row.namespace == namespace) {
            text.push_str(&rule(row));
        }
        document(&mut out, &text);
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": binding_kind,
            "metadata": head["metadata"],
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": head["metadata"]["name"] },
            "subjects": [subject],
        });
        document(&mut out, &yaml::write(&binding)?);
    }
    Ok(out)
}

fn document(out: &mut String, text: &str) {
    let _infallible = writeln!(out, "---\n{}", text.trim_end_matches('\n'));
}

fn rule(row: &Row) -> String {
    let comment = row.impact.map(|impact| format!("  # without it {impact}\n")).unwrap_or_default();
    format!(
        "{comment}  - apiGroups: [{}]\n    resources: [{}]\n    verbs: [{}]\n",
        json!(row.group),
        json!(row.resource),
        row.verbs.join(", ")
    )
}

fn table(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let namespace = if row.namespace.is_empty() { "(cluster)" } else { &row.namespace };
        let resource = if row.group.is_empty() {
            row.resource.clone()
        } else {
            format!("{}.{}", row.resource, row.group)
        };
        vec![
            namespace.to_owned(),
            resource,
            row.verbs.join(", "),
            row.impact.unwrap_or("nothing can be deployed").to_owned(),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    report::table(&["NAMESPACE", "RESOURCE", "VERBS", "WITHOUT IT"], &cells)
}

fn list(rows: &[Row]) -> Vec<Value> {
    let to_json = |row: &Row| {
        json!({
            "namespace": (!row.namespace.is_empty()).then_some(&row.namespace),
            "apiGroup": row.group,
            "resource": row.resource,
            "verbs": row.verbs,
            "needed": row.impact.is_none(),
            "without": row.impact,
        })
    };
    rows.iter().map(to_json).collect()
}
