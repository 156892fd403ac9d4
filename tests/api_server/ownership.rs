//! Fields and objects of other managers on a real API server: the conflict table, ownership rules, and adoption.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, in_home};
use crate::fault::Proxy;
use crate::planted;

const IMAGE: &str = "spec.template.spec.containers[name=\"openhands\"].image";
const OURS: &str = "docker.all-hands.dev/all-hands-ai/openhands:0.59";
const THEIRS: &str = "docker.all-hands.dev/all-hands-ai/openhands:0.58";

impl Namespace {
    fn kubectl(&self, arguments: &[&str]) -> String {
        self.bed.kubectl(&[arguments, &["-n", &self.name]].concat())
    }

    /// The set's object of this kind.
    fn object(&self, kind: &str) -> Value {
        self.bed.get(&[kind, "oh", "-n", &self.name])
    }

    /// A deployed set. Then other managers change the replicas, the image and the Ingress.
    fn with_foreign_fields(test: &str) -> Self {
        let namespace = Bed::shared().namespace(test);
        namespace.handsctl(&["deploy"]).exits(0);
        namespace.kubectl(&["scale", "deployment", "oh", "--replicas=3"]);
        namespace.kubectl(&["set", "image", "deployment/oh", &format!("openhands={THEIRS}")]);
        namespace.edit(
            "ingress",
            &json!([{ "op": "replace", "path": "/spec/rules/0/host", "value": "theirs.example" }]),
        );
        namespace
    }

    fn edit(&self, kind: &str, patch: &Value) {
        let patch = patch.to_string();
        self.kubectl(&["patch", kind, "oh", "--type=json", "--field-manager=kubectl-edit", "-p", &patch]);
    }

    fn replicas(&self) -> Value {
        self.object("deployment")["spec"]["replicas"].clone()
    }

    fn image(&self) -> Value {
        self.object("deployment")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    /// The object of this kind that `render` prints, as JSON.
    fn rendered(&self, kind: &str) -> Value {
        let text = self.handsctl(&["render"]).exits(0).stdout;
        let line = format!("kind: {kind}");
        let document =
            text.split("---\n").find(|document| document.lines().any(|text| text == line)).unwrap();
        let json = self.bed.kubectl_with(&["create", "--dry-run=client", "-o", "json", "-f", "-"], document);
        serde_json::from_str(&json).unwrap()
    }
}

/// `manager operation` of every field manager of the object, without subresources.
fn managers(object: &Value) -> BTreeSet<String> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap().iter();
    let own = entries.filter(|entry| entry["subresource"].is_null());
    own.map(|entry| {
        format!("{} {}", entry["manager"].as_str().unwrap(), entry["operation"].as_str().unwrap())
    })
    .collect()
}

/// The parts of an object that no controller writes.
fn stable_fields(object: &Value) -> (Value, Value, BTreeSet<String>) {
    (object["spec"].clone(), object["metadata"]["labels"].clone(), managers(object))
}

/// Deploys twice through a proxy and returns the PATCH requests of the second run. The first run may send some, because
/// the settings of a context that is not a local cluster differ.
fn patches_of_second_deploy(namespace: &Namespace) -> Vec<String> {
    let proxy = Proxy::for_cluster(namespace.bed);
    let arguments = ["deploy", "--context", Proxy::CONTEXT, "-n", &namespace.name, "--name", "oh"];
    let deploy =
        || in_home(namespace.folder.path(), &arguments).env("KUBECONFIG", proxy.kubeconfig()).run().exits(0);
    let patches = || {
        proxy.requests().into_iter().filter(|request| request.method == "PATCH").map(|request| request.path)
    };
    deploy().says("1 configured");
    let first: Vec<String> = patches().collect();
    assert!(!first.is_empty(), "the proxy records PATCH requests");
    deploy().says("10 unchanged");
    patches().skip(first.len()).collect()
}

