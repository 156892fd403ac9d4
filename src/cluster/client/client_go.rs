//! What client-go does with a kubeconfig's values and kube-rs does not. Pure.

use std::path::{MAIN_SEPARATOR, Path};

use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use serde_saphyr::options::DuplicateKeyPolicy;

/// Decodes a file by its byte order mark; None if it is not text. PowerShell writes UTF-16.
pub(super) fn decode(bytes: Vec<u8>) -> Option<String> {
    let utf16 = |number: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|pair| Some(number(<[u8; 2]>::try_from(pair).ok()?)));
        String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

/// Parses a kubeconfig; several documents are merged. An incomplete entry does not matter until it is used.
///
/// # Errors
/// It is not a kubeconfig.
pub(super) fn parse(text: &str) -> Result<Kubeconfig, KubeconfigError> {
    let documents = serde_saphyr::from_multiple::<Kubeconfig>(text)
        .or_else(|error| completed(text).ok_or(KubeconfigError::Parse(Box::new(error))))?;
    documents.into_iter().try_fold(Kubeconfig::default(), Kubeconfig::merge)
}

/// Parses documents after adding the fields that kube-rs requires: `kubectl config set-context NAME --user=USER` writes
/// a context without a cluster. The last value of a key wins, as for kubectl.
fn completed(text: &str) -> Option<Vec<Kubeconfig>> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let mut documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).ok()?;
    for document in &mut documents {
        for entry in document.get_mut("contexts").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(context) = entry.get_mut("context").filter(|context| context["cluster"].is_null())
                && let Some(context) = context.as_object_mut()
            {
                context.insert("cluster".to_owned(), json!(""));
            }
        }
        for entry in document.get_mut("users").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(provider) = entry.pointer_mut("/user/auth-provider").and_then(Value::as_object_mut) {
                provider.retain(|_, value| !value.is_null());
            }
        }
    }
    documents.into_iter().map(|document| serde_json::from_value(document).ok()).collect()
}

/// Makes the paths in a file absolute: they are relative to its folder. A command without a separator is on PATH.
pub(super) fn resolve_paths(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let resolve = |path: &mut Option<String>| {
        if let Some(path) =
            path.as_mut().filter(|path| !path.is_empty() && Path::new(path.as_str()).is_relative())
            && let Some(absolute) = folder.join(&*path).to_str()
        {
            absolute.clone_into(path);
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        resolve(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        [&mut user.client_certificate, &mut user.client_key, &mut user.token_file]
            .into_iter()
            .for_each(resolve);
        let command = user.exec.as_mut().map(|exec| &mut exec.command);
        if let Some(command) = command
            .filter(|command| command.as_deref().is_some_and(|command| command.contains(MAIN_SEPARATOR)))
        {
            resolve(command);
        }
    }
}

/// Merges the files of `KUBECONFIG`: the first file that sets a value wins. An empty value is not set.
///
/// # Errors
/// Two files have a different `kind` or `apiVersion`.
pub(super) fn merge(files: Vec<Kubeconfig>) -> Result<Kubeconfig, KubeconfigError> {
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
        join_lines(&mut cluster.certificate_authority_data);
        if cluster.server.as_ref().is_some_and(|server| !server.contains("://")) {
            cluster.server = cluster.server.as_ref().map(|server| with_scheme(server, cluster));
        }
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        let AuthInfo { username, token_file, client_certificate, client_certificate_data, .. } = user;
        remove_empty([username, token_file, client_certificate, client_certificate_data]);
        join_lines(client_certificate_data);
        remove_empty([&mut user.client_key, &mut user.impersonate, &mut user.impersonate_uid]);
        for secret in [&mut user.token, &mut user.password, &mut user.client_key_data] {
            if secret.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
                *secret = None;
            }
        }
        let key = user.client_key_data.as_ref().map(|key| key.expose_secret().to_owned());
        let mut key = key.filter(|key| key.contains(LINE_ENDS));
        join_lines(&mut key);
        user.client_key_data = key.map(SecretString::from).or(user.client_key_data.take());
        // client-go sends a user without a password.
        let is_alone = user.token.is_none()
            && user.token_file.is_none()
            && user.exec.is_none()
            && user.auth_provider.is_none();
        if user.username.is_some() && is_alone && user.password.is_none() {
            user.password = Some(SecretString::from(""));
        }
    }
    kubeconfig
}

