//! `[[database]]`, `[[cache]]`, `[prometheus]`, `[check]` and what belongs to them: each mistake is
//! told at its place with its mend, and no password is shown.

use std::fs;

use super::*;
use crate::domain::Unit;

const URL: &str = "url = 'postgres://bot@db/treasury'\n";

/// A file with the service `orders` before this text; lines are counted from this text on.
fn beside(text: &str) -> String {
    format!("{text}[[service]]\nname = 'orders'\ncontainer = 'c'\n")
}

/// `[[database]]` with its URL and these lines, which begin in line 3.
fn database(lines: &str) -> String {
    format!("[[database]]\n{URL}{lines}")
}

/// `[[cache]]` with its URL and these lines, which begin in line 3.
fn cache(lines: &str) -> String {
    format!("[[cache]]\nurl = 'redis://h'\n{lines}")
}

fn tells(cases: &[(String, &str)]) {
    for (text, expected) in cases {
        assert_eq!(told(&bad(&beside(text))), [*expected], "{text}");
    }
}

#[test]
fn a_section_that_is_no_list_and_a_key_that_is_none_are_told() {
    tells(&[
        (
            "[database]\nurl = 'postgres://db/d'\n".into(),
            "1:2 `database` must be a list of tables, not a table (write `[[database]]`)",
        ),
        (
            "database = ['postgres://db/d']\n".into(),
            "1:13 `database` must list tables, not a string (write `[[database]]`)",
        ),
        (
            "cache = 'redis://h'\n".into(),
            "1:1 `cache` must be a list of tables, not a string (write `[[cache]]`)",
        ),
        (
            "[[databse]]\n".into(),
            "1:3 unknown section `databse` (did you mean `[[database]]`?)",
        ),
        (
            database("timeuot = '5s'\n"),
            "3:1 unknown key `timeuot` in `database` (did you mean `timeout`?)",
        ),
        (
            cache("password_fil = 'x'\n"),
            "3:1 unknown key `password_fil` in `cache` (did you mean `password_file`?)",
        ),
        (
            database("sentinel_master = 'm'\n"),
            "3:1 unknown key `sentinel_master` in `database` (`sentinel_master` belongs in \
             `[[cache]]`)",
        ),
        (
            "[prometheus]\nurl = 'http://127.0.0.1:9090'\nhosts = []\n".into(),
            "3:1 unknown key `hosts` in `prometheus` (`hosts` belongs in `[check]`)",
        ),
        (
            "[check]\nurl = 'http://127.0.0.1/'\n".into(),
            "2:1 unknown key `url` in `check` (`url` belongs in `[store]`)",
        ),
    ]);
    let list = told(&bad("[[prometheus]]\nurl = 'http://127.0.0.1:9090'\n"));
    let expected = "1:3 `prometheus` must be a section, not a list (write `[prometheus]` once)";
    assert_eq!(list[0], expected, "{list:?}");
}

#[test]
fn an_address_that_is_none_is_told_without_repeating_it() {
    tells(&[
        (
            "[[database]]\nname = 'orders'\n".into(),
            "1:1 a database without a `url` (such as `url = \
             \"postgres://treasury_bot@127.0.0.1:5432/treasury\"`)",
        ),
        (
            "[[cache]]\n".into(),
            "1:1 a cache without a `url` (such as `url = \"redis://127.0.0.1:6379/0\"`)",
        ),
        (
            "[[database]]\nurl = 7\n".into(),
            "2:7 `database.url` must be a string, not a whole number",
        ),
        (
            "[prometheus]\nurl = 7\n".into(),
            "2:7 `prometheus.url` must be a string, not a whole number",
        ),
        (
            "[[database]]\nurl = 'db:5432 S3CRET'\n".into(),
            "2:7 `database.url` must begin with postgres:// or postgresql:// (such as \
             `postgres://treasury_bot@127.0.0.1:5432/treasury`)",
        ),
        (
            "[[cache]]\nurl = 'S3CRET'\n".into(),
            "2:7 `cache.url` is not a URL: relative URL without a base (such as \
             `redis://127.0.0.1:6379/0`)",
        ),
        (
            "[[cache]]\nurl = 'postgres://h/S3CRET'\n".into(),
            "2:7 `cache.url` must begin with redis:// or rediss:// (such as \
             `redis://127.0.0.1:6379/0`)",
        ),
        (
            "[[database]]\nurl = 'postgres:///S3CRET'\n".into(),
            "2:7 `database.url` names no host (such as \
             `postgres://treasury_bot@127.0.0.1:5432/treasury`)",
        ),
        (
            "[[database]]\nurl = 'postgres://h:port/d'\n".into(),
            "2:7 `database.url` is not a URL: invalid port number (such as \
             `postgres://treasury_bot@127.0.0.1:5432/treasury`)",
        ),
        (
            "[prometheus]\ntimeout = '5s'\n".into(),
            "1:1 `prometheus` without a `url` (such as `url = \"http://127.0.0.1:9090\"`)",
        ),
        (
            "[prometheus]\nurl = 'prometheus:9090'\n".into(),
            "2:7 `prometheus.url` must begin with http:// or https:// (write an address such as \
             `http://127.0.0.1:8081/health`)",
        ),
        (
            "[prometheus]\nurl = 'https://u:S3CRET@h/'\n".into(),
            "2:7 `prometheus.url` must not hold a user name or password",
        ),
    ]);
}

