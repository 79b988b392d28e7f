//! How a cluster is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// This platform's name in errors.
pub(crate) const PLATFORM: &str = "Kubernetes";

/// Who changed a field, in the server's own records.
pub(crate) const MANAGER: &str = "treasury-bot";

/// How a cluster is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its API server is.
    pub server: Server,
    /// How long a question may take.
    pub timeout: Duration,
}

/// Where an API server is.
#[derive(Debug, Clone)]
pub enum Server {
    /// Where `kubectl` would look; in a pod, its service account.
    Infer,
    /// What a kubeconfig says.
    Kubeconfig {
        /// The file; where `kubectl` would look if `None`.
        path: Option<PathBuf>,
        /// The context; the current one if `None`.
        context: Option<String>,
    },
    /// At this address.
    Url {
        /// Such as `http://127.0.0.1:8001`.
        url: String,
        /// A bearer token.
        token: Option<SecretString>,
    },
}

/// Where the server is, for people.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Infer => f.write_str("of this cluster"),
            Self::Kubeconfig { path, context } => {
                let path = path.as_ref().map(|path| path.display().to_string());
                let file = path.unwrap_or_else(|| "the kubeconfig".to_owned());
                match context {
                    Some(context) => write!(f, "of context {context} in {file}"),
                    None => write!(f, "of {file}"),
                }
            }
            Self::Url { url, .. } => f.write_str(url),
        }
    }
}
