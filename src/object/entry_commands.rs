//! The commands of kubectl that give a Secret or a ConfigMap its entries.

/// Returns the command that creates a `secret` or a `configmap` with these keys.
#[must_use]
pub fn creating_command(kind: &str, name: &str, namespace: &str, keys: &[&str]) -> String {
    let subcommand = if kind == "secret" { "secret generic" } else { kind };
    let literals = keys.iter().fold(String::new(), |all, key| all + " --from-literal=" + key + "=VALUE");
    format!("kubectl create {subcommand} {name} -n {namespace}{literals}")
}

/// Returns the command that adds these keys to a `secret` or a `configmap` that exists: `kubectl create` would be rejected.
#[must_use]
pub fn patching_command(kind: &str, name: &str, namespace: &str, keys: &[&str]) -> String {
    let field = if kind == "secret" { "stringData" } else { "data" };
    let entries: Vec<String> = keys.iter().map(|key| format!("\"{key}\":\"VALUE\"")).collect();
    let entries = entries.join(",");
    format!("kubectl patch {kind} {name} -n {namespace} --type merge -p '{{\"{field}\":{{{entries}}}}}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_own_commands() {
        let keys = ["a", "b"];
        assert_eq!(
            creating_command("secret", "s", "n", &keys),
            "kubectl create secret generic s -n n --from-literal=a=VALUE --from-literal=b=VALUE"
        );
        assert_eq!(
            creating_command("configmap", "s", "n", &["a"]),
            "kubectl create configmap s -n n --from-literal=a=VALUE"
        );
        assert_eq!(
            patching_command("secret", "s", "n", &keys),
            r#"kubectl patch secret s -n n --type merge -p '{"stringData":{"a":"VALUE","b":"VALUE"}}'"#
        );
        assert_eq!(
            patching_command("configmap", "s", "n", &["a"]),
            r#"kubectl patch configmap s -n n --type merge -p '{"data":{"a":"VALUE"}}'"#
        );
    }
}
