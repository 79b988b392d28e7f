//! `auth.test`, `users.*`, `usergroups.*`

use serde_json::{Value, json};

use super::request::{Args, Outcome, Page};
use crate::slack::shapes;
use crate::slack::workspace::{SLACKBOT, Workspace};

/// `auth.test`
pub(super) fn auth_test(world: &Workspace) -> Value {
    json!({
        "url": format!("{}/", world.base_url),
        "team": world.team_domain,
        "user": world.bot.name,
        "team_id": world.team_id,
        "user_id": world.bot.user_id,
        "bot_id": world.bot.bot_id,
        "is_enterprise_install": false,
    })
}

/// `users.info`
pub(super) fn info(world: &Workspace, args: &Args) -> Outcome {
    let id = args.text("user").ok_or("user_not_found")?;
    if id == world.bot.user_id || id == SLACKBOT {
        return Ok(json!({"user": shapes::robot(world, &id)}));
    }
    let person = world
        .people
        .iter()
        .find(|p| p.id == id)
        .ok_or("user_not_found")?;
    Ok(json!({"user": shapes::user(world, person)}))
}

/// `bots.info`
pub(super) fn bot(world: &Workspace, args: &Args) -> Outcome {
    let bot = &world.bot;
    args.text("bot")
        .filter(|id| *id == bot.bot_id)
        .ok_or("bot_not_found")?;
    Ok(json!({"bot": {
        "id": bot.bot_id,
        "deleted": false,
        "name": bot.name,
        "updated": 0,
        "app_id": bot.app_id,
        "user_id": bot.user_id,
        "icons": {},
    }}))
}

/// `users.list`
pub(super) fn list(world: &Workspace, args: &Args) -> Outcome {
    let robots = [SLACKBOT, &world.bot.user_id].map(|id| shapes::robot(world, id));
    let all = world
        .people
        .iter()
        .map(|p| shapes::user(world, p))
        .chain(robots);
    let (members, next) = Page::of(args, 1_000, 1_000)?.cut(all);
    let now = crate::slack::workspace::unix_seconds();
    Ok(json!({"members": members, "cache_ts": now, "response_metadata": {"next_cursor": next}}))
}

/// `usergroups.users.list`
pub(super) fn group_members(world: &Workspace, args: &Args) -> Outcome {
    let id = args.required("usergroup")?;
    let group = world
        .usergroups
        .iter()
        .find(|g| g.id == id)
        .ok_or("no_such_subteam")?;
    Ok(json!({"users": group.users}))
}