#[test]
fn names_that_clash_or_mean_nothing_are_told() {
    tells(&[
        (
            database("name = 'Orders DB'\n"),
            "3:8 `Orders DB` is not a name: use 1 to 63 lower-case letters, digits, `-`, `_` or \
             `.`, starting with a letter or digit",
        ),
        (
            database(&format!(
                "name = 'main'\n[[database]]\n{URL}name = 'main'\n"
            )),
            "6:8 a second database `main` (the first is in line 3; tell them apart by `name`)",
        ),
        // Without names both are called as the section is.
        (
            cache("[[cache]]\nurl = 'redis://i'\n"),
            "3:1 a second cache `cache` (the first is in line 1; tell them apart by `name`)",
        ),
        // Or as their service.
        (
            database(&format!(
                "service = 'orders'\n[[database]]\n{URL}service = 'orders'\n"
            )),
            "4:1 a second database `orders` (the first is in line 1; tell them apart by `name`)",
        ),
        (
            database("service = 'ordres'\n"),
            "3:11 `database.service`: there is no service `ordres` (did you mean `orders`?)",
        ),
        (
            cache("service = 'zzz'\n"),
            "3:11 `cache.service`: there is no service `zzz` (there are: orders)",
        ),
    ]);
    // A database and a cache may have the same name: they are asked by different commands.
    let both = format!(
        "{}{}",
        database("name = 'main'\n"),
        cache("name = 'main'\n")
    );
    good(&beside(&both));
}

#[test]
fn times_hosts_metrics_and_words_out_of_bounds_are_told() {
    tells(&[
        (
            database("timeout = '31s'\n"),
            "3:1 `database.timeout` must be from 1s to 30s",
        ),
        (
            cache("timeout = 'soon'\n"),
            "3:11 `soon` is not a duration: write a number and a unit, such as `90s`, `10m`, `2h` \
             or `3d`",
        ),
        (
            cache("timeout = 5\n"),
            "3:11 `cache.timeout` must be a string, not a whole number",
        ),
        (
            "[check]\nhosts = ['intern.example', 'https://a/']\n".into(),
            "2:28 `check.hosts` can't list `https://a/` (write `host`, `*.domain` or `host:port`, \
             without a scheme)",
        ),
        (
            "[check]\nhosts = ['a:0']\n".into(),
            "2:10 `check.hosts` can't list `a:0` (write `host`, `*.domain` or `host:port`, \
             without a scheme)",
        ),
        (
            "[check]\nhosts = ['*']\n".into(),
            "2:10 `check.hosts` can't list `*` (write `host`, `*.domain` or `host:port`, without \
             a scheme)",
        ),
        (
            "[check]\nhosts = 'a'\n".into(),
            "2:9 `check.hosts` must be a list of strings, not a string",
        ),
        (
            "[policy]\nconfirm = ['restart', 'dB']\n".into(),
            "2:23 `policy.confirm` can't be `dB` (it can be `restart` or `scale` or `deploy` or `isolate` or `db`)",
        ),
        (
            "[policy]\nconfirm = ['terminate']\n".into(),
            "2:12 `policy.confirm` can't be `terminate` (it can be `restart` or `scale` or `deploy` or `isolate` or `db`)",
        ),
        (
            "[[service]]\nname = 'x'\ncontainer = 'x'\nmetrics = { errors = 7 }\n".into(),
            "4:13 `metrics.errors` must be a PromQL text (or `{ query = \"…\", unit = \"seconds\" }`)",
        ),
        (
            "[[service]]\nname = 'x'\ncontainer = 'x'\nmetrics = { age = { query = 'up', unit = 'second' } }\n".into(),
            "4:42 `metrics.unit` can't be `second` (did you mean `seconds`?)",
        ),
        (
            "[[service]]\nname = 'x'\ncontainer = 'x'\nmetrics = { memory = 'up' }\n".into(),
            "4:13 a metric can't be called `memory` (use lower-case letters, digits, `_` and `-`; \
             memory, cpu, connections and error-rate are the bot's own)",
        ),
        (
            "[[service]]\nname = 'x'\ncontainer = 'x'\ncheck = ['ftp://h/']\n".into(),
            "4:10 `service.check` must begin with http:// or https:// (write an address such as \
             `http://127.0.0.1:8081/health`)",
        ),
    ]);
    let least = good(&beside(&database("timeout = '1s'\n")));
    assert_eq!(least.databases[0].config.timeout, Duration::from_secs(1));
}