/// The cells of the table row that contains this cell.
fn row<'a>(stderr: &'a str, field: &str) -> Vec<&'a str> {
    let mut rows =
        stderr.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect());
    rows.find(|cells: &Vec<&str>| cells.contains(&field))
        .unwrap_or_else(|| panic!("no row {field}:\n{stderr}"))
}

/// Whether an age is in seconds or minutes, as `3 s`.
fn is_recent(age: &str) -> bool {
    let (number, unit) = age.split_once(' ').unwrap();
    number.parse::<u32>().is_ok() && ["s", "m"].contains(&unit)
}

#[test]
fn conflicting_fields_are_listed_and_stay_unchanged() {
    let namespace = Namespace::with_foreign_fields("table");
    let before = [namespace.object("deployment"), namespace.object("ingress")];
    let run = namespace
        .handsctl(&["deploy"])
        .exits(7)
        .says(&format!(
            "error[HC3007]: deployment.apps/oh in namespace {} has fields that others changed; it was not changed",
            namespace.name
        ))
        .says("the installation was not changed")
        .says(&format!("hint: to overwrite their change: {}", namespace.suggested("deploy", "--force-conflicts")))
        .says("      \"deployment/oh:spec.replicas\" = \"yield\"\n")
        .says(&format!("      'deployment/oh:{IMAGE}' = \"yield\"\n"))
        .says("      \"ingress/oh:spec.rules\" = \"yield\"\n")
        .says(&format!("also      ingress.networking.k8s.io/oh in namespace {} has fields", namespace.name));
    assert_eq!(row(&run.stderr, "changed by"), ["fields", "field", "changed by", "since", "live", "planned"]);
    // The server records no time for changes through a subresource.
    assert_eq!(row(&run.stderr, ".spec.replicas"), [".spec.replicas", "kubectl (scale)", "-", "3", "1"]);
    let image = format!(".{IMAGE}");
    let cells = row(&run.stderr, &image);
    assert_eq!((cells[1], cells[3], cells[4]), ("kubectl-set", "…:0.58", "…:0.59"), "{cells:?}");
    assert!(is_recent(cells[2]), "{cells:?}");
    let cells = row(&run.stderr, ".spec.rules");
    assert_eq!(cells[1], "kubectl-edit");
    assert!(cells[3].contains("theirs.example") && cells[4].contains("localhost"), "{cells:?}");

    let after = [namespace.object("deployment"), namespace.object("ingress")];
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["spec"], after["spec"]);
        assert_eq!(managers(before), managers(after));
    }
    // The JSON summary has the same id.
    let file = namespace.folder.path().join("events");
    let summary =
        namespace.handsctl(&["deploy", "-o", "json", "--events", file.to_str().unwrap()]).exits(7).json();
    assert_eq!(summary["id"], "HC3007");
    // The conflict table for programs, in the summary and in the last event.
    let events = std::fs::read_to_string(&file).unwrap();
    let finished: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    for error in [&summary["error"], &finished["error"]] {
        let conflicts = error["conflicts"].as_array().unwrap();
        let conflict = |field: &str| {
            let is_of_field = |it: &&Value| it["field"] == field;
            conflicts.iter().find(is_of_field).unwrap_or_else(|| panic!("no {field} in {error}"))
        };
        let replicas = conflict(".spec.replicas");
        assert_eq!(replicas["object"]["kind"], "Deployment");
        assert_eq!((&replicas["live"], &replicas["planned"]), (&json!(3), &json!(1)));
        assert_eq!(replicas["managers"][0]["name"], "kubectl");
        assert_eq!(replicas["managers"][0]["subresource"], "scale");
        assert!(conflict(&image)["live"].as_str().unwrap().ends_with(":0.58"), "the whole value: {error}");
        assert_eq!(conflict(".spec.rules")["object"]["kind"], "Ingress", "of each object");
        assert!(!error["hints"].as_array().unwrap().is_empty(), "{error}");
    }
}

