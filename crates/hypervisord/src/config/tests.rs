use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;

const CONNECTION: &str = "vcenter_url: vc.example.com\nusername: backup\npassword: pw\n";

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load_with(yaml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, yaml).unwrap();
    Config::load(&Sources { file: Some(file), environment: environment(variables), ..Sources::default() })
}

fn load(yaml: &str) -> Result<Config, ConfigError> {
    load_with(yaml, &[])
}

fn password(config: &Config) -> &str {
    config.providers[0].password.expose_secret()
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.timeout, Some(Duration::from_secs(3600)));
    assert_eq!(config.download_workers, 3);
    assert_eq!(config.retry_attempts, 3);
    assert_eq!(config.retry_delay, Duration::from_secs(5));
    assert_eq!(config.daemon_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database.to_string(), "./hypersdk.db");
    assert_eq!(config.log.level, "info");
    assert!(config.providers.is_empty() && config.warnings.is_empty());
}

#[test]
fn each_mistake_names_key_line_and_remedy() {
    let cases: &[(&str, &str, u64, &str)] = &[
        ("log_level: info\nretry_atempts: 3\n", "retry_atempts", 2, "did you mean retry_attempts?"),
        ("\n\nzzz: 3\n", "zzz", 3, "known here: vcenter_url"),
        ("timeout: 30\n", "timeout", 1, "no unit"),
        ("timeout: [30s]\n", "timeout", 1, "expected one value"),
        ("timeout: {a: b}\n", "timeout", 1, "expected one value"),
        ("download_workers: 0\n", "download_workers", 1, "from 1 to 64"),
        ("retry_attempts: many\n", "retry_attempts", 1, "whole number"),
        ("log_level: inof\n", "log_level", 1, "did you mean info?"),
        ("log_format: xml\n", "log_format", 1, "text, json, journald"),
        ("log_format: journald\nlog_file: /x\n", "log_file", 2, "leave one of them out"),
        ("traces:\n  endpoint: collector\n", "traces.endpoint", 2, "not a URL"),
        ("traces:\n  endpoint: grpc://collector\n", "traces.endpoint", 2, "http://HOST:4318"),
        ("traces:\n  endpoint: http://me:x@collector\n", "traces.endpoint", 2, "OTEL_EXPORTER_OTLP_HEADERS"),
        ("traces:\n  sample: 2\n", "traces.sample", 2, "from 0 to 1"),
        ("timeout: 1h\nlog_level: info\ntimeout: 2h\n", "timeout", 3, "first on line 1"),
        ("daemon_addr: 8080\n", "daemon_addr", 1, "HOST:PORT"),
        ("x: y\ndaemon_addr: 0.0.0.0:8080\n", "daemon_addr", 2, "allow_unauthenticated: true"),
        ("username: x\n", "username", 1, "vcenter_url"),
        ("vcenter_url: vc\nusername: x\n", "password", 1, "password_file"),
        ("vcenter_url: vc\npassword: x\n", "username", 1, "missing"),
        ("vcenter_url: ftp://vc\nusername: x\npassword: y\n", "vcenter_url", 1, "https"),
        ("vcenter_url: vc\nusername: x\npassword: ${NOPE}\n", "password", 3, "NOPE"),
        ("vcenter_url: vc\nusername: x\npassword: a\npassword_file: b\n", "password_file", 4, "not both"),
        ("vcenter_url: vc\nusername: x\npassword_file: /nowhere/pw\n", "password_file", 3, "cannot read"),
        ("vcenter_url: vc\nusername: x\npassword: a\nca_file: /nowhere/ca\n", "ca_file", 4, "cannot read"),
        ("insecure: perhaps\nvcenter_url: vc\nusername: x\npassword: a\n", "insecure", 1, "true nor false"),
        ("vcenter_url: vc\nusername: \"A\\backup\"\npassword: a\n", "username", 2, "single quotes"),
        ("vcenter_url: vc\nusername: x\npassword: a\nthumbprint: AB\n", "thumbprint", 4, "SHA-256"),
        ("vcenter_url: vc\nusername: x\npassword: a\nproxy: 10.0.0.1:3128\n", "proxy", 4, "http://proxy"),
        ("providers: vc\n", "providers", 1, "list"),
        ("providers:\n  - vcenter_url: vc\n", "providers[0].name", 2, "missing"),
        ("providers:\n  - name: a\n    usrname: x\n", "providers[0].usrname", 3, "did you mean username?"),
        ("providers:\n  - name: a\n    type: proxmox\n", "providers[0].type", 3, "vsphere"),
        ("database_url: postgres://u:s3cret@x\n", "database_url", 1, "names no database"),
        ("database_url: postgres://u@x/y?tls=1\n", "database_url", 1, "sslmode"),
        ("database_password: x\n", "database_password", 1, "without a postgres: URL"),
        (
            "database_url: postgres://u:x@localhost/y\ndatabase_password: x\n",
            "database_password",
            2,
            "not in both",
        ),
        ("webhooks:\n  - name: a\n", "webhooks[0].url", 2, "missing"),
        ("webhooks:\n  - url: nonsense\n", "webhooks[0].url", 2, "is no URL"),
        ("webhooks:\n  - url: http://127.0.0.1/\n", "webhooks[0].url", 2, "allow_private: true"),
        (
            "webhooks:\n  - url: https://x.example\n    evnts: a\n",
            "webhooks[0].evnts",
            3,
            "did you mean events?",
        ),
        (
            "webhooks:\n  - url: https://x.example\n    events:\n      - job.*\n      - job.complete\n",
            "webhooks[0].events[1]",
            5,
            "did you mean job.completed?",
        ),
        ("webhooks:\n  - url: https://x.example\n    timeout: 30\n", "webhooks[0].timeout", 3, "no unit"),
        ("webhooks:\n  - url: https://x.example\n    retry: often\n", "webhooks[0].retry", 3, "whole number"),
        (
            "webhooks:\n  - url: https://x.example\n    secret: hunter2\n",
            "webhooks[0].secret",
            3,
            "too short",
        ),
        (
            "webhooks:\n  - url: https://x.example\n    headers:\n      X Y: a\n",
            "webhooks[0].headers.X Y",
            4,
            "header",
        ),
        (
            "webhooks:\n  - url: https://x.example\n  - url: https://x.example\n",
            "webhooks[1].name",
            3,
            "name",
        ),
        ("secret_key_file: /nowhere/key\n", "secret_key_file", 1, "hypervisord secret-key"),
        ("database_url: mysql://x\n", "database_url", 1, "sqlite:"),
        ("export_root: srv\n", "export_root", 1, "absolute"),
        ("vcenterurl: a\nvcenter_url: b\n", "vcenter_url", 2, "given twice"),
        ("connection_pool: 5\n", "connection_pool", 1, "keys and values"),
        ("connection_pool:\n  max_connections: 0\n", "connection_pool.max_connections", 2, "from 1 to 100"),
        ("inventory_cache:\n  idle_timeout: 0s\n", "inventory_cache.idle_timeout", 2, "longer than zero"),
        ("connection_pool:\n  idle_timeout: 0s\n", "connection_pool.idle_timeout", 2, "longer than zero"),
        ("connection_pool:\n  max_conections: 3\n", "connection_pool.max_conections", 2, "max_connections"),
        ("- a\n", "", 1, "keys and values"),
        ("a: [\n", "", 1, "unclosed"),
    ];
    for (yaml, key, line, message) in cases {
        let error = load(yaml).expect_err(yaml);
        let found = error.mistakes.iter().find(|mistake| mistake.key == *key);
        let mistake = found.unwrap_or_else(|| panic!("{yaml:?}: no mistake at {key:?} in {error}"));
        assert_eq!(mistake.line(), Some(*line), "{yaml:?}: {mistake}");
        assert!(mistake.message.contains(message), "{yaml:?}: {mistake}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_their_lines() {
    let error = load("timeout: 30\nretry_atempts: 3\nlog_level: loud\n").unwrap_err();
    let keys: Vec<_> = error.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, ["timeout", "retry_atempts", "log_level"], "{error}");
    assert!(error.to_string().contains("config.yaml:2:1: retry_atempts: unknown key"), "{error}");
}

#[test]
fn a_missing_file_is_a_mistake() {
    let sources = Sources { file: Some("no-such.yaml".into()), ..Sources::default() };
    let error = Config::load(&sources).unwrap_err();
    assert!(error.to_string().starts_with("no-such.yaml: cannot be read"), "{error}");
}

#[test]
fn a_password_stays_the_text_that_was_written() {
    for text in ["12345", "007", "true", "1e3", "0x1F", "null-ish", "\"a: b\"", "'#x'"] {
        let config = load(&format!("vcenter_url: vc\nusername: u\npassword: {text}\n")).unwrap();
        assert_eq!(password(&config), text.trim_matches(['"', '\'']), "in a file");
    }
    for text in ["12345", "007", "true", "[abc]", "{a: b}", "${HOME}", "a,b", "\"q\""] {
        let config = load_with(CONNECTION, &[("HYPERSDK_PASSWORD", text)]).unwrap();
        assert_eq!(password(&config), text, "in the environment");
    }
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, "log_level: warn\ndaemon_addr: 127.0.0.1:1\ntimeout: 1m\n").unwrap();
    let config = Config::load(&Sources {
        file: Some(file),
        environment: environment(&[("HYPERSDK_LOG_LEVEL", "error"), ("HYPERSDK_DAEMON_ADDR", "127.0.0.1:2")]),
        addr: Some("127.0.0.1:3".to_owned()),
        log_level: None,
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(config.log.level, "error");
    assert_eq!(config.daemon_addr.port(), 3);
    assert_eq!(config.timeout, Some(Duration::from_secs(60)));
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = load_with("log_level: warn\n", &[("HYPERSDK_LOG_LEVEL", "")]).unwrap();
    assert_eq!(config.log.level, "warn");
}

#[test]
fn a_mistake_names_the_variable_or_flag_it_is_in() {
    let error = load_with("", &[("HYPERSDK_TIMEOUT", "soon")]).unwrap_err();
    assert!(error.to_string().starts_with("environment HYPERSDK_TIMEOUT: timeout: "), "{error}");
    let error =
        Config::load(&Sources { log_level: Some("loud".to_owned()), ..Sources::default() }).unwrap_err();
    assert!(error.to_string().starts_with("flag --log-level: log_level: "), "{error}");
}

#[test]
fn a_variable_that_is_no_key_is_warned_of() {
    let config = load_with("", &[("HYPERSDK_PORT", "tcp://10.0.0.1"), ("HYPERSDK_TIMEOT", "1s")]).unwrap();
    assert!(config.warnings.iter().any(|warning| warning.contains("HYPERSDK_PORT")));
    assert!(config.warnings.iter().any(|warning| warning.contains("did you mean timeout?")));
}

#[test]
fn spellings_of_earlier_versions_are_read_with_a_warning() {
    let config =
        load("vcenterurl: vc\nusername: u\npassword: p\ndaemonaddr: 127.0.0.1:9\ndownloadworkers: 5\n")
            .unwrap();
    assert_eq!(config.daemon_addr.port(), 9);
    assert_eq!(config.download_workers, 5);
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("old spelling of vcenter_url"));
}

#[test]
fn an_address_is_completed_and_a_login_in_it_taken_apart() {
    let config = load("vcenter_url: vc.example.com\nusername: u\npassword: p\n").unwrap();
    assert_eq!(config.providers[0].vcenter_url.as_str(), "https://vc.example.com/sdk");
    let config = load("vcenter_url: https://a%40b:p%2Bq+r@vc.example.com:8443/\n").unwrap();
    assert_eq!(config.providers[0].vcenter_url.as_str(), "https://vc.example.com:8443/sdk");
    assert_eq!(config.providers[0].username, "a@b");
    assert_eq!(password(&config), "p+q+r");
}

#[test]
fn several_connections_have_names() {
    let config = load(
        "vcenter_url: a\nusername: u\npassword: p\nproviders:\n  - {name: berlin, vcenter_url: b, username: u, \
         password: p, insecure: true}\n  - {name: paris, type: vsphere, vcenter_url: c, username: u, password: p}\n",
    )
    .unwrap();
    let names: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["default", "berlin", "paris"]);
    assert!(config.providers[1].insecure && !config.providers[2].insecure);
    let error = load(
        "providers:\n  - {name: a, vcenter_url: b, username: u, password: p}\n  - {name: a, vcenter_url: b}\n",
    )
    .unwrap_err();
    assert!(error.to_string().contains("another connection"), "{error}");
}

