//! Precedence of the layers, and parsing of each.

use super::{all_rendered, folder, read_set, read_text, variables};
use crate::settings::load::read::{
    Flags, Loaded, Request, read, read_checking_secrets, read_unapplied, read_without_secrets,
};
use crate::settings::resolved::{KeyOrigin, KeySources};
use crate::settings::secrets::value::SecretSource;

fn origin(loaded: &Loaded, key: &str) -> (String, KeyOrigin) {
    let setting = loaded.settings.origins().into_iter().find(|setting| setting.key == key);
    let setting = setting.unwrap_or_else(|| panic!("no {key}"));
    (setting.value, setting.origin)
}

#[test]
fn later_layers_override_key_by_key() {
    let folder = folder(
        "[deploy]\nname = \"from-file\"\nnamespace = \"from-file\"\nhost = \"from.file\"\nreplicas = 1\n",
    );
    std::fs::write(
        folder.path().join("more.toml"),
        "[deploy]\nhost = \"more.localhost\"\nstorage_size = \"1Gi\"\n",
    )
    .expect("file");
    let request = Request {
        files: vec!["config.toml".into(), "more.toml".into()],
        set: vec!["deploy.storage_size=3Gi".into()],
        flags: Flags { namespace: Some("from-flag".into()), ..Flags::default() },
        ..Request::default()
    };
    let environment =
        variables(&[("HANDSCTL_DEPLOY__STORAGE_SIZE", "2Gi"), ("HANDSCTL_DEPLOY__STORAGE_CLASS", "fast")]);
    let loaded = read(&request, &environment, folder.path()).expect("settings");
    let deploy = &loaded.settings.deploy;
    assert_eq!(deploy.name.as_str(), "from-file");
    assert_eq!(deploy.host.as_str(), "more.localhost");
    assert_eq!(deploy.storage_size.as_str(), "3Gi");
    assert_eq!(deploy.storage_class.as_ref().map(ToString::to_string).as_deref(), Some("fast"));
    assert_eq!(deploy.namespace.as_str(), "from-flag");
    assert_eq!(loaded.summary, "config.toml, more.toml  (6 keys set)");

    assert_eq!(origin(&loaded, "deploy.storage_size"), ("\"3Gi\"".into(), KeyOrigin::Set));
    assert_eq!(origin(&loaded, "deploy.namespace").1, KeyOrigin::Flag);
    assert_eq!(
        origin(&loaded, "deploy.storage_class").1,
        KeyOrigin::Environment("HANDSCTL_DEPLOY__STORAGE_CLASS".into())
    );
    assert_eq!(origin(&loaded, "deploy.expose"), ("\"ingress\"".into(), KeyOrigin::Default));
    assert_eq!(origin(&loaded, "kubernetes.namespace"), ("\"from-flag\"".into(), KeyOrigin::Handsctl));
    let (_, KeyOrigin::File(position)) = origin(&loaded, "deploy.host") else { panic!("not from a file") };
    assert_eq!(position.to_string(), "more.toml:2:8");
}

#[test]
fn overridden_invalid_value_is_still_reported() {
    let folder = folder("[deploy]\nreplicas = \"many\"\n");
    std::fs::write(folder.path().join("more.toml"), "[deploy]\nreplicas = 1\ncolour = 1\n").expect("file");
    let request = Request { files: vec!["config.toml".into(), "more.toml".into()], ..Request::default() };
    let error = read(&request, &[], folder.path()).expect_err("two errors");
    assert_eq!(error.message(), "configuration: 2 errors");
}

