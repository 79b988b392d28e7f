//! What is said of bad files.

use super::*;

fn tells(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(told(&bad(text)), [*expected], "{text}");
    }
}

#[test]
fn each_mistake_is_found_where_it_is() {
    tells(&[
        (
            "[web]\nlsiten = 1\n",
            "2:1 unknown key `lsiten` in `web` (did you mean `listen`?)",
        ),
        (
            "[web]\nlisten = 1\n",
            "2:10 `web.listen` must be a string, not a whole number",
        ),
        (
            "[slack]\nlisten = 'x'\n",
            "2:1 unknown key `listen` in `slack` (`listen` belongs in `[web]`)",
        ),
        (
            "health = 'x'\n",
            "1:1 unknown key `health` outside of any section (`health` belongs in `[[service]]`)",
        ),
        (
            "web = 1\n",
            "1:1 `web` must be a section, not a whole number (write `[web]` once)",
        ),
        (
            "[[web]]\n",
            "1:3 `web` must be a section, not a list (write `[web]` once)",
        ),
        (
            "[services]\n",
            "1:2 unknown section `services` (did you mean `[[service]]`?)",
        ),
        (
            "[service]\nname = 'a'\n",
            "1:2 `service` must be a list of tables, not a table (write `[[service]]`)",
        ),
        (
            "service = [1]\n",
            "1:12 `service` must list tables, not a whole number (write `[[service]]`)",
        ),
        (
            "[log]\nformat = 'jsno'\n",
            "2:10 `log.format` can't be `jsno` (did you mean `json`?)",
        ),
        (
            "[log]\nlevel = 'inof'\n",
            "2:9 `log.level` can't be `inof` (did you mean `info`?)",
        ),
        (
            "[log]\nlevel = 'a=b=c'\n",
            "2:9 `log.level` can't be `a=b=c` (write a level or a filter such as `info,sqlx=warn`)",
        ),
    ]);
}

#[test]
fn each_mistake_of_the_chat_the_store_and_the_doors_is_found_where_it_is() {
    tells(&[
        (
            "[slack]\nmode = 'rtm'\n",
            "2:8 `slack.mode` can't be `rtm` (it can be `socket` or `http`)",
        ),
        (
            "[slack]\ncommand = 'treasury'\n",
            "2:11 `slack.command` can't be `treasury` (write a slash and a name, such as `/treasury`)",
        ),
        (
            "[slack]\nchannel = '# ops'\n",
            "2:11 `slack.channel` can't be `# ops` (write `#name` as Slack shows it, or the channel's id (`C…`))",
        ),
        (
            "[slack]\nincident_channels = 'no'\n",
            "2:21 `slack.incident_channels` must be `true` or `false`, not a string",
        ),
        (
            "[slack]\napi_url = 'http//x'\n",
            "2:11 `slack.api_url` can't be `http//x`: relative URL without a base (write an address such as `https://slack.com/api/`)",
        ),
        (
            "[store]\nurl = 'sqlite://'\n",
            "2:7 `store.url`: no file is named after sqlite://",
        ),
        (
            "[store]\nurl = 'mysql://h/d'\n",
            "2:7 `store.url`: it must begin with sqlite://, postgres:// or postgresql://",
        ),
        (
            "[store]\nurl = 'sqlite://a'\nurl_file = 'b'\n",
            "3:12 `store` has both `url` and `url_file` (keep one of them)",
        ),
        (
            "[store]\nkeep = '3d'\n",
            "2:1 `store.keep` must be from 7d to 3660d (Slack sends again what it doubts for a day; what is removed could be done twice)",
        ),
        (
            "[store]\nkeep_incidents = '365d'\n",
            "2:18 `store.keep_incidents` can't be `365d` (it can be `forever`)",
        ),
        (
            "[web]\npublic_url = 'https://bot.example.com/treasury'\n",
            "2:14 `web.public_url` can't have a path: the pages are at /incidents (write `https://bot.example.com`)",
        ),
        (
            "[web]\npublic_url = 'bot.example.com'\n",
            "2:14 `web.public_url` can't be `bot.example.com`: relative URL without a base (write an address such as `https://treasury-bot.example.com`)",
        ),
        (
            "[web]\nhealth_listen = '127.0.0.1:8080'\n",
            "2:17 `web.health_listen` is the same as `web.listen` (leave it out to serve /health and /metrics there too)",
        ),
        (
            "[docker]\nhost = 'tcp://x'\n",
            "2:8 `docker.host` can't be `tcp://x` (write `unix:///var/run/docker.sock`, `tcp://<host>:<port>` or `https://<host>:<port>`)",
        ),
        (
            "[access]\ncommanders = ['U1', '*']\n",
            "2:21 `*` is not allowed in `access.commanders`, only among viewers (list the people who may act, or a user group (`S…`))",
        ),
        (
            "[access]\nviewers = ['ana']\n",
            "2:12 `ana` in `access.viewers` is neither a user nor a user group (write a user id (`U…`), a user group's id (`S…`) or `@name`)",
        ),
        (
            "[access]\nviewers = [true]\n",
            "2:12 `access.viewers` must list strings, not true or false",
        ),
        (
            "[access]\nviewers = 'U1'\n",
            "2:11 `access.viewers` must be a list of strings, not a string",
        ),
        (
            "[policy]\nconfirm = ['restart', 'scal']\n",
            "2:23 `policy.confirm` can't be `scal` (did you mean `scale`?)",
        ),
    ]);
}

