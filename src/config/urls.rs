//! HTTP addresses in the file.

use std::net::IpAddr;

use url::{Host, Url};

use super::at::At;

impl At<'_> {
    /// The address, if it is `http(s)://` without a user or password; reported otherwise. Plain
    /// `http://` beyond this machine is a warning.
    pub(super) fn http(&self) -> Option<Url> {
        self.http_as("http://127.0.0.1:8081/health")
    }

    /// The same, with another example for who wrote none.
    pub(super) fn http_as(&self, example: &str) -> Option<Url> {
        let hint = format!("write an address such as `{example}`");
        let what = &self.what;
        let url = match Url::parse(self.value) {
            Ok(url) => url,
            Err(error) => {
                self.error(format!("`{what}` can't be `{}`: {error}", self.value), hint);
                return None;
            }
        };
        if !matches!(url.scheme(), "http" | "https") {
            self.error(
                format!("`{what}` must begin with http:// or https://"),
                hint,
            );
            return None;
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.error(
                format!("`{what}` must not hold a user name or password"),
                "",
            );
            return None;
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            let message = format!("`{what}` goes beyond this machine without encryption");
            self.warning(message, "use https:// if it can");
        }
        Some(url)
    }
}

/// The host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => is_this_machine(name),
        None => false,
    }
}

/// The name or IP address of a host is this machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
