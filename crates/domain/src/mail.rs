//! Mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::checked_text;

/// Why a text is no mail address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no e-mail address: write `ana@example.com` or `Ana Ruiz <ana@example.com>`")]
pub struct InvalidAddress(String);

/// A mail address: ASCII, without quotes, comments or anything else that could end a line or begin
/// another address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Address(String);

impl Address {
    /// Reads `ana@example.com`; the domain becomes lower-case.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let bad = || InvalidAddress(text.chars().take(80).collect());
        let (local, domain) = text.rsplit_once('@').ok_or_else(bad)?;
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let dotted = |text: &str, part: &dyn Fn(&str) -> bool| text.split('.').all(part);
        let local_good = (1..=64).contains(&local.len())
            && dotted(local, &|part| !part.is_empty() && part.chars().all(atom));
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if local_good && dotted(domain, &label) && text.len() <= 254 {
            Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
        } else {
            Err(bad())
        }
    }

    /// What follows the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Both reach the same mailbox, as far as one can tell from outside.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

checked_text!(Address, InvalidAddress);

/// A mail address with the name of whoever reads there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The name people know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where mail goes.
    pub address: Address,
}

impl Mailbox {
    /// Reads `ana@example.com` or `Ana Ruiz <ana@example.com>`.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let bad = || InvalidAddress(text.chars().take(80).collect());
        let text = text.trim();
        let Some(inner) = text.strip_suffix('>') else {
            return Ok(Self {
                name: None,
                address: Address::parse(text)?,
            });
        };
        let (name, address) = inner.rsplit_once('<').ok_or_else(bad)?;
        let name = name.trim().trim_matches('"').trim();
        if !Self::is_name(name) && !name.is_empty() {
            return Err(bad());
        }
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address: Address::parse(address.trim()).map_err(|_| bad())?,
        })
    }

    /// A name can stand before an address.
    pub fn is_name(text: &str) -> bool {
        !text.trim().is_empty()
            && text.len() <= 100
            && !text.contains(|c: char| c.is_control() || matches!(c, '<' | '>' | '"' | '\\'))
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => self.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_or_refused() {
        for good in [
            "ana@example.com",
            "a.b+c@x-y.example",
            "root@localhost",
            "o'neil@example.com",
        ] {
            assert_eq!(Address::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "ana@exa mple.com",
            "ana@example.com\r\nBcc: eve@example.com",
            "ana@example.com,eve@example.com",
            "a@b@c",
            "\"a b\"@example.com",
            ".ana@example.com",
            "ana..b@example.com",
            "ana@-example.com",
            "ana@example..com",
            "<ana@example.com>",
            "änä@example.com",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        assert!(Address::parse(&long).is_err());
        let same = Address::parse("Ana@EXAMPLE.com").unwrap();
        assert_eq!(same.as_str(), "Ana@example.com");
        assert!(same.is_same(&Address::parse("ana@example.com").unwrap()));
    }

    #[test]
    fn mailboxes_have_a_name_or_none() {
        let read = |text| Mailbox::parse(text).map(|mailbox| mailbox.to_string());
        assert_eq!(
            read("Ana Ruiz <ana@example.com>").unwrap(),
            "Ana Ruiz <ana@example.com>"
        );
        assert_eq!(
            read("\"Ruiz, Ana\" <ana@example.com>").unwrap(),
            "Ruiz, Ana <ana@example.com>"
        );
        assert_eq!(read("<ana@example.com>").unwrap(), "ana@example.com");
        for bad in [
            "Ana <ana@example.com",
            "Ana ana@example.com",
            "A\nB <a@example.com>",
            "<a@example.com> <b@example.com>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
