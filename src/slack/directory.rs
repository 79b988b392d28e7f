//! Who is who: people, user groups and the bot itself, read from Slack now and then.
//!
//! Nothing waits for it. A name that isn't known yet is looked up in the background and is there
//! the next time; until then a person is called by their id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Pages, backoff};
use super::error::{ApiError, hint};
use super::lock::lock;
use super::scopes::Method;
use crate::domain::Person;
use crate::domain::person::is_slack_user_id;
use crate::store::Store;

/// How often everything is read again.
const EVERY: Duration = Duration::from_mins(10);
/// Pages of people that are read at most: 20,000 people.
const PAGES: usize = 100;
/// Names waiting to be looked up; beyond that the next round brings them.
const WANTED: usize = 256;

/// What is known of people, shared and never waited for.
#[derive(Clone, Default)]
pub struct People(Arc<Known>);

#[derive(Default)]
struct Known {
    bot_user: Mutex<Option<String>>,
    names: Mutex<HashMap<String, String>>,
    wanted: Mutex<Vec<String>>,
    asked: Notify,
}

impl People {
    /// The bot's own user id, once known.
    pub fn bot_user(&self) -> Option<String> {
        lock(&self.0.bot_user).clone()
    }

    /// Gives somebody their name, if it is known; otherwise it is looked up for the next time.
    pub fn name(&self, person: &mut Person) {
        if person.name != person.id {
            return;
        }
        if let Some(name) = lock(&self.0.names).get(&person.id) {
            person.name.clone_from(name);
            return;
        }
        let mut wanted = lock(&self.0.wanted);
        if wanted.len() < WANTED && !wanted.contains(&person.id) {
            wanted.push(person.id.clone());
            self.0.asked.notify_one();
        }
    }

    fn learn(&self, people: &[(Person, String)]) {
        let mut names = lock(&self.0.names);
        for (person, _) in people {
            names.insert(person.id.clone(), person.name.clone());
        }
    }

    fn set_bot(&self, id: String) {
        *lock(&self.0.bot_user) = Some(id);
    }

    fn take_wanted(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0.wanted))
    }
}

/// Reads Slack's directory into the store.
pub struct Directory {
    /// Slack.
    pub client: Client,
    /// Where people and groups are kept.
    pub store: Store,
    /// What the doors look at.
    pub people: People,
    /// Ids of the user groups that the configuration names.
    pub groups: Vec<String>,
}

impl Directory {
    /// Reads at once and then every ten minutes, sooner after a failure, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let wait = match self.refresh().await {
                Ok(()) => {
                    failures = 0;
                    EVERY
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        hint = error.code().and_then(hint),
                        "people and groups could not be read from Slack"
                    );
                    failures += 1;
                    backoff(failures, Duration::from_secs(5), EVERY)
                }
            };
            let next = tokio::time::sleep(wait);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = &mut next => break,
                    () = self.people.0.asked.notified() => self.look_up().await,
                }
            }
        }
    }

    /// Reads everything once.
    pub async fn refresh(&self) -> Result<(), ApiError> {
        let bot = self.client.auth_test().await?;
        self.people.set_bot(bot.user_id.0);
        let mut pages = Pages::new(PAGES);
        let parameters = [("limit", "200")];
        while let Some(page) = self
            .client
            .page(Method::UsersList, &parameters, &mut pages)
            .await?
        {
            let members = page["members"].as_array().map_or(&[][..], Vec::as_slice);
            self.keep(members.iter().filter_map(person).collect()).await;
        }
        for group in &self.groups {
            let answer = self
                .client
                .query(Method::UsergroupsUsersList, &[("usergroup", group)])
                .await?;
            let members = answer["users"].as_array().into_iter().flatten();
            let members = members
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            if let Err(error) = self.store.group_put(group, members).await {
                tracing::error!(%error, group, "a user group could not be stored");
            }
        }
        Ok(())
    }

    async fn look_up(&self) {
        for id in self.people.take_wanted() {
            match self.client.query(Method::UsersInfo, &[("user", &id)]).await {
                Ok(answer) => {
                    self.keep(person(&answer["user"]).into_iter().collect())
                        .await;
                }
                Err(error) => tracing::debug!(%error, user = id, "a name could not be looked up"),
            }
        }
    }

    async fn keep(&self, people: Vec<(Person, String)>) {
        self.people.learn(&people);
        if let Err(error) = self.store.people_put(people).await {
            tracing::error!(%error, "people could not be stored");
        }
    }
}

/// A member as Slack lists them, with their full name; not bots, and not who has left.
fn person(member: &Value) -> Option<(Person, String)> {
    let id = member["id"].as_str().filter(|id| is_slack_user_id(id))?;
    if member["deleted"] == true || member["is_bot"] == true {
        return None;
    }
    let profile = &member["profile"];
    let named = |value: &Value| {
        value
            .as_str()
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .map(str::to_owned)
    };
    let name = named(&member["name"])
        .or_else(|| named(&profile["display_name"]))
        .unwrap_or_else(|| id.to_owned());
    let real_name = named(&profile["real_name"])
        .or_else(|| named(&member["real_name"]))
        .unwrap_or_else(|| name.clone());
    let id = id.to_owned();
    Some((Person { id, name }, real_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_a_person_unless_gone_or_a_bot() {
        let ana = json!({"id": "U0ANA", "name": "ana", "profile": {"real_name": "Ana Silva"}});
        let known = Person {
            id: "U0ANA".into(),
            name: "ana".into(),
        };
        assert_eq!(person(&ana), Some((known, "Ana Silva".into())));
        assert_eq!(person(&json!({"id": "U1", "deleted": true})), None);
        assert_eq!(person(&json!({"id": "U1", "is_bot": true})), None);
        assert_eq!(person(&json!({"id": 7})), None);
    }

    #[test]
    fn an_unknown_name_is_wanted_once_and_known_afterwards() {
        let people = People::default();
        let mut ana = Person {
            id: "U0ANA".into(),
            name: "U0ANA".into(),
        };
        people.name(&mut ana);
        people.name(&mut ana);
        assert_eq!(people.take_wanted(), ["U0ANA"]);
        people.learn(&[(
            Person {
                id: "U0ANA".into(),
                name: "ana".into(),
            },
            String::new(),
        )]);
        people.name(&mut ana);
        assert_eq!(ana.name, "ana");
        assert!(people.take_wanted().is_empty());
    }
}
