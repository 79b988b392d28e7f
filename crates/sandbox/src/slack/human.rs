//! People: they type commands, say things, press buttons, fill in modals, as in a Slack client.

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::api::respond;
use super::cannot_act::CannotAct;
use super::config::Person;
use super::controls::{self, Control};
use super::delivery::{Kind, Receipt, deliver};
use super::escape::{elements, to_wire};
use super::grants::Target;
use super::payload;
use super::sandbox::Sandbox;
use super::workspace::{Channel, Message, View, Workspace};

/// Something said, and how the events about it were delivered.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    pub ts: String,
    pub receipts: Vec<Receipt>,
}

impl Sandbox {
    /// Someone to act as, by name or id; `None` for a stranger.
    pub fn find_person(&self, name: &str) -> Option<Human> {
        let person = self.look(|world| world.person(name).cloned())?;
        Some(Human::new(self.clone(), person))
    }

    /// Someone to act as. A name nobody has gives a stranger, whom the workspace refuses.
    pub fn person(&self, name: &str) -> Human {
        self.find_person(name).unwrap_or_else(|| {
            Human::new(
                self.clone(),
                Person::new("U0NOBODY00", name, name, "nobody here"),
            )
        })
    }
}

/// A person of the workspace, to act as. From [`Sandbox::person`].
#[derive(Clone)]
pub struct Human {
    pub(super) sandbox: Sandbox,
    pub(super) person: Person,
}

impl Human {
    pub(super) fn new(sandbox: Sandbox, person: Person) -> Self {
        Self { sandbox, person }
    }

    pub fn id(&self) -> &str {
        &self.person.id
    }

    pub fn name(&self) -> &str {
        &self.person.name
    }

    /// The messages of a channel this person sees, replies included.
    pub fn sees(&self, channel: &str) -> Vec<Message> {
        let mut messages = self.sandbox.messages(channel);
        messages.retain(|m| m.is_visible_to(&self.person.id));
        messages
    }

    /// The modal on top of this person's screen.
    pub fn view(&self) -> Option<View> {
        self.sandbox.views(&self.person.id).pop()
    }

    /// Types a slash command (`/treasury restart frontend`) and waits for the acknowledgement, or
    /// for Slack's patience to end.
    pub async fn types(&self, channel: &str, line: &str) -> Result<Receipt, CannotAct> {
        Ok(self
            .types_times(channel, line, 1)
            .await?
            .pop()
            .unwrap_or_default())
    }

    /// The same slash command, same `trigger_id`, delivered `times` times at once.
    pub async fn types_times(
        &self,
        channel: &str,
        line: &str,
        times: usize,
    ) -> Result<Vec<Receipt>, CannotAct> {
        let (word, text) = line
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((line.trim(), ""));
        let id = self.channel_to_act_in(channel)?;
        if word != self.sandbox.config().command {
            let error = format!("{word} is not a valid command.");
            self.sandbox
                .change(|world| world.whisper(&id, &self.person.id, &error));
            return Ok(vec![
                Receipt {
                    error: Some(error),
                    ..Receipt::default()
                };
                times
            ]);
        }
        let payload = self.sandbox.change(|world| {
            let text = to_wire(world, text.trim(), true);
            payload::command(world, &self.person, &id, word, &text)
        });
        let one = || deliver(&self.sandbox, Kind::Command, &payload);
        let receipts = join_all((0..times).map(|_| one())).await;
        self.sandbox.change(|world| {
            for receipt in &receipts {
                self.show_answer(world, &id, line, receipt);
            }
        });
        Ok(receipts)
    }

