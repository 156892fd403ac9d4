//! Forged revisions: an account that may only create Secrets plants them, and the deployer's rights apply none of them.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::refusals::on_another_cluster;
use super::revisions::outcomes;
use crate::bed::{Bed, Namespace};

const BROKEN: &str = "deploy.image=\"example.com/simulate-image-pull-backoff:0.59\"";

fn memory(size: &str) -> String {
    format!("kubernetes.resource_memory_limit=\"{size}\"")
}

fn get_secret(namespace: &Namespace, name: &str) -> Value {
    namespace.bed.get(&["secret", name, "-n", &namespace.name])
}

/// An account with one right in the namespace: to create Secrets.
struct Intruder<'a>(&'a Namespace);

impl<'a> Intruder<'a> {
    fn new(namespace: &'a Namespace) -> Self {
        let (bed, name) = (namespace.bed, namespace.name.as_str());
        bed.kubectl(&["create", "serviceaccount", "intruder", "-n", name]);
        bed.kubectl(&["create", "role", "intruder", "--verb=create", "--resource=secrets", "-n", name]);
        let account = format!("--serviceaccount={name}:intruder");
        bed.kubectl(&["create", "rolebinding", "intruder", "--role=intruder", &account, "-n", name]);
        let intruder = Self(namespace);
        for (verb, resource, allowed) in
            [("create", "secrets", true), ("get", "secrets", false), ("create", "configmaps", false)]
        {
            let question = ["auth", "can-i", verb, resource, "-n", name, &intruder.impersonation()];
            assert_eq!(bed.try_kubectl(&question, "").status.success(), allowed, "{verb} {resource}");
        }
        intruder
    }

    fn impersonation(&self) -> String {
        format!("--as=system:serviceaccount:{}:intruder", self.0.name)
    }

    /// Creates the Secret with the intruder's right.
    fn plant(&self, secret: &Value) {
        let arguments = ["create", "--validate=false", "-n", &self.0.name, &self.impersonation(), "-f", "-"];
        self.0.bed.kubectl_with(&arguments, &secret.to_string());
    }

    fn trap(&self) -> String {
        format!("forged-{}", self.0.name)
    }

    /// The objects that no rollback may apply.
    fn members(&self) -> Vec<Value> {
        let labels = json!({ "app.kubernetes.io/name": "openhands", "app.kubernetes.io/instance": "oh",
            "app.kubernetes.io/component": "app", "app.kubernetes.io/part-of": "openhands",
            "app.kubernetes.io/managed-by": "handsctl" });
        let metadata =
            |namespace: &str| json!({ "name": self.trap(), "namespace": namespace, "labels": labels });
        let subjects = json!([{ "kind": "ServiceAccount", "name": "intruder", "namespace": self.0.name }]);
        let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" });
        vec![
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": { "name": self.trap(), "labels": labels }, "roleRef": role, "subjects": subjects }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("kube-system"), "data": {} }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&self.0.name), "data": {} }),
        ]
    }

    /// A workload that a member of the set could be, with the intruder's image.
    fn workload(&self) -> Value {
        let mut workload = self.members().remove(2);
        let labels = json!({ "app": "forged" });
        let pod = json!({ "serviceAccountName": "oh",
            "containers": [{ "name": "c", "image": "intruder.example/tool:1" }] });
        workload["apiVersion"] = json!("apps/v1");
        workload["kind"] = json!("Deployment");
        workload.as_object_mut().unwrap().remove("data");
        workload["spec"] = json!({ "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod } });
        workload
    }

    /// The content of a revision with the forged objects.
    fn plan(&self) -> Vec<u8> {
        content(&self.members())
    }

    /// A Secret that looks like the set's good revision of this number.
    fn revision(&self, number: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "handsctl.dev/revision", "immutable": true,
            "metadata": {
                "name": format!("handsctl-oh-r{number}"), "namespace": self.0.name,
                "labels": { "app.kubernetes.io/name": "openhands", "app.kubernetes.io/instance": "oh",
                    "app.kubernetes.io/component": "app", "app.kubernetes.io/part-of": "openhands",
                    "app.kubernetes.io/managed-by": "handsctl" },
                "annotations": { "handsctl.dev/created-by": "ana@laptop", "handsctl.dev/revision": number,
                    "handsctl.dev/result": "good" },
            },
            "data": { "plan": STANDARD.encode(self.plan()) },
        })
    }

    /// Panics if one of the forged objects exists.
    fn assert_nothing_applied(&self) {
        let kinds = "clusterrolebindings,configmaps,deployments,rolebindings,services";
        let all = self.0.bed.kubectl(&["get", kinds, "-A", "-o", "name"]);
        assert!(!all.contains(&self.trap()), "{all}");
    }
}