#[test]
fn govc_names_are_honoured_when_nothing_else_is_set() {
    let govc = [
        ("GOVC_URL", "vc.example.com"),
        ("GOVC_USERNAME", "u"),
        ("GOVC_PASSWORD", "007"),
        ("GOVC_INSECURE", "1"),
    ];
    let config = load_with("", &govc).unwrap();
    assert!(config.providers[0].insecure);
    assert_eq!(password(&config), "007");
    let config = load_with(CONNECTION, &govc).unwrap();
    assert_eq!(config.providers[0].username, "backup");
    assert!(!config.providers[0].insecure);
}

#[test]
fn passwords_come_from_files_and_credentials_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pw");
    std::fs::write(&file, "from-file\n").unwrap();
    std::fs::write(dir.path().join("hypersdk.password"), "from-systemd\n").unwrap();
    let base = "vcenter_url: vc\nusername: u\n";
    let config = load(&format!("{base}password_file: {}\n", file.display())).unwrap();
    assert_eq!(password(&config), "from-file");
    let credentials = dir.path().display().to_string();
    let config = load_with(base, &[("CREDENTIALS_DIRECTORY", &credentials)]).unwrap();
    assert_eq!(password(&config), "from-systemd");
    let config = load_with(&format!("{base}password: x${{PW}}\n"), &[("PW", "y")]).unwrap();
    assert_eq!(password(&config), "xy");
}