#[test]
fn take_needs_all_conflicts_resolved_and_yield_keeps_field() {
    let namespace = Namespace::with_foreign_fields("rules");
    let take = format!(
        "[deploy.ownership]\n\"ingress/oh:spec\" = \"take\"\n'deployment.apps/oh:{IMAGE}' = \"take\"\n"
    );
    namespace.config(&take);
    let run = namespace.handsctl(&["deploy"]).exits(7).says("HC3007").says(".spec.replicas");
    assert!(
        !run.stderr.contains("ingress/oh:spec.rules"),
        "the Ingress still has a conflict: {}",
        run.stderr
    );
    assert_eq!(
        (namespace.replicas(), namespace.image()),
        (json!(3), json!(THEIRS)),
        "the Deployment was changed although one of its conflicts is left"
    );
    let host = || namespace.object("ingress")["spec"]["rules"][0]["host"].clone();
    assert_eq!(host(), "theirs.example", "the Ingress was changed although the Deployment cannot be");

    namespace.config(&format!("{take}\"deployment/oh:spec.replicas\" = \"yield\"\n"));
    namespace.handsctl(&["deploy"]).exits(0).says("2 configured, 8 unchanged").says("deployment.apps/oh 3/3");
    assert_eq!(host(), "localhost");
    let managers = managers(&namespace.object("ingress"));
    assert!(!managers.contains("kubectl-edit Update"), "{managers:?}");
    assert_eq!((namespace.replicas(), namespace.image()), (json!(3), json!(OURS)));
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    assert_eq!(patches_of_second_deploy(&namespace), Vec::<String>::new());
    namespace.handsctl(&["deploy"]).exits(0);

    // Another scaling is not a change, and a changed deploy keeps it.
    namespace.kubectl(&["scale", "deployment", "oh", "--replicas=2"]);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    namespace.config(&format!(
        "[deploy]\nmin_ready_seconds = 1\n{take}\"deployment/oh:spec.replicas\" = \"yield\"\n"
    ));
    namespace.handsctl(&["deploy"]).exits(0).says("1 configured, 9 unchanged");
    assert_eq!(namespace.replicas(), 2);
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(7).says(".spec.replicas");
}

#[test]
fn force_conflicts_takes_all_fields_without_fail_or_yield() {
    let namespace = Namespace::with_foreign_fields("force");
    namespace.config("[deploy.ownership]\n\"deployment/oh:spec.replicas\" = \"fail\"\n");
    let run = namespace
        .handsctl(&["deploy", "--force-conflicts"])
        .exits(7)
        .says("hint: [deploy.ownership] sets \"fail\" for .spec.replicas")
        .never_says("--force-conflicts");
    assert!(!run.stderr.contains("also"), "the Ingress still has a conflict: {}", run.stderr);
    assert_eq!((namespace.replicas(), namespace.image()), (json!(3), json!(THEIRS)));
    assert_eq!(namespace.object("ingress")["spec"]["rules"][0]["host"], "theirs.example");

    namespace.config("[deploy.ownership]\n\"deployment/oh:spec.replicas\" = \"yield\"\n");
    namespace
        .handsctl(&["deploy", "--force-conflicts", "--dry-run=server"])
        .exits(0)
        .says("2 configured, 8 unchanged");
    assert_eq!(namespace.image(), THEIRS, "the dry run changed the image");
    namespace.handsctl(&["deploy", "--force-conflicts"]).exits(0).says("2 configured, 8 unchanged");
    assert_eq!((namespace.replicas(), namespace.image()), (json!(3), json!(OURS)));

    namespace.config("");
    namespace.handsctl(&["deploy", "--force-conflicts"]).exits(0).says("1 configured, 9 unchanged");
    assert_eq!(namespace.replicas(), 1);
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
}

#[test]
fn yielded_field_of_ours_is_not_reset() {
    let namespace = Bed::shared().namespace("kept");
    namespace.config("[deploy]\nprogress_deadline = \"5m\"\n");
    namespace.handsctl(&["deploy"]).exits(0);
    let deadline = || namespace.object("deployment")["spec"]["progressDeadlineSeconds"].clone();
    assert_eq!(deadline(), 300);
    // The configuration now has the default of 10 minutes, to which the server would also reset the field.
    namespace.config("[deploy.ownership]\n\"deployment/oh:spec.progressDeadlineSeconds\" = \"yield\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    namespace.config(
        "[deploy]\nmin_ready_seconds = 1\n[deploy.ownership]\n\"deployment/oh:spec.progressDeadlineSeconds\" = \"yield\"\n",
    );
    namespace.handsctl(&["deploy"]).exits(0).says("1 configured, 9 unchanged");
    assert_eq!(deadline(), 300);
}