/// The content of a revision with these members.
fn content(members: &[Value]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json!({ "members": members }).to_string().as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The MAC that handsctl gives a revision.
fn mac(key: &[u8], set: &str, number: u64, content: &[u8]) -> String {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    hmac.update(format!("handsctl.dev/revision\0{set}\0{number}\0").as_bytes());
    hmac.update(content);
    STANDARD.encode(hmac.finalize().into_bytes())
}

fn set_id(namespace: &Namespace) -> String {
    let parent = namespace.bed.get(&["configmap", "handsctl-oh", "-n", &namespace.name]);
    parent["metadata"]["labels"]["applyset.kubernetes.io/id"].as_str().unwrap().to_owned()
}

/// Every disguise that needs no right to read; each has a name of its own.
fn disguises(intruder: &Intruder<'_>) -> Vec<Value> {
    let namespace = intruder.0;
    let changed = |number: &str, change: &dyn Fn(&mut Value)| {
        let mut secret = intruder.revision(number);
        change(&mut secret);
        secret
    };
    let with_mac = |number: u64, key: &[u8]| {
        let mac = mac(key, &set_id(namespace), number, &intruder.plan());
        changed(&number.to_string(), &|secret| secret["data"]["mac"] = json!(mac))
    };
    // Somebody has shown the intruder a real revision.
    let real = get_secret(namespace, "handsctl-oh-r1")["data"].clone();
    vec![
        intruder.revision("3"),
        with_mac(4, &[0; 32]),
        with_mac(5, b"handsctl-oh"),
        changed("6", &|secret| secret["immutable"] = json!(false)),
        changed("7", &|secret| secret["metadata"]["annotations"]["handsctl.dev/revision"] = json!("2")),
        changed("8", &|secret| secret["data"] = real.clone()),
        changed("9", &|secret| secret["data"]["mac"] = real["mac"].clone()),
        changed("10", &|secret| secret["data"]["plan"] = json!("bm8=")),
        changed("11", &|secret| secret["data"] = json!({})),
        changed("12", &|secret| {
            secret["metadata"]["annotations"]["handsctl.dev/result"] = json!("applying");
        }),
        changed("2", &|secret| secret["metadata"]["name"] = json!("plausible")),
        changed("1", &|secret| secret["metadata"]["name"] = json!("handsctl-oh-r001")),
        intruder.revision("4294967296"),
        intruder.revision("18446744073709551615"),
    ]
}

#[test]
fn forged_revisions_are_named_and_never_applied() {
    let namespace = Bed::shared().namespace("forged");
    namespace.handsctl(&["deploy", "--set", &memory("2Gi")]).exits(0);
    namespace.handsctl(&["deploy", "--set", &memory("3Gi")]).exits(0);
    let intruder = Intruder::new(&namespace);
    let disguises = disguises(&intruder);
    for secret in &disguises {
        intruder.plant(secret);
    }
    let names: Vec<&str> =
        disguises.iter().map(|secret| secret["metadata"]["name"].as_str().unwrap()).collect();
    let named = |text: &str| {
        for name in &names {
            assert!(text.contains(&format!("secret/{name} ")) && text.contains("HC3060"), "{name}: {text}");
        }
    };
    let history = namespace.handsctl(&["history"]).exits(0);
    named(&history.stderr);
    assert_eq!(outcomes(&namespace), [(2, "good".to_owned()), (1, "good".to_owned())]);
    let status = namespace.handsctl(&["status"]).exits(0);
    assert!(names.iter().all(|name| status.stdout.contains(name)), "{}", status.stdout);

    for number in 3..=12 {
        let to = ["rollback", "--to", &number.to_string()];
        let message =
            format!("error[HC3060]: secret/handsctl-oh-r{number} is not a revision of installation `oh`");
        named(&namespace.handsctl(&to).exits(7).says(&message).stderr);
    }
    for number in ["4294967296", "18446744073709551615"] {
        named(&namespace.handsctl(&["rollback", "--to", number]).exits(2).says("is not kept").stderr);
    }
    intruder.assert_nothing_applied();

    // The Secrets of the set are listed by their labels, which these two lack: one has the name of the next revision, the
    // other that of the rollback after it.
    for number in ["13", "15"] {
        let mut unlabelled = intruder.revision(number);
        unlabelled["metadata"].as_object_mut().unwrap().remove("labels");
        intruder.plant(&unlabelled);
    }
    // A failing deploy restores the last good revision of the set.
    let failed = namespace.handsctl(&["deploy", "--set", &memory("3Gi"), "--set", BROKEN]);
    let taken = |number: u64| format!("secret/handsctl-oh-r{number} is not a revision of installation `oh`");
    let failed = failed.exits(9).says("rolled back to revision 2, as a simulation");
    named(&failed.says(&taken(13)).says(&taken(15)).stderr);
    intruder.assert_nothing_applied();
    // The names of the forged revisions are taken, so their numbers are skipped.
    let expected = [(16, "good"), (14, "failed"), (1, "good")];
    assert_eq!(outcomes(&namespace), expected.map(|(number, result)| (number, result.to_owned())));

    named(&namespace.handsctl(&["rollback"]).exits(0).says("rolled back to revision 1").stderr);
    intruder.assert_nothing_applied();
    // Teardown deletes the revisions that were recorded with the installation's key, and leaves what others made.
    namespace.handsctl(&["teardown"]).exits(0);
    let left = namespace.bed.kubectl(&["get", "secrets", "-n", &namespace.name, "-o", "name"]);
    let mut others =
        vec!["001", "10", "11", "12", "13", "15", "18446744073709551615", "3", "4", "4294967296"];
    others.extend(["5", "6", "7", "8", "9"]);
    let others = others.into_iter().map(|number| format!("secret/handsctl-oh-r{number}"));
    let others: Vec<String> = others.chain(["secret/plausible".to_owned()]).collect();
    assert_eq!(left.lines().collect::<Vec<_>>(), others);
}

#[test]
fn revision_forged_with_the_key_stays_within_the_set() {
    let namespace = Bed::shared().namespace("forged-key");
    namespace.handsctl(&["deploy", "--set", &memory("2Gi")]).exits(0);
    let intruder = Intruder::new(&namespace);
    // Somebody who may read Secrets has shown the intruder the key.
    let key = get_secret(&namespace, "handsctl-oh")["data"]["key"].as_str().unwrap().to_owned();
    let key = STANDARD.decode(key).unwrap();
    let forge = |number: u64, members: &[Value]| {
        let content = content(members);
        let mut forged = intruder.revision(&number.to_string());
        forged["data"]["mac"] = json!(mac(&key, &set_id(&namespace), number, &content));
        forged["data"]["plan"] = json!(STANDARD.encode(content));
        intruder.plant(&forged);
    };
    forge(2, &intruder.members());
    let cluster_scoped =
        format!("clusterrolebinding.rbac.authorization.k8s.io/{}: it is cluster-scoped", intruder.trap());
    namespace
        .handsctl(&["rollback", "--to", "2"])
        .exits(7)
        .says("error[HC3061]: revision 2 (secret/handsctl-oh-r2) has objects that cannot be members")
        .says(&cluster_scoped)
        .says("the installation has no members in namespace kube-system")
        .says(&format!(
            "{} delete secret handsctl-oh-r2 -n {}",
            namespace.suggested_kubectl(),
            namespace.name
        ));
    namespace
        .handsctl(&["deploy", "--set", &memory("3Gi"), "--set", BROKEN])
        .exits(9)
        .says("cannot roll back to revision 2: revision 2 (secret/handsctl-oh-r2) has objects");
    intruder.assert_nothing_applied();
    forge(4, &[intruder.workload()]);
    let image = format!("deployment.apps/{}: intruder.example/tool:1", intruder.trap());
    namespace
        .handsctl(&["rollback", "--to", "4"])
        .exits(7)
        .says("error[HC3062]: revision 4 runs images beyond the configuration and the deployed installation")
        .says(&image);
    namespace
        .handsctl(&["deploy", "--set", &memory("4Gi"), "--set", BROKEN])
        .exits(9)
        .says("cannot roll back to revision 4: revision 4 runs images beyond");
    intruder.assert_nothing_applied();
}

#[test]
fn rollback_to_an_exposed_revision_is_never_silent() {
    let namespace = Bed::shared().namespace("exposed-before");
    let public = "[deploy]\nexpose = \"loadbalancer\"\nexposure = \"acknowledged\"\n";
    let deploy = |config: &str| {
        namespace.config(config);
        on_another_cluster(&namespace, &["deploy"]).exits(0).never_says("HC0270");
    };
    deploy(public);
    deploy("");
    let question = "error[HC3062]: revision 1 exposes the application beyond the configuration";
    let warning = |number: u64| {
        format!(
            "revision {number} exposes the application, which has no login, and the configuration does not: service/oh by a load balancer"
        )
    };
    on_another_cluster(&namespace, &["rollback"])
        .exits(7)
        .says(question)
        .says("service/oh by a load balancer");
    on_another_cluster(&namespace, &["rollback", "--yes"]).exits(0).says("HC0270").says(&warning(1));
    // It is exposed already: no question, but still no silence.
    on_another_cluster(&namespace, &["rollback", "--to", "3"]).exits(0).says(&warning(3));
    // The failing deploy has contained it, and its rollback exposes it again.
    on_another_cluster(&namespace, &["deploy", "--set", BROKEN]).exits(9).says(&warning(3));
    assert_eq!(outcomes(&namespace)[0], (5, "good".to_owned()));
    namespace.config(public);
    on_another_cluster(&namespace, &["rollback", "--to", "5"]).exits(0).never_says("HC0270");
}

#[test]
fn key_planted_before_the_first_deploy_is_rejected() {
    let namespace = Bed::shared().namespace("forged-first");
    namespace.create(&[]);
    let intruder = Intruder::new(&namespace);
    let mut key = intruder.revision("1");
    let metadata = key["metadata"].as_object_mut().unwrap();
    metadata.insert("name".to_owned(), json!("handsctl-oh"));
    metadata.insert("annotations".to_owned(), json!({ "handsctl.dev/created-by": "handsctl/v0.1.0" }));
    key["type"] = json!("handsctl.dev/key");
    key["data"] = json!({ "key": STANDARD.encode([1; 32]) });
    intruder.plant(&key);
    let message =
        format!("secret/handsctl-oh in namespace {} is not the key of this installation", namespace.name);
    let delete = format!("{} delete secret/handsctl-oh -n {}", namespace.suggested_kubectl(), namespace.name);
    namespace.handsctl(&["deploy"]).exits(7).says(&message).says(&delete);
    assert!(!namespace.has("configmap/handsctl-oh") && !namespace.has("deployment/oh"));
    namespace.bed.kubectl(&["delete", "secret/handsctl-oh", "-n", &namespace.name]);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["deploy", "--set", &memory("3Gi")]).exits(0);
    // Somebody deletes the key, and the intruder stores another one.
    namespace.bed.kubectl(&["delete", "secret/handsctl-oh", "-n", &namespace.name]);
    intruder.plant(&key);
    namespace.handsctl(&["deploy"]).exits(7).says(&message);
    namespace.handsctl(&["rollback", "--to", "1"]).exits(7).says("secret/handsctl-oh-r1 is not a revision");
    // A revision that the other key authenticates is not read either, and the real ones are not to be deleted.
    let mut forged = intruder.revision("9");
    forged["data"]["mac"] = json!(mac(&[1; 32], &set_id(&namespace), 9, &intruder.plan()));
    intruder.plant(&forged);
    let replaced = "the installation's key was replaced by another one";
    for command in [&["history"][..], &["history", "9"], &["diff", "--revision", "9"]] {
        namespace.handsctl(command).says(replaced).never_says("delete secret");
    }
    assert_eq!(outcomes(&namespace), []);
    let status = namespace.handsctl(&["status"]);
    assert!(
        status.stdout.contains(replaced) && !status.stdout.contains("delete secret"),
        "{}",
        status.stdout
    );
    intruder.assert_nothing_applied();
}