#[test]
fn a_password_in_the_file_is_refused_and_never_shown() {
    let for_databases = "`database.url` holds a password, which doesn't belong in this file (put it \
                         in TREASURY_BOT_DATABASE_PASSWORD or password_file)";
    let for_caches = "`cache.url` holds a password, which doesn't belong in this file (put it in \
                      TREASURY_BOT_CACHE_PASSWORD or password_file)";
    for (text, expected) in [
        (
            "[[database]]\nurl = 'postgres://u:S3CRET@h/d'\n",
            for_databases,
        ),
        (
            "[[database]]\nurl = 'postgres://h/d?user=u&password=S3CRET'\n",
            for_databases,
        ),
        ("[[cache]]\nurl = 'rediss://:S3CRET@h'\n", for_caches),
    ] {
        let errors = Config::parse(text, "treasury-bot.toml", &all_secrets).unwrap_err();
        assert_eq!(told(&errors.problems), [format!("2:7 {expected}")]);
        let shown = format!("{errors}{errors:?}{}", errors.render(true));
        assert!(!shown.contains("S3CRET"), "{shown}");
    }
    for text in [
        database("password = 'S3CRET'\n"),
        cache("password = 'S3CRET'\n"),
        cache("password = 'S3CRET\n"),
        "[prometheus]\nurl = 'http://127.0.0.1'\ntoken = 'S3CRET'\n".to_owned(),
        "[[database]]\nurl = 'postgres://u:S3CRET@h:x/d'\n".to_owned(),
        "[[cache]]\nurl = 'redis://:S3CRET@'\n".to_owned(),
        "[[cache]]\nurl = ['redis://:S3CRET@h']\n".to_owned(),
    ] {
        let errors = Config::parse(&text, "treasury-bot.toml", &all_secrets).unwrap_err();
        let shown = format!("{errors}{errors:?}{}", errors.render(true));
        assert!(!shown.contains("S3CRET"), "{shown}");
        assert!(errors.problems[0].location.is_some(), "{shown}");
    }
}

#[test]
fn files_of_secrets_and_certificates_that_do_not_serve_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("treasury-bot.toml");
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file("blank", " \n");
    file("words", "no certificate");
    let text = "[[database]]\nurl = 'postgres://h/d'\npassword_file = 'none'\n\
                [[cache]]\nurl = 'redis://h'\npassword_file = 'blank'\n\
                [prometheus]\nurl = 'http://127.0.0.1:9'\ntoken_file = ''\n\
                [check]\nca_file = 'words'\n";
    fs::write(&path, text).unwrap();
    let errors = Config::load(&path, &all_secrets).unwrap_err();
    // The folder has another name each time.
    let here = format!("{}/", folder.path().display());
    let all: Vec<String> = told(&errors.problems)
        .iter()
        .map(|line| line.replace(&here, ""))
        .collect();
    assert_eq!(
        all,
        [
            "3:17 `database.password_file`: can't read none: No such file or directory (os error 2)",
            "6:17 `cache.password_file`: blank is empty",
            "9:14 `prometheus.token_file` is empty",
            "11:11 `check.ca_file`: words holds no certificate in PEM",
        ]
    );
}

/// The environment holds these variables beside the tokens.
fn with<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| {
        let own = variables.iter().find(|(variable, _)| *variable == name);
        own.map(|(_, value)| (*value).to_owned())
            .or_else(|| all_secrets(name))
    }
}