#[test]
fn yielded_label_with_two_managers_is_kept() {
    let namespace = Bed::shared().namespace("shared");
    namespace.handsctl(&["deploy"]).exits(0);
    let foreign = json!({ "apiVersion": "v1", "kind": "Service", "metadata": {
        "name": "oh", "namespace": namespace.name, "labels": { "app.kubernetes.io/part-of": "openhands" } } });
    let apply = ["apply", "--server-side", "--field-manager=them", "-f", "-"];
    namespace.bed.kubectl_with(&apply, &foreign.to_string());
    namespace
        .config("[deploy.ownership]\n\"service/oh:metadata.labels.app.kubernetes.io/part-of\" = \"yield\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("1 configured, 9 unchanged").never_says("HC0230");
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    let mut changed = foreign;
    changed["metadata"]["labels"]["app.kubernetes.io/part-of"] = json!("theirs");
    namespace.bed.kubectl_with(&apply, &changed.to_string());
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    let labels = &namespace.object("service")["metadata"]["labels"];
    assert_eq!(
        (&labels["app.kubernetes.io/part-of"], &labels["app.kubernetes.io/name"]),
        (&json!("theirs"), &json!("openhands"))
    );
}

#[test]
fn ownership_rule_without_matching_field_warns() {
    let namespace = Bed::shared().namespace("idle");
    namespace.config(
        "[deploy.ownership]\n\"deployment/oh:spec.replica\" = \"yield\"\n\"service/oh:spec\" = \"take\"\n",
    );
    let run = namespace
        .handsctl(&["deploy", "--dry-run"])
        .exits(0)
        .says("HC0230 [deploy.ownership] `deployment/oh:spec.replica` matches no field of the installation");
    assert_eq!(run.stderr.matches("HC0230").count(), 1, "{}", run.stderr);
}

#[test]
fn objects_of_helm_and_kubectl_are_adopted() {
    let namespace = Bed::shared().namespace("adopt");
    namespace.create(&[]);
    let bed = namespace.bed;
    let mut deployment = namespace.rendered("Deployment");
    deployment["metadata"]["annotations"] = json!({ "example.io/only-theirs": "1" });
    deployment["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("hand");
    deployment["spec"]["replicas"] = json!(2);
    bed.kubectl_with(&["apply", "-f", "-"], &deployment.to_string());
    let mut service = namespace.rendered("Service");
    service["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "Helm" });
    service["metadata"]["annotations"] = json!({ "meta.helm.sh/release-name": "x" });
    service["spec"]["ports"] = json!([{ "name": "old", "port": 80, "protocol": "TCP" }]);
    bed.kubectl_with(&["apply", "--server-side", "--field-manager=helm", "-f", "-"], &service.to_string());
    namespace.kubectl(&["annotate", "service", "oh", "example.io/somebodys=1"]);
    let before = [namespace.object("deployment"), namespace.object("service")];

    let rejected = namespace.handsctl(&["deploy"]).exits(7);
    let rejected = rejected
        .says("HC3006")
        .says(&format!("hint: {}", namespace.suggested("deploy", "--adopt adopts it")));
    rejected.never_says("adopted");
    namespace
        .handsctl(&["deploy", "--adopt", "--dry-run=server"])
        .exits(0)
        .says("would be adopted from helm")
        .says("would be adopted from kubectl-client-side-apply");
    for (kind, before) in ["deployment", "service"].iter().zip(&before) {
        let after = namespace.object(kind);
        assert_eq!(after["spec"], before["spec"], "{kind}");
        assert_eq!(
            after["metadata"]["managedFields"].as_array().map(Vec::len),
            before["metadata"]["managedFields"].as_array().map(Vec::len)
        );
    }

    let run = namespace
        .handsctl(&["deploy", "--adopt", "-v"])
        .exits(0)
        .says(&format!(
            "HC3020 deployment.apps/oh in namespace {} was adopted from kubectl-client-side-apply",
            namespace.name
        ))
        .says(&format!("HC3020 service/oh in namespace {} was adopted from helm", namespace.name))
        .says("deployment.apps/oh configured: adopted from kubectl-client-side-apply");
    assert_eq!(run.stderr.matches("HC3020").count(), 2, "{}", run.stderr);
    for (kind, before) in ["deployment", "service"].iter().zip(&before) {
        let after = namespace.object(kind);
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "{kind}");
        let managers = managers(&after);
        assert!(managers.contains("handsctl Apply"), "{managers:?}");
        assert!(
            !managers.iter().any(|name| name.starts_with("helm") || name.starts_with("kubectl-client")),
            "{managers:?}"
        );
        assert_eq!(after["metadata"]["labels"]["app.kubernetes.io/managed-by"], "handsctl");
    }
    let deployment = namespace.object("deployment");
    let annotations = deployment["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["deployment.kubernetes.io/revision"]);
    assert_eq!(deployment["spec"]["replicas"], 1);
    let service = namespace.object("service");
    assert_eq!(service["metadata"]["annotations"], json!({ "example.io/somebodys": "1" }));
    let ports = service["spec"]["ports"].as_array().unwrap();
    assert_eq!((ports.len(), &ports[0]["port"]), (1, &json!(3000)));
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
}

#[test]
fn service_of_kubectl_create_is_adopted_with_its_ports() {
    let namespace = Bed::shared().namespace("adopt-created");
    namespace.create(&[]);
    namespace.kubectl(&["create", "service", "clusterip", "oh", "--tcp=80:80"]);
    namespace.handsctl(&["deploy"]).exits(7).says("--adopt adopts it");
    namespace.handsctl(&["deploy", "--adopt"]).exits(0).says("adopted from kubectl-create");
    let service = namespace.object("service");
    let ports = service["spec"]["ports"].as_array().unwrap();
    assert_eq!((ports.len(), &ports[0]["port"]), (1, &json!(3000)), "port 80 is gone");
    assert!(service["metadata"]["labels"]["app"].is_null(), "{service}");
    assert!(!managers(&service).iter().any(|manager| manager.starts_with("kubectl")), "{service}");
}

#[test]
fn conflict_of_a_rollback_suggests_the_same_rollback() {
    let namespace = Bed::shared().namespace("again");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["deploy", "--set", "kubernetes.resource_memory_limit=\"3Gi\""]).exits(0);
    namespace.kubectl(&["scale", "deployment", "oh", "--replicas=3"]);
    let suggested = namespace.suggested("rollback", "--to 1 --adopt --force-conflicts");
    let run = namespace.handsctl(&["rollback", "1", "--adopt"]).exits(7).says(&suggested);
    run.never_says("handsctl deploy");
    namespace.handsctl(&["rollback", "1", "--adopt", "--force-conflicts"]).exits(0);
    assert_eq!(namespace.replicas(), 1);
}

#[test]
fn diff_adopt_shows_moved_fields_and_the_tracking_tool() {
    let namespace = Bed::shared().namespace("adopt-diff");
    namespace.create(&[]);
    let mut service = namespace.rendered("Service");
    service["metadata"]["annotations"] = json!({ "argocd.argoproj.io/tracking-id": "x:/Service:n/oh" });
    service["spec"]["ports"] = json!([{ "name": "old", "port": 80, "protocol": "TCP" }]);
    let apply = ["apply", "--server-side", "--field-manager=helm", "-f", "-"];
    namespace.bed.kubectl_with(&apply, &service.to_string());
    let before = namespace.object("service");
    namespace.handsctl(&["diff"]).exits(7).says("HC3006").says("diff --adopt");
    namespace
        .handsctl(&["diff", "--adopt"])
        .exits(1)
        .never_says("HC3006")
        .prints("adopted from helm; Argo CD still tracks it (argocd.argoproj.io/tracking-id)")
        .prints("remove its application there")
        .prints("spec.ports");
    assert_eq!(namespace.object("service"), before);
}

#[test]
fn object_that_cannot_be_adopted_is_unchanged() {
    let namespace = Bed::shared().namespace("unadoptable");
    namespace.create(&[]);
    let bed = namespace.bed;
    let account = |metadata: Value| {
        let mut object = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata });
        object["metadata"]["name"] = json!("oh");
        object["metadata"]["namespace"] = json!(namespace.name);
        bed.kubectl_with(&["create", "-f", "-"], &object.to_string());
    };
    let assert_rejected = |code: i32, kind: &str, words: &str| {
        let before = namespace.object(kind);
        let run = namespace.handsctl(&["deploy", "--adopt"]).exits(code).says(words).never_says("HC3020");
        let after = namespace.object(kind);
        assert_eq!(stable_fields(&after), stable_fields(&before), "{words}");
        run
    };
    account(
        json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt",
        "uid": bed.get(&["configmap", "kube-root-ca.crt", "-n", &namespace.name])["metadata"]["uid"] }] }),
    );
    assert_rejected(7, "serviceaccount", "configmap/kube-root-ca.crt owns it");
    namespace.kubectl(&["delete", "serviceaccount", "oh"]);
    account(json!({ "labels": { "applyset.kubernetes.io/part-of": "applyset-x-v1" } }));
    assert_rejected(7, "serviceaccount", "it is part of another installation, applyset-x-v1");
    namespace.kubectl(&["delete", "serviceaccount", "oh"]);
    account(json!({ "finalizers": ["example.io/hold"] }));
    namespace.kubectl(&["delete", "serviceaccount", "oh", "--wait=false"]);
    assert_rejected(7, "serviceaccount", "it has been terminating since");
    namespace.edit("serviceaccount", &json!([{ "op": "remove", "path": "/metadata/finalizers" }]));

    // A rejection by the server and fields of a manager that cannot be adopted are found before any change.
    let mut deployment = namespace.rendered("Deployment");
    deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] = json!("theirs");
    deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = json!("theirs");
    bed.kubectl_with(&["apply", "-f", "-"], &deployment.to_string());
    assert_rejected(8, "deployment", "field is immutable");
    namespace.kubectl(&["delete", "deployment", "oh", "--cascade=foreground"]);
    bed.kubectl_with(&["apply", "-f", "-"], &namespace.rendered("Deployment").to_string());
    namespace.kubectl(&["label", "deployment", "oh", "app.kubernetes.io/name=theirs", "--overwrite"]);
    let run = assert_rejected(7, "deployment", ".metadata.labels.app.kubernetes.io/name  kubectl-label");
    assert!(
        !run.stderr.contains("kubectl-client-side-apply"),
        "the fields of this manager can be adopted: {}",
        run.stderr
    );
    namespace.handsctl(&["deploy", "--adopt", "--force-conflicts"]).exits(0);
    assert_eq!(namespace.object("deployment")["metadata"]["labels"]["app.kubernetes.io/name"], "openhands");
}

