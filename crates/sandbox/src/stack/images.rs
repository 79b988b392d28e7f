//! The images that the services run and ran, and those that the engine has.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::container::Container;
use super::role::Role;
use treasury_domain::service::Version;
use treasury_domain::timeline::hex;

/// The api of this tag answers a share of 5xx.
pub(super) const BAD: &str = "1.9.0-rc1";
/// What runs an image of this tag never gets healthy.
pub(super) const BROKEN: &str = "1.9.1-broken";
/// The most versions that are remembered of a service, with the present one.
const KEPT: usize = 10;
/// How long ago the images were deployed that the world begins with.
const AGES: [SignedDuration; 2] = [
    SignedDuration::from_hours(31),
    SignedDuration::from_hours(500),
];

impl Role {
    /// The name of its image, and the tags that the engine has, the oldest first.
    pub(super) fn images(self) -> (&'static str, &'static [&'static str]) {
        let (name, _) = self.image().rsplit_once(':').unwrap_or((self.image(), ""));
        let tags: &[&str] = match self {
            Self::Frontend | Self::Api => &["1.8.2", "1.8.3", "1.9.0", BROKEN],
            Self::Postgres => &["17.5-alpine", "17.6-alpine"],
            Self::Redis => &["8.0-alpine", "8.2-alpine"],
        };
        (name, tags)
    }
}

impl Container {
    /// The tag of its image.
    pub fn tag(&self) -> &str {
        tag(&self.image)
    }

    /// It runs an image that answers errors.
    pub fn runs_bad(&self) -> bool {
        self.role == Role::Api && self.tag() == BAD
    }

    /// It runs an image that can get healthy.
    pub fn can_be_healthy(&self) -> bool {
        self.tag() != BROKEN
    }
}

pub(super) fn tag(image: &str) -> &str {
    image.rsplit_once(':').map_or("", |(_, tag)| tag)
}

/// The version of this tag; a real engine's id is a digest too.
pub(super) fn version(role: Role, tag: &str, since: Option<Timestamp>) -> Version {
    let image = format!("{}:{tag}", role.images().0);
    Version {
        id: format!("sha256:{}", hex(&Sha256::digest(&image))),
        image,
        since,
        changes: Vec::new(),
    }
}

/// The versions of each service, the present one first.
#[derive(Debug)]
pub(super) struct Deployed(BTreeMap<Role, Vec<Version>>);

impl Deployed {
    /// What a world that begins at `at` runs, and what it ran before.
    pub fn new(at: Timestamp) -> Self {
        let of = |role: Role| {
            let present = tag(role.image());
            let tags = role
                .images()
                .1
                .iter()
                .rev()
                .skip_while(|tag| **tag != present);
            let dated = tags.zip(AGES).map(|(tag, age)| {
                let since = at.checked_sub(age).ok();
                version(role, tag, since)
            });
            (role, dated.collect())
        };
        Self(Role::ALL.map(of).into())
    }

    /// The versions of a service, the present one first.
    pub(super) fn of(&self, role: Role) -> &[Version] {
        self.0.get(&role).map_or(&[], Vec::as_slice)
    }

    /// The image that a further replica runs.
    pub fn image(&self, role: Role) -> String {
        let present = self.of(role).first();
        present.map_or_else(|| role.image().to_owned(), |one| one.image.clone())
    }

    /// Makes a version the present one; one that is, stays since when it was.
    pub(super) fn add(&mut self, role: Role, version: &Version, at: Timestamp) {
        let all = self.0.entry(role).or_default();
        if all.first().is_some_and(|present| present.id == version.id) {
            return;
        }
        all.retain(|one| one.id != version.id);
        let since = Some(at);
        all.insert(
            0,
            Version {
                since,
                ..version.clone()
            },
        );
        all.truncate(KEPT);
    }

    /// Forgets a version, as if it had never been deployed.
    pub(super) fn forget(&mut self, role: Role, version: &Version) {
        if let Some(all) = self.0.get_mut(&role) {
            all.retain(|one| one.id != version.id);
        }
    }
}