#[test]
fn an_open_address_needs_a_decision() {
    let config = load("daemon_addr: 0.0.0.0:8080\nallow_unauthenticated: true\n").unwrap();
    assert!(config.warnings[0].contains("not a loopback address"), "{:?}", config.warnings);
}

#[test]
fn the_session_pool_is_read_and_handed_to_each_connection() {
    assert_eq!(load("").unwrap().session_pool.max_connections, 5);
    let config = load(&format!(
        "{CONNECTION}connectionpool:\n  enabled: false\n  max_connections: 9\n  idle_timeout: 1m30s\n"
    ))
    .unwrap();
    let pool = &config.session_pool;
    assert!(!pool.enabled);
    assert_eq!(pool.idle_timeout, Duration::from_secs(90));
    assert_eq!(pool.health_check_interval, Duration::from_secs(30));
    let value = config.providers[0].to_value();
    assert_eq!(value["connection_pool"]["max_connections"], 9);
    hypersdk_vsphere::factory(&value).expect("the provider reads it");
}

#[test]
fn whether_the_inventory_is_kept_is_handed_to_each_connection() {
    assert!(load("").unwrap().inventory_cache.enabled);
    let config =
        load(&format!("{CONNECTION}inventory_cache:\n  enabled: false\n  idle_timeout: 1h\n")).unwrap();
    let value = config.providers[0].to_value();
    assert_eq!(value["inventory_cache"], serde_json::json!({ "enabled": false, "idle_timeout": "1h" }));
    let provider = hypersdk_vsphere::factory(&value).expect("the provider reads it");
    assert!(provider.inventory().is_none());
}