#[test]
fn secret_data_is_hidden_in_conflict_table() {
    let namespace = Bed::shared().namespace("hidden");
    let (ours, theirs) = (planted::secret("o1"), planted::secret("t2"));
    namespace.config(&format!("[llm]\napi_key = {ours:?}\n"));
    namespace.handsctl(&["deploy"]).exits(0);
    let secret = namespace.kubectl(&["get", "secret", "-l", "applyset.kubernetes.io/part-of", "-o", "name"]);
    let name = secret.trim().strip_prefix("secret/").unwrap();
    namespace.kubectl(&["delete", "secret", name]);
    let data = base64::engine::general_purpose::STANDARD.encode(&theirs);
    let object = json!({ "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": { "LLM_API_KEY": data },
        "metadata": { "name": name, "namespace": namespace.name } });
    let apply = ["apply", "--server-side", "--field-manager=vault", "-f", "-"];
    namespace.bed.kubectl_with(&apply, &object.to_string());
    let run = namespace.handsctl(&["deploy", "--adopt", "-v"]).exits(7).says("HC3007");
    let cells = row(&run.stderr, ".data.LLM_API_KEY");
    assert_eq!((cells[1], cells[3], cells[4]), ("vault", "(hidden)", "(hidden)"), "{cells:?}");
    for secret in [&ours, &theirs, &data] {
        planted::assert_hidden(secret, "the conflict", &run.stderr);
    }
}

