//! What client-go does with a kubeconfig's values and kube-rs does not. Pure.

use kube::config::{AuthInfo, Cluster, Kubeconfig};
use secrecy::ExposeSecret as _;

/// Merges the files of `KUBECONFIG`: the first file that sets a value wins. An empty value is not set.
///
/// # Errors
/// Two files have a different `kind` or `apiVersion`.
pub(super) fn merge(files: Vec<Kubeconfig>) -> Result<Kubeconfig, kube::config::KubeconfigError> {
    files.into_iter().map(without_empty_values).try_fold(Kubeconfig::default(), Kubeconfig::merge)
}

/// Removes empty values: client-go does not distinguish them from missing ones.
fn without_empty_values(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    remove_empty([&mut kubeconfig.current_context, &mut kubeconfig.kind, &mut kubeconfig.api_version]);
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        let Cluster {
            server,
            certificate_authority,
            certificate_authority_data,
            proxy_url,
            tls_server_name,
            ..
        } = cluster;
        remove_empty([server, certificate_authority, certificate_authority_data, proxy_url, tls_server_name]);
        if cluster.server.as_ref().is_some_and(|server| !server.contains("://")) {
            cluster.server = cluster.server.as_ref().map(|server| with_scheme(server, cluster));
        }
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        let AuthInfo { username, token_file, client_certificate, client_certificate_data, .. } = user;
        remove_empty([username, token_file, client_certificate, client_certificate_data]);
        remove_empty([&mut user.client_key, &mut user.impersonate, &mut user.impersonate_uid]);
        for secret in [&mut user.token, &mut user.password, &mut user.client_key_data] {
            if secret.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
                *secret = None;
            }
        }
    }
    kubeconfig
}

fn remove_empty<const N: usize>(values: [&mut Option<String>; N]) {
    for value in values {
        if value.as_ref().is_some_and(String::is_empty) {
            *value = None;
        }
    }
}

/// Adds the scheme to a server of the form `host:port` (`DefaultServerURL` in k8s.io/client-go/rest/url_utils.go).
fn with_scheme(server: &str, cluster: &Cluster) -> String {
    let has_tls = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    format!("{}://{server}", if has_tls { "https" } else { "http" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(text).unwrap()
    }

    #[test]
    fn first_file_that_sets_a_value_wins() {
        let first = "current-context: ''\nusers: [{name: a, user: {token: one}}]\n";
        let second = "kind: Config\ncurrent-context: b\nusers: [{name: a, user: {token: two}}, {name: b}]\n";
        let third = "current-context: c\n";
        let merged = merge([first, second, third].map(parsed).into()).unwrap();
        assert_eq!(merged.current_context.as_deref(), Some("b"));
        let names: Vec<&str> = merged.auth_infos.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let token = merged.auth_infos[0].auth_info.as_ref().unwrap().token.as_ref().unwrap();
        assert_eq!(token.expose_secret(), "one");
    }

    #[test]
    fn empty_values_count_as_missing() {
        let text = "clusters: [{name: a, cluster: {server: 'https://s', proxy-url: '', certificate-authority: '', \
                    certificate-authority-data: '', tls-server-name: ''}}]\n\
                    users: [{name: a, user: {token: '', tokenFile: t, as: '', client-key-data: '', username: ''}}]\n";
        let merged = merge(vec![parsed(text)]).unwrap();
        let cluster = merged.clusters[0].cluster.as_ref().unwrap();
        assert!(cluster.proxy_url.is_none() && cluster.certificate_authority_data.is_none());
        assert!(cluster.certificate_authority.is_none() && cluster.tls_server_name.is_none());
        let user = merged.auth_infos[0].auth_info.as_ref().unwrap();
        assert!(user.token.is_none() && user.impersonate.is_none() && user.client_key_data.is_none());
        assert_eq!(user.token_file.as_deref(), Some("t"));
    }

    #[test]
    fn server_without_a_scheme_gets_one() {
        let server = |cluster: &str| {
            let merged =
                merge(vec![parsed(&format!("clusters: [{{name: a, cluster: {cluster}}}]"))]).unwrap();
            merged.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap()
        };
        assert_eq!(server("{server: 'k8s.example:8080'}"), "http://k8s.example:8080");
        assert_eq!(server("{server: 'k8s', insecure-skip-tls-verify: true}"), "https://k8s");
        assert_eq!(server("{server: 'k8s', certificate-authority: ca}"), "https://k8s");
        assert_eq!(server("{server: 'https://k8s'}"), "https://k8s");
    }
}