#[test]
fn each_mistake_in_a_service_is_found_where_it_is() {
    let either = "(write `compose_project` and `compose_service`, or `container`, or \
                  `swarm_service`, or `namespace` and `workload`)"
        .to_owned();
    for (text, expected, hint) in [
        (
            "container = 'a'",
            "1:1 a service without a name ",
            "(add `name`, as people will write it in chat)",
        ),
        (
            "name = 'A'\ncontainer = 'a'",
            "2:8 `A` is not a service name: use 1 to 63 lower-case letters, digits, `-`, `_` or `.`, starting with a letter or digit",
            "",
        ),
        (
            "name = 'a'",
            "1:1 a service without a place where it runs ",
            &either,
        ),
        (
            "name = 'a'\ncompose_project = 'p'",
            "3:1 `compose_project` without `compose_service` ",
            &either,
        ),
        (
            "name = 'a'\ncompose_service = 's'",
            "3:1 `compose_service` without `compose_project` ",
            &either,
        ),
        (
            "name = 'a'\ncompose_service = 's'\ncontainer = 'c'",
            "4:1 a service has both `container` and Compose labels ",
            &either,
        ),
        (
            "name = 'a'\ncontainer = '/c'",
            "3:13 `service.container` can't be `/c` ",
            "(write it as `docker ps` shows it: letters, digits, `_`, `.` and `-`)",
        ),
        (
            "name = 'a'\ncontainer = 'c'\nplatform = 'ecs'",
            "4:12 `service.platform` can't be `ecs` ",
            "(it can be `docker` or `kubernetes`)",
        ),
        (
            "name = 'a'\ncontainer = 'c'\nscale = { max = 2 }",
            "4:9 a single container can't be scaled ",
            "(leave `scale` out, or name a Compose service or another workload)",
        ),
        (
            "name = 'a'\ncompose_project = 'p'\ncompose_service = 's'\nscale = { min = 11 }",
            "5:9 `scale.min` 11 is more than `scale.max` 10 (the default)",
            "",
        ),
        (
            "name = 'a'\ncompose_project = 'p'\ncompose_service = 's'\nscale = { min = -1 }",
            "5:17 `scale.min` must be from 0 to 1000",
            "",
        ),
        (
            "name = 'a'\ncontainer = 'c'\nscale = { maxi = 1 }",
            "4:11 unknown key `maxi` in `scale` ",
            "(did you mean `max`?)",
        ),
    ] {
        let problems = bad(&format!("[[service]]\n{text}\n"));
        assert_eq!(told(&problems), [format!("{expected}{hint}")], "{text}");
    }
}