/// A deployed, good set whose parent has an annotation that another manager changed.
fn with_changed_parent(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.kubectl(&["annotate", "configmap", "handsctl-oh", "--overwrite", &format!("{KINDS}=theirs")]);
    namespace
}

const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";

#[test]
fn changed_parent_is_taken_over_and_revision_stays_good() {
    let namespace = with_changed_parent("parent");
    let annotations =
        || namespace.kubectl(&["get", "configmap", "handsctl-oh", "-o", "jsonpath={.metadata.annotations}"]);
    assert!(annotations().contains("theirs"));
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    let taken_over = annotations();
    assert!(!taken_over.contains("theirs") && taken_over.contains("Deployment.apps"), "{taken_over}");
    let history = namespace.handsctl(&["history", "-o", "json"]).exits(0).json();
    assert_eq!((history.as_array().unwrap().len(), &history[0]["result"]), (1, &json!("good")), "{history}");
    namespace.handsctl(&["deploy"]).exits(0).says("0 to send");
}

#[test]
fn parent_restored_by_another_manager_is_ours() {
    let namespace = Bed::shared().namespace("restored");
    namespace.handsctl(&["deploy"]).exits(0);
    let mut parent = namespace.bed.get(&["configmap", "handsctl-oh", "-n", &namespace.name]);
    for field in ["uid", "resourceVersion", "managedFields", "creationTimestamp"] {
        parent["metadata"].as_object_mut().unwrap().remove(field);
    }
    namespace.bed.kubectl(&["delete", "configmap", "handsctl-oh", "-n", &namespace.name]);
    let create = ["create", "--field-manager=velero-server", "-f", "-"];
    namespace.bed.kubectl_with(&create, &parent.to_string());
    namespace.config("[deploy]\nexpose = \"none\"\n");
    namespace.handsctl(&["deploy"]).exits(0).says("1 pruned");
    namespace.bed.kubectl(&["annotate", "configmap", "handsctl-oh", "-n", &namespace.name, "note=mine"]);
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(0);
    let parent = namespace.bed.get(&["configmap", "handsctl-oh", "-n", &namespace.name]);
    assert_eq!(parent["metadata"]["annotations"]["note"], "mine");
    let kinds = parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"].as_str();
    assert!(kinds.unwrap().contains("Ingress"), "{parent}");
}

