//! How keys, and what is asked about them, are written. Their names are people's data.

use crate::bot::Context;
use crate::bot::probes::time;
use crate::domain::{Message, counted, duration};
use crate::probe::cache::{BigKey, masked};

/// What becomes of the names of keys in an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// They end after their prefix.
    Masked,
    /// They are told as they are: the operator wants that, of answers to the asker alone.
    Shown,
}

impl Names {
    /// What the configuration says.
    pub(super) fn of(context: &Context) -> Self {
        if context.settings().show_keys {
            Self::Shown
        } else {
            Self::Masked
        }
    }

    /// A key's name. `typed`: what it was found by.
    pub(super) fn told(self, key: &str, typed: &str) -> String {
        match self {
            Self::Masked => masked(key, typed),
            Self::Shown => key.to_owned(),
        }
    }

    /// The same keys with such names.
    pub(super) fn keys(self, keys: &[BigKey], typed: &str) -> Vec<BigKey> {
        let told = |one: &BigKey| BigKey {
            key: self.told(&one.key, typed),
            ..one.clone()
        };
        keys.iter().map(told).collect()
    }

    /// What is said of them.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Masked => ". Names end after their prefix: `show_keys` under [policy] tells them",
            Self::Shown => "",
        }
    }
}

/// A line each. Databases are told where there are others than the first.
pub(super) fn key_rows(keys: &[BigKey], databases: &[u16]) -> String {
    keys.iter()
        .map(|key| {
            let database = match databases {
                [] | [0] => String::new(),
                _ => format!("db{} ", key.database),
            };
            if !key.described {
                return format!(
                    "{:>9} {database}{} (only its name is known)\n",
                    "?", key.key
                );
            }
            let about = if key.estimated_from.is_some() {
                "~"
            } else {
                ""
            };
            let size = format!("{about}{}", duration::bytes_text(key.bytes));
            let elements = key.elements.map(|n| format!("{}, ", counted(n, "element")));
            let expires = key.expires_ms.map_or("never expires".into(), |ms| {
                format!("expires in {}", time(ms))
            });
            format!(
                "{size:>9} {database}{} {} ({}{expires})\n",
                key.kind,
                key.key,
                elements.unwrap_or_default()
            )
        })
        .collect()
}

/// `database 0`, `databases 0, 4`.
pub(super) fn databases_text(numbers: &[u16]) -> String {
    let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    match list.as_slice() {
        [] => "no database".to_owned(),
        [one] => format!("database {one}"),
        many => format!("databases {}", many.join(", ")),
    }
}

/// With what is wrong, or could not be looked at.
pub(super) fn with_warnings(message: Message, warnings: &[String]) -> Message {
    let shown = warnings.iter().take(6);
    shown.fold(message, |message, one| message.text(format!("⚠ {one}")))
}