/// Go's decoder ignores them in base64.
const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// Removes line ends from base64: a YAML block has them, and `base64` wraps its lines.
fn join_lines(base64: &mut Option<String>) {
    if let Some(base64) = base64.as_mut().filter(|base64| base64.contains(LINE_ENDS)) {
        base64.retain(|c| !LINE_ENDS.contains(&c));
    }
}

/// Returns a bundle of certificates in PEM without those that are broken, as Go reads it. None if it can be used as it
/// is, or has no valid one.
pub(super) fn usable_authorities(bundle: &str) -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = bundle.split_inclusive(END).filter_map(|part| {
        let start = part.rfind("-----BEGIN CERTIFICATE-----")?;
        part.ends_with(END).then(|| &part[start..])
    });
    let is_usable = |block: &&str| {
        let certificate = CertificateDer::from_pem_slice(block.as_bytes());
        certificate.is_ok_and(|certificate| RootCertStore::empty().add(certificate).is_ok())
    };
    let (usable, broken): (Vec<&str>, Vec<&str>) = blocks.partition(is_usable);
    (!usable.is_empty() && !broken.is_empty()).then(|| usable.join("\n") + "\n")
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
    fn incomplete_entry_does_not_matter_to_another_context() {
        let text = "contexts: [{name: a, context: {user: u}}, {name: b, context: {}}, {name: c}, \
                    {name: d, context: {cluster: d}}]\n\
                    users: [{name: u, user: {auth-provider: {name: gcp, config: null}}}, {name: v, user: null}]\n";
        assert_eq!(parse(text).unwrap().contexts.len(), 4);
        assert!(parse("contexts:\n- name: a\n  context: planted\n").is_err());
    }

    #[test]
    fn file_is_decoded_by_its_byte_order_mark() {
        let text = "kind: Config # ä";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: &[u8], rest: &[u8]| decode([mark, rest].concat());
        for decoded in [
            marked(&[], text.as_bytes()),
            marked(&[0xef, 0xbb, 0xbf], text.as_bytes()),
            marked(&[0xff, 0xfe], &little),
            marked(&[0xfe, 0xff], &big),
        ] {
            assert_eq!(decoded.as_deref(), Some(text));
        }
        for wrong in [&[0xff, 0xfe, 1][..], &[0xff, 0xfe, 0, 0xd8], &[0x80]] {
            assert_eq!(decode(wrong.to_vec()), None);
        }
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
    fn last_value_of_a_key_wins() {
        let text =
            "current-context: a\ncurrent-context: b\nusers:\n- name: u\n  user: {token: one, token: two}\n";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.current_context.as_deref(), Some("b"));
        let token = parsed.auth_infos[0].auth_info.as_ref().unwrap().token.as_ref().unwrap();
        assert_eq!(token.expose_secret(), "two");
    }

    #[test]
    fn line_ends_in_base64_are_ignored() {
        let text = "clusters: [{name: a, cluster: {certificate-authority-data: \"QU\\r\\nJD\\n\"}}]\n\
                    users:\n- name: a\n  user:\n    client-certificate-data: |\n      QU\n      JD\n\
                    \x20   client-key-data: |\n      QU\n      JD\n";
        let merged = merge(vec![parsed(text)]).unwrap();
        let authority = merged.clusters[0].cluster.as_ref().unwrap().certificate_authority_data.as_deref();
        let user = merged.auth_infos[0].auth_info.as_ref().unwrap();
        let key = user.client_key_data.as_ref().map(SecretString::expose_secret);
        assert_eq!([authority, user.client_certificate_data.as_deref(), key], [Some("QUJD"); 3]);
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