#[test]
fn no_config_file_means_defaults() {
    let folder = tempfile::tempdir().expect("folder");
    let loaded = read(&Request::default(), &[], folder.path()).expect("defaults");
    assert_eq!(loaded.summary, "no config.toml: every key has its default");
    assert!(!loaded.from_file && loaded.warnings.is_empty());
    let request = Request {
        set: vec!["llm.model=m".to_owned(), "deploy.storage_size=5Gi".to_owned()],
        ..Request::default()
    };
    let variables = [("HANDSCTL_CORE__DEBUG".to_owned(), "true".to_owned())];
    let typed = read(&request, &variables, folder.path()).expect("three keys");
    assert_eq!(typed.summary, "no config.toml: 1 key by HANDSCTL_ variables, 2 keys by --set");
    assert_eq!(typed.settings.key_sources, KeySources { has_file: false, variables: 1, set: 2 });
    assert_eq!(loaded.settings.locate("deploy.image"), None);
    assert_eq!(loaded.settings.runtime_namespace(), "openhands");
    assert_eq!(loaded.settings.app_version().to_string(), "0.59");

    let request = Request { files: vec!["missing.toml".into()], ..Request::default() };
    let error = read(&request, &[], folder.path()).expect_err("a named file must exist");
    assert!(all_rendered(&Err(error)).starts_with("error[HC0101]: cannot read missing.toml: "));
}

#[test]
fn handsctl_config_names_the_file() {
    let folder = folder("[deploy]\nname = \"a\"\n");
    std::fs::write(folder.path().join("b.toml"), "[deploy]\nname = \"b\"\n").expect("file");
    let environment = variables(&[("HANDSCTL_CONFIG", "b.toml")]);
    let name = |request: &Request| {
        read(request, &environment, folder.path()).expect("settings").settings.deploy.name.to_string()
    };
    assert_eq!(name(&Request::default()), "b");
    assert_eq!(name(&Request { files: vec!["config.toml".into()], ..Request::default() }), "a");
}

#[test]
fn variables_are_toml_or_strings() {
    let folder = folder("");
    let read = |pairs: &[(&str, &str)]| read(&Request::default(), &variables(pairs), folder.path());
    let loaded = read(&[
        ("HANDSCTL_DEPLOY__NETWORK_POLICY", "false"),
        ("HANDSCTL_DEPLOY__NODE_SELECTOR", "{ zone = \"a\" }"),
        ("HANDSCTL_KUBERNETES__RESOURCE_CPU_REQUEST", "1"),
        ("HANDSCTL_KUBERNETES__RESOURCE_MEMORY_LIMIT", "\"3Gi\""),
        ("HANDSCTL_DEPLOY__ENV__LOG_LEVEL", "debug"),
        ("HANDSCTL_LLM__TEMPERATURE", "0.5"),
        ("HANDSCTL_ASSETS", "/x"),
        ("HANDSCTL_TEST_LEASE", "1"),
        ("PATH", "/bin"),
    ])
    .expect("settings");
    assert_eq!(loaded.warnings, []);
    let settings = loaded.settings;
    assert!(!settings.deploy.network_policy);
    assert_eq!(settings.deploy.node_selector.len(), 1);
    assert_eq!(settings.openhands.kubernetes.resource_cpu_request.as_str(), "1");
    assert_eq!(settings.openhands.kubernetes.resource_memory_limit.as_str(), "3Gi");
    assert_eq!(settings.env.get("LOG_LEVEL").map(String::as_str), Some("debug"));
    assert_eq!(settings.openhands.llm.options.temperature, Some(0.5));

    let output = all_rendered(&read(&[("HANDSCTL_DEPLOY__STORAGE_SISE", "1Gi"), ("HANDSCTL_DEPLOY", "x")]));
    assert!(
        output.contains(
            "warning[HC0221]: the environment variable HANDSCTL_DEPLOY__STORAGE_SISE matches no key"
        ),
        "{output}"
    );
    assert!(output.contains("did you mean HANDSCTL_DEPLOY__STORAGE_SIZE?"), "{output}");
    assert_eq!(output.matches("HC0221").count(), 2, "{output}");

    let output = all_rendered(&read(&[
        ("HANDSCTL_DEPLOY__STORAGE_SIZE", "1GB"),
        ("HANDSCTL_DEPLOY__REPLICAS", "two"),
    ]));
    assert!(output.contains("--> environment variable HANDSCTL_DEPLOY__STORAGE_SIZE:1:2: \"G\""), "{output}");
    assert!(output.contains("`deploy.replicas` must be an integer, not a string"), "{output}");
}