#[test]
fn what_is_shown_reads_back_the_same_and_keeps_the_secret() {
    let config =
        load(&format!("{CONNECTION}timeout: 1h30m\nexport_root: /srv\nlog_file: /tmp/x.log\n")).unwrap();
    let shown = config.to_yaml();
    assert!(shown.contains("timeout: 1h30m") && shown.contains("********"), "{shown}");
    assert!(!shown.contains("pw"), "{shown}");
    let again = load(&shown).unwrap();
    assert_eq!(again.to_yaml(), shown);
}

#[test]
fn no_debug_output_holds_a_password() {
    let config = load("vcenter_url: vc\nusername: u\npassword: hunter2\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_look_at_a_wrong_configuration_shows_the_defaults_in_place_of_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, "timeout: 30\nretry_delay: 7s\n").unwrap();
    let (config, mistakes) = Config::inspect(&Sources { file: Some(file), ..Sources::default() });
    let shown = config.unwrap().to_yaml();
    assert!(shown.contains("timeout: 1h") && shown.contains("retry_delay: 7s"), "{shown}");
    assert_eq!(mistakes.len(), 1);
}

#[test]
fn the_example_documents_every_key_with_its_default() {
    let example = include_str!("../../../../config.example.yaml");
    for key in keys::TOP.names() {
        assert!(example.contains(&format!("#{key}:")), "{key} is missing");
    }
    for (key, default) in keys::TOP.defaults() {
        assert!(example.contains(&format!("#{key}: {default}\n")), "{key} is not {default}");
    }
    let defaults: String = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| {
            let key = line.split(':').next().unwrap_or_default();
            keys::TOP.defaults().any(|(name, _)| name == key)
        })
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(load(&defaults).unwrap().to_yaml(), load("").unwrap().to_yaml());
}

#[test]
fn accounts_of_a_domain_are_read_as_they_are_written() {
    for (yaml, account) in [
        ("VSPHERE.LOCAL\\backup", "VSPHERE.LOCAL\\backup"),
        ("'VSPHERE.LOCAL\\backup'", "VSPHERE.LOCAL\\backup"),
        ("\"VSPHERE.LOCAL\\\\backup\"", "VSPHERE.LOCAL\\backup"),
        ("backup@vsphere.local", "backup@vsphere.local"),
    ] {
        let config = load(&format!("vcenter_url: vc\nusername: {yaml}\npassword: p\n")).unwrap();
        assert_eq!(config.providers[0].username, account, "{yaml}");
    }
    let config = load("vcenter_url: https://VSPHERE.LOCAL%5Cbackup:p@vc\n").unwrap();
    assert_eq!(config.providers[0].username, "VSPHERE.LOCAL\\backup");
}