#[test]
fn rollback_that_grants_more_rights_needs_yes() {
    let namespace = Bed::shared().namespace("forged-rights");
    let role = |verb: &str| {
        let text = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: extra }}\nrules:\n\
             - {{ apiGroups: [\"\"], resources: [configmaps], verbs: [{verb}] }}\n"
        );
        std::fs::write(namespace.folder.path().join("role.yaml"), text).unwrap();
    };
    namespace.config("[deploy]\nextra_manifests = [\"role.yaml\"]\n");
    role("delete");
    namespace.handsctl(&["deploy"]).exits(0);
    role("get");
    namespace.handsctl(&["deploy"]).exits(0);
    let right = "role.rbac.authorization.k8s.io/extra: delete configmaps";
    namespace
        .handsctl(&["rollback"])
        .exits(7)
        .says(
            "error[HC3062]: revision 1 grants rights beyond the configuration and the deployed installation",
        )
        .says(right)
        .says(&namespace.suggested("rollback", "--to 1 --yes accepts this"));
    // A revision that grants nothing more is restored without a question.
    namespace
        .handsctl(&["deploy", "--set", BROKEN, "--yes"])
        .exits(9)
        .says("rolled back to revision 2, as a simulation");
    namespace.handsctl(&["rollback", "--to", "1", "--yes"]).exits(0).says("rolled back to revision 1");
    let live = namespace.bed.get(&["role", "extra", "-n", &namespace.name]);
    assert_eq!(live["rules"][0]["verbs"], json!(["delete"]));
}
