//! Values of secret names: the secret itself, or a reference to it, a path, a switch. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::api_key::resembles_key;
use super::mask::REDACTED;
use super::secret_name::{is_sensitive, words};
use super::url_secret::has_secret;

/// Endings of names whose value is often the name of a Secret, or of a key in it: `tls_secret`, `topologyKey`.
const NAMING: &[&str] = &[
    "SECRET",
    "SECRETS",
    "KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "WEBHOOK",
    "AUTH_HEADER",
    "AUTH",
    "COOKIE",
    "COOKIES",
];
/// Endings of names that end like those, but whose value is the secret itself.
const SECRET_ITSELF: &[&str] = &[
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "ENCRYPTION_KEY",
    "SIGNING_KEY",
    "_SECRET_KEY",
    "CLIENT_SECRET",
    "CONSUMER_SECRET",
    "COOKIE_SECRET",
    "SESSION_SECRET",
    "SHARED_SECRET",
    "JWT_SECRET",
    "APP_SECRET",
    "API_SECRET",
    "WEBHOOK_SECRET",
    "CLIENTSECRET",
    "PRIVATEKEY",
    "ACCESSKEY",
    "X_AUTH",
];
/// Values of a switch.
const SWITCHES: &[&str] = &[
    "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "enabled", "disabled", "required",
    "optional", "auto", "default",
];
/// Folders of a container or computer in which files with secrets are.
const ROOTS: &[&str] = &[
    "/app/",
    "/config/",
    "/data/",
    "/dev/",
    "/etc/",
    "/home/",
    "/mnt/",
    "/opt/",
    "/proc/",
    "/root/",
    "/run/",
    "/secrets/",
    "/srv/",
    "/tmp/",
    "/usr/",
    "/var/",
];

/// Whether a name marks its value as a secret, and the value is the secret itself: neither a reference, a path or a switch,
/// nor the name of a Secret.
#[must_use]
pub fn is_secret(name: &str, value: &str) -> bool {
    let is_other =
        || is_reference(value) || is_naming(name) && resembles_name(value) || is_count(name, value);
    (is_sensitive(name) && !is_other()) || is_docker_login(name, value)
}

/// Whether a value is a number of tokens: `tokens: 512`.
pub(super) fn is_count(name: &str, value: &str) -> bool {
    let is_number =
        value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'_' | b'k'));
    is_number && words(name).ends_with("TOKENS")
}

/// Whether a value is the user and password of a registry, as a docker config has them: `"auth": "bWU6cGFzcw=="`.
fn is_docker_login(name: &str, value: &str) -> bool {
    let is_pair = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap_or_default();
        let user = text.split_once(':').map(|(user, _)| user);
        user.is_some_and(|user| !user.is_empty()) && !text.contains(char::is_control)
    };
    name.eq_ignore_ascii_case("auth") && STANDARD.decode(value).is_ok_and(is_pair)
}

/// Whether a value is no secret, whatever its name: a variable, a placeholder of a template, a path, a switch, a mask.
#[must_use]
pub fn is_reference(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || value == REDACTED
        || is_placeholder(value)
        || value.bytes().all(|byte| matches!(byte, b'*' | b'.' | b'x' | b'X'))
        || SWITCHES.iter().any(|switch| value.eq_ignore_ascii_case(switch))
        || is_path(value)
        || is_url_without_secret(value)
}

/// Whether names like this often name a Secret, or a key in it.
fn is_naming(name: &str) -> bool {
    let name = words(name);
    NAMING.iter().any(|ending| name.ends_with(ending))
        && !SECRET_ITSELF.iter().any(|ending| name.ends_with(ending))
}

/// Whether a text can be the name of a Secret, of a key in it, or of a label: `ns/regcred`, `kubernetes.io/hostname`.
fn resembles_name(value: &str) -> bool {
    let is_part_of_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    value.bytes().all(is_part_of_name) && !is_mixed && !resembles_key(value)
}

/// Whether a value is a variable or an expression of a template: `$(NAME)`, `${NAME}`, `{{ name }}`, `<name>`. A password may
/// begin with such a sign.
fn is_placeholder(value: &str) -> bool {
    let is_enclosed = |open, close| value.starts_with(open) && value.ends_with(close);
    ["$(", "${", "$__", "{{", "%("].iter().any(|start| value.starts_with(start))
        || value == "{"
        || is_enclosed('{', '}')
        || is_enclosed('<', '>')
}

fn is_path(value: &str) -> bool {
    let is_in_folder = value.starts_with(['/', '.', '~']) && value.contains('/');
    let has_usual_letters = value
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~'));
    is_in_folder && (ROOTS.iter().any(|root| value.starts_with(root)) || has_usual_letters)
}

/// Whether a value is a URL of a database or server without a password: `DATABASE_URL=postgres://db:5432/x`. The URL of a
/// web hook is a secret as a whole.
fn is_url_without_secret(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    let is_hook = scheme.starts_with("http") && rest.trim_end_matches('/').contains('/');
    !is_hook && !has_secret(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_is_told_from_secret() {
        for (name, value) in [
            ("password", "hunter2"),
            ("clientSecret", "my-secret"),
            ("client-secret", "abc"),
            ("DB_TOKEN", "/Ab3+x"),
            ("DB_PASSWORD", "$ecret"),
            ("DB_PASSWORD", "<a{b"),
            ("secretKey", "aB3dE"),
            ("tls_secret", "s3cr3t!"),
            ("DATABASE_URL", "postgres://me:pass@db/x"),
            ("SLACK_WEBHOOK", "https://hooks.example.org/services/T0/B0/x"),
            ("auth", "bWU6cGFzcw=="),
            ("REGISTRY_AUTH", "me:pass"),
            ("tokens", "abc"),
            ("X-Auth", "v"),
        ] {
            assert!(is_secret(name, value), "{name} {value}");
        }
        for (name, value) in [
            ("tls_secret", "my-tls"),
            ("nginx.ingress.kubernetes.io/auth-secret", "ns/basic-auth"),
            ("topologyKey", "kubernetes.io/hostname"),
            ("secretKey", "db-password"),
            ("password", "$(DB_PASSWORD)"),
            ("password", "{{ .Values.password }}"),
            ("token", "<your token>"),
            ("token", "false"),
            ("automountServiceAccountToken", "false"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/var/secrets/google/Key.json"),
            ("AWS_WEB_IDENTITY_TOKEN", "/x/token"),
            ("DATABASE_URL", "postgres://db:5432/x"),
            ("DATABASE_URL", "postgres://$(USER):$(PASSWORD)@db/x"),
            ("AUTH_HEADER", "X-Auth"),
            ("password", "(redacted)"),
            ("passwordSecretRef", "x"),
            ("tokenExpirationSeconds", "3600"),
            ("proxy-pass", "http://a"),
            ("tokens", "4096"),
            ("rate_tokens", "1.5k"),
            ("auth", "basic"),
            ("auth", "YWJj"),
            ("LDAP_AUTH", "simple"),
            ("imagePullSecrets", "regcred"),
            ("affinity-cookie", "route"),
        ] {
            assert!(!is_secret(name, value), "{name} {value}");
        }
    }
}