#[test]
fn a_named_connection_has_a_credential_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hypersdk.berlin.password"), "of-berlin\n").unwrap();
    let credentials = dir.path().display().to_string();
    let yaml = "providers:\n  - {name: berlin, vcenter_url: b, username: u}\n";
    let config = load_with(yaml, &[("CREDENTIALS_DIRECTORY", &credentials)]).unwrap();
    assert_eq!(password(&config), "of-berlin");
    assert!(load(yaml).unwrap_err().to_string().contains("hypersdk.berlin.password"));
}

#[test]
fn the_password_of_a_proxy_is_never_shown() {
    let config = load(&format!("{CONNECTION}proxy: http://user:hunter2@proxy:3128\n")).unwrap();
    let shown = config.to_yaml();
    assert!(shown.contains("proxy:3128") && !shown.contains("hunter2"), "{shown}");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn files_of_conf_d_override_the_file_and_lists_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    write(
        "config.yaml",
        "timeout: 1m\nretry_delay: 1s\nlimits:\n  per_host: 1\n  per_vcenter: 2\nproviders:\n  - {name: a, vcenter_url: a, \
         username: u, password: p}\n",
    );
    write(
        "conf.d/20-more.yaml",
        "timeout: 3m\nproviders:\n  - {name: b, vcenter_url: b, username: u, password: p}\n",
    );
    write("conf.d/10-less.yaml", "timeout: 2m\nlimits:\n  per_host: 7\n");
    write("conf.d/.hidden.yaml", "nonsense: 1\n");
    write("conf.d/old.yml", "nonsense: 1\n");
    let sources = Sources {
        file: Some(dir.path().join("config.yaml")),
        environment: environment(&[("HYPERSDK_RETRY_DELAY", "9s")]),
        ..Sources::default()
    };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.timeout, Some(Duration::from_secs(180)), "the last file counts");
    assert_eq!(config.retry_delay, Duration::from_secs(9), "the environment overrides every file");
    assert_eq!((config.caps.per_host, config.caps.per_provider), (7, 2), "keys of a section add up");
    let names: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("old.yml: ignored"), "{:?}", config.warnings);
}

#[test]
fn a_mistake_in_a_file_of_conf_d_is_told_with_that_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    write(
        "config.yaml",
        "timeout: 30\nproviders:\n  - {name: a, vcenter_url: a, username: u, password: p}\n",
    );
    write(
        "conf.d/b.yaml",
        "log_levl: info\nproviders:\n  - name: a\n    vcenter_url: b\n    insecure: maybe\n",
    );
    write("conf.d/c.yaml", "password: x\n");
    let sources = Sources { file: Some(dir.path().join("config.yaml")), ..Sources::default() };
    let error = Config::load(&sources).unwrap_err().to_string();
    let lines: Vec<&str> =
        error.lines().map(|line| line.rsplit_once(&*dir.path().to_string_lossy()).unwrap().1).collect();
    assert_eq!(lines.len(), 7, "{error}");
    for (line, start) in lines.iter().zip([
        "/config.yaml:1:1: timeout: ",
        "/conf.d/b.yaml:1:1: log_levl: ",
        "/conf.d/b.yaml:3:",
        "/conf.d/b.yaml:3:",
        "/conf.d/b.yaml:3:",
        "/conf.d/b.yaml:5:5: providers[1].insecure: ",
        "/conf.d/c.yaml:1:1: password: ",
    ]) {
        assert!(line.starts_with(start), "{line} does not begin with {start}");
    }
}

#[test]
fn one_file_that_is_no_yaml_does_not_hide_the_mistakes_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::fs::write(dir.path().join("config.yaml"), "a: [\n").unwrap();
    std::fs::write(dir.path().join("conf.d/b.yaml"), "timout: 1s\n").unwrap();
    let sources = Sources { file: Some(dir.path().join("config.yaml")), ..Sources::default() };
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(error.mistakes.len(), 2, "{error}");
    assert!(error.to_string().contains("did you mean timeout?"), "{error}");
}

#[test]
fn a_secret_of_a_later_file_takes_the_place_of_an_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    std::fs::write(dir.path().join("pw"), "from-file\n").unwrap();
    std::fs::write(dir.path().join("config.yaml"), CONNECTION).unwrap();
    let further = format!("password_file: {}\n", dir.path().join("pw").display());
    std::fs::write(dir.path().join("conf.d/b.yaml"), further).unwrap();
    let sources = Sources { file: Some(dir.path().join("config.yaml")), ..Sources::default() };
    assert_eq!(password(&Config::load(&sources).unwrap()), "from-file");
}
