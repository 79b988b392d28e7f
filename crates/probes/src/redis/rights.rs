//! What the bot may ask of a server, and do there.

use ::redis::Value;

use super::ask::{
    ACL_DRYRUN, ACL_WHOAMI, CLIENTS, COMMANDLOG, CONFIG_GET, EXPIRES_IN, KILL, OWN_ID, SELECT,
    SIZE, SLOWLOG, TYPE, length, memory_usage, scan,
};
use super::connect::Redis;
use super::parse::clean;
use super::slowlog::has_commandlog;
use crate::{ProbeError, ProbeErrorKind as Kind};

/// A key that is asked about and is not there.
const KEY: &str = "treasury-bot:doctor";

/// What the bot may ask of a server, and do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What the server is, and its version: `Redis 7.0.15`.
    pub server: String,
    /// Commands that the server refuses the bot, such as `SLOWLOG GET`.
    pub lacking: Vec<String>,
    /// The error that names what grants them.
    pub hint: Option<String>,
    /// Commands of which it could not be found out, each with why.
    pub unknown: Vec<(String, String)>,
}

impl Redis {
    /// Asks each question that the bot may have, and asks about (`ACL DRYRUN`) the one command that
    /// does something. Nothing is changed.
    pub async fn rights(&self) -> Result<Rights, ProbeError> {
        self.within(async {
            let servers = self.servers().await?;
            let at = &servers.first;
            let (product, version) = servers.info.product();
            let mut rights = Rights {
                server: clean(format!("{product} {version}").as_bytes(), 60),
                lacking: Vec::new(),
                hint: None,
                unknown: Vec::new(),
            };
            let lengths = ["hash", "list", "set", "zset", "stream"].into_iter();
            let lengths = lengths.filter_map(length).map(|length| length.with(KEY));
            let large = has_commandlog(&servers.info).then(|| COMMANDLOG.with((1, "large-reply")));
            let asks = [
                CONFIG_GET.with("maxmemory"),
                SLOWLOG.with(1),
                SELECT.with(self.database),
                scan(0, None, 1),
                SIZE.alone(),
                TYPE.with(KEY),
                EXPIRES_IN.with(KEY),
                memory_usage(KEY.as_bytes(), 0),
                CLIENTS.alone(),
                OWN_ID.alone(),
            ];
            for ask in asks.into_iter().chain(lengths).chain(large) {
                let asked: Result<Value, _> = self.ask(at, &ask).await;
                match asked {
                    Ok(_) => {}
                    Err(error) if error.kind == Kind::Denied => {
                        rights.lacking.push(format!("{ask:?}"));
                        // The last one knows of the command that only some servers have.
                        rights.hint = Some(error.hint);
                    }
                    // Another server of a cluster has the key, or the server has no such command.
                    Err(error) if error.kind == Kind::Failed => {
                        rights.unknown.push((format!("{ask:?}"), error.what));
                    }
                    Err(error) => return Err(error),
                }
            }
            self.may_kill(&mut rights).await?;
            Ok(rights)
        })
        .await
    }

    async fn may_kill(&self, rights: &mut Rights) -> Result<(), ProbeError> {
        let at = &self.servers().await?.first;
        let kill = format!("{:?}", KILL.alone());
        let told = match self.ask::<String>(at, &ACL_WHOAMI.alone()).await {
            Ok(user) => {
                let dry = ACL_DRYRUN.with((user, "CLIENT", "KILL", "ID", "1"));
                self.ask::<String>(at, &dry).await
            }
            Err(error) => Err(error),
        };
        match told {
            Ok(word) if word == "OK" => {}
            Ok(_) => rights.lacking.push(kill),
            Err(error) if matches!(error.kind, Kind::Denied | Kind::Failed) => {
                rights.unknown.push((kill, error.what));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