#[test]
fn runtime_namespace_of_another_set_names_that_set() {
    let bed = Bed::shared();
    let (first, second, boxes) =
        (bed.namespace("home-one"), bed.namespace("home-two"), bed.namespace("shared-boxes"));
    let config = format!("[kubernetes]\nnamespace = \"{}\"\n", boxes.name);
    first.config(&config);
    second.config(&config);
    first.handsctl(&["deploy"]).exits(0);
    second
        .handsctl(&["deploy"])
        .exits(7)
        .says(&format!("belongs to the handsctl installation oh of namespace {}", first.name))
        .never_says("another owner");
}

/// The API server records no manager of a field that becomes 0 through the scale subresource, or that is removed.
#[test]
fn field_taken_without_manager_stops_deploy_with_exit_7() {
    let namespace = Bed::shared().namespace("taken");
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.kubectl(&["scale", "deployment", "oh", "--replicas=0"]);
    let run = namespace.handsctl(&["deploy"]).exits(7).says("error[HC3007]");
    assert_eq!(row(&run.stderr, ".spec.replicas"), [".spec.replicas", "unknown", "-", "0", "1"]);
    run.says("\"deployment/oh:spec.replicas\" = \"yield\"").says("--force-conflicts");
    assert_eq!(namespace.replicas(), 0, "the application was started again");
    namespace.handsctl(&["diff"]).exits(1).prints("deploy would stop here: unknown manages .spec.replicas");

    // The rules and the flag are those of every other conflict.
    let rule = "deploy.ownership={\"deployment/oh:spec.replicas\" = \"yield\"}";
    namespace.handsctl(&["deploy", "--no-wait", "--set", rule]).exits(0);
    assert_eq!(namespace.replicas(), 0);
    namespace.handsctl(&["deploy", "--force-conflicts"]).exits(0).says("deployment.apps/oh 1/1");
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");

    namespace.edit("networkpolicy", &json!([{ "op": "remove", "path": "/spec/egress" }]));
    let run = namespace.handsctl(&["deploy"]).exits(7);
    assert_eq!(row(&run.stderr, ".spec.egress")[..3], [".spec.egress", "unknown", "-"]);
    namespace.handsctl(&["deploy", "--force-conflicts"]).exits(0).says("1 configured, 9 unchanged");
}

