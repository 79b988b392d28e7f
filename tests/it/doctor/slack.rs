//! Tokens, scopes, channels, people.

use treasury_bot::sandbox::slack::Fault as Plan;

use super::Fault;

const BOT: &str = "TREASURY_BOT_SLACK_BOT_TOKEN";
const APP: &str = "TREASURY_BOT_SLACK_APP_TOKEN";

pub const FAULTS: &[Fault] = &[
    Fault {
        name: "the bot token was revoked",
        only: "slack",
        plant: |_, case| case.set(BOT, "xoxb-of-another-app"),
        id: "slack.bot-token",
        state: "failed",
        found: "invalid_auth",
        mend: "xoxb-…",
    },
    Fault {
        name: "the app token was revoked",
        only: "slack",
        plant: |_, case| case.set(APP, "xapp-1-of-another-app"),
        id: "slack.app-token",
        state: "failed",
        found: "invalid_auth",
        mend: "xapp-…",
    },
    Fault {
        name: "the tokens were swapped",
        only: "slack",
        plant: |world, case| {
            case.set(BOT, world.sandbox.app_token());
            case.set(APP, world.sandbox.bot_token());
        },
        id: "config.file",
        state: "failed",
        found: "must be the bot token, which begins with `xoxb-`",
        mend: "config check",
    },
    Fault {
        name: "the app lacks a scope that is needed",
        only: "slack",
        plant: |world, _| world.sandbox.faults().lacks("chat:write", true),
        id: "slack.scopes",
        state: "failed",
        found: "it lacks (answers and messages)",
        mend: "install the app again",
    },
    Fault {
        name: "the app lacks a scope that it can do without",
        only: "slack",
        plant: |world, _| world.sandbox.faults().lacks("files:write", true),
        id: "slack.scopes",
        state: "warning",
        found: "without it a message says that it can't",
        mend: "add the scope",
    },
    Fault {
        name: "the app lacks the scope of user groups, and one is listed",
        only: "slack",
        plant: |world, _| world.sandbox.faults().lacks("usergroups:read", true),
        id: "slack.scopes",
        state: "failed",
        found: "it lacks (who is in the user groups",
        mend: "add the scope",
    },
    Fault {
        name: "the main channel is misspelt",
        only: "slack",
        plant: |_, case| case.edit("#treasury-incidents", "#tresaury-incidents"),
        id: "slack.channel",
        state: "failed",
        found: "there is no such channel",
        mend: "make the channel, or correct `channel`",
    },
    Fault {
        name: "the main channel's id is of another workspace",
        only: "slack",
        plant: |_, case| case.edit("#treasury-incidents", "C0NOWHERE1"),
        id: "slack.channel",
        state: "failed",
        found: "channel_not_found",
        mend: "correct `channel`",
    },
    Fault {
        name: "the main channel is archived",
        only: "slack",
        plant: |world, _| {
            world.sandbox.faults().archived("#treasury-incidents", true);
            world.after(|world| {
                world
                    .sandbox
                    .faults()
                    .archived("#treasury-incidents", false);
            });
        },
        id: "slack.channel",
        state: "failed",
        found: "it is archived",
        mend: "take it out of the archive",
    },
    Fault {
        name: "the bot is not in the main channel, and may not post from outside",
        only: "slack",
        plant: |world, case| {
            case.edit("#treasury-incidents", "#general");
            world.sandbox.faults().lacks("chat:write.public", true);
        },
        id: "slack.channel",
        state: "failed",
        found: "the bot is no member",
        mend: "/invite @treasury",
    },
    Fault {
        name: "an id of a person is misspelt",
        only: "slack",
        plant: |_, case| {
            case.edit(
                "commanders = [\"U0BEN00001\"]",
                "commanders = [\"U0BEN00007\"]",
            );
        },
        id: "slack.people",
        state: "failed",
        found: "there is nobody of this id",
        mend: "Copy member ID",
    },
    Fault {
        name: "somebody on call has left",
        only: "slack",
        plant: |world, _| {
            world.sandbox.faults().deactivated("U0BEN00001", true);
            world.after(|world| world.sandbox.faults().deactivated("U0BEN00001", false));
        },
        id: "slack.people",
        state: "failed",
        found: "@ben is deactivated",
        mend: "take who has left out",
    },
    Fault {
        name: "a user group is not there",
        only: "slack",
        plant: |_, case| case.edit("S0ONCALL01", "S0ONCALL02"),
        id: "slack.groups",
        state: "failed",
        found: "no_such_subteam",
        mend: "correct the group's id",
    },
    Fault {
        name: "Slack hangs, and nothing else does",
        only: "slack,docker,store",
        plant: |world, case| {
            world.sandbox.faults().next("auth.test", 1, Plan::Hang);
            case.timeout = "1s";
        },
        id: "slack.bot-token",
        state: "failed",
        found: "no answer within 1s",
        mend: "is Slack let through from here",
    },
    Fault {
        name: "Slack can't be reached from here",
        only: "slack",
        plant: |world, case| case.edit(&world.sandbox.api_url(), "http://127.0.0.1:1/api"),
        id: "slack.bot-token",
        state: "failed",
        found: "Connection refused",
        mend: "is Slack let through from here",
    },
];
