//! `pins.*`, `reactions.*`, `bookmarks.*`

use serde_json::{Value, json};

use super::chat::public;
use super::history::readable;
use super::request::{ApiError, Args, Outcome};
use crate::slack::shapes;
use crate::slack::workspace::{Message, Pin, Reaction, Workspace, unix_seconds};

/// The emoji of this workspace: those that apps put under messages. Slack has some 1,900; a name that is
/// none of its own it refuses, as this does.
const EMOJI: &str = "+1 -1 100 alarm_clock ambulance arrow_double_down arrow_double_up arrow_down \
    arrow_right arrow_up arrows_counterclockwise ballot_box_with_check bangbang bar_chart bell \
    black_circle black_square_for_stop blue_heart bomb book boom bug bulb calendar chart_with_downwards_trend \
    chart_with_upwards_trend clap clipboard clock1 closed_lock_with_key computer construction cry dart \
    detective double_vertical_bar email exclamation eyes face_with_monocle fire fire_engine grey_question \
    gear green_heart grin hammer hammer_and_wrench handshake heart heavy_check_mark \
    heavy_exclamation_mark heavy_minus_sign heavy_plus_sign hourglass hourglass_flowing_sand \
    information_source joy key label large_blue_circle large_green_circle large_orange_circle \
    large_yellow_circle link lock loudspeaker mag mag_right mega memo moneybag mute name_badge no_bell \
    no_entry no_entry_sign ok ok_hand package page_facing_up paperclip pencil pencil2 point_right point_up \
    pray pushpin question raised_hand raised_hands recycle red_circle repeat robot_face rocket \
    rotating_light runner satellite_antenna see_no_evil shield shrug smile snail sob sos sparkles \
    speech_balloon star stopwatch sunny tada thinking_face thumbsdown thumbsup ticket toolbox \
    traffic_light turtle unlock vertical_traffic_light warning wastebasket wave white_check_mark \
    white_circle wrench x yellow_heart zap zzz";
const PINS: usize = 100;
const BOOKMARKS: usize = 100;

/// The channel and message that are meant, as ids.
fn item(world: &Workspace, args: &Args) -> Result<(String, String), ApiError> {
    let channel = readable(world, args)?;
    let ts = args.text("timestamp").ok_or("no_item_specified")?;
    public(world, &channel.id, &ts)?;
    Ok((channel.id.clone(), ts))
}

/// `pins.add`
pub(super) fn pin(world: &mut Workspace, args: &Args) -> Outcome {
    let (id, ts) = item(world, args)?;
    let user = world.bot.user_id.clone();
    let channel = world.channels.get_mut(&id).ok_or("channel_not_found")?;
    if channel.pins.iter().any(|pin| pin.ts == ts) {
        return Err("already_pinned".into());
    }
    if channel.pins.len() == PINS {
        return Err("too_many_pins".into());
    }
    channel.pins.push(Pin {
        ts,
        user,
        created: unix_seconds(),
    });
    Ok(json!({}))
}

/// `pins.remove`
pub(super) fn unpin(world: &mut Workspace, args: &Args) -> Outcome {
    let (id, ts) = item(world, args)?;
    let channel = world.channels.get_mut(&id).ok_or("channel_not_found")?;
    let before = channel.pins.len();
    channel.pins.retain(|pin| pin.ts != ts);
    if channel.pins.len() == before {
        Err("no_pin".into())
    } else {
        Ok(json!({}))
    }
}

/// `pins.list`
pub(super) fn pins(world: &Workspace, args: &Args) -> Outcome {
    let channel = readable(world, args)?;
    let one = |pin: &Pin| {
        let message = channel.message(&pin.ts)?;
        Some(json!({
            "type": "message",
            "channel": channel.id,
            "message": shapes::message(world, channel, message, false),
            "created": pin.created,
            "created_by": pin.user,
        }))
    };
    Ok(json!({"items": channel.pins.iter().rev().filter_map(one).collect::<Vec<_>>()}))
}

