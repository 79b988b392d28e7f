//! The platforms that services can be on. A further one is a module that reads its sections and its
//! keys of a service, a field, and an entry in the table.

use super::names::Names;
use super::root::Root;
use super::section::Section;
use super::{docker, kubernetes};
use crate::domain::Target;
use crate::platform::docker::EngineConfig;
use crate::platform::kubernetes::Config as ClusterConfig;

/// The installations of platforms.
#[derive(Debug, Clone)]
pub struct Platforms {
    /// `[docker]`: the default engine.
    pub docker: EngineConfig,
    /// `[[engine]]`, in the file's order, each name once.
    pub engines: Vec<EngineConfig>,
    /// `[[cluster]]` by name, in the file's order, each name once.
    pub clusters: Vec<(String, ClusterConfig)>,
}

/// How services name their place on a platform.
struct Places {
    /// The platform's word in `platform`.
    platform: &'static str,
    /// The keys of services on it.
    keys: &'static [&'static str],
    /// Reads them; `None` after an error.
    target: fn(&Section<'_>, &Platforms) -> Option<Target>,
}

/// The first is that of services which say nothing of where they run.
static PLACES: [Places; 2] = [
    Places {
        platform: "docker",
        keys: &docker::KEYS,
        target: |section, platforms| docker::target(section, &platforms.engines),
    },
    Places {
        platform: "kubernetes",
        keys: &kubernetes::KEYS,
        target: |section, platforms| kubernetes::target(section, &platforms.clusters),
    },
];

impl Platforms {
    /// Reads their sections.
    pub(super) fn read(root: &Root<'_>) -> Self {
        let mut names = [Names::default(), Names::default()];
        let [engines, clusters] = &mut names;
        Self {
            docker: root.single(docker::DOCKER, docker::engine),
            engines: root.list(docker::ENGINE, |one| docker::named_engine(one, engines)),
            clusters: root.list(kubernetes::CLUSTER, |one| {
                kubernetes::cluster(one, clusters)
            }),
        }
    }

    /// Where a service runs: on the platform that is named, else on the one whose first key is
    /// there, else on the first; `None` after an error.
    pub(super) fn target(&self, section: &Section<'_>) -> Option<Target> {
        let words: Vec<_> = PLACES.iter().map(|one| (one.platform, one)).collect();
        let is_written = |one: &&Places| section.written(one.keys[0]).is_some();
        let own = section.word("platform", &words);
        let own = own.or_else(|| PLACES[1..].iter().find(is_written));
        let own = own.unwrap_or(&PLACES[0]);
        for other in PLACES.iter().filter(|one| one.platform != own.platform) {
            for key in other
                .keys
                .iter()
                .filter(|key| section.written(key).is_some())
            {
                let message = format!("`{key}` is of services on the platform {}", other.platform);
                let hint = "a service runs in one place: leave the other's keys out";
                section.error_at(key, message, hint);
            }
        }
        (own.target)(section, self)
    }

    /// Where the engine of this name is; the default one has none.
    pub fn engine(&self, name: Option<&str>) -> EngineConfig {
        let mut all = std::iter::once(&self.docker).chain(&self.engines);
        let found = all.find(|one| one.name.as_deref() == name);
        found.cloned().unwrap_or_default()
    }

    /// Where the cluster of this name is; without one, the cluster where the bot runs or that
    /// `kubectl` would ask.
    pub fn cluster(&self, name: Option<&str>) -> ClusterConfig {
        let found = self.clusters.iter().find(|(own, _)| Some(&**own) == name);
        found.map_or_else(kubernetes::usual, |(_, cluster)| cluster.clone())
    }
}