/// Writes an extra Service with this port.
fn write_service(namespace: &Namespace, port: u16) {
    let spec = json!({ "selector": { "app": "mine" }, "ports": [{ "name": "http", "port": port }] });
    let service =
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "mine" }, "spec": spec });
    std::fs::write(namespace.folder.path().join("mine.yaml"), service.to_string()).unwrap();
    namespace.config("[deploy]\nextra_manifests = [\"mine.yaml\"]\n");
}

/// The numbers of the extra Service's ports.
fn ports(namespace: &Namespace) -> String {
    namespace.kubectl(&["get", "service", "mine", "-o", "jsonpath={.spec.ports[*].port}"])
}

#[test]
fn changed_port_replaces_our_entry_of_the_service() {
    let namespace = Bed::shared().namespace("port");
    write_service(&namespace, 80);
    namespace.handsctl(&["deploy"]).exits(0);
    // Another manager owns one field of our entry.
    let patch = json!({ "spec": { "ports": [{ "port": 80, "targetPort": 99 }] } }).to_string();
    namespace.kubectl(&["patch", "service", "mine", "--field-manager=them", "-p", &patch]);
    write_service(&namespace, 8080);
    namespace.handsctl(&["deploy"]).exits(0);
    assert_eq!(ports(&namespace), "8080");
}

#[test]
fn port_of_another_manager_is_named_with_a_command() {
    let namespace = Bed::shared().namespace("port-theirs");
    namespace.create(&[]);
    write_service(&namespace, 80);
    let service = std::fs::read_to_string(namespace.folder.path().join("mine.yaml")).unwrap();
    let apply = |manager: &str| {
        let manager = format!("--field-manager={manager}");
        let apply = ["apply", "-n", &namespace.name, "--server-side", &manager, "-f", "-"];
        namespace.bed.kubectl_with(&apply, &service);
    };
    apply("terraform");
    write_service(&namespace, 9090);
    let run = namespace
        .handsctl(&["deploy", "--adopt"])
        .exits(7)
        .says("port 80 of terraform has the name \"http\", which is planned for port 9090")
        .says("before the first write");
    let patch = run.stderr.split("--type=json -p '").nth(1).unwrap().split('\'').next().unwrap();
    namespace.kubectl(&["patch", "service", "mine", "--type=json", "-p", patch]);
    namespace.handsctl(&["deploy", "--adopt", "--force-conflicts"]).exits(0);
    assert_eq!(ports(&namespace), "9090");

    // The fields of a deploy tool are ours after the adoption.
    namespace.kubectl(&["delete", "service", "mine"]);
    apply("helm");
    namespace.handsctl(&["deploy", "--adopt"]).exits(0).says("adopted from helm");
    assert_eq!(ports(&namespace), "9090");
}
