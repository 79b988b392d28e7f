//! The commands that change a service.

use clap::Subcommand;

use super::bounds::{self, SetBounds};
use super::deploy::{self, Deploy, Rollback};
use super::isolate::{self, Isolate, Release};
use super::kind::{Rules, Words};
use super::restart::{self, Restart};
use super::scale::{self, Scale};

/// What is to be done to a service.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
#[expect(missing_docs, reason = "the structs' docs are the help")]
pub enum Change {
    Restart(Restart),
    Scale(Scale),
    Bounds(SetBounds),
    Deploy(Deploy),
    Rollback(Rollback),
    Isolate(Isolate),
    Release(Release),
}

impl Change {
    pub(in crate::bot) fn words(&self) -> &dyn Words {
        match self {
            Self::Restart(words) => words,
            Self::Scale(words) => words,
            Self::Bounds(words) => words,
            Self::Deploy(words) => words,
            Self::Rollback(words) => words,
            Self::Isolate(words) => words,
            Self::Release(words) => words,
        }
    }

    pub(in crate::bot) fn rules(&self) -> Rules {
        match self {
            Self::Restart(_) => restart::RULES,
            Self::Scale(_) => scale::RULES,
            Self::Bounds(_) => bounds::RULES,
            Self::Deploy(_) => deploy::DEPLOY,
            Self::Rollback(_) => deploy::ROLLBACK,
            Self::Isolate(_) => isolate::ISOLATE,
            Self::Release(_) => isolate::RELEASE,
        }
    }
}