    /// What the person gets to see of a command's acknowledgement.
    fn show_answer(&self, world: &mut Workspace, channel: &str, line: &str, receipt: &Receipt) {
        let word = &self.sandbox.config().command;
        if let Some(error) = &receipt.error {
            let text = format!("{word} failed with the error \"{error}\"");
            return world.whisper(channel, &self.person.id, &text);
        }
        let Some(body) = receipt.body.as_ref().filter(|b| respond::has_content(b)) else {
            return;
        };
        if body["response_type"] == "in_channel" {
            world.post(Message {
                channel: channel.to_string(),
                user: self.person.id.clone(),
                text: line.to_string(),
                ..Message::default()
            });
        }
        let target = Target {
            channel: channel.to_string(),
            user: self.person.id.clone(),
            source: None,
            thread_ts: None,
        };
        if let Err(error) = respond::answer(world, &target, body) {
            let text = format!("{word} failed with the error \"{}\"", error.code);
            world.whisper(channel, &self.person.id, &text);
        }
    }

    /// Says something, in the channel or in a thread, and waits until the events about it have
    /// been delivered or given up.
    pub async fn says(
        &self,
        channel: &str,
        text: &str,
        thread_ts: Option<&str>,
    ) -> Result<Said, CannotAct> {
        let id = self.channel_to_act_in(channel)?;
        let subscribed = &self.sandbox.config().events;
        let (ts, payloads) = self.sandbox.change(|world| {
            let text = to_wire(world, text, false);
            if let Some(root) = thread_ts {
                let found = world.channels.get(&id).and_then(|c| c.message(root));
                found.ok_or_else(|| CannotAct::NoMessage(root.to_string()))?;
            }
            let block_id = format!("b{}", world.next_number());
            let elements = elements(&text);
            let section = json!({"type": "rich_text_section", "elements": elements});
            let message = world.post(Message {
                channel: id.clone(),
                user: self.person.id.clone(),
                blocks: vec![
                    json!({"type": "rich_text", "block_id": block_id, "elements": [section]}),
                ],
                text,
                thread_ts: thread_ts.map(str::to_string),
                ..Message::default()
            });
            let Some(channel) = world.channels.get(&id) else {
                return Ok((message.ts, Vec::new()));
            };
            // An app hears nothing of channels it is not in.
            let hears = channel.members.contains(&world.bot.user_id);
            let direct = id.starts_with('D');
            let mention = !direct && message.text.contains(&format!("<@{}>", world.bot.user_id));
            let topic = if direct {
                "message.im"
            } else {
                "message.channels"
            };
            let kinds = [
                ("app_mention", "app_mention", mention),
                (topic, "message", true),
            ];
            let due = kinds
                .into_iter()
                .filter(|(t, _, d)| hears && *d && subscribed.contains(*t));
            let events: Vec<_> = due
                .map(|(_, kind, _)| payload::said(world, kind, &message))
                .collect();
            let payloads = events
                .into_iter()
                .map(|event| payload::event(world, event))
                .collect();
            Ok((message.ts, payloads))
        })?;
        Ok(Said {
            ts,
            receipts: self.deliver_events(payloads).await,
        })
    }

    /// Puts an emoji (`eyes`) under a message.
    pub async fn reacts(&self, channel: &str, ts: &str, emoji: &str) -> Result<Said, CannotAct> {
        let id = self.channel_to_act_in(channel)?;
        self.message(&id, ts)?;
        let heard = self.sandbox.config().events.contains("reaction_added");
        let payloads = self.sandbox.change(|world| {
            let channel = world.channels.get_mut(&id);
            let author = channel.and_then(|c| c.message_mut(ts)).map(|m| {
                super::api::marks::react(m, emoji, &self.person.id);
                m.user.clone()
            });
            let event = json!({
                "type": "reaction_added",
                "user": self.person.id,
                "reaction": emoji,
                "item_user": author,
                "item": {"type": "message", "channel": id, "ts": ts},
                "event_ts": world.next_ts(),
            });
            if heard {
                vec![payload::event(world, event)]
            } else {
                Vec::new()
            }
        });
        Ok(Said {
            ts: ts.to_string(),
            receipts: self.deliver_events(payloads).await,
        })
    }

