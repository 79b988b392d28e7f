//! What is done to a service by its platform.

use clap::Subcommand;

use super::words::quote;
use crate::domain::Guarded;

/// What is to be done to a service. The commands and the steps of runbooks mean the same by it.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Change {
    /// Restart a service, one replica after another
    Restart {
        /// The service
        service: String,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Change the number of replicas of a service
    Scale {
        /// The service
        service: String,
        /// How many replicas there shall be
        replicas: u32,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Set the bounds between which an autoscaler keeps the number of replicas of a service
    Bounds {
        /// The service
        service: String,
        /// Fewest replicas
        min: u32,
        /// Most replicas
        max: u32,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Bring a service to another image, one replica after another
    Deploy {
        /// The service
        service: String,
        /// The image, such as treasury/api:1.9.0; the platform has to have it
        image: String,
        /// The version that was shown in the question
        #[arg(long, hide = true, value_name = "ID")]
        exactly: Option<String>,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Bring a service back to the version before the present one
    Rollback {
        /// The service
        service: String,
        /// The version that was shown in the question
        #[arg(long, hide = true, value_name = "ID")]
        exactly: Option<String>,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Cut a service off from all networks; its processes go on, evidence is kept first
    Isolate {
        /// The service
        service: String,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
    /// Join an isolated service again, exactly as it was
    Release {
        /// The service
        service: String,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Change {
    /// The word of the command.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Restart { .. } => "restart",
            Self::Scale { .. } => "scale",
            Self::Bounds { .. } => "bounds",
            Self::Deploy { .. } => "deploy",
            Self::Rollback { .. } => "rollback",
            Self::Isolate { .. } => "isolate",
            Self::Release { .. } => "release",
        }
    }

    /// What the policy has to say about it.
    pub fn guarded(&self) -> Guarded {
        match self {
            Self::Restart { .. } => Guarded::Restart,
            Self::Scale { .. } | Self::Bounds { .. } => Guarded::Scale,
            Self::Deploy { .. } | Self::Rollback { .. } => Guarded::Deploy,
            Self::Isolate { .. } | Self::Release { .. } => Guarded::Isolate,
        }
    }

    /// The service, as it was typed.
    pub fn service(&self) -> &str {
        match self {
            Self::Restart { service, .. }
            | Self::Scale { service, .. }
            | Self::Bounds { service, .. }
            | Self::Deploy { service, .. }
            | Self::Rollback { service, .. }
            | Self::Isolate { service, .. }
            | Self::Release { service, .. } => service,
        }
    }

    /// Why.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Restart { reason, .. }
            | Self::Scale { reason, .. }
            | Self::Bounds { reason, .. }
            | Self::Deploy { reason, .. }
            | Self::Rollback { reason, .. }
            | Self::Isolate { reason, .. }
            | Self::Release { reason, .. } => reason.as_deref(),
        }
    }

    /// The words that ask for this of another service, or of this one again, without the reason.
    pub fn sentence(&self, service: &str) -> String {
        let verb = self.verb();
        match self {
            Self::Scale { replicas, .. } => format!("{verb} {service} {replicas}"),
            Self::Bounds { min, max, .. } => format!("{verb} {service} {min} {max}"),
            Self::Deploy { image, .. } => format!("{verb} {service} {}", quote(image)),
            _ => format!("{verb} {service}"),
        }
    }
}
