//! `rbac`: prints the smallest roles for an account that deploys this configuration. Needs no cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
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
use crate::settings::format::DnsLabel;

/// Print the roles that an account needs for this configuration
///
/// The printed roles are the smallest ones. The namespaces come first, because roles need them. A rule that can be left out has a comment that names the
/// consequence. An account of a namespace in which OpenHands starts pods is rejected, because a pod can run under every
/// account of its namespace. The cluster is not contacted.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl rbac | kubectl apply -f -\n  handsctl rbac user:ana@example.org\n  handsctl rbac serviceaccount:ci:deployer -o table"
)]
pub struct RbacArgs {
    /// Account: user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME [default: a new ServiceAccount in a namespace of
    /// its own, both also printed]
    #[arg(value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Output format of the result [default: manifests]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// Runs `rbac`.
pub(crate) fn run(global: &Global, arguments: &RbacArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unread, streams)?;
    let plan = plan::build(&loaded.settings, SecretNaming::Placeholder, &[])?;
    let permissions = deployer_role::deployer_permissions(&plan, &secret_refs::secret_refs(&loaded.settings));
    let name = format!("{}-deployer", plan.set.name);
    let account = account(arguments.account.as_deref(), &plan.set.namespace, &name)?;
    let exposed = deployer_role::namespaces_with_foreign_pods(&plan, loaded.settings.runtime_namespace());
    reject_exposed(&account, &exposed)?;
    let rows = rows(&permissions);
    let _written = match arguments.output.map(|format| output_form(Some(format))) {
        None | Some(Output::Yaml) => {
            let mut guessed_kinds = extra_manifests::unknown_kinds(&loaded.settings);
            guessed_kinds.retain(|kind| kind.api_version != ROUTE.api_version());
            streams.out(&documents(&rows, &name, &account, &plan.set.namespace, &guessed_kinds)?)?
        }
        Some(Output::Json) => streams.results(&list(&rows), Output::Json)?,
        Some(Output::Human) => streams.out(&table(&rows, streams.width()))?,
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

/// The account that gets the roles.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Account {
    /// A ServiceAccount that the manifests create, with its namespace.
    New {
        namespace: String,
        name: String,
    },
    /// An existing ServiceAccount.
    Existing {
        namespace: String,
        name: String,
    },
    User(String),
    Group(String),
}

impl Account {
    /// The account as a subject of a RoleBinding.
    fn subject(&self) -> Value {
        let of_rbac = |kind: &str, name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name });
        match self {
            Self::New { namespace, name } | Self::Existing { namespace, name } => {
                json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
            }
            Self::User(name) => of_rbac("User", name),
            Self::Group(name) => of_rbac("Group", name),
        }
    }

    /// Whether a pod of this namespace can run under the account. Users and groups have names for such accounts, too
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>).
    fn is_of_pods_in(&self, namespace: &str) -> bool {
        match self {
            Self::New { namespace: own, .. } | Self::Existing { namespace: own, .. } => own == namespace,
            Self::User(name) => name
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
                .is_some_and(|(own, _)| own == namespace),
            Self::Group(name) => match name.strip_prefix("system:serviceaccounts") {
                Some(rest) => rest.is_empty() || rest.strip_prefix(':') == Some(namespace),
                None => matches!(name.as_str(), "system:authenticated" | "system:unauthenticated"),
            },
        }
    }
}

/// Rejects an account that pods of somebody else can run under.
///
/// # Errors
/// Exit 2 if the account belongs to a namespace in which others start pods.
fn reject_exposed(account: &Account, namespaces: &BTreeSet<String>) -> Result<(), Error> {
    let Some(namespace) = namespaces.iter().find(|namespace| account.is_of_pods_in(namespace)) else {
        return Ok(());
    };
    let message = format!(
        "cannot give the deployer's rights to this account: OpenHands may start pods in namespace {namespace} under any account of it"
    );
    let error = Error::new(Id::AccountOfSandboxes, Kind::Usage, message);
    Err(error.hint("use user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME of another namespace"))
}

