//! Secrets that a test plants, and the encodings in which no output may show them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A secret that every encoding changes and that no output contains by accident.
pub(crate) fn secret(mark: &str) -> String {
    format!("sk-{mark}/Plänted+{mark}?&=%\"{mark}")
}

/// Panics if a text contains the value: in plain text, in base64 (also as part of a longer value or of JSON), URL-encoded, or with
/// JSON escapes.
pub(crate) fn assert_hidden(value: &str, source: &str, text: &str) {
    for form in encodings(value) {
        assert!(!text.contains(&form), "{source} shows a secret as {form:?}:\n{text}");
    }
}

/// The texts in which a cluster or program may quote a value.
pub(crate) fn quotations(value: &str) -> Vec<String> {
    let json = serde_json::json!({ "data": { "KEY": value } }).to_string();
    vec![
        format!("key {value} is wrong"),
        json.clone(),
        format!("{value:?}"),
        format!("Secret data: {}", STANDARD.encode(value)),
        format!("token={}", URL_SAFE.encode(format!("a{value}b"))),
        STANDARD.encode(json),
        format!("GET /?key={}&b=c", url(value, false)),
        format!("GET /?key={}&b=c", url(value, true)),
    ]
}

/// A secret without a character that ends a word, a URL or a string.
pub(crate) fn word(mark: &str) -> String {
    format!("planted-{mark}-4711")
}

/// Manifests of the user's own with a secret in each kind of place. Returns the secrets, too. `change` tells one version from
/// another; the workload's pods run `image`.
pub(crate) fn manifests(change: &str, image: &str) -> (String, Vec<String>) {
    let mut values = Vec::new();
    let mut next = |mark: &str| {
        let value = word(&format!("{mark}{change}"));
        values.push(value.clone());
        value
    };
    let token = format!("ghp_0123456789abcdef{change}");
    let header =
        serde_json::json!({ "name": "Authorization", "value": format!("Bearer {}", next("header")) });
    let probe = serde_json::json!({ "path": format!("/a?token={}", next("path")), "port": 80, "httpHeaders": [header] });
    let container = serde_json::json!({ "name": "c", "image": image,
        "env": [{ "name": "DB_PASSWORD", "value": next("variable") },
            { "name": "HARMLESS", "value": format!("https://me:{}@h/", next("url")) }],
        "command": ["sh", "-c", format!("run --token {} 'Authorization: Bearer {}'", next("flag"), next("bearer"))],
        "args": [format!("--password={}", next("argument")), "--token", next("word"),
            format!("Authorization: Bearer {}", next("line"))],
        "startupProbe": { "httpGet": probe, "failureThreshold": 1000 } });
    let annotations = serde_json::json!({ "example.org/api-token": next("annotation") });
    let workload = serde_json::json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "side", "annotations": annotations },
        "spec": { "selector": { "matchLabels": { "a": "side" } }, "template": {
            "metadata": { "labels": { "a": "side" }, "annotations": annotations },
            "spec": { "containers": [container] } } } });
    let map = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "side" }, "data": {
        "password": next("map"), "DB_PASSWORD": next("name"), "harmless": token,
        "url": format!("postgres://me:{}@db/x", next("database")),
        "app.yaml": format!("mode: fast\nclientSecret: {}\n", next("file")),
        "key.txt": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", next("key")),
        "open": "this is shown" },
        "binaryData": { "blob": STANDARD.encode(format!("API_KEY={}", next("binary"))) } });
    values.push(token);
    (format!("{map}\n---\n{workload}\n"), values)
}

fn encodings(value: &str) -> Vec<String> {
    let mut encodings = vec![value.to_owned(), url(value, false), url(value, true), escaped(value)];
    for offset in 0..3 {
        // Preceding bytes shift the digits; the first and last digits depend on the neighbouring bytes.
        for value in [value, &escaped(value)] {
            let shifted = ["\0".repeat(offset).as_bytes(), value.as_bytes()].concat();
            for engine in [STANDARD, URL_SAFE] {
                let digits = engine.encode(&shifted);
                encodings.push(digits[4..digits.len() - 4].to_owned());
            }
        }
    }
    encodings
}

fn escaped(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn url(value: &str, lowercase: bool) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(*byte).to_string(),
        byte if lowercase => format!("%{byte:02x}"),
        byte => format!("%{byte:02X}"),
    };
    value.as_bytes().iter().map(byte).collect()
}

#[test]
fn every_quotation_shows_the_value() {
    let value = secret("q1");
    for shown in quotations(&value) {
        assert!(encodings(&value).iter().any(|encoding| shown.contains(encoding.as_str())), "{shown}");
    }
}

#[test]
fn every_encoding_is_recognized() {
    let value = secret("a1");
    let encoded = STANDARD.encode(format!("{{\"key\":\"{value}\"}}"));
    let url = "sk-a1%2FPl%C3%A4nted%2Ba1%3F%26%3D%25%22a1".to_owned();
    for shown in [value.clone(), encoded, url, format!("{value:?}")] {
        let recognized = encodings(&value).iter().any(|encoding| shown.contains(encoding.as_str()));
        assert!(recognized, "{shown}");
    }
}