    /// Presses a button, named by its action_id, its label or its value; a confirmation dialog is
    /// answered with yes.
    pub async fn clicks(
        &self,
        channel: &str,
        ts: &str,
        control: &str,
    ) -> Result<Receipt, CannotAct> {
        Ok(self
            .clicks_times(channel, ts, control, 1)
            .await?
            .pop()
            .unwrap_or_default())
    }

    /// Presses a button `times` times before anything can come back. As in Slack, every press has
    /// its own `trigger_id` and `action_ts`.
    pub async fn clicks_times(
        &self,
        channel: &str,
        ts: &str,
        control: &str,
        times: usize,
    ) -> Result<Vec<Receipt>, CannotAct> {
        let (message, control) = self.control_in_message(channel, ts, control)?;
        let payloads: Vec<_> = self.sandbox.change(|world| {
            let nothing = Map::new();
            let press =
                |_| payload::action_in_message(world, &self.person, &message, &control, &nothing);
            (0..times).map(press).collect()
        });
        let sent = payloads
            .iter()
            .map(|p| deliver(&self.sandbox, Kind::Interaction, p));
        Ok(join_all(sent).await)
    }

    /// Chooses from a menu, a date picker, check boxes… of a message.
    pub async fn selects(
        &self,
        channel: &str,
        ts: &str,
        control: &str,
        value: impl Into<Value>,
    ) -> Result<Receipt, CannotAct> {
        let (_, control) = self.control_in_message(channel, ts, control)?;
        let id = self.channel_to_act_in(channel)?;
        let value = value.into();
        let payload = self.sandbox.change(|world| {
            let chosen = controls::choose(world, &control.element, &value)?;
            let message = world.channels.get_mut(&id).and_then(|c| c.message_mut(ts));
            let message = message.ok_or_else(|| CannotAct::NoMessage(ts.to_string()))?;
            let state = message.chosen.entry(self.person.id.clone()).or_default();
            let block = state.entry(&control.block_id).or_insert_with(|| json!({}));
            block[control.action_id()] = Value::Object(chosen.clone());
            let message = message.clone();
            Ok(payload::action_in_message(
                world,
                &self.person,
                &message,
                &control,
                &chosen,
            ))
        })?;
        Ok(deliver(&self.sandbox, Kind::Interaction, &payload).await)
    }

    /// The id of a channel this person is in and may write to.
    pub(super) fn channel_to_act_in(&self, channel: &str) -> Result<String, CannotAct> {
        self.sandbox.change(|world| {
            if world.person(&self.person.id).is_none() {
                return Err(CannotAct::Stranger(self.person.name.clone()));
            }
            // The conversation with the bot, opened by writing to it.
            if channel == world.bot.user_id || channel.strip_prefix('@') == Some(&world.bot.name) {
                return Ok(world.direct(&self.person.id));
            }
            let inside = |c: &&Channel| c.members.contains(&self.person.id);
            match world.channel(channel).filter(inside) {
                Some(c) if c.archived => Err(CannotAct::Archived(c.name.clone())),
                Some(c) => Ok(c.id.clone()),
                None => Err(CannotAct::NoChannel(channel.to_string())),
            }
        })
    }

    fn message(&self, channel: &str, ts: &str) -> Result<Message, CannotAct> {
        let found = self
            .sandbox
            .look(|world| world.channel(channel)?.message(ts).cloned());
        found
            .filter(|m| m.is_visible_to(&self.person.id))
            .ok_or_else(|| CannotAct::NoMessage(ts.to_string()))
    }

    fn control_in_message(
        &self,
        channel: &str,
        ts: &str,
        wanted: &str,
    ) -> Result<(Message, Control), CannotAct> {
        let id = self.channel_to_act_in(channel)?;
        let message = self.message(&id, ts)?;
        let control = controls::pick(controls::in_message(&message), wanted)?;
        Ok((message, control))
    }

    async fn deliver_events(&self, payloads: Vec<Value>) -> Vec<Receipt> {
        join_all(
            payloads
                .iter()
                .map(|p| deliver(&self.sandbox, Kind::Event, p)),
        )
        .await
    }
}