#[test]
fn set_accepts_toml_or_strings() {
    let loaded = read_set(
        "",
        &[
            "deploy.image=example.com/openhands:0.58",
            "deploy.network_policy=false",
            "deploy.resources.requests={ cpu = \"1\" }",
            "deploy.node_selector.\"example.com/a=b.c\"=x",
            "kubernetes.resource_cpu_request=2",
            "deploy.env.EQUATION=a=b",
        ],
    );
    let output = all_rendered(&loaded);
    assert!(output.contains("`example.com/a=b.c` in [deploy.node_selector] is not a label key"), "{output}");
    let loaded = read_set(
        "[deploy.resources.requests]\nmemory = \"2Gi\"\n",
        &[
            "deploy.image=example.com/openhands:0.58",
            "deploy.network_policy = false",
            "deploy.resources.requests={ cpu = \"1\" }",
            "deploy.node_selector.\"example.com/zone\"=x",
            "kubernetes.resource_cpu_request=2",
            "deploy.env.EQUATION=a=b",
            "deploy.min_ready_seconds=5",
        ],
    )
    .expect("settings");
    let settings = loaded.settings;
    assert_eq!(settings.deploy.image.as_str(), "example.com/openhands:0.58");
    assert!(!settings.deploy.network_policy);
    assert_eq!(settings.deploy.resources.requests.cpu.map(|cpu| cpu.to_string()).as_deref(), Some("1"));
    assert_eq!(
        settings.deploy.resources.requests.memory.map(|memory| memory.to_string()).as_deref(),
        Some("2Gi")
    );
    assert_eq!(settings.deploy.node_selector.len(), 1);
    assert_eq!(settings.openhands.kubernetes.resource_cpu_request.as_str(), "2");
    assert_eq!(settings.env.get("EQUATION").map(String::as_str), Some("a=b"));
    assert_eq!(settings.deploy.min_ready_seconds, 5);

    for invalid in ["deploy.replicas", "=1", "a b=1", ""] {
        assert!(all_rendered(&read_set("", &[invalid])).contains("--set takes KEY=VALUE"), "{invalid}");
    }
    let output = all_rendered(&read_set("", &["deploy.replcas=1", "deploy.replicas=[1]"]));
    assert!(output.contains("--> --set:1:1: \"deploy.replcas\"\n      did you mean `replicas`?"), "{output}");
    assert!(output.contains("--> --set:1:17: \"[1]\""), "{output}");
}

#[test]
fn secret_reference_is_replaced_as_a_whole() {
    let folder = folder("[llm]\napi_key = { env = \"NO_SUCH\" }\n");
    let set = vec!["llm.api_key={ secret = \"a\", key = \"b\" }".to_owned()];
    let loaded = read(&Request { set, ..Request::default() }, &[], folder.path()).expect("settings");
    let source = SecretSource::Reference { secret: "a".into(), key: "b".into() };
    assert_eq!(loaded.settings.secrets.get("LLM_API_KEY"), Some(&source));
}

#[test]
fn secrets_are_read_from_variables_and_files() {
    let folder = folder("");
    std::fs::create_dir(folder.path().join("sub")).expect("folder");
    std::fs::write(folder.path().join("sub/key"), "sk-file\n").expect("file");
    let text =
        "[llm]\napi_key = { file = \"key\" }\n[deploy.env]\nTOKEN = { env = \"MY_TOKEN\" }\nA = \"b\"\n";
    std::fs::write(folder.path().join("sub/config.toml"), text).expect("file");
    let request = Request { files: vec!["sub/config.toml".into()], ..Request::default() };
    let environment = variables(&[("MY_TOKEN", "sk-variable"), ("HANDSCTL_CORE__JWT_SECRET", "sk-jwt")]);
    let loaded = read(&request, &environment, folder.path()).expect("settings");
    let exposed = |name: &str| match loaded.settings.secrets.get(name) {
        Some(SecretSource::Value(value)) => value.expose().to_owned(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        (exposed("LLM_API_KEY"), exposed("TOKEN"), exposed("JWT_SECRET")),
        ("sk-file".into(), "sk-variable".into(), "sk-jwt".into())
    );
    // A secret in a variable is not visible to others: no warning.
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.settings.env.len(), 1);

    let loaded = read_without_secrets(&request, &[], folder.path()).expect("no secret is read");
    let sources: Vec<String> = loaded.settings.secrets.values().map(ToString::to_string).collect();
    assert!(
        !sources.is_empty()
            && sources
                .iter()
                .all(|source| source.starts_with("environment variable") || source.starts_with("file")),
        "{sources:?}"
    );
    assert!(read(&request, &[], folder.path()).is_err());
}