/// Puts an emoji under a message; `false` when this person has done so before.
pub(crate) fn react(message: &mut Message, name: &str, user: &str) -> bool {
    let at = message
        .reactions
        .iter()
        .position(|r| r.name == name)
        .unwrap_or_else(|| {
            message.reactions.push(Reaction {
                name: name.to_string(),
                users: Vec::new(),
            });
            message.reactions.len() - 1
        });
    let users = &mut message.reactions[at].users;
    let new = !users.iter().any(|u| u == user);
    if new {
        users.push(user.to_string());
    }
    new
}

fn emoji(args: &Args) -> Result<String, ApiError> {
    let name = args.text("name").ok_or("invalid_name")?;
    let name = name.trim_matches(':').to_string();
    let known = EMOJI.split_whitespace().any(|one| one == name);
    if known {
        Ok(name)
    } else {
        Err("invalid_name".into())
    }
}

/// `reactions.add`
pub(super) fn add_reaction(world: &mut Workspace, args: &Args) -> Outcome {
    let name = emoji(args)?;
    let (id, ts) = item(world, args)?;
    let bot = world.bot.user_id.clone();
    let message = world.channels.get_mut(&id).and_then(|c| c.message_mut(&ts));
    let message = message.ok_or("message_not_found")?;
    if react(message, &name, &bot) {
        Ok(json!({}))
    } else {
        Err("already_reacted".into())
    }
}

/// `bookmarks.add`
pub(super) fn add_bookmark(world: &mut Workspace, args: &Args) -> Outcome {
    let channel = args.required("channel_id")?;
    let (title, kind) = (args.required("title")?, args.required("type")?);
    if kind != "link" {
        return Err("invalid_bookmark_type".into());
    }
    let link = args.text("link").ok_or("invalid_link")?;
    if !link.starts_with("http://") && !link.starts_with("https://") {
        return Err("invalid_link".into());
    }
    let id = world.next_id('B').replacen('B', "Bk", 1);
    let bot = world.bot.user_id.clone();
    let channel = world
        .channels
        .get_mut(&channel)
        .filter(|c| c.members.contains(&bot));
    let channel = channel.ok_or("channel_not_found")?;
    if channel.bookmarks.len() == BOOKMARKS {
        return Err("too_many_bookmarks".into());
    }
    let bookmark = json!({
        "id": id,
        "channel_id": channel.id,
        "title": title,
        "link": link,
        "type": kind,
        "emoji": args.text("emoji"),
        "date_created": unix_seconds(),
        "date_updated": 0,
        "rank": "U",
        "last_updated_by_user_id": bot,
    });
    channel.bookmarks.push(bookmark.clone());
    Ok(json!({"bookmark": bookmark}))
}

/// `bookmarks.edit`
pub(super) fn edit_bookmark(world: &mut Workspace, args: &Args) -> Outcome {
    let (channel, id) = (args.required("channel_id")?, args.required("bookmark_id")?);
    let channel = world
        .channels
        .get_mut(&channel)
        .ok_or("channel_not_found")?;
    let mut bookmarks = channel.bookmarks.iter_mut();
    let bookmark = bookmarks.find(|one| one["id"] == *id).ok_or("not_found")?;
    for key in ["title", "link", "emoji"] {
        if let Some(new) = args.text(key) {
            bookmark[key] = json!(new);
        }
    }
    bookmark["date_updated"] = json!(unix_seconds());
    Ok(json!({"bookmark": bookmark}))
}

/// `bookmarks.list`
pub(super) fn bookmarks(world: &Workspace, args: &Args) -> Outcome {
    let channel = args.required("channel_id")?;
    let channel = world.channels.get(&channel).ok_or("channel_not_found")?;
    Ok(json!({"bookmarks": Value::Array(channel.bookmarks.clone())}))
}