#[test]
fn a_password_comes_from_its_own_variable_then_the_common_one_then_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("treasury-bot.toml");
    fs::write(folder.path().join("pw"), "filed\n").unwrap();
    fs::write(&path, database("name = 'main.db'\npassword_file = 'pw'\n")).unwrap();
    let url = |variables: &[(&str, &str)]| {
        let config = Config::load(&path, &with(variables)).unwrap();
        let debug = format!("{config:?}");
        assert!(
            !debug.contains("filed") && !debug.contains("0wn"),
            "{debug}"
        );
        config.databases[0].config.url.expose_secret().to_owned()
    };
    let common = ("TREASURY_BOT_DATABASE_PASSWORD", "c/mmon");
    let own = ("TREASURY_BOT_DATABASE_MAIN_DB_PASSWORD", "0wn@");
    assert_eq!(url(&[]), "postgres://bot:filed@db/treasury");
    assert_eq!(url(&[common]), "postgres://bot:c%2Fmmon@db/treasury");
    assert_eq!(url(&[common, own]), "postgres://bot:0wn%40@db/treasury");
    // An empty variable is none.
    let empty = ("TREASURY_BOT_DATABASE_PASSWORD", " ");
    assert_eq!(url(&[empty]), "postgres://bot:filed@db/treasury");

    // Of several, the common variable could mean any: it means none.
    let two = cache("name = 'a'\n[[cache]]\nurl = 'redis://i'\nname = 'b'\n");
    let env = with(&[
        ("TREASURY_BOT_CACHE_PASSWORD", "any"),
        ("TREASURY_BOT_CACHE_B_PASSWORD", "b's"),
    ]);
    let config = Config::parse(&two, "treasury-bot.toml", &env).unwrap();
    assert!(config.caches[0].config.password.is_none());
    let second = config.caches[1].config.password.as_ref().unwrap();
    assert_eq!(second.expose_secret(), "b's");
}

#[test]
fn what_goes_beyond_this_machine_or_has_nobody_to_ask_is_a_warning() {
    let warnings = |text: &str| told(&good(text).warnings).join("\n");
    let told = warnings("[prometheus]\nurl = 'http://prometheus.example:9090'\n");
    assert!(
        told.contains(
            "2:7 `prometheus.url` goes beyond this machine without encryption (use https:// if it \
             can)"
        ),
        "{told}"
    );
    let told = warnings(
        "[[service]]\nname = 'x'\ncontainer = 'x'\nmetrics = { errors = 'sum(errors)' }\n",
    );
    assert!(
        told.contains(
            "services name metrics, but there is no `prometheus` to ask (add [prometheus] with \
             its `url`)"
        ),
        "{told}"
    );
}

#[test]
fn a_metric_is_a_query_or_one_with_its_unit() {
    let text = "[[service]]\nname = 'x'\ncontainer = 'x'\n[service.metrics]\nup = 'up'\n\
                age = { query = 'vector(2.5)', unit = 'seconds' }\n";
    let config = good(text);
    let told = |name: &str| {
        let asked = &config.services[0].metrics[name];
        (asked.query.as_str(), asked.unit)
    };
    assert_eq!(told("up"), ("up", None));
    assert_eq!(told("age"), ("vector(2.5)", Some(Unit::Seconds)));
}

#[test]
fn a_log_store_is_read_and_what_says_nothing_to_its_kind_is_told() {
    let text = "[logs]\nkind = 'loki'\nurl = 'http://loki.internal:3100/'\nnames = { api = 'treasury-api' }\n";
    let logs = good(text).logs.unwrap();
    assert_eq!(
        (logs.url.as_str(), logs.field.as_str()),
        ("http://loki.internal:3100", "service_name")
    );
    assert_eq!(logs.names["api"], "treasury-api");
    assert!(good("").logs.is_none());
    for (text, expected) in [
        (
            "[logs]\nurl = 'http://loki.internal:3100'\n",
            "`logs` without a `kind`",
        ),
        (
            "[logs]\nkind = 'lokki'\nurl = 'http://loki.internal:3100'\n",
            "loki",
        ),
        (
            &format!("{text}index = 'x'\n"),
            "`logs.index` says nothing to Loki",
        ),
        (
            &format!("{text}user = 'bot'\n"),
            "`logs.user` without a password",
        ),
        (
            &text.replace("'treasury-api'", "7"),
            "`logs.names.api` must be a text",
        ),
    ] {
        let told = told(&bad(text)).join("\n");
        assert!(told.contains(expected), "{text}: {told}");
    }
}