#[test]
fn check_warns_of_secrets_that_deploy_cannot_read() {
    let text = "[llm]\napi_key = { env = \"NOT_SET\" }\n[core]\njwt_secret = { file = \"missing\" }\n\
                search_api_key = { env = \"WITH_BLANK\" }\n[deploy.env]\nA_TOKEN = { secret = \"a\", key = \"b\" }\n\
                B_TOKEN = { file = \"-\" }\nC_TOKEN = { env = \"SET\" }\nD_TOKEN = { file = \"empty\" }\n\
                [mcp]\nsse_servers = [{ url = \"https://a\", api_key = { env = \"NOT_SET\" } }]\n";
    let folder = folder(text);
    std::fs::write(folder.path().join("empty"), "\n").expect("file");
    let environment = variables(&[("SET", "sk-CANARY"), ("WITH_BLANK", "sk CANARY")]);
    let loaded = read_checking_secrets(&Request::default(), &environment, folder.path()).expect("settings");
    let reasons: Vec<(&str, &str)> =
        loaded.warnings.iter().map(|warning| (warning.id.code(), warning.label.as_str())).collect();
    let not_set = ("HC0330", "the environment variable NOT_SET is not set: export NOT_SET=…");
    let blank = "environment variable WITH_BLANK: character 3 is white space or a control character";
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert_eq!(reasons[0], not_set);
    assert!(reasons[1].1.starts_with("cannot read missing: "), "{reasons:?}");
    assert_eq!(reasons[2..], [("HC0330", blank), ("HC0330", "empty is empty"), not_set]);
    let shown = all_rendered(&Ok(loaded));
    assert!(
        shown.contains("`handsctl deploy` would fail: it could not read the secret LLM_API_KEY"),
        "{shown}"
    );
    assert!(shown.contains("config.toml:2:11") && !shown.contains("CANARY"), "{shown}");
    let loaded = read_without_secrets(&Request::default(), &[], folder.path()).expect("settings");
    assert_eq!(loaded.warnings, [], "only a check reads them");
}

#[test]
fn file_of_a_secret_is_named_with_its_folder() {
    let folder = folder("");
    std::fs::create_dir(folder.path().join("prod")).expect("folder");
    let text = "[llm]\napi_key = { file = \"key\" }\n[deploy]\nextra_manifests = [\"extra\"]\n";
    std::fs::write(folder.path().join("prod/config.toml"), text).expect("file");
    let request = Request { files: vec!["prod/config.toml".into()], ..Request::default() };
    let error = read(&request, &[], folder.path()).expect_err("there is no such file");
    let shown: Vec<String> =
        error.diagnostics().iter().map(|mistake| format!("{} {}", mistake.message, mistake.label)).collect();
    for file in ["prod/key", "prod/extra"] {
        let expected = format!("cannot read {file}: ");
        assert!(shown.iter().any(|text| text.contains(&expected)), "{file}: {shown:?}");
    }
}