/// Reads the account. Without one, it is a new ServiceAccount in a namespace of its own, because pods can run under every
/// account of their namespace.
///
/// # Errors
/// Exit 2 if the account has another form, or the new namespace's name would be too long.
fn account(account: Option<&str>, namespace: &str, name: &str) -> Result<Account, Error> {
    let not_an_account = || {
        Error::new(Id::Usage, Kind::Usage, format!("`{}` is not an account", account.unwrap_or_default()))
            .hint("user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME")
    };
    let Some(account) = account else {
        let own = DnsLabel::parse(&format!("{namespace}-deployer")).map_err(|error| {
            let message = format!("cannot name a namespace for the account {namespace}-deployer: {error}");
            Error::new(Id::Usage, Kind::Usage, message)
                .hint("name an account: handsctl rbac serviceaccount:NAMESPACE:NAME")
        })?;
        return Ok(Account::New { namespace: own.to_string(), name: name.to_owned() });
    };
    let parts: Vec<&str> = account.splitn(3, ':').collect();
    match parts[..] {
        [_, ""] | [_, _, ""] | [_, "", _] => Err(not_an_account()),
        ["user", ..] => Ok(Account::User(account["user:".len()..].to_owned())),
        ["group", ..] => Ok(Account::Group(account["group:".len()..].to_owned())),
        ["serviceaccount", namespace, name] => {
            Ok(Account::Existing { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err(not_an_account()),
    }
}

/// Returns the manifests for `kubectl apply -f -`, with a comment on each rule that can be left out.
fn documents(
    rows: &[Row],
    name: &str,
    account: &Account,
    set_namespace: &str,
    guessed_kinds: &BTreeSet<ManifestKind>,
) -> Result<String, Error> {
    let mut out = String::from(
        "# Roles for an account that deploys this configuration with handsctl.\n\
         # Rules with a comment can be left out; the comment names the consequence.\n\
         # An administrator applies them: handsctl rbac | kubectl apply -f -\n",
    );
    for kind in guessed_kinds {
        let (name, version) = (&kind.kind, &kind.api_version);
        let _infallible =
            writeln!(out, "# The plural of {name} in {version} is guessed: the cluster is not contacted.");
    }
    // Without labels: the namespace may exist and belong to somebody else.
    let new_account = match account {
        Account::New { namespace, name } => Some((namespace.as_str(), name.as_str())),
        _ => None,
    };
    let with_roles = rows.iter().map(|row| row.namespace.as_str());
    for namespace in with_roles.chain(new_account.map(|(namespace, _)| namespace)).collect::<BTreeSet<_>>() {
        if !namespace.is_empty() {
            let manifest =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            document(&mut out, &yaml::write(&manifest)?);
        }
    }
    if let Some((namespace, name)) = new_account {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": namespace },
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
            // The namespace keeps the ClusterRoles of several installations apart.
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
            "subjects": [account.subject()],
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

fn table(rows: &[Row], width: usize) -> String {
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
    report::table(&["NAMESPACE", "RESOURCE", "VERBS", "WITHOUT IT"], &cells, width)
}

/// A row of the result.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RightObject<'a> {
    /// null: the right is for the whole cluster.
    namespace: Option<&'a str>,
    api_group: &'a str,
    resource: &'a str,
    verbs: Vec<String>,
    needed: bool,
    /// What happens without the right; null: nothing can be deployed.
    without: Option<&'a str>,
}

fn list<'a>(rows: &'a [Row]) -> Vec<RightObject<'a>> {
    let object = |row: &'a Row| {
        let Row { namespace, group, resource, verbs, impact } = row;
        RightObject {
            namespace: (!namespace.is_empty()).then_some(namespace.as_str()),
            api_group: group,
            resource,
            verbs: verbs.clone(),
            needed: impact.is_none(),
            without: *impact,
        }
    };
    rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Account {
        account(Some(text), "hands", "oh-deployer").unwrap()
    }

    #[test]
    fn new_account_has_a_namespace_of_its_own() {
        let new = account(None, "hands", "oh-deployer").unwrap();
        assert_eq!(new, Account::New { namespace: "hands-deployer".into(), name: "oh-deployer".into() });
        let too_long = account(None, &"n".repeat(60), "oh-deployer").unwrap_err();
        assert!(too_long.hints()[0].contains("serviceaccount:NAMESPACE:NAME"), "{too_long:?}");
    }

    #[test]
    fn accounts_of_the_sandboxes_namespace_are_rejected() {
        let exposed = BTreeSet::from(["boxes".to_owned()]);
        for text in [
            "serviceaccount:boxes:ci",
            "user:system:serviceaccount:boxes:ci",
            "group:system:serviceaccounts:boxes",
            "group:system:serviceaccounts",
            "group:system:authenticated",
            "group:system:unauthenticated",
        ] {
            let error = reject_exposed(&parsed(text), &exposed).unwrap_err();
            assert_eq!(error.id(), Id::AccountOfSandboxes, "{text}");
        }
        for text in [
            "serviceaccount:ci:boxes",
            "user:boxes",
            "user:system:serviceaccount:ci:boxes",
            "group:system:serviceaccounts:boxes2",
            "group:system:masters",
        ] {
            assert!(reject_exposed(&parsed(text), &exposed).is_ok(), "{text}");
        }
    }
}
