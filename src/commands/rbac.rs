//! `rbac`: the smallest roles for the account that deploys this very configuration. Without a cluster.

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

/// Print the smallest roles for an account that deploys this very configuration
///
/// What can be left out has a comment that says what is lost without it. No cluster is asked.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl rbac | kubectl apply -f -\n  handsctl rbac user:ana@example.org\n  handsctl rbac serviceaccount:ci:deployer -o table"
)]
pub struct RbacArgs {
    /// Whose rights: user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME [default: a ServiceAccount that is made, too]
    #[arg(value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Form of the result [default: manifests]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Runs `rbac`.
pub(crate) fn run(global: &Global, arguments: &RbacArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    let plan = plan::build(&loaded.settings, SecretNaming::Placeholder, &[])?;
    let rights = deployer_role::deployer_permissions(&plan, &secret_refs::secret_refs(&loaded.settings));
    let name = format!("{}-deployer", plan.set.name);
    let subject = subject(arguments.account.as_deref(), &plan.set.namespace, &name)?;
    let rows = rows(&rights);
    let _nobody_reads = match arguments.output.map(|format| output_form(Some(format))) {
        None | Some(Output::Yaml) => {
            let mut assumed = extra_manifests::unknown_kinds(&loaded.settings);
            assumed.retain(|kind| kind.api_version != ROUTE.api_version());
            streams.out(&documents(&rows, &name, &subject, &plan.set.namespace, &assumed)?)?
        }
        Some(Output::Json) => streams.value(&list(&rows), Output::Json)?,
        Some(Output::Human) => streams.out(&table(&rows))?,
    };
    Ok(0)
}

/// Verbs on a resource that are lost alike.
struct Row {
    /// Empty: of the whole cluster.
    namespace: String,
    group: String,
    resource: String,
    verbs: Vec<String>,
    loss: Impact,
}

/// Needed ones first.
fn rows(rights: &BTreeMap<Permission, Impact>) -> Vec<Row> {
    let mut merged: BTreeMap<(&str, Impact, &str, &str), Vec<String>> = BTreeMap::new();
    for (right, loss) in rights {
        let key = (right.namespace.as_str(), *loss, right.group.as_str(), right.resource.as_str());
        merged.entry(key).or_default().push(right.verb.clone());
    }
    let row = |((namespace, loss, group, resource), verbs): ((&str, Impact, &str, &str), Vec<String>)| Row {
        namespace: namespace.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        verbs,
        loss,
    };
    merged.into_iter().map(row).collect()
}

/// Whose rights they are, as a subject of a RoleBinding.
fn subject(account: Option<&str>, namespace: &str, name: &str) -> Result<Value, Error> {
    let wrong = || {
        Error::new(Id::Usage, Kind::Usage, format!("`{}` is no account", account.unwrap_or_default()))
            .hint("user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME")
    };
    let role = |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
    let Some(account) = account else {
        return Ok(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }));
    };
    let parts: Vec<&str> = account.splitn(3, ':').collect();
    match parts[..] {
        [_, ""] | [_, _, ""] | [_, "", _] => Err(wrong()),
        ["user", ..] => Ok(role("User", &account["user:".len()..])),
        ["group", ..] => Ok(role("Group", &account["group:".len()..])),
        ["serviceaccount", namespace, name] => {
            Ok(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }))
        }
        _ => Err(wrong()),
    }
}

/// Manifests for `kubectl apply -f -`, with a word on every rule that can be left out.
fn documents(
    rows: &[Row],
    name: &str,
    subject: &Value,
    home: &str,
    assumed: &BTreeSet<ManifestKind>,
) -> Result<String, Error> {
    let mut out = String::from(
        "# What the account needs that deploys this configuration with handsctl. Rules with a comment can be left out;\n\
         # the comment says what is lost. An administrator applies it: handsctl rbac | kubectl apply -f -\n",
    );
    for kind in assumed {
        let (name, version) = (&kind.kind, &kind.api_version);
        let _a_string_takes_everything =
            writeln!(out, "# No cluster is asked: the plural of {name} in {version} is a guess.");
    }
    if subject["name"] == name && subject["namespace"] == home {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": home },
        });
        document(&mut out, &yaml::write(&account)?);
    }
    let namespaces: BTreeSet<&str> = rows.iter().map(|row| row.namespace.as_str()).collect();
    for namespace in namespaces.into_iter().rev() {
        let (role, binding) = if namespace.is_empty() {
            ("ClusterRole", "ClusterRoleBinding")
        } else {
            ("Role", "RoleBinding")
        };
        let mut metadata = json!({ "name": name });
        if namespace.is_empty() {
            // Roles of the cluster are told apart by where they come from.
            metadata["name"] = json!(format!("{home}-{name}"));
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
        let bound = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": binding,
            "metadata": head["metadata"],
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": head["metadata"]["name"] },
            "subjects": [subject],
        });
        document(&mut out, &yaml::write(&bound)?);
    }
    Ok(out)
}

fn document(out: &mut String, text: &str) {
    let _a_string_takes_everything = writeln!(out, "---\n{}", text.trim_end_matches('\n'));
}

fn rule(row: &Row) -> String {
    let comment = row.loss.map(|loss| format!("  # without it {loss}\n")).unwrap_or_default();
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
            row.loss.unwrap_or("nothing can be deployed").to_owned(),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    report::table(&["NAMESPACE", "RESOURCE", "VERBS", "WITHOUT IT"], &cells)
}

fn list(rows: &[Row]) -> Vec<Value> {
    let one = |row: &Row| {
        json!({
            "namespace": (!row.namespace.is_empty()).then_some(&row.namespace),
            "apiGroup": row.group,
            "resource": row.resource,
            "verbs": row.verbs,
            "needed": row.loss.is_none(),
            "without": row.loss,
        })
    };
    rows.iter().map(one).collect()
}