#[test]
fn secrets_are_never_printed() {
    let text = "[llm]\napi_key = \"sk-1\"\n[core]\njwt_secret = 'sk-1'\n[deploy.env]\nMY_TOKEN = \"sk-1\"\n\
                [mcp]\nshttp_servers = [{ url = \"http://u\", api_key = \"sk-1\" }]\n[sandbox]\nruntime_startup_env_vars = { A_TOKEN = \"sk-1\", B = \"c\" }\n";
    let set = ["core.search_api_key=sk-1", "llm.aws_secret_access_key=\"sk-1\""];
    let loaded = read_set(text, &set).expect("settings");
    let everything = format!(
        "{loaded:?} {:?} {} {}",
        loaded.settings.origins(),
        loaded.settings.app_config_toml(),
        all_rendered(&Ok(loaded.clone()))
    );
    assert!(!everything.contains("sk-1"), "{everything}");
    let exposed: Vec<(&str, &str)> = loaded
        .settings
        .secrets
        .iter()
        .map(|(name, source)| match source {
            SecretSource::Value(value) => (name.as_str(), value.expose()),
            source => panic!("no reference was written: {source}"),
        })
        .collect();
    assert_eq!(
        exposed,
        [
            ("JWT_SECRET", "sk-1"),
            ("LLM_API_KEY", "sk-1"),
            ("LLM_AWS_SECRET_ACCESS_KEY", "sk-1"),
            ("MCP_SHTTP_SERVERS", r#"[{"api_key": "sk-1", "url": "http://u"}]"#),
            ("MY_TOKEN", "sk-1"),
            ("SANDBOX_RUNTIME_STARTUP_ENV_VARS", r#"{"A_TOKEN": "sk-1", "B": "c"}"#),
            ("SEARCH_API_KEY", "sk-1"),
        ]
    );
    // Not even if the file has other errors.
    for invalid in [
        "[llm]\napi_key = \"sk-1\nmodel = 1\n",
        "[llm]\napi_key = \"sk-1\"\nmodel = 1\n",
        "[llm]\napi_kye = \"sk-1\"\n",
        "[llm\napi_key = 'sk-1'\n",
    ] {
        let error = read_text(invalid).expect_err("wrong");
        assert!(!format!("{error:?} {:?}", error.diagnostics()).contains("sk-1"), "{invalid}");
    }
}

#[test]
fn secret_in_mistyped_reference_is_never_printed() {
    let values = [
        "{ enw = \"sk-CANARY\" }",
        "{ env = \"X\", v = \"sk-CANARY\" }",
        "[\"sk-CANARY\"]",
        "{ enw = \"sk-CANARY\"",
    ];
    let keys = ["llm.api_key", "deploy.env.X", "llm.api_kye"];
    let assert_hidden = |result: &Result<_, crate::error::Error>, what: &str| {
        let printed = format!("{} {result:?}", all_rendered(result));
        assert!(!printed.contains("sk-CANARY"), "{what}: {printed}");
    };
    for (key, value) in keys.iter().flat_map(|key| values.iter().map(move |value| (key, value))) {
        // A plain text under a name that is not sensitive is no secret.
        if *key == "deploy.env.X" && !value.ends_with('}') {
            continue;
        }
        let set = format!("{key}={value}");
        assert_hidden(&read_set("", &[&set]), &set);
        let name = format!("HANDSCTL_{}", key.replace('.', "__").to_ascii_uppercase());
        let result = read(&Request::default(), &variables(&[(&name, value)]), folder("").path());
        assert_hidden(&result, &name);
    }
    let set = "sandbox.env={X_API_KEY=\"sk-CANARY\"}";
    assert_hidden(&read_set("", &[set]), set);
}

#[test]
fn setting_that_cannot_be_parsed_shows_no_value() {
    let shown = |result: &Result<Loaded, crate::error::Error>| {
        let rest = match result {
            Ok(loaded) => format!("{:?}", loaded.settings.origins()),
            Err(error) => format!("{error:?} {:?}", error.diagnostics()),
        };
        format!("{} {rest}", all_rendered(result))
    };
    for set in [
        "sk-CANARY",
        "llm.api_key sk-CANARY",
        "deploy.env={X=\"sk-CANARY\"",
        "mcp.sse_servers=[{url=\"https://a\", x=\"sk-CANARY\"}",
        "deploy..env.X=sk-CANARY",
        "api_key=sk-CANARY",
        "deploy.api_kye=sk-CANARY",
        "foo=sk-CANARY",
        "llm.foo=sk-CANARY",
        "llm.base_url=https://me:sk-CANARY@host",
        "llm.base_url=\"https://host?api_key=sk-CANARY\"",
    ] {
        let result = read_set("", &[set]);
        let printed = shown(&result);
        assert!(!printed.contains("sk-CANARY"), "{set}: {printed}");
        let masked = crate::settings::masked_set(set).expect("the schema");
        assert!(!masked.contains("sk-CANARY"), "{set}: {masked}");
    }
    for set in ["storage_size=10Gi", "deploy.storage_sise=10Gi"] {
        assert_eq!(crate::settings::masked_set(set).expect("the schema"), set, "no secret has this name");
    }
    for (name, value) in [
        ("HANDSCTL_DEPLOY__ENV", "{X=\"sk-CANARY\""),
        ("HANDSCTL_MCP__SSE_SERVERS", "[{url=\"https://a\", x=\"sk-CANARY\"}"),
        ("HANDSCTL_LLM__BASE_URL", "https://me:sk-CANARY@host"),
    ] {
        let result = read(&Request::default(), &variables(&[(name, value)]), folder("").path());
        let printed = shown(&result);
        assert!(!printed.contains("sk-CANARY"), "{name}: {printed}");
    }
}

#[test]
fn url_with_a_password_is_a_secret() {
    let text = "[deploy.env]\nDATA = \"postgres://me:sk-CANARY@db/x\"\nSMTP_PASS = \"sk-CANARY\"\nOTHER = \"https://a/b\"\n\
                [mcp]\nsse_servers = [\"https://me:sk-CANARY@host/sse\"]\n[llm]\nbase_url = \"https://me:sk-CANARY@host\"\n";
    let loaded = read_text(text).expect("settings");
    let settings = &loaded.settings;
    assert_eq!(settings.env.keys().collect::<Vec<_>>(), ["OTHER"]);
    assert_eq!(settings.secrets.keys().collect::<Vec<_>>(), ["DATA", "MCP_SSE_SERVERS", "SMTP_PASS"]);
    assert_eq!(settings.redacted("log: sk-CANARY!"), "log: (redacted)!");
    let ids: Vec<&str> = loaded.warnings.iter().map(|warning| warning.id.code()).collect();
    assert_eq!(ids.iter().filter(|id| **id == "HC0275").count(), 1, "{ids:?}");
    let shown = format!("{:?} {}", settings.origins(), all_rendered(&Ok(loaded.clone())));
    assert!(!shown.contains("sk-CANARY"), "{shown}");
}

#[test]
fn line_breaks_and_marks_around_a_secret_are_removed() {
    let text = "[llm]\napi_key = \"sk-1\\r\\n\"\n[core]\nsearch_api_key = { env = \"KEY\" }\njwt_secret = { file = \"jwt\" }\n";
    let folder = folder(text);
    std::fs::write(folder.path().join("jwt"), "\u{feff}sk-3\r\n\r\n").expect("file");
    let environment = variables(&[("KEY", "sk-2\r")]);
    let settings = read(&Request::default(), &environment, folder.path()).expect("settings").settings;
    for (name, expected) in [("LLM_API_KEY", "sk-1"), ("SEARCH_API_KEY", "sk-2"), ("JWT_SECRET", "sk-3")] {
        match settings.secrets.get(name) {
            Some(SecretSource::Value(value)) => assert_eq!(value.expose(), expected),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn white_space_inside_of_an_api_key_is_an_error() {
    let servers = |key: &str| format!("[mcp]\nsse_servers = [{{ url = \"https://a\", api_key = {key} }}]\n");
    let variable = "{ env = \"KEY\" }";
    for text in [
        "[llm]\napi_key = \"sk CANARY\"\n".to_owned(),
        format!("[llm]\napi_key = {variable}\n"),
        servers("\"sk CANARY\""),
        servers(variable),
        format!("[[mcp.stdio_servers]]\nname = \"a\"\ncommand = \"b\"\nenv = {{ TOKEN = {variable} }}\n"),
        format!("[sandbox.runtime_startup_env_vars]\nGH_TOKEN = {variable}\n"),
    ] {
        let text = text.as_str();
        let environment = variables(&[("KEY", "sk\rCANARY")]);
        let error = read(&Request::default(), &environment, folder(text).path()).expect_err(text);
        assert_eq!(error.id(), crate::catalogue::Id::SecretUnavailable);
        let shown = format!("{error:?} {:?}", error.diagnostics());
        assert!(shown.contains("character 3 is white space") && !shown.contains("CANARY"), "{shown}");
    }
}

#[test]
fn secret_that_is_not_needed_is_hidden_as_well() {
    let folder = folder(
        "[llm]\napi_key = { env = \"KEY\" }\n[deploy.env]\nGH_TOKEN = { file = \"token\" }\nFIFO_TOKEN = { file = \"fifo\" }\n\
         [mcp]\nsse_servers = [{ url = \"https://a\", api_key = { env = \"MCP\" } },\n\
         { url = \"https://b\", api_key = { file = \"mcp\" } }]\n",
    );
    let environment = variables(&[("KEY", "sk-planted-1"), ("MCP", "sk-planted-2")]);
    std::fs::write(folder.path().join("token"), "sk-planted-3\n").expect("token");
    std::fs::write(folder.path().join("mcp"), "sk-planted-4\n").expect("mcp");
    // A named pipe can be read only once: reading it would block here.
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status().expect("mkfifo");
    assert!(made.success());
    for read in [read_without_secrets, read_unapplied, read_checking_secrets] {
        let loaded = read(&Request::default(), &environment, folder.path()).expect("settings");
        let shown = loaded.settings.redacted("sk-planted-1 sk-planted-2 sk-planted-3 sk-planted-4");
        assert_eq!(shown, "(redacted) (redacted) (redacted) (redacted)");
        assert!(matches!(loaded.settings.secrets.get("LLM_API_KEY"), Some(SecretSource::NotRead(_))));
        assert!(matches!(loaded.settings.secrets.get("GH_TOKEN"), Some(SecretSource::NotRead(_))));
    }
}

#[test]
fn public_name_is_not_hidden_although_it_is_a_password() {
    let text = "[deploy]\nname = \"openhands\"\n[deploy.env]\nSMTP_PASS = \"openhands\"\n";
    let settings = read_text(text).expect("settings").settings;
    assert_eq!(settings.redacted("deployment/openhands"), "deployment/openhands");
    let settings =
        read_text("[llm]\nmodel = \"ollama/llama3\"\napi_key = \"ollama\"\n").expect("settings").settings;
    assert_eq!(settings.redacted("model ollama/llama3"), "model ollama/llama3");
}

#[test]
fn list_with_references_becomes_one_variable() {
    let text = "[mcp]\nsse_servers = [{ url = \"https://a\" }, { url = \"https://b\", api_key = { env = \"KEY\" } }]\n\
                [[mcp.stdio_servers]]\nname = \"c\"\ncommand = \"d\"\nenv = { TOKEN = { file = \"token\" }, PLAIN = \"e\" }\n\
                [sandbox.runtime_startup_env_vars]\nGH = { env = \"KEY\" }\nLANG = \"C\"\n";
    let folder = folder(text);
    std::fs::write(folder.path().join("token"), "from-a-file\n").expect("token");
    let environment = variables(&[("KEY", "from-a-variable")]);
    let loaded = read(&Request::default(), &environment, folder.path()).expect("settings");
    assert_eq!(loaded.warnings, [], "the file contains no secret");
    let settings = loaded.settings;
    let exposed = |name: &str| match settings.secrets.get(name) {
        Some(SecretSource::Value(value)) => value.expose().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        exposed("MCP_SSE_SERVERS"),
        r#"[{"url": "https://a"}, {"api_key": "from-a-variable", "url": "https://b"}]"#
    );
    assert_eq!(
        exposed("MCP_STDIO_SERVERS"),
        r#"[{"command": "d", "env": {"PLAIN": "e", "TOKEN": "from-a-file"}, "name": "c"}]"#
    );
    assert_eq!(exposed("SANDBOX_RUNTIME_STARTUP_ENV_VARS"), r#"{"GH": "from-a-variable", "LANG": "C"}"#);
    assert!(!settings.app_config_toml().contains("mcp"), "{}", settings.app_config_toml());
    assert_eq!(settings.redacted("log: from-a-file!"), "log: (redacted)!");

    // `render` reads no secret and names the sources.
    let loaded = read_without_secrets(&Request::default(), &[], folder.path()).expect("settings");
    assert_eq!(
        loaded.settings.secrets.get("MCP_SSE_SERVERS").map(ToString::to_string).as_deref(),
        Some("environment variable KEY")
    );
}

/// A condenser's model, an agent's extension: only config.toml has them, and it is part of the Secret then.
#[test]
fn references_in_untyped_tables_are_resolved() {
    for (text, expected) in [
        (
            "[condenser]\ntype = \"llm\"\nllm_config = { model = \"m\", api_key = { env = \"KEY\" } }\n",
            "api_key = \"from-a-variable\"",
        ),
        (
            "[agent.a.condenser]\ntype = \"llm\"\nllm_config = { model = \"m\", api_key = { env = \"KEY\" } }\n",
            "api_key = \"from-a-variable\"",
        ),
        ("[agent.a.extended]\napi_key = { env = \"KEY\" }\n", "api_key = \"from-a-variable\""),
        ("[extended]\nx = { auth_token = { env = \"KEY\" } }\n", "auth_token = \"from-a-variable\""),
    ] {
        let folder = folder(text);
        let environment = variables(&[("KEY", "from-a-variable")]);
        let settings = read(&Request::default(), &environment, folder.path()).expect(text).settings;
        let secret = settings.secret_app_config().expect(text);
        assert!(secret.expose().contains(expected), "{}", secret.expose());
        assert!(!settings.app_config_toml().contains("KEY"), "{}", settings.app_config_toml());
        let of_cluster = text.replace("env = \"KEY\"", "secret = \"s\", key = \"k\"");
        let error = read_text(&of_cluster).expect_err(text);
        let message = &error.diagnostics()[0].message;
        assert!(message.contains("cannot be a Secret of the cluster"), "{message}");
        let incomplete = text.replace("env = \"KEY\"", "secret = \"s\"");
        let error = read_text(&incomplete).expect_err(text);
        assert!(error.diagnostics()[0].message.ends_with("is not a secret reference"), "{error:?}");
        let missing = read_text(text).expect_err(text);
        assert!(missing.diagnostics()[0].label.contains("KEY is not set"), "{missing:?}");
    }
}

#[test]
fn token_of_a_public_url_is_hidden_elsewhere() {
    let settings =
        read_text("[llm]\nbase_url = \"https://tok-planted@host/v1\"\n").expect("a warning").settings;
    assert_eq!(settings.redacted("401 for tok-planted"), "401 for (redacted)");
}

/// `NS=` in a script: the file's choice stays.
#[test]
fn empty_variable_does_not_replace_the_chosen_installation() {
    let folder = folder("[deploy]\nname = \"foo\"\nnamespace = \"team\"\n[cluster]\nname = \"mine\"\n");
    let environment = variables(&[
        ("HANDSCTL_DEPLOY__NAME", ""),
        ("HANDSCTL_DEPLOY__NAMESPACE", ""),
        ("HANDSCTL_CLUSTER__NAME", ""),
    ]);
    let settings = read(&Request::default(), &environment, folder.path()).unwrap().settings;
    let chosen =
        [settings.deploy.name.as_str(), settings.deploy.namespace.as_str(), settings.cluster.name.as_str()];
    assert_eq!(chosen, ["foo", "team", "mine"]);
}
